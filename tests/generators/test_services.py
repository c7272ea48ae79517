"""Services: observed on a real systemd over a real bus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.generators.bench import NODE, Bench, Running, registered
from tests.tools import systemd_box
from tests.tools.systemd_box import SystemdBox
from tocsin.core.errors import GeneratorUnavailable
from tocsin.generators.services import Services

UNITS = {
    "web.service": "[Unit]\nDescription=A site\n[Service]\nExecStart=/bin/sleep 600\n"
    "[Install]\nWantedBy=box.target\n",
    "broken.service": "[Service]\nExecStart=/bin/sh -c 'exit 3'\n",
    "loop.service": "[Service]\nExecStart=/bin/sh -c 'exit 7'\nRestart=always\n",
    "job.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
    "user@7.service": "[Service]\nExecStart=/bin/sleep 600\n",
}


@pytest.fixture
def box() -> Iterator[SystemdBox]:
    """A running systemd."""
    if systemd_box.missing():
        pytest.skip(systemd_box.missing())
    with SystemdBox(UNITS) as running:
        yield running


def settings(box: SystemdBox) -> dict[str, Any]:
    """The bus of the box, without the services that the box itself needs."""
    return {"services.bus": box.address, "services.ignore": ["user@*.service", "dbus.service"]}


async def test_a_unit_fails(box: SystemdBox) -> None:
    """A failing unit is told within a second with its result and exit status, and then nothing more."""
    bench = Bench()
    async with Running(bench, registered("services"), settings(box)):
        begun = time.monotonic()
        box.systemctl("start", "broken.service")
        event = await bench.event("service.failed", "broken.service")
        took = time.monotonic() - begun
        box.systemctl("reset-failed")
        await bench.event("service.removed", "broken.service")

    found = event.payload()
    assert took < 1
    assert (found.status, event.severity) == ("failed", "error")
    assert (found.attributes["result"], found.attributes["exit_status"]) == ("exit-code", 3)
    assert bench.said() == [("service.failed", "broken.service"), ("service.removed", "broken.service")]


async def test_a_unit_is_started_killed_restarted_and_stopped(box: SystemdBox) -> None:
    """Each step in the life of a service is one event; one that is enabled is missed when it stops."""
    box.systemctl("enable", "--runtime", "web.service")
    bench = Bench()
    async with Running(bench, registered("services"), settings(box)):
        box.systemctl("start", "web.service")
        await bench.event("service.started", "web.service")
        box.systemctl("kill", "-s", "KILL", "web.service")
        killed = await bench.event("service.failed", "web.service")
        box.systemctl("start", "web.service")
        await bench.until(lambda: bench.said("web.service")[-1][1] == "ok")
        box.systemctl("restart", "web.service")
        await bench.until(lambda: len(bench.said("web.service")) == 4)
        box.systemctl("stop", "web.service")
        await bench.event("service.stopped", "web.service")

    assert killed.payload().attributes["signal"] == "SIGKILL"
    assert bench.said("web.service") == [
        ("service.started", "ok"),
        ("service.failed", "failed"),
        ("service.started", "ok"),
        ("service.started", "ok"),
        ("service.stopped", "warning"),
    ]


async def test_a_unit_that_nothing_wants_is_gone_when_it_stops(box: SystemdBox) -> None:
    """When systemd forgets a unit so does the board, by one event."""
    box.systemctl("start", "web.service")
    bench = Bench()
    async with Running(bench, registered("services"), settings(box)):
        assert bench.resource("service", "web.service").attributes["description"] == "A site"
        box.systemctl("stop", "web.service")
        await bench.event("service.stopped", "web.service")

    assert bench.said() == [("service.stopped", "web.service")]
    assert bench.board.section(NODE) == []


async def test_a_restart_loop_ends_in_one_failure(box: SystemdBox) -> None:
    """Restarts are warnings, few enough; when systemd gives up, that is told last and at once."""
    bench = Bench()
    async with Running(bench, registered("services"), settings(box)):
        box.systemctl("start", "loop.service", check=False)
        await bench.event("service.failed", "loop.service", seconds=10)
        await asyncio.sleep(0.3)

    types = [type for type, _ in bench.said("loop.service")]
    assert types[-1] == "service.failed"
    assert types.count("service.failed") == 1
    assert set(types[:-1]) <= {"service.restarting", "service.started", "service.flapping"}
    assert "service.restarting" in types
    assert len(types) <= 8


async def test_a_reload_of_systemd_is_no_news(box: SystemdBox) -> None:
    """daemon-reload and daemon-reexec remove and add every unit: nothing of that is told."""
    box.systemctl("start", "web.service")
    bench = Bench()
    async with Running(bench, registered("services"), settings(box)):
        well = len(bench.health)
        box.systemctl("daemon-reload")
        await bench.until(lambda: len(bench.health) > well)
        well = len(bench.health)
        box.systemctl("daemon-reexec")
        await bench.until(lambda: len(bench.health) > well)
        assert bench.events == []
        box.systemctl("start", "broken.service")
        await bench.event("service.failed", "broken.service")

    assert {state for state, _ in bench.health} == {"running"}


async def test_jobs_and_logins_are_not_reported(box: SystemdBox) -> None:
    """A oneshot service that succeeds and a user's session are no news."""
    bench = Bench()
    async with Running(bench, registered("services"), settings(box)):
        box.systemctl("start", "job.service", "user@7.service")
        box.systemctl("start", "broken.service")
        await bench.event("service.failed", "broken.service")

    assert bench.said() == [("service.failed", "broken.service")]


async def test_only_what_the_operator_asked_for(box: SystemdBox) -> None:
    """With patterns in the settings other services are not reported."""
    box.systemctl("start", "web.service")
    bench = Bench()
    async with Running(bench, registered("services"), {**settings(box), "services.units": ["br*"]}):
        box.systemctl("start", "broken.service")
        await bench.event("service.failed", "broken.service")

    assert [r.subject for r in bench.board.section(NODE)] == ["broken.service"]


async def test_changes_while_the_agent_was_away_are_told(box: SystemdBox) -> None:
    """A new life of the agent tells what changed since the last, and only that."""
    box.systemctl("start", "web.service")
    bench = Bench()
    async with Running(bench, registered("services"), settings(box)):
        pass
    box.systemctl("start", "broken.service")
    while box.systemctl("is-failed", "broken.service", check=False).strip() != "failed":
        """It has been started, and is about to fail."""
    second = Bench(first_start=False, board=bench.board, life=2)
    async with Running(second, registered("services"), settings(box)):
        pass
    box.systemctl("stop", "web.service")
    third = Bench(first_start=False, board=bench.board, life=3)
    async with Running(third, registered("services"), settings(box)):
        pass

    assert bench.events == []
    assert second.said() == [("service.failed", "broken.service")]
    assert third.said() == [("service.removed", "web.service")]


async def test_the_bus_dies(box: SystemdBox) -> None:
    """Without its bus the generator is unavailable; the supervisor starts it again later."""
    bench = Bench()
    async with Running(bench, registered("services"), settings(box)) as task:
        box.systemctl("kill", "-s", "KILL", "dbus.service")
        await bench.until(task.done)

    with pytest.raises(GeneratorUnavailable):
        task.result()
    async with Running(bench, registered("services"), settings(box)):
        assert bench.health[-1] == ("running", "")


@pytest.mark.parametrize("address", ["unix:path=/nonexistent/socket", "nonsense", "unix:"])
async def test_without_a_bus_it_is_unavailable(address: str) -> None:
    """Where there is no bus, or no address of one, the reason is said at once."""
    with pytest.raises(GeneratorUnavailable, match="cannot connect"):
        await Services({"services.bus": address}).run(Bench().desk(registered("services")))
