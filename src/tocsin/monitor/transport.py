"""Blocking HTTP for the monitor, with the standard library only.

httpx takes 0.30 s to import where ``http.client`` takes 0.03 s (``python -X importtime``, two cores), and
every ``tocsin tail`` would pay for it. The asynchronous monitor uses httpx.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from tocsin.core.errors import NoContact
from tocsin.core.follow import Reply, Request

__all__ = ["MAX_BODY", "Transport", "body_of", "target_of"]

#: An answer of a feed has at most 1 MiB; whoever sends much more is not a feed.
MAX_BODY: Final = 8 << 20
_CHUNK: Final = 64 << 10


def target_of(request: Request) -> str:
    """The request's path with its query."""
    return request.path + ("?" + urlencode(request.query) if request.query else "")


def body_of(request: Request) -> bytes | None:
    """The request's body; None for GET."""
    return None if request.body is None else msgspec.json.encode(request.body)


class Transport:
    """Sends one request at a time, over a connection that is kept while the node stays the same."""

    def __init__(self, headers: Mapping[str, str], tls: ssl.SSLContext | None) -> None:
        self._headers, self._tls = dict(headers), tls
        self._node = ""
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()
        self._closed = False

    def send(self, request: Request) -> Reply:
        """The reply. Raises NoContact if there is none within ``request.timeout`` seconds."""
        deadline = time.monotonic() + request.timeout
        kept = self._connection is not None and self._node == request.node
        try:
            try:
                return self._exchange(request, deadline)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # A server may close a kept connection at any time; a new one decides. Reading twice is safe.
                if not kept or self._closed:
                    raise
                self._drop()
                return self._exchange(request, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._drop()
            raise NoContact(f"{request.node}: {str(error) or type(error).__name__}") from error

    def close(self) -> None:
        """Ends a request under way, too, from whatever thread."""
        self._closed = True
        self._drop()

    def _exchange(self, request: Request, deadline: float) -> Reply:
        connection = self._connect(request.node, deadline)
        body = body_of(request)
        headers = {"Accept": "application/json", **self._headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request("GET" if body is None else "POST", target_of(request), body, headers)
        response = connection.getresponse()
        content = self._read(response, connection, deadline)
        if response.will_close:
            self._drop()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, content)

    def _connect(self, node: str, deadline: float) -> http.client.HTTPConnection:
        """A connection to the node whose waiting ends at ``deadline``."""
        left = max(0.01, deadline - time.monotonic())
        if self._connection is None or self._node != node:
            self._drop()
            url = urlsplit(node)
            connection: http.client.HTTPConnection
            if url.scheme == "https":
                connection = http.client.HTTPSConnection(url.netloc, timeout=left, context=self._tls)
            elif url.scheme == "http":
                connection = http.client.HTTPConnection(url.netloc, timeout=left)
            else:
                raise ValueError("the URL of a node begins with http:// or https://")
            connection.connect()
            with self._lock:
                if self._closed:
                    connection.close()
                    raise ConnectionAbortedError("closed")
                self._connection, self._node = connection, node
        assert self._connection is not None
        self._connection.sock.settimeout(left)
        return self._connection

    @staticmethod
    def _read(
        response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float
    ) -> bytes:
        """The whole body: a peer that sends a byte now and then does not have us wait for ever."""
        chunks: list[bytes] = []
        size = 0
        while chunk := response.read1(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer does not end")
            if size > MAX_BODY:
                raise ValueError("the answer is too large for one of a feed")
            if connection.sock is not None:  # http.client drops it where the answer ends the connection
                connection.sock.settimeout(left)
        response.close()  # read1() does not notice the end by itself; the connection stays
        return b"".join(chunks)

    def _drop(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads
        connection.close()
