"""The tables of the content: rows of cells, each with an id made from the thing it shows. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup
from msgspec import Struct

from tocsin.core.board import Resource
from tocsin.core.recent import HISTORY
from tocsin.core.verdict import RANK, WORDS, status_of, wall_seconds, worst_of
from tocsin.web import charts
from tocsin.web.views import (
    Age,
    Mark,
    Snapshot,
    age,
    mark,
    path_of,
)
from tocsin.web.wording import bits, node_path, percent, size, slug, state_of, text_of

__all__ = [
    "Cell",
    "Matrix",
    "Row",
    "Table",
    "adapters",
    "agents",
    "level_of",
    "matrix",
    "nodes",
    "of_one_node",
    "resources",
    "storage",
]

#: Percent from which a measured value is shown as high, and as very high. Of disks the generator judges.
_HIGH: Final = {"cpu": (85.0, 101.0), "memory": (85.0, 95.0), "disk": (90.0, 98.0)}
#: The ribbon's slots, in seconds: its picture changes this often and not with every look.
_SLOT: Final = 300


class Cell(Struct, frozen=True, kw_only=True):
    """One cell: a text, a state, a chart with its value, an age, or a link."""

    text: str = ""
    small: str = ""
    href: str = ""
    mark: Mark | None = None
    chart: Markup | None = None
    level: str = ""
    since: Age | None = None
    numeric: bool = False
    code: bool = False


class Row(Struct, frozen=True):
    """One row; ``status`` colours a row that has failed."""

    id: str
    status: str
    cells: tuple[Cell, ...]


class Table(Struct, frozen=True):
    """A table; ``empty`` is said where it has no rows."""

    id: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    empty: str
    numeric: tuple[int, ...] = ()
    wide: tuple[int, ...] = ()


# -- nodes -------------------------------------------------------------------------------------------


def nodes(snapshot: Snapshot) -> Table:
    """All nodes with their load and their last six hours."""
    columns = ("Node", "State", "CPU", "Memory", "Disk", "Network, Mb/s", "Services", "Heard", "Last 6 hours")
    rows = tuple(_node_row(snapshot, node) for node in snapshot.nodes())
    return Table("nodes", columns, rows, "No node is known yet.", numeric=(6, 7), wide=(8,))


def _node_row(snapshot: Snapshot, node: Resource) -> Row:
    name = node.subject
    away = snapshot.away(name)
    services = [r for r in snapshot.of("service") if r.node == name]
    running = sum(r.attributes.get("state") == "running" for r in services)
    return Row(
        slug("r", name),
        status_of(node),
        (
            Cell(text=name, href=node_path(name), small=_role(snapshot, name)),
            Cell(mark=_node_mark(snapshot, node)),
            _measured(snapshot, name, "cpu", away=away, line=True),
            _measured(snapshot, name, "memory", away=away),
            _measured(snapshot, name, "disk", away=away),
            _network(snapshot, name, away=away),
            Cell(text="–" if away or not services else str(running), numeric=True),
            _heard(snapshot, node),
            Cell(chart=charts.ribbon(*_history(snapshot, node))),
        ),
    )


def _role(snapshot: Snapshot, name: str) -> str:
    agent = next((r for r in snapshot.of("agent") if r.node == name and r.subject == "agent"), None)
    if agent is None:
        return ""
    version = text_of(agent.attributes.get("version"), 40)
    words = [
        f"Tocsin {version}" if version else "",
        "" if agent.attributes.get("buffer", True) else "no buffer",
    ]
    return " · ".join(word for word in words if word)


def _node_mark(snapshot: Snapshot, node: Resource) -> Mark:
    """Its own state, or in a word what is wrong on it."""
    own = mark(node)
    if own.status != "ok":
        return own
    bad = snapshot.known.troubled(
        [r for r in snapshot.resources if r.node == node.subject and r.kind != "node"]
    )
    if not bad:
        return own
    worst = bad[0]
    if len(bad) > 1:
        same = [r for r in bad if status_of(r) == status_of(worst)]
        return Mark(status_of(worst), f"Up, {len(same)} {WORDS[status_of(worst)].lower()}")
    what = worst.subject.removeprefix("generator/")
    word = f"{what} {state_of(worst).lower()}" if len(what) <= 20 else WORDS[status_of(worst)]
    return Mark(status_of(worst), word)


def _measured(snapshot: Snapshot, node: str, name: str, *, away: bool, line: bool = False) -> Cell:
    value = None if away else snapshot.measures.latest(node, name, now=snapshot.now)
    level = level_of(name, value)
    if line:
        series = snapshot.measures.series(node, name)
        label = f"{node} {name.upper()} over the last hour"
        chart = charts.spark(series, snapshot.now, label, top=100, limit=_HIGH[name][0], level=level)
    else:
        chart = charts.gauge(value, level)
    return Cell(text=percent(value) or "–", chart=chart, level=level)


def level_of(name: str, value: float | None) -> str:
    """``ok``, ``warning`` or ``failed`` for a measured percentage."""
    high, very = _HIGH.get(name.partition(":")[0], (101.0, 101.0))
    return "ok" if value is None or value < high else "warning" if value < very else "failed"


def _network(snapshot: Snapshot, node: str, *, away: bool) -> Cell:
    series = traffic(snapshot, node)
    received = snapshot.measures.latest(node, "network_in", now=snapshot.now)
    sent = snapshot.measures.latest(node, "network_out", now=snapshot.now)
    value = None if away or received is None or sent is None else received + sent
    chart = charts.spark(series, snapshot.now, f"{node} network traffic over the last hour")
    return Cell(text=bits(value) or "–", chart=chart)


def traffic(snapshot: Snapshot, node: str) -> list[tuple[float, float]]:
    """Received and sent together, in Mb/s."""
    sent = dict(snapshot.measures.series(node, "network_out"))
    received = snapshot.measures.series(node, "network_in")
    return [(at, (value + sent.get(at, 0.0)) * 8 / 1e6) for at, value in received]


def _heard(snapshot: Snapshot, node: Resource) -> Cell:
    """This one; or since when a node that is not there has been away; or that it is heard now."""
    if node.subject == snapshot.name:
        return Cell(text="this one", numeric=True)
    state = node.attributes.get("state")
    if state == "up":
        return Cell(text="now", numeric=True)
    if state == "unknown":
        return Cell(text="never", numeric=True, level="unknown")
    return Cell(since=age(snapshot, node.since), numeric=True, level=status_of(node))


def _history(snapshot: Snapshot, node: Resource) -> tuple[list[str], str]:
    """The worst status in each slot of the last six hours, and the same in a sentence."""
    end = snapshot.now - snapshot.now % _SLOT + _SLOT
    count = HISTORY // _SLOT
    changes = [(wall_seconds(c.at) or 0.0, c.status) for c in snapshot.recent.history(node.subject)]
    slots = []
    for n in range(count):
        begin = end - (count - n) * _SLOT
        within = [status for at, status in changes if begin <= at < begin + _SLOT]
        before = [status for at, status in changes if at < begin]
        slots.append(max([*within, *before[-1:]], key=lambda s: RANK.get(s, 0), default=""))
    slots[-1] = slots[-1] or status_of(node)
    return slots, f"{node.subject}: {_in_words(slots)}"


def _in_words(slots: Sequence[str]) -> str:
    minutes = {s: slots.count(s) * _SLOT // 60 for s in ("failed", "warning", "unknown", "")}
    parts = [f"{WORDS[s].lower()} in {m} minutes" for s, m in minutes.items() if s and m]
    parts += [f"nothing known of {minutes['']} minutes"] if minutes[""] else []
    return f"of the last 6 hours {', '.join(parts)}" if parts else "fine for all of the last 6 hours"


# -- other resources ---------------------------------------------------------------------------------


def _lead(snapshot: Snapshot, resource: Resource, text: str = "", small: str = "") -> tuple[Cell, ...]:
    """The first cells of every row: node, name, state."""
    return (
        Cell(text=text or text_of(resource.subject, 200), small=small),
        Cell(text=resource.node, href=node_path(resource.node)),
        Cell(mark=mark(resource)),
    )


def _row(resource: Resource, *cells: Cell) -> Row:
    return Row(slug("r", resource.node, resource.kind, resource.subject), status_of(resource), cells)


def _by_node(found: Iterable[Resource]) -> list[Resource]:
    return sorted(found, key=lambda r: (r.node, r.kind, r.subject))


def adapters(snapshot: Snapshot, found: Iterable[Resource]) -> Table:
    """Adapters with administrative and operational state, addresses and speed."""
    columns = ("Adapter", "Node", "State", "Admin", "Operational", "Addresses", "Speed", "MTU", "Since")
    rows = []
    for r in _by_node(found):
        get = r.attributes.get
        speed = get("speed")
        rows.append(
            _row(
                r,
                *_lead(snapshot, r, small=text_of(get("mac"), 40)),
                Cell(text=text_of(get("admin"), 20) or "–"),
                Cell(text=text_of(get("operational"), 30) or "–"),
                Cell(text=text_of(get("addresses")) or "–", code=bool(get("addresses"))),
                Cell(text=f"{speed} Mb/s" if isinstance(speed, int) and speed > 0 else "–", numeric=True),
                Cell(text=text_of(get("mtu"), 20) or "–", numeric=True),
                Cell(since=age(snapshot, r.since), numeric=True),
            )
        )
    return Table("adapters", columns, tuple(rows), "No adapter is known.", numeric=(6, 7, 8), wide=(5,))


def storage(snapshot: Snapshot, found: Iterable[Resource]) -> Table:
    """File systems with how full they are."""
    columns = ("Mounted at", "Node", "State", "Used", "Size", "Device", "Type", "Access", "Since")
    rows = []
    for r in _by_node(found):
        get = r.attributes.get
        away = snapshot.away(r.node)
        value = None if away else snapshot.measures.latest(r.node, f"disk:{r.subject}", now=snapshot.now)
        level = level_of("disk", value)
        access = {"ro": "read-only", "rw": "read and write"}.get(str(get("access")), "–")
        rows.append(
            _row(
                r,
                *_lead(snapshot, r),
                Cell(text=percent(value) or "–", chart=charts.gauge(value, level), level=level),
                Cell(text=size(get("size")) or "–", numeric=True),
                Cell(text=text_of(get("device"), 80) or "–", code=True),
                Cell(text=text_of(get("fstype"), 40) or "–"),
                Cell(text=access),
                Cell(since=age(snapshot, r.since), numeric=True),
            )
        )
    return Table("storage", columns, tuple(rows), "No volume is known.", numeric=(4, 8), wide=(5,))


def agents(snapshot: Snapshot, found: Iterable[Resource]) -> Table:
    """Agents and generators: whether each source is observed, and why not."""
    rows = []
    for r in _by_node(found):
        name = r.subject.removeprefix("generator/")
        is_agent = r.subject == "agent"
        url = text_of(r.attributes.get("url"), 200) if is_agent else ""
        rows.append(
            _row(
                r,
                *_lead(
                    snapshot, r, text="agent" if is_agent else name, small="" if is_agent else "generator"
                ),
                Cell(text=url or text_of(r.attributes.get("reason")) or text_of(r.summary)),
                Cell(since=age(snapshot, r.since), numeric=True),
            )
        )
    columns = ("Part", "Node", "State", "Says", "Since")
    return Table("agents", columns, tuple(rows), "No agent is known.", numeric=(4,), wide=(3,))


def resources(snapshot: Snapshot, found: Iterable[Resource], name: str = "other") -> Table:
    """Resources of any kind."""
    rows = tuple(
        _row(
            r,
            Cell(text=text_of(r.subject, 200) or r.kind, href=path_of(r), small=r.kind),
            Cell(text=r.node, href=node_path(r.node)),
            Cell(mark=mark(r)),
            Cell(text=text_of(r.summary) or "–"),
            Cell(since=age(snapshot, r.since), numeric=True),
        )
        for r in _by_node(found)
    )
    columns = ("Name", "Node", "State", "Says", "Since")
    return Table(name, columns, rows, "There is none.", numeric=(4,), wide=(3,))


def of_one_node(table: Table) -> Table:
    """The same without the column that says which node, the second, where only one is shown."""
    return Table(
        table.id,
        table.columns[:1] + table.columns[2:],
        tuple(Row(row.id, row.status, row.cells[:1] + row.cells[2:]) for row in table.rows),
        table.empty,
        numeric=tuple(n - 1 for n in table.numeric),
        wide=tuple(n - 1 for n in table.wide),
    )


# -- where services run ------------------------------------------------------------------------------


class MatrixRow(Struct, frozen=True):
    """One service: how it is on each node (None: not there), and what is said of it."""

    id: str
    name: str
    status: str
    cells: tuple[Mark | None, ...]
    says: str


class Matrix(Struct, frozen=True):
    """Where services run. ``away`` are nodes of which nothing is known now, ``blind`` those not observed."""

    nodes: tuple[str, ...]
    away: tuple[bool, ...]
    rows: tuple[MatrixRow, ...]
    empty: str


def matrix(snapshot: Snapshot, found: Iterable[Resource]) -> Matrix:
    """Services by name, nodes by name."""
    names = [node.subject for node in snapshot.nodes()]
    services: dict[str, dict[str, Resource]] = {}
    for r in found:
        services.setdefault(r.subject, {})[r.node] = r
    blind = snapshot.known.unobserved("service")
    empty = f"Services are not observed on {', '.join(blind)}." if blind else "No service is known."
    rows = tuple(_matrix_row(snapshot, name, services[name], names) for name in sorted(services))
    return Matrix(tuple(names), tuple(snapshot.away(n) for n in names), rows, empty)


def _matrix_row(snapshot: Snapshot, name: str, at: dict[str, Resource], names: Sequence[str]) -> MatrixRow:
    known = [r for r in at.values() if not snapshot.known.is_consequence(r)]
    bad = snapshot.known.troubled(known)
    says = f"{bad[0].node}: {bad[0].summary.removeprefix(name).strip()}" if bad else ""
    if not says:
        says = next((text_of(r.attributes.get("description"), 120) for r in at.values()), "")
    return MatrixRow(
        slug("m", name),
        text_of(name, 200),
        worst_of(known) if known else "unknown",
        tuple(mark(at[node]) if node in at else None for node in names),
        text_of(says),
    )
