"""What the web stage sees of the agent: one narrow Protocol and the settings of the HTTP side.

The agent implements :class:`Node`; nothing in this stage imports the agent. Everything here is called
on the event loop's thread and returns at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from tocsin.core.board import Board
    from tocsin.core.buffer import Buffer
    from tocsin.core.bus import Bus
    from tocsin.core.event import Draft
    from tocsin.core.measures import Measures
    from tocsin.core.recent import Recent

__all__ = ["MAX_WAIT", "Node", "NotReady", "Settings"]

#: Longest time in seconds that a request is held: middle boxes cut at 30 s (DESIGN.md section 7).
MAX_WAIT: Final = 25.0


class NotReady(RuntimeError):
    """The node may not publish yet: it still listens whether its name is taken."""


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of the HTTP side; ``config.py`` documents the same values for operators."""

    #: Whether readers and publishers need no authentication beyond loopback.
    allow_anonymous: bool = False
    #: How many requests are held at once; past it they are answered at once.
    wait_slots: int = 1000
    #: For how many seconds a shared cache may keep an answer of the feed; 0: not at all.
    shared_cache_seconds: int = 0
    #: Origins whose pages may read here, exactly as a browser writes them: ``https://ops.example``.
    cors_origins: tuple[str, ...] = ()
    #: Seconds between two polls, as offered in ``Tocsin-Poll``.
    poll_interval: float = 2.0
    #: Seconds a poll may ask to be held, as offered in ``Tocsin-Poll``; at most :data:`MAX_WAIT`.
    poll_wait: float = 20.0
    #: Bytes of the largest body of a request.
    max_body: int = 1 << 20
    #: Seconds in which a request's body must have arrived.
    body_timeout: float = 10.0
    #: Further names by which readers may call this node, without port.
    hosts: tuple[str, ...] = ()
    #: The nodes whose events the buffer keeps; empty: all.
    origins: tuple[str, ...] = ()


class Node(Protocol):
    """The agent, as seen from the web."""

    cluster: str
    name: str
    #: None on a node that keeps no buffer: it answers the feed with 421.
    buffer: Buffer | None
    board: Board
    bus: Bus
    settings: Settings
    #: The last arrivals, for people.
    recent: Recent
    #: Measured values of all nodes.
    measures: Measures

    def now(self) -> float:
        """Monotonic seconds."""

    def wall(self) -> str:
        """Wall time as RFC 3339 UTC text with microseconds, ending in ``Z``."""

    def publish(self, drafts: Sequence[Draft]) -> list[str]:
        """Publishes all drafts or none; returns their sequences.

        Raises :exc:`tocsin.core.errors.EventTooLarge`, or :exc:`NotReady` while the node listens.
        """

    def readiness(self) -> str:
        """Empty when ready, else the reason in words."""

    def degraded(self) -> tuple[str, ...]:
        """Names of the nodes whose events may be incomplete here."""

    def urls(self) -> dict[str, str]:
        """Public base URL of every node known, this one included: ``{"node1": "http://10.0.0.1:8340"}``."""

    def feeds(self) -> dict[str, str]:
        """The same of those whose buffer keeps the events of all nodes; those that are up first."""

    def counters(self) -> Mapping[str, float | Mapping[str, float]]:
        """What the agent counts: name, or name with labels in braces, to value."""

    def forget(self, node: str) -> bool:
        """Removes a name that is not a living node; False if there is none such."""
