"""Wall time as text, for people: RFC 3339 UTC with microseconds. Never used for order or age."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["WallTime"]


class WallTime:
    """Formats one time after another; each event gets two, and most fall into the same second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, nanoseconds: int) -> str:
        """The text for nanoseconds since the epoch, ending in ``Z``."""
        second, microseconds = divmod(nanoseconds // 1000, 1_000_000)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._text}.{microseconds:06d}Z"
