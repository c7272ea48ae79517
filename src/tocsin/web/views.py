"""What pages show, built once from the node: plain values, no markup (but charts), no I/O. Pure functions.

A :class:`Snapshot` is taken once an answer; everything else is made from it: banner and tree in
:mod:`tocsin.web.outline`, the content in :mod:`tocsin.web.content`, its tables in :mod:`tocsin.web.panels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from msgspec import Struct

from tocsin.core.board import Resource
from tocsin.core.measures import Measures
from tocsin.core.recent import Recent, Recorded
from tocsin.core.verdict import WORDS, Known, know, span, status_of, wall_seconds
from tocsin.web.wording import (
    LABELS,
    clock,
    headline,
    link_of,
    node_path,
    slug,
    state_of,
    text_of,
)

if TYPE_CHECKING:
    from tocsin.web.node import Node

__all__ = [
    "SUBSYSTEMS",
    "Age",
    "EventRow",
    "Fact",
    "Mark",
    "Problem",
    "Snapshot",
    "Subsystem",
    "age",
    "event_rows",
    "facts",
    "interests_of",
    "mark",
    "path_of",
    "problems",
    "quoted",
    "take",
]

#: Kinds that the catalogue names: the banner and the tree are interested in them from the start.
_CATALOGUE: Final = tuple(LABELS)
_ICON_OF_SEVERITY: Final = {"warning": "warning", "error": "failed", "critical": "failed"}


class Subsystem(Struct, frozen=True):
    """One part of the cluster that has a page of its own."""

    path: str
    title: str
    kind: str
    #: The id of its icon.
    icon: str
    #: ``4 of 5 up``: the word behind the count, and what one of them is called.
    good: str
    one: str


SUBSYSTEMS: Final = (
    Subsystem("/nodes", "Nodes", "node", "k-node", "up", "node"),
    Subsystem("/services", "Services", "service", "k-service", "fine", "service"),
    Subsystem("/adapters", "Adapters", "adapter", "k-adapter", "fine", "adapter"),
    Subsystem("/storage", "Storage", "storage", "k-storage", "fine", "volume"),
    Subsystem("/rails", "Rails", "rail", "k-rail", "up", "rail"),
    Subsystem("/agents", "Agents", "agent", "k-agent", "running", "agent and generator"),
    Subsystem("/other", "Other", "", "k-other", "fine", "resource"),
)
_OWN_PAGE: Final = frozenset(s.kind for s in SUBSYSTEMS if s.kind)


class Snapshot(Struct, frozen=True):
    """All that a page may show, at one instant."""

    cluster: str
    name: str
    #: RFC 3339 and seconds since 1970.
    wall: str
    now: float
    resources: tuple[Resource, ...]
    recent: Recent
    measures: Measures
    degraded: tuple[str, ...]
    readiness: str
    #: What follows from the resources.
    known: Known

    @property
    def today(self) -> str:
        """The date in UTC."""
        return self.wall[:10]

    def of(self, kind: str) -> list[Resource]:
        """All resources of a kind; of ``""`` those that have no page of their own."""
        return self.known.of(kind)

    def nodes(self) -> list[Resource]:
        """All nodes, by name."""
        return sorted(self.of("node"), key=lambda r: r.subject)

    def away(self, node: str) -> bool:
        """Whether a node is not there."""
        return node in self.known.absent

    def kinds(self) -> list[str]:
        """The kinds of the catalogue, and those that publishers brought."""
        others = {r.kind for r in self.resources} - set(_CATALOGUE)
        return [*_CATALOGUE, *sorted(others)]


def take(node: Node) -> Snapshot:
    """A snapshot of a node. The cursor must have been read before."""
    wall = node.wall()
    now = datetime.fromisoformat(wall)
    resources = tuple(node.board.resources(now))
    return Snapshot(
        cluster=node.cluster,
        name=node.name,
        wall=wall,
        now=now.timestamp(),
        resources=resources,
        recent=node.recent,
        measures=node.measures,
        degraded=node.degraded(),
        readiness=node.readiness(),
        known=know(resources, _OWN_PAGE),
    )


class Age(Struct, frozen=True):
    """A time, and how long ago that was when the answer was made."""

    iso: str
    clock: str
    seconds: float
    text: str


class Mark(Struct, frozen=True):
    """A status as it is always shown: icon, colour and word."""

    status: str
    word: str


class Fact(Struct, frozen=True):
    """One attribute; ``link`` is its address where it is one."""

    name: str
    text: str
    link: str = ""


class Problem(Struct, frozen=True):
    """One line of *Needs attention*."""

    id: str
    mark: Mark
    title: str
    detail: str
    since: Age
    node: str
    kind: str
    subject: str
    type: str
    facts: tuple[Fact, ...]
    href: str
    events: str


def age(snapshot: Snapshot, iso: str) -> Age:
    """The age of something; a time that lies ahead is now: clocks of nodes differ a little."""
    at = wall_seconds(iso)
    seconds = max(0.0, snapshot.now - at) if at is not None else 0.0
    return Age(iso if at is not None else "", clock(iso, snapshot.today), round(seconds, 1), span(seconds))


def mark(resource: Resource) -> Mark:
    """The state of a resource."""
    return Mark(status_of(resource), state_of(resource))


def path_of(resource: Resource) -> str:
    """The page that shows a resource."""
    if resource.kind == "node":
        return node_path(resource.subject)
    return next((s.path for s in SUBSYSTEMS if s.kind == resource.kind), "/other")


def quoted(text: str) -> str:
    """A part of an interest, so that it means just this text: only blank and comma need it."""
    return text.replace(" ", "%20").replace(",", "%2C")


def problems(snapshot: Snapshot, resources: Iterable[Resource] | None = None) -> list[Problem]:
    """*Needs attention*: of all resources, or of some."""
    return [_problem(snapshot, r) for r in snapshot.known.troubled(resources)]


def _problem(snapshot: Snapshot, resource: Resource) -> Problem:
    title, detail = headline(resource)
    if resource.kind == "node" and snapshot.away(resource.subject):
        hidden = sum(
            snapshot.known.is_consequence(r) for r in snapshot.resources if r.node == resource.subject
        )
        if hidden:
            detail = f"{detail}; " if detail else ""
            detail += f"{hidden} of its resources are unknown"
    interest = f"{resource.kind}.*@{quoted(resource.node)}:{quoted(resource.subject)}"
    return Problem(
        id=slug("p", resource.node, resource.kind, resource.subject),
        mark=Mark(status_of(resource), WORDS[status_of(resource)]),
        title=text_of(title),
        detail=text_of(detail),
        since=age(snapshot, resource.since),
        node=resource.node,
        kind=resource.kind,
        subject=resource.subject,
        type=resource.type,
        facts=facts(resource.attributes),
        href=path_of(resource),
        events=f"/events?on={quote(interest, safe='*')}",
    )


def facts(attributes: dict[str, Any]) -> tuple[Fact, ...]:
    """Attributes as a page shows them, at most forty."""
    shown = []
    for name, value in list(attributes.items())[:40]:
        text = text_of(value, 2000)
        if text:
            shown.append(Fact(text_of(name, 80), text, link_of(text)))
    return tuple(shown)


def interests_of(snapshot: Snapshot) -> str:
    """The interests of what shows all kinds: those of the catalogue, and those on the board."""
    return " ".join(f"{kind}.*" for kind in snapshot.kinds())


# -- events ------------------------------------------------------------------------------------------


class EventRow(Struct, frozen=True):
    """One arrival."""

    id: str
    number: int
    icon: str
    severity: str
    type: str
    node: str
    subject: str
    summary: str
    happened: Age
    recorded: str
    origin: str
    sequence: str
    facts: tuple[Fact, ...]


def event_rows(snapshot: Snapshot, items: Iterable[Recorded]) -> list[EventRow]:
    """Arrivals as a page shows them."""
    return [_event_row(snapshot, item) for item in items]


def _event_row(snapshot: Snapshot, item: Recorded) -> EventRow:
    event, payload = item.event, item.event.payload()
    status = payload.status or ""
    return EventRow(
        id=slug("e", event.origin, event.sequence),
        number=item.number,
        icon=_ICON_OF_SEVERITY.get(event.severity, "unknown" if status == "unknown" else "info"),
        severity=event.severity,
        type=event.type,
        node=event.node,
        subject=text_of(event.subject, 200),
        summary=text_of(payload.summary) or text_of(f"{event.type} {event.subject}".strip()),
        happened=age(snapshot, event.time),
        recorded=clock(item.recordedtime, snapshot.today),
        origin=event.origin,
        sequence=event.sequence,
        facts=facts({**({"status": status} if status else {}), **payload.attributes}),
    )
