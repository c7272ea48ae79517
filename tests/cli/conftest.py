"""Real commands as processes, against a real agent."""

from __future__ import annotations

import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.commands import TOCSIN, clean_environment, wait_for


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of every command: nothing of Tocsin's in it, no colours asked for."""
    return clean_environment()


@pytest.fixture
def tocsin(environment) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command to its end."""

    def run(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*TOCSIN, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            env=environment | (env or {}),
        )

    return run


@pytest.fixture
def started(environment) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command in the background; whatever still runs at the end of the test is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start(*words: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*TOCSIN, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | (env or {}),
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


class Cluster:
    """Agents as real processes on this machine, over two rails on loopback."""

    def __init__(self, size: int, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self._environment = folder, environment
        self.ports = [free_port() for _ in range(size)]
        self._rails = [[f"tcp/127.0.{rail}.{n + 1}:{free_port()}" for n in range(size)] for rail in (1, 2)]
        self.processes: dict[int, subprocess.Popen[str]] = {}

    def url(self, number: int = 0) -> str:
        return f"http://127.0.0.1:{self.ports[number]}"

    def start(self, number: int = 0) -> None:
        rails = []
        for rail in self._rails if len(self.ports) > 1 else []:
            peers = [endpoint for other, endpoint in enumerate(rail) if other != number]
            rails += ["--rail", ",".join([rail[number], *peers])]
        log = (self.folder / f"node{number + 1}.log").open("a")
        words = [
            "agent",
            "--name",
            f"node{number + 1}",
            "--listen",
            f"127.0.0.1:{self.ports[number]}",
            *rails,
        ]
        with log:
            self.processes[number] = subprocess.Popen(
                [*TOCSIN, *words, "--state-dir", str(self.folder / f"node{number + 1}")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment | {"TOCSIN_GENERATORS_DISABLED": "adapters,storage,services,load"},
                text=True,
            )

    def wait_ready(self, number: int = 0) -> None:
        def is_there() -> bool:
            code = self.processes[number].poll()
            assert code is None, f"node{number + 1} ended with {code}: {self.log(number)}"
            return is_ready(self.url(number))

        wait_for(is_there, 30, told=lambda: self.log(number))

    def log(self, number: int) -> str:
        return (self.folder / f"node{number + 1}.log").read_text()

    def kill(self, number: int) -> None:
        self.processes[number].kill()
        self.processes.pop(number).wait()

    def end(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_ready(url: str) -> bool:
    """Whether the node says that it is ready."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


@pytest.fixture(scope="module")
def node(tmp_path_factory, environment) -> Iterator[str]:
    """The URL of a node on its own."""
    cluster = Cluster(1, tmp_path_factory.mktemp("node"), environment)
    cluster.start()
    try:
        cluster.wait_ready()
        yield cluster.url()
    finally:
        cluster.end()


@contextmanager
def pair(directory: Path, environment: dict[str, str]) -> Iterator[Cluster]:
    """Two nodes that know each other and are ready."""
    cluster = Cluster(2, directory, environment)
    try:
        for number in (0, 1):
            cluster.start(number)
        for number in (0, 1):
            cluster.wait_ready(number)
        yield cluster
    finally:
        cluster.end()


@pytest.fixture
def two_nodes(tmp_path, environment) -> Iterator[Cluster]:
    """Two nodes that know each other."""
    with pair(tmp_path, environment) as cluster:
        yield cluster
