"""The messages between agents: what is understood, and that nothing else gets in."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.made import LIFE
from tocsin.core import messages as ms
from tocsin.core.board import Resource
from tocsin.core.errors import CodecError
from tocsin.core.messages import PROTOCOL, decode, encode, resources_from_wire, resources_to_wire

GOOD = [
    encode(ms.Events, "n1", LIFE, 1, [(5, b"{}")]),
    encode(ms.Announce, "n1", LIFE, 1, 0, 1.0, True, "", [ms.Entry("n2", LIFE, 1, 4)], {"cpu": 1.5}),
    encode(ms.Hello, "n1"),
    encode(ms.Goodbye, "n1", LIFE, 9),
    encode(ms.Ask, 7, "n1", LIFE, 1, 3),
    encode(ms.Fill, "n1", LIFE, 1, 3, [(2, 100, b"{}")]),
    encode(ms.AskSection, 8, "n1"),
    encode(ms.Section, "n1", LIFE, 0, 0, 1, [], {"n2": ("up", LIFE)}),
    encode(ms.Probe, 1, "n1"),
    encode(ms.Heard, 1, "n1", 0, -1.0),
]


@pytest.mark.parametrize("payload", GOOD)
def test_every_message_is_read_as_it_was_written(payload: bytes) -> None:
    """Each is an array of protocol version, kind and fields; fields of a later version are skipped."""
    message = decode(payload)
    assert payload == msgspec.msgpack.encode(message)
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(payload), "new"])
    assert message == decode(longer) or isinstance(message, ms.Announce | ms.Section)


@pytest.mark.parametrize("version", [PROTOCOL - 1, PROTOCOL + 1])
def test_the_version_before_and_after_is_understood(version: int) -> None:
    """A cluster can be brought up to date node by node."""
    assert ms.Hello(version, "hello", "n1") == decode(msgspec.msgpack.encode([version, "hello", "n1"]))


HUGE = 2**63
BAD: list[object] = [
    [PROTOCOL + 2, "hello", "n1"],
    [PROTOCOL, "shout", "n1"],
    [PROTOCOL, "hello"],
    [PROTOCOL, "hello", 5],
    [PROTOCOL, "hello", ""],
    [PROTOCOL, "hello", "a/b"],
    [PROTOCOL, "hello", "n" * 256],
    {"version": 1},
    [PROTOCOL, "events", "n1", 0, 1, []],
    [PROTOCOL, "events", "n1", 10**13, 1, []],
    [PROTOCOL, "events", "n1", LIFE, 0, []],
    [PROTOCOL, "events", "n1", LIFE, 1, [[-1, b""]]],
    [PROTOCOL, "events", "n1", LIFE, 1, [[HUGE, b""]]],
    [PROTOCOL, "events", "n1", LIFE, 1, {}],
    [PROTOCOL, "events", "n1", LIFE, 1, [[0, "x"]]],
    [PROTOCOL, "announce", "n1", -LIFE, 1, 0, 1.0],
    [PROTOCOL, "announce", "n1", LIFE, 1, HUGE, 1.0],
    [PROTOCOL, "announce", "n1", LIFE, 1, 0, 1.0, True, "zzz"],
    [PROTOCOL, "announce", "n1", LIFE, 1, 0, 1.0, True, "", [["n2", LIFE, 0, 5]]],
    [PROTOCOL, "goodbye", "n1", HUGE, 0],
    [PROTOCOL, "section", "n1", LIFE, 10**12, 0, 1, []],
    [PROTOCOL, "section", "n1", LIFE, 0, 0, 10**6, []],
    [PROTOCOL, "section", "n1", LIFE, 0, 0, 1, [], {"n2": ["up", -1]}],
]


@pytest.mark.parametrize("message", BAD, ids=str)
def test_what_no_agent_can_mean_is_refused(message: object) -> None:
    """Foreign versions and kinds, and numbers that would break the order of sequences."""
    with pytest.raises(CodecError):
        read(msgspec.msgpack.encode(message))


def read(payload: bytes) -> None:
    """Reads a message, and the events in it, which are read when somebody asks for them."""
    if isinstance(message := decode(payload), ms.Events):
        assert message.last + 1 - message.first == len(message.events)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 65535, 65536])
def test_how_many_events_there_are_is_known_without_reading_them(count: int) -> None:
    """However long the list is."""
    message = decode(encode(ms.Events, "n1", LIFE, 7, [(5, b"{}")] * count))
    assert isinstance(message, ms.Events)
    assert (7 + count - 1, count) == (message.last, len(message.events))


def test_nesting_without_end_and_broken_text_are_refused() -> None:
    """They are no DecodeError of msgspec, and must not get past it."""
    for rest in (b"\xa2\xff\xfe", b"\x91" * 9000 + b"\x01"):
        with pytest.raises(CodecError):
            decode(b"\x93\x01\xa5hello" + rest)


@given(st.binary(max_size=100), st.sampled_from(GOOD), st.integers(0, 300))
def test_decode_is_total(noise: bytes, good: bytes, at: int) -> None:
    """Any bytes, also those of a damaged message, are a message or a CodecError."""
    for payload in (noise, good[:at] + noise + good[at + len(noise) :]):
        with contextlib.suppress(CodecError):
            read(payload)


def test_a_section_speaks_for_its_origin_only() -> None:
    """Resources of another origin, and nodes, are left out; what is no resource is refused."""
    mine = Resource(node="n1", kind="service", subject="web", status="ok", origin="n1")
    other = Resource(node="n2", kind="service", subject="web", status="ok", origin="n2")
    told = Resource(node="n2", kind="node", subject="n2", status="failed", origin="n1")
    assert [mine] == resources_from_wire(resources_to_wire([mine, other, told]), "n1")
    with pytest.raises(CodecError):
        resources_from_wire([{"node": "n1"}], "n1")
