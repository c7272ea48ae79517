"""monitor/tui/model.py and sheets.py: the board and events as banner, tree and tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tocsin.core.board import Resource
from tocsin.core.errors import CodecError
from tocsin.core.follow import Gap
from tocsin.core.verdict import span
from tocsin.monitor.tui import sheets
from tocsin.monitor.tui.looks import Looks
from tocsin.monitor.tui.model import (
    EVERYTHING,
    Cluster,
    Scope,
    changes_board,
    read_board,
    tree,
    verdict,
)

SINCE = "2026-11-23T12:00:00.000000Z"
NOW = 1795435500.0  # five minutes later


def resource(node: str, kind: str, subject: str, status: str = "ok", **attributes: Any) -> Resource:
    """Something on the board."""
    return Resource(
        node=node,
        kind=kind,
        subject=subject,
        status=status,
        summary=f"{subject} is {status}",
        attributes=attributes,
        since=SINCE,
    )


def node(name: str, state: str = "up", status: str = "ok") -> Resource:
    """A node."""
    return resource(name, "node", name, status, state=state)


def observer(where: str, kind: str, status: str = "ok", state: str = "running") -> Resource:
    """The health of a generator."""
    return resource(where, "agent", f"generator/{kind}", status, state=state, kinds=[kind])


OBSERVED = [observer("n1", kind) for kind in ("service", "adapter", "storage")]
HEALTHY = [node("n1"), resource("n1", "service", "a"), *OBSERVED]


def marks(*resources: Resource) -> dict[str, tuple[str, str]]:
    """The branches of the tree: status and number."""
    return {b.title: (b.status, b.number) for b in tree(Cluster("c", "n1", resources))}


@pytest.mark.parametrize(
    ("resources", "status"),
    [
        ([], "unknown"),
        ([node("n1")], "unknown"),  # nobody observes anything
        (HEALTHY, "ok"),
        ([*HEALTHY, resource("n1", "job", "j", "unknown")], "unknown"),
        ([*HEALTHY, resource("n1", "job", "j", "splendid")], "unknown"),  # no status of ours
        ([*HEALTHY, resource("n1", "job", "j", "unknown"), node("n2", "suspect", "warning")], "warning"),
        ([*HEALTHY, resource("n1", "job", "j", "failed"), node("n2", "suspect", "warning")], "failed"),
    ],
)
def test_verdict(resources: list[Resource], status: str) -> None:
    """The verdict is the worst of what is known; what is not known is never fine."""
    assert verdict(Cluster("c", "n1", resources), NOW).status == status


def test_sentence() -> None:
    """The sentence says the worst thing, for how long, how much more there is, and what may be missing."""
    bad = [resource("n1", "service", "a", "failed"), resource("n1", "job", "j", "warning")]
    cluster = Cluster("c", "n1", [node("n1"), *OBSERVED, *bad], ["n3"])

    sentence = verdict(cluster, NOW).sentence

    assert sentence == "a is failed on n1 for 5 min; 1 more; events of n3 may be incomplete"
    assert verdict(Cluster("c", "n1", HEALTHY), NOW).sentence == "1 of 1 nodes up"


def test_tree_counts() -> None:
    """A part of the tree has its worst state and how many are in it, or how many there are if all is well."""
    more = [resource("n1", "service", name, "failed") for name in "bc"]

    found = marks(*HEALTHY, *more)

    assert found["Services"] == ("failed", "2")
    assert found["Nodes"] == ("ok", "1")
    assert found["Storage"] == ("ok", "0")  # observed, and there is none
    assert "Other" not in found


def test_tree_of_what_nobody_observes() -> None:
    """None of something is fine only where somebody looks for it on every node."""
    assert marks(node("n1"))["Services"] == ("unknown", "–")
    blind = observer("n2", "service", "unknown", "unavailable")
    assert marks(*HEALTHY, node("n2"), blind)["Services"] == ("unknown", "1")
    off = observer("n1", "storage", "ok", "disabled")
    assert marks(node("n1"), off)["Storage"] == ("unknown", "–")
    leaves = {b.title: b.leaves for b in tree(Cluster("c", "n1", [*HEALTHY, node("n2"), blind]))}
    assert [(leaf.title, leaf.status) for leaf in leaves["Services"]] == [("n1", "ok"), ("n2", "unknown")]


def test_consequences_are_no_problems() -> None:
    """What is unknown since its node is down is counted with the node, and shown as unknown in its table."""
    away = [node("n2", "down", "failed"), resource("n2", "service", "b", "unknown")]
    cluster = Cluster("c", "n1", [*HEALTHY, *away])

    problems = sheets.problems(cluster, EVERYTHING)
    services = sheets.resources(cluster, Scope("service"))

    assert [line.cells[:2] for line in problems.lines] == [
        ("Failed", "n2 is down; 1 of its resources are unknown")
    ]
    assert [(line.cells[0], line.status) for line in services.lines] == [("a", "ok"), ("b", "unknown")]


def test_problems_are_sorted() -> None:
    """Worst first, then newest."""
    resources = [
        resource("n1", "job", "w", "warning"),
        resource("n1", "job", "old", "failed"),
        Resource(node="n1", kind="job", subject="new", status="failed", since="2026-11-23T13:00:00Z"),
    ]

    lines = sheets.problems(Cluster("c", "n1", resources), EVERYTHING).lines

    assert [line.thing.subject for line in lines] == ["new", "old", "w"]


@pytest.mark.parametrize(
    ("scope", "subjects"),
    [
        (EVERYTHING, ["n1", "n2"]),
        (Scope("node", "n2"), ["n2", "a"]),
        (Scope("service"), ["a", "a"]),
        (Scope("service", "n1"), ["a"]),
        (Scope(""), ["j"]),
        (Scope(find="J IS"), ["j"]),
    ],
)
def test_scopes(scope: Scope, subjects: list[str]) -> None:
    """A scope is a kind, a node, both, or what a text finds."""
    cluster = Cluster(
        "c", "n1", [*HEALTHY, node("n2"), resource("n2", "service", "a"), resource("n1", "job", "j")]
    )
    assert [line.thing.subject for line in sheets.resources(cluster, scope).lines] == subjects


def event(type: str, node: str = "n1", **data: Any) -> dict[str, Any]:
    """An event as a feed tells it."""
    return {"type": type, "node": node, "origin": node, "sequence": "1-1", "time": SINCE, "data": data}


def test_events_of_a_scope() -> None:
    """Events are those of the scope's kind and node; a gap is always among them, as one of unknown status."""
    items: list[dict[str, Any] | Gap] = [
        event("service.failed", status="failed"),
        event("job.done", "n2"),
        Gap("evicted"),
    ]
    told = [sheets.told(item, place, SINCE) for place, item in enumerate(items)]

    def types(scope: Scope) -> list[str]:
        return [
            line.thing.type
            for line in sheets.events(told, scope).lines
            if isinstance(line.thing, sheets.Told)
        ]

    assert types(EVERYTHING) == ["service.failed", "job.done", "gap"]
    assert types(Scope("service")) == ["service.failed", "gap"]
    assert types(Scope("node", "n2")) == ["job.done", "gap"]
    assert types(Scope("")) == ["job.done", "gap"]
    assert types(Scope(find="DONE")) == ["job.done", "gap"]
    assert told[2].status == "unknown"


def test_which_events_change_the_board() -> None:
    """Those with a status, and what concerns nodes."""
    assert changes_board(event("job.done", status="ok"))
    assert changes_board(event("node.down"))
    assert not changes_board(event("job.progress", summary="half"))


@pytest.mark.parametrize("width", [40, 52, 78, 160])
def test_widths(width: int) -> None:
    """Columns fill the width exactly, whatever they hold; those of less weight go first."""
    cluster = Cluster("c", "n1", [*HEALTHY, resource("n1", "service", "x" * 300)])
    told = [sheets.told(event("service.failed", summary="y" * 300), 0, SINCE)]
    for sheet in (sheets.resources(cluster, Scope("service")), sheets.events(told, EVERYTHING)):
        wide = [each for each in sheets.widths(sheet, width) if each]
        assert sum(wide) + 2 * (len(wide) - 1) == width


def test_hostile_text_is_escaped() -> None:
    """What controls a terminal never reaches it."""
    line = sheets.told(event("a.b", summary="\x1b[2Jgone\nnew"), 0, SINCE)
    cluster = Cluster("c", "n1", [resource("n1", "service", "\x1b]0;x\x07")])
    texts = [line.says, *sheets.resources(cluster, Scope("service")).lines[0].cells]
    texts += [text for pair in sheets.facts(line) for text in pair]

    assert not any(char in text for text in texts for char in "\x1b\x07\n")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"cluster":"c"}', b"\xff"])
def test_what_is_no_board(body: bytes) -> None:
    """Another program's answer is not taken for a board."""
    with pytest.raises(CodecError):
        read_board(body)


def test_read_board() -> None:
    """A board with more than is known today is read all the same."""
    body = {"cluster": "c", "node": "n1", "later": 1, "cursor": None, "degraded": ["n2"], "resources": []}
    cluster = read_board(json.dumps(body).encode())
    assert (cluster.name, cluster.node, cluster.degraded) == ("c", "n1", ("n2",))


def test_spans() -> None:
    """How long ago, in a word or two."""
    assert [span(s) for s in (-3, 59, 60, 3600, 172_800)] == ["0 s", "59 s", "1 min", "1 h", "2 d"]


def test_looks() -> None:
    """Shapes are all different; NO_COLOR takes every colour; a poor terminal gets letters."""
    statuses = ("failed", "warning", "unknown", "ok")
    rich, plain = Looks({}, "utf-8"), Looks({"NO_COLOR": "1", "TERM": "linux"}, "utf-8")
    assert len({rich.shape(s) for s in statuses}) == len({plain.shape(s) for s in statuses}) == 4
    assert all(plain.shape(s).isascii() and plain.style(s).color is None for s in statuses)
    assert plain.style("failed").bold
    assert rich.shape("splendid") == rich.shape("unknown")
