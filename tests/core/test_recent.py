"""What people read: the last arrivals, counts a minute, how each node has been."""

from tocsin.core.event import Draft, Event, report, seal
from tocsin.core.interest import Interests
from tocsin.core.recent import KEEP, MINUTES, Change, Minute, Recent

WALL = "2026-11-23T13:05:30.000000Z"


def event(draft: Draft, seq: int = 1, origin: str = "node1") -> Event:
    """An event of an origin, with its identity."""
    return seal(draft, cluster="atlas", origin=origin, incarnation=1, seq=seq, time=WALL)


def change(recent: Recent, type: str, subject: str, status: str | None, at: str, node: str = "") -> None:
    """One arrival that states a resource's status."""
    recent.add(1, event(report(type, subject, status, "words", node=node)), at)


def test_a_report_about_a_node_without_a_status_is_no_change():
    """It is among the arrivals all the same."""
    recent = Recent()
    change(recent, "node.clash", "node1", None, WALL)

    assert [] == recent.history("node1")
    assert 1 == len(recent)


def test_newest_first_and_bounded():
    """The newest arrival comes first, and no more than a thousand are kept."""
    recent = Recent()
    for seq in range(1, KEEP + 6):
        recent.add(seq, event(Draft(type="test.thing", subject=f"s{seq}"), seq), WALL)

    assert KEEP == len(recent)
    assert KEEP + 5 == recent.total
    assert [KEEP + 5, KEEP + 4] == [item.number for item in recent.matching(limit=2)]
    assert recent.matching()[0].recordedtime == WALL


def test_filters():
    """Interests and severities narrow the list."""
    recent = Recent()
    recent.add(1, event(Draft(type="backup.finished", subject="a"), 1), WALL)
    recent.add(2, event(Draft(type="backup.failed", subject="a", severity="error"), 2), WALL)
    recent.add(3, event(Draft(type="deploy.done"), 3), WALL)

    backups = Interests.parse("backup.*")
    assert [2, 1] == [item.number for item in recent.matching(backups)]
    assert [2] == [item.number for item in recent.matching(backups, severities=("error", "critical"))]
    assert [] == recent.matching(Interests.parse("node.*"))


def test_counts_a_minute():
    """Arrivals are counted by minute and severity; minutes without any are there as zeros."""
    recent = Recent()
    for severity in ("info", "notice", "warning", "error", "critical"):
        recent.add(1, event(Draft(type="a.b", severity=severity)), WALL)
    recent.add(1, event(Draft(type="a.b")), "2026-11-23T13:03:59.000000Z")

    minutes = recent.per_minute(WALL)

    assert len(minutes) == MINUTES
    assert minutes[-1] == Minute("2026-11-23T13:05", 2, 1, 2)
    assert minutes[-2] == Minute("2026-11-23T13:04")
    assert minutes[-3] == Minute("2026-11-23T13:03", 1)
    assert minutes[0].start == "2026-11-23T12:06"


def test_counts_are_bounded():
    """Minutes that no chart shows any more are let go."""
    recent = Recent()
    for hour in range(5):
        for minute in range(60):
            recent.add(1, event(Draft(type="a.b")), f"2026-11-23T{hour:02d}:{minute:02d}:00.000000Z")

    assert MINUTES + 1 == len(recent._minutes)
    assert sum(m.info for m in recent.per_minute("2026-11-23T04:59:30.000000Z")) == MINUTES


def test_history_is_the_worst_of_a_node():
    """A node's history follows the worst of the node and its resources, and ends when all is well."""
    recent = Recent()
    change(recent, "adapter.down", "eth1", "warning", "2026-11-23T10:00:00.000000Z")
    change(recent, "service.failed", "web.service", "failed", "2026-11-23T10:01:00.000000Z")
    change(recent, "adapter.up", "eth1", "ok", "2026-11-23T10:02:00.000000Z")
    change(recent, "service.removed", "web.service", "gone", "2026-11-23T10:03:00.000000Z")
    change(recent, "deploy.done", "x", None, "2026-11-23T10:04:00.000000Z")

    assert recent.history("node1") == [
        Change("2026-11-23T10:00:00.000000Z", "warning"),
        Change("2026-11-23T10:01:00.000000Z", "failed"),
        Change("2026-11-23T10:03:00.000000Z", "ok"),
    ]
    assert recent.history("node2") == []


def test_history_of_a_node_told_by_another():
    """What others tell about a node is that node's history, not theirs; a forgotten node has none."""
    recent = Recent()
    change(recent, "node.down", "node2", "failed", "2026-11-23T10:00:00.000000Z", node="node2")
    assert recent.history("node2") == [Change("2026-11-23T10:00:00.000000Z", "failed")]
    assert recent.history("node1") == []

    change(recent, "node.forgotten", "node2", "gone", "2026-11-23T10:05:00.000000Z", node="node2")
    assert recent.history("node2") == []


def test_history_is_bounded_by_age():
    """Changes older than six hours go, but the last of them stays: it says how the history begins."""
    recent = Recent()
    change(recent, "service.failed", "a", "failed", "2026-11-23T01:00:00.000000Z")
    change(recent, "service.started", "a", "ok", "2026-11-23T02:00:00.000000Z")
    change(recent, "service.failed", "a", "failed", "2026-11-23T09:00:00.000000Z")

    assert recent.history("node1") == [
        Change("2026-11-23T02:00:00.000000Z", "ok"),
        Change("2026-11-23T09:00:00.000000Z", "failed"),
    ]
