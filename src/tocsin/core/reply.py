"""Reading what a feed answers: strictly where it matters, so that nothing else is taken for a feed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct, field

from tocsin.core.errors import CodecError

__all__ = ["Events", "Gone", "Reply", "events", "gone", "nodes", "offer", "problem", "retry_after"]

LONGEST_RETRY_AFTER: Final = 60.0  # a node that asks for more is tried all the same
_OFFER: Final = re.compile(r"(interval|wait)=([0-9]{1,6}(?:\.[0-9]{1,3})?)(?:,|\Z)")


class Reply(NamedTuple):
    """An HTTP answer: status, headers by lower-case name, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Events(Struct, frozen=True):
    """A page: ``200``."""

    cursor: str
    events: list[dict[str, Any]]
    #: Of all origins, or of those that moved.
    seen: dict[str, str] = field(default_factory=dict)
    more: bool = False
    degraded: list[str] = field(default_factory=list)
    window: dict[str, Any] = field(default_factory=dict)


class Gone(Struct, frozen=True):
    """A gap: ``410``."""

    reason: str
    cursor: str
    seen: dict[str, str]
    lost: dict[str, tuple[str, str]] = field(default_factory=dict)
    window: dict[str, Any] = field(default_factory=dict)


class _Event(Struct):
    """What the monitor itself needs of each event; the rest is handed on as it is."""

    number: int
    type: str
    node: str
    origin: str
    sequence: str
    subject: str = ""


class _Elsewhere(Struct):
    nodes: dict[str, str] = field(default_factory=dict)


_Body = TypeVar("_Body")


def _decode(body: bytes, kind: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"not the answer of a feed: {error}") from None


def events(body: bytes) -> Events:
    """A page of events. Raises :exc:`CodecError`."""
    page = _decode(body, Events)
    try:
        for event in page.events:
            msgspec.convert(event, _Event)
    except msgspec.ValidationError as error:
        raise CodecError(f"not an event of a feed: {error}") from None
    return page


def gone(body: bytes) -> Gone:
    """A gap. Raises :exc:`CodecError`."""
    return _decode(body, Gone)


def nodes(body: bytes) -> list[str]:
    """The URLs of nodes that have a buffer, as a node without one names them; none if it does not."""
    try:
        urls = _decode(body, _Elsewhere).nodes.values()
    except CodecError:
        return []
    return [url for url in urls if url.startswith(("http://", "https://"))]


def problem(body: bytes) -> dict[str, Any]:
    """A problem document (RFC 9457); empty where it cannot be read."""
    try:
        return _decode(body, dict[str, Any])
    except CodecError:
        return {}


def offer(header: str) -> tuple[float | None, float]:
    """``Tocsin-Poll``: seconds between short polls (None: it does not say), seconds to be held."""
    found = {name: float(value) for name, value in _OFFER.findall(header)}
    return found.get("interval"), found.get("wait", 0.0)


def retry_after(header: str) -> float:
    """``Retry-After`` in seconds. A date is not counted: nobody's clock is known to be right."""
    return min(float(header), LONGEST_RETRY_AFTER) if re.fullmatch(r"[0-9]{1,9}", header) else 0.0
