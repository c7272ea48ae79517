"""What the terminal shows, made from the board's resources and from events: plain values, pure functions.

The rules are those of the page: what is unknown only because its node is away is no problem of its own,
what nobody observes is unknown, and nothing that is unknown counts as fine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, NamedTuple

import msgspec

from tocsin.core.board import Resource
from tocsin.core.errors import CodecError

__all__ = [
    "EVERYTHING",
    "SUBSYSTEMS",
    "WORDS",
    "Branch",
    "Cluster",
    "Scope",
    "Subsystem",
    "Verdict",
    "changes_board",
    "read_board",
    "seconds_of",
    "span",
    "status_of",
    "tree",
    "verdict",
    "worst_of",
]

#: How bad each status is.
RANK: Final = {"failed": 3, "warning": 2, "unknown": 1, "ok": 0}
#: Status → the word beside its shape.
WORDS: Final = {"ok": "Fine", "warning": "Warning", "failed": "Failed", "unknown": "Unknown"}
_VERDICTS: Final = {"failed": "Degraded", "warning": "Warning", "unknown": "Unknown", "ok": "Fine"}
_AWAY: Final = frozenset({"down", "left", "unknown"})
_NODE_WORDS: Final = {
    "up": ("Up", "is up"),
    "suspect": ("Suspect", "does not answer"),
    "down": ("Down", "is down"),
    "left": ("Stopped", "has been stopped"),
    "unknown": ("Not heard", "has not been heard yet"),
}


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
        self._away = {
            r.subject for r in self.resources if r.kind == "node" and r.attributes.get("state") in _AWAY
        }

    def of(self, kind: str) -> list[Resource]:
        """All resources of a kind; of ``""`` those that have no part of their own."""
        return [r for r in self.resources if (r.kind == kind if kind else r.kind not in _OWN)]

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes."""
        return tuple(sorted(r.subject for r in self.of("node")))

    def is_consequence(self, resource: Resource) -> bool:
        """Whether it is unknown only because its node is away."""
        return resource.kind != "node" and status_of(resource) == "unknown" and resource.node in self._away

    def troubled(self, resources: Iterable[Resource] | None = None) -> list[Resource]:
        """The resources that need attention: worst first, then newest."""
        found = self.resources if resources is None else resources
        bad = [r for r in found if status_of(r) != "ok" and not self.is_consequence(r)]
        bad.sort(key=lambda r: (-RANK[status_of(r)], -(seconds_of(r.since) or 0.0)))
        return bad

    def within(self, scope: Scope) -> list[Resource]:
        """The resources that a scope shows: of a node's own entry, all that is on that node."""
        if scope.find:
            return [r for r in self.resources if _has(scope.find, r.subject, r.node, r.kind, r.summary)]
        if scope.node and scope.kind == "node":
            return [r for r in self.resources if r.node == scope.node]
        kind = "node" if scope.kind == "*" else scope.kind
        return [r for r in self.of(kind) if not scope.node or r.node == scope.node]

    def problems(self, scope: Scope) -> list[Resource]:
        """What needs attention in a scope; where all nodes are shown, that is everything."""
        whole = scope.kind in ("*", "node") and not scope.node and not scope.find
        return self.troubled(None if whole else self.within(scope))

    def health_of(self, kind: str) -> list[Resource]:
        """The health of the generators that observe a kind."""
        return [r for r in self.of("agent") if kind in (r.attributes.get("kinds") or ())]

    def observed(self, kind: str) -> str:
        """Why there is nothing of a kind: ``none`` (somebody looks), ``switched off``, or "" (not known)."""
        if kind in ("", "node", "agent") or self.of(kind):
            return "none"
        said = {r.attributes.get("state") for r in self.health_of(kind)}
        return "none" if said & {"running", "degraded"} else "switched off" if "disabled" in said else ""

    def blind(self, kind: str) -> list[str]:
        """The nodes on which no generator observes resources of a kind now."""
        bad = [r.node for r in self.health_of(kind) if status_of(r) in ("unknown", "failed")]
        return sorted(set(bad)) if kind else []


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


# -- statuses ----------------------------------------------------------------------------------------


def status_of(resource: Resource) -> str:
    """Its status; what is none of ours is unknown, never fine."""
    return resource.status if resource.status in RANK else "unknown"


def worst_of(resources: Iterable[Resource]) -> str:
    """The worst status; ``unknown`` is worse than ``ok``; of nothing: ``ok``."""
    return max(map(status_of, resources), key=RANK.__getitem__, default="ok")


def word_of(resource: Resource) -> str:
    """One or two words for its state, to stand beside the shape."""
    state = str(resource.attributes.get("state") or "")
    if resource.kind == "node":
        return _NODE_WORDS.get(state, (WORDS[status_of(resource)], ""))[0]
    return WORDS[status_of(resource)]


def says_of(resource: Resource) -> str:
    """What is the matter with it, in a sentence."""
    if resource.kind == "node":
        words = _NODE_WORDS.get(str(resource.attributes.get("state")), ("", ""))[1]
        return f"{resource.subject} {words}".strip()
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
    bad = cluster.troubled()
    dark = [s.title for s in SUBSYSTEMS if not cluster.observed(s.kind)]
    status = worst_of(bad) if bad else "unknown" if dark or not cluster.resources else "ok"
    return Verdict(status, _VERDICTS[status], _sentence(cluster, bad, dark, now))


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
        up = sum(r.attributes.get("state") == "up" for r in cluster.of("node"))
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
    bad = cluster.troubled()
    status = verdict(cluster, 0.0).status
    head = Branch(
        EVERYTHING, "Overview", status, str(sum(status_of(r) == status for r in bad)) if bad else ""
    )
    parts = [_branch(cluster, s) for s in SUBSYSTEMS if s.kind or cluster.of("")]
    return (head, *parts)


def _branch(cluster: Cluster, subsystem: Subsystem) -> Branch:
    kind = subsystem.kind
    found = cluster.of(kind)
    status = worst_of(found)
    blind = cluster.blind(kind)
    count = str(len(found) if status == "ok" else Counter(map(status_of, found))[status])
    if status == "ok" and (cluster.observed(kind) != "none" or blind or (kind == "node" and not found)):
        status, count = "unknown", str(len(blind)) if found and blind else "–"
    leaves = tuple(_leaf(cluster, kind, node, blind) for node in cluster.nodes)
    return Branch(Scope(kind), subsystem.title, status, count, leaves)


def _leaf(cluster: Cluster, kind: str, node: str, blind: Sequence[str]) -> Branch:
    scope = Scope(kind, node)
    own = cluster.within(scope)
    if kind == "node":
        status = worst_of(r for r in own if not cluster.is_consequence(r))
        return Branch(scope, node, status, "")
    status = worst_of(own)
    unknown = status == "ok" and (node in blind or (not own and cluster.observed(kind) != "none"))
    return Branch(scope, node, "unknown" if unknown else status, str(len(own)))


# -- times -------------------------------------------------------------------------------------------


def seconds_of(iso: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None for what cannot be read."""
    try:
        at = datetime.fromisoformat(iso)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def span(seconds: float) -> str:
    """How long: ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    whole = max(0, int(seconds))
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if whole < limit:
            return f"{whole // unit} {name}"
    return f"{whole // 86_400} d"


def span_since(iso: str, now: float) -> str:
    """How long ago a time is; empty where it cannot be read."""
    at = seconds_of(iso)
    return "" if at is None else span(now - at)


def _has(text: str, *where: str) -> bool:
    wanted = text.casefold()
    return any(wanted in each.casefold() for each in where)
