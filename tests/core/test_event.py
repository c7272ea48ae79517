"""The event: identity, bytes that are made once, and what is refused at the door."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tocsin.core.errors import CodecError, EventTooLarge
from tocsin.core.event import (
    MAX_EVENT_BYTES,
    Draft,
    Event,
    Payload,
    decode,
    decode_all,
    report,
    seal,
    seal_all,
)
from tocsin.core.sequence import sequence_of

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
    """Also of events that nobody asked for more than their identity until now."""
    one, other = (decode(sealed(Draft(type="a.b", subject="a subject"), seq).body) for seq in (1, 2))
    assert one.subject is other.subject
    assert one.severity is other.severity
    assert one.id is one.sequence
    assert one.subject is one.subject, "read once"


def test_an_event_is_its_bytes() -> None:
    """Two are the same if their bytes are, whatever has been read of them."""
    one, other = sealed(Draft(type="a.b", subject="x")), sealed(Draft(type="a.b", subject="x"))
    assert "x" == one.subject
    assert (one, 1) == (other, len({one, other}))
    assert one != sealed(Draft(type="a.b", subject="y"))
    assert one != one.body


@pytest.mark.parametrize("depth", [100, 450, 800])
def test_what_could_be_read_once_can_always_be_read(depth: int) -> None:
    """Also nesting that can be read when the event comes, but not from where it is asked for."""
    body = sealed(Draft(type="a.b", subject="x")).body
    body = body.replace(b'"data":null', b'"data":' + b"[" * depth + b"]" * depth)
    event = decode(body)

    def deep(calls: int) -> str:
        return deep(calls - 1) if calls else event.subject

    assert "x" == deep(400)
    assert Payload() == event.payload()


class TestABurst:
    """Events that follow each other are read at once where there is nothing special in any of them."""

    DRAFTS = (
        Draft(type="a.b", subject="x", data={"summary": "words"}),
        Draft(type="a.b", severity="error", data={"status": None}),
        Draft(type="c.d", data={}),
    )

    def read(self, *drafts: Draft, origin: str = "node1", first: int = 1) -> list[Event]:
        """What is read of a burst that ``node1`` has sealed, from number 1 on."""
        events = seal_all(drafts, cluster="lab", origin="node1", incarnation=3, seq=1, time=TIME)
        sequences = [sequence_of(3, first + n) for n in range(len(drafts))]
        return decode_all([event.body for event in events], sequences, origin)

    def test_is_what_its_origin_sealed(self) -> None:
        """The same as one by one, and as at the origin."""
        events = seal_all(self.DRAFTS, cluster="lab", origin="node1", incarnation=3, seq=1, time=TIME)
        found = self.read(*self.DRAFTS)
        assert events == found == [decode(event.body) for event in events]
        for here, there in zip(found, events, strict=True):
            for name in ("id", "origin", "sequence", "severity", "plain", "type", "subject", "node", "time"):
                assert getattr(there, name) == getattr(here, name), name
        assert ["x", "", ""] == [event.subject for event in found]

    @pytest.mark.parametrize(
        "special",
        [
            Draft(type="service.failed", data={"status": "failed"}),
            Draft(type="node.down"),
            Draft(type="a.b", id="an id of its own"),
            Draft(type="a.b", node="node2"),
            Draft(type="a.b", data="text is no payload"),
            Draft(type="a.b", data={"status": ""}),
        ],
        ids=lambda draft: str(draft.type),
    )
    def test_with_something_special_is_read_one_by_one(self, special: Draft) -> None:
        """A status, a report about a node, an id: each is looked at."""
        assert [] == self.read(self.DRAFTS[0], special, self.DRAFTS[1])

    def test_of_somebody_else_or_with_other_numbers_is_not(self) -> None:
        """Whatever a message says: what counts is in the events."""
        assert [] == self.read(*self.DRAFTS, origin="node2")
        assert [] == self.read(*self.DRAFTS, first=2)
        assert [] == decode_all([b"{}"], [sequence_of(3, 1)], "node1")


@pytest.mark.parametrize("type", ["node.down", "rail.down"])
def test_an_origin_speaks_for_others_only_of_nodes_and_rails(type: str) -> None:
    """Whatever else it says of another node is refused, and what is not its own at all."""
    body = sealed(Draft(type=type, node="node2")).body
    assert "node2" == decode(body, origin="node1").node
    with pytest.raises(CodecError, match="of 'node1', not of 'node3' as its message says"):
        decode(body, origin="node3")
    with pytest.raises(CodecError, match="of 'node1' about 'node2'"):
        decode(body.replace(type.encode(), b"service.down"), origin="node1")


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
