"""What pages show, from the real board, recent list and measures: honest words, stable places."""

from datetime import timedelta

import pytest

from tests.web.fixtures import HOSTILE, WebNode, busy, quiet
from tocsin.core.board import Resource
from tocsin.core.interest import Interests
from tocsin.web import panels, wording
from tocsin.web.content import address, content
from tocsin.web.outline import banner, tree
from tocsin.web.views import Mark, problems, take


def test_needs_attention_is_worst_first_then_newest():
    """Failures come before warnings, the newest of each first."""
    found = [(p.mark.status, p.title) for p in problems(take(busy()))]

    assert found == [
        ("failed", "Service search.service on node5 failed"),
        ("failed", "node4 is down"),
        ("warning", "Volume /var on node5 is filling up"),
        ("warning", "Adapter eth1 on node2 has no carrier"),
    ]


def test_what_a_lost_node_hides_is_said_once():
    """The unknown resources of a node that is down are one line, not one each."""
    (down,) = [p for p in problems(take(busy())) if p.kind == "node"]

    assert "resources are unknown" in down.detail
    assert down.since.clock == "14:21:08"
    assert down.since.text == "10 min"


def test_banner_names_the_worst():
    """The verdict is the worst of all; the tiles count what is up of what is known."""
    shown = banner(take(busy()))

    assert (shown.state, shown.verdict) == ("failed", "Degraded")
    assert shown.title == "(2) atlas – degraded"
    assert shown.says[0][0] == "Service search.service on node5 failed"
    assert shown.more == 2
    tiles = {t.title: (t.n, t.of, t.status, t.bad) for t in shown.tiles}
    assert tiles["Nodes"] == ("4", "of 5 up", "failed", 1)
    assert tiles["Adapters"][2:] == ("warning", 1)


def test_a_healthy_cluster_is_fine():
    """Where all is well the page says so, in a word."""
    shown = banner(take(quiet()))

    assert (shown.verdict, shown.title, shown.says) == ("Fine", "atlas – fine", ())
    assert problems(take(quiet())) == []


def test_a_node_that_never_came_is_missing_not_absent():
    """A node of the configuration that was never heard counts as missing, and makes the verdict unknown."""
    node = quiet()
    away = Resource(
        node="node9", kind="node", subject="node9", status="unknown", attributes={"state": "unknown"}
    )
    node.board.set_node(away)
    shown = banner(take(node))

    assert shown.verdict == "Unknown"
    assert (shown.tiles[0].n, shown.tiles[0].of) == ("1", "of 2 up")
    assert shown.says[0][0] == "node9 has not been heard yet"


def test_a_node_that_others_hear_is_not_said_to_be_silent():
    """Where only the direct path is missing the page says that, not that the node does not answer."""
    node = WebNode()
    attributes = {"state": "suspect", "path": "indirect"}
    node.say("node.suspect", "node2", "warning", "no direct path", attributes)
    (problem,) = [p for p in problems(take(node)) if p.kind == "node"]

    assert "no direct path" in problem.title
    assert "does not answer" not in problem.title


def test_what_nobody_observes_is_not_fine():
    """Where no generator observes a kind its tile is unknown, and the whole is not called fine."""
    node = WebNode()
    node.say("node.joined", "node1", "ok", "node1 is up", {"state": "up"})
    shown = banner(take(node))

    assert shown.verdict == "Unknown"
    assert [(t.of, t.status) for t in shown.tiles if t.title == "Services"] == [("not observed", "unknown")]


def test_switched_off_is_said_and_no_alarm():
    """A generator that the operator switched off does not make the verdict unknown, nor its tile fine."""
    node = quiet()
    for subject in [r.subject for r in take(node).of("service")]:
        node.say("service.removed", subject, "gone", "x")
    off = {"state": "disabled", "reason": "", "kinds": ["service"]}
    node.say("agent.generator-disabled", "generator/services", "ok", "generator services is disabled", off)
    shown = banner(take(node))

    assert shown.verdict == "Fine"
    assert [(t.of, t.status) for t in shown.tiles if t.title == "Services"] == [("switched off", "unknown")]


def test_unavailable_generators_show():
    """A source that is missing is a line of its own with its reason, and counts in the tile."""
    node = quiet()
    gone = {"state": "unavailable", "reason": "no system bus", "kinds": ["service"]}
    node.say("agent.generator-unavailable", "generator/services", "unknown", "x", gone)
    (problem,) = problems(take(node))

    assert (problem.title, problem.detail) == ("Generator services on node1 is unavailable", "no system bus")
    (tile,) = [t for t in banner(take(node)).tiles if t.title == "Services"]
    assert (tile.n, tile.of, tile.status, tile.bad) == ("0", "of 3 fine", "unknown", 3)


def test_degraded_and_unready_are_said():
    """What may be incomplete is said in the banner."""
    node = quiet()
    node.unsure, node.reason = ("node2",), "joining"

    assert banner(take(node)).notes == ("Not ready: joining.", "Events of node2 may be incomplete here.")


def test_status_of_no_known_kind_is_unknown():
    """A status that is none of ours is never shown as fine."""
    node = quiet()
    node.board.state(Resource(node="node1", kind="x", subject="y", status="splendid", origin="node1"))

    assert [p.mark.status for p in problems(take(node))] == ["unknown"]


def test_the_tree_keeps_its_places():
    """Nodes and subsystems stand by name, whatever their state; the worst and its count stand beside."""
    shown = tree(take(busy()), "/nodes", "/nodes")

    assert [b.title for b in shown.branches] == ["Nodes", "Services", "Adapters", "Storage", "Agents"]
    assert [leaf.text for leaf in shown.branches[0].leaves] == [
        "All nodes",
        *(f"node{n}" for n in range(1, 6)),
    ]
    assert (shown.branches[0].status, shown.branches[0].count) == ("failed", "1")
    assert [leaf.current for leaf in shown.branches[0].leaves] == [True, *[False] * 5]
    statuses = [leaf.mark.status for leaf in shown.branches[0].leaves]
    assert statuses == ["", "ok", "warning", "ok", "failed", "failed"]


def test_a_leaf_of_the_tree_says_what_its_sign_says():
    """Beside the sign of a failure the word is not just "Up"."""
    leaves = tree(take(busy()), "/", "/").branches[0].leaves

    assert [leaf.mark.word for leaf in leaves[1:4]] == ["Up", "Up, warning", "Up"]
    assert leaves[4].mark.word == "Down"
    assert leaves[5].mark.word == "Up, failed"


@pytest.mark.parametrize("tab", ["", "&tab=problems"])
def test_only_one_leaf_is_the_current_page(tab):
    """The page of node10 is not that of node1."""
    node = busy()
    node.board.state(Resource(node="node10", kind="node", subject="node10", status="ok", origin="node1"))

    shown = tree(take(node), "/services", f"/services?node=node10{tab}")

    assert [leaf.text for b in shown.branches for leaf in b.leaves if leaf.current] == ["node10"]


def test_kinds_of_publishers_have_a_place():
    """A kind of a publisher's own appears under Other, and from then on is of interest to the banner."""
    node = quiet()
    node.say("backup.failed", "nightly", "failed", "nightly failed: disk full")
    snapshot = take(node)

    assert tree(snapshot, "/", "/").branches[-1].title == "Other"
    assert Interests.parse(banner(snapshot).on).match("backup.finished", "node1", "nightly")
    assert problems(snapshot)[0].href == "/other"


@pytest.mark.parametrize(
    "at", ["/", "/other", "/other?tab=problems", "/other?node=node1", "/nodes/node1", "/find?q=x"]
)
def test_what_may_show_a_new_kind_is_told_of_it(at):
    """Of a kind that has no name here yet, a page learns by agent.kind-added."""
    on = content(take(quiet()), address(at)).on

    assert Interests.parse(on).match("agent.kind-added", "node1", "backup")


def test_nodes_table():
    """A node that is not there shows no present values, and since when."""
    rows = {row.cells[0].text: row for row in panels.nodes(take(busy())).rows}

    assert rows["node1"].cells[7].text == "this one"
    assert rows["node2"].cells[1].mark == Mark("warning", "eth1 no carrier")
    assert [rows["node4"].cells[n].text for n in (2, 3, 4, 5, 6)] == ["–"] * 5
    since = rows["node4"].cells[7].since
    assert since is not None
    assert since.text == "10 min"
    assert rows["node5"].cells[2].level == "warning"


def test_the_ribbon_tells_the_past():
    """The last six hours of a node that was down once and is again, in a sentence too."""
    chart = panels.nodes(take(busy())).rows[3].cells[8].chart or ""
    assert "node4: of the last 6 hours failed in" in chart
    assert chart.count('class="failed"') == 2


@pytest.mark.parametrize(
    ("at", "on"),
    [
        ("/adapters", "adapter.*"),
        ("/storage", "storage.*"),
        ("/services", "service.*"),
        ("/agents", "agent.*"),
        ("/adapters?node=node2", "adapter.*@node2"),
        ("/nodes/node5", "*@node5"),
        ("/events?on=backup.*", "backup.*"),
        ("/events", "*"),
        ("/", "*"),
    ],
)
def test_interests_of_content(at, on):
    """A page registers for what it shows and no more."""
    assert content(take(busy()), address(at)).on == on


def test_only_measured_values_are_refreshed_by_time():
    """Adapters and services change by events alone."""
    snapshot = take(busy())
    assert content(snapshot, address("/nodes")).every == 10
    assert content(snapshot, address("/adapters")).every == 0
    assert content(snapshot, address("/services")).every == 0
    assert content(snapshot, address("/adapters?tab=performance")).every == 10


def test_events_are_filtered():
    """The list is narrowed by interest and by severity or worse; a bad interest is told, not raised."""
    snapshot = take(busy())
    rows = content(snapshot, address("/events?on=backup.*&severity=error")).sections[0].data.rows
    assert rows
    assert {(r.type, r.severity) for r in rows} == {("backup.step", "error")}
    broken = content(snapshot, address("/events?on=@")).sections[0].data
    assert "is not an interest" in broken.error
    assert broken.rows == ()


@pytest.mark.parametrize(
    "at", ["", "//[", "/nodes/", "/nodes/a/b", "/nodes/%00", "?x", "/nope", "http://x/y", "/" * 9999]
)
def test_any_address_is_answered(at):
    """Whatever stands in the address, there is content, and no exception."""
    assert content(take(quiet()), address(at)).sections


def test_ids_are_unique_and_safe():
    """Different names have different ids, of letters, digits, - and _ only, and short."""
    names = ["a", "a_", "a__b", "a/b", "a b", "A", "ä", "", *HOSTILE, "x" * 1024, "x" * 1023 + "y"]
    made = [wording.slug("p", n) for n in names] + [wording.slug("p", "a", "b"), wording.slug("p__a", "b")]

    assert len(set(made)) == len(made)
    assert all(id.replace("-", "").replace("_", "").isalnum() and len(id) < 130 for id in made)
    assert all(id.isascii() for id in made)


def test_links_of_events():
    """Only a whole http or https address becomes a link."""
    assert wording.link_of("https://wiki.example/runbook?x=1#y") == "https://wiki.example/runbook?x=1#y"
    for text in (
        *HOSTILE,
        "javascript:alert(1)",
        "see https://x.example",
        "data:text/html,x",
        "//x",
        "ftp://x",
    ):
        assert wording.link_of(text) == ""


def test_texts_cannot_turn_around():
    """Characters that reverse the direction of text or control a terminal are replaced, long text is cut."""
    assert wording.text_of("a\u202eb\u2066c\u0007") == "a\ufffdb\ufffdc\ufffd"
    assert len(wording.text_of("x" * 5000)) == 400
    assert wording.text_of([1, True, {"a": None}]) == "1, yes, a: "


def test_words():
    """Sizes, ages, counts and rates in the units that people use."""
    assert [wording.size(n) for n in (512, 8 << 30, 2 << 50, "x", True)] == [
        "512 B",
        "8.0 GiB",
        "2.0 PiB",
        "",
        "",
    ]
    assert [wording.bits(b) for b in (None, 1000, 1e6, 1e8)] == ["", "0.01", "8.0", "800"]
    assert wording.said("eth1 is down (switched off)", "eth1") == ("is down", "switched off")
    assert wording.said("x failed: exit 1 (3 restarts)", "x") == ("failed", "exit 1 (3 restarts)")
    assert wording.said("something else", "x") == ("", "something else")
    assert wording.clock("nonsense", "") == ""


def test_a_clock_that_goes_ahead_makes_no_negative_age():
    """An event dated in the future has the age zero."""
    node = quiet()
    node.say("service.failed", "x", "failed", "x failed", ago=-timedelta(days=1).total_seconds())

    assert problems(take(node))[0].since.text == "0 s"
