"""Charts of the measured values of each node over the last hour. Pure functions of a snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from markupsafe import Markup
from msgspec import Struct

from tocsin.web import charts
from tocsin.web.panels import level_of
from tocsin.web.views import Snapshot
from tocsin.web.wording import bits, percent, slug, text_of

__all__ = ["Performance", "performance"]

_TITLES: Final = {"cpu": "CPU", "memory": "Memory", "load1": "Load, 1 min", "disk": "Fullest disk"}
_TRAFFIC: Final = (("network_in", "Received, Mb/s"), ("network_out", "Sent, Mb/s"))


class Performance(Struct, frozen=True):
    """What one node measures: (name, value, chart) each."""

    id: str
    node: str
    away: bool
    charts: tuple[tuple[str, str, Markup], ...]


def performance(snapshot: Snapshot, names: Iterable[str], *, disks: bool = False) -> list[Performance]:
    """The measured values of each node: of its disks, or all others."""
    return [
        Performance(
            slug("f", name),
            name,
            snapshot.away(name),
            tuple(_disks(snapshot, name) if disks else [*_values(snapshot, name), *_network(snapshot, name)]),
        )
        for name in names
    ]


def _disks(snapshot: Snapshot, node: str) -> list[tuple[str, str, Markup]]:
    found = [name for name in snapshot.measures.names(node) if name.startswith("disk:")]
    return [_share(snapshot, node, name, text_of(name.removeprefix("disk:"), 80)) for name in found]


def _values(snapshot: Snapshot, node: str) -> list[tuple[str, str, Markup]]:
    found = []
    for name in snapshot.measures.names(node):
        if name in ("cpu", "memory", "disk"):
            found.append(_share(snapshot, node, name, _TITLES[name]))
        elif not name.startswith(("disk:", "network_")):
            value = snapshot.measures.latest(node, name, now=snapshot.now)
            title = text_of(_TITLES.get(name, name), 80)
            chart = charts.spark(snapshot.measures.series(node, name), snapshot.now, f"{node} {title}")
            found.append((title, "–" if value is None else f"{value:.2f}", chart))
    return found


def _share(snapshot: Snapshot, node: str, name: str, title: str) -> tuple[str, str, Markup]:
    value = snapshot.measures.latest(node, name, now=snapshot.now)
    series = snapshot.measures.series(node, name)
    chart = charts.spark(series, snapshot.now, f"{node} {title}", top=100, level=level_of(name, value))
    return title, percent(value) or "–", chart


def _network(snapshot: Snapshot, node: str) -> list[tuple[str, str, Markup]]:
    found = []
    for name, title in _TRAFFIC:
        series = [(at, value * 8 / 1e6) for at, value in snapshot.measures.series(node, name)]
        if series:
            value = snapshot.measures.latest(node, name, now=snapshot.now)
            found.append((title, bits(value) or "–", charts.spark(series, snapshot.now, f"{node} {title}")))
    return found
