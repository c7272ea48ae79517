"""The promises of delivery, in every state that two nodes and a monitor can reach. See explore.py."""

from __future__ import annotations

import pytest

from tests.model.explore import Bounds, Search
from tocsin.core import follow, reply
from tocsin.core.follow import News

#: Found by the search: with them it visits so many states that it cannot have missed the point.
QUICK = [
    Bounds(events=2, markers=1, restarts=0, failovers=1),
    Bounds(events=2, markers=1, restarts=0, failovers=1, on="*@x"),
    Bounds(events=2, markers=0, restarts=1, failovers=1),
]
LONG = [
    Bounds(events=2, markers=1, restarts=0, failovers=2),
    Bounds(events=2, markers=1, restarts=1, failovers=1),
    Bounds(events=3, markers=0, restarts=0, failovers=1),
    Bounds(events=3, markers=1, restarts=0, failovers=1),
]
SMALL = Bounds(events=2, markers=0, restarts=0, failovers=1)


def search(bounds: Bounds, *, states: int = 70_000) -> None:
    """Visits all states, and checks that there were many, with gaps among the answers."""
    found = Search(bounds)
    found.run()
    print(f"{bounds}: {found.states:,} states, {found.gaps:,} kinds of gap")
    assert found.states > states
    assert found.gaps > 100


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bounds", QUICK, ids=str)
def test_every_state(bounds: Bounds) -> None:
    """Each event once and in order per origin, or a gap that is true; never silence."""
    search(bounds)


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("bounds", LONG, ids=str)
def test_every_state_of_more(bounds: Bounds) -> None:
    """The same with more of everything."""
    search(bounds)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bounds", [Bounds(1, 1, 1, 1), Bounds(1, 1, 1, 1, "*@x"), SMALL], ids=str)
def test_the_shortcut_leaves_out_no_poll(bounds: Bounds) -> None:
    """That a node changes only when the monitor is there makes the search short, and hides nothing."""
    short, whole = Search(bounds), Search(bounds, shortcut=False)
    short.run()
    whole.run()
    assert short.polled() == whole.polled()
    assert short.states < whole.states / 2


def test_the_search_finds_a_monitor_that_forgets_to_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor that hands on what its seen covers is found out."""
    real = follow.Follow._some

    def careless(self: follow.Follow, page: reply.Events) -> tuple[News, bool]:
        news, more = real(self, page)
        return news._replace(events=news.shown), more

    monkeypatch.setattr(follow.Follow, "_some", careless)
    with pytest.raises(AssertionError, match="duplicate"):
        search(SMALL)


def test_the_search_finds_a_monitor_that_does_not_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor that begins at now at another node misses events silently, and is found out."""

    def forgetful(self: follow.Follow, seen: dict[str, str]) -> follow.Request:
        return follow.Request(self.node, follow.PATH, {"seen": "full"}, None, 5.0)

    monkeypatch.setattr(follow.Follow, "_ask_resume", forgetful)
    with pytest.raises(AssertionError, match=r"never told|was not told"):
        search(SMALL)


def test_the_search_finds_a_gap_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor that tells a gap for what it had from another node is found out."""

    def anxious(self: follow.Follow, gone: reply.Gone) -> News:
        news = real(self, gone)
        return news._replace(gap=follow.Gap(gone.reason, gone.lost))

    real = follow.Follow._gap
    monkeypatch.setattr(follow.Follow, "_gap", anxious)
    with pytest.raises(AssertionError, match="nothing new is lost"):
        search(SMALL)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """Answers are remembered between searches, which a monitor that is broken on purpose must not see."""
    from tests.model.explore import poll

    poll.cache_clear()
