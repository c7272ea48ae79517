"""Settling: bursts, levels and flapping, with the time handed in."""

from __future__ import annotations

import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.settle import Coalescer, Flapping, Levels


class Name:
    """The name of a resource, of which one can see whether anybody still holds it."""


class TestCoalescer:
    def test_nothing_is_due_when_nothing_was_touched(self) -> None:
        """Without a touch there is neither a time nor a key."""
        burst: Coalescer[str] = Coalescer(quiet=0.1, most=1.0)

        assert burst.due is None
        assert burst.take(100.0) == []

    def test_quiet_ends_a_burst(self) -> None:
        """A key is due once it has been quiet, and only once."""
        burst: Coalescer[str] = Coalescer(quiet=0.1, most=1.0)
        burst.touch("a", 5.0)
        burst.touch("a", 5.05)

        assert burst.due == pytest.approx(5.15)
        assert burst.take(5.14) == []
        assert burst.take(5.16) == ["a"]
        assert burst.take(9.0) == []

    def test_a_burst_without_end_is_due_at_most(self) -> None:
        """Touched again and again, a key is due `most` after its first touch."""
        burst: Coalescer[str] = Coalescer(quiet=0.5, most=1.0)
        for tenth in range(10):
            burst.touch("a", tenth / 10)

        assert burst.due == pytest.approx(1.0)
        assert burst.take(1.0) == ["a"]

    def test_one_key_does_not_delay_another(self) -> None:
        """A quiet key is due while another still bursts."""
        burst: Coalescer[str] = Coalescer(quiet=0.1, most=1.0)
        burst.touch("quiet", 0.0)
        burst.touch("noisy", 0.0)
        burst.touch("noisy", 0.09)

        assert burst.take(0.1) == ["quiet"]
        assert burst.take(0.19) == ["noisy"]

    def test_a_dropped_key_is_not_pending(self) -> None:
        """What was dropped is never handed out; dropping what is not there is no error."""
        burst: Coalescer[str] = Coalescer(quiet=0.1, most=1.0)
        burst.touch("a", 0.0)
        burst.drop("a")
        burst.drop("a")

        assert burst.due is None


class TestLevels:
    def levels(self, level: str = "") -> Levels:
        return Levels([(90, "filling"), (98, "full")], margin=3, level=level)

    def test_it_rises_at_the_threshold(self) -> None:
        """Each threshold is reached by its very value."""
        levels = self.levels()

        assert [levels.update(v) for v in (89.9, 90, 97.9, 98, 100)] == [False, True, False, True, False]
        assert levels.level == "full"

    def test_it_falls_a_margin_below(self) -> None:
        """Just under the threshold the level stays; a margin below it falls by one."""
        levels = self.levels("full")

        assert not levels.update(97.9)
        assert not levels.update(95.1)
        assert levels.update(95.0)
        assert levels.level == "filling"
        assert levels.update(87.0)
        assert levels.level == ""

    def test_it_may_skip_a_level(self) -> None:
        """A jump passes over the levels between, up and down."""
        levels = self.levels()

        assert levels.update(100)
        assert levels.level == "full"
        assert levels.update(10)
        assert levels.level == ""

    def test_it_starts_where_it_was(self) -> None:
        """A known level is taken up; one that does not exist counts as none."""
        assert self.levels("filling").level == "filling"
        assert self.levels("unheard-of").level == ""

    @given(st.lists(st.floats(87.01, 89.99)))
    def test_swinging_below_a_threshold_never_changes_a_level(self, values: list[float]) -> None:
        """Between threshold and margin nothing ever changes, from either side."""
        for start in ("", "filling"):
            levels = self.levels(start)

            assert not any(levels.update(value) for value in values)


class TestFlapping:
    def test_a_few_changes_are_told(self) -> None:
        """As many changes as are allowed are told one by one."""
        flapping: Flapping[str] = Flapping(changes=3, within=10.0, quiet=5.0)

        assert [flapping.change("eth1", t) for t in (0.0, 1.0, 2.0)] == ["tell"] * 3
        assert flapping.due is None
        assert flapping.count("eth1") == 0

    def test_one_change_more_begins_flapping_and_the_rest_is_held(self) -> None:
        """Flapping is said once; later changes are only counted."""
        flapping: Flapping[str] = Flapping(changes=3, within=10.0, quiet=5.0)

        verdicts = [flapping.change("eth1", float(t)) for t in range(6)]

        assert verdicts == ["tell", "tell", "tell", "began", "hold", "hold"]
        assert flapping.count("eth1") == 6
        assert flapping.due == 10.0

    def test_slow_changes_never_flap(self) -> None:
        """Changes further apart than the window are each told."""
        flapping: Flapping[str] = Flapping(changes=1, within=10.0, quiet=5.0)

        assert [flapping.change("eth1", 11.0 * n) for n in range(20)] == ["tell"] * 20

    def test_it_settles_after_quiet_and_counts_anew(self) -> None:
        """What was quiet long enough has settled, with its count; then changes are told again."""
        flapping: Flapping[str] = Flapping(changes=1, within=10.0, quiet=5.0)
        for t in (0.0, 1.0, 2.0):
            flapping.change("eth1", t)
        flapping.change("eth2", 2.0)

        assert flapping.settled(6.9) == {}
        assert flapping.settled(7.0) == {"eth1": 3}
        assert flapping.settled(99.0) == {}
        assert flapping.change("eth1", 7.1) == "tell"

    def test_it_can_be_settled_from_outside(self) -> None:
        """Who knows that a thing stays as it is ends its flapping at once."""
        flapping: Flapping[str] = Flapping(changes=1, within=10.0, quiet=5.0)
        flapping.change("a.service", 0.0)
        flapping.change("a.service", 0.1)
        flapping.settle("a.service")
        flapping.settle("never.seen")

        assert flapping.due is None
        assert flapping.change("a.service", 0.2) == "tell"

    def test_names_that_never_come_back_are_forgotten(self) -> None:
        """What changed once, long ago, is not kept: transient units have a new name each time."""
        flapping: Flapping[Name] = Flapping(changes=3, within=10.0, quiet=5.0)
        once, lately = Name(), Name()
        gone, kept = weakref.ref(once), weakref.ref(lately)
        flapping.change(once, 100.0)
        flapping.change(lately, 105.0)
        del once, lately

        flapping.change(Name(), 111.0)

        assert (gone(), kept() is not None) == (None, True)

    def test_only_changes_within_the_window_count(self) -> None:
        """A change that is older than the window is not counted, though a later one is."""
        flapping: Flapping[str] = Flapping(changes=2, within=10.0, quiet=5.0)

        assert [flapping.change("eth1", t) for t in (0.0, 9.0, 11.0, 12.0)] == ["tell"] * 3 + ["began"]
