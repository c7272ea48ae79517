"""The threads that touch the disk for the buffer's log file: the agent's loop itself never does.

The loop waits for each record to be written, but not longer than :data:`PATIENCE`: a disk that hangs costs
one such delay, then the file counts as failed. What may take long (copying, synchronising) has a thread
of its own that nobody waits for; the loop looks now and then whether it is done.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple

from tocsin.core.lasting import Marks, Snapshot
from tocsin.core.page import Entry
from tocsin.storage.records import Header, frame, of_entry

__all__ = ["PATIENCE", "Job", "Writer", "discard", "words", "write_file"]

#: How long a record may take to be written before the agent goes on without the file. Seconds.
PATIENCE: Final = 0.25
#: Entries that are encoded at a stretch: so long the loop may have to wait for the interpreter.
_CHUNK: Final = 64


class _Switch(NamedTuple):
    new: Path
    tail: bytes


class Writer:
    """The one thread that writes the live file ``path``. It ends at the first error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        #: What is wrong, in words; empty while all is well.
        self.error = ""
        #: The file's bytes, and how often a new file has taken the place of the old, or could not.
        self.size = 0
        self.switches = 0
        self.switch_error = ""
        self._jobs: SimpleQueue[bytes | _Switch | None] = SimpleQueue()
        self._done = threading.Semaphore(0)
        self._ended = False
        self._descriptor = -1
        threading.Thread(target=self._run, name="buffer-file", daemon=True).start()

    # -- for the loop -----------------------------------------------------------

    def append(self, data: bytes, patience: float = PATIENCE) -> str:
        """Writes behind all that was handed in before; returns what is wrong, empty if it is in the file."""
        if self.error:
            return self.error
        self._jobs.put(data)
        if not self._done.acquire(timeout=patience):
            self.error = f"the disk did not answer within {patience:g} s"
            self._ended = True
        return self.error

    def switch(self, new: Path, tail: bytes) -> None:
        """Puts the file ``new`` in place of the old one, with ``tail`` behind; look at ``switches`` later."""
        self._jobs.put(_Switch(new, tail))

    def end(self) -> None:
        """Nothing more will come. What hangs is left alone."""
        self._ended = True
        self._jobs.put(None)

    # -- on the thread ------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None and not self._ended:
            if isinstance(job, _Switch):
                self._switch(job)
            else:
                self._append(job)
            if self.error:
                break
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._done.release()  # whoever waits for what was behind the error

    def _append(self, data: bytes) -> None:
        try:
            _write_all(self._descriptor, data)
            self.size += len(data)
        except OSError as error:
            self.error = words(error)
        self._done.release()

    def _switch(self, job: _Switch) -> None:
        descriptor = -1
        try:
            descriptor = os.open(job.new, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            _write_all(descriptor, job.tail)
            size = os.fstat(descriptor).st_size
            if self._ended:
                raise OSError(errno.ETIMEDOUT, "too late")
            job.new.replace(self._path)
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            self._not_switched(job, words(error))
            return
        old, self._descriptor, self.size = self._descriptor, descriptor, size
        self.switches += 1
        if old >= 0:
            os.close(old)

    def _not_switched(self, job: _Switch, why: str) -> None:
        self.switch_error = why
        if self._descriptor < 0:
            self.error = why  # there is no old file to go on with
        discard(job.new)


class Job:
    """Something that may take long, on a thread of its own. Look at ``done`` now and then."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        #: Empty if it went well.
        self.error = ""
        self._thread = threading.Thread(target=self._run, name="buffer-file-job", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        """Waits for its end, so long at most."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._work()
        except OSError as error:
            self.error = words(error)


def discard(path: Path) -> None:
    """Removes a file that may not be there, on a disk that may not work."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def words(error: OSError) -> str:
    """What is wrong, for people."""
    if isinstance(error, BlockingIOError):
        return "another agent uses this directory"
    return os.strerror(error.errno or 0)


def write_file(path: Path, header: Header, held: Snapshot) -> None:
    """Writes a whole log file and synchronises it. Raises OSError; then a part may have been written."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        _write_all(descriptor, frame(header))
        everything: list[Entry | Marks] = [*held.marks, *held.entries]
        for start in range(0, len(everything), _CHUNK):
            _write_all(descriptor, b"".join(map(of_entry, everything[start : start + _CHUNK])))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
