"""core/reply.py: what is taken for the answer of a feed, and what is not."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core import reply
from tocsin.core.errors import CodecError

EVENT = b'{"number":1,"type":"a.b","node":"n1","origin":"n1","sequence":"1","further":[1]}'


def test_page() -> None:
    """A page is read with whatever further members its events have."""
    page = reply.events(b'{"cursor":"a:1","events":[' + EVENT + b'],"window":{"retain":3},"new":0}')
    assert (page.cursor, page.events[0]["further"], page.window, page.more) == (
        "a:1",
        [1],
        {"retain": 3},
        False,
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"cursor":1,"events":[]}',
        b'{"cursor":"a:1","events":[{"number":"1"}]}',
        b"\xff",
    ],
)
def test_not_a_page(body: bytes) -> None:
    """What is not a page of a feed is refused with one kind of error."""
    with pytest.raises(CodecError, match=r"not (the answer|an event) of a feed"):
        reply.events(body)


def test_gap() -> None:
    """A gap needs its reason, cursor and seen; lost may be missing."""
    gone = reply.gone(b'{"reason":"future","cursor":"a:1","seen":{"n1":"2"},"type":"urn:x"}')
    assert (gone.reason, gone.cursor, gone.seen, gone.lost) == ("future", "a:1", {"n1": "2"}, {})
    with pytest.raises(CodecError):
        reply.gone(b'{"reason":"future","cursor":"a:1"}')


def test_nodes() -> None:
    """Only addresses that can be asked by HTTP are taken from a node that names others."""
    assert reply.nodes(b'{"nodes":{"a":"http://a","b":"file:///etc","c":"https://c"}}') == [
        "http://a",
        "https://c",
    ]
    assert reply.nodes(b"{}") == reply.nodes(b'{"nodes":[1]}') == []


def test_problem() -> None:
    """A problem that cannot be read is an empty one."""
    assert reply.problem(b'{"title":"x"}') == {"title": "x"}
    assert reply.problem(b"[]") == reply.problem(b"no") == {}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("interval=2, wait=20", (2.0, 20.0)),
        ("wait=1.5", (None, 1.5)),
        ("wait=5,interval=0.25", (0.25, 5.0)),
        ("", (None, 0.0)),
        ("interval=-1, wait=inf", (None, 0.0)),
        ("interval=1e9, wait=99999999999", (None, 0.0)),
    ],
)
def test_offer(header: str, expected: tuple[float | None, float]) -> None:
    """An offer is read as far as it can be read."""
    assert reply.offer(header) == expected


def test_retry_after() -> None:
    """Seconds up to a minute; a date or nonsense counts as nothing."""
    assert [
        reply.retry_after(t) for t in ("7", "3600", "", "-1", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT")
    ] == [7, 60, 0, 0, 0, 0]


@given(st.binary())
def test_total(body: bytes) -> None:
    """Reading never raises anything but CodecError."""
    for read in (reply.events, reply.gone):
        with contextlib.suppress(CodecError):
            read(body)
    reply.nodes(body)
    reply.problem(body)
