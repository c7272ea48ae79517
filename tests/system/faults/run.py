"""A fault on a cluster, from healthy to healthy: what was lost, repeated, told, and when all were equal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from tests.system.cluster import Cluster, until
from tests.system.faults.judge import Accepted, Told, Verdict, judge
from tests.system.faults.machine import Clock, Disk, usage
from tests.system.faults.traffic import Traffic, traffic

__all__ = ["Bed", "Fault", "Row", "bed", "logged", "on_its_own", "run"]

#: Events a second at the first node, and at each other one.
RATES: Final = (100, 10)
#: Seconds within which all must be equal after a heal, however busy this machine is, and be told to readers.
LIMIT: Final = 90.0
#: An event that was accepted so many seconds before its origin was killed may have died with it.
INSTANT: Final = 0.25
#: Bounds for what an agent may have more after a fault than before: MB and descriptors.
MORE_MEMORY: Final = 100.0
MORE_FDS: Final = 30
_SETTINGS: Final = {"generators": {"disabled": ["load", "services", "storage"]}}


class Bed:
    """A cluster that is ready for any fault; nodes have a clock and a disk of their own where wanted."""

    def __init__(self, directory: Path, nodes: int, settings: dict[str, dict[str, Any]]) -> None:
        self.cluster = Cluster(directory, nodes, settings={**_SETTINGS, **settings})
        self.net = self.cluster.net
        self.clocks: dict[int, Clock] = {}
        self.disks: dict[int, Disk] = {}
        #: When which node was killed, by the monotonic clock.
        self.kills: list[tuple[int, float]] = []
        #: Who publishes and reads while there is a fault.
        self.flow: Traffic
        self._stored: set[int] = set()

    def start(self, *nodes: int) -> None:
        """Starts agents, each as it was prepared."""
        for node in nodes or self.net.nodes:
            self.cluster.start(
                node,
                settings={"buffer": {"storage": "file", "prune_interval": 2}} if node in self._stored else {},
                environment=self.clocks[node].environment if node in self.clocks else {},
            )

    def give_clock(self, node: int) -> None:
        """Has an agent that is not started yet go by a wall clock of its own."""
        self.clocks[node] = Clock(self.cluster.directory / f"clock{node}")

    def give_disk(self, node: int, size: str = "64m") -> None:
        """Has an agent that is not started yet keep state and buffer on a small disk of its own."""
        self.disks[node] = Disk(self.cluster.directory / f"state{node}", size)
        self._stored.add(node)

    def kill(self, node: int) -> None:
        """Kills an agent as a crash does."""
        self.kills.append((node, time.monotonic()))
        self.cluster.kill(node)

    def __enter__(self) -> Bed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Clears everything away."""
        with ExitStack() as stack:
            for disk in self.disks.values():
                stack.callback(disk.close)
            stack.callback(self.cluster.close)

    # -- how all are ------------------------------------------------------------

    def well(self) -> bool:
        """Whether every node shows every node as up and no rail as down, and all boards are the same."""
        boards = [self._board(node) for node in self.net.nodes]
        if any(board is None or board != boards[0] for board in boards) or boards[0] is None:
            return False
        nodes = [shown for (_, kind, _), shown in boards[0].items() if kind == "node"]
        rails = [shown[0] for (_, kind, _), shown in boards[0].items() if kind == "rail"]
        # One that flapped is a warning until it was quiet for half a minute.
        return ["up"] * len(self.net.nodes) == [each[1] for each in nodes] and "failed" not in rails

    def equal(self, goal: dict[str, str]) -> bool:
        """Whether every node has every origin's events up to these sequences, and all boards are the same."""
        seen = [self._seen(node) for node in self.net.nodes]
        if any(each.get(origin, "") < last for each in seen for origin, last in goal.items()):
            return False
        boards = [self._board(node) for node in self.net.nodes]
        return boards[0] is not None and all(board == boards[0] for board in boards)

    def differences(self) -> list[str]:
        """How far each node is, and what is not the same on all boards, for whoever looks for a cause."""
        boards = {node: self._board(node) or {} for node in self.net.nodes}
        keys = sorted({key for board in boards.values() for key in board})
        shown = [(key, [board.get(key) for board in boards.values()]) for key in keys]
        found = [f"node{node} has {self._seen(node)}" for node in self.net.nodes]
        return found + [f"{key}: {views}" for key, views in shown if any(view != views[0] for view in views)]

    def _seen(self, node: int) -> dict[str, str]:
        with suppress(httpx.TransportError):
            answer = self.cluster.get(node, "/api/v1/events", params={"seen": "full"}, timeout=5)
            if answer.status_code == 200 and not answer.json()["degraded"]:
                return dict(answer.json()["seen"])
        return {}

    def _board(self, node: int) -> dict[tuple[str, str, str], tuple[str, Any]] | None:
        with suppress(httpx.TransportError):
            answer = self.cluster.get(node, "/api/v1/board", timeout=5)
            if answer.status_code == 200:
                return dict(_shown(each) for each in answer.json()["resources"])
        return None


def _shown(resource: dict[str, Any]) -> tuple[tuple[str, str, str], tuple[str, Any]]:
    """What must be the same everywhere: not the words, nor since when, which each node sees for itself."""
    attributes = resource["attributes"]
    state = attributes.get("state") if resource["kind"] == "node" else attributes
    return (resource["node"], resource["kind"], resource["subject"]), (resource["status"], state)


def bed(
    directory: Path, nodes: int = 3, *, clock: int = 0, disk: int = 0, settings: dict[str, Any] | None = None
) -> Bed:
    """A cluster that runs; the nodes ``clock`` and ``disk`` have a clock and a disk of their own."""
    made = Bed(directory, nodes, settings or {})
    try:
        if clock:
            made.give_clock(clock)
        if disk:
            made.give_disk(disk)
        made.start()
        made.cluster.wait_ready(seconds=60)
    except BaseException:
        made.close()
        raise
    return made


class Fault(NamedTuple):
    """One fault of the table."""

    #: Its name in commands, and what it is, for the table.
    name: str
    says: str
    #: The node it happens to: 1 publishes most, another one serves readers.
    hit: int
    #: Does it, from its begin to its heal.
    inject: Callable[[Bed], None]
    nodes: int = 3
    #: Further nodes that it concerns; or none at all, because there is another rail.
    also: tuple[int, ...] = ()
    harmless: bool = False
    #: Seconds that events are retained; where a fault outlasts that, gaps are right.
    retain: float = 300.0
    #: Whether a true gap is right although everything is retained.
    gaps: bool = False
    #: What the node that is hit needs of its own.
    clock: bool = False
    disk: bool = False

    @property
    def spared(self) -> list[int]:
        """The nodes between which nothing may be delayed."""
        nodes = range(1, self.nodes + 1)
        return [node for node in nodes if self.harmless or node not in (self.hit, *self.also)]


class Row(NamedTuple):
    """What came of a fault."""

    fault: Fault
    verdicts: dict[str, Verdict]
    accepted: int
    #: Events that died with their origin: accepted in the instant before a kill, and nobody else had them.
    died: int
    #: The longest that a spared node waited for an event of another, in seconds.
    delay: float
    #: Seconds from the heal until all nodes were equal.
    equal: float
    memory: float
    fds: int

    def count(self, what: str) -> int:
        """How many of ``lost``, ``repeated``, ``disorder``, ``gaps`` or ``untrue``, of all readers."""
        return sum(len(getattr(verdict, what)) for verdict in self.verdicts.values())

    @property
    def wrong(self) -> list[str]:
        """What breaks a promise, in words; empty if all is well."""
        found = [f"{who}: {verdict}" for who, verdict in self.verdicts.items() if not verdict.right]
        if self.count("gaps") and not (self.fault.gaps or self.fault.retain < 60):
            found.append(f"gaps although everything was retained: {self.verdicts}")
        if self.memory > MORE_MEMORY or self.fds > MORE_FDS:
            found.append(f"{self.memory:.0f} MB and {self.fds} descriptors more than before")
        return found


def run(on: Bed, fault: Fault) -> Row:
    """Runs a fault on a cluster: traffic, fault, heal, until all nodes are equal and all readers told."""
    until(on.well, LIMIT, "all is well before the fault")
    before, kills = _usage(on), len(on.kills)
    with traffic(on.cluster, fault.hit, lambda node: RATES[node != 1]) as flow:
        on.flow = flow
        threading.Event().wait(0.5)
        fault.inject(on)
        healed, goal = time.monotonic(), flow.last()
        until(lambda: on.equal(goal), LIMIT, f"all are equal after: {fault.says}")
        equal = time.monotonic() - healed
        flow.stop()
        accepted = flow.accepted
        until(lambda: on.equal(flow.last()), LIMIT, "all are equal at the end")
        died = _died(on.kills[kills:], flow)
        until(lambda: _told_all(flow, died), LIMIT, "all readers were told the last event")
    verdicts = {str(each): judge(accepted, each.told, excused=died) for each in flow.readers}
    memory, fds = (max(more) for more in zip(*_more(before, _usage(on)), strict=True))
    return Row(fault, verdicts, len(accepted), len(died), _delay(flow, fault), equal, memory, fds)


def _told_all(flow: Traffic, died: set[str]) -> bool:
    last: dict[str, Accepted] = {}
    for each in flow.accepted:
        if each.id not in died:
            last[each.origin] = max(each, last.get(each.origin, each), key=lambda event: event.sequence)
    return all(reader.knows(event) for reader in flow.readers for event in last.values())


def _died(kills: list[tuple[int, float]], flow: Traffic) -> set[str]:
    told = {each.id for reader in flow.readers for each in reader.told if isinstance(each, Told)}
    return {
        event.id
        for node, at in kills
        for event in flow.publishers[node - 1].accepted
        if at - INSTANT <= event.at <= at + INSTANT and event.id not in told
    }


def _delay(flow: Traffic, fault: Fault) -> float:
    names = {f"node{node}" for node in fault.spared}
    readers = [each for each in flow.readers if len(each.nodes) == 1 and each.nodes[0] in fault.spared]
    return max(
        (
            each.delay
            for reader in readers
            for each in reader.told
            if isinstance(each, Told) and each.id and each.origin in names - {f"node{reader.nodes[0]}"}
        ),
        default=0.0,
    )


def _usage(on: Bed) -> dict[int, tuple[float, int]]:
    return {node: usage(on.cluster.pid(node)) for node in on.net.nodes}


def _more(
    before: dict[int, tuple[float, int]], after: dict[int, tuple[float, int]]
) -> list[tuple[float, int]]:
    return [(after[node][0] - before[node][0], after[node][1] - before[node][1]) for node in before]


def on_its_own(fault: Fault, directory: Path) -> Row:
    """Runs a fault on a cluster of its own; its logs are shown if it does not come to its end."""
    clock, disk = fault.hit * fault.clock, fault.hit * fault.disk
    settings = {"buffer": {"retain": fault.retain}}
    with bed(directory, fault.nodes, clock=clock, disk=disk, settings=settings) as on:
        return logged(on, fault)


def logged(on: Bed, fault: Fault) -> Row:
    """The same as :func:`run`, and the agents' logs are shown if it does not come to its end."""
    try:
        return run(on, fault)
    except BaseException:
        print(on.cluster.logs(), *on.differences(), sep="\n")
        raise
