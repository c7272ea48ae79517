"""What a person sees in a terminal: colours where they are wanted, and nothing that an event can break."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final, TextIO

from tocsin.logs import printable

__all__ = ["Painter", "columns"]

_COLOURS: Final = {
    "ok": "32",
    "warning": "33",
    "failed": "31",
    "error": "31",
    "critical": "1;31",
    "unknown": "35",
    "notice": "36",
    "gap": "1;35",
}


class Painter:
    """Colours text for a stream: only if it is a terminal, and NO_COLOR (no-color.org) is not set."""

    def __init__(self, stream: TextIO) -> None:
        dumb = os.environ.get("TERM") == "dumb"
        self._on = stream.isatty() and not os.environ.get("NO_COLOR") and not dumb

    @staticmethod
    def plain(text: str) -> str:
        """The text as a terminal may have it."""
        return printable(text)

    def bold(self, text: str) -> str:
        """The text, heavier."""
        return f"\x1b[1m{text}\x1b[0m" if self._on else text

    def word(self, word: str, text: str = "") -> str:
        """A status or severity in its colour; ``text`` instead of it where it was padded."""
        code = _COLOURS.get(word, "")
        return f"\x1b[{code}m{text or word}\x1b[0m" if self._on and code else text or word


def columns(rows: Sequence[Sequence[str]], paint: Painter, indent: str = "") -> Iterator[str]:
    """Lines of a table; the first column is a status or severity, the last is not padded."""
    cells = [[paint.plain(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]
        first = paint.word(row[0], padded[0])
        yield (indent + "  ".join([first, *padded[1:]])).rstrip()


def width(text: str) -> int:
    """How many places a text takes in a terminal."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) != 0 for char in text)
