"""The buffer's log file on real disks: what survives, what is told, and that nothing waits for it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.made import LIFE, event
from tests.storage.lives import Life
from tests.tools.namespaces import in_namespaces, sh
from tocsin.core.buffer import Gap, Page
from tocsin.core.cursor import Cursor
from tocsin.core.sequence import sequence_of
from tocsin.storage import writer as writing
from tocsin.storage.log_file import NAME
from tocsin.storage.records import Header, frame, read

ROOT = Path(__file__).parents[2]


def told(life: Life, cursor: Cursor) -> list[str] | str:
    """What a reader at a cursor is told: numbers of events, or why it is a gap."""
    answer = life.buffer.since(cursor)
    if isinstance(answer, Gap):
        return answer.reason
    assert isinstance(answer, Page)
    return [f"{e.origin}{int(e.sequence[14:])}" for e in answer.entries]


def wait_for(condition: object, seconds: float = 10.0) -> None:
    """Waits until a callable is true."""
    for _ in range(int(seconds / 0.01)):
        if condition():  # type: ignore[operator]
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"not within {seconds} s")


# -- restarts ------------------------------------------------------------------------------------


def test_a_clean_restart_goes_on(tmp_path: Path) -> None:
    """The buffer has the same id, numbers and seen; every cursor goes on."""
    one = Life(tmp_path)
    one.add(1, 2)
    one.buffer.skip("a", sequence_of(LIFE, 3))
    one.add(7, origin="b")
    id, seen = one.buffer.id, one.buffer.seen()
    one.log.close()
    two = Life(tmp_path, life=2, now=1.0)

    assert (id, 4, seen) == (two.buffer.id, two.buffer.last, two.buffer.seen())
    assert (True, 4, 0) == (two.log.clean, two.log.recovered, two.log.torn_bytes)
    two.add(4)
    assert ["a2"] == told(two, Cursor(id, 1))[:1]
    assert ["a4"] == told(two, Cursor(id, 4))
    two.log.close()


def test_after_a_crash_the_buffer_is_a_new_one(tmp_path: Path) -> None:
    """What was recovered goes on; a cursor from beyond it is of an earlier life."""
    one = Life(tmp_path)
    one.add(1, 2, 3)
    old = one.buffer.id
    one.crash()
    two = Life(tmp_path, life=2, now=1.0)
    two.add(4)

    assert old != two.buffer.id
    assert (["a1", "a2", "a3", "a4"], False) == (two.held(), two.log.clean)
    assert ["a3", "a4"] == told(two, Cursor(old, 2))
    assert ["a4"] == told(two, Cursor(old, 3))
    assert "restarted" == told(two, Cursor(old, 4))
    middle = two.buffer.id
    two.crash()

    three = Life(tmp_path, life=3, now=2.0)
    assert {old: 3, middle: 4} == three.buffer.prior
    assert ["a3", "a4"] == told(three, Cursor(old, 2))
    assert ["a4"] == told(three, Cursor(middle, 3))
    three.log.close()


def test_a_clean_mark_counts_once(tmp_path: Path) -> None:
    """A life that crashed before its first event has used up the mark of the one before."""
    one = Life(tmp_path)
    one.add(1)
    old = one.buffer.id
    one.log.close()
    Life(tmp_path, life=2).crash()

    three = Life(tmp_path, life=3)
    assert (False, {old: 1}) == (three.log.clean, three.buffer.prior)
    three.log.close()


def test_a_new_id_is_new_though_the_clock_went_back(tmp_path: Path) -> None:
    """The file remembers the number of its life."""
    one = Life(tmp_path, life=50)
    one.crash()
    two = Life(tmp_path, life=3)
    assert one.buffer.id != two.buffer.id
    two.crash()
    three = Life(tmp_path, life=3)
    assert three.buffer.id not in (one.buffer.id, two.buffer.id)
    three.log.close()


def test_a_file_that_is_cut_at_any_byte(tmp_path: Path) -> None:
    """Loss of power: what is whole is recovered, in order, and numbers beyond are never given twice."""
    one = Life(tmp_path)
    one.add(1, 2, 3)
    old = one.buffer.id
    one.log.close()
    content = (tmp_path / NAME).read_bytes()
    header = len(frame(read(content).header))
    recovered = set()
    for cut in range(len(content)):
        (tmp_path / NAME).write_bytes(content[:cut])
        two = Life(tmp_path, life=2)
        recovered.add(count := len(two.held()))
        assert ["a1", "a2", "a3"][:count] == two.held()
        assert old != two.buffer.id
        if cut >= header:
            assert read(content[:cut]).torn == two.log.torn_bytes
            two.add(1, origin="b")
            assert ["b1"] == told(two, Cursor(old, count))
        assert "restarted" == told(two, Cursor(old, count + 1))
        two.crash()
        (tmp_path / NAME).with_suffix(".unreadable").unlink(missing_ok=True)
    assert {0, 1, 2, 3} == recovered


def test_garbage_is_set_aside(tmp_path: Path) -> None:
    """A file that is none, or another node's, is kept for whoever wants to look, and the agent starts."""
    (tmp_path / NAME).write_bytes(b"garbage")
    Life(tmp_path).crash()
    assert b"garbage" == (tmp_path / "buffer.unreadable").read_bytes()

    other = Header(1, "zzzzz.1", 1, "", 0, {})
    (tmp_path / NAME).write_bytes(frame(other))
    two = Life(tmp_path)
    assert ("", {}) == (two.log.why, two.buffer.prior)
    assert frame(other) == (tmp_path / "buffer.other").read_bytes()
    two.log.close()


def test_after_a_reboot_ages_begin_at_zero(tmp_path: Path) -> None:
    """The monotonic clock of another boot says nothing: everything stays its full time again."""
    one = Life(tmp_path, retain=10)
    one.add(1, 2, now=5_000.0)
    one.log.close()
    content = (tmp_path / NAME).read_bytes()
    header = read(content).header
    boot = Header(header.format, header.id, header.life, "another", header.last, header.prior)
    rest = content[len(frame(header)) :]
    (tmp_path / NAME).write_bytes(frame(boot) + rest)

    two = Life(tmp_path, life=2, now=20.0, retain=10)
    two.buffer.prune(29.0)
    assert ["a1", "a2"] == two.held()
    two.buffer.prune(30.5)
    assert [] == two.held()
    two.log.close()
    assert [] == Life(tmp_path, life=3, now=31.0, retain=10).held()


def test_two_agents_never_share_a_file(tmp_path: Path) -> None:
    """The second one goes on in memory and says why; it takes over when the first has gone."""
    one = Life(tmp_path)
    one.add(1)
    two = Life(tmp_path, life=2)
    two.add(5)
    draft = two.tend(0.0)
    assert draft is not None
    assert ("agent.buffer-degraded", "another agent uses this directory") == (draft.type, two.log.why)
    assert ["a5"] == two.held()
    one.log.close()

    draft = two.tend(100.0)
    assert draft is not None
    assert ("agent.buffer-recovered", "ok", "") == (draft.type, draft.data["status"], two.log.why)
    two.crash()
    assert ["a5"] == Life(tmp_path, life=3).held()


# -- killed ----------------------------------------------------------------------------------------


def start(directory: Path, count: int = 0, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """A process that numbers events and prunes all the time."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.storage.lives", str(directory), str(count)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_process_killed_at_any_point(tmp_path: Path) -> None:
    """Killed while it writes, prunes and starts: every number that was visible is recovered, each time."""
    dice = random.Random(4)
    prior = dict[str, int]()
    for _ in range(8):
        process = start(tmp_path)
        assert process.stdout is not None
        assert process.stderr is not None
        id = process.stdout.readline().strip()
        threading.Event().wait(dice.random() * 0.25)
        process.kill()
        lines = process.stdout.read().splitlines()
        process.stdout.close()
        process.stderr.close()
        process.wait()
        visible = int(lines[-1].split()[0]) if lines else 0
        found = read((tmp_path / NAME).read_bytes())
        assert id == found.header.id
        assert visible <= found.held.last <= max(visible + 1, found.held.last if not lines else 0)
        assert id not in prior
        prior[id] = found.held.last
        numbers = [entry.number for entry in found.held.entries]
        assert sorted(set(numbers)) == numbers


# -- pruning ---------------------------------------------------------------------------------------


def test_pruning_keeps_what_is_wanted(tmp_path: Path) -> None:
    """The file does not grow for ever; what comes while it is copied is behind, in order; pauses are kept."""
    one = Life(tmp_path, retain=10, interval=5.0)
    one.add(*range(1, 101), now=0.0)
    one.buffer.prune(11.0)
    one.add(101, 102, now=12.0)
    large = (tmp_path / NAME).stat().st_size
    one.log.tend(4.0)
    assert 0 == one.log.prunes

    one.tend(13.0)
    one.log.tend(13.0)
    one.add(103, now=13.0)
    one.tend(13.5)
    assert (1, 103) == (one.log.prunes, one.buffer.last)
    assert (tmp_path / NAME).stat().st_size < large / 5
    one.add(*range(104, 204), now=14.0)
    one.buffer.prune(25.0)
    one.tend(17.0)
    assert 1 == one.log.prunes, "it pauses"
    one.crash()

    two = Life(tmp_path, life=2, now=15.0, retain=10)
    assert [f"a{seq}" for seq in range(101, 204)] == two.held()
    assert [f"a{seq}" for seq in range(103, 204)] == told(two, Cursor(one.buffer.id, 102))
    assert "evicted" == told(two, Cursor(one.buffer.id, 5))
    two.log.close()


def test_events_that_come_while_a_file_is_copied(tmp_path: Path) -> None:
    """They are in the old file at once, and in the new one when it takes the old one's name."""
    one = Life(tmp_path, retain=10, interval=0.0)
    one.add(*range(1, 101))
    one.buffer.prune(11.0)
    one.log.tend(11.0)
    assert one.log._tail == []
    one.add(101, 102, now=11.0)
    assert ["a101", "a102"] == [
        f"{e.origin}{int(e.sequence[14:])}" for e in read((tmp_path / NAME).read_bytes()).held.entries[-2:]
    ]
    one.tend(11.0)
    assert 1 == one.log.prunes
    one.add(103, now=11.0)
    one.log.close()
    assert ["a101", "a102", "a103"] == Life(tmp_path, life=2, now=12.0, retain=10).held()


# -- disks that do not work --------------------------------------------------------------------------


@contextlib.contextmanager
def mounted(options: str) -> Iterator[Path]:
    """A file system that is gone afterwards, whoever still uses it."""
    place = Path(tempfile.mkdtemp())
    sh(f"mount {options} {place}")
    try:
        yield place
    finally:
        sh(f"umount -l {place}")
        place.rmdir()


@in_namespaces
async def test_a_full_disk() -> None:
    """The buffer goes on in memory and says so, and is in its file again as soon as there is room."""
    with mounted("-t tmpfs -o size=64k none") as place:
        directory = place / "state"
        one = Life(directory)
        assert one.tend(0.0) is not None
        filler = place / "filler"
        filler.write_bytes(b"x" * 40_000)
        one.add(*range(1, 61))
        draft = one.tend(1.0)
        assert draft is not None
        assert ("agent.buffer-degraded", "warning") == (draft.type, draft.data["status"])
        assert "No space left on device" in draft.data["summary"]
        assert [f"a{seq}" for seq in range(1, 61)] == one.held()
        assert None is one.tend(2.5)
        assert {
            "buffer_file_written": 0.0,
            "buffer_file_failures_total": 1,
        }.items() <= one.log.counters().items()

        # A crash now: what is in the file is recovered, cursors from beyond it are of an earlier life.
        copy = Path(tempfile.mkdtemp())
        (copy / NAME).write_bytes((directory / NAME).read_bytes())
        other = Life(copy, life=2)
        last = other.buffer.last
        assert 0 < last < 60
        assert other.log.torn_bytes > 0
        assert "restarted" == told(other, Cursor(one.buffer.id, last + 1))
        other.log.close()
        shutil.rmtree(copy)

        filler.unlink()
        draft = one.tend(100.0)
        assert draft is not None
        assert ("agent.buffer-recovered", "ok") == (draft.type, draft.data["status"])
        one.add(61)
        one.log.close()
        two = Life(directory, life=2)
        assert (True, [f"a{seq}" for seq in range(1, 62)]) == (two.log.clean, two.held())
        two.log.close()


@in_namespaces
async def test_a_disk_that_the_file_itself_has_filled() -> None:
    """Once enough is past its time, the old file makes room for the new one."""
    with mounted("-t tmpfs -o size=64k none") as place:
        one = Life(place, retain=10)
        one.tend(0.0)
        one.add(*range(1, 301))
        assert one.log.why
        one.buffer.prune(11.0)
        one.add(301, now=11.0)
        one.tend(11.0)
        assert "" != one.log.why
        one.tend(13.0)
        one.tend(20.0)
        assert "" == one.log.why
        one.log.close()
        assert ["a301"] == Life(place, life=2, now=12.0, retain=10).held()


@in_namespaces
async def test_a_disk_that_is_read_only_at_the_start() -> None:
    """What it holds is recovered under a new id, for the old one's mark cannot be taken back."""
    with mounted("-t tmpfs none") as place:
        one = Life(place)
        one.add(1, 2)
        one.log.close()
        sh(f"mount -o remount,ro {place}")

        two = Life(place, life=2)
        assert ("Read-only file system", True) == (two.log.why, two.log.clean)
        assert one.buffer.id != two.buffer.id
        two.add(3)
        assert ["a2", "a3"] == told(two, Cursor(one.buffer.id, 1))
        assert "restarted" == told(two, Cursor(one.buffer.id, 3))
        draft = two.tend(0.0)
        assert draft is not None
        assert "agent.buffer-degraded" == draft.type
        two.crash()

        three = Life(place, life=3)
        sh(f"mount -o remount,rw {place}")
        three.tend(0.0)
        three.tend(100.0)
        assert "" == three.log.why
        three.crash()
        assert ["a1", "a2"] == Life(place, life=4).held()


@in_namespaces
async def test_a_disk_that_becomes_read_only() -> None:
    """A file system that protects itself after an error is noticed at the next event."""
    with mounted("-t tmpfs none") as place:
        image, mount = place / "image", place / "mount"
        mount.mkdir()
        sh(f"truncate -s 8M {image} && mkfs.ext4 -q -O ^has_journal {image}")
        if subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, mount]).returncode:
            pytest.skip("no loop devices here")
        one = Life(mount)
        one.add(1)
        device = Path(sh_out(f"findmnt -no SOURCE {mount}")).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")
        one.add(2, 3)
        draft = one.tend(1.0)
        assert draft is not None
        assert ("agent.buffer-degraded", ["a1", "a2", "a3"]) == (draft.type, one.held())
        one.crash()
        sh(f"umount -l {mount}")


def sh_out(command: str) -> str:
    """What a command line prints."""
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout.strip()


def _strace(*injections: str) -> tuple[str, ...]:
    traced = ("strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=fsync")
    return (*traced, *(word for each in injections for word in ("-e", f"inject={each}")))


@pytest.fixture
def strace() -> None:
    """Programs can be traced here."""
    try:
        done = subprocess.run([*_strace("fsync:delay_enter=1"), "true"], capture_output=True)
    except FileNotFoundError:
        pytest.skip("not installed: strace")
    if done.returncode:
        pytest.skip("programs cannot be traced here")


@pytest.mark.usefixtures("strace")
def test_a_slow_disk_delays_no_event(tmp_path: Path) -> None:
    """With half a second for each synchronisation, events get their numbers as quickly as ever."""
    process = start(tmp_path, 500, _strace("fsync:delay_enter=500000"))
    out, err = process.communicate(timeout=60)
    assert 0 == process.returncode, err
    took = sorted(float(line.split()[2]) for line in out.splitlines()[1:])
    assert 500 == len(took)
    assert took[-1] < 0.2, took[-5:]
    assert "degraded" not in err


@pytest.mark.usefixtures("strace")
def test_an_error_of_the_disk_heals(tmp_path: Path) -> None:
    """After EIO nobody knows what is on the disk: it is said, and all of it is written again."""
    process = start(tmp_path, 4000)
    assert process.stdout is not None
    process.stdout.readline()
    tracer = subprocess.Popen([*_strace("fsync:error=EIO"), "-p", str(process.pid)], stderr=subprocess.PIPE)
    assert process.stderr is not None
    told = []
    for line in process.stderr:
        told.append(line.split()[0])
        if told[-1] == "agent.buffer-degraded":
            assert "Input/output error" in line
            tracer.terminate()
            break
    _, err = process.communicate(timeout=60)
    tracer.communicate(timeout=10)
    told += [line.split()[0] for line in err.splitlines()]
    expected = ["agent.buffer-recovered", "agent.buffer-degraded", "agent.buffer-recovered"]
    assert expected == [word for word in told if word.startswith("agent.")]
    assert 0 == process.returncode
    assert read((tmp_path / NAME).read_bytes()).clean


def test_a_disk_that_hangs_costs_one_short_delay(tmp_path: Path) -> None:
    """The agent goes on without the file, and with it once the disk answers again."""
    one = Life(tmp_path)
    one.add(1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    # A pipe that nobody reads stands for a file on a disk that does not answer.
    assert one.log._writer is not None
    os.dup2(full := os.open(pipe, os.O_WRONLY), one.log._writer._descriptor)
    while os.write(full, b"x" * 65_536) == 65_536:
        break
    one.add(2)
    assert f"the disk did not answer within {writing.PATIENCE:g} s" == one.log.why
    one.add(3)
    one.tend(1.0)
    one.tend(100.0)
    assert ("", ["a1", "a2", "a3"]) == (one.log.why, one.held())
    one.log.close()
    os.close(reader)
    os.close(full)
    assert ["a1", "a2", "a3"] == Life(tmp_path, life=2).held()


def test_counters_are_numbers(tmp_path: Path) -> None:
    """What is counted can be shown."""
    one = Life(tmp_path)
    one.add(1)
    assert json.dumps(one.log.counters())
    assert one.log.counters()["buffer_file_bytes"] == (tmp_path / NAME).stat().st_size
    assert event("a", 1).body[:20] in (tmp_path / NAME).read_bytes()
    one.log.close()
