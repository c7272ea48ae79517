"""The banner and the tree: the cluster at a glance. Pure functions of a snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from markupsafe import Markup
from msgspec import Struct

from tocsin.core.board import Resource
from tocsin.core.verdict import VERDICTS, WORDS, status_of, worst_of
from tocsin.web import charts
from tocsin.web.views import (
    SUBSYSTEMS,
    Age,
    Mark,
    Snapshot,
    Subsystem,
    age,
    interests_of,
)
from tocsin.web.wording import headline, node_path, slug, state_of, text_of

__all__ = ["Banner", "Branch", "Leaf", "Tile", "Tree", "banner", "tree"]

#: Subsystems that are shown only where there is anything of them: a node alone has no rails.
_SELDOM: Final = frozenset({"/rails", "/other"})


class Tile(Struct, frozen=True):
    """One subsystem in the banner: ``n`` of ``of``, the worst status and how many are in it."""

    id: str
    title: str
    href: str
    n: str
    of: str
    status: str
    bad: int
    bar: Markup


class Banner(Struct, frozen=True):
    """The cluster in a line."""

    cluster: str
    state: str
    verdict: str
    title: str
    #: The worst things, and since when.
    says: tuple[tuple[str, Age], ...]
    more: int
    notes: tuple[str, ...]
    tiles: tuple[Tile, ...]
    on: str


def banner(snapshot: Snapshot) -> Banner:
    """The verdict is the worst of all that is known."""
    bad = snapshot.known.troubled()
    state = snapshot.known.status(s.kind for s in SUBSYSTEMS)
    verdict = VERDICTS[state]
    count = sum(status_of(r) == state for r in bad)
    return Banner(
        cluster=snapshot.cluster,
        state=state,
        verdict=verdict,
        title=f"{f'({count}) ' if count else ''}{snapshot.cluster} – {verdict.lower()}",
        says=tuple((text_of(headline(r)[0], 120), age(snapshot, r.since)) for r in bad[:2]),
        more=max(0, len(bad) - 2),
        notes=_notes(snapshot),
        tiles=tuple(_tile(snapshot, s) for s in SUBSYSTEMS if s.path not in _SELDOM or snapshot.of(s.kind)),
        on=interests_of(snapshot),
    )


def _notes(snapshot: Snapshot) -> tuple[str, ...]:
    notes = []
    if snapshot.readiness:
        notes.append(f"Not ready: {snapshot.readiness}.")
    if snapshot.degraded:
        names = ", ".join(snapshot.degraded)
        notes.append(f"Events of {names} may be incomplete here.")
    return tuple(notes)


def counted(resources: Sequence[Resource]) -> Counter[str]:
    """How many resources have each status."""
    return Counter(map(status_of, resources))


def _tile(snapshot: Snapshot, subsystem: Subsystem) -> Tile:
    found = snapshot.of(subsystem.kind)
    counts = counted(found)
    status = worst_of(found)
    blind = snapshot.known.unobserved(subsystem.kind)
    good = sum(r.attributes.get("state") == "up" for r in found) if subsystem.kind == "node" else counts["ok"]
    n, of = str(good), f"of {len(found)} {subsystem.good}"
    if not found:
        said = snapshot.known.observed(subsystem.kind)
        n, of = "–", said or "not observed"
        status = "ok" if said == "none" else "unknown"
    elif blind and status == "ok":
        status = "unknown"
        of += f", {len(blind)} not observed"
    return Tile(
        id=slug("t", subsystem.path[1:]),
        title=subsystem.title,
        href=subsystem.path,
        n=n,
        of=of,
        status=status,
        bad=0 if status == "ok" else counts[status],
        bar=charts.share(counts),
    )


# -- tree --------------------------------------------------------------------------------------------


class Leaf(Struct, frozen=True):
    """One link of the tree; ``mark`` says how it is, ``count`` how many."""

    id: str
    text: str
    href: str
    mark: Mark
    count: str
    current: bool


class Branch(Struct, frozen=True):
    """One subsystem of the tree."""

    id: str
    title: str
    icon: str
    status: str
    #: How many are in that status; of all if all is well.
    count: str
    leaves: tuple[Leaf, ...]
    open: bool


class Tree(Struct, frozen=True):
    """The navigation. Places are stable: by name, whatever the state."""

    branches: tuple[Branch, ...]
    at: str
    query: str
    on: str


def tree(snapshot: Snapshot, path: str, at: str, query: str = "") -> Tree:
    """The navigation as seen from a page: ``path`` without, ``at`` with its query."""
    branches = [
        _branch(snapshot, subsystem, path, at)
        for subsystem in SUBSYSTEMS
        if subsystem.path not in _SELDOM or snapshot.of(subsystem.kind)
    ]
    return Tree(tuple(branches), path, query, interests_of(snapshot))


def _branch(snapshot: Snapshot, subsystem: Subsystem, path: str, at: str) -> Branch:
    found = snapshot.of(subsystem.kind)
    status = worst_of(found)
    count = str(len(found) if status == "ok" else counted(found)[status])
    if not snapshot.known.observed(subsystem.kind):
        status, count = "unknown", ""
    name = slug("n", subsystem.path[1:])
    plain = path == subsystem.path and "node=" not in at
    leaves = [
        Leaf(
            f"{name}__all",
            f"All {subsystem.title.lower()}",
            subsystem.path,
            Mark("", ""),
            str(len(found)),
            plain,
        )
    ]
    leaves += [_leaf(snapshot, subsystem, node, at) for node in snapshot.nodes()]
    return Branch(
        id=name,
        title=subsystem.title,
        icon=subsystem.icon,
        status=status,
        count=count,
        leaves=tuple(leaves),
        open=path.startswith(subsystem.path) or subsystem.kind == "node",
    )


def _leaf(snapshot: Snapshot, subsystem: Subsystem, node: Resource, at: str) -> Leaf:
    name = node.subject
    if subsystem.kind == "node":
        own = [r for r in snapshot.resources if r.node == name and not snapshot.known.is_consequence(r)]
        status, word, href = worst_of([node, *own]), state_of(node), node_path(name)
        here = at.partition("?")[0] == href
        if status != node.status:  # a sign that says more than "Up" needs a word that does
            word = f"{word}, {WORDS[status].lower()}"
    else:
        own = [r for r in snapshot.of(subsystem.kind) if r.node == name]
        status = worst_of(own) if own or not snapshot.away(name) else "unknown"
        word, href = WORDS[status], f"{subsystem.path}?node={quote(name, safe='')}"
        here = at == href or at.startswith(f"{href}&")  # node1 is not node10
    return Leaf(slug("n", subsystem.path[1:], name), name, href, Mark(status, word), "", here)
