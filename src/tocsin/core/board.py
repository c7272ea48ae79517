"""The board: the current state of every resource, a fold of events.

A resource is ``(node, kind, subject)`` and belongs to the section of the origin that reported it. A
section is stamped with the sequence up to which it is true; events at or before the stamp are not
folded again, so a section that was asked for can replace an old one at any time (DESIGN.md section 5).
The kind ``node`` is the exception: observers report it, it is in no section, and newer reports win.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from tocsin.core.bus import Burst
from tocsin.core.event import Event, Payload

__all__ = ["Board", "Resource", "worst"]

_RANK = {"gone": 0, "ok": 1, "unknown": 2, "warning": 3, "failed": 4}
_NODE_AWAY = {"down", "left", "unknown"}


class Resource(Struct, frozen=True, kw_only=True):
    """The state of one resource. Times are RFC 3339 UTC, for people."""

    node: str
    kind: str
    subject: str
    status: str
    summary: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    #: The type of the event that last changed it, e.g. ``service.failed``.
    type: str = ""
    #: Since when it has this status, and when it was last told of.
    since: str = ""
    updated: str = ""
    #: Who told, and with which event.
    origin: str = ""
    sequence: str = ""
    expirytime: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Its identity: node, kind, subject."""
        return (self.node, self.kind, self.subject)


def worst(statuses: Iterable[str]) -> str:
    """The worst of some statuses; ``unknown`` is worse than ``ok``, for it is not known to be fine."""
    return max(statuses, key=lambda s: _RANK.get(s, 2), default="ok")


class Board:
    """All resources that this node knows of."""

    def __init__(self) -> None:
        self._sections: dict[str, dict[tuple[str, str, str], Resource]] = {}
        #: How many resources there are of each kind; nodes are not counted.
        self._kinds: Counter[str] = Counter()
        self._nodes: dict[str, Resource] = {}
        self._stamps: dict[str, str] = {}
        #: Origins whose section is known to be out of date and cannot be asked for.
        self._uncertain: dict[str, str] = {}

    # -- what changes it ------------------------------------------------------

    def fold(self, event: Event) -> bool:
        """Takes in an event; one without a status changes nothing but the stamp.

        Returns whether it brought the only resource of its kind.
        """
        if event.type.startswith("node") and event.kind == "node":
            self._fold_node(event)
            self._stamps[event.origin] = max(event.sequence, self._stamps.get(event.origin, ""))
        elif event.sequence > self._stamps.get(event.origin, ""):
            self._stamps[event.origin] = event.sequence
            payload = event.statement()
            if payload is not None:
                return self._fold_into(self._sections.setdefault(event.origin, {}), event, payload)
        return False

    def fold_burst(self, burst: Burst) -> list[tuple[Event, bool]]:
        """Takes in events that came together, those of an origin in order.

        Returns those that may have changed anything, and whether each brought the only resource of its kind.
        """
        if not burst.plain:
            return [(event, self.fold(event)) for event in burst.events]
        for event in burst.events[-1:] if burst.follow else burst.events:
            self._stamps[event.origin] = max(event.sequence, self._stamps.get(event.origin, ""))
        return []

    def _fold_node(self, event: Event) -> None:
        payload = event.statement()
        if payload is None:
            return
        name = event.subject or event.node
        self._nodes[name] = _folded(event, payload, self._nodes.get(name))
        if payload.status == "gone":
            self.forget(name)

    def _fold_into(
        self, section: dict[tuple[str, str, str], Resource], event: Event, payload: Payload
    ) -> bool:
        key = (event.node, event.kind, event.subject)
        old = section.get(key)
        if payload.status == "gone":
            section.pop(key, None)
            self._kinds[event.kind] -= old is not None
            return False
        section[key] = _folded(event, payload, old)
        self._kinds[event.kind] += old is None
        return old is None and self._kinds[event.kind] == 1

    def state(self, resource: Resource) -> None:
        """Sets a resource without an event: what an origin found at its very first start."""
        section = self._sections.setdefault(resource.origin, {})
        self._kinds[resource.kind] += resource.key not in section
        section[resource.key] = resource

    def set_node(self, resource: Resource) -> None:
        """Sets the state of a node without an event: what is known from the start, or from peers."""
        self._nodes[resource.subject] = resource

    def replace(self, origin: str, stamp: str, resources: Iterable[Resource]) -> None:
        """Replaces an origin's section by one that is true at ``stamp``; later events are folded on top."""
        self._drop(origin)
        self._sections[origin] = {r.key: r for r in resources}
        self._kinds.update(r.kind for r in self._sections[origin].values())
        self._stamps[origin] = stamp
        self._uncertain.pop(origin, None)

    def doubt(self, origin: str, why: str) -> None:
        """What ``origin`` reported is out of date and it cannot be asked: shown as unknown."""
        self._uncertain[origin] = why

    def forget(self, node: str) -> None:
        """Removes a node and all that it reported."""
        self._nodes.pop(node, None)
        self._drop(node)
        self._stamps.pop(node, None)
        self._uncertain.pop(node, None)

    def _drop(self, origin: str) -> None:
        self._kinds.subtract(r.kind for r in self._sections.pop(origin, {}).values())

    # -- what it shows --------------------------------------------------------

    def section(self, origin: str) -> list[Resource]:
        """What an origin reported, as it reported it."""
        return list(self._sections.get(origin, {}).values())

    def stamp(self, origin: str) -> str:
        """The sequence up to which an origin's section is true."""
        return self._stamps.get(origin, "")

    def own(self, origin: str, kind: str, subject: str) -> Resource | None:
        """A resource of an origin's own node, as it was last reported."""
        return self._sections.get(origin, {}).get((origin, kind, subject))

    def nodes(self) -> list[Resource]:
        """All nodes, by name."""
        return [self._nodes[name] for name in sorted(self._nodes)]

    def node(self, name: str) -> Resource | None:
        """One node."""
        return self._nodes.get(name)

    def resources(self, now: datetime) -> Iterator[Resource]:
        """Every resource as it is to be shown: ``unknown`` where nobody can know, never fine.

        ``now`` is wall time with a time zone; it only decides what has expired.
        """
        yield from self.nodes()
        for origin in sorted(self._sections):
            away = self._away(origin)
            blind = self._blind(origin)
            for resource in self._sections[origin].values():
                yield self._shown(resource, away or blind.get(resource.kind, ""), now)

    def _blind(self, origin: str) -> dict[str, str]:
        """Kinds of resources that nobody observes on a node now, and why: its generator does not run."""
        return {
            str(kind): f"the generator {resource.subject.removeprefix('generator/')} is {_health(resource)}"
            for resource in self._sections[origin].values()
            if resource.kind == "agent" and _health(resource) in ("failed", "unavailable")
            for kind in resource.attributes.get("kinds", ())
        }

    def _away(self, origin: str) -> str:
        node = self._nodes.get(origin)
        if node is not None and node.attributes.get("state") in _NODE_AWAY:
            return f"{origin} is {node.attributes['state']}"
        return self._uncertain.get(origin, "")

    @staticmethod
    def _shown(resource: Resource, away: str, now: datetime) -> Resource:
        why = away or ("no news since it expired" if _expired(resource, now) else "")
        if not why or resource.status == "unknown":
            return resource
        was = f"{why}; last known: {resource.summary or resource.status}"
        return replace(resource, status="unknown", summary=was)


def _health(resource: Resource) -> str:
    """Of a generator's health: its state; empty for anything else of the kind ``agent``."""
    return str(resource.attributes.get("state", "")) if resource.subject.startswith("generator/") else ""


def _folded(event: Event, payload: Payload, old: Resource | None) -> Resource:
    status = payload.status if payload.status in _RANK else "unknown"
    same = old is not None and old.status == status and old.type == event.type
    return Resource(
        node=event.node,
        kind=event.kind,
        subject=event.subject or (event.node if event.kind == "node" else ""),
        status=status or "unknown",
        summary=payload.summary,
        attributes=payload.attributes,
        type=event.type,
        since=old.since if same and old is not None else event.time,
        updated=event.time,
        origin=event.origin,
        sequence=event.sequence,
        expirytime=event.expirytime,
    )


def _expired(resource: Resource, now: datetime) -> bool:
    if not resource.expirytime:
        return False
    try:
        return datetime.fromisoformat(resource.expirytime) <= now
    except (ValueError, TypeError):
        return False
