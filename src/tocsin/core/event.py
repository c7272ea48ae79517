"""The event: immutable, small, a CloudEvents 1.0 event; and the draft it is made from.

A :class:`Draft` is what a generator or publisher hands in. :func:`seal` gives it an identity
``(origin, sequence)`` and encodes it once; the resulting :class:`Event` passes all stages, and its
bytes (:attr:`Event.body`) are reused on the rails, in the log file and in the feed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, field

from tocsin.core.errors import CodecError, EventError, EventTooLarge, ReservedKind

__all__ = [
    "KINDS_OF_AGENTS",
    "KINDS_OF_GENERATORS",
    "MAX_EVENT_BYTES",
    "SEVERITIES",
    "STATUSES",
    "Draft",
    "Event",
    "Payload",
    "check_published",
    "decode",
    "incarnation_of",
    "report",
    "seal",
    "seal_all",
    "seq_of",
    "sequence_of",
    "sequences_of",
]

MAX_EVENT_BYTES: Final = 16 * 1024
SEVERITIES: Final = ("info", "notice", "warning", "error", "critical")
STATUSES: Final = ("ok", "warning", "failed", "unknown", "gone")

#: Kinds that publishers may not use at all: only agents know these things.
KINDS_OF_AGENTS: Final = frozenset({"node", "rail", "agent"})
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
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+\Z")
_NODE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9])?\Z")
# CloudEvents 1.0 section 3.1.1: control characters must not appear in strings.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SEQUENCE: Final = re.compile(r"[0-9]{13}-[0-9]{12}\Z")
_LIMITS: Final = {"type": 200, "subject": 1024, "id": 256, "source": 1024, "node": 255}


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


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """One CloudEvents 1.0 event with an identity in the cluster. See DESIGN.md section 4."""

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
    #: The event as JSON, exactly as its origin encoded it. The name cannot clash with an
    #: extension: CloudEvents attribute names are lower-case letters and digits only.
    body: bytes = field(name="_body", default=b"")
    #: It is known to change no resource and no node: what most events of a flood are.
    plain: bool = field(name="_plain", default=False)

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
            return _payloads.decode(self.data)
        except _UNREADABLE:
            return Payload()

    def statement(self) -> Payload | None:
        """The payload if it says a status; None where the event changes no resource."""
        if self.plain:
            return None
        payload = self.payload()
        return None if payload.status is None else payload


class _Sealed(
    Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="specversion", tag="1.0"
):
    """An event's bytes, in this order; CloudEvents: an attribute that is present must not be empty."""

    id: str
    source: str
    type: str
    subject: str = ""
    time: str
    origin: str
    sequence: str
    node: str
    severity: str
    expirytime: str = ""
    data: Any


#: All that msgspec raises for bytes that are not what they should be: text that is no UTF-8 and nesting
#: without end are no DecodeError of its own.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_events = msgspec.json.Decoder(Event)
_payloads = msgspec.json.Decoder(Payload)
_statuses = msgspec.json.Decoder(_Status)
_encoder = msgspec.json.Encoder()

#: Words that events have in common, each to itself: sources, types, names, subjects.
_words: Final[dict[str, str]] = {}
_MOST_WORDS: Final = 10_000
#: Bytes of an event whose words are shared: the words of longer ones would be kept for long, and are few.
_MOST_SHARED: Final = 1024


def _is_plain(type: str, data: Raw) -> bool:
    if type.startswith("node"):
        return False
    try:
        return _statuses.decode(data).status is None
    except _UNREADABLE:
        return True


def sequence_of(incarnation: int, seq: int) -> str:
    """The attribute ``sequence``: text order is number order (CloudEvents extension 'sequence')."""
    return f"{str(incarnation).zfill(13)}-{str(seq).zfill(12)}"


def sequences_of(incarnation: int, first: int, count: int) -> list[str]:
    """The sequences of ``count`` events of a life from number ``first`` on."""
    life = sequence_of(incarnation, 0)[:14]
    return [life + str(seq).zfill(12) for seq in range(first, first + count)]


def incarnation_of(sequence: str) -> int:
    """The incarnation in a sequence."""
    return int(sequence[:13])


def seq_of(sequence: str) -> int:
    """The number within its incarnation of a sequence."""
    return int(sequence[14:])


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
    return [
        _seal(draft, source, origin, sequence, time)
        for draft, sequence in zip(drafts, sequences, strict=True)
    ]


def _seal(draft: Draft, source: str, origin: str, sequence: str, time: str) -> Event:
    data = Raw(_encoder.encode(draft.data))
    sealed = _Sealed(
        id=draft.id or sequence,
        source=draft.source or source,
        type=draft.type,
        subject=draft.subject,
        time=draft.time or time,
        origin=origin,
        sequence=sequence,
        node=draft.node or origin,
        severity=draft.severity,
        expirytime=draft.expirytime,
        data=data,
    )
    body = _encoder.encode(sealed)
    if draft.extensions:
        body = body[:-1] + b"," + _encoder.encode(draft.extensions)[1:]
    if len(body) > MAX_EVENT_BYTES:
        raise EventTooLarge(len(body), MAX_EVENT_BYTES)
    if draft.extensions:  # whatever a generator put there: what counts is what the others will read
        return decode(body, sequence)
    return Event(
        id=sealed.id,
        source=sealed.source,
        type=sealed.type,
        origin=origin,
        sequence=sequence,
        node=sealed.node,
        time=sealed.time,
        subject=sealed.subject,
        severity=sealed.severity,
        expirytime=sealed.expirytime,
        data=data,
        body=body,
        plain=_is_plain(sealed.type, data),
    )


def decode(body: bytes, sequence: str = "") -> Event:
    """An event from its bytes, as they came from a rail or a file. Raises :exc:`CodecError`.

    ``sequence`` is the one that it must have, if that is known.
    """
    try:
        event = _events.decode(body)
    except _UNREADABLE as error:
        raise CodecError(f"not an event: {error}") from None
    if event.sequence != sequence and (sequence or not _SEQUENCE.match(event.sequence)):
        raise CodecError(f"not an event: sequence {event.sequence[:40]!r}")
    return _compact(event, sequence or event.sequence, body)


def _as_it_is(word: str, _: str) -> str:
    return word


def _compact(event: Event, sequence: str, body: bytes) -> Event:
    """The same with its bytes, in a third of the memory: words that many events have are there once."""
    if len(_words) > _MOST_WORDS:
        _words.clear()
    share, data = (_words.setdefault if len(body) <= _MOST_SHARED else _as_it_is), event.data
    source, type, origin, node = event.source, event.type, event.origin, event.node
    subject, severity = event.subject, event.severity
    return Event(
        id=sequence if event.id == sequence else event.id,
        source=share(source, source),
        type=share(type, type),
        origin=share(origin, origin),
        sequence=sequence,
        node=share(node, node),
        time=event.time,
        subject=share(subject, subject),
        severity=share(severity, severity),
        expirytime=event.expirytime,
        data=data,
        body=body,
        plain=_is_plain(type, data),
    )


def check_published(draft: Draft, *, here: str) -> None:
    """Refuses what a publisher at node ``here`` may not publish. Raises :exc:`EventError`."""
    for name, limit in _LIMITS.items():
        value = getattr(draft, name)
        if len(value) > limit:
            raise EventError(f"has {len(value)} characters, at most {limit}", attribute=name)
        if _CONTROL.search(value):
            raise EventError("has a control character or half a surrogate pair", attribute=name)
    if not _TYPE.match(draft.type):
        raise EventError(
            f"{draft.type[:80]!r} is not <kind>.<what> in lower case, e.g. 'backup.finished'",
            attribute="type",
        )
    kind = draft.type.partition(".")[0]
    if kind in KINDS_OF_AGENTS:
        raise ReservedKind(kind)
    if draft.node and not _NODE.match(draft.node):
        raise EventError(f"{draft.node[:80]!r} is not the name of a node", attribute="node")
    if draft.node not in ("", here):
        # DESIGN.md section 4: whom it concerns is the origin, except for node.* and rail.*
        raise EventError(f"is {draft.node!r}; a publisher here speaks for {here!r}", attribute="node")
    if draft.severity not in SEVERITIES:
        raise EventError(
            f"is {draft.severity[:40]!r}, not one of {', '.join(SEVERITIES)}", attribute="severity"
        )
    if isinstance(draft.data, dict):
        _check_data(draft.data)


def _check_data(data: dict[str, Any]) -> None:
    status = data.get("status")
    if status is not None and status not in STATUSES:
        raise EventError(
            f"'status' is {str(status)[:40]!r}, not one of {', '.join(STATUSES)}", attribute="data"
        )
    if not isinstance(data.get("summary", ""), str):
        raise EventError("'summary' is not text", attribute="data")
    if not isinstance(data.get("attributes", {}), dict):
        raise EventError("'attributes' is not an object", attribute="data")
