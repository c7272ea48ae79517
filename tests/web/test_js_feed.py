"""The browser's monitor (without a browser) on the real feed: bugs of other systems that it must not have."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.browser.cluster import Cluster, Served

SCRIPT = Path(__file__).parent / "js" / "real.mjs"


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Served, Served]]:
    """Two nodes that know nothing of each other; the buffer of the second holds ten events."""
    usual, small = Cluster(), Cluster()
    try:
        yield usual.add("node1")[0], small.add("node1", max_events=10)[0]
    finally:
        usual.stop()
        small.stop()


def play(scenario: str, node: Served) -> None:
    """Plays a scenario of ``js/real.mjs`` against the node."""
    if (program := shutil.which("node")) is None:
        pytest.skip("node is missing: install Debian's nodejs")
    run = subprocess.run(
        [program, str(SCRIPT), scenario, node.url],
        capture_output=True,
        text=True,
        timeout=55,
        env={"PATH": os.environ["PATH"]},
    )
    assert 0 == run.returncode, run.stderr[-3000:]


def test_a_thousand_events_in_one_millisecond(nodes: tuple[Served, Served]) -> None:
    """1,000 events of one instant, in pages of 100: each once, in order, one refresh (golongpoll 19)."""
    play("thousand", nodes[0])


def test_a_filter_that_hides_everything_for_a_day(nodes: tuple[Served, Served]) -> None:
    """After a day of hidden events the cursor is good, the first wanted one comes (Kubernetes bookmarks)."""
    play("day", nodes[0])


def test_an_evicted_cursor_never_makes_a_client_loop(nodes: tuple[Served, Served]) -> None:
    """Evicted again and again: a request or two a second, a refresh in 10 s (Kubernetes 104171)."""
    play("evicted", nodes[1])


def test_asleep_for_two_hours(nodes: tuple[Served, Served]) -> None:
    """Awake after 2 h: at once current, without a gap if nothing was lost, else with one (unsee 133)."""
    play("asleep", nodes[0])


def test_a_cursor_from_the_future_or_of_another_cluster(nodes: tuple[Served, Served]) -> None:
    """A cursor that cannot be is a gap at once, and never a reader that hangs (Syncthing 2197, stfed 11)."""
    play("future", nodes[0])


def test_restart_between_two_polls(nodes: tuple[Served, Served]) -> None:
    """A new life of the buffer between two polls: nothing twice, everything or one gap (Centrifugo 165)."""
    play("restarted", nodes[0])
