"""Charts as inline SVG, rendered by the server; geometry by attributes only: the CSP allows no ``style``.

These are the only functions of the project that make markup without a template. What goes in is numbers
and words of our own; texts go through :func:`markupsafe.escape` like everywhere else. All are pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from tocsin.core.recent import Minute
from tocsin.web.wording import plain

__all__ = ["STATES", "gauge", "rate", "ribbon", "share", "spark"]

#: Status → (how high its bar is, of 24): what is worse is taller. In the order of :func:`share`.
STATES: Final = {"failed": 24, "warning": 15, "unknown": 10, "ok": 7}
_HOUR: Final = 3600.0


def gauge(percent: float | None, level: str = "ok") -> Markup:
    """A horizontal bar, filled to ``percent``. Beside it stands the number: it is hidden from readers."""
    if percent is None:
        return Markup("")
    width = min(max(percent, 0.0), 100.0)
    return Markup(
        '<svg class="gauge {}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="8" rx="3"/>'
        '<rect class="fill" width="{}" height="8" rx="3"/></svg>'
    ).format(level, _n(width))


def share(counts: Mapping[str, int]) -> Markup:
    """A bar of the shares of each status, worst first; the worse, the taller."""
    total = sum(counts.values())
    if not total:
        return Markup(
            '<svg class="bar" viewBox="0 0 100 9" preserveAspectRatio="none" aria-hidden="true"></svg>'
        )
    x, parts = 0.0, []
    for status, tall in STATES.items():
        # One failure among thousands must still be seen: no part is narrower than four units.
        width = max(4.0, 96.0 * counts.get(status, 0) / total) if counts.get(status) else 0.0
        if width:
            height = max(1.5, 9.0 * tall / 24)
            parts.append(_rect(status, x, 9 - height, width - 0.9, height))
            x += width
    return Markup(
        '<svg class="bar" viewBox="0 0 {} 9" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(_n(max(x, 1.0)), Markup("").join(parts))


def spark(
    series: Sequence[tuple[float, float]],
    now: float,
    label: str,
    *,
    top: float | None = None,
    limit: float | None = None,
    level: str = "ok",
) -> Markup:
    """A line of the last hour, ``series`` as (wall seconds, value); dotted where there is nothing after it.

    ``top`` is the value at the upper edge (default: the greatest there is), ``limit`` a dashed line.
    """
    begin = now - _HOUR
    points = [(at, value) for at, value in series if at >= begin]
    if not points:
        return Markup(
            '<svg class="spark none" viewBox="0 0 100 28" preserveAspectRatio="none" role="img" '
            'aria-label="{}">'
            '<path class="gap" d="M0 27H100"/></svg>'
        ).format(plain(f"{label}: not measured"))
    scale = top if top is not None else max(max(v for _, v in points) * 1.15, 1.0)
    drawn = [((at - begin) / _HOUR * 100, _y(value, scale)) for at, value in _thinned(points)]
    line = "L".join(f"{_n(x)} {_n(y)}" for x, y in drawn)
    first, last = drawn[0][0], drawn[-1][0]
    pieces = []
    if limit is not None:
        pieces.append(Markup('<path class="limit" d="M0 {}H100"/>').format(_n(_y(limit, scale))))
    pieces.append(Markup('<path class="area" d="M{}L{} 28L{} 28Z"/>').format(line, _n(last), _n(first)))
    pieces.append(Markup('<path class="line" d="M{}"/>').format(line))
    pieces += [
        Markup('<path class="gap" d="M{} 27H{}"/>').format(_n(x), _n(end))
        for x, end in ((0.0, first), (last, 100.0))
        if end - x > 4
    ]
    return Markup(
        '<svg class="spark {}" viewBox="0 0 100 28" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>'
    ).format(level, plain(label), Markup("").join(pieces))


def _thinned(points: Sequence[tuple[float, float]], most: int = 60) -> list[tuple[float, float]]:
    """At most ``most`` points: the greatest of each group, so that no peak is lost."""
    size = -(-len(points) // most)
    groups = [points[n : n + size] for n in range(0, len(points), size)]
    return [(group[-1][0], max(value for _, value in group)) for group in groups]


def ribbon(slots: Sequence[str], label: str) -> Markup:
    """How a node has been: one status a slot, ``""`` where nothing is known; the worse, the taller."""
    wide = 240 / max(len(slots), 1)
    parts = [Markup('<path class="tick" d="M{} 24v-5"/>').format(_n(n * 40)) for n in range(7)]
    begin = 0
    for n in range(1, len(slots) + 1):
        if n < len(slots) and slots[n] == slots[begin]:
            continue
        status = slots[begin]
        if status:
            height = STATES.get(status, 10)
            parts.append(_rect(status, begin * wide, 24 - height, (n - begin) * wide - 0.8, height))
        begin = n
    return Markup(
        '<svg class="ribbon" viewBox="0 0 240 24" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>'
    ).format(plain(label), Markup("").join(parts))


def rate(minutes: Sequence[Minute], label: str) -> Markup:
    """Events a minute over the last hour: failures at the foot, then warnings, then the rest."""
    most = max((m.info + m.warning + m.failure for m in minutes), default=0)
    step = _step(most)
    top = max(step * -(-most // step), step)
    parts = []
    for value in range(0, top + 1, step):
        y = 174 - 160 * value / top
        parts.append(
            Markup(
                '<path class="grid" d="M30 {y}H640"/><text x="24" y="{t}" text-anchor="end">{v}</text>'
            ).format(y=_n(y), t=_n(y + 3.5), v=value)
        )
    wide = 610 / max(len(minutes), 1)
    for n, minute in enumerate(minutes):
        parts += _column(minute, 31 + n * wide, wide - 1.6, 160 / top)
    # The quarters are marked with times; the browser's clock face is the reader's, this is UTC. At the right
    # edge a time is wider than what is left: it moves in.
    for n, minute in enumerate(minutes):
        if minute.start.endswith((":00", ":15", ":30", ":45")):
            parts.append(
                Markup('<text x="{}" y="192" text-anchor="middle">{}</text>').format(
                    _n(min(31 + (n + 0.5) * wide, 625)), minute.start[11:]
                )
            )
    return Markup('<svg class="rate" viewBox="0 0 640 196" role="img" aria-label="{}">{}</svg>').format(
        plain(label), Markup("").join(parts)
    )


def _column(minute: Minute, x: float, width: float, unit: float) -> list[Markup]:
    parts, foot = [], 174.0
    counts = (("failed", minute.failure), ("warning", minute.warning), ("info", minute.info))
    for name, count in counts:
        if count:
            height = count * unit
            foot -= height
            parts.append(_rect(name, x, foot, width, height, round_corner=False))
    if minute.failure:
        # Colour alone says nothing in greyscale: a failure has a mark below the axis.
        parts.append(Markup('<path class="failed" d="M{} 176l3.4 5h-6.8z"/>').format(_n(x + width / 2)))
    return parts


def _step(most: int) -> int:
    """A round number of which two to five make up ``most``."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if size * factor * 4 >= most:
                return size * factor
        size *= 10


def _rect(name: str, x: float, y: float, width: float, height: float, *, round_corner: bool = True) -> Markup:
    corner = Markup(' rx=".6"') if round_corner else Markup("")
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"{}/>').format(
        name, _n(x), _n(y), _n(max(width, 0.4)), _n(height), corner
    )


def _y(value: float, top: float) -> float:
    return 26 - 24 * min(max(value / top, 0.0), 1.0)


def _n(value: float) -> str:
    """A number as short as it can be said to a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")
