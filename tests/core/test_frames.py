"""core/frames.py beyond the table in tests/follow_cases.json: its bounds, and that frames become fresh."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import follow_table as table
from tocsin.core.follow import Gap, News
from tocsin.core.frames import MOST_EVENTS, Frames
from tocsin.core.interest import EVERYTHING, Interests

CASES = [case for case in table.cases() if "frames" in case or any("register" in s for s in case["steps"])]
NEVER = float("inf")
_GAP = News(gap=Gap("evicted"), jumped=True)


def _news(*numbers: int, type: str = "service.failed") -> News:
    shown = tuple({"number": number, "type": type, "node": "n1"} for number in numbers)
    return News(shown, shown)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_table(case: dict[str, Any]) -> None:
    """Every case of the table that has frames."""
    table.check(case)


def test_nothing_planned() -> None:
    """Without frames, and without news, nothing is ever due."""
    frames = Frames("a:1")
    assert frames.due == NEVER
    frames.register("banner", EVERYTHING, "a:1", 0.0)
    assert frames.due == NEVER
    assert frames.ready(1e9) == []


def test_unreadable_cursor() -> None:
    """A frame whose cursor is no cursor is refreshed: nothing is known of how fresh it is."""
    frames = Frames("a:1")
    frames.register("banner", EVERYTHING, "nonsense", 5.0)
    assert frames.ready(5.0) == ["banner"]


def test_memory_is_bounded() -> None:
    """However many events come within a minute, only so many are remembered; older frames are refreshed."""
    frames = Frames("a:0")
    last = MOST_EVENTS + 10
    frames.take(_news(*range(1, last + 1)), f"a:{last}", 0.0)
    frames.register("older", Interests.parse("adapter.*"), "a:9", 1.0)
    frames.register("covered", Interests.parse("adapter.*"), "a:10", 1.0)
    assert frames.ready(1.0) == ["older"]


def test_many_gaps_one_refresh() -> None:
    """Gaps within ten seconds plan one refresh, not one each behind the other."""
    frames = Frames("a:0")
    frames.register("banner", EVERYTHING, "a:0", 0.0)
    due = []
    for second in range(8):
        frames.take(_GAP, f"a:{10 + second}", float(second))
        for _ in frames.ready(float(second)):
            due.append(second)
            frames.refreshed("banner", f"a:{10 + second}", float(second))
    assert due == [0]
    assert frames.due == 10.0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("events"), st.integers(1, 3)),
        st.tuples(st.just("refreshed"), st.integers(0, 5)),
        st.tuples(st.just("failed"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 70)),
        st.tuples(st.just("gap"), st.integers(0, 3)),
        st.tuples(st.just("failover"), st.just(0)),
        st.tuples(st.just("register"), st.integers(0, 5)),
    ),
    max_size=40,
)


class _Page:
    """A page with one frame, and a server whose events, gaps and failovers are made up."""

    def __init__(self) -> None:
        self.frames, self.buffer, self.last, self.now = Frames("a:0"), "a", 0, 0.0
        self.busy, self.shown = False, "a:0"
        self.frames.register("f", EVERYTHING, self.shown, self.now)

    @property
    def cursor(self) -> str:
        return f"{self.buffer}:{self.last}"

    def events(self, amount: int) -> None:
        numbers = range(self.last + 1, self.last + 1 + amount)
        self.last += amount
        self.frames.take(_news(*numbers), self.cursor, self.now)

    def gap(self, amount: int) -> None:
        self.last += amount
        self.frames.take(_GAP, self.cursor, self.now)

    def failover(self, _: int) -> None:
        self.buffer, self.last = self.buffer + "b", 3
        self.frames.take(News(), self.cursor, self.now)

    def wait(self, seconds: int) -> None:
        self.now += seconds

    def refreshed(self, behind: int) -> None:
        if self.busy:
            self.busy, self.shown = False, f"{self.buffer}:{max(0, self.last - behind)}"
            self.frames.refreshed("f", self.shown, self.now)

    def failed(self, _: int) -> None:
        if self.busy:
            self.busy = False
            self.frames.failed("f", self.now)

    def register(self, behind: int) -> None:
        if not self.busy:
            self.shown = f"{self.buffer}:{max(0, self.last - behind)}"
            self.frames.register("f", EVERYTHING, self.shown, self.now)

    def begin(self) -> None:
        self.busy = bool(self.frames.ready(self.now)) or self.busy


@given(STEPS)
def test_every_frame_becomes_fresh(steps: list[tuple[str, int]]) -> None:
    """Whatever the order: once all is quiet and refreshes succeed, the frame shows the last event."""
    page = _Page()
    for what, amount in steps:
        page.begin()
        getattr(page, what)(amount)
    for _ in range(10):
        page.begin()
        page.refreshed(0)
        if page.frames.due < NEVER:
            page.now = max(page.now, page.frames.due)
    assert page.shown == page.cursor
    assert page.frames.due == NEVER
