"""The state file: what outlives an agent, and what is done with one that cannot be used."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tocsin.core.board import Resource
from tocsin.core.sequence import sequence_of
from tocsin.storage.state import KEEP_NAMES, State, StateFile


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """All of it comes back; a name that has not been seen for a week does not."""
    now = time.time()
    section = [Resource(node="n1", kind="adapter", subject="eth0", status="ok", origin="n1")]
    state = State(incarnation=7, last=9, names={"n2": now}, stamp=sequence_of(7, 9), section=section)
    assert StateFile(tmp_path / "new").save(state)
    assert state == StateFile(tmp_path / "new").load()

    state.names["n3"] = now - KEEP_NAMES - 1
    assert StateFile(tmp_path).save(state)
    assert {"n2": now} == StateFile(tmp_path).load().names


def test_without_a_directory_nothing_is_kept() -> None:
    """No directory, no file, no error."""
    file = StateFile(None)

    assert file.save(State(incarnation=7))
    assert State() == file.load()


@pytest.mark.parametrize(
    "content",
    [
        b"bad",
        b"",
        b'{"incarnation": 99999999999999999}',
        b'{"incarnation": -1}',
        b'{"last": 1000000000000000}',
        b'{"names": {"": 1}}',
        b'{"names": {"../x y": 1}}',
        b'{"stamp": "yesterday"}',
        b'{"section": [{"node": "n1"}]}',
        b"\xff" * 10,
        b"[" * 100_000,
    ],
)
def test_an_unreadable_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    """What cannot be read or cannot be true is kept for people, and the agent starts as after a crash."""
    (tmp_path / "state.json").write_bytes(content)

    assert State(clean=False) == StateFile(tmp_path).load()
    assert content == (tmp_path / "state.unreadable").read_bytes()
    assert State() == StateFile(tmp_path).load()


def test_a_file_that_cannot_even_be_set_aside(tmp_path: Path) -> None:
    """Where the directory cannot be changed the agent goes on all the same."""
    (tmp_path / "state.json").write_bytes(b"bad")
    (tmp_path / "state.unreadable").mkdir()

    assert State(clean=False) == StateFile(tmp_path).load()


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """It is said by the return value, and nothing is raised."""
    (tmp_path / "file").write_text("in the way")

    assert not StateFile(tmp_path / "file" / "state").save(State())
