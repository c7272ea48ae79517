"""What the stages need of each other, as narrow interfaces; ``agent.py`` supplies them.

Stages never import each other. Everything here is called on the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from tocsin.core.board import Resource
from tocsin.core.event import Draft

__all__ = ["Desk"]


class Desk(Protocol):
    """What one generator needs of the agent: where it hands in what it observed."""

    @property
    def node(self) -> str:
        """The name of this node."""

    def publish(self, draft: Draft) -> None:
        """Publishes an event. A draft larger than an event may be is refused with EventTooLarge."""

    def present(self, kinds: Iterable[str], drafts: Iterable[Draft]) -> None:
        """States the complete present state of the resources of ``kinds`` on this node.

        Only differences from what the board shows are published: changed resources with the type that
        their draft has, resources that are not there any more as ``gone`` by the registration's
        ``gone_type``. At the very first start what is fine is put on the board silently.
        """

    def measure(self, values: Mapping[str, float]) -> None:
        """Hands in measured values (``cpu``, ``memory`` in percent …): shown, never events."""

    def running(self) -> None:
        """The generator is well. It says so when its first dump is complete."""

    def degraded(self, reason: str) -> None:
        """The generator works, but sees less than it should."""

    def resource(self, kind: str, subject: str) -> Resource | None:
        """What this node last reported of a resource: a generator compares before it publishes."""
