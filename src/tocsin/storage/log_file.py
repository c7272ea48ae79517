"""The buffer's log file: every event is in it before its number is visible (DESIGN.md section 6).

``buffer.log`` in its directory is append-only (:mod:`tocsin.storage.records`). It survives a crash of the
agent at any point; what a loss of power may cost is what came after the last synchronisation, which
follows within :data:`SYNC_EVERY` seconds on a thread of its own and delays nothing.

Pruning copies what is still wanted into a new file beside the old, on a thread; only while its last bit is
written and it takes the old one's name do writers wait. The same heals a file that could not be written:
until then the buffer goes on in memory, and the agent says so.

A clean stop leaves a mark, and the buffer keeps its id. Without the mark it takes a new one: numbers
that came after the last recovered one may have been seen, and must not mean something else.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tocsin.core.cursor import same_node
from tocsin.core.errors import CodecError
from tocsin.core.event import Draft, report
from tocsin.core.lasting import LastingBuffer, Marks, Snapshot
from tocsin.core.page import Entry
from tocsin.storage.records import FORMAT, Closed, Found, Header, frame, of_entry, read
from tocsin.storage.writer import Job, Writer, discard, words, write_file

__all__ = ["NAME", "SYNC_EVERY", "LogFile"]

_log = logging.getLogger(__name__)

NAME: Final = "buffer.log"
#: How often the file is synchronised if there is news, in seconds; :meth:`LogFile.tend` is called as often.
SYNC_EVERY: Final = 1.0
#: After a failure the file is tried again, first after the first of these times, then ever later. Seconds.
_RETRY: Final = (1.0, 30.0)
#: How long starting and stopping wait for the disk, in seconds.
_START_PATIENCE: Final = 10.0
_STOP_PATIENCE: Final = 1.0
#: Bytes that an entry has in the file beside its event.
_ENVELOPE: Final = 96
#: What may come while a new file is written; if there is more the disk is too slow for that.
_MAX_TAIL: Final = 64 << 20
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class LogFile:
    """Keeps a buffer in a file. All methods are for the loop's thread; none but ``start`` waits long."""

    def __init__(
        self,
        directory: Path,
        buffer: LastingBuffer,
        *,
        id_of: Callable[[int], str],
        life: int,
        interval: float = 30.0,
    ) -> None:
        """``id_of(life)``: the buffer's id if it needs a new one. ``interval``: seconds between prunings."""
        self.directory, self.path = directory, directory / NAME
        self.buffer = buffer
        self._id_of, self._life = id_of, life
        self._interval = interval
        #: Why the buffer is in memory only; empty while the file is written.
        self.why = "not started"
        #: What was recovered: entries, bytes that were no whole record, and whether the stop had been clean.
        self.recovered = self.torn_bytes = 0
        self.clean = False
        self.failures = self.prunes = 0
        self._told: bool | None = None
        self._writer: Writer | None = None
        self._lock = -1
        self._made = 0
        self._dirty = False
        #: The job that runs, what it is to do afterwards, and what came since it began.
        self._job: Job | None = None
        self._new: Path | None = None
        self._tail: list[bytes] | None = None
        self._tail_bytes = 0
        self._switches = 0
        self._switching = False
        self._next_prune = self._retry_at = self._healthy_since = 0.0
        self._backoff = _RETRY[0]

    # -- the start ----------------------------------------------------------------

    def start(self, now: float) -> None:
        """Restores the buffer from the file, and begins a new file in its place. Never fails.

        Where that cannot be done, the buffer goes on in memory.
        """
        found = self._recover()
        self.buffer.id = self._id_of(self._life)
        if found is not None:
            self._restore(found, now)
        self._next_prune, self._healthy_since = now + self._interval, now
        fresh, life = self.buffer.id, self._life
        if found is not None and found.clean and not self.why:
            self.buffer.id, self._life = found.header.id, found.header.life
        if not self.why:
            self._begin_file()
        if self.why and self.buffer.id != fresh:
            # The old file still says that it was closed well: its id must not get numbers that it lacks.
            assert found is not None
            self.buffer.prior[found.header.id] = found.held.last
            self.buffer.id, self._life = fresh, life
        if self.why:
            self._fail(self.why)
        self.buffer.keep = self._keep

    def _recover(self) -> Found | None:
        """What the file holds, if it can be read and is ours."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            for left in self.directory.glob(f"{NAME}.*.new"):
                discard(left)
            self.why = ""
        except OSError as error:
            self.why = words(error)
            if isinstance(error, BlockingIOError):
                return None
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.why = words(error)
            return None
        try:
            found = read(content)
        except CodecError as error:
            self.torn_bytes = len(content)
            self._set_aside(str(error), "unreadable")
            return None
        self.torn_bytes = found.torn
        if not same_node(found.header.id, self._id_of(self._life)):
            self._set_aside("it is another node's", "other")
            return None
        return found

    def _take_lock(self) -> None:
        """Two agents must not write the same file. Raises OSError."""
        if self._lock >= 0:
            return
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        self._lock = descriptor

    def _set_aside(self, why: str, suffix: str) -> None:
        _log.error("going on without %s: %s", self.path, why)
        try:
            self.path.replace(self.path.with_suffix(f".{suffix}"))
        except OSError as error:
            self.why = self.why or words(error)

    def _restore(self, found: Found, now: float) -> None:
        header, held = found.header, found.held
        if header.boot != _boot_id():
            for entry in held.entries:
                entry.at = entry.born = now  # its clock is gone: it stays its full time again
        prior = dict(header.prior)
        if not found.clean:
            prior[header.id] = held.last
        self._life = max(self._life, header.life + 1)
        self.buffer.id = self._id_of(self._life)
        self.buffer.restore(held, prior, now)
        self.recovered, self.clean = len(self.buffer), found.clean
        if found.torn:
            _log.warning("dropped a torn record: %d bytes at the end of %s", found.torn, self.path)

    def _begin_file(self) -> None:
        """A new file with what was restored, under the name of the old, and safe on the disk."""
        new, writer = self._next_new(), Writer(self.path)
        try:
            write_file(new, self._header(), self.buffer.snapshot())
        except OSError as error:
            discard(new)
            self.why = words(error)
            writer.end()
            return
        writer.switch(new, b"")
        self.why = writer.append(b"", _START_PATIENCE)
        try:
            self._synchronise()
        except OSError as error:
            self.why = self.why or words(error)
        if self.why:
            writer.end()
        else:
            self._writer, self._switches = writer, writer.switches

    def _header(self) -> Header:
        buffer = self.buffer
        return Header(FORMAT, buffer.id, self._life, _boot_id(), buffer.last, dict(buffer.prior))

    def _next_new(self) -> Path:
        self._made += 1
        return self.directory / f"{NAME}.{self._made}.new"

    # -- what comes -----------------------------------------------------------------

    def _keep(self, entry: Entry | Marks) -> None:
        data = of_entry(entry)
        if self._tail is not None:
            self._tail.append(data)
            self._tail_bytes += len(data)
        if self._writer is None:
            return
        error = self._writer.append(data)
        if error:
            self._fail(error)
        else:
            self._dirty = True

    def _fail(self, why: str) -> None:
        """The file is no good any more: on in memory."""
        self.why, self._retry_at = why, 0.0
        self.failures += 1
        if self._writer is not None:
            self._writer.end()
            self._writer, self._switching = None, False
        _log.error("the buffer is in memory only: %s: %s", self.path, why)

    # -- as time passes ---------------------------------------------------------------

    def tend(self, now: float) -> Draft | None:
        """Synchronises, prunes, heals; call it every :data:`SYNC_EVERY` s. Returns what is to be told."""
        if self._job is None or self._job.done:
            self._finish(now)
            self._look_at_switch(now)
            self._next(now)
        elif self._tail is not None and self._tail_bytes > _MAX_TAIL:
            self._tail, self._tail_bytes = None, 0
        if self.why and not self._retry_at:
            self._retry_at = now + self._backoff
            self._backoff = min(2 * self._backoff, _RETRY[1])
        return self._tell()

    def _finish(self, now: float) -> None:
        """Looks at what the job has come to."""
        job, new, tail = self._job, self._new, self._tail
        self._job = self._new = self._tail = None
        self._tail_bytes = 0
        if job is None:
            return
        if new is None:
            if job.error and self._writer is not None:
                self._fail(job.error)  # nobody knows what of it is on the disk
            return
        self._next_prune = now + self._interval
        if job.error or tail is None:
            self._postpone(job.error or "the disk is too slow")
            self._job = Job(lambda: discard(new))
            return
        if self._writer is None:
            self._writer, self._switches = Writer(self.path), 0
        self._writer.switch(new, b"".join(tail))
        self._switching = True

    def _postpone(self, why: str) -> None:
        if self._writer is not None:
            _log.warning("%s cannot be pruned now: %s", self.path, why)
        else:
            self.why, self._retry_at = why, 0.0

    def _look_at_switch(self, now: float) -> None:
        writer = self._writer
        if writer is None:
            return
        if writer.error:
            self._fail(writer.error)
        elif writer.switches != self._switches:
            self._switches, self._dirty, self._switching = writer.switches, True, False
            if self.why:
                _log.info("the buffer is in its file again: %s", self.path)
                self.why, self._retry_at, self._healthy_since = "", 0.0, now
            else:
                self.prunes += 1
        elif writer.switch_error:
            self._postpone(writer.switch_error)
            writer.switch_error, self._switching = "", False
        elif not self.why and now - self._healthy_since > 2 * _RETRY[1]:
            self._backoff = _RETRY[0]

    def _next(self, now: float) -> None:
        """Begins what is due."""
        if self._job is not None or self._switching:
            return
        if self._writer is None:
            if self._retry_at and now >= self._retry_at:
                self._copy(heal=True)
        elif not self.why and now >= self._next_prune and self._writer.size > 2 * self._wanted():
            self._copy(heal=False)
        elif self._dirty:
            self._dirty = False
            self._job = Job(self._synchronise)

    def _wanted(self) -> int:
        return self.buffer.bytes + _ENVELOPE * len(self.buffer) + 4096

    def _copy(self, *, heal: bool) -> None:
        """Begins a new file: all that is wanted now, then what comes until it takes the old one's place."""
        new, header, held = self._next_new(), self._header(), self.buffer.snapshot()
        self._new, self._tail, self._tail_bytes = new, [], 0

        def work() -> None:
            if heal:
                self.directory.mkdir(parents=True, exist_ok=True)
                self._take_lock()
            try:
                write_file(new, header, held)
            except OSError as error:
                discard(new)
                if not heal or error.errno != errno.ENOSPC or not self._makes_room(held):
                    raise
                write_file(new, header, held)

        self._job = Job(work)

    def _makes_room(self, held: Snapshot) -> bool:
        """Removes the old file, which is no good any more, if the new one has room then."""
        place = os.statvfs(self.directory)
        old = self.path.stat().st_blocks * 512 if self.path.exists() else 0
        everything: list[Entry | Marks] = [*held.marks, *held.entries]
        size = sum(len(of_entry(entry)) for entry in everything) + 4096
        if not old or place.f_bavail * place.f_frsize + old < size:
            return False
        self.path.unlink()
        return True

    def _synchronise(self) -> None:
        """All that is in the file is on the disk afterwards, and its name too. Raises OSError."""
        for path in (self.path, self.directory):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    # -- what it says -------------------------------------------------------------------

    def _tell(self) -> Draft | None:
        well = not self.why
        if well == self._told:
            return None
        first, self._told = self._told is None, well
        attributes = {"file": str(self.path), "recovered": self.recovered, "clean": self.clean}
        if not well:
            summary = f"events are kept in memory only: {self.why} ({self.path})"
            return report("agent.buffer-degraded", "buffer", "warning", summary, attributes)
        what = (
            f"{self.recovered} events and losses were recovered" if first else "events are kept in it again"
        )
        return report("agent.buffer-recovered", "buffer", "ok", f"{self.path}: {what}", attributes)

    def counters(self) -> dict[str, float]:
        """What is counted, for /metrics."""
        return {
            "buffer_file_written": float(not self.why),
            "buffer_file_bytes": self._writer.size if self._writer is not None else 0,
            "buffer_file_recovered": self.recovered,
            "buffer_file_torn_bytes": self.torn_bytes,
            "buffer_file_failures_total": self.failures,
            "buffer_file_prunes_total": self.prunes,
        }

    # -- the stop -----------------------------------------------------------------------

    def close(self) -> None:
        """Nothing more will be numbered: marks the file as closed well. Waits two seconds at most."""
        self.buffer.keep = None
        writer, self._writer = self._writer, None
        if writer is not None:
            if not self.why and not writer.append(frame(Closed(self.buffer.last)), _STOP_PATIENCE):
                Job(self._synchronise).wait(_STOP_PATIENCE)
            writer.end()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
