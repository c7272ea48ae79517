"""Closes of the engine that wait for a peer that was cut off: they are interrupted.

:mod:`~tocsin.forwarder.sockets` keeps the close of a *link* from waiting. A connection that the engine
refuses during its handshake never becomes one, and nobody is told of it: that of a peer which dials again
after a short cut, while its former link is still held here. If it is cut off again before it has taken the
refusal, the close holds up the thread that accepts for all rails: nothing was received for up to 4 s.

The kernel ends such a wait on any signal (``sk_stream_wait_close``); what is on its way is sent or not as
without the wait. So threads of the engine that are found in it twice in a row get one that does nothing.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

__all__ = ["EVERY", "StuckCloses"]

_log = logging.getLogger(__name__)

#: Seconds between two looks at least: each rail asks for one four times a second.
EVERY: Final = 0.2
#: Seconds between two looks at which threads there are.
_FIND_EVERY: Final = 5.0
#: The threads that accept and dial; those that receive are the business of :mod:`~tocsin.forwarder.sockets`.
_THREADS: Final = ("acc-", "net-")
#: What the kernel calls the wait. These threads wait for nothing else with these names: they use epoll.
_WAITS: Final = frozenset({"sk_stream_wait_close", "wait_woken"})
#: tgkill(2), by machine.
_NUMBERS: Final = {"x86_64": 234, "aarch64": 131}
_TASKS: Final = Path("/proc/self/task")
#: Urgent data on a socket: nobody uses it, and a program that does has a handler that stays.
_SIGNAL: Final = signal.SIGURG


class StuckCloses:
    """Looks for threads of this process that wait in a close, and interrupts them."""

    def __init__(self) -> None:
        self._next = self._find = float("-inf")
        self._threads: list[int] = []
        self._waited: set[int] = set()
        self._kill = _tgkill()
        self.interrupted = 0

    def prepare(self) -> None:
        """Has the signal do nothing; only the main thread can. An ignored one would interrupt nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(_SIGNAL) == signal.SIG_DFL:
            signal.signal(_SIGNAL, _do_nothing)

    def look(self, now: float) -> None:
        """To be called often; looks each :data:`EVERY` seconds (monotonic)."""
        if now < self._next:
            return
        self._next = now + EVERY
        if now >= self._find:
            self._find = now + _FIND_EVERY
            self._threads = _threads()
        waiting = {thread for thread in self._threads if _read(thread, "wchan") in _WAITS}
        for thread in waiting & self._waited:
            self._interrupt(thread)
        self._waited = waiting

    def _interrupt(self, thread: int) -> None:
        if self._kill is None or not callable(signal.getsignal(_SIGNAL)):
            return  # without a handler it would be ignored
        self._kill(os.getpid(), thread, int(_SIGNAL))
        self.interrupted += 1
        _log.info("a connection to a peer that was cut off was slow to close; interrupted")


def _tgkill() -> Callable[[int, int, int], object] | None:
    libc = ctypes.CDLL(None)
    if hasattr(libc, "tgkill"):
        return libc.tgkill
    number = _NUMBERS.get(platform.machine())  # an older libc only knows the number of the call
    return partial(libc.syscall, number) if number and sys.platform == "linux" else None


def _threads() -> list[int]:
    try:
        every = [int(path.name) for path in _TASKS.iterdir()]
    except OSError:  # another system than Linux
        return []
    return [thread for thread in every if _read(thread, "comm").startswith(_THREADS)]


def _read(thread: int, name: str) -> str:
    try:
        return (_TASKS / str(thread) / name).read_text().strip()
    except OSError:  # it is gone
        return ""


def _do_nothing(*_: object) -> None:
    """That there is a handler is all."""
