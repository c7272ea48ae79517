"""Monitors of all kinds on a cluster that is cut, killed, stopped and frozen: none lost, none repeated."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.system.chaos.page import Page
from tests.system.chaos.rules import Accepted, Apart, Ended, Log, Run, Told, broken, repeated
from tests.system.chaos.run import SETTINGS, Chaos
from tests.system.cluster import Cluster


def seed(usual: int = 0) -> int:
    """``TOCSIN_CHAOS_SEED``, else the usual one, else a new one; it is printed, to repeat the run."""
    chosen = int(os.environ.get("TOCSIN_CHAOS_SEED") or usual or time.time())
    print(f"TOCSIN_CHAOS_SEED={chosen}")
    return chosen


def check(chaos: Chaos, run: Run) -> None:
    """No rule is broken; the report is printed where one is."""
    print(chaos.report(run))
    assert {} == {rule: found[:5] for rule, found in broken(run).items() if found}


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_short(make_cluster: Callable[..., Cluster]) -> None:
    """Twelve seconds of faults under traffic at every node: V1 to V9 hold for every monitor."""
    chaos = Chaos(make_cluster(settings=SETTINGS), seed(4), 12)
    check(chaos, chaos.play(lose=False))


@pytest.mark.faults
@pytest.mark.system
@pytest.mark.browser
@pytest.mark.timeout(540)
def test_long(make_cluster: Callable[..., Cluster]) -> None:
    """Two minutes, with a page in a browser, and with events that are really lost to some: gaps, and true."""
    chaos = Chaos(make_cluster(settings=SETTINGS), seed(), 120)
    with Page(chaos.cluster) as page:
        chaos.page = page
        run = chaos.play(lose=True)
    check(chaos, run)
    assert any(log.gaps for log in run.logs), "nothing was lost: the run was too kind"


# -- the rules find what they are for -------------------------------------------------------------

URL = "http://node1"
E1, E2, E3 = (f"node1/0000000000001-00000000000{seq}" for seq in (1, 2, 3))


def made(*told: Told, watched: list[dict[str, Any]] | None = None, **more: Any) -> Run:
    """A run with three events of node 1, accepted at 1, 2 and 3 s, and one monitor."""
    accepted = [Accepted(key, at, at + 0.1) for at, key in ((1.0, E1), (2.0, E2), (3.0, E3))]
    log = Log("one", list(told), frozenset({"node1"}))
    names = more.pop("names", {URL: "node1"})
    return Run(10.0, accepted, [log], {URL: watched or []}, names, **more)


def gap(at: float, first: str, last: str, reason: str = "evicted") -> Told:
    """A gap of node 1's events."""
    return Told(at, "", reason, {"node1": [first[6:], last[6:]]}, URL)


def rules(run: Run) -> set[str]:
    """The numbers of the rules that are broken."""
    return {name[:2] for name, found in broken(run).items() if found}


TWO = {URL: "node1", "http://node2": "node2"}
KEPT = Apart(frozenset(TWO.values()), 1.0, 5.0)
ALL = (Told(1.2, E1), Told(2.2, E2), Told(3.2, E3))


def page(cursor: str, *events: tuple[int, str], after: str = "") -> dict[str, Any]:
    """A page that a watcher got."""
    return {"cursor": cursor, "after": after, "page": list(events), "at": 4.0}


def window(began: float, *events: tuple[int, str]) -> dict[str, Any]:
    """A window that a watcher saw."""
    return {"cursor": "b:9", "began": began, "at": began + 0.1, "window": list(events)}


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (made(*ALL), set()),
        (made(ALL[0], ALL[2]), {"v1"}),
        (made(ALL[0], gap(3.1, E2, E2), ALL[2]), set()),
        (made(ALL[0], Told(2.5, "", "foreign"), ALL[2]), set()),
        (made(ALL[0], Told(1.5, "", "foreign"), ALL[2]), {"v1"}),
        (made(ALL[0], ended=[Ended("node1", 3.5, 9.0, clean=False)]), set()),
        (made(ALL[0], ended=[Ended("node1", 2.1, 2.5, clean=False)]), {"v1"}),
        (made(ALL[0], ended=[Ended("node1", 4.0, 9.0, clean=True)], names=TWO), {"v1"}),
        (made(ALL[0], ended=[Ended("node1", 4.0, 9.0, clean=True)], names=TWO, apart=[KEPT]), set()),
        (made(ALL[0], ended=[Ended("node1", 13.5, 20.0, clean=True)], names=TWO, apart=[KEPT]), {"v1"}),
        (made(*ALL, ALL[0]), {"v2", "v3"}),
        (made(ALL[0], ALL[2], ALL[1]), {"v3"}),
        (made(*ALL, gap(4.0, E1, E2)), {"v4"}),
        (made(ALL[0], gap(2.1, E2, E2), *ALL[1:]), {"v4"}),
        (made(ALL[0], gap(2.5, E2, E2), ALL[2], watched=[window(3.0, (2, E2))]), {"v4"}),
        (made(gap(2.5, E1, E1), gap(2.6, E2, E2), gap(3.1, E3, E3)), {"v4"}),
        (made(*ALL, watched=[{"abuse": "future", "status": 204, "reason": ""}]), {"v5"}),
        (made(*ALL, watched=[{"abuse": "text", "status": 500, "reason": ""}]), {"v6"}),
        (made(*ALL, watched=[page("b:3", (1, E1)), window(5.0)]), {"v7"}),
        (made(*ALL, watched=[page("b:3", (1, E1)), window(20.0)]), set()),
        (made(*ALL, watched=[window(30.0, (1, E1))]), {"v7"}),
        (made(*ALL, watched=[page("b:3", (1, E1), after="b:0"), window(5.0, (1, E1), (2, E2))]), {"v8"}),
        (made(*ALL, watched=[page("b:1", (1, E1), after="b:0"), window(5.0, (1, E1), (2, E2))]), set()),
        (made(*ALL, filtered=("b:1", "b:3")), {"v9"}),
    ],
)
def test_rules(run: Run, found: set[str]) -> None:
    """Each rule is broken by a log that breaks it, and by no other."""
    assert found == rules(run)


def test_a_monitor_may_repeat_what_it_was_at() -> None:
    """At least once: one event, the last before its own restart; anything else is a repeat."""
    restart = Told(2.5)
    fine = Log("run", [*ALL[:2], restart, ALL[1], ALL[2]], frozenset(), repeats=True)
    wrong = Log("run", [*ALL[:2], restart, ALL[0], ALL[2]], frozenset(), repeats=True)
    assert ([], 1) == repeated(fine)
    assert ([E1], 0) == repeated(wrong)
