"""The board: a fold of events, by sections that can be replaced, honest about what is not known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tocsin.core.board import Board, Resource, worst
from tocsin.core.bus import Arrival, Burst
from tocsin.core.event import Event, report, seal
from tocsin.core.sequence import sequence_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def event(type: str, subject: str, status: str | None, *, seq: int = 1, **more: Any) -> Event:
    """An event of node1's first life, or of ``origin``'s ``incarnation``."""
    origin, incarnation = more.pop("origin", "node1"), more.pop("incarnation", 1)
    draft = report(type, subject, status, more.pop("summary", ""), more.pop("attributes", None), **more)
    time = f"2026-11-23T12:00:{seq % 60:02d}.000000Z"
    return seal(draft, cluster="c", origin=origin, incarnation=incarnation, seq=seq, time=time)


def shown(board: Board) -> dict[tuple[str, str, str], str]:
    """Status by resource."""
    return {resource.key: resource.status for resource in board.resources(NOW)}


def test_a_resource_is_what_its_last_event_says() -> None:
    """Status, summary, attributes; since when it is so, and when it was last told of."""
    board = Board()
    board.fold(event("service.failed", "a", "failed", seq=1, summary="exit 1", attributes={"code": 1}))
    board.fold(event("service.failed", "a", "failed", seq=2, summary="exit 2"))
    [resource] = board.section("node1")
    assert ("failed", "exit 2", {}, "service.failed") == (
        resource.status,
        resource.summary,
        resource.attributes,
        resource.type,
    )
    assert ("2026-11-23T12:00:01.000000Z", "2026-11-23T12:00:02.000000Z") == (
        resource.since,
        resource.updated,
    )
    board.fold(event("service.started", "a", "ok", seq=3))
    own = board.own("node1", "service", "a")
    assert own is not None
    assert ("ok", "2026-11-23T12:00:03.000000Z") == (own.status, own.since)
    assert sequence_of(1, 3) == board.stamp("node1")


@pytest.mark.parametrize("said", [(None, None), ("ok", None, "failed"), (None, "gone", None, "ok")])
def test_a_burst_is_folded_as_one_event_after_another(said: tuple[str | None, ...]) -> None:
    """Of several origins, also where none of it changes anything; what is behind the stamp is no news."""
    together, singly = Board(), Board()
    burst = [
        event(kind, "a", status, seq=seq, origin=origin)
        for seq, status in enumerate(said, start=1)
        for origin, kind in (("node1", "service.changed"), ("node2", "backup.changed"), ("node1", "node.x"))
    ]
    for board in (together, singly):
        board.replace("node2", sequence_of(1, 2), [])
    told = together.fold_burst(Burst.of([Arrival(each, 0.0) for each in burst]))
    alone = [(each, singly.fold(each)) for each in burst]
    assert told == alone
    for origin in ("node1", "node2"):
        assert together.section(origin) == singly.section(origin)
        assert together.stamp(origin) == singly.stamp(origin)


def test_a_flood_that_states_nothing_moves_the_stamps_on() -> None:
    """And never back: a section may be true at more than a burst contains."""
    board = Board()
    board.replace("node2", sequence_of(1, 9), [])
    flood = [
        event("backup.step", "a", None, seq=seq, origin=o) for seq in (1, 2, 3) for o in ("node1", "node2")
    ]
    assert [] == board.fold_burst(Burst.of([Arrival(each, 0.0) for each in flood]))
    assert (sequence_of(1, 3), sequence_of(1, 9)) == (board.stamp("node1"), board.stamp("node2"))
    assert {} == shown(board)


def test_events_without_a_status_change_nothing_but_the_stamp() -> None:
    """Of a resource and of a node."""
    board = Board()
    board.fold(event("service.restarting", "a", None, seq=1))
    board.fold(event("node.clash", "node1", None, seq=2))
    assert {} == shown(board)
    assert sequence_of(1, 2) == board.stamp("node1")


def test_gone_removes_and_an_unknown_word_is_unknown() -> None:
    """A status that nobody knows is not taken for fine."""
    board = Board()
    board.fold(event("device.added", "usb1", "ok", seq=1))
    board.fold(event("device.odd", "usb2", "excellent", seq=2))
    board.fold(event("device.removed", "usb1", "gone", seq=3))
    assert {("node1", "device", "usb2"): "unknown"} == shown(board)


def test_a_section_replaces_what_was_and_later_events_go_on_top() -> None:
    """Events at or before the stamp are not folded again."""
    board = Board()
    board.fold(event("service.failed", "old", "failed", seq=1))
    section = Resource(node="node1", kind="service", subject="a", status="ok", origin="node1")
    board.replace("node1", sequence_of(1, 5), [section])
    board.fold(event("service.failed", "a", "failed", seq=5))
    assert {("node1", "service", "a"): "ok"} == shown(board)
    board.fold(event("service.failed", "a", "failed", seq=6))
    assert {("node1", "service", "a"): "failed"} == shown(board)


def test_nodes_are_told_by_observers() -> None:
    """A node's own state is in no section: the last report stands, also with a smaller sequence."""
    board = Board()
    board.fold(event("node.down", "node2", "failed", seq=9, node="node2", attributes={"state": "down"}))
    board.fold(event("node.up", "", "ok", seq=1, origin="node3", node="node2", attributes={"state": "up"}))
    assert ["node2"] == [node.subject for node in board.nodes()]
    node = board.node("node2")
    assert node is not None
    assert ("ok", "node3") == (node.status, node.origin)
    assert board.node("node9") is None


def test_a_node_that_is_gone_takes_its_things_along() -> None:
    """``tocsin forget`` leaves nothing of it."""
    board = Board()
    board.fold(event("service.failed", "a", "failed", seq=1, origin="node2"))
    board.doubt("node2", "why")
    board.fold(event("node.forgotten", "node2", "gone", node="node2"))
    assert ({}, "", None) == (shown(board), board.stamp("node2"), board.own("node2", "service", "a"))
    board.forget("never heard of")


@pytest.mark.parametrize("state", ["down", "left", "unknown"])
def test_what_a_node_that_is_away_reported_is_unknown(state: str) -> None:
    """It is shown with what was last known; as it was once the node is back."""
    board = Board()
    board.fold(event("service.started", "a", "ok", seq=1, summary="running"))
    board.fold(event("service.odd", "b", "unknown", seq=2, summary="?"))
    board.set_node(
        Resource(node="node1", kind="node", subject="node1", status="failed", attributes={"state": state})
    )
    by_subject = {resource.subject: resource for resource in board.resources(NOW)}
    assert ("unknown", f"node1 is {state}; last known: running") == (
        by_subject["a"].status,
        by_subject["a"].summary,
    )
    assert "?" == by_subject["b"].summary
    assert ["ok", "unknown"] == [resource.status for resource in board.section("node1")]


def test_a_section_in_doubt_is_unknown_until_it_is_replaced() -> None:
    """An origin that cannot be asked: nothing of it is claimed."""
    board = Board()
    board.fold(event("service.started", "a", "ok"))
    board.doubt("node1", "events were lost")
    [resource] = board.resources(NOW)
    assert ("unknown", "events were lost; last known: ok") == (resource.status, resource.summary)
    board.replace("node1", sequence_of(1, 9), board.section("node1"))
    assert {("node1", "service", "a"): "ok"} == shown(board)


@pytest.mark.parametrize(
    ("expirytime", "status"),
    [
        ("2026-11-23T11:59:59Z", "unknown"),
        ("2026-11-23T12:00:00Z", "unknown"),
        ("2026-11-23T12:00:01Z", "ok"),
        ("2026-11-23T12:00:00", "ok"),  # no time zone: not a time
        ("tomorrow", "ok"),
        ("", "ok"),
    ],
)
def test_what_has_expired_is_unknown(expirytime: str, status: str) -> None:
    """A state that was to be renewed and was not is not known to hold; an unreadable time is none."""
    board = Board()
    board.fold(event("lease.held", "a", "ok", expirytime=expirytime))
    assert {("node1", "lease", "a"): status} == shown(board)


def test_what_is_found_at_the_first_start_needs_no_event() -> None:
    """It is put on the board silently."""
    board = Board()
    board.state(Resource(node="node1", kind="service", subject="a", status="ok", origin="node1"))
    assert ({("node1", "service", "a"): "ok"}, "") == (shown(board), board.stamp("node1"))


def test_the_only_resource_of_its_kind_is_noticed() -> None:
    """The first resource of a kind is said to be that, on whatever way the others came and went."""
    board = Board()
    assert not board.fold(event("backup.began", "a", None, seq=1))  # no status: no resource
    assert board.fold(event("backup.done", "a", "ok", seq=2))
    assert not board.fold(event("backup.failed", "a", "failed", seq=3))
    assert not board.fold(event("backup.done", "b", "ok", seq=4))
    assert not board.fold(event("backup.removed", "a", "gone", seq=5))
    assert not board.fold(event("backup.removed", "a", "gone", seq=6))
    assert not board.fold(event("backup.removed", "b", "gone", seq=7))
    assert board.fold(event("backup.done", "b", "ok", seq=8))

    [resource] = board.section("node1")
    board.forget("node1")
    board.state(resource)
    board.state(resource)
    assert not board.fold(event("backup.done", "c", "ok", seq=9))
    board.replace("node1", sequence_of(1, 9), [resource])
    board.replace("node1", sequence_of(1, 9), [])
    assert board.fold(event("backup.done", "c", "ok", seq=10))
    assert not board.fold(event("backup.done", "c", "ok", seq=1, origin="node2"))


def test_the_worst_of_some() -> None:
    """Not known to be fine is worse than fine, and better than known to be bad."""
    assert "failed" == worst(["ok", "failed", "warning"])
    assert "unknown" == worst(["ok", "unknown", "gone"])
    assert "warning" == worst(["unknown", "warning", "ok"])
    assert "excellent" == worst(["ok", "excellent"])
    assert "ok" == worst([])


def test_what_a_dead_generator_observed_is_unknown() -> None:
    """Resources of the kinds that a failed generator observes are unknown until it runs again."""
    board = Board()
    health = {"state": "failed", "kinds": ["adapter"]}
    board.state(Resource(node="n1", kind="adapter", subject="eth0", status="ok", origin="n1"))
    board.state(Resource(node="n1", kind="storage", subject="/", status="ok", origin="n1"))
    dead = Resource(
        node="n1", kind="agent", subject="generator/adapters", status="failed", attributes=health, origin="n1"
    )
    board.state(dead)
    now = datetime(2026, 1, 1, tzinfo=UTC)

    shown = {r.subject: (r.status, r.summary) for r in board.resources(now)}
    assert ("unknown", "the generator adapters is failed; last known: ok") == shown["eth0"]
    assert "ok" == shown["/"][0]
    assert "failed" == shown["generator/adapters"][0]
