"""Connections of viewers: the short way of polls says what the long one says, and bounds hold."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.web.nodes import ID, Node
from tocsin.endpoints import Address
from tocsin.server import Server, listen
from tocsin.web import wire
from tocsin.web.connection import Bounds, Connection, Lobby

EVENTS = "/api/v1/events"
GENEROUS = 10
#: The clients of the test that is running.
OPEN: list[Client] = []


@asynccontextmanager
async def serving(node: Node, **bounds: Any) -> AsyncIterator[int]:
    """The node under the product's own server; gives the port."""
    sock = listen(Address("127.0.0.1", 0))
    server = Server(node.app, Bounds(**{"connections": 1000, "look": 0.05, **bounds}))
    server.start(sock)
    port = sock.getsockname()[1]
    try:
        yield port
    finally:
        while OPEN:
            OPEN.pop().writer.close()
        node.app.close()
        await server.stop()


class Client:
    """A connection that is kept."""

    def __init__(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.port, self.reader, self.writer = port, reader, writer

    @classmethod
    async def connect(cls, port: int) -> Client:
        """One that is connected."""
        client = cls(port, *await asyncio.open_connection("127.0.0.1", port))
        OPEN.append(client)
        return client

    def send(self, query: str, more: str = "") -> None:
        """Sends a poll."""
        host = f"Host: 127.0.0.1:{self.port}\r\n"
        self.writer.write(f"GET {EVENTS}?{query} HTTP/1.1\r\n{host}{more}\r\n".encode())

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers, body."""
        async with asyncio.timeout(GENEROUS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:] if line)
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split()[1]), headers, body

    async def ask(self, query: str, more: str = "") -> tuple[int, dict[str, str], bytes]:
        """One poll."""
        self.send(query, more)
        return await self.answer()

    async def ended(self) -> bytes:
        """What still comes until the server ends the connection."""
        async with asyncio.timeout(GENEROUS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


def connections(node: Node) -> list[Connection]:
    """The connections that have found the short way."""
    return [waiter for waiter in node.app.feed.holding._held if isinstance(waiter, Connection)]


async def until(condition: Any) -> None:
    """Waits for something that is bound to happen."""
    async with asyncio.timeout(GENEROUS):
        while not condition():
            await asyncio.sleep(0.01)


QUERIES = [
    f"after={ID}:3",
    f"after={ID}:3&view=brief",
    f"after={ID}:1&view=brief",
    f"after={ID}:1",
    f"after={ID}:1&limit=1",
    f"after={ID}:0&on=adapter.*",
    f"after={ID}:0&on=nothing.*",
    f"after={ID}:2&on=nothing.*&wait=0.05",
    f"after={ID}:3&wait=0.05",
    f"after={ID}:3&seen=full",
    f"after={ID}:9",
    "after=rubbish",
    "after=0",
    "since=60",
    "",
    "nonsense=1",
    f"after={ID}:3&wait=99",
]


@pytest.mark.parametrize("slots", [0, 1000])
async def test_the_short_way_says_what_the_long_one_says(slots: int) -> None:
    """Each query is answered alike the first time, when it is parsed, and later, when it is not."""
    node = Node(wait_slots=slots)
    node.happen("service.failed", "adapter.down", "service.started")
    async with serving(node) as port:
        short = await Client.connect(port)
        for _ in range(2):  # the second is known to be plain
            await short.ask(f"after={ID}:3")
        for query in QUERIES:
            long = await Client.connect(port)
            first = await long.ask(query)
            again = [await short.ask(query) for _ in range(3)]
            first[1].pop("date")
            for answer in again:
                assert answer[1].pop("date")
                assert answer[0] == first[0], query
                assert answer[2] == first[2], query
                assert answer[1] == first[1], query
            long.writer.close()


async def test_an_idle_poll_does_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither way encodes anything where there is nothing new, nor when a held poll's time is over."""
    node = Node()
    node.happen("service.failed")

    def no(*_: Any, **__: Any) -> bytes:
        raise AssertionError("JSON")

    monkeypatch.setattr(wire, "document", no)
    monkeypatch.setattr(wire, "_encode", no)
    async with serving(node) as port:
        viewer = await Client.connect(port)
        for wait in ("", "", "", "&wait=0.1", "&wait=0.1"):
            assert (await viewer.ask(f"after={ID}:1&view=brief{wait}"))[0] == 204


async def test_a_server_takes_the_files_that_it_may() -> None:
    """The soft limit is raised, and some files are kept from viewers."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, before[1]))
        Server(Node().app)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == min(65_536, hard)
        assert 0 < Lobby(Node().app).bounds.connections <= soft - min(512, soft // 4)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_held_polls_take_the_short_way() -> None:
    """Many viewers at one position are held without a task each, and told the same bytes at once."""
    node = Node()
    async with serving(node) as port:
        viewers = [await Client.connect(port) for _ in range(20)]
        for viewer in viewers:
            for _ in range(2):
                assert (await viewer.ask(f"after={ID}:0"))[0] == 204
            viewer.send(f"after={ID}:0&wait=20&view=brief")
        await until(lambda: len(connections(node)) == 20)

        node.happen("service.failed")
        answers = [await viewer.answer() for viewer in viewers]

        assert {status for status, _, _ in answers} == {200}
        assert len({body for _, _, body in answers}) == 1
        assert json.loads(answers[0][2])["cursor"] == f"{ID}:1"
        assert {headers["tocsin-poll"] for _, headers, _ in answers} == {"interval=2, wait=20"}
        assert node.app.feed.holding.count == 0


async def test_thousands_are_told_in_slices() -> None:
    """All of more viewers than one slice are told, and those whom it does not concern stay held."""
    node = Node(wait_slots=2000)
    async with serving(node) as port:
        viewers = [await Client.connect(port) for _ in range(400)]
        for number, viewer in enumerate(viewers):
            await viewer.ask(f"after={ID}:0")
            viewer.send(f"after={ID}:0&wait=20&on={'disk' if number % 4 else 'service'}.*")
        await until(lambda: node.app.feed.holding.count == 400)

        node.happen("disk.full")
        for number, viewer in enumerate(viewers):
            if number % 4:
                assert (await viewer.answer())[0] == 200
        assert node.app.feed.holding.count == 100
        for viewer in viewers:
            viewer.writer.close()
        await until(lambda: node.app.feed.holding.count == 0)


async def test_who_leaves_a_held_poll_frees_its_slot() -> None:
    """Also by the short way."""
    node = Node()
    async with serving(node) as port:
        viewer = await Client.connect(port)
        for _ in range(2):
            await viewer.ask(f"after={ID}:0")
        viewer.send(f"after={ID}:0&wait=20")
        await until(lambda: len(connections(node)) == 1)
        viewer.writer.close()
        await until(lambda: node.app.feed.holding.count == 0)
        assert node.app.feed.answers["left"] == 1


async def test_a_node_that_stops_sends_held_viewers_away() -> None:
    """503, and the connection ends."""
    node = Node()
    async with serving(node) as port:
        viewer = await Client.connect(port)
        for _ in range(2):
            await viewer.ask(f"after={ID}:0")
        viewer.send(f"after={ID}:0&wait=20")
        await until(lambda: len(connections(node)) == 1)
        node.app.close()
        status, headers, _ = await viewer.answer()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert await viewer.ended() == b""


async def test_a_client_that_does_not_wait_is_answered_in_order() -> None:
    """Requests that are sent before the last answer came are answered one after the other."""
    node = Node()
    node.happen("service.failed")
    async with serving(node) as port:
        viewer = await Client.connect(port)
        for _ in range(2):
            await viewer.ask(f"after={ID}:1")
        viewer.send(f"after={ID}:1&wait=0.3")
        await until(lambda: len(connections(node)) == 1)
        viewer.send(f"after={ID}:0")
        viewer.send(f"after={ID}:1")
        assert [(await viewer.answer())[0] for _ in range(3)] == [204, 200, 204]

        viewer.send(f"after={ID}:1&wait=20")
        await until(lambda: len(connections(node)) == 1)
        viewer.writer.write(b"x" * (65 << 10))
        await viewer.ended()


async def test_another_head_goes_the_long_way() -> None:
    """A head that differs in anything is looked at: who may ask, and for what."""
    node = Node()
    async with serving(node) as port:
        viewer = await Client.connect(port)
        for _ in range(3):
            assert (await viewer.ask(f"after={ID}:0"))[0] == 204
        viewer.writer.write(f"GET {EVENTS}?after={ID}:0 HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
        assert (await viewer.answer())[0] == 421
        assert (await viewer.ask("after=0", "Accept: application/cloudevents-batch+json\r\n"))[2] == b"[]"
        _, headers, _ = await viewer.ask(f"after={ID}:0", "Origin: http://node2:8340\r\n")
        assert headers["access-control-allow-origin"] == "http://node2:8340"
        assert (await viewer.ask(f"after={ID}:0"))[0] == 204
        for _ in range(2):
            old = await Client.connect(port)
            old.writer.write(f"GET {EVENTS}?after={ID}:0 HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            assert (await old.answer())[0] == 204
            assert await old.ended() == b""


async def test_a_slow_head_is_cut_off() -> None:
    """Who sends a byte now and then never gets to be a request."""
    node = Node()
    async with serving(node, head=0.3) as port:
        slow, silent = await Client.connect(port), await Client.connect(port)
        slow.writer.write(f"GET {EVENTS} HTTP/1.1\r\n".encode())

        async def drip() -> None:
            while True:
                slow.writer.write(b"X-A: b\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await slow.ended() == b""
        dripping.cancel()
        assert await silent.ended() == b""


async def test_a_head_has_an_end() -> None:
    """64 KiB of header is refused, and so is what is no HTTP; with a problem, like everything."""
    async with serving(Node()) as port:
        for what in (f"GET / HTTP/1.1\r\nX: {'a' * (70 << 10)}".encode(), b"\x16\x03\x01 hello\r\n\r\n"):
            client = await Client.connect(port)
            client.writer.write(what)
            status, headers, body = await client.answer()
            assert (status, headers["content-type"]) == (400, "application/problem+json")
            assert json.loads(body)["type"] == "urn:tocsin:problem:bad-request"
            await client.ended()


async def test_an_idle_connection_is_closed() -> None:
    """After the time, and not while it is used, whichever way its requests go."""
    node = Node()
    async with serving(node, idle=0.6) as port:
        idle, used, held = [await Client.connect(port) for _ in range(3)]
        for client in (idle, used, held):
            for _ in range(2):
                await client.ask(f"after={ID}:0")
        held.send(f"after={ID}:0&wait=20")
        over = asyncio.create_task(idle.ended())
        while not over.done():
            assert (await used.ask(f"after={ID}:0"))[0] == 204
            await asyncio.sleep(0.02)
        assert await over == b""
        node.happen("service.failed")
        assert (await held.answer())[0] == 200


async def test_who_does_not_read_is_cut_off() -> None:
    """A client that asks for much and reads nothing holds its answer only for a while."""
    node = Node()
    for _ in range(150):
        node.happen("service.failed", subject="x" * 6000)
    async with serving(node, stalled=0.3) as port:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, ("127.0.0.1", port))
            request = f"GET {EVENTS}?after={ID}:0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
            for _ in range(20):
                await loop.sock_sendall(sock, request)
            lobby = next(iter(_lobbies()))
            await until(lambda: lobby.all)
            await until(lambda: not lobby.all)


def _lobbies() -> set[Lobby]:
    import gc

    return {thing for thing in gc.get_objects() if isinstance(thing, Lobby) and thing.bounds.stalled == 0.3}


async def test_a_client_that_ends_its_side_is_answered() -> None:
    """Half a connection is enough for an answer that is ready; it is not kept."""
    async with serving(Node()) as port:
        client = await Client.connect(port)
        client.writer.write(f"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        client.writer.write_eof()
        assert (await client.answer())[2] == b"ok\n"
        assert await client.ended() == b""


async def test_a_crowd_shares_the_connections() -> None:
    """Near the bound an answer ends its connection; beyond it a viewer is told to come back."""
    node = Node()
    async with serving(node, connections=8, head=30.0) as port:
        first = [await Client.connect(port) for _ in range(7)]
        _, headers, _ = await first[0].ask(f"after={ID}:0")
        assert headers["connection"] == "close"
        assert await first[0].ended() == b""
        assert "connection" not in (await first[1].ask(f"after={ID}:0"))[1]

        crowd = [await Client.connect(port) for _ in range(2)]
        _, headers, _ = await crowd[0].ask(f"after={ID}:0")
        assert headers["connection"] == "close"
        crowd = [await Client.connect(port) for _ in range(2)]
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"http://127.0.0.1:{port}{EVENTS}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["type"] == "urn:tocsin:problem:crowded"
        assert (await first[1].ask(f"after={ID}:0"))[0] == 204
