"""The monitors of a chaos run: a process each, what they print, and when it was read."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.system.chaos.rules import Log, Told
from tests.system.cluster import Cluster, until

ALL = ("node1", "node2", "node3")
#: Those that may be frozen. The filtered one and the watchers are what others are measured by.
FREEZABLE = ("async", "sync", "stream", "tail", "run")
_STOPS_WITHIN = 60.0


class Monitors:
    """Starts them, reads them, hurts them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.logs = {
            name: Log(name, [], frozenset(ALL)) for name in ("async", "sync", "stream", "tail", "filtered")
        }
        self.logs["run"] = Log("run", [], frozenset({"node2"}), repeats=True)
        for name in ("tail", "run"):
            self.logs[name].exact = False
        #: The lines of the watchers by node, and of the filtered reader where it is.
        self.watched: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.position: dict[str, str] = {}
        self._frozen: set[str] = set()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts all."""
        urls = [self.cluster.url(node) for node in self.cluster.net.nodes]
        for kind in ("watch", "async", "sync", "stream", "filtered"):
            command = [sys.executable, "-m", "tests.system.chaos.reader", kind, *urls]
            process = self.cluster.popen(command, stdout=subprocess.PIPE)
            self._read(kind, process, self._take_line)
        words = ["tail", "--json", "--on", "test.*", *self._urls(urls[1:] + urls[:1])]
        self._read("tail", self.cluster.tocsin(*words, stdout=subprocess.PIPE), self._take_item)
        self.start_run()

    @staticmethod
    def _urls(urls: list[str]) -> list[str]:
        return [word for url in urls for word in ("--url", url)]

    def start_run(self) -> None:
        """Starts `tocsin run`, which has a cursor file; its command shows the event that it is given."""
        urls = [self.cluster.url(node) for node in reversed(self.cluster.net.nodes)]
        words = ["run", "--on", "test.*@node2", "--gaps", *self._urls(urls)]
        words += ["--cursor-file", str(self.cluster.directory / "run.cursor"), "--", "cat"]
        self._read("run", self.cluster.tocsin(*words, stdout=subprocess.PIPE), self._take_item)

    def stop_run(self) -> None:
        """Stops `tocsin run` by SIGTERM."""
        self.thaw("run")
        process = self.processes.pop("run")
        process.terminate()
        process.wait(_STOPS_WITHIN)
        until(lambda: not self._reader("run").is_alive(), 60, "the output of run is read")
        self.logs["run"].told.append(Told(time.monotonic()))

    def freeze(self, chance: random.Random) -> str:
        """Stops one of them with SIGSTOP; its name."""
        name = chance.choice([each for each in FREEZABLE if each not in self._frozen])
        self.send(name, signal.SIGSTOP)
        return name

    def thaw(self, name: str) -> None:
        """Lets one go on."""
        self.send(name, signal.SIGCONT)

    def send(self, name: str, number: signal.Signals) -> None:
        """A signal to a monitor, if it runs."""
        if number == signal.SIGSTOP:
            self._frozen.add(name)
        else:
            self._frozen.discard(name)
        if name in self.processes:
            self.processes[name].send_signal(number)

    # -- what they print --------------------------------------------------------------------------

    def _read(
        self, name: str, process: subprocess.Popen[str], take: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self.processes[name] = process
        assert process.stdout is not None

        def lines(stream: Any = process.stdout) -> None:
            for line in stream:
                take(name, json.loads(line))

        thread = threading.Thread(target=lines, name=f"reads {name}", daemon=True)
        self._threads = [each for each in self._threads if each.name != thread.name] + [thread]
        thread.start()

    def _reader(self, name: str) -> threading.Thread:
        return next(thread for thread in self._threads if thread.name == f"reads {name}")

    def _take_line(self, name: str, line: dict[str, Any]) -> None:
        if "watch" in line:
            self.watched[line["watch"]].append(line)
        elif "told" in line:
            self.logs[name].told.append(Told(line["at"], line["told"]))
        elif "gap" in line:
            self.logs[name].told.append(Told(line["at"], "", line["gap"], line["lost"], line["node"]))
        else:
            self.position = line

    def _take_item(self, name: str, line: dict[str, Any]) -> None:
        now = time.monotonic()
        if "gap" in line:
            gap = line["gap"]
            told = Told(now, "", gap["reason"], gap.get("lost", {}), gap.get("node", ""))
        else:
            told = Told(now, f"{line['origin']}/{line['sequence']}")
        self.logs[name].told.append(told)

    def all_told(self, keys: set[str]) -> list[str]:
        """The monitors that have not been told one of these events (of the origins that they want)."""
        behind = []
        for name, log in self.logs.items():
            wanted = {key for key in keys if key.partition("/")[0] in log.origins}
            if name != "filtered" and not wanted <= {line.key for line in log.told[-2000:]}:
                behind.append(name)
        return behind
