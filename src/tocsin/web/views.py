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
from tocsin.web.wording import (
    LABELS,
    WORDS,
    clock,
    headline,
    link_of,
    node_path,
    slug,
    span,
    state_of,
    text_of,
    wall_seconds,
)

if TYPE_CHECKING:
    from tocsin.web.node import Node

__all__ = [
    "RANK",
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
    "is_consequence",
    "mark",
    "path_of",
    "problems",
    "quoted",
    "status_of",
    "take",
    "troubled",
    "worst_of",
]

#: How bad each status is.
RANK: Final = {"failed": 3, "warning": 2, "unknown": 1, "ok": 0}
_AWAY: Final = {"down", "left", "unknown"}
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
    urls: dict[str, str]
    #: Nodes that are not there: what they reported last is not known to be true.
    absent: frozenset[str]
    #: (node, kind) of which nobody observes the resources now: the generator does not run.
    blind: frozenset[tuple[str, str]]

    @property
    def today(self) -> str:
        """The date in UTC."""
        return self.wall[:10]

    def of(self, kind: str) -> list[Resource]:
        """All resources of a kind; of ``""`` those that have no page of their own."""
        if kind:
            return [r for r in self.resources if r.kind == kind]
        return [r for r in self.resources if r.kind not in _OWN_PAGE]

    def nodes(self) -> list[Resource]:
        """All nodes, by name."""
        return sorted(self.of("node"), key=lambda r: r.subject)

    def away(self, node: str) -> bool:
        """Whether a node is not there."""
        return node in self.absent

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
        urls=node.urls(),
        absent=frozenset(
            r.subject for r in resources if r.kind == "node" and r.attributes.get("state") in _AWAY
        ),
        blind=frozenset(
            (r.node, str(kind))
            for r in resources
            if r.kind == "agent" and status_of(r) in ("unknown", "failed")
            for kind in _kinds(r)
        ),
    )


def _kinds(agent: Resource) -> list[object]:
    """The kinds of resources that a generator observes."""
    kinds = agent.attributes.get("kinds")
    return list(kinds) if isinstance(kinds, list | tuple) else []


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


def status_of(resource: Resource) -> str:
    """Its status as pages know it: what is none of ours is unknown, never fine."""
    return resource.status if resource.status in RANK else "unknown"


def mark(resource: Resource) -> Mark:
    """The state of a resource."""
    return Mark(status_of(resource), state_of(resource))


def worst_of(resources: Iterable[Resource]) -> str:
    """The worst status; ``unknown`` is worse than ``ok``."""
    return max((status_of(r) for r in resources), key=RANK.__getitem__, default="ok")


def path_of(resource: Resource) -> str:
    """The page that shows a resource."""
    if resource.kind == "node":
        return node_path(resource.subject)
    return next((s.path for s in SUBSYSTEMS if s.kind == resource.kind), "/other")


def quoted(text: str) -> str:
    """A part of an interest, so that it means just this text: only blank and comma need it."""
    return text.replace(" ", "%20").replace(",", "%2C")


def is_consequence(snapshot: Snapshot, resource: Resource) -> bool:
    """What is unknown only because its node or its generator is not there is no problem of its own."""
    if resource.kind == "node" or resource.status != "unknown":
        return False
    return resource.node in snapshot.absent or (
        resource.kind != "agent" and (resource.node, resource.kind) in snapshot.blind
    )


def troubled(snapshot: Snapshot, resources: Iterable[Resource] | None = None) -> list[Resource]:
    """The resources that need attention: worst first, then newest."""
    found = snapshot.resources if resources is None else resources
    bad = [r for r in found if status_of(r) != "ok" and not is_consequence(snapshot, r)]
    bad.sort(key=lambda r: (r.node, r.kind, r.subject))
    bad.sort(key=lambda r: wall_seconds(r.since) or 0.0, reverse=True)
    bad.sort(key=lambda r: RANK[status_of(r)], reverse=True)
    return bad


def problems(snapshot: Snapshot, resources: Iterable[Resource] | None = None) -> list[Problem]:
    """*Needs attention*: of all resources, or of some."""
    return [_problem(snapshot, r) for r in troubled(snapshot, resources)]


def _problem(snapshot: Snapshot, resource: Resource) -> Problem:
    title, detail = headline(resource)
    if resource.kind == "node" and snapshot.away(resource.subject):
        hidden = sum(is_consequence(snapshot, r) for r in snapshot.resources if r.node == resource.subject)
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
