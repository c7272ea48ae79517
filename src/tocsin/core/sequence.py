"""The attribute ``sequence`` of an event: in which life of its origin it is, and as which number.

``<incarnation: 13 digits>-<number: 12 digits>``, so that the order of the texts is that of the numbers
(CloudEvents extension "sequence"; DESIGN.md section 4).
"""

from __future__ import annotations

from typing import Final

__all__ = ["incarnation_of", "is_next", "seq_of", "sequence_of", "sequences_of"]

#: How the sequences of a thousand events that follow each other end.
_LAST_DIGITS: Final = [str(number).zfill(3) for number in range(1000)]


def sequence_of(incarnation: int, seq: int) -> str:
    """The attribute ``sequence``: text order is number order (CloudEvents extension 'sequence')."""
    return f"{str(incarnation).zfill(13)}-{str(seq).zfill(12)}"


def sequences_of(incarnation: int, first: int, count: int) -> list[str]:
    """The sequences of ``count`` events of a life from number ``first`` on."""
    found: list[str] = []
    while len(found) < count:
        thousands, rest = divmod(first + len(found), 1000)
        begin = f"{str(incarnation).zfill(13)}-{str(thousands).zfill(9)}"
        found += map(begin.__add__, _LAST_DIGITS[rest : rest + count - len(found)])
    return found


def incarnation_of(sequence: str) -> int:
    """The incarnation in a sequence."""
    return int(sequence[:13])


def seq_of(sequence: str) -> int:
    """The number within its incarnation of a sequence."""
    return int(sequence[14:])


def is_next(before: str, sequence: str) -> bool:
    """Whether a sequence follows at once on another one, in the same life."""
    return before[:14] == sequence[:14] and int(before[14:]) + 1 == int(sequence[14:])
