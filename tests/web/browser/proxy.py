"""What may stand between a browser and a node: proxies that buffer, cut, answer themselves, speak TLS."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Proxy:
    """Passes each request on to a node and gives back the whole answer when it has all of it.

    ``delay``: so many seconds later. ``cut``: a request that is not answered after so many seconds loses its
    connection. ``captive``: it answers everything by itself with this status, media type and body. ``tls``: a
    file with a certificate and its key.
    """

    def __init__(self, target: str, *, tls: Path | None = None) -> None:
        self.delay, self.cut = 0.0, 0.0
        self.captive: tuple[int, str, bytes] | None = None
        self.requests: list[str] = []
        #: Connections that were cut while an answer was awaited.
        self.cuts = 0
        #: Connections that are there now, and the most that were there at a time.
        self.open = self.most = 0
        self.closing = threading.Event()
        self._dead: set[int] = set()
        self._alive: set[int] = set()
        self._lock = threading.Lock()
        self._target = urlsplit(target)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self._server.tls = context
        self.port = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def deaden(self) -> None:
        """The connections that are there now lead nowhere any more, and nobody is told: as after sleep."""
        with self._lock:
            self._dead |= self._alive

    # -- for the handler -----------------------------------------------------------------------

    def connected(self, connection: int) -> None:
        with self._lock:
            self._alive.add(connection)
            self.open = len(self._alive)
            self.most = max(self.most, self.open)

    def disconnected(self, connection: int) -> None:
        with self._lock:
            self._alive.discard(connection)
            self._dead.discard(connection)
            self.open = len(self._alive)

    def is_dead(self, connection: int) -> bool:
        return connection in self._dead

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> _Answer | None:
        """The node's answer; None where there was none in time."""
        self.requests.append(f"{method} {path}")
        if self.captive is not None:
            status, media_type, text = self.captive
            return status, [("Content-Type", media_type)], text
        upstream = http.client.HTTPConnection(
            self._target.hostname or "", self._target.port, timeout=self.cut or 40
        )
        try:
            upstream.request(method, path, body or None, headers)
            answer = upstream.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            self.cuts += 1
            return None
        finally:
            upstream.close()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
        return answer.status, kept, data


_Answer = tuple[int, list[tuple[str, str]], bytes]


class _Server(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False
    request_queue_size = 64
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with contextlib.suppress(OSError), self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients come and go."""


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        connection: socket

        def handle(self) -> None:
            proxy.connected(id(self))
            try:
                super().handle()
            finally:
                proxy.disconnected(id(self))

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            answer = proxy.ask(self.command, self.path, headers, body)
            proxy.closing.wait(proxy.delay)
            while proxy.is_dead(id(self)) and not proxy.closing.wait(0.1):
                pass
            if answer is None or proxy.closing.is_set():
                self.close_connection = True
                return
            status, kept, data = answer
            self.send_response_only(status)
            for name, value in kept:
                self.send_header(name, value)
            if status not in {204, 304}:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_OPTIONS = _pass  # noqa: N815 - names that http.server asks for

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    return Handler


def certificate(directory: Path) -> tuple[Path, str]:
    """A certificate for 127.0.0.1 with its key in one file, and what Chromium knows the key by."""
    file, key = directory / "tls.pem", directory / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    cert = _openssl(["req", "-x509", "-days", "2", *kind, *names])
    file.write_bytes(key.read_bytes() + cert)
    public = _openssl(["x509", "-pubkey", "-noout"], cert)
    digest = hashlib.sha256(_openssl(["pkey", "-pubin", "-outform", "der"], public)).digest()
    return file, base64.b64encode(digest).decode()


def _openssl(arguments: list[str], text: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=text, check=True, capture_output=True).stdout
