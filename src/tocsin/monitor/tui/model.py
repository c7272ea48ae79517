"""What the terminal shows, made from the board's resources and from events: plain values, pure functions.

The rules are those of the page: :mod:`tocsin.core.verdict`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import msgspec

from tocsin.core.board import Resource
from tocsin.core.errors import CodecError
from tocsin.core.verdict import (
    VERDICTS,
    WORDS,
    know,
    node_words,
    span,
    status_of,
    wall_seconds,
    worst_of,
)

__all__ = [
    "EVERYTHING",
    "SUBSYSTEMS",
    "Branch",
    "Cluster",
    "Scope",
    "Subsystem",
    "Verdict",
    "changes_board",
    "read_board",
    "says_of",
    "span_since",
    "tree",
    "verdict",
    "word_of",
]


class Subsystem(NamedTuple):
    """One part of the cluster; ``kind`` is that of its resources, "" of all without a part of their own."""

    kind: str
    title: str


SUBSYSTEMS: Final = (
    Subsystem("node", "Nodes"),
    Subsystem("service", "Services"),
    Subsystem("adapter", "Adapters"),
    Subsystem("storage", "Storage"),
    Subsystem("agent", "Agents"),
    Subsystem("", "Other"),
)
_OWN: Final = frozenset(subsystem.kind for subsystem in SUBSYSTEMS if subsystem.kind)


class Scope(NamedTuple):
    """What the content is about: a kind ("*": all), perhaps of one node only, perhaps what a text finds."""

    kind: str = "*"
    node: str = ""
    find: str = ""


EVERYTHING: Final = Scope()


class _Board(msgspec.Struct):
    """What ``GET /api/v1/board`` answers."""

    cluster: str
    node: str
    resources: list[Resource]
    cursor: str | None = None
    degraded: list[str] = []


class Cluster:
    """The state of the cluster as one node told it."""

    def __init__(
        self, name: str, node: str, resources: Iterable[Resource], degraded: Iterable[str] = ()
    ) -> None:
        self.name, self.node, self.degraded = name, node, tuple(degraded)
        self.resources = sorted(resources, key=lambda r: (r.node, r.kind, r.subject))
        #: What follows from them.
        self.known = know(self.resources, _OWN)

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes."""
        return tuple(sorted(r.subject for r in self.known.of("node")))

    def within(self, scope: Scope) -> list[Resource]:
        """The resources that a scope shows: of a node's own entry, all that is on that node."""
        if scope.find:
            return [r for r in self.resources if _has(scope.find, r.subject, r.node, r.kind, r.summary)]
        if scope.node and scope.kind == "node":
            return [r for r in self.resources if r.node == scope.node]
        kind = "node" if scope.kind == "*" else scope.kind
        return [r for r in self.known.of(kind) if not scope.node or r.node == scope.node]

    def problems(self, scope: Scope) -> list[Resource]:
        """What needs attention in a scope; where all nodes are shown, that is everything."""
        whole = scope.kind in ("*", "node") and not scope.node and not scope.find
        return self.known.troubled(None if whole else self.within(scope))


def read_board(body: bytes) -> Cluster:
    """The answer of ``GET /api/v1/board``. Raises :exc:`CodecError` for anything else."""
    try:
        board = msgspec.json.decode(body, type=_Board)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"not the board of a node: {error}") from None
    return Cluster(board.cluster, board.node, board.resources, board.degraded)


def changes_board(event: dict[str, Any]) -> bool:
    """Whether the board may look different after an event: one without a status leaves it as it is."""
    data = event.get("data")
    has_status = isinstance(data, dict) and data.get("status") is not None
    return has_status or str(event.get("type", "")).startswith("node.")


# -- words -------------------------------------------------------------------------------------------


def word_of(resource: Resource) -> str:
    """One or two words for its state, to stand beside the shape."""
    return node_words(resource)[0] if resource.kind == "node" else WORDS[status_of(resource)]


def says_of(resource: Resource) -> str:
    """What is the matter with it, in a sentence."""
    if resource.kind == "node":
        return f"{resource.subject} {node_words(resource)[1]}".strip()
    if resource.kind == "agent" and resource.subject.startswith("generator/"):
        name = resource.subject.removeprefix("generator/")
        state = resource.attributes.get("state") or WORDS[status_of(resource)].lower()
        reason = resource.attributes.get("reason")
        return f"Generator {name} is {state}" + (f": {reason}" if reason else "")
    return resource.summary or f"{resource.kind} {resource.subject} is {WORDS[status_of(resource)].lower()}"


# -- banner ------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """The cluster in a line."""

    status: str
    word: str
    sentence: str


def verdict(cluster: Cluster, now: float) -> Verdict:
    """The worst of all that is known, and the first of it in words. ``now``: seconds since 1970."""
    known = cluster.known
    status = known.status(s.kind for s in SUBSYSTEMS)
    dark = [s.title for s in SUBSYSTEMS if not known.observed(s.kind)]
    return Verdict(status, VERDICTS[status], _sentence(cluster, known.troubled(), dark, now))


def _sentence(cluster: Cluster, bad: Sequence[Resource], dark: Sequence[str], now: float) -> str:
    parts = []
    if bad:
        first = bad[0]
        where = "" if first.kind == "node" or first.node in says_of(first) else f" on {first.node}"
        since = span_since(first.since, now)
        parts.append(f"{says_of(first).rstrip('.')}{where}" + (f" for {since}" if since else ""))
        if len(bad) > 1:
            parts.append(f"{len(bad) - 1} more")
    else:
        up = sum(r.attributes.get("state") == "up" for r in cluster.known.of("node"))
        parts.append(f"{up} of {len(cluster.nodes)} nodes up")
        if dark:
            parts.append(f"not observed: {', '.join(dark).lower()}")
    if cluster.degraded:
        parts.append(f"events of {', '.join(cluster.degraded)} may be incomplete")
    return "; ".join(parts)


# -- tree --------------------------------------------------------------------------------------------


class Branch(NamedTuple):
    """One entry of the tree: what it shows, how that is, and how many are in that status ("2", "41")."""

    scope: Scope
    title: str
    status: str
    number: str
    leaves: tuple[Branch, ...] = ()


def tree(cluster: Cluster) -> tuple[Branch, ...]:
    """The navigation. Places are stable: by name, whatever the state."""
    bad = cluster.known.troubled()
    status = verdict(cluster, 0.0).status
    head = Branch(
        EVERYTHING, "Overview", status, str(sum(status_of(r) == status for r in bad)) if bad else ""
    )
    parts = [_branch(cluster, s) for s in SUBSYSTEMS if s.kind or cluster.known.of("")]
    return (head, *parts)


def _branch(cluster: Cluster, subsystem: Subsystem) -> Branch:
    kind = subsystem.kind
    known = cluster.known
    found = known.of(kind)
    status = worst_of(found)
    blind = known.unobserved(kind)
    count = str(len(found) if status == "ok" else Counter(map(status_of, found))[status])
    if status == "ok" and (known.observed(kind) != "none" or blind or (kind == "node" and not found)):
        status, count = "unknown", str(len(blind)) if found and blind else "–"
    leaves = tuple(_leaf(cluster, kind, node, blind) for node in cluster.nodes)
    return Branch(Scope(kind), subsystem.title, status, count, leaves)


def _leaf(cluster: Cluster, kind: str, node: str, blind: Sequence[str]) -> Branch:
    scope = Scope(kind, node)
    own = cluster.within(scope)
    if kind == "node":
        status = worst_of(r for r in own if not cluster.known.is_consequence(r))
        return Branch(scope, node, status, "")
    status = worst_of(own)
    unknown = status == "ok" and (node in blind or (not own and cluster.known.observed(kind) != "none"))
    return Branch(scope, node, "unknown" if unknown else status, str(len(own)))


# -- times -------------------------------------------------------------------------------------------


def span_since(iso: str, now: float) -> str:
    """How long ago a time is; empty where it cannot be read."""
    at = wall_seconds(iso)
    return "" if at is None else span(now - at)


def _has(text: str, *where: str) -> bool:
    wanted = text.casefold()
    return any(wanted in each.casefold() for each in where)
