"""The servers that viewers are measured against, each on one core: an agent, and nginx with nchan."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.agents import free_port, pause
from tocsin.generators.registry import REGISTRY

__all__ = ["Server", "agent", "as_load", "nginx", "nginx_is_there", "on_core"]

_NCHAN: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_START: Final = 30.0
_NGINX: Final = """
load_module {module};
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections {files}; }}
http {{
  access_log off;
  keepalive_timeout 65s;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /idle {{ return 204; }}
    location = /sub {{
      nchan_subscriber eventsource;
      nchan_channel_id feed;
      nchan_subscriber_first_message newest;
      nchan_eventsource_ping_interval 15;
    }}
    location = /pub {{ nchan_publisher; nchan_channel_id feed; }}
  }}
}}
"""


#: What this process may run on, before anything is pinned.
_CORES: Final = sorted(os.sched_getaffinity(0))


def on_core() -> list[str]:
    """What makes a command a server's: it stays on the first core."""
    return ["taskset", "-c", str(_CORES[0])]


@contextmanager
def as_load() -> Iterator[None]:
    """This process on the last core: not the servers' one, if there are two."""
    os.sched_setaffinity(0, {_CORES[-1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, _CORES)


class Server:
    """A running server: where it listens and what it has used."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port, self._process = port, psutil.Process(process.pid)
        #: Of an agent: the buffer's id and its last number.
        self.buffer, self.base = "", 0

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def cpu(self) -> float:
        """CPU-seconds used so far by all its threads."""
        return sum(_cpu(process.pid) for process in self._all())

    def rss(self) -> int:
        """Resident bytes."""
        return sum(process.memory_info().rss for process in self._all())

    def publication(self, number: int) -> bytes:
        """The request that publishes event ``number``; what viewers get is of about the same length."""
        if not self.buffer:
            told = {"number": number, "type": "backup.step", "node": "node1", "subject": f"job{number}"}
            told |= {"severity": "info", "origin": "node1", "sequence": f"{1:013}-{number:012}"}
            return self._post("/pub", told, "application/json")
        event = {"specversion": "1.0", "type": "backup.step", "source": "/bench", "id": f"{number}"}
        more = {"subject": f"job{number}", "data": {"summary": f"step {number}"}}
        return self._post("/api/v1/events", event | more, "application/cloudevents+json")

    def _post(self, path: str, value: Any, kind: str) -> bytes:
        body = json.dumps(value, separators=(",", ":"))
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> tuple[int, bytes]:
        """One request: status and body."""
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            asking.request(method, path, text, {} if text is None else {"content-type": kind})
            answer = asking.getresponse()
            return answer.status, answer.read()
        finally:
            asking.close()


def _cpu(pid: int) -> float:
    """Of all threads, in the scheduler's nanoseconds."""
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            nanoseconds += int((task / "schedstat").read_text().split()[0])
        except OSError:  # that thread has just ended
            continue
    return nanoseconds / 1e9


@contextmanager
def _running(command: list[str], port: int, path: str) -> Iterator[Server]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TOCSIN_")}
    process = subprocess.Popen([*on_core(), *command], env=environment)
    try:
        server = Server(port, process)
        until = time.monotonic() + _START
        while True:
            try:
                if server.ask("GET", path)[0] < 300:
                    break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise
            pause(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def agent(*, wait_slots: int = 1000) -> Iterator[Server]:
    """An agent without rails or generators, whose page shows a hundred resources that were published."""
    with tempfile.TemporaryDirectory() as folder:
        port, file = free_port("127.0.0.1"), Path(folder) / "tocsin.toml"
        disabled = json.dumps([registration.name for registration in REGISTRY])
        file.write_text(
            f'[log]\nlevel = "warning"\n[generators]\ndisabled = {disabled}\n'
            f"[feed]\nwait_slots = {wait_slots}\n"
        )
        command = [sys.executable, "-m", "tocsin.cli", "agent", "--config", str(file), "--name", "node1"]
        with _running([*command, "--listen", f"127.0.0.1:{port}"], port, "/readyz") as server:
            batch = "application/cloudevents-batch+json"
            status, text = server.ask("POST", "/api/v1/events", list(_resources()), batch)
            assert status == 202, text
            position = json.loads(server.ask("GET", "/api/v1/events")[1])
            server.buffer, server.base = position["buffer"], position["window"]["last"]
            yield server


def _resources() -> Iterator[dict[str, Any]]:
    kinds = {"service.started": 60, "adapter.up": 20, "storage.mounted": 20}
    for type, count in kinds.items():
        for number in range(count):
            yield {
                "specversion": "1.0", "source": "/bench", "id": f"{type}{number}", "type": type,
                "subject": f"thing{number}", "data": {"status": "ok", "summary": f"thing {number} is fine"},
            }  # fmt: skip


def nginx_is_there() -> str:
    """Empty if nginx and nchan are there, else what is missing."""
    if shutil.which("nginx", path=_PATH) is None or not _NCHAN.exists():
        return "nginx with nchan is not installed; benchmarks/install-tools does it"
    return ""


@contextmanager
def nginx(files: int = 15_000) -> Iterator[Server]:
    """One worker of nginx: 204 at ``/idle``, and nchan's server-sent events at ``/sub``."""
    with tempfile.TemporaryDirectory() as folder:
        port, file = free_port("127.0.0.1"), Path(folder) / "nginx.conf"
        file.write_text(_NGINX.format(module=_NCHAN, folder=folder, port=port, files=files))
        Path(folder).chmod(0o755)  # its worker is somebody else where it is started by root
        program = shutil.which("nginx", path=_PATH)
        assert program is not None
        with _running([program, "-c", str(file), "-e", f"{folder}/error.log"], port, "/idle") as server:
            yield server
