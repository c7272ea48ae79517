"""The cursor: a reader's position in one life of one node's buffer.

Opaque to readers; for people who debug it is ``<buffer id>:<number>``, ``k3f9a.mdz2k1xq:103``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final, NamedTuple

__all__ = ["Cursor", "buffer_id", "same_node"]

# The number has no leading zeros: one position has one text. 15 digits stay exact in JavaScript.
_CURSOR: Final = re.compile(r"([a-z0-9][a-z0-9.-]{0,63}):(0|[1-9][0-9]{0,14})\Z")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NAME_LENGTH: Final = 5


class Cursor(NamedTuple):
    """The position behind event ``number`` of the buffer with the id ``buffer``."""

    buffer: str
    number: int

    def __str__(self) -> str:
        return f"{self.buffer}:{self.number}"

    @staticmethod
    def parse(text: str) -> Cursor:
        """Reads a cursor. Raises :exc:`ValueError`, and nothing else, for any other text."""
        match = _CURSOR.match(text)
        if match is None:
            raise ValueError(f"{text[:80]!r} is not a cursor")
        return Cursor(match[1], int(match[2]))


def buffer_id(cluster: str, node: str, incarnation: int) -> str:
    """The id of a node's buffer in one life of its agent: which node, a dot, which life."""
    digest = hashlib.sha256(f"{cluster}/{node}".encode("utf-8", "surrogatepass")).digest()
    name = base64.b32encode(digest).decode("ascii").lower()[:_NAME_LENGTH]
    return f"{name}.{_base36(incarnation)}"


def same_node(one: str, other: str) -> bool:
    """Whether two ids are buffers of the same node, in whatever lives."""
    return one.partition(".")[0] == other.partition(".")[0]


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
