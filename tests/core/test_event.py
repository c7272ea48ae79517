"""The event: identity, bytes that are made once, and what is refused at the door."""

from __future__ import annotations

import json
from typing import Any

import pytest

import tocsin.core.event as event_module
from tocsin.core.errors import CodecError, EventError, EventTooLarge, ReservedKind
from tocsin.core.event import (
    KINDS_OF_AGENTS,
    MAX_EVENT_BYTES,
    Draft,
    Event,
    Payload,
    check_published,
    decode,
    incarnation_of,
    report,
    seal,
    seq_of,
    sequence_of,
)

TIME = "2026-11-23T12:00:00.000001Z"


def sealed(draft: Draft, seq: int = 7) -> Event:
    """The draft as the seventh event of node1's third life."""
    return seal(draft, cluster="lab", origin="node1", incarnation=3, seq=seq, time=TIME)


def test_an_event_is_a_cloudevent_with_an_identity() -> None:
    """What the draft leaves open is filled in; the pair (origin, sequence) is the identity."""
    event = sealed(report("service.failed", "nginx.service", "failed", "exit code 1"))
    assert {
        "specversion": "1.0",
        "id": "0000000000003-000000000007",
        "source": "/clusters/lab/nodes/node1",
        "type": "service.failed",
        "subject": "nginx.service",
        "time": TIME,
        "origin": "node1",
        "sequence": "0000000000003-000000000007",
        "node": "node1",
        "severity": "error",
        "data": {"status": "failed", "summary": "exit code 1"},
    } == json.loads(event.body)
    assert ("service", 3, 7) == (event.kind, event.incarnation, event.seq)


def test_a_publishers_attributes_are_kept() -> None:
    """Source, id, time, expiry and extensions of the draft stay; an empty subject is not written."""
    draft = Draft(
        type="backup.finished",
        id="abc",
        source="/robot",
        time="2020-01-01T00:00:00Z",
        node="node2",
        expirytime="2030-01-01T00:00:00Z",
        extensions={"traceparent": "00-1"},
    )
    event = sealed(draft)
    written = json.loads(event.body)
    assert ("abc", "/robot", "2020-01-01T00:00:00Z") == (event.id, event.source, event.time)
    assert ("node2", "2030-01-01T00:00:00Z", "00-1") == (event.node, event.expirytime, written["traceparent"])
    assert "subject" not in written
    assert "" == event.subject


def test_the_bytes_are_made_once() -> None:
    """What comes from a rail is the same event with the same bytes."""
    event = sealed(Draft(type="a.b", data={"x": [1, 2.5, None, "ü"]}))
    assert event == decode(event.body)
    assert event.body is decode(event.body).body or event.body == decode(event.body).body


def test_an_event_is_here_what_the_others_read() -> None:
    """Also where a generator put an attribute among the extensions that has a place of its own."""
    event = sealed(Draft(type="a.b", node="node2", extensions={"node": "node3", "severity": "error"}))
    assert ("node3", "error") == (event.node, event.severity)
    assert event == decode(event.body)
    with pytest.raises(CodecError):
        sealed(Draft(type="a.b", extensions={"sequence": "1"}))


def test_plain_events_change_nothing() -> None:
    """What has a status or is about a node is not; the same at its origin and elsewhere."""
    for draft, plain in (
        (Draft(type="backup.step", data={"summary": "no status"}), True),
        (Draft(type="backup.step", data="not an object"), True),
        (Draft(type="backup.step", data={"status": None}), True),
        (Draft(type="backup.done", data={"status": "ok"}), False),
        (Draft(type="node.clash"), False),
        (Draft(type="backup.done", data={"status": "ok"}, extensions={"_plain": True}), False),
    ):
        event = sealed(draft)
        assert (plain, plain) == (event.plain, decode(event.body).plain)
        assert plain is False or event.statement() is None


def test_words_that_many_events_have_are_in_memory_once() -> None:
    """Whatever publishers think of as words costs a bounded amount of memory."""
    one, other = (decode(sealed(Draft(type="a.b", subject="a subject"), seq).body) for seq in (1, 2))
    assert one.subject is other.subject
    assert one.id is one.sequence
    bodies = [sealed(Draft(type="a.b", subject=f"subject {seq}"), seq).body for seq in range(12_000)]
    assert [f"subject {seq}" for seq in range(12_000)] == [decode(body).subject for body in bodies]
    assert len(event_module._words) <= 10_010


def test_sequences_sort_as_text() -> None:
    """Text order is the order of lives, and within a life of numbers."""
    pairs = [(1, 2), (1, 10), (2, 1), (10, 1), (1_764_000_000_000, 999_999_999_999)]
    texts = [sequence_of(*pair) for pair in pairs]
    assert sorted(texts) == texts
    assert pairs == [(incarnation_of(text), seq_of(text)) for text in texts]


def test_an_event_has_at_most_16_kib() -> None:
    """The limit counts the whole event as it is carried."""
    small = len(sealed(Draft(type="a.b", data="")).body)
    assert MAX_EVENT_BYTES == len(sealed(Draft(type="a.b", data="x" * (MAX_EVENT_BYTES - small))).body)
    with pytest.raises(EventTooLarge) as error:
        sealed(Draft(type="a.b", data="x" * (MAX_EVENT_BYTES - small + 1)))
    assert (MAX_EVENT_BYTES + 1, MAX_EVENT_BYTES) == (error.value.size, error.value.limit)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"id":"\xff"}',
        b"[" * 100_000,
        sealed(Draft(type="a.b")).body.replace(b"0000000000003-", b"3-"),
        sealed(Draft(type="a.b")).body.replace(b'"origin":"node1"', b'"origin":1'),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_bytes_that_are_no_event(body: bytes) -> None:
    """Whatever comes from elsewhere is an event or one kind of error."""
    with pytest.raises(CodecError, match="not an event"):
        decode(body)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"status": "ok", "summary": "s", "attributes": {"a": 1}}, Payload("ok", "s", {"a": 1})),
        ({"status": "ok", "more": 1}, Payload("ok")),
        ({"summary": 5}, Payload()),
        (None, Payload()),
        ("text", Payload()),
        ([1], Payload()),
    ],
)
def test_the_payload_is_what_the_board_understands(data: Any, expected: Payload) -> None:
    """Data of a publisher's own shape is no error: the event passes, the board stays."""
    assert expected == sealed(Draft(type="a.b", data=data)).payload()


@pytest.mark.parametrize(
    ("status", "severity"),
    [
        ("ok", "info"),
        ("warning", "warning"),
        ("failed", "error"),
        ("unknown", "notice"),
        ("gone", "notice"),
        (None, "info"),
    ],
)
def test_the_severity_follows_from_the_status(status: str | None, severity: str) -> None:
    """Unless it is given; a report without a status says none."""
    draft = report("a.b", "s", status, "words")
    assert (severity, {"summary": "words"} | ({"status": status} if status else {})) == (
        draft.severity,
        draft.data,
    )
    given = report("a.b", "s", status, "w", {"x": 1}, node="n", severity="critical", expirytime=TIME)
    assert ("critical", "n", TIME, {"x": 1}) == (
        given.severity,
        given.node,
        given.expirytime,
        given.data["attributes"],
    )


@pytest.mark.parametrize(
    ("draft", "attribute"),
    [
        (Draft(type=""), "type"),
        (Draft(type="backup"), "type"),
        (Draft(type="Backup.Finished"), "type"),
        (Draft(type="backup.finished\n"), "type"),
        (Draft(type="a." + "b" * 200), "type"),
        (Draft(type="a.b", subject="x" * 1025), "subject"),
        (Draft(type="a.b", subject="x\x00"), "subject"),
        (Draft(type="a.b", subject="\ud800"), "subject"),
        (Draft(type="a.b", source="\x85"), "source"),
        (Draft(type="a.b", id="i" * 257), "id"),
        (Draft(type="a.b", node="node 1"), "node"),
        (Draft(type="a.b", node="node2"), "node"),
        (Draft(type="a.b", severity="bad"), "severity"),
        (Draft(type="a.b", data={"status": "fine"}), "data"),
        (Draft(type="a.b", data={"status": ["ok"]}), "data"),
        (Draft(type="a.b", data={"summary": 1}), "data"),
        (Draft(type="a.b", data={"attributes": []}), "data"),
    ],
)
def test_what_is_refused_from_publishers(draft: Draft, attribute: str) -> None:
    """The error names the attribute."""
    with pytest.raises(EventError) as error:
        check_published(draft, here="node1")
    assert attribute == error.value.attribute


@pytest.mark.parametrize("kind", sorted(KINDS_OF_AGENTS))
def test_kinds_of_agents_are_refused(kind: str) -> None:
    """Nobody but an agent says that a node is down."""
    with pytest.raises(ReservedKind):
        check_published(Draft(type=f"{kind}.down"), here="node1")


@pytest.mark.parametrize(
    "draft",
    [
        Draft(type="backup.finished"),
        Draft(type="backup.finished", node="node1", severity="critical", data={"status": "gone"}),
        Draft(type="a-1.b_2.c", subject="ü: 中", data=[1, 2]),
        Draft(type="service.restarted", data={"status": None, "summary": "", "attributes": {}, "more": 1}),
    ],
)
def test_what_is_taken_from_publishers(draft: Draft) -> None:
    """Any kind but those of agents, about the node it was posted to."""
    check_published(draft, here="node1")


def test_the_words_of_long_events_are_not_kept() -> None:
    """Whoever sends them: they would stay in memory when the events have left it."""
    event_module._words.clear()
    for seq in range(3):
        draft = Draft(type="a.b", subject=f"{seq}" * 2000)
        body = seal(draft, cluster="c", origin="n1", incarnation=1, seq=seq, time="").body
        assert f"{seq}" * 2000 == decode(body).subject
    assert {} == event_module._words
