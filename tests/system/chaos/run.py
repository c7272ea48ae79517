"""One chaos run: a cluster of three, traffic at every node, monitors of all kinds, faults; and the report."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from random import Random
from typing import Any, Protocol

import httpx

from tests.system.chaos.faults import Faults
from tests.system.chaos.monitors import Monitors
from tests.system.chaos.rules import RULES, Accepted, Log, Run, Told, broken, missed, repeated, v9_filtered
from tests.system.cluster import Cluster, until

#: What `tocsin` of the run is told: a retention short enough that something is lost over it now and then.
RETAIN = 15
SETTINGS: dict[str, dict[str, Any]] = {
    "buffer": {"retain": RETAIN},
    "generators": {"disabled": ["load", "services", "storage", "adapters"]},
}
#: Seconds between faults, at least and at most; events a second at each node.
_PAUSE = (0.4, 2.5)
_RATE = 8.0


class Traffic:
    """Publishes at every node until it is stopped."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.accepted: list[Accepted] = []
        #: Events whose request was not answered: they may be there or not.
        self.unsure = 0
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._publish, args=(node, Random(seed * 10 + node)), daemon=True)
            for node in cluster.net.nodes
        ]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends, when the requests under way have."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _publish(self, node: int, chance: Random) -> None:
        number = 0
        while not self._ended.wait(chance.expovariate(_RATE / 2)):
            many = chance.randint(1, 3)
            self.post(node, [f"{number + each}" for each in range(many)])
            number += many

    def post(self, node: int, subjects: list[str]) -> list[Accepted]:
        """Publishes a batch; what was accepted of it."""
        source = f"/chaos/{node}/{time.monotonic_ns()}"
        batch = [
            {"specversion": "1.0", "source": source, "id": each, "type": "test.chaos", "subject": each}
            for each in subjects
        ]
        began = time.monotonic()
        try:
            answer = self.cluster.request(
                "POST", node, "/api/v1/events",
                content=json.dumps(batch),
                headers={"Content-Type": "application/cloudevents-batch+json"},
                timeout=1.5,
            )  # fmt: skip
        except httpx.TransportError:
            self.unsure += len(batch)
            return []
        if answer.status_code != 202:
            assert answer.status_code == 503, answer.text  # it is not ready yet
            return []
        ended, name = time.monotonic(), self.cluster.name(node)
        new = [Accepted(f"{name}/{each}", began, ended) for each in answer.json()["sequences"]]
        self.accepted += new
        return new


class PageLog(Protocol):
    """A page in a browser: :class:`tests.system.chaos.page.Page`."""

    def open(self) -> None:
        """Begins."""

    def lines(self) -> list[dict[str, Any]]:
        """What it was told so far."""

    def end(self) -> float:
        """Checks what it shows; how many seconds its clock is behind ours."""


class Chaos:
    """A run of so many seconds, from a seed."""

    def __init__(self, cluster: Cluster, seed: int, seconds: float) -> None:
        self.cluster, self.seed, self.seconds = cluster, seed, seconds
        self.monitors = Monitors(cluster)
        self.traffic = Traffic(cluster, seed)
        self.faults = Faults(cluster, self.monitors, seed, time.monotonic())
        #: A page in a browser, if there is one.
        self.page: PageLog | None = None

    def play(self, *, lose: bool) -> Run:
        """All of it. ``lose``: also have monitors and nodes miss more than the retention."""
        self._begin()
        with self._publishing():
            end = time.monotonic() + self.seconds
            pause = self.faults.random.uniform
            if lose:
                self.faults.signal_monitor("async", RETAIN * 1.6)
            half = time.monotonic() + self.seconds / 2
            while (now := time.monotonic()) < end:
                self.faults.due(now)
                if lose and now > half:
                    lose = False
                    self.faults.one(0, "isolate", RETAIN * 2.2)
                self.faults.one(end - now)
                next = time.monotonic() + pause(*_PAUSE)
                while time.monotonic() < min(next, end):
                    self.faults.due(time.monotonic())
                    threading.Event().wait(0.05)
            self.faults.undo_all()
        return self._settle()

    def _begin(self) -> None:
        cluster = self.cluster
        cluster.start()
        cluster.wait_ready(seconds=60)
        cluster.wait_together(seconds=30)
        self.monitors.start()
        if self.page:
            self.page.open()
        until(self._all_hear, 60, "every monitor is told what happens")
        self.traffic.accepted.clear()
        self.faults.began = time.monotonic()

    def _all_hear(self) -> bool:
        """Whether all monitors were told of an event of each node that is published now."""
        keys = {event.key for node in self.cluster.net.nodes for event in self.traffic.post(node, ["warm"])}
        end = time.monotonic() + 2
        while time.monotonic() < end:
            if len(keys) == 3 and not self.monitors.all_told(keys) and self._page_told(keys):
                return True
            threading.Event().wait(0.05)
        return False

    def _page_told(self, keys: set[str]) -> bool:
        return self.page is None or keys <= {line.get("told") for line in self.page.lines()}

    @contextlib.contextmanager
    def _publishing(self) -> Iterator[None]:
        self.traffic.start()
        try:
            yield
        finally:
            self.traffic.stop()

    def _settle(self) -> Run:
        """All is well again: every monitor gets to the end, and the logs are collected."""
        cluster, monitors = self.cluster, self.monitors
        cluster.wait_ready(seconds=60)
        cluster.wait_together(seconds=60)
        until(self._all_hear, 90, f"every monitor goes on; behind: {monitors.all_told(set())}")
        filtered = until(self._filtered, 90, "the filtered reader moves on")
        names = {cluster.url(node): cluster.name(node) for node in cluster.net.nodes}
        run = Run(
            retain=RETAIN,
            accepted=self.traffic.accepted,
            logs=[log for log in monitors.logs.values() if log.name != "filtered"],
            watched=dict(monitors.watched),
            names=names,
            ended=self.faults.ended,
            apart=self.faults.apart,
            filtered=filtered,
        )
        if self.page:
            run.logs.append(told_by_page(self.page.lines(), self.page.end()))
        return run

    def _filtered(self) -> tuple[str, str] | None:
        """Where the filtered reader is, if that is as far as its node was twelve seconds ago, or now."""
        url = self.monitors.position.get("node", "")
        for node in self.cluster.net.nodes:
            if self.cluster.url(node) == url:
                there = self.cluster.get(node, "/api/v1/events").headers["tocsin-cursor"]
                end = time.monotonic() + 12  # longer than a poll is held
                while time.monotonic() < end and self.monitors.position["node"] == url:
                    found = (self.monitors.position["cursor"], there)
                    if not list(v9_filtered(Run(RETAIN, [], [], {}, {}, filtered=found))):
                        return found
                    threading.Event().wait(0.1)
        return None

    # -- the report -------------------------------------------------------------------------------

    def report(self, run: Run) -> str:
        """What happened, for people."""
        wrong = broken(run)
        silent = len({event.key for _, event in missed(run)} & run.died)
        lines = [
            f"- seed {self.seed}, {self.seconds:g} s, {len(self.faults.script)} faults, retention {RETAIN} s",
            f"- {len(run.accepted)} events accepted; {self.traffic.unsure} requests' worth without an answer",
            f"- {len(run.died)} of them died with the last agent that had them, {silent} without a gap",
            "",
            "| monitor | told | lost | repeated | gaps | of them false |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        lines += [self._row(log, wrong) for log in run.logs]
        lines += ["", "| rule | broken |", "| --- | --- |"]
        for rule in RULES:
            what = (rule.__doc__ or "").strip()
            lines.append(f"| {rule.__name__[:2].upper()} {what} | {len(wrong[rule.__name__])} |")
        lines += ["", "| at | fault | where | seconds |", "| --- | --- | --- | --- |"]
        for fault in self.faults.script:
            lines.append(f"| {fault.at:.1f} | {fault.kind} | {fault.what} | {fault.seconds:.1f} |")
        return "\n".join(lines)

    def _row(self, log: Log, wrong: dict[str, list[str]]) -> str:
        def count(rule: str) -> int:
            return sum(sentence.startswith(f"{log.name} ") for sentence in wrong[rule])

        told = sum(bool(line.key) for line in log.told)
        again = repeated(log)[1]
        own = f" (and {again} at its own restarts)" if again else ""
        lost, twice, false = map(count, ("v1_no_silent_miss", "v2_no_duplicate", "v4_gaps_are_true"))
        return f"| {log.name} | {told} | {lost} | {twice}{own} | {len(log.gaps)} | {false} |"


def told_by_page(lines: list[dict[str, Any]], shift: float) -> Log:
    """The log of a browser's page, whose clock is ``shift`` seconds behind ours."""
    log = Log("page", [], frozenset({"node1", "node2", "node3"}))
    for line in lines:
        at = line["at"] + shift
        if "told" in line:
            log.told.append(Told(at, line["told"]))
        else:
            log.told.append(Told(at, "", line["gap"], line["lost"], line["node"]))
    return log
