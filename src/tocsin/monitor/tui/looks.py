"""Shapes and colours of statuses: a shape and a word always, a colour where there are colours."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

from rich.style import Style

__all__ = ["Looks"]

_SHAPES: Final = {"failed": "✖", "warning": "▲", "unknown": "◌", "ok": "●", "info": "·"}
#: For terminals that have no others: the console of a machine without a window system.
_PLAIN_SHAPES: Final = {"failed": "X", "warning": "!", "unknown": "?", "ok": "o", "info": "."}
#: Quiet where all is well; saturated and bold only where there is trouble.
_DARK: Final = {
    "failed": Style(color="#ff6b6b", bold=True),
    "warning": Style(color="#f2b13c", bold=True),
    "unknown": Style(color="#b9a5e2"),
    "ok": Style(color="#7fb89b"),
    "info": Style(color="#8a94a3"),
    "faint": Style(color="#8a94a3"),
}
_LIGHT: Final = {
    "failed": Style(color="#b3261e", bold=True),
    "warning": Style(color="#8a5000", bold=True),
    "unknown": Style(color="#5b3fa0"),
    "ok": Style(color="#2c6e4d"),
    "info": Style(color="#5d6673"),
    "faint": Style(color="#5d6673"),
}


class Looks:
    """How statuses look on one terminal."""

    def __init__(self, env: Mapping[str, str] = os.environ, encoding: str = "") -> None:
        unicode = "utf" in (encoding or sys.stdout.encoding or "").lower() and env.get("TERM") != "linux"
        self._shapes = _SHAPES if unicode else _PLAIN_SHAPES
        self.colours = not env.get("NO_COLOR")
        self.dark = True

    def shape(self, status: str) -> str:
        """The shape of a status, one place wide."""
        return self._shapes.get(status, self._shapes["unknown"])

    def style(self, status: str) -> Style:
        """The style of a status, or ``faint``; without colours trouble is still bold."""
        style = (_DARK if self.dark else _LIGHT).get(status, Style())
        return style if self.colours else Style(bold=style.bold)

    def mark(self, status: str, word: str) -> str:
        """Shape and word."""
        return f"{self.shape(status)} {word}"
