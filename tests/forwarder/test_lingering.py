"""A close that waits is interrupted: a real socket, and a thread with the name of one of the engine's."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tocsin.forwarder import lingering
from tocsin.forwarder.lingering import EVERY, StuckCloses

#: For so long a close waits for its peer, in seconds.
LINGER = 8


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGURG)
    yield
    signal.signal(signal.SIGURG, before)


class Closing:
    """A connection whose other end takes nothing, closed by a thread of this name."""

    def __init__(self, name: str) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        mine = socket.create_connection(self._listening.getsockname())
        self._other, _ = self._listening.accept()
        mine.setblocking(False)
        try:
            while True:
                mine.send(bytes(1 << 16))
        except BlockingIOError:
            pass
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER))
        self._name, self._number, self.took = name, mine.detach(), 0.0
        self.thread, self._begun = threading.Thread(target=self._close), threading.Event()
        self.thread.start()
        self._begun.wait()
        threading.Event().wait(0.1)  # until it waits

    def _close(self) -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(self._name)
        began = time.monotonic()
        self._begun.set()
        os.close(self._number)
        self.took = time.monotonic() - began

    def end(self) -> None:
        """The other end goes, and with it what the close waits for."""
        self._other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._other.close()
        self._listening.close()
        self.thread.join()


def test_a_close_that_waits_is_interrupted() -> None:
    """Found twice, it is over at once, eight seconds before the kernel would give up."""
    stuck, closing = StuckCloses(), Closing("acc-0")
    stuck.prepare()
    stuck.look(100.0)
    stuck.look(100.0 + EVERY / 2)  # too soon: the same look
    assert closing.thread.is_alive()
    assert 0 == stuck.interrupted
    stuck.look(100.0 + EVERY)
    closing.thread.join(LINGER / 2)
    over = not closing.thread.is_alive()
    closing.end()
    assert over
    assert 1 == stuck.interrupted
    assert closing.took < LINGER / 2


def test_other_threads_are_left_alone() -> None:
    """Also those of another name in the same wait, and one that only works."""
    stuck, closing = StuckCloses(), Closing("somebody")
    stuck.prepare()
    for turn in range(5):
        stuck.look(100.0 + turn * EVERY)
    waits = closing.thread.is_alive()
    closing.end()
    assert waits
    assert 0 == stuck.interrupted


def test_nothing_is_sent_where_the_signal_would_be_ignored_or_somebody_elses() -> None:
    """A handler of somebody else stays; from another thread than the main one none can be set."""
    calls: list[int] = []
    signal.signal(signal.SIGURG, lambda number, _: calls.append(number))
    StuckCloses().prepare()
    signal.raise_signal(signal.SIGURG)
    assert [signal.SIGURG] == calls

    signal.signal(signal.SIGURG, signal.SIG_DFL)
    stuck, closing = StuckCloses(), Closing("net-0")
    setting = threading.Thread(target=stuck.prepare)
    setting.start()
    setting.join()
    stuck.look(100.0)
    stuck.look(101.0)
    waits = closing.thread.is_alive()
    closing.end()
    assert waits
    assert 0 == stuck.interrupted


def test_an_older_libc_only_knows_the_number_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where even that is not known nothing is interrupted, and nothing fails."""
    libc = ctypes.CDLL(None)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(syscall=libc.syscall))
    stuck, closing = StuckCloses(), Closing("net-0")
    monkeypatch.setattr(lingering, "_NUMBERS", {})
    unable = StuckCloses()
    for each in (unable, stuck):
        each.prepare()
        each.look(100.0)
        each.look(101.0)
    closing.thread.join(LINGER / 2)
    over = not closing.thread.is_alive()
    closing.end()
    assert over
    assert (0, 1) == (unable.interrupted, stuck.interrupted)
