"""``tocsin demo``: a cluster on this machine, real agents over two rails on loopback addresses."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tocsin.cli.http import request
from tocsin.cli.usage import Usage
from tocsin.core.errors import FeedError, TocsinError

__all__ = ["demo"]

_HOST: Final = "127.0.0.1"
#: Of each rail: the network within loopback, where node K has the address NETWORK.K.
_RAILS: Final = ("127.0.1", "127.0.2")
_MOST: Final = 50
#: Seconds in which a node must be ready, and in which it must have stopped.
_READY: Final = 30.0
_STOP: Final = 5.0
_PR_SET_PDEATHSIG: Final = 1


class _Place(NamedTuple):
    """Where one node of the demo is."""

    name: str
    port: int
    #: Its endpoint on each rail.
    rails: tuple[str, ...]

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"


class _Child(NamedTuple):
    place: _Place
    process: subprocess.Popen[bytes]


def demo(*, nodes: int = 3, port: int = 8340, verbose: bool = False) -> int:
    """Runs a cluster of real agents on this machine, over two rails, until it is interrupted.

    Each agent has its own page; kill one and watch the others. All observe this one machine, so each
    reports the same services and file systems. What they kept is removed at the end.
    Exit codes: 0 stopped by SIGINT or SIGTERM; 1 a node could not start, or all have died; 2 wrong usage.

    :param nodes: How many nodes, 1 to 50; default: 3.
    :param port: The port of the first page, the others follow; default: 8340.
    :param verbose: Show all that the agents log, not only warnings.
    """
    if not 1 <= nodes <= _MOST:
        raise Usage(f"--nodes: {nodes} is not within 1 to {_MOST}")
    if not 1 <= port <= 65_536 - nodes:
        raise Usage(f"--port: {port} is not within 1 to {65_536 - nodes}")
    with _stopped_by_signals() as stop, tempfile.TemporaryDirectory(prefix="tocsin-demo-") as state:
        places = _places(nodes, port)
        children: list[_Child] = []
        try:
            for place in places:  # one by one: what has been started is ended, whatever comes next
                children.append(  # noqa: PERF401
                    _start(place, places, Path(state), "info" if verbose else "warning")
                )
            for child in children:
                threading.Thread(target=_show, args=(child,), daemon=True).start()
            _wait_ready(children, stop)
            if not stop.is_set():
                _say_where(children)
            return _watch(children, stop)
        finally:
            _end(children)


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set the event; the children get theirs in order from :func:`_end`."""
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -- where -------------------------------------------------------------------------------------------


def _places(nodes: int, port: int) -> list[_Place]:
    with contextlib.ExitStack() as held:
        for number in range(nodes):
            _hold(
                held,
                _HOST,
                port + number,
                f"choose others with --port; node{number + 1} needs it for its page",
            )
        rails: list[tuple[str, ...]] = []
        for node in range(1, nodes + 1):
            hosts = [f"{network}.{node}" for network in _RAILS]
            rails.append(tuple(f"tcp/{host}:{_hold(held, host, 0, '')}" for host in hosts))
    return [_Place(f"node{n + 1}", port + n, rails[n]) for n in range(nodes)]


def _hold(held: contextlib.ExitStack, host: str, port: int, hint: str) -> int:
    """Takes a port (0: any free one) until ``held`` ends, so that no two nodes are given the same."""
    taken = held.enter_context(socket.socket())
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        why = error.strerror.lower() if error.strerror else str(error)
        raise TocsinError(f"{host}:{port} cannot be used: {why}{f' ({hint})' if hint else ''}") from None
    return int(taken.getsockname()[1])


# -- the agents --------------------------------------------------------------------------------------


def _start(place: _Place, places: Sequence[_Place], state: Path, level: str) -> _Child:
    file = state / f"{place.name}.toml"
    file.write_text(_configuration(place, places, state / place.name, level), "utf-8")
    # What is set for the agent of this machine must not reach those of the demo.
    env = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    env.pop("STATE_DIRECTORY", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", "agent", "--config", str(file)],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches the demo, which stops the agents in order
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread has been started yet
    )
    return _Child(place, process)


def _die_with_parent() -> None:
    """Even a demo that is killed outright leaves no agents behind (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _configuration(place: _Place, places: Sequence[_Place], state: Path, level: str) -> str:
    state.mkdir(mode=0o700)
    names = ", ".join(f'"{other.name}"' for other in places)
    lines = [
        f'cluster = {{ name = "demo", nodes = [{names}] }}',
        f'node = {{ name = "{place.name}", listen = "{_HOST}:{place.port}", state_dir = "{state}" }}',
        f'log.level = "{level}"',
    ]
    for number, endpoint in enumerate(place.rails):
        peers = ", ".join(f'"{other.rails[number]}"' for other in places if other is not place)
        lines += ["[[rails]]", f'listen = "{endpoint}"', f"connect = [{peers}]"]
    return "\n".join(lines) + "\n"


def _show(child: _Child) -> None:
    """Passes on what an agent says, each line with its name. Runs in a thread until it has ended."""
    assert child.process.stdout is not None
    for line in child.process.stdout:
        _say(f"{child.place.name} | {line.decode(errors='backslashreplace').rstrip()}")


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _wait_ready(children: Sequence[_Child], stop: threading.Event) -> None:
    deadline = time.monotonic() + _READY
    for child in children:
        while not stop.is_set() and not _is_ready(child.place.url):
            code = child.process.poll()
            if code is not None:
                raise TocsinError(f"{child.place.name} could not start: it {_how(code)}")
            if time.monotonic() > deadline:
                raise TocsinError(f"{child.place.name} is not ready after {_READY:g} s")
            stop.wait(0.1)


def _is_ready(url: str) -> bool:
    try:
        request([url], "GET", "/readyz")
    except FeedError:
        return False
    return True


def _say_where(children: Sequence[_Child]) -> None:
    print(f"A cluster of {len(children)} over {len(_RAILS)} rails:")
    for child in children:
        print(f"  {child.place.name}  {child.place.url}  (process {child.process.pid})")
    print("Ctrl-C ends it.", flush=True)


def _watch(children: Sequence[_Child], stop: threading.Event) -> int:
    """Waits for the end; says when a node dies, the others go on."""
    alive = list(children)
    while alive and not stop.wait(0.2):
        for child in alive[:]:
            code = child.process.poll()
            if code is not None:
                alive.remove(child)
                _say(f"tocsin: {child.place.name} {_how(code)}; {len(alive)} of {len(children)} go on")
    return 0 if stop.is_set() else 1


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _end(children: Sequence[_Child]) -> None:
    for child in children:
        if child.process.poll() is None:
            child.process.terminate()
    deadline = time.monotonic() + _STOP
    for child in children:
        try:
            child.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _say(f"tocsin: {child.place.name} does not stop within {_STOP:g} s and is killed")
            child.process.kill()
            child.process.wait()
