"""Arrivals by number are the same whether they are held together or one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.core.made import arrival
from tocsin.core.stretches import Stretches

MOST = 60
#: What is done, with which number, and with how many.
STEPS = st.lists(
    st.tuples(st.sampled_from(["extend", "add", "pop", "drop"]), st.integers(1, MOST), st.integers(1, 9)),
    max_size=30,
)
ARRIVALS = {number: arrival("n1", number, born=float(number)) for number in range(1, 2 * MOST)}


@given(STEPS)
def test_they_are_what_a_map_of_numbers_would_be(steps: list[tuple[str, int, int]]) -> None:
    """However they came, and whatever left in between."""
    made, model, beyond = Stretches(), dict[int, object](), 1
    for step, number, count in steps:
        if step == "extend":
            first = max(beyond, number)
            beyond = first + count
            new = {n: ARRIVALS[n] for n in range(first, beyond)}
            if not new.keys() & model.keys():
                made.extend(first, list(new.values()), 10 * count)
                model |= new
            beyond = min(beyond, MOST)
        elif step == "add" and number not in model:
            made.add(number, ARRIVALS[number])
            model[number] = ARRIVALS[number]
            beyond = max(beyond, number + 1)
        elif step == "pop":
            assert made.pop(number) == model.pop(number, None)
        elif step == "drop" and (stretch := made.around(number)) is not None:
            assert stretch.size == 10 * len(stretch.arrivals)
            assert stretch.youngest == max(each.born for each in stretch.arrivals)
            made.drop(stretch)
            model = {n: each for n, each in model.items() if not stretch.first <= n < stretch.stop}
        same(made, model)


def same(made: Stretches, model: dict[int, object]) -> None:
    """What is asked of them has the same answers."""
    assert len(model) == len(made)
    assert (min(model, default=None), max(model, default=None)) == (made.least(), made.greatest())
    for number in range(1, 2 * MOST, 7):
        assert model.get(number) is made.get(number)
        assert (number in model) == (number in made)
        for last in (number - 1, number + 2, number + 40, 10**9):
            held = [n for n in sorted(model) if number <= n <= last]
            assert held == made.numbers(number, last)
            assert [(n, model[n]) for n in held] == list(made.between(number, last))
            following = [n for at, n in enumerate(held) if n == number + at]
            assert [model[n] for n in following] == made.following(number, last)


def test_a_stretch_leaves_as_a_whole() -> None:
    """Its youngest decides when; a few are held one by one, for that is less to hold."""
    made = Stretches()
    made.extend(1, [ARRIVALS[n] for n in (1, 2, 3)], 30)
    made.extend(4, [ARRIVALS[n] for n in (5, 4, 6, 7)], 40)
    assert made.around(3) is None
    stretch = made.around(5)
    assert stretch is not None
    assert (4, 8, 40, 7.0) == (stretch.first, stretch.stop, stretch.size, stretch.youngest)
    made.drop(stretch)
    assert [1, 2, 3] == made.numbers(1, 9)
