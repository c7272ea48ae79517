"""Charts: geometry by attributes, nothing that a strict policy forbids, readable without colour."""

import re
from xml.etree import ElementTree as ET

import pytest

from tests.web.fixtures import HOSTILE
from tocsin.core.recent import Minute
from tocsin.web import charts
from tocsin.web.wording import plain

NOW = 1_000_000.0


def rects(svg: str, name: str) -> list[dict[str, str]]:
    """The bars of a class, in order."""
    return [e.attrib for e in ET.fromstring(svg) if e.tag == "rect" and e.get("class") == name]


def test_every_chart_is_well_formed_and_without_style():
    """Each chart is well-formed XML, has a name or is hidden from readers, and no style attribute."""
    hour = [(NOW - 3600 + n * 10, float(n % 50)) for n in range(360)]
    minutes = [Minute(f"2026-11-23T13:{n:02d}", n, n % 3, n % 2) for n in range(60)]
    made = [
        charts.gauge(50, "warning"),
        charts.share({"ok": 3, "failed": 1}),
        charts.share({}),
        charts.spark(hour, NOW, "CPU", top=100, limit=85),
        charts.spark([], NOW, "CPU"),
        charts.ribbon(["ok"] * 70 + ["failed", "unknown"], "node1"),
        charts.rate(minutes, "Events"),
        charts.rate([], "Events"),
    ]
    for svg in made:
        root = ET.fromstring(svg)
        assert root.get("aria-hidden") == "true" or (root.get("role") == "img" and root.get("aria-label"))
        assert "style" not in svg
        assert not re.search(r"nan|inf\b|e-\d", svg)


@pytest.mark.parametrize("text", HOSTILE)
def test_labels_are_escaped(text):
    """Whatever a node is called, its chart's label is text."""
    for svg in (charts.spark([], NOW, text), charts.ribbon(["ok"], text), charts.rate([], text)):
        assert plain(text) in ET.fromstring(svg).attrib["aria-label"]


def test_gauge_stays_within_its_track():
    """Values below nothing and above all are drawn as nothing and as all; an unknown one is not drawn."""
    assert [r["width"] for r in rects(charts.gauge(250), "fill")] == ["100"]
    assert [r["width"] for r in rects(charts.gauge(-3), "fill")] == ["0"]
    assert charts.gauge(None) == ""


def test_worse_is_taller():
    """Status is height too: failed is taller than warning, that than unknown, that than fine."""
    heights = [
        float(rects(charts.ribbon([status], "n"), status)[0]["height"])
        for status in ("failed", "warning", "unknown", "ok")
    ]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 4


def test_one_failure_among_thousands_is_seen():
    """The share bar leaves room for the one thing that is wrong."""
    svg = charts.share({"ok": 10_000, "failed": 1})
    assert float(rects(svg, "failed")[0]["width"]) > 2


def test_ribbon_joins_equal_slots_and_leaves_the_unknown_past_empty():
    """Equal neighbours are one bar; before anything was known there is none."""
    svg = charts.ribbon(["", "", "ok", "ok", "failed", "ok"], "node1")
    assert [float(r["x"]) for r in rects(svg, "ok")] == [80.0, 200.0]
    assert [float(r["x"]) for r in rects(svg, "failed")] == [160.0]


def test_spark_shows_where_nothing_was_measured():
    """A series that ended is followed by a dotted line; the peak survives thinning."""
    series = [(NOW - 3600 + n * 10, 1.0) for n in range(180)]
    series[90] = (series[90][0], 99.0)
    svg = charts.spark(series, NOW, "CPU", top=100)
    assert 'class="gap"' in svg
    assert " 2.2" in svg  # 99 of 100
    assert 'class="gap"' not in charts.spark([(NOW - n, 1.0) for n in range(3600, 0, -10)], NOW, "CPU")


def test_rate_stacks_failures_at_the_foot_and_marks_them():
    """Failures stand on the axis with a mark below it; the scale is of round numbers."""
    svg = charts.rate([Minute("2026-11-23T13:00", 12, 6, 4)], "Events")
    bottoms = {
        n: float(rects(svg, n)[0]["y"]) + float(rects(svg, n)[0]["height"]) for n in ("failed", "info")
    }
    assert bottoms["failed"] == pytest.approx(174, abs=0.2)
    assert bottoms["info"] < bottoms["failed"]
    assert 'path class="failed"' in svg
    assert re.findall(r">(\d+)</text>", svg) == ["0", "10", "20", "30"]


def test_the_time_of_the_last_minute_is_in_the_picture():
    """Its label is wider than its column."""
    minutes = [Minute(f"2026-11-23T13:{n:02d}", 1, 0, 0) for n in range(1, 60)]
    minutes.append(Minute("2026-11-23T14:00", 1, 0, 0))
    assert '<text x="625" y="192" text-anchor="middle">14:00</text>' in charts.rate(minutes, "Events")
