"""A cluster for tests: real agents as processes on the network of :mod:`tests.system.netns`.

Node ``1`` is called ``node1`` and serves ``http://10.99.9.1:8340``, reached from inside the test's own
namespace: :meth:`Cluster.get` and the like do that. Each agent writes its log to a file; :meth:`Cluster.logs`
shows all, and the fixture prints them when a test fails.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from tests.system.netns import PUBLIC, TEST, Net

__all__ = ["PORT", "Cluster", "until"]

PORT: Final = 8340
_RAIL_PORT: Final = 7447
_STOPS_WITHIN: Final = 2.0
_ids = itertools.count(1)
_never = threading.Event()

Settings = Mapping[str, Mapping[str, Any]]


def until(condition: Callable[[], Any], seconds: float = 10, what: str = "") -> Any:
    """Waits until ``condition`` is true and returns it; fails after ``seconds``, naming ``what``."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {what or condition}"
        _never.wait(0.02)


class Cluster:
    """``nodes`` nodes, all named in the configuration, none started yet.

    ``settings``: sections of the configuration file for every agent, over the harness's own, e.g.
    ``{"buffer": {"retain": 10}}``.
    """

    def __init__(
        self, directory: Path, nodes: int = 3, rails: int = 2, *, settings: Settings | None = None
    ) -> None:
        self.net = Net(nodes, rails)
        self.directory = directory
        self.settings = settings or {}
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self._client = httpx.Client(trust_env=False, timeout=30)
        self._helpers: list[subprocess.Popen[Any]] = []

    def close(self) -> None:
        """Ends every process that was started here, and removes the network."""
        self._client.close()
        for process in [*self.processes.values(), *self._helpers]:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self.net.close()

    # -- agents -----------------------------------------------------------------

    def start(
        self,
        *nodes: int,
        settings: Settings | None = None,
        prefix: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Starts agents (all, if none is named) and does not wait for them.

        ``prefix``: a command that runs the agent, e.g. a systemd-box; ``environment`` is added to the test's.
        """
        for node in nodes or self.net.nodes:
            config = self.directory / f"node{node}.toml"
            config.write_text(self._toml(node, settings or {}))
            agent = [sys.executable, "-m", "tocsin.cli", "agent", "--config", str(config)]
            with self._log(node).open("ab") as log:
                self.processes[node] = subprocess.Popen(
                    self.net.command(node, [*prefix, *agent]),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**_environment(), **(environment or {})},
                )

    def stop(self, node: int) -> float:
        """Stops an agent with SIGTERM; it must end well, within two seconds. Returns how long it took."""
        start = time.monotonic()
        self.processes[node].send_signal(signal.SIGTERM)
        code = self.processes.pop(node).wait(_STOPS_WITHIN + 8)
        took = time.monotonic() - start
        assert (0, True) == (code, took <= _STOPS_WITHIN), f"node{node}: code {code} after {took:.1f} s"
        return took

    def kill(self, node: int) -> None:
        """Kills an agent as a crash does."""
        self.processes[node].kill()
        self.processes.pop(node).wait()

    def pause(self, node: int) -> None:
        """Freezes an agent."""
        self.processes[node].send_signal(signal.SIGSTOP)

    def resume(self, node: int) -> None:
        """Thaws an agent."""
        self.processes[node].send_signal(signal.SIGCONT)

    def pid(self, node: int) -> int:
        """The process of an agent."""
        return self.processes[node].pid

    def wait_ready(self, *nodes: int, seconds: float = 40) -> None:
        """Waits until ``/readyz`` of agents (all that run, if none is named) says so."""
        for node in nodes or tuple(self.processes):
            until(partial(self._ready, node), seconds, f"node{node} is ready")

    def wait_together(self, *nodes: int, seconds: float = 30) -> None:
        """Waits until each of these agents (all that run) shows each of them as up, a moment after ready."""
        names = {self.name(node) for node in nodes or self.processes}
        for node in nodes or tuple(self.processes):
            until(partial(self._shows, node, names), seconds, f"node{node} shows {sorted(names)} as up")

    def _shows(self, at: int, names: set[str]) -> bool:
        nodes = [each for each in self.board(at) if each["kind"] == "node"]
        return names <= {each["subject"] for each in nodes if each["attributes"].get("state") == "up"}

    def _ready(self, node: int) -> bool:
        code = self.processes[node].poll()
        assert code is None, f"the agent of node{node} ended with code {code}\n{self.log(node)}"
        try:
            return self.get(node, "/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _toml(self, node: int, settings: Settings) -> str:
        sections: dict[str, dict[str, Any]] = {
            "cluster": {"name": "test", "nodes": [self.name(each) for each in self.net.nodes]},
            "node": {
                "name": self.name(node),
                "listen": f"{self.net.address(node, PUBLIC)}:{PORT}",
                "allow_anonymous": True,
                "state_dir": str(self.directory / f"state{node}"),
            },
        }
        (self.directory / f"state{node}").mkdir(exist_ok=True)
        for more in (self.settings, settings):
            for section, values in more.items():
                sections.setdefault(section, {}).update(values)
        text = "".join(_section(f"[{name}]", values) for name, values in sections.items())
        return text + "".join(_section("[[rails]]", self._rail(node, rail)) for rail in self.net.rails)

    def _rail(self, node: int, rail: int) -> dict[str, Any]:
        ends = {each: f"tcp/{self.net.address(each, rail)}:{_RAIL_PORT}" for each in self.net.nodes}
        return {"listen": ends[node], "connect": [end for each, end in ends.items() if each != node]}

    # -- what an agent says -------------------------------------------------------

    @staticmethod
    def name(node: int) -> str:
        """The name of a node in the cluster."""
        return f"node{node}"

    def url(self, node: int) -> str:
        """Where a node serves, for those inside the namespaces."""
        return f"http://{self.net.address(node, PUBLIC)}:{PORT}"

    def get(self, node: int, path: str, **arguments: Any) -> httpx.Response:
        """GET from a node; keyword arguments are those of httpx."""
        return self.request("GET", node, path, **arguments)

    def request(self, method: str, node: int, path: str, **arguments: Any) -> httpx.Response:
        """Any request to a node, from the test's own namespace."""
        return self.net.inside(
            TEST, lambda: self._client.request(method, f"{self.url(node)}{path}", **arguments)
        )

    def emit(self, node: int, type: str, **attributes: Any) -> str:
        """Publishes an event at a node; returns its sequence. ``data`` and others as in CloudEvents."""
        [sequence] = self.emit_all(node, [{"type": type, **attributes}])
        return sequence

    def emit_all(self, node: int, events: Iterable[Mapping[str, Any]]) -> list[str]:
        """Publishes events as one batch; returns their sequences."""
        batch = [{"specversion": "1.0", "source": "/test", "id": f"{next(_ids)}", **each} for each in events]
        answer = self.request(
            "POST",
            node,
            "/api/v1/events",
            content=json.dumps(batch),
            headers={"Content-Type": "application/cloudevents-batch+json"},
        )
        assert answer.status_code == 202, answer.text
        return list(answer.json()["sequences"])

    def events(self, node: int, on: str = "", after: str = "0") -> list[dict[str, Any]]:
        """All events of a node's buffer behind a cursor that are of interest, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            query = {"after": after, "limit": "10000"} | ({"on": on} if on else {})
            answer = self.get(node, "/api/v1/events", params=query)
            if answer.status_code == 204:
                return found
            assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
            page = answer.json()
            found += page["events"]
            after = page["cursor"]
            if not page["more"]:
                return found

    def board(self, node: int) -> list[dict[str, Any]]:
        """All resources on a node's board."""
        answer = self.get(node, "/api/v1/board")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["resources"])

    def resource(self, at: int, node: int, kind: str, subject: str) -> dict[str, Any] | None:
        """A resource of ``node`` as node ``at`` shows it, or None."""
        wanted = (self.name(node), kind, subject)
        found = [each for each in self.board(at) if (each["node"], each["kind"], each["subject"]) == wanted]
        return found[0] if found else None

    def counted(self, node: int, name: str) -> float:
        """A metric of a node that has no labels."""
        lines = self.get(node, "/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(f"tocsin_{name} ")).split()[1])

    def seen(self, node: int, origin: int) -> str:
        """How far a node has the events of another one, in order."""
        answer = self.get(node, "/api/v1/events", params={"seen": "full"})
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
        return str(answer.json()["seen"].get(self.name(origin), ""))

    def log(self, node: int) -> str:
        """What an agent wrote, all its lives."""
        path = self._log(node)
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self, lines: int = 60) -> str:
        """The ends of all logs, for whoever looks for the cause of a failure."""
        ends = ((node, "\n".join(self._lines(node)[-lines:])) for node in self.net.nodes)
        return "\n".join(f"---- node{node}\n{end}" for node, end in ends)

    def _lines(self, node: int) -> list[str]:
        # What the test publishes is in the log, too, and hides everything else.
        return [line for line in self.log(node).splitlines() if " event=test." not in line]

    def _log(self, node: int) -> Path:
        return self.directory / f"node{node}.log"

    # -- other programs -----------------------------------------------------------

    def tocsin(self, *arguments: str, node: int = TEST, **options: Any) -> subprocess.Popen[str]:
        """Starts ``tocsin …`` inside a namespace, by default the test's own; it is ended with the cluster."""
        command = [sys.executable, "-m", "tocsin.cli", *arguments]
        return self.popen(command, node=node, env=_environment(), **options)

    def popen(
        self, command: Iterable[str], *, node: int | None = TEST, **options: Any
    ) -> subprocess.Popen[str]:
        """Starts a program inside a namespace, the test's own or another (None: the switch)."""
        process = subprocess.Popen(self.net.command(node, command), text=True, **options)
        self._helpers.append(process)
        return process

    def script(self, *command: str) -> Path:
        """A file that runs a program, with any further arguments, inside the test's namespace.

        For those who start programs by path: Playwright's ``executable_path`` for a browser.
        """
        path = self.directory / f"inside-{Path(command[0]).name}"
        words = " ".join(f"'{word}'" for word in self.net.command(TEST, command))
        path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        path.chmod(0o755)
        return path


def _environment() -> dict[str, str]:
    """The test's environment without what would configure an agent."""
    return {key: value for key, value in os.environ.items() if not key.startswith("TOCSIN_")}


def _section(head: str, values: Mapping[str, Any]) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's, too.
    return f"{head}\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
