"""Units: recorded properties of systemd are judged as an administrator would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.generators.bench import NODE
from tocsin.core.board import Resource
from tocsin.core.event import Draft
from tocsin.generators.services import path_of
from tocsin.generators.units import Unit, drafts, gone_draft, name_of, present_draft, reported

RECORDED = Path(__file__).parents[1] / "recordings" / "services" / "properties.jsonl"


def recorded(step: str) -> Unit:
    """A service as systemd described it after a step of the recording."""
    lines = map(json.loads, RECORDED.read_text().splitlines())
    found = next(line for line in lines if line["step"] == step)
    return Unit.of(name_of(found["path"]), found["properties"])


def unit(active: str = "active", sub: str = "", **changes: Any) -> Unit:
    """A service that is enabled, with changes."""
    return Unit(**{"name": "a.service", "active": active, "sub": sub, "enabled": "enabled", **changes})


RUNNING = unit(entered=100)
STOPPED = unit("inactive")
FAILED = unit("failed", result="exit-code", code=1, status=3, left=200)
RESTARTING = unit("activating", "auto-restart", code=1, status=3)


def said(told: list[Draft]) -> list[tuple[str, str]]:
    """Types and statuses."""
    return [(draft.type, draft.data["status"]) for draft in told]


class TestRecorded:
    def test_a_running_service(self) -> None:
        """A service that runs is fine, with its description and process."""
        (draft,) = drafts(None, recorded("start web-site.service"))

        assert (draft.type, draft.subject, draft.data["status"]) == (
            "service.started",
            "web-site.service",
            "ok",
        )
        assert draft.data["summary"] == "web-site.service is running"
        assert draft.data["attributes"]["description"] == "A site"
        assert draft.data["attributes"]["pid"] > 0

    def test_a_killed_service(self) -> None:
        """Killed by a signal it has failed, and the signal's name is said."""
        (draft,) = drafts(recorded("start web-site.service"), recorded("kill -s KILL web-site.service"))

        assert (draft.type, draft.severity) == ("service.failed", "error")
        assert draft.data["summary"] == "web-site.service failed: killed by SIGKILL"
        assert {
            "result": "signal",
            "exit": "killed",
            "exit_status": 9,
            "signal": "SIGKILL",
        }.items() <= draft.data["attributes"].items()

    def test_a_service_that_ends_with_an_error(self) -> None:
        """An exit status other than 0 is a failure, and is said."""
        (draft,) = drafts(None, recorded("start broken.service"))

        assert draft.data["summary"] == "broken.service failed: exit status 3"
        assert (draft.data["attributes"]["result"], draft.data["attributes"]["exit_status"]) == (
            "exit-code",
            3,
        )

    def test_a_service_that_is_restarted(self) -> None:
        """Waiting for its automatic restart it is a warning, with the reason."""
        (draft,) = drafts(None, recorded("start loop.service"))

        assert (draft.type, draft.data["status"]) == ("service.restarting", "warning")
        assert draft.data["summary"] == "loop.service is restarted by systemd (exit status 7)"

    def test_a_job_that_is_done_is_not_reported(self) -> None:
        """A oneshot service is no service that stays: it is reported from its first failure on."""
        job = recorded("start job.service")

        assert not reported(job, None)
        assert reported(unit("failed", type="oneshot"), None)
        assert reported(job, unit("failed", type="oneshot"))


class TestChanges:
    @pytest.mark.parametrize(
        ("before", "now", "expected"),
        [
            (RUNNING, RUNNING, []),
            (RUNNING, unit("reloading", entered=100), []),
            (RUNNING, unit(entered=100, pid=7), []),
            (RUNNING, FAILED, [("service.failed", "failed")]),
            (RUNNING, RESTARTING, [("service.restarting", "warning")]),
            (RUNNING, STOPPED, [("service.stopped", "warning")]),
            (RUNNING, unit(entered=300), [("service.started", "ok")]),
            (
                RUNNING,
                unit(entered=300, restarts=1),
                [("service.restarting", "warning"), ("service.started", "ok")],
            ),
            (RESTARTING, unit(entered=300, restarts=1), [("service.started", "ok")]),
            (RESTARTING, RESTARTING, []),
            (RESTARTING, FAILED, [("service.failed", "failed")]),
            (FAILED, FAILED, []),
            (FAILED, unit("failed", left=900), [("service.failed", "failed")]),
            (FAILED, STOPPED, [("service.stopped", "ok")]),
            (STOPPED, RUNNING, [("service.started", "ok")]),
        ],
    )
    def test_from_one_state_to_another(
        self, before: Unit, now: Unit, expected: list[tuple[str, str]]
    ) -> None:
        """Each change of a service is told as it is, and none twice."""
        assert said(drafts(before, now)) == expected

    def test_stopping_what_nobody_enabled_is_fine(self) -> None:
        """Only a service that is to run whenever the system runs is missed when it has stopped."""
        before, now = unit(enabled="static", entered=100), unit("inactive", enabled="static")

        assert said(drafts(before, now)) == [("service.stopped", "ok")]

    def test_new_but_not_running_is_added(self) -> None:
        """A service that is known from now on, but does not run, is no alarm."""
        assert said(drafts(None, STOPPED)) == [("service.added", "ok")]

    def test_on_its_way_it_is_not_reported(self) -> None:
        """Starting and stopping are no states to tell."""
        assert [unit(active).state for active in ("activating", "deactivating", "maintenance")] == [
            "",
            "",
            "",
        ]
        assert not reported(unit("activating", enabled="static"), None)

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"result": "timeout", "code": 2, "status": 15}, "a.service failed: timeout (killed by SIGTERM)"),
            ({"result": "start-limit-hit"}, "a.service failed: start limit hit"),
            ({"result": "core-dump", "code": 3, "status": 11}, "a.service failed: killed by SIGSEGV"),
            ({"result": "signal", "code": 2, "status": 77}, "a.service failed: killed by signal 77"),
            (
                {"result": "oom-kill", "code": 2, "status": 9},
                "a.service failed: oom kill (killed by SIGKILL)",
            ),
        ],
    )
    def test_why_it_failed(self, changes: dict[str, Any], sentence: str) -> None:
        """The sentence says systemd's reason, and how the process ended where that adds something."""
        assert drafts(None, unit("failed", **changes))[0].data["summary"] == sentence


class TestUnloaded:
    def test_after_it_ran(self) -> None:
        """A service that nothing wants is forgotten when it stops: one event says both."""
        draft = gone_draft(RUNNING, STOPPED)

        assert (draft.type, draft.data["status"], draft.severity) == ("service.stopped", "gone", "info")

    def test_after_it_failed(self) -> None:
        """One that failed and was collected at once has failed, and is gone."""
        draft = gone_draft(RUNNING, FAILED)

        assert (draft.type, draft.data["status"], draft.severity) == ("service.failed", "gone", "error")
        assert draft.data["summary"] == "a.service failed: exit status 3, and is not loaded any more"

    def test_after_its_failure_was_reset_or_it_was_removed(self) -> None:
        """What had ended before is removed."""
        assert gone_draft(FAILED, STOPPED).data["summary"] == "a.service: its failure was reset"
        assert [gone_draft(state, state).type for state in (STOPPED, FAILED)] == ["service.removed"] * 2


class TestDump:
    def known(self, status: str, state: str) -> Resource:
        return Resource(
            node=NODE, kind="service", subject="a.service", status=status, attributes={"state": state}
        )

    @pytest.mark.parametrize(
        ("known", "now", "expected"),
        [
            (None, STOPPED, ("service.added", "ok")),
            (None, RUNNING, ("service.started", "ok")),
            (("ok", "running"), STOPPED, ("service.stopped", "warning")),
            (("warning", "stopped"), STOPPED, ("service.stopped", "warning")),
            (("ok", "stopped"), STOPPED, ("service.stopped", "ok")),
            (("failed", "failed"), RUNNING, ("service.started", "ok")),
            (("ok", "running"), RESTARTING, ("service.restarting", "warning")),
        ],
    )
    def test_it_is_judged_by_what_was_reported(
        self, known: tuple[str, str] | None, now: Unit, expected: tuple[str, str]
    ) -> None:
        """A service that stopped while the agent was away is missed; one that never ran is not."""
        draft = present_draft(now, self.known(*known) if known else None)

        assert (draft.type, draft.data["status"]) == expected


class TestNames:
    @pytest.mark.parametrize(
        "name", ["nginx.service", "getty@tty1.service", "9p-mount.service", "a_b.service"]
    )
    def test_paths_are_read_as_they_are_written(self, name: str) -> None:
        """A unit's name survives the way into an object path and back."""
        assert name_of(path_of(name)) == name

    def test_a_path_of_something_else(self) -> None:
        """What is no unit's path has no name."""
        assert name_of("/org/freedesktop/systemd1/unit/a_zz") == ""
