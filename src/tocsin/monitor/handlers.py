"""Handlers: functions that are called for the events of interest to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tocsin.core.follow import Gap
from tocsin.core.interest import Interests
from tocsin.monitor.items import Event

__all__ = ["Handler", "Handlers", "text_of"]


class Handler(NamedTuple):
    """A function, what it is interested in, and how often it may be called for one event."""

    interests: Interests
    call: Callable[[Event], Any]
    at_most_once: bool


class Handlers:
    """The handlers of one monitor, in the order in which they are called."""

    def __init__(self) -> None:
        self.events: list[Handler] = []
        self.gaps: list[Callable[[Gap], Any]] = []

    def add(self, on: str | Iterable[str], call: Callable[[Event], Any], *, at_most_once: bool) -> None:
        """Adds a handler. Raises InterestError where ``on`` cannot be read."""
        self.events.append(Handler(Interests.parse(text_of(on)), call, at_most_once))

    def interests(self) -> str:
        """What the feed is asked for, so that every handler gets what it wants; "" is everything."""
        if not all(handler.interests for handler in self.events):
            return ""
        return " ".join(dict.fromkeys(p.text for h in self.events for p in h.interests.patterns))

    def of(self, event: Event) -> list[Handler]:
        """The handlers that the event concerns."""
        type, node, subject = event["type"], event["node"], event.get("subject", "")
        return [handler for handler in self.events if handler.interests.match(type, node, subject)]


def text_of(on: str | Iterable[str]) -> str:
    """Interests as one text, checked. Raises InterestError."""
    return Interests.parse(on if isinstance(on, str) else " ".join(on)).text
