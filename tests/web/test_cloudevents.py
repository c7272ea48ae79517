"""CloudEvents inbound: the three modes, and what is refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.event import Draft
from tocsin.web.cloudevents import read
from tocsin.web.problems import Problem

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
EVENT = {"specversion": "1.0", "id": "1", "source": "/backup", "type": "backup.finished"}
BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/backup", "ce-type": "backup.finished"}


def drafts(body: bytes | str, kind: str = STRUCTURED, **headers: str) -> list[Draft]:
    """What a request of this content type is read as."""
    given = [(b"content-type", kind.encode())] if kind else []
    given += [
        (name.replace("_", "-").encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]
    return read(given, body.encode() if isinstance(body, str) else body, cluster="c", here="node1")


def refused(body: bytes | str, kind: str = STRUCTURED, **headers: str) -> Problem:
    """The problem that it is refused with."""
    with pytest.raises(Problem) as caught:
        drafts(body, kind, **headers)
    json.loads(caught.value.body())
    return caught.value


def test_structured() -> None:
    """All attributes are kept, extensions too; null is the same as absent."""
    document = EVENT | {
        "subject": "/srv", "time": "2026-11-23T12:00:00.5+02:00", "severity": "warning", "node": "node1",
        "expirytime": "2026-11-24T12:00:00Z", "traceparent": "00-a", "retries": 3, "final": True,
        "dataschema": None, "data": {"status": "warning"},
    }  # fmt: skip

    [draft] = drafts(json.dumps(document), f'{STRUCTURED}; charset="UTF-8"')

    assert draft == Draft(
        type="backup.finished", id="1", source="/backup", subject="/srv", severity="warning", node="node1",
        time="2026-11-23T12:00:00.5+02:00", expirytime="2026-11-24T12:00:00Z", data={"status": "warning"},
        extensions={"traceparent": "00-a", "retries": 3, "final": True},
    )  # fmt: skip


def test_batch() -> None:
    """A batch is a JSON array, in order."""
    assert [d.id for d in drafts(json.dumps([EVENT, EVENT | {"id": "2"}]), BATCH)] == ["1", "2"]


def test_binary() -> None:
    """Attributes are headers, percent-encoded; the body is the data: JSON, text, or nothing."""
    [draft] = drafts('{"status":"ok"}', "application/json", **BINARY, **{"ce-subject": "K%C3%B6ln%20%25"})
    assert (draft.subject, draft.data, draft.extensions) == ("Köln %", {"status": "ok"}, {})
    [draft] = drafts("done", "text/plain; charset=utf-8", **BINARY)
    assert (draft.data, draft.extensions) == ("done", {"datacontenttype": "text/plain"})
    [draft] = drafts("[1]", "application/foo+json", **BINARY)
    assert (draft.data, draft.extensions) == ([1], {"datacontenttype": "application/foo+json"})
    [draft] = drafts("", "", **BINARY)
    assert draft.data is None


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": None}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"source": None}, "source"),
        ({"source": "/clusters/c/nodes/node1"}, "source"),
        ({"type": ""}, "type"),
        ({"type": "Backup Finished"}, "type"),
        ({"type": "node.down"}, "type"),
        ({"type": "rail.down"}, "type"),
        ({"type": "agent.started"}, "type"),
        ({"type": "x." + "y" * 300}, "type"),
        ({"subject": "a\u0000b"}, "subject"),
        ({"subject": "x" * 1025}, "subject"),
        ({"severity": "fatal"}, "severity"),
        ({"node": "node2"}, "node"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-13-01T00:00:00Z"}, "time"),
        ({"time": "2026-11-23T12:00:00"}, "time"),
        ({"expirytime": 5}, "expirytime"),
        ({"origin": "node2"}, "origin"),
        ({"sequence": "1"}, "sequence"),
        ({"number": 1}, "number"),
        ({"recordedtime": "2026-11-23T12:00:00Z"}, "recordedtime"),
        ({"data_base64": "aGk="}, "data_base64"),
        ({"Upper": "1"}, "Upper"),
        ({"x": "y" * 3000}, "x"),
        ({"x": 2**31}, "x"),
        ({"x": 1.5}, "x"),
        ({"x": {}}, "x"),
        ({"data": {"status": "broken"}}, "data"),
        ({"data": {"summary": 1}}, "data"),
    ],
)
def test_events_that_are_refused(change: dict[str, Any], attribute: str) -> None:
    """The sentence names the attribute and the event."""
    problem = refused(json.dumps(EVENT | change))

    assert (problem.slug, problem.more) == ("bad-event", {"index": 0, "attribute": attribute})
    assert f"attribute '{attribute}'" in problem.detail


@pytest.mark.parametrize(
    ("body", "kind", "slug"),
    [
        ("5", STRUCTURED, "bad-event"),
        (json.dumps(dict.fromkeys(map(str, range(65)))), STRUCTURED, "bad-event"),
        (json.dumps(EVENT), BATCH, "bad-event"),
        ("[5]", BATCH, "bad-event"),
        ("{", STRUCTURED, "bad-request"),
        ("", STRUCTURED, "bad-request"),
        (b"\xff", STRUCTURED, "bad-request"),
        ("{}", "application/json", "unsupported-media-type"),
        ("a=b", "application/x-www-form-urlencoded", "unsupported-media-type"),
        ("{}", "text/plain", "unsupported-media-type"),
        ("{}", "", "unsupported-media-type"),
        ("{}", f"{STRUCTURED}; charset=latin-1", "unsupported-media-type"),
        (json.dumps([EVENT] * 1001), BATCH, "too-large"),
    ],
)
def test_bodies_that_are_refused(body: bytes | str, kind: str, slug: str) -> None:
    """Wrong format, wrong type, too many: each is told apart."""
    assert refused(body, kind).slug == slug


@pytest.mark.parametrize(
    ("headers", "body", "kind", "slug"),
    [
        ({"ce-id": "%ff"}, "", "", "bad-request"),
        ({"ce-data": "x"}, "", "", "bad-request"),
        ({"ce-subject": "%00"}, "", "", "bad-event"),
        ({}, "{", "application/json", "bad-request"),
        ({}, b"\xff", "text/plain", "bad-request"),
        ({}, b"\xff", "application/octet-stream", "unsupported-media-type"),
    ],
)
def test_binary_that_is_refused(headers: dict[str, str], body: bytes | str, kind: str, slug: str) -> None:
    """What headers and body cannot say is refused as well."""
    assert refused(body, kind, **(BINARY | headers)).slug == slug


def test_headers_that_are_there_twice() -> None:
    """Two readers could take different ones: refused."""
    twice = [(name.encode(), value.encode()) for name, value in BINARY.items()] * 2
    for headers in (twice, [(b"content-type", b"a/b"), (b"content-type", b"c/d")]):
        with pytest.raises(Problem) as caught:
            read(headers, b"", cluster="c", here="node1")
        assert caught.value.slug == "bad-request"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.binary() | json_values.map(lambda v: json.dumps(v).encode()), st.sampled_from([STRUCTURED, BATCH]))
def test_whatever_comes_is_read_or_refused(body: bytes, kind: str) -> None:
    """No body makes anything but drafts or a problem that can be sent."""
    try:
        drafts(body, kind)
    except Problem as problem:
        json.loads(problem.body())


@given(
    st.dictionaries(
        st.sampled_from([*EVENT, "data", "time", "subject", "severity", "node", "x"]), json_values | st.text()
    )
)
def test_whatever_is_changed_in_an_event(change: dict[str, Any]) -> None:
    """No attribute of any type makes anything but drafts or a problem."""
    try:
        drafts(json.dumps(EVENT | change))
    except Problem as problem:
        json.loads(problem.body())
