"""An origin: its lives, one after another."""

from __future__ import annotations

from tests.core.made import arrival
from tocsin.core.lives import Life
from tocsin.core.origin import CLOSE_AFTER, MAX_AHEAD, Gate, Origin
from tocsin.core.sequence import sequence_of


def never(then: float) -> bool:
    """Nobody has announced since."""
    return False


def always(then: float) -> bool:
    """Everybody has announced since."""
    return True


def two_lives() -> Origin:
    """An origin of which a second life was heard at 10."""
    origin = Origin("n1", fresh=False)
    origin.begin(1, 0.0)
    origin.begin(2, 10.0)
    return origin


def test_the_first_life_is_current_and_later_ones_wait() -> None:
    """The newest is known; the next one takes over when the old one is left."""
    origin = Origin("n1")
    assert origin.get(1) is None
    first, second = origin.begin(1, 0.0), origin.begin(3, 1.0)
    origin.begin(2, 2.0)
    assert first is origin.life
    assert second is origin.newest()
    assert 1.0 == origin.superseded_at
    origin.move_on(5.0)
    assert (2, 5.0) == (origin.current, origin.superseded_at)
    assert isinstance(first, Life)
    assert first.closed
    origin.move_on(6.0)
    assert [3, None, None] == [origin.current, origin.superseded_at, origin.next_life()]


def test_a_life_is_left_when_it_is_complete_or_after_a_while() -> None:
    """A goodbye, the word of all living nodes, or two seconds; never while there is no other.

    Later if it is not known how it ended: the announce that says so may have been lost, and again.
    """
    origin = Origin("n1")
    origin.begin(1, 0.0)
    assert not origin.over(99.0, always)
    origin = two_lives()
    assert not origin.over(10.0, never)
    assert origin.over(10.0, always)
    assert not origin.over(10.0 + CLOSE_AFTER, never)
    assert origin.over(10.0 + 3 * CLOSE_AFTER, never)
    origin.newest().previous = sequence_of(1, 0)
    assert origin.over(10.0 + CLOSE_AFTER, never)
    origin.life.closed = True
    assert origin.over(10.0, never)
    origin.life.learn(5, 10.0)
    assert not origin.over(10.0, always)


def test_lives_that_are_made_up_are_bounded() -> None:
    """More lives than a node can have had at once are not begun."""
    origin = Origin("n1")
    begun = [origin.begin(number, 0.0) for number in range(1, MAX_AHEAD + 10)]
    assert 1 + MAX_AHEAD == sum(life is not None for life in begun)


def test_lives_of_which_nothing_is_known_can_be_left_out() -> None:
    """Then the later life is the current one, and supersedes nothing."""
    origin = two_lives()
    origin.begin(3, 11.0)
    origin.leave_out(2)
    assert ([2, 3], 2, 10.0) == (sorted(origin.lives), origin.current, origin.superseded_at)
    origin.leave_out(3)
    assert ([3], None) == (sorted(origin.lives), origin.superseded_at)


def test_an_origin_is_quiet_unless_time_changes_something() -> None:
    """A gate, doubt, a hole, a new life: these need ticks."""
    assert Origin("n1").quiet
    assert not two_lives().quiet
    for change in ({"gate": Gate(1.0)}, {"doubtful": True}, {"degraded": True}):
        assert not Origin("n1", **change).quiet
    origin = Origin("n1", fresh=False)
    origin.begin(1, 0.0)
    assert origin.quiet
    origin.life.learn(1, 0.0)
    assert not origin.quiet


def test_time_in_which_this_node_stood_still_does_not_count() -> None:
    """Holes, gates and new lives are as old as they were."""
    origin = two_lives()
    origin.life.learn(1, 20.0)
    origin.gate = Gate(21.0)
    origin.sleep(60.0)
    assert (80.0, 70.0, 81.0) == (origin.life.hole_since, origin.superseded_at, origin.gate.deadline)
    Origin("n2").sleep(60.0)


def test_former_lives_go_once_they_hold_nothing() -> None:
    """Old events go; then the life they were of."""
    origin = two_lives()
    origin.life.add(1, arrival("n1", 1, life=1, born=5.0), 5.0)
    list(origin.life.ready())
    origin.move_on(12.0)
    origin.prune(1.0)
    assert [1, 2] == sorted(origin.lives)
    origin.prune(6.0)
    assert ([2], {1: 1}) == (sorted(origin.lives), origin.left)


def test_where_a_life_ended_that_was_over_before_is_remembered_too() -> None:
    """One that a file kept was never left here."""
    origin = two_lives()
    origin.life.take_back(arrival("n1", 4, life=1, born=5.0))
    origin.current = 2
    origin.prune(6.0)
    assert {1: 4} == origin.left


def test_the_board_is_true_where_nothing_is_waited_for() -> None:
    """Up to what has been handed on; not while a section is waited for or could not be had."""
    made = Origin("n1")
    made.begin(7, 0.0)
    found = []
    for fresh, doubtful, gate in (
        (False, False, None), (True, False, None), (False, True, None), (False, False, Gate(1.0)),
    ):  # fmt: skip
        made.fresh, made.doubtful, made.gate = fresh, doubtful, gate
        found.append(made.true_at)
    assert [(7, 0), None, None, None] == found


def test_where_former_lives_were_left_is_remembered() -> None:
    """Of the youngest; of one between them nothing was handed on; of older ones nothing is known."""
    origin = Origin("n1", fresh=False)
    for life in range(10, 60, 2):
        origin.begin(life, 0.0)
        if origin.next_life():
            origin.move_on(0.0)
        origin.life.reach(life)
    assert 16 == len(origin.left)
    found = [origin.left_at(life) for life in (24, 25, 26, 27, 28, 56, 57, 58, 59)]
    assert [None, None, 26, 0, 28, 56, 0, None, None] == found
    assert None is Origin("n2").left_at(1)


def test_a_former_life_may_have_come_further_than_its_origin_knows() -> None:
    """Told once, of what was handed on here beyond its word; not where it says as much, more, or nothing."""
    made = Origin("n1", fresh=False)
    made.begin(7, 0.0)
    made.life.accepted = 7
    made.begin(8, 0.0)
    made.move_on(0.0)
    found = []
    for previous in (None, "", sequence_of(7, 7), sequence_of(7, 9), sequence_of(7, 4)):
        made.life.previous = previous
        found.append(made.further_than_told())
    assert [None, None, None, None, (7, 5, 7)] == found
    made.warned = 7
    assert made.further_than_told() is None
