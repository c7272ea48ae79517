"""One node as another one knows it: what ears say of it, what others say, and what has been told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Member", "missing"]

#: Announces that may be missed before a node is suspect.
_MISSED: Final = 3
#: Some time for an announce to travel, in seconds.
_SLACK: Final = 0.3


@dataclass(slots=True)
class Member:
    """One node, as heard and as told."""

    name: str
    #: Whether the name has been seen alive before: decides between joined and up.
    seen: bool = False
    # what the ears say
    heard_at: float | None = None
    #: How much later that is than it was: time in which this node itself stood still, and then listened.
    excused: float = 0.0
    heard_incarnation: int = 0
    left_incarnation: int = 0
    #: Seconds between its announces, as it says.
    period: float = 0.0
    # what others hear, as they answered when they were asked: never more than that it lives
    others_at: float = float("-inf")
    others_incarnation: int = 0
    # what has been told
    state: str = "unknown"
    incarnation: int = 0
    told_at: float = float("-inf")
    # since when the two differ, and in which direction
    differs: tuple[str, int] | None = None
    differs_since: float = 0.0

    def excuse(self, seconds: float, now: float, period: float) -> None:
        """The node that hears it stood still for so long, until now: that is no silence of this one.

        Links of who stood still may be gone: whoever was heard has one announce more to be heard again.
        """
        if self.heard_at is not None:
            period, silence = max(period, self.period), now - self.heard_at - seconds
            more = silence <= missing(period) and not self.excused  # once, or who starves would wait for ever
            excused = seconds + (min(period, silence) if more else 0.0)
            self.heard_at += excused
            self.excused += excused
        self.others_at += seconds
        self.told_at += seconds

    def as_told(self, heard_since: float) -> bool:
        """Whether it is told to be up and is: the rule, in a cluster of hundreds, and quickly found."""
        return (
            self.state == "up"
            and self.heard_at is not None
            and self.heard_at >= heard_since
            and self.differs is None
            and self.left_incarnation < self.incarnation == self.heard_incarnation
        )


def missing(period: float) -> float:
    """For how many seconds nothing is heard when an announce, made every ``period`` seconds, is missing."""
    return _MISSED * period + _SLACK
