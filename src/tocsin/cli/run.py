"""``tocsin run``: a monitor that runs a command for each event."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final

from tocsin.cli.tail import Contact
from tocsin.cli.usage import Usage, node_urls, seconds
from tocsin.core.errors import InterestError

__all__ = ["run"]

#: Events read ahead while a command runs. When as many wait, the feed is not asked until one is done; it
#: keeps what follows for its retention, and then tells a gap.
_AHEAD: Final = 10_000
#: Bytes of output that one run of the command may write; the rest is read and dropped.
_OUTPUT: Final = 64 << 10
#: Seconds that what a command left behind has to end, and that its last output is waited for.
_GRACE: Final = 2.0


class _Stopped(BaseException):
    """SIGTERM: stop, the command under way too."""


def run(
    *command: str,
    on: list[str],
    cursor_file: Path | None = None,
    time_limit: str = "30",
    gaps: bool = False,
    url: list[str] | None = None,
) -> int:
    """Runs a command for each event of interest, one after the other, the event on its standard input.

    The event is one JSON object; nothing of it is ever in the command's arguments. While a command runs
    events are read on. A command that fails is told on standard error, and the next event follows. Its
    process group ends with it. It begins at now, or where the cursor file says; with a cursor file each
    event is handled at least once, also across crashes.
    Exit codes: 0 stopped by SIGTERM; 1 refused; 2 wrong usage; 130 interrupted.

    :param command: The command and its arguments.
    :param on: The events of interest: type@node:subject with * and ?, e.g. "service.failed adapter.*";
        "*" is everything. May be repeated.
    :param cursor_file: The file that remembers what has been handled.
    :param time_limit: How long the command may take, in seconds or e.g. 5m, before it is killed;
        default: 30; 0: as long as it likes.
    :param gaps: Run the command for a gap too, with {"gap":{"reason":…}} on its standard input.
    :param url: The URL of a node; several: when one fails the next goes on; default: TOCSIN_URL, else
        http://127.0.0.1:8340.
    """
    if not command:
        raise Usage(
            "no command: write it behind --, e.g. tocsin run --on 'service.failed' -- mail -s failed root"
        )
    if shutil.which(command[0]) is None:
        raise Usage(f"{command[0]!r} is not a command that can be run here")
    if cursor_file is not None and not os.access(cursor_file.parent, os.W_OK | os.X_OK):
        raise Usage(f"--cursor-file: there is no directory {str(cursor_file.parent)!r} that can be written")
    urls, limit = node_urls(url), seconds(time_limit, "--time-limit") or None
    from tocsin.monitor import Monitor

    try:
        monitor = Monitor(urls, on=" ".join(on), cursor_file=cursor_file, ahead=_AHEAD)
    except InterestError as error:
        raise Usage(f"--on: {error}") from None
    monitor.on_state(Contact().changed)
    with monitor, _sigterm_stops(), contextlib.suppress(_Stopped):
        for item in monitor:
            _handle(item, command, limit, gaps)
    return 0


@contextlib.contextmanager
def _sigterm_stops() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _handle(item: Any, command: tuple[str, ...], limit: float | None, gaps: bool) -> None:
    import msgspec

    is_event = isinstance(item, dict)
    if not is_event:
        _say(f"gap: events may have been missed ({item.reason})")
        if not gaps:
            return
    body = msgspec.json.encode(item if is_event else {"gap": item}) + b"\n"
    about = f"{item['type']} {item['node']} {item['sequence']}" if is_event else "gap"
    try:
        failure = _call(command, body, limit)
    except OSError as error:
        failure = f"cannot be run: {error.strerror}"
    if failure:
        _say(f"{command[0]} {failure} ({about})")


def _call(command: tuple[str, ...], body: bytes, limit: float | None) -> str:
    """Runs the command once; returns what was wrong, or ''."""
    with _input(body) as given:
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, to be ended with all that it started
        )
    assert process.stdout is not None
    output = threading.Thread(target=_pass_on, args=(process.stdout,), daemon=True)
    output.start()
    try:
        code = process.wait(limit)
        return f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}" if code else ""
    except subprocess.TimeoutExpired:
        return f"took longer than {limit:g} s and was killed"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        output.join(_GRACE)


@contextlib.contextmanager
def _input(body: bytes) -> Iterator[int]:
    """The event as a file in memory: a command that does not read it blocks nobody."""
    descriptor = os.memfd_create("event", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(body)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _pass_on(stream: IO[bytes]) -> None:
    """Writes a command's output to ours, up to the cap. Runs in a thread until the output has ended."""
    left = _OUTPUT
    with stream:
        while chunk := stream.read1(_OUTPUT):  # type: ignore[attr-defined]
            if left > 0:
                end = b"\n[tocsin: output cut]\n" if len(chunk) > left else b""
                with contextlib.suppress(OSError):
                    sys.stdout.buffer.write(chunk[:left] + end)
                    sys.stdout.buffer.flush()
            left -= len(chunk)


def _say(text: str) -> None:
    from tocsin.logs import printable

    print(f"tocsin: {printable(text)}", file=sys.stderr, flush=True)
