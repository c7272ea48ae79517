"""The tables of the content: lines with a key made from what they show, and the width of columns. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from rich.cells import cell_len

from tocsin.core.board import Resource
from tocsin.core.follow import Gap, key_of
from tocsin.core.verdict import WORDS, status_of
from tocsin.logs import printable
from tocsin.monitor.tui.model import Cluster, Scope, says_of, word_of

__all__ = ["Column", "Line", "Sheet", "Told", "events", "facts", "problems", "resources", "told", "widths"]

_GAP: Final = 2  # places between columns
_SHORTEST: Final = 8  # of the column that takes what is left
_NARROWEST: Final = 6  # that others become for its sake
_SEVERITIES: Final = {"warning": "warning", "error": "failed", "critical": "failed"}
_MOST_FACTS: Final = 60


class Column(NamedTuple):
    """One column. ``form``: ``mark`` (shape and word), ``text``, ``age`` or ``rest`` (what room is left)."""

    title: str
    form: str = "text"
    most: int = 24
    #: The least width of the table at which it is shown.
    least: int = 0


class Line(NamedTuple):
    """One line; ``since`` is the RFC 3339 time that an age column counts from."""

    key: str
    status: str
    cells: tuple[str, ...]
    since: str
    thing: Resource | Told


class Sheet(NamedTuple):
    """One table, and what to say where it has no line."""

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    empty: str


class Told(NamedTuple):
    """An event, or a gap in their place, as it is kept for the table of events."""

    key: str
    status: str
    time: str
    type: str
    node: str
    subject: str
    severity: str
    says: str
    event: dict[str, Any]

    def concerns(self, scope: Scope) -> bool:
        """Whether a scope shows it; a gap may concern everything."""
        if not self.event:
            return True
        kind = self.type.partition(".")[0]
        if scope.find:
            wanted = scope.find.casefold()
            return any(wanted in text.casefold() for text in (self.type, self.node, self.subject, self.says))
        if scope.node and scope.node != self.node:
            return False
        if scope.kind == "*" or (scope.kind == "node" and scope.node):
            return True
        known = ("node", "service", "adapter", "storage", "agent")
        return kind == scope.kind if scope.kind else kind not in known


def told(item: dict[str, Any] | Gap, place: int, wall: str) -> Told:
    """An event or a gap to keep; ``place`` tells gaps apart, ``wall`` is when it was read (RFC 3339)."""
    if isinstance(item, Gap):
        lost = ", ".join(f"{origin} {first} to {last}" for origin, (first, last) in sorted(item.lost.items()))
        says = f"events may have been missed ({item.reason}{f': {lost}' if lost else ''})"
        return Told(f"gap/{place}", "unknown", wall, "gap", "", "", "gap", printable(says), {})
    data = item.get("data")
    payload = data if isinstance(data, dict) else {}
    severity = str(item.get("severity", "info"))
    status = _SEVERITIES.get(severity, "unknown" if payload.get("status") == "unknown" else "info")
    subject = str(item.get("subject", ""))
    says = str(payload.get("summary") or "") or f"{item['type']} {subject}".strip()
    words = (printable(str(text)) for text in (item["type"], item["node"], subject, severity, says))
    type, node, subject, severity, says = words
    time = str(item.get("time", ""))
    return Told(key_of(item), status, time, type, node, subject, severity, says, item)


# -- tables ------------------------------------------------------------------------------------------


def resources(cluster: Cluster, scope: Scope) -> Sheet:
    """The resources of a scope, by place; of all nodes one line each with what is on them."""
    found = cluster.within(scope)
    nodes_only = scope.kind in ("*", "node") and not scope.node and not scope.find
    if nodes_only:
        short = (
            Column("Node"),
            Column("State", "mark", 11),
            Column("On it", "rest"),
            Column("Since", "age", 7),
        )
        lines = tuple(_node_line(cluster, r) for r in found)
        return Sheet(_many(len(found), "node"), short, lines, "No node is known.")
    mixed = bool(scope.find or (scope.node and scope.kind == "node") or not scope.kind)
    columns = (
        Column("Name", most=32 if scope.node else 24),
        Column("Kind", most=12, least=0 if mixed and scope.node else 60 if mixed else 10_000),
        Column("Node", most=16, least=10_000 if scope.node else 0),
        Column("State", "mark", 11),
        Column("Says", "rest"),
        Column("Since", "age", 7),
    )
    lines = tuple(_line(r, "r") for r in found)
    return Sheet(_heading(scope, len(found)), columns, lines, _nothing(cluster, scope))


def _node_line(cluster: Cluster, node: Resource) -> Line:
    own = [r for r in cluster.resources if r.node == node.subject and r.kind != "node"]
    counts = Counter(map(status_of, own))
    bad = [f"{counts[s]} {WORDS[s].lower()}" for s in ("failed", "warning", "unknown") if counts[s]]
    total = f"{', '.join(bad)} of {len(own)}" if bad else f"{_many(len(own), 'resource')}, all fine"
    on_it = total if own else "nothing is known"
    cells = (printable(node.subject), word_of(node), on_it, "")
    return Line(_key(node, "r"), status_of(node), cells, node.since, node)


def _line(r: Resource, table: str) -> Line:
    name = r.subject or r.node if r.kind == "node" else r.subject or r.kind
    says = r.summary or says_of(r)
    cells = (printable(name), printable(r.kind), printable(r.node), word_of(r), printable(says), "")
    return Line(_key(r, table), status_of(r), cells, r.since, r)


def problems(cluster: Cluster, scope: Scope) -> Sheet:
    """*Needs attention*: worst first, then newest."""
    columns = (
        Column("State", "mark", 9),
        Column("What", "rest"),
        Column("Node", most=16),
        Column("Since", "age", 7),
    )
    bad = cluster.problems(scope)
    lines = tuple(_problem(cluster, r) for r in bad)
    empty = "Nothing needs attention." if cluster.resources else "Nothing is known."
    return Sheet(f"Needs attention · {len(bad)}", columns, lines, empty)


def _problem(cluster: Cluster, r: Resource) -> Line:
    says = says_of(r)
    if r.kind == "node":
        hidden = sum(
            cluster.known.is_consequence(each) for each in cluster.resources if each.node == r.subject
        )
        says += f"; {hidden} of its resources are unknown" if hidden else ""
    elif r.subject and r.subject not in says and not r.subject.startswith("generator/"):
        says = f"{r.subject}: {says}"
    cells = (WORDS[status_of(r)], printable(says), printable(r.node), "")
    return Line(_key(r, "p"), status_of(r), cells, r.since, r)


def events(found: Iterable[Told], scope: Scope, title: str = "Latest events") -> Sheet:
    """The events of a scope, newest first, by this terminal's clock."""
    columns = (
        Column("Time", most=8),
        Column("Severity", "mark", 10, least=64),
        Column("", "shape", 1),
        Column("What happened", "rest"),
        Column("Type", most=26, least=76),
        Column("Node", most=16),
    )
    lines = tuple(
        Line(t.key, t.status, (_clock(t.time), t.severity, "", t.says, t.type, t.node), t.time, t)
        for t in found
        if t.concerns(scope)
    )
    return Sheet(title, columns, lines, "None since this was opened, and in the five minutes before.")


def widths(sheet: Sheet, width: int) -> tuple[int, ...]:
    """How many places each column gets of ``width``; 0: it is not shown."""
    wide: list[int] = []
    for place, column in enumerate(sheet.columns):
        if width < column.least or (column.form == "shape" and _has_mark(sheet, width)):
            wide.append(0)
        elif column.form == "rest":
            wide.append(-1)
        elif column.form in ("age", "shape"):
            wide.append(column.most)
        else:
            extra = 2 if column.form == "mark" else 0
            natural = max((cell_len(line.cells[place]) for line in sheet.lines), default=0)
            wide.append(min(column.most, max(cell_len(column.title), natural + extra)))
    shown = sum(each != 0 for each in wide)
    left = width - sum(each for each in wide if each > 0) - _GAP * (shown - 1)
    while left < _SHORTEST and max(wide, default=0) > _NARROWEST:  # the widest gives way
        wide[wide.index(max(wide))] -= 1
        left += 1
    return tuple(max(_SHORTEST, left) if each < 0 else each for each in wide)


def _has_mark(sheet: Sheet, width: int) -> bool:
    return any(column.form == "mark" and width >= column.least for column in sheet.columns)


# -- one thing in full -------------------------------------------------------------------------------


def facts(thing: Resource | Told) -> list[tuple[str, str]]:
    """All that is known of a resource or an event, as names and values."""
    if isinstance(thing, Resource):
        fields = ("kind", "subject", "node", "status", "summary", "since", "updated", "type")
        pairs: list[tuple[str, Any]] = [(name, getattr(thing, name)) for name in fields]
        pairs += [(str(name), value) for name, value in thing.attributes.items()]
    else:
        event = {name: value for name, value in thing.event.items() if name != "data"}
        data = thing.event.get("data")
        pairs = [*event.items(), *(data.items() if isinstance(data, dict) else [("data", data)])]
        attributes = data.get("attributes") if isinstance(data, dict) else None
        if isinstance(attributes, dict):
            pairs = [pair for pair in pairs if pair[0] != "attributes"] + list(attributes.items())
        if not thing.event:
            pairs = [("gap", thing.says), ("time", thing.time)]
    return [
        (printable(str(name)), printable(_text(value)))
        for name, value in pairs[:_MOST_FACTS]
        if value not in ("", None)
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value[:40]))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(each)}" for name, each in list(value.items())[:40])
    return str(value)


def _key(resource: Resource, table: str) -> str:
    return "\0".join((table, *resource.key))


def _heading(scope: Scope, count: int) -> str:
    if scope.find:
        return f"{_many(count, 'resource')} with “{printable(scope.find)}”"
    name = {"service": "service", "adapter": "adapter", "storage": "volume", "agent": "agent and generator"}
    title = _many(count, name.get(scope.kind, "resource")).replace(
        "agent and generators", "agents and generators"
    )
    return f"{title} on {printable(scope.node)}" if scope.node else title


def _nothing(cluster: Cluster, scope: Scope) -> str:
    if scope.find or scope.kind in ("", "node", "agent"):
        return "There is none."
    said = cluster.known.observed(scope.kind)
    if said != "none" or scope.node in cluster.known.unobserved(scope.kind):
        return f"Not observed{', it is switched off' if said == 'switched off' else ''}: nothing is known."
    return "There is none."


def _many(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def _clock(iso: str) -> str:
    """A time of day on the clock of who reads it."""
    try:
        return datetime.fromisoformat(iso).astimezone().strftime("%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "?"
