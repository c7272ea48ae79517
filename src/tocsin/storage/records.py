"""The records of the buffer's log file: length, checksum, content; and reading back what a crash left.

A file begins with a :class:`Header`. What follows is entries in the order of their numbers, and marks of
origins. A file that was closed well ends with :class:`Closed`. Reading stops at the first record that is
not whole: a crash leaves at most the last one torn, and what is behind a broken one cannot be trusted.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from tocsin.core.bus import Loss
from tocsin.core.errors import CodecError
from tocsin.core.event import MAX_EVENT_BYTES, decode
from tocsin.core.lasting import Marks, Snapshot
from tocsin.core.page import Entry

__all__ = ["FORMAT", "MAX_RECORD", "Closed", "Found", "Header", "frame", "of_entry", "read"]

FORMAT: Final = 1
_FRAME: Final = struct.Struct("<II")
#: A header names former ids, an entry one event: nothing is longer.
MAX_RECORD: Final = MAX_EVENT_BYTES + 65_536


class Header(Struct, frozen=True, array_like=True, tag="H"):
    """Whose file it is, and how its times are to be read."""

    format: int
    #: The buffer's id, and the number of the life in it.
    id: str
    life: int
    #: The kernel's boot id: monotonic times mean nothing under another.
    boot: str
    #: The last number when the file was begun.
    last: int
    #: Former ids, each with the last number that is a position in this buffer.
    prior: dict[str, int]


class _Event(Struct, frozen=True, array_like=True, tag="E"):
    number: int
    prev: str
    at: float
    born: float
    recordedtime: str
    body: bytes


class _Marker(Struct, frozen=True, array_like=True, tag="L"):
    number: int
    prev: str
    at: float
    born: float
    recordedtime: str
    origin: str
    first: str
    last: str
    reason: str


class Closed(Struct, frozen=True, array_like=True, tag="C"):
    """The agent stopped well: nothing was numbered after ``last``."""

    last: int


Record: TypeAlias = Header | _Event | _Marker | Marks | Closed
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Record)


class Found(NamedTuple):
    """What a file held."""

    header: Header
    held: Snapshot
    #: Whether it was closed well.
    clean: bool
    #: Bytes at the end that were no whole record.
    torn: int


def frame(record: Record) -> bytes:
    """The bytes of a record in the file."""
    content = _encoder.encode(record)
    # The checksum covers the length too: a block of zeros is no record.
    return _FRAME.pack(len(content), zlib.crc32(content, len(content))) + content


def of_entry(entry: Entry | Marks) -> bytes:
    """The bytes of an entry, or of marks, in the file."""
    if isinstance(entry, Marks):
        return frame(entry)
    if entry.event is not None:
        event = _Event(
            entry.number, entry.prev, entry.at, entry.born, entry.recordedtime, entry.event.body
        )  # fmt: skip
        return frame(event)
    assert entry.marker is not None
    origin, first, last, *_ = entry.marker
    marker = _Marker(
        entry.number, entry.prev, entry.at, entry.born, entry.recordedtime, origin, first, last, entry.reason
    )  # fmt: skip
    return frame(marker)


def read(content: bytes) -> Found:
    """What the content of a file tells. Raises :exc:`CodecError` if it is no file of this format at all."""
    header, offset = _next(content, 0)
    if not isinstance(header, Header):
        raise CodecError("it does not begin like a buffer's log file")
    if header.format != FORMAT:
        raise CodecError(f"it has format {header.format}, not {FORMAT}")
    entries: list[Entry] = []
    marks: dict[str, Marks] = {}
    closed: Closed | None = None
    while closed is None:
        record, behind = _next(content, offset)
        try:
            match record:
                case None | Header():
                    break
                case Closed():
                    closed = record
                case Marks():
                    marks[record.origin] = record
                case _:
                    entries.append(_entry(record))
        except CodecError:
            break
        offset = behind
    last = max(header.last, entries[-1].number if entries else 0)
    clean = closed is not None and closed.last == last and offset == len(content)
    return Found(header, Snapshot(last, entries, list(marks.values())), clean, len(content) - offset)


def _next(content: bytes, offset: int) -> tuple[Record | None, int]:
    """The record at an offset and where it ends; None if there is no whole one."""
    if offset + _FRAME.size > len(content):
        return None, offset
    length, checksum = _FRAME.unpack_from(content, offset)
    start = offset + _FRAME.size
    if not 0 < length <= MAX_RECORD or start + length > len(content):
        return None, offset
    part = memoryview(content)[start : start + length]
    if zlib.crc32(part, length) != checksum:
        return None, offset
    try:
        return _decoder.decode(part), start + length
    except msgspec.DecodeError:
        return None, offset


def _entry(record: _Event | _Marker) -> Entry:
    if isinstance(record, _Event):
        event = decode(record.body)
        return Entry(
            record.number, event.origin, event.sequence, record.prev,
            record.at, record.born, record.recordedtime, event=event,
        )  # fmt: skip
    # Only a late one is not behind the entry before it.
    loss = Loss(record.origin, record.first, record.last, late=record.last <= record.prev)
    return Entry(
        record.number, record.origin, max(record.last, record.prev), record.prev,
        record.at, record.born, record.recordedtime, marker=loss, reason=record.reason,
    )  # fmt: skip
