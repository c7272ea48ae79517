"""The event: immutable, small, a CloudEvents 1.0 event; and the draft it is made from.

A :class:`Draft` is what a generator or publisher hands in. :func:`seal` gives it an identity
``(origin, sequence)`` and encodes it once; the resulting :class:`Event` passes all stages, and its
bytes (:attr:`Event.body`) are reused on the rails, in the log file and in the feed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter
from sys import intern
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field
from msgspec.structs import force_setattr

from tocsin.core.errors import CodecError, EventTooLarge
from tocsin.core.sequence import sequences_of

__all__ = [
    "KINDS_OF_AGENTS",
    "KINDS_OF_GENERATORS",
    "MAX_EVENT_BYTES",
    "SEVERITIES",
    "STATUSES",
    "Draft",
    "Event",
    "Payload",
    "decode",
    "decode_all",
    "report",
    "seal",
    "seal_all",
]

MAX_EVENT_BYTES: Final = 16 * 1024
SEVERITIES: Final = ("info", "notice", "warning", "error", "critical")
STATUSES: Final = ("ok", "warning", "failed", "unknown", "gone")

#: Kinds that publishers may not use at all: only agents know these things.
KINDS_OF_AGENTS: Final = frozenset({"node", "rail", "agent"})
_KINDS_ABOUT_OTHERS: Final = frozenset({"node", "rail"})
#: Kinds of the catalogue: a publisher may use them only for the node it posts to.
KINDS_OF_GENERATORS: Final = frozenset(
    {"service", "process", "adapter", "storage", "device", "cpu", "memory", "config", "log"}
)

_SEVERITY_OF_STATUS: Final = {
    "ok": "info",
    "warning": "warning",
    "failed": "error",
    "unknown": "notice",
    "gone": "notice",
}
_SEQUENCE: Final = re.compile(r"[0-9]{13}-[0-9]{12}\Z")


class Payload(Struct, frozen=True):
    """What the board folds: the resource's new status, one line in plain words, details."""

    status: str | None = None
    summary: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)


class _Status(Struct, frozen=True, gc=False):
    status: str | None = None


class Draft(Struct, frozen=True, kw_only=True):
    """An event before it has an identity. Empty ``node`` means the origin, empty ``time`` now."""

    type: str
    subject: str = ""
    node: str = ""
    severity: str = "info"
    time: str = ""
    expirytime: str = ""
    id: str = ""
    source: str = ""
    data: Any = None
    #: Any further CloudEvents attributes (``traceparent``, ``datacontenttype`` …), kept as they are.
    extensions: dict[str, Any] = field(default_factory=dict)


class _Said(Struct, frozen=True, gc=False):
    """What the bytes of an event say: CloudEvents attributes, and those of DESIGN.md section 4."""

    id: str
    source: str
    type: str
    origin: str
    sequence: str
    node: str
    time: str
    subject: str = ""
    severity: str = "info"
    expirytime: str = ""
    data: Raw = Raw(b"null")


class _Ordinary(Struct, frozen=True, gc=False):
    """The same of most events of a flood: they have a known severity, and data in which a status may be.

    What is read in one go is read, and found good, in half of the time.
    """

    id: str
    source: str
    type: str
    origin: str
    sequence: str
    node: str
    time: str
    subject: str = ""
    severity: Literal["info", "notice", "warning", "error", "critical"] = "info"
    expirytime: str = ""
    data: _Status = _Status()


class Event(Struct, frozen=True, eq=False, gc=False):
    """One CloudEvents 1.0 event with an identity in the cluster. See DESIGN.md section 4.

    Of most events of a flood nobody here ever asks more than these fields: the rest of what their bytes
    say, which was read and found good when they came, is read again when it is asked for.
    """

    origin: str
    sequence: str
    id: str
    severity: str
    #: The event as JSON, exactly as its origin encoded it.
    body: bytes
    #: It is known to change no resource and no node: what most events of a flood are.
    plain: bool
    _said: _Said | None = None

    def __eq__(self, other: object) -> bool:
        """The same bytes are the same event."""
        return isinstance(other, Event) and self.body == other.body

    def __hash__(self) -> int:
        return hash(self.body)

    def _read(self) -> _Said:
        said = self._said
        if said is None:
            said = _shared(_events.decode(self.body))
            force_setattr(self, "_said", said)
        return said

    @property
    def type(self) -> str:
        """What happened, e.g. ``service.failed``."""
        return self._read().type

    @property
    def subject(self) -> str:
        """Which resource it is about, among those of its kind and node."""
        return self._read().subject

    @property
    def node(self) -> str:
        """The node it is about."""
        return self._read().node

    @property
    def source(self) -> str:
        """Who published it, as a URI reference."""
        return self._read().source

    @property
    def time(self) -> str:
        """When it happened, by its origin's clock; RFC 3339 UTC."""
        return self._read().time

    @property
    def expirytime(self) -> str:
        """From when on what it says is not known to be true any more; empty: never."""
        return self._read().expirytime

    @property
    def kind(self) -> str:
        """The kind of resource: ``service`` in ``service.failed``."""
        return self.type.partition(".")[0]

    @property
    def incarnation(self) -> int:
        """Which life of the origin's agent generated it."""
        return int(self.sequence[:13])

    @property
    def seq(self) -> int:
        """1, 2, 3 … within that life."""
        return int(self.sequence[14:])

    def payload(self) -> Payload:
        """The status, summary and attributes; empty where ``data`` is something of a publisher's own."""
        try:
            return _payloads.decode(self._read().data)
        except _UNREADABLE:
            return Payload()

    def statement(self) -> Payload | None:
        """The payload if it says a status; None where the event changes no resource."""
        if self.plain:
            return None
        payload = self.payload()
        return None if payload.status is None else payload


class _Sealed(Struct, frozen=True, gc=False, tag_field="specversion", tag="1.0"):
    """An event's bytes, in this order; CloudEvents: an attribute that is present must not be empty."""

    id: str
    source: str
    type: str
    subject: str | UnsetType
    time: str
    origin: str
    sequence: str
    node: str
    severity: str
    expirytime: str | UnsetType
    data: Any


#: All that msgspec raises for bytes that are not what they should be: text that is no UTF-8 and nesting
#: without end are no DecodeError of its own.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_events = msgspec.json.Decoder(_Said)
_ordinary = msgspec.json.Decoder(_Ordinary)
_payloads = msgspec.json.Decoder(Payload)
_statuses = msgspec.json.Decoder(_Status)
_encoder = msgspec.json.Encoder()

#: Bytes of an event that is read again. Longer ones may be nested too deeply for that with a higher stack.
_SHORT: Final = 1024

_type, _severity, _status = attrgetter("type"), attrgetter("severity"), attrgetter("data.status")
_id, _sequence, _extensions = attrgetter("id"), attrgetter("sequence"), attrgetter("extensions")
_origin, _node, _data = attrgetter("origin"), attrgetter("node"), attrgetter("data")


def _is_plain(type: str, data: bytes | Raw) -> bool:
    if type.startswith("node"):
        return False
    try:
        return _statuses.decode(data).status is None
    except _UNREADABLE:
        return True


def report(
    type: str,
    subject: str,
    status: str | None,
    summary: str,
    attributes: dict[str, Any] | None = None,
    *,
    node: str = "",
    severity: str = "",
    expirytime: str = "",
) -> Draft:
    """A draft that states the new ``status`` of a resource; the severity follows from it."""
    data: dict[str, Any] = {"summary": summary}
    if status is not None:
        data = {"status": status, **data}
    if attributes:
        data["attributes"] = attributes
    return Draft(
        type=type,
        subject=subject,
        node=node,
        severity=severity or _SEVERITY_OF_STATUS.get(status or "", "info"),
        expirytime=expirytime,
        data=data,
    )


def seal(draft: Draft, *, cluster: str, origin: str, incarnation: int, seq: int, time: str) -> Event:
    """Gives a draft its identity and encodes it once.

    ``time`` is RFC 3339 UTC with microseconds, used where the draft has none.
    Raises :exc:`EventTooLarge` above :data:`MAX_EVENT_BYTES`.
    """
    return seal_all([draft], cluster=cluster, origin=origin, incarnation=incarnation, seq=seq, time=time)[0]


def seal_all(
    drafts: Sequence[Draft], *, cluster: str, origin: str, incarnation: int, seq: int, time: str
) -> list[Event]:
    """The same for drafts that follow each other; the first one gets the number ``seq``."""
    source, sequences = f"/clusters/{cluster}/nodes/{origin}", sequences_of(incarnation, seq, len(drafts))
    data = list(map(_encoder.encode, map(_data, drafts)))
    sealed = [
        _Sealed(
            draft.id or sequence, draft.source or source, draft.type, draft.subject or UNSET,
            draft.time or time, origin, sequence, draft.node or origin, draft.severity,
            draft.expirytime or UNSET, Raw(encoded),
        )
        for draft, sequence, encoded in zip(drafts, sequences, data, strict=True)
    ]  # fmt: skip
    bodies = list(map(_encoder.encode, sealed))
    if max(map(len, bodies), default=0) > _SHORT or any(map(_extensions, drafts)):
        return [_extended(*each) for each in zip(drafts, bodies, sequences, strict=True)]
    ids, plain = map(_id, sealed), map(_is_plain, map(_type, drafts), data)
    return list(map(Event, repeat(origin), sequences, ids, map(_severity, drafts), bodies, plain))


def _extended(draft: Draft, body: bytes, sequence: str) -> Event:
    """With whatever a generator put among the extensions: what counts is what the others will read."""
    if draft.extensions:
        body = body[:-1] + b"," + _encoder.encode(draft.extensions)[1:]
    if len(body) > MAX_EVENT_BYTES:
        raise EventTooLarge(len(body), MAX_EVENT_BYTES)
    return decode(body, sequence)


def decode(body: bytes, sequence: str = "", origin: str = "") -> Event:
    """An event from its bytes, as they came from a rail or a file. Raises :exc:`CodecError`.

    ``sequence``, ``origin``: what it must have, if that is known. An origin speaks for its own node, and for
    others only of the kinds ``node`` and ``rail``.
    """
    try:
        said = _events.decode(body)
    except _UNREADABLE as error:
        raise CodecError(f"not an event: {error}") from None
    if said.sequence != sequence and (sequence or not _SEQUENCE.match(said.sequence)):
        raise CodecError(f"not an event: sequence {said.sequence[:40]!r}")
    if origin and (said.origin != origin or said.node != origin):
        _check_speaker(said, origin)
    if not sequence:
        sequence = said.sequence
    plain = _is_plain(said.type, said.data)
    return Event(
        origin or intern(said.origin),
        sequence,
        sequence if said.id == sequence else said.id,
        intern(said.severity),
        body,
        plain,
        None if plain and len(body) <= _SHORT else _shared(said),
    )


def decode_all(bodies: Sequence[bytes], sequences: Sequence[str], origin: str) -> list[Event]:
    """The same for events of one origin that follow each other, if all are short and nothing special.

    Else empty: then they are to be read one by one. Of a flood each step counts: each is one call for all.
    """
    if max(map(len, bodies)) > _SHORT:
        return []
    try:
        said = list(map(_ordinary.decode, bodies))
    except _UNREADABLE:
        return []
    identities = list(map(_sequence, said)) == sequences == list(map(_id, said))
    speakers = {*map(_origin, said), *map(_node, said)} == {origin}
    about_nodes = any(type.startswith("node") for type in set(map(_type, said)))
    plain = set(map(_status, said)) == {None} and not about_nodes
    if not (identities and speakers and plain):
        return []
    severities = map(_severity, said)
    return list(map(Event, repeat(origin), sequences, sequences, severities, bodies, repeat(True)))


def _check_speaker(said: _Said, origin: str) -> None:
    if said.origin != origin:
        raise CodecError(f"an event of {said.origin[:80]!r}, not of {origin[:80]!r} as its message says")
    if said.type.partition(".")[0] not in _KINDS_ABOUT_OTHERS:
        raise CodecError(f"an event of {origin[:80]!r} about {said.node[:80]!r}")


def _shared(said: _Said) -> _Said:
    """The same in a third of the memory: words that many events have are there once, while any has them."""
    return _Said(
        said.id,
        intern(said.source),
        intern(said.type),
        intern(said.origin),
        said.sequence,
        intern(said.node),
        said.time,
        intern(said.subject),
        intern(said.severity),
        said.expirytime,
        said.data,
    )
