"""What is done to the cluster in a chaos run: faults drawn from a seed, each undone after a while.

At any time at least one node works and can be reached, so that every monitor can go on somewhere.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import httpx

from tests.system.chaos.monitors import Monitors
from tests.system.chaos.rules import Apart, Ended
from tests.system.cluster import Cluster
from tests.system.netns import PUBLIC

#: Seconds that each kind lasts, at least and at most.
KINDS = {
    "cut rail": (1.0, 6.0),
    "cut rail one way": (1.0, 6.0),
    "cut between two": (1.0, 6.0),
    "isolate": (1.0, 8.0),
    "isolate one way": (1.0, 8.0),
    "kill": (0.1, 4.0),
    "stop": (0.1, 4.0),
    "freeze": (0.3, 7.0),
    "cut public": (1.0, 7.0),
    "freeze monitor": (0.5, 5.0),
    "restart monitor": (0.1, 1.0),
}
#: These take a node away from the monitors.
_TAKES_AWAY = frozenset({"kill", "stop", "freeze", "cut public"})
_STOPS_WITHIN = 60.0


class Fault(NamedTuple):
    """One line of the script: at so many seconds, for so long."""

    at: float
    kind: str
    what: str
    seconds: float


class Faults:
    """Hurts a cluster and its monitors, and heals them. ``began`` is when the run began."""

    def __init__(self, cluster: Cluster, monitors: Monitors, seed: int, began: float) -> None:
        self.cluster, self.monitors = cluster, monitors
        self.random = random.Random(seed)
        self.began = began
        self.script: list[Fault] = []
        self.ended: list[Ended] = []
        self.apart: list[Apart] = []
        self._deck: list[str] = []
        self._away: set[int] = set()
        #: Agents that were started and are not ready yet, and since when they are away.
        self._starting: dict[int, float] = {}
        #: What undoes a fault, and when.
        self._open: list[tuple[float, Callable[[], None]]] = []

    def due(self, now: float) -> None:
        """Undoes what has lasted long enough."""
        for when, undo in [each for each in self._open if each[0] <= now]:
            self._open.remove((when, undo))
            undo()
        for node in [node for node in self._starting if self._ready(node)]:
            self._back(node, self._starting.pop(node))

    def undo_all(self) -> None:
        """All is well again."""
        self.due(float("inf"))
        self.cluster.net.heal()

    def one(self, longest: float, kind: str = "", seconds: float = 0) -> None:
        """Does the next thing, for ``longest`` seconds at most; or just this, for so long."""
        if not self._deck:
            self._deck = list(KINDS)
            self.random.shuffle(self._deck)
        kind = kind or self._deck.pop()
        seconds = seconds or min(self.random.uniform(*KINDS[kind]), longest)
        undone = self._do(kind)
        if undone is None:
            return
        what, undo = undone
        now = time.monotonic()
        self.script.append(Fault(now - self.began, kind, what, seconds))
        self._open.append((now + seconds, undo))

    def _do(self, kind: str) -> tuple[str, Callable[[], None]] | None:
        if kind == "freeze monitor":
            name = self.monitors.freeze(self.random)
            return name, lambda: self.monitors.thaw(name)
        if kind == "restart monitor":
            self.monitors.stop_run()
            return "run", self.monitors.start_run
        if kind in _TAKES_AWAY:
            return self._take_away(kind)
        return self._cut(kind)

    # -- nodes ------------------------------------------------------------------------------------

    def _take_away(self, kind: str) -> tuple[str, Callable[[], None]] | None:
        free = [node for node in self.cluster.net.nodes if node not in self._away]
        if len(free) < 2:
            return None
        node = self.random.choice(free)
        self._away.add(node)
        at = time.monotonic()
        undo = getattr(self, f"_{kind.replace(' ', '_')}")(node)

        def back() -> None:
            undo()
            if kind in ("kill", "stop"):
                self.cluster.start(node)
                self.ended.append(Ended(self.cluster.name(node), at, time.monotonic(), kind == "stop"))
                self._starting[node] = at
            else:
                self._back(node, at)

        return self.cluster.name(node), back

    def _back(self, node: int, since: float) -> None:
        self._away.discard(node)
        self._note_apart([(node, other) for other in self.cluster.net.nodes if other != node], since)

    def _ready(self, node: int) -> bool:
        try:
            return self.cluster.get(node, "/readyz", timeout=0.5).status_code == 200
        except httpx.TransportError:
            return False

    def _note_apart(self, pairs: Iterable[tuple[int, int]], since: float) -> None:
        for pair in pairs:
            names = frozenset(map(self.cluster.name, pair))
            self.apart.append(Apart(names, since, time.monotonic()))

    def _kill(self, node: int) -> Callable[[], None]:
        self.cluster.kill(node)
        return lambda: None

    def _stop(self, node: int) -> Callable[[], None]:
        process = self.cluster.processes.pop(node)
        process.terminate()
        process.wait(_STOPS_WITHIN)
        return lambda: None

    def _freeze(self, node: int) -> Callable[[], None]:
        self.cluster.pause(node)
        return lambda: self.cluster.resume(node)

    def _cut_public(self, node: int) -> Callable[[], None]:
        self.cluster.net.cut(node, PUBLIC)
        return lambda: self.cluster.net.heal(node, PUBLIC)

    # -- rails ------------------------------------------------------------------------------------

    def _cut(self, kind: str) -> tuple[str, Callable[[], None]]:
        net = self.cluster.net
        node, other = self.random.sample(list(net.nodes), 2)
        rails = list(net.rails) if kind.startswith("isolate") else [self.random.choice(list(net.rails))]
        to = other if kind == "cut between two" else None
        began = time.monotonic()
        for rail in rails:
            net.cut(node, rail, to=to, one_way=kind.endswith("one way"))

        def back() -> None:
            for rail in rails:
                net.heal(node, rail)
            others = [to] if to else [each for each in net.nodes if each != node]
            self._note_apart([(node, each) for each in others], began)

        where = f"node{node}" + (f" and node{to}" if to else "")
        return f"{where}, rail {' and '.join(map(str, rails))}", back

    def signal_monitor(self, name: str, seconds: float) -> None:
        """Freezes one monitor for so long."""
        self.monitors.send(name, signal.SIGSTOP)
        now = time.monotonic()
        self.script.append(Fault(now - self.began, "freeze monitor", name, seconds))
        self._open.append((now + seconds, lambda: self.monitors.thaw(name)))
