"""The records of the log file: what is written is read back, and what is not whole is not believed."""

from __future__ import annotations

import pytest

from tests.core.made import WALL, event, loss
from tocsin.core.errors import CodecError
from tocsin.core.lasting import Marks
from tocsin.core.page import Entry
from tocsin.storage.records import FORMAT, Closed, Header, frame, of_entry, read

HEADER = Header(FORMAT, "k3f9a.1", 1, "boot", 2, {"k3f9a.0": 1})
EVENT = event("a", 1)
ENTRY = Entry(3, "a", EVENT.sequence, "", 5.0, 4.0, WALL, event=EVENT)
LOSS = loss("b", 1, 2)
MARKER = Entry(4, "b", LOSS.last, "", 6.0, 6.0, WALL, marker=LOSS, reason="replica")
LATE = Entry(5, "b", event("b", 9).sequence, event("b", 9).sequence, 6.0, 6.0, WALL,
             marker=LOSS._replace(late=True), reason="replica")  # fmt: skip
MARKS = Marks("a", EVENT.sequence, "", False, 2, "", "")
PARTS = [frame(HEADER), of_entry(MARKS), of_entry(ENTRY), of_entry(MARKER), frame(Closed(4))]
WHOLE = b"".join(PARTS)


def fields(entry: Entry) -> tuple[object, ...]:
    """All that an entry says."""
    return tuple(getattr(entry, name) for name in Entry.__struct_fields__)


def test_a_file_is_read_as_it_was_written() -> None:
    """Header, marks, events and markers; closed well; and the event's bytes are those of its origin."""
    found = read(WHOLE)

    assert (HEADER, True, 0, 4, [MARKS]) == (
        found.header, found.clean, found.torn, found.held.last, found.held.marks,
    )  # fmt: skip
    assert [fields(ENTRY), fields(MARKER)] == [fields(entry) for entry in found.held.entries]


def test_a_file_that_is_cut_at_any_byte_is_read_up_to_there() -> None:
    """Every whole record counts, the torn one is dropped and counted, and a cut file was not closed well."""
    ends = [sum(map(len, PARTS[: count + 1])) for count in range(len(PARTS))]
    for cut in range(ends[0], len(WHOLE)):
        found = read(WHOLE[:cut])
        whole = sum(end <= cut for end in ends)
        assert (False, cut - ends[whole - 1]) == (found.clean, found.torn)
        assert max(0, whole - 2) == len(found.held.entries)
        assert [2, 2, 3, 4][whole - 1] == found.held.last


def test_what_does_not_begin_like_a_log_file_is_none() -> None:
    """Nothing, half a header, something else, and a format that is not known."""
    for content in (b"", WHOLE[:20], b"\0" * 64, WHOLE[len(PARTS[0]) :], b"x" * 64):
        with pytest.raises(CodecError, match="does not begin"):
            read(content)
    with pytest.raises(CodecError, match="format 9"):
        read(frame(Header(9, "", 1, "", 0, {})))


def test_a_broken_byte_anywhere_is_noticed() -> None:
    """What follows a record that is not what was written is not believed either."""
    start = len(PARTS[0])
    for at in range(start, len(WHOLE)):
        broken = WHOLE[:at] + bytes([WHOLE[at] ^ 0x20]) + WHOLE[at + 1 :]
        found = read(broken)
        assert not found.clean
        assert 0 < found.torn <= len(WHOLE) - start


def test_zeros_at_the_end_are_no_records() -> None:
    """A loss of power may leave a file longer than what was written."""
    found = read(WHOLE[: -len(PARTS[-1])] + b"\0" * 4096)
    assert (False, 4096, 4) == (found.clean, found.torn, found.held.last)


def test_what_is_behind_the_end_makes_it_unclean() -> None:
    """The mark counts only as the very last."""
    assert not read(WHOLE + b"x").clean
    assert not read(b"".join([*PARTS[:-1], frame(Closed(9))])).clean


def test_records_of_the_wrong_kind_end_it() -> None:
    """A second header, a record that is no record, an event that is none."""
    for wrong in (frame(HEADER), frame(["?", 1]), frame(["E", 3, "", 0.0, 0.0, "", b"{}"])):  # type: ignore[arg-type]
        assert len(wrong) == read(PARTS[0] + wrong).torn


def test_a_late_marker_is_read_as_it_was_written() -> None:
    """It lies before the entry before it, by which it is known."""
    (found,) = read(frame(HEADER) + of_entry(LATE)).held.entries
    assert fields(LATE) == fields(found)
    assert found.late
