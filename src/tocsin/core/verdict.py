"""How a cluster is, as people are told: pure rules over resources, the same for the page and the terminal.

What is unknown only because its node or its generator is away is no problem of its own; what nobody observes
is unknown; and nothing that is unknown counts as fine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from tocsin.core.board import Resource

__all__ = [
    "RANK",
    "VERDICTS",
    "WORDS",
    "Known",
    "know",
    "node_words",
    "span",
    "status_of",
    "wall_seconds",
    "worst_of",
]

#: How bad each status is.
RANK: Final = {"failed": 3, "warning": 2, "unknown": 1, "ok": 0}
#: Status → the word beside its sign, and what is said of a whole cluster.
WORDS: Final = {"ok": "Fine", "warning": "Warning", "failed": "Failed", "unknown": "Unknown"}
VERDICTS: Final = {"failed": "Degraded", "warning": "Warning", "unknown": "Unknown", "ok": "Fine"}
#: States of a node that is not there: what it reported last is not known to be true.
_AWAY: Final = frozenset({"down", "left", "unknown"})
#: Kinds that need no generator.
_ALWAYS: Final = frozenset({"", "node", "agent", "rail"})
_NODE_STATES: Final = {
    "up": ("Up", "is up"),
    "suspect": ("Suspect", "does not answer"),
    "down": ("Down", "is down"),
    "left": ("Stopped", "has been stopped"),
    "unknown": ("Not heard", "has not been heard yet"),
}
_INDIRECT: Final = ("Suspect", "has no direct path to some node; others hear it")


class Known(Struct, frozen=True):
    """What is known of a cluster. ``own``: the kinds that are shown apart; the others are one, ``""``."""

    resources: tuple[Resource, ...]
    own: frozenset[str]
    #: Nodes that are not there.
    absent: frozenset[str]
    #: (node, kind) of which nobody observes the resources now: the generator does not run.
    blind: frozenset[tuple[str, str]]

    def of(self, kind: str) -> list[Resource]:
        """All resources of a kind; of ``""`` those that are not shown apart."""
        return [r for r in self.resources if (r.kind == kind if kind else r.kind not in self.own)]

    def is_consequence(self, resource: Resource) -> bool:
        """Whether it is unknown only because its node or its generator is not there."""
        if resource.kind == "node" or status_of(resource) != "unknown":
            return False
        return resource.node in self.absent or (
            resource.kind != "agent" and (resource.node, resource.kind) in self.blind
        )

    def troubled(self, resources: Iterable[Resource] | None = None) -> list[Resource]:
        """The resources that need attention, of all or of some: worst first, then newest, then by name."""
        found = self.resources if resources is None else resources
        bad = [r for r in found if status_of(r) != "ok" and not self.is_consequence(r)]
        bad.sort(key=lambda r: (r.node, r.kind, r.subject))
        bad.sort(key=lambda r: (RANK[status_of(r)], wall_seconds(r.since) or 0.0), reverse=True)
        return bad

    def observed(self, kind: str) -> str:
        """Why there is nothing of a kind: ``none`` (somebody looks), ``switched off``, or "" (not known)."""
        if kind in _ALWAYS or self.of(kind):
            return "none"
        said = {r.attributes.get("state") for r in self.of("agent") if kind in _kinds(r)}
        return "none" if said & {"running", "degraded"} else "switched off" if "disabled" in said else ""

    def unobserved(self, kind: str) -> list[str]:
        """The nodes on which no generator observes resources of a kind now."""
        return sorted(node for node, what in self.blind if what == kind)

    def status(self, kinds: Iterable[str]) -> str:
        """The worst of all that needs attention; with nothing, or a kind that nobody observes: not fine."""
        bad = self.troubled()
        if bad:
            return worst_of(bad)
        dark = not all(self.observed(kind) for kind in kinds)
        return "unknown" if dark or not self.resources else "ok"


def know(resources: Iterable[Resource], own: Iterable[str]) -> Known:
    """What these resources say; ``own``: the kinds that are shown apart."""
    found = tuple(resources)
    away = (r.subject for r in found if r.kind == "node" and r.attributes.get("state") in _AWAY)
    ill = (r for r in found if r.kind == "agent" and status_of(r) in ("unknown", "failed"))
    blind = ((r.node, kind) for r in ill for kind in _kinds(r))
    return Known(found, frozenset(own), frozenset(away), frozenset(blind))


def _kinds(agent: Resource) -> Sequence[str]:
    """The kinds of resources that a generator observes."""
    kinds = agent.attributes.get("kinds")
    return [str(kind) for kind in kinds] if isinstance(kinds, list | tuple) else []


def status_of(resource: Resource) -> str:
    """Its status as people are told it: what is none of ours is unknown, never fine."""
    return resource.status if resource.status in RANK else "unknown"


def worst_of(resources: Iterable[Resource]) -> str:
    """The worst status; ``unknown`` is worse than ``ok``; of nothing: ``ok``."""
    return max(map(status_of, resources), key=RANK.__getitem__, default="ok")


def node_words(node: Resource) -> tuple[str, str]:
    """The state of a node in a word, and in a sentence without its subject; the latter may be empty."""
    state = str(node.attributes.get("state"))
    if state == "suspect" and node.attributes.get("path") == "indirect":
        return _INDIRECT
    return _NODE_STATES.get(state, (WORDS[status_of(node)], ""))


def wall_seconds(iso: str) -> float | None:
    """Seconds since 1970 of an RFC 3339 time, without a zone in UTC; None for what cannot be read."""
    try:
        at = datetime.fromisoformat(iso)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError):
        return None


def span(seconds: float) -> str:
    """How long: ``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    whole = max(0, int(seconds))
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if whole < limit:
            return f"{whole // unit} {name}"
    return f"{whole // 86_400} d"
