"""The content frame: which page an address means, and what is on it. Pure functions of a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from msgspec import Struct

from tocsin.core.board import Resource
from tocsin.core.errors import InterestError
from tocsin.core.event import SEVERITIES
from tocsin.core.interest import EVERYTHING, Interests
from tocsin.core.recent import KEEP
from tocsin.web import charts, panels
from tocsin.web.performance import performance
from tocsin.web.views import (
    SUBSYSTEMS,
    EventRow,
    Mark,
    Problem,
    Snapshot,
    event_rows,
    interests_of,
    mark,
    problems,
    quoted,
)
from tocsin.web.wording import many, percent

__all__ = ["Address", "Content", "Events", "Section", "Tab", "address", "content"]

#: Seconds after which a page with measured values is refreshed without news.
_EVERY: Final = 10
_TABS: Final = (
    ("status", "Status"),
    ("problems", "Problems"),
    ("events", "Events"),
    ("performance", "Performance"),
)
_MEASURED: Final = frozenset({"/nodes", "/storage", "/adapters"})
_LATEST: Final = 12


class Address(Struct, frozen=True):
    """The address of a page: its path and its query, the last value of each name."""

    path: str
    query: dict[str, str]

    @property
    def at(self) -> str:
        """As text, in one spelling."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def but(self, **query: str) -> str:
        """The same page with another value of the query; an empty one is left out."""
        return Address(self.path, {k: v for k, v in {**self.query, **query}.items() if v}).at


def address(at: str) -> Address:
    """Reads an address, whatever it is: what is no page leads to the content *No such page*."""
    try:
        parts = urlsplit(at[:4096])
        query = dict(parse_qsl(parts.query, max_num_fields=20))
    except ValueError:
        return Address("/?", {})
    known = {k: v[:2048] for k, v in query.items() if k in ("tab", "node", "on", "severity", "q")}
    return Address(parts.path or "/", {k: v for k, v in known.items() if v})


class Tab(Struct, frozen=True):
    """One view of a subsystem."""

    id: str
    title: str
    href: str
    current: bool
    count: int = 0
    status: str = ""


class Section(Struct, frozen=True):
    """One card. ``panel`` names its template, ``data`` is what that shows."""

    panel: str
    id: str
    title: str
    note: str
    data: Any


class Content(Struct, frozen=True, kw_only=True):
    """One page's content."""

    title: str
    on: str
    every: int = 0
    crumb: tuple[str, str] | None = None
    mark: Mark | None = None
    note: str = ""
    tabs: tuple[Tab, ...] = ()
    sections: tuple[Section, ...]


class Events(Struct, frozen=True):
    """The list of the last arrivals and the form that narrows it."""

    rows: tuple[EventRow, ...]
    on: str
    severity: str
    error: str
    action: str


def content(snapshot: Snapshot, where: Address) -> Content:
    """What an address shows; an unknown one says so, and is no error: the frame stays alive."""
    if where.path == "/":
        return _overview(snapshot, where)
    if where.path == "/events":
        return _event_log(snapshot, where)
    if where.path == "/find":
        return _find(snapshot, where)
    if where.path.startswith("/nodes/") and where.path.count("/") == 2:
        return _node(snapshot, where, unquote(where.path[7:]))
    for subsystem in SUBSYSTEMS:
        if where.path == subsystem.path:
            return _subsystem(snapshot, where, subsystem.title, subsystem.kind)
    said = Section("empty", "h-none", "No such page", "", "There is no page at this address.")
    return Content(title="No such page", on="agent.*", sections=(said,))


# -- the parts of many pages -------------------------------------------------------------------------


def _attention(snapshot: Snapshot, found: Iterable[Resource] | None) -> Section:
    rows = tuple(problems(snapshot, found))
    note = "worst first, then newest" if len(rows) > 1 else ""
    return Section("problems", "h-attention", "Needs attention", note, rows)


def _rate(snapshot: Snapshot) -> Section:
    minutes = snapshot.recent.per_minute(snapshot.wall)
    total = sum(m.info + m.warning + m.failure for m in minutes)
    bad = sum(m.failure for m in minutes)
    label = f"Events a minute over the last hour: {many(total, 'event')}, of them {many(bad, 'failure')}"
    return Section("rate", "h-rate", "Events a minute", "last hour, UTC", charts.rate(minutes, label))


def _latest(snapshot: Snapshot, on: str) -> Section:
    items = snapshot.recent.matching(Interests.parse(on), _LATEST)
    note = on if on != "*" and len(on) <= 48 else ""
    return Section("log", "h-latest", "Latest events", note, event_rows(snapshot, items))


def _events(snapshot: Snapshot, where: Address, on: str, *, form: bool = False) -> Section:
    asked = where.query.get("on", "") if form else on
    severity = where.query.get("severity", "")
    at_least = SEVERITIES[SEVERITIES.index(severity) :] if severity in SEVERITIES else ()
    error = ""
    try:
        interests = Interests.parse(asked)
    except InterestError as wrong:
        interests, error = EVERYTHING, str(wrong)
    items = [] if error else snapshot.recent.matching(interests, KEEP, at_least)
    rows = tuple(event_rows(snapshot, items))
    data = Events(rows, asked, severity, error, "/events" if form else "")
    title = many(len(rows), "event") if rows else "Events"
    return Section("events", "h-events", title, "newest first · times in UTC", data)


def _tabs(where: Address, rows: tuple[Problem, ...], *, measured: bool) -> tuple[Tab, ...]:
    chosen = _tab(where, measured=measured)
    worst = rows[0].mark.status if rows else ""
    return tuple(
        Tab(
            f"tab-{name}",
            title,
            where.but(tab="" if name == "status" else name),
            name == chosen,
            len(rows) if name == "problems" else 0,
            worst if name == "problems" else "",
        )
        for name, title in _TABS
        if name != "performance" or measured
    )


def _tab(where: Address, *, measured: bool) -> str:
    names = [name for name, _ in _TABS if name != "performance" or measured]
    return where.query.get("tab", "status") if where.query.get("tab") in names else "status"


def _performance(snapshot: Snapshot, names: Iterable[str], *, disks: bool = False) -> Section:
    data = performance(snapshot, names, disks=disks)
    return Section("performance", "h-performance", "Performance", "measured over the last hour", data)


# -- the pages ---------------------------------------------------------------------------------------


def _overview(snapshot: Snapshot, where: Address) -> Content:
    attention = _attention(snapshot, None)
    table = panels.nodes(snapshot)
    services = snapshot.of("service")
    sections = [
        attention,
        Section(
            "table",
            "h-nodes",
            many(len(table.rows), "node"),
            "load over the last hour · the taller the history bar, the worse",
            table,
        ),
        _rate(snapshot),
        _latest(snapshot, "*"),
    ]
    if services:
        sections.append(_where_services_run(snapshot, services))
    return Content(title="Overview", on="*", every=_EVERY, sections=tuple(sections))


def _where_services_run(snapshot: Snapshot, services: list[Resource]) -> Section:
    return Section("matrix", "h-matrix", "Where services run", "", panels.matrix(snapshot, services))


def _subsystem(snapshot: Snapshot, where: Address, title: str, kind: str) -> Content:
    only = where.query.get("node", "")
    found = [r for r in snapshot.of(kind) if not only or r.node == only]
    at = f"@{quoted(only)}" if only else ""
    if kind == "node":
        concerned, on = None, interests_of(snapshot)
    elif kind:
        concerned, on = found, f"{kind}.*{at}"
    else:
        kinds = sorted({r.kind for r in snapshot.of("")})
        # There may be one more kind soon, which has no name here yet.
        concerned, on = found, " ".join([*(f"{k}.*{at}" for k in kinds), f"agent.kind-added{at}"])
    attention = _attention(snapshot, concerned)
    measured = where.path in _MEASURED
    tab = _tab(where, measured=measured)
    sections: tuple[Section, ...]
    if tab == "problems":
        sections = (attention,)
    elif tab == "events":
        sections = (_events(snapshot, where, on),)
    elif tab == "performance":
        names = [only] if only else [n.subject for n in snapshot.nodes()]
        sections = (_performance(snapshot, names, disks=kind == "storage"),)
    else:
        sections = ((attention,) if attention.data else ()) + _status(snapshot, kind, found, on)
    return Content(
        title=title,
        on=on,
        every=_EVERY if kind in ("node", "storage") or tab == "performance" else 0,
        crumb=(title, where.path) if only else None,
        note=f"on {only}" if only else "",
        tabs=_tabs(where, attention.data, measured=measured),
        sections=sections,
    )


def _status(snapshot: Snapshot, kind: str, found: list[Resource], on: str) -> tuple[Section, ...]:
    if kind == "node":
        table = panels.nodes(snapshot)
        note = "load over the last hour · the taller the history bar, the worse"
        return (
            Section("table", "h-nodes", many(len(table.rows), "node"), note, table),
            _rate(snapshot),
            _latest(snapshot, on),
        )
    if kind == "service":
        return (_where_services_run(snapshot, found), _latest(snapshot, on))
    return (_table(snapshot, kind, found), _latest(snapshot, on))


_TABLES: Final[dict[str, tuple[str, str, Callable[..., panels.Table]]]] = {
    "adapter": ("adapter", "adapters", panels.adapters),
    "storage": ("volume", "volumes", panels.storage),
    "rail": ("rail", "rails", panels.resources),
    "agent": ("agent and generator", "agents and generators", panels.agents),
}


def _table(snapshot: Snapshot, kind: str, found: list[Resource]) -> Section:
    one, more, make = _TABLES.get(kind, ("resource", "resources", panels.resources))
    return Section("table", f"h-{more.split()[0]}", many(len(found), one, more), "", make(snapshot, found))


def _node(snapshot: Snapshot, where: Address, name: str) -> Content:
    node = next((n for n in snapshot.nodes() if n.subject == name), None)
    crumb = ("Nodes", "/nodes")
    if node is None:
        said = Section("empty", "h-none", "No such node", "", f"No node is called {name[:200]!r} here.")
        return Content(title="No such node", on="node.*", crumb=crumb, sections=(said,))
    own = [r for r in snapshot.resources if r.node == name]
    on = f"*@{quoted(name)}"
    attention = _attention(snapshot, own)
    tab = _tab(where, measured=True)
    sections: list[Section]
    if tab == "problems":
        sections = [attention]
    elif tab == "events":
        sections = [_events(snapshot, where, on)]
    elif tab == "performance":
        sections = [_performance(snapshot, [name]), _performance(snapshot, [name], disks=True)]
        sections[1] = Section("performance", "h-disks", "Disks", "percent used", sections[1].data)
    else:
        sections = [attention] if attention.data else []
        sections += [_load(snapshot, name)] if not snapshot.away(name) else []
        for kind in ("adapter", "storage", "service", "rail", "agent", ""):
            found = [r for r in own if r in snapshot.of(kind)]
            if found:
                sections.append(
                    _table(snapshot, kind, found) if kind != "service" else _services(snapshot, found)
                )
        sections.append(_latest(snapshot, on))
    return Content(
        title=name,
        on=on,
        every=_EVERY,
        crumb=crumb,
        mark=mark(node),
        note=node.summary if node.status != "ok" else "",
        tabs=_tabs(where, attention.data, measured=True),
        sections=tuple(sections),
    )


def _services(snapshot: Snapshot, found: list[Resource]) -> Section:
    table = panels.resources(snapshot, found, "services")
    return Section("table", "h-services", many(len(found), "service"), "", table)


def _load(snapshot: Snapshot, name: str) -> Section:
    values = []
    for key, title in (("cpu", "CPU"), ("memory", "Memory"), ("disk", "Fullest disk")):
        value = snapshot.measures.latest(name, key, now=snapshot.now)
        level = panels.level_of(key, value)
        values.append((title, percent(value) or "not measured", charts.gauge(value, level), level))
    return Section("load", "h-load", "Load", "now", tuple(values))


def _event_log(snapshot: Snapshot, where: Address) -> Content:
    section = _events(snapshot, where, "", form=True)
    on = "*" if section.data.error or not section.data.on else section.data.on
    return Content(title="Events", on=on, sections=(section,))


def _find(snapshot: Snapshot, where: Address) -> Content:
    asked = where.query.get("q", "").strip()
    wanted = asked.casefold()
    found = [
        r
        for r in snapshot.resources
        if wanted and any(wanted in text.casefold() for text in (r.subject, r.node, r.kind, r.summary))
    ]
    table = panels.resources(snapshot, found, "found")
    title = f"{many(len(found), 'resource')} with “{asked}”" if asked else "Nothing to find"
    return Content(
        title="Find", on=interests_of(snapshot), sections=(Section("table", "h-found", title, "", table),)
    )
