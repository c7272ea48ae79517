"""The text of a sequence."""

from __future__ import annotations

import pytest

from tocsin.core.sequence import incarnation_of, is_next, seq_of, sequence_of, sequences_of


def test_sequences_sort_as_text() -> None:
    """Text order is the order of lives, and within a life of numbers."""
    pairs = [(1, 2), (1, 10), (2, 1), (10, 1), (1_764_000_000_000, 999_999_999_999)]
    texts = [sequence_of(*pair) for pair in pairs]
    assert sorted(texts) == texts
    assert pairs == [(incarnation_of(text), seq_of(text)) for text in texts]


def test_what_is_next() -> None:
    """In the same life, and the next number."""
    assert is_next(sequence_of(7, 99), sequence_of(7, 100))
    for before in ("", sequence_of(7, 98), sequence_of(7, 100), sequence_of(6, 99)):
        assert not is_next(before, sequence_of(7, 100))


@pytest.mark.parametrize("first", [1, 998, 999, 1000, 1_234_567, 999_999_999_000])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000, 2500])
def test_many_are_as_one_after_another(first: int, count: int) -> None:
    """Also over a thousand, where the digits that change are more than three."""
    assert [sequence_of(7, seq) for seq in range(first, first + count)] == sequences_of(7, first, count)
