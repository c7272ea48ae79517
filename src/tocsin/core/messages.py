"""What agents say to each other over the rails: msgpack arrays that begin with a protocol version.

Every message is ``[version, kind, …]``. A node understands its own version and the one before and
after: fields are only ever appended, and what a reader does not know it skips (DESIGN.md section 5).
Ages are microseconds by the sender's monotonic clock, so no clocks are ever compared between nodes.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct, field

from tocsin.core.board import Resource
from tocsin.core.errors import CodecError
from tocsin.core.lives import MAX_INCARNATION, MAX_SEQ

__all__ = [
    "MAX_MESSAGE_BYTES",
    "PROTOCOL",
    "Announce",
    "Ask",
    "AskSection",
    "Entry",
    "Events",
    "Fill",
    "Goodbye",
    "Heard",
    "Hello",
    "Message",
    "Probe",
    "Section",
    "decode",
    "encode",
    "resources_from_wire",
    "resources_to_wire",
]

PROTOCOL: Final = 1
#: A burst is cut into messages of about this size, so that repair never holds up live events.
MAX_MESSAGE_BYTES: Final = 64 * 1024
#: Parts of a board section: some 60 MB, more than any node has resources for.
MAX_PARTS: Final = 1000

# What a number or a name of the protocol can be. Everything else is refused when it is read, so that no
# number from elsewhere ever breaks the order of sequences (which is text order, see core/event.py).
_Life: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_INCARNATION)]
_Known: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_INCARNATION)]  # 0: none is known
_Seq: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
_First: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_SEQ + 1)]
_Age: TypeAlias = Annotated[int, Meta(ge=0, le=10**15)]
_Number: TypeAlias = Annotated[int, Meta(ge=1, le=2**63 - 1)]
_Name: TypeAlias = Annotated[str, Meta(max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z")]
_Sequence: TypeAlias = Annotated[str, Meta(pattern=r"^([0-9]{13}-[0-9]{12})?\Z")]


class _Message(Struct, array_like=True, frozen=True, kw_only=False):
    version: int
    kind: str


class Events(_Message, frozen=True):
    """Pushed by the origin to all: consecutive events, each with its age and its bytes.

    They are read when they are asked for: of the copy from another rail how many there are is enough, and
    nobody looks whether it is a good one.
    """

    origin: _Name
    incarnation: _Life
    first: _First
    packed: Raw

    @property
    def events(self) -> list[tuple[int, bytes]]:
        """Age and bytes of each. Raises :exc:`CodecError`."""
        try:
            return _pairs.decode(self.packed)
        except msgspec.DecodeError as error:
            raise CodecError(f"not events: {error}") from None

    @property
    def last(self) -> int:
        """The number of the last one. Raises :exc:`CodecError`."""
        head = bytes(memoryview(self.packed)[:5])
        if head[0] & 0xF0 == 0x90:  # an array of up to 15, with 16, with 32 bits for its length
            count = head[0] & 0x0F
        elif head[0] in (0xDC, 0xDD):
            count = int.from_bytes(head[1 : 3 if head[0] == 0xDC else 5], "big")
        else:
            raise CodecError("not events: no array")
        return self.first + count - 1


class Entry(Struct, array_like=True, frozen=True):
    """What somebody holds of one life of an origin: sequence numbers ``first`` to ``last``.

    ``previous`` is what the origin says in its announces of this life; None if that is not known.
    """

    origin: _Name
    incarnation: _Life
    first: _First
    last: _Seq
    previous: _Sequence | None = None


class Announce(_Message, frozen=True):
    """The heartbeat: what the sender holds of itself and of origins that it does not hear.

    ``previous`` is the last sequence of the sender's former life as far as it knows, empty if it never
    lived before: so a newcomer can tell a first life from a lost one.
    """

    name: _Name
    incarnation: _Life
    first: _First
    last: _Seq
    period: float
    #: Its own board section is complete and may be asked for; before that it has published nothing.
    joined: bool = True
    previous: _Sequence = ""
    others: list[Entry] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    #: Nodes that the sender does not hear and of whose events it knows nothing.
    unknown: list[_Name] = field(default_factory=list)
    #: To one node alone, which asked: ``others`` are what it lacks, and the sender may well hear them.
    answer: bool = False
    #: Those of ``others`` that the sender does hear: it tells of them because a life of them has just ended.
    ended: list[_Name] = field(default_factory=list)


class Hello(_Message, frozen=True):
    """Said by a node that starts: whoever hears it announces itself at once, to it alone.

    ``others`` and ``unknown`` as in an announce: who knows more of these says so at once.
    """

    name: _Name
    others: list[Entry] = field(default_factory=list)
    unknown: list[_Name] = field(default_factory=list)


class Goodbye(_Message, frozen=True):
    """A clean stop: ``last`` is the last event of this life."""

    name: _Name
    incarnation: _Life
    last: _Seq


class Ask(_Message, frozen=True):
    """Asks for the events ``first`` to ``last`` of a life. The same ``number`` on another rail is a copy."""

    number: _Number
    origin: _Name
    incarnation: _Life
    first: _First
    last: _Seq


class Fill(_Message, frozen=True):
    """Answers :class:`Ask` for the range ``first`` to ``last`` completely.

    What is not in ``events`` of that range the sender does not hold. An answer may come in several parts.
    """

    origin: _Name
    incarnation: _Life
    first: _First
    last: _Seq
    events: list[tuple[_First, _Age, bytes]]
    #: The sender may hold more of it soon: it hears the origin, or has not asked everybody for it yet.
    waiting: bool = False


class AskSection(_Message, frozen=True):
    """Asks for the board section of an origin, with what the sender knows of all members."""

    number: _Number
    origin: _Name


class Section(_Message, frozen=True):
    """A board section (or part ``part`` of ``parts``), true at (``incarnation``, ``seq``)."""

    origin: _Name
    incarnation: _Life
    seq: _Seq
    part: Annotated[int, Meta(ge=0)]
    parts: Annotated[int, Meta(ge=1, le=MAX_PARTS)]
    resources: list[dict[str, Any]]
    #: name → (state, incarnation): the sender's knowledge of the membership.
    members: dict[_Name, tuple[str, _Known]] = field(default_factory=dict)


class Probe(_Message, frozen=True):
    """Asks a living node whether it hears ``about``, before that is called down."""

    number: _Number
    about: _Name


class Heard(_Message, frozen=True):
    """Answers :class:`Probe`: the age in seconds of the last sign of life, negative if there was none."""

    number: _Number
    about: _Name
    incarnation: _Known
    age: float


Message: TypeAlias = Events | Announce | Hello | Goodbye | Ask | Fill | AskSection | Section | Probe | Heard

_KINDS: Final[dict[str, type[Message]]] = {
    "events": Events,
    "announce": Announce,
    "hello": Hello,
    "goodbye": Goodbye,
    "ask": Ask,
    "fill": Fill,
    "ask-section": AskSection,
    "section": Section,
    "probe": Probe,
    "heard": Heard,
}
_NAMES: Final = {cls: name for name, cls in _KINDS.items()}
_pairs = msgspec.msgpack.Decoder(list[tuple[_Age, bytes]])
_head = msgspec.msgpack.Decoder(_Message)
_decoders: Final = {name: msgspec.msgpack.Decoder(cls) for name, cls in _KINDS.items()}
_encoder = msgspec.msgpack.Encoder()
#: By the bytes of this version and a kind: as a rule a message begins with them, and is then read only once.
_by_head: Final = {_encoder.encode([PROTOCOL, kind])[1:]: decoder for kind, decoder in _decoders.items()}


def encode(cls: type[Message], *fields: object) -> bytes:
    """The bytes of a message, in the version of this node."""
    return _encoder.encode(cls(PROTOCOL, _NAMES[cls], *fields))  # type: ignore[arg-type]


def decode(payload: bytes) -> Message:
    """A message from its bytes. Raises :exc:`CodecError` for a foreign version, kind or form."""
    try:
        # A small array, then a small number, then a short text: 0xa0 and its length, then the text.
        decoder = _by_head.get(payload[1 : payload[2] - 0xA0 + 3]) if len(payload) > 2 else None
        message: Message = (decoder or _decoder(payload)).decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError(f"not a message: {error}") from None
    return message


def _decoder(payload: bytes) -> msgspec.msgpack.Decoder[Any]:
    head = _head.decode(payload)
    if abs(head.version - PROTOCOL) > 1:
        raise CodecError(
            f"protocol version {head.version}; this node speaks {PROTOCOL} (and one either side)"
        )
    decoder = _decoders.get(head.kind)
    if decoder is None:
        raise CodecError(f"unknown kind of message {head.kind[:40]!r}")
    return decoder


def resources_to_wire(resources: list[Resource]) -> list[dict[str, Any]]:
    """Resources as plain maps: a section of another version may have more or fewer fields."""
    return [msgspec.to_builtins(resource) for resource in resources]


def resources_from_wire(resources: list[dict[str, Any]], origin: str) -> list[Resource]:
    """Resources of a section; only what the origin may speak for. Raises :exc:`CodecError`."""
    try:
        found = [msgspec.convert(resource, Resource) for resource in resources]
    except msgspec.ValidationError as error:
        raise CodecError(f"not a resource: {error}") from None
    return [
        r for r in found if r.origin == origin and (r.node == origin or r.kind == "rail") and r.kind != "node"
    ]
