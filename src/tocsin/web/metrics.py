"""What this node counts, as OpenMetrics text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tocsin.web.feed import Feed
from tocsin.web.node import Node

__all__ = ["MEDIA_TYPE", "render"]

MEDIA_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_SERIES: Final = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)(\{.*\})?\Z", re.DOTALL)


def render(node: Node, feed: Feed) -> str:
    """All metrics of this node. Names ending in ``_total`` are counters, all others gauges."""
    families: dict[str, list[str]] = {}
    for name, value in _all(node, feed):
        match = _SERIES.match(name)
        if match is not None:
            families.setdefault(f"tocsin_{match[1]}", []).append(f"tocsin_{name} {value:.15g}")
    lines: list[str] = []
    for family, series in families.items():
        counter = family.endswith("_total")
        kind = "counter" if counter else "gauge"
        lines += [f"# TYPE {family.removesuffix('_total')} {kind}", *series]
    return "\n".join([*lines, "# EOF", ""])


def _all(node: Node, feed: Feed) -> Iterator[tuple[str, float]]:
    yield "ready", 0 if node.readiness() else 1
    yield "nodes_degraded", len(node.degraded())
    for kind in ("events", "nothing", "gap", "refused", "left", "stream"):
        yield f'feed_answers_total{{answer="{kind}"}}', feed.answers[kind]
    yield "feed_held", feed.holding.count
    buffer = node.buffer
    if buffer is not None:
        yield "buffer_last_number", buffer.last
        yield "buffer_entries", len(buffer)
        yield "buffer_bytes", buffer.bytes
        yield "buffer_evicted_total", buffer.evicted
        yield "buffer_refused_total", buffer.refused
    yield from _flat(node.counters())


def _flat(counters: Mapping[str, float | Mapping[str, float]]) -> Iterator[tuple[str, float]]:
    for name, value in counters.items():
        if isinstance(value, Mapping):
            for labels, number in value.items():
                yield f"{name}{labels}", number
        else:
            yield name, value
