"""Nodes that have nothing but rails, each a process in a network namespace of its own, and what they hear."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.system.cluster import until
from tests.system.netns import Net

__all__ = ["End", "Nodes", "Silence"]

_ROOT = Path(__file__).parent.parent.parent


class Silence(NamedTuple):
    """One node did not hear another one on a rail for a while."""

    node: int
    life: int
    of: int
    rail: int
    #: Zero if the other one was never heard before in this life.
    since: float
    until: float


class End(NamedTuple):
    """What a node said at its end: by (rail, node) when it was last heard, and how late its latest message
    was since all were together; how many peers each rail had; the longest time that the process stood still.
    """

    last: dict[tuple[int, int], float]
    latest: dict[tuple[int, int], float]
    peers: list[int]
    stall: float


class Nodes:
    """The processes on ``net``; each sends ``rate`` messages a second on each of two rails."""

    def __init__(self, net: Net, rate: float) -> None:
        self.net, self._rate = net, rate
        self.lives = dict.fromkeys(net.nodes, 0)
        #: (node, life) -> the latest moment at which it began to open a rail.
        self.up: dict[tuple[int, int], float] = {}
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._readers: dict[int, threading.Thread] = {}
        self._said: list[tuple[int, int, list[Any]]] = []

    def start(self, node: int) -> None:
        """Starts a node, and waits until it opens its rails."""
        self.lives[node] += 1
        program = [sys.executable, "-m", "tests.system.rail_node", f"{node}", f"{len(self.lives)}"]
        process = subprocess.Popen(
            self.net.command(node, [*program, f"{self._rate}"]),
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes[node] = process
        self._readers[node] = threading.Thread(target=self._read, args=(node, self.lives[node], process))
        self._readers[node].start()
        until(lambda: len(self._of(node, "up")) == 2, 30, f"node{node} has started")
        self.up[node, self.lives[node]] = max(at for _, _, at in self._of(node, "up"))

    def together(self) -> None:
        """Waits until all of them hear each other on all rails."""
        until(lambda: all(self._of(node, "together") for node in self._processes), 40, "all hear each other")

    def kill(self, node: int) -> None:
        """Kills a node as a crash does."""
        process = self._processes.pop(node)
        process.kill()
        self._close(node, process)

    def end(self) -> dict[int, End]:
        """Ends all at the same time."""
        for process in self._processes.values():
            assert process.stdin is not None
            process.stdin.close()
        until(lambda: all(self._of(node, "end") for node in self._processes), 20, "all have told")
        for node, process in self._processes.items():
            process.kill()
            self._close(node, process)
        return {node: _end(said[1]) for node in self._processes for said in self._of(node, "end")}

    def _close(self, node: int, process: subprocess.Popen[str]) -> None:
        process.wait(20)
        self._readers.pop(node).join()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()

    def _read(self, node: int, life: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("]\n"):  # not what a kill has cut off
                self._said.append((node, life, json.loads(line)))

    def _of(self, node: int, what: str) -> list[list[Any]]:
        """What the present life of a node has said."""
        life = self.lives[node]
        return [said for other, its, said in self._said[:] if (other, its, said[0]) == (node, life, what)]

    def silences(self) -> Iterator[Silence]:
        """All that have ended, also of former lives."""
        for node, life, (what, *said) in self._said:
            if what == "heard":
                rail, of, since, now = said
                yield Silence(node, life, int(of.removeprefix("node")), rail, since, now)


def _end(said: dict[str, Any]) -> End:
    def by_peer(name: str) -> dict[tuple[int, int], float]:
        return {(rail, int(node.removeprefix("node"))): value for rail, node, value in said[name]}

    return End(by_peer("last"), by_peer("latest"), said["peers"], said["stall"])
