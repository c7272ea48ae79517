"""Readers of what a buffer does not have are sent to nodes that have it; pages are served all the same."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from httpx import ASGITransport

from tests.web.nodes import ID, Node, client
from tocsin.core.errors import NoContact
from tocsin.monitor import AsyncMonitor

EVENTS = "/api/v1/events"
WITHIN = "service.*@node1"


def limited(**more: Any) -> Node:
    """A node that keeps only its own events; one has happened."""
    node = Node(origins=("node1",), **more)
    node.happen("service.failed")
    return node


def left_out(answer: httpx.Response) -> None:
    """The answer is that others have what is asked for."""
    assert (answer.status_code, answer.json()["type"]) == (421, "urn:tocsin:problem:partial-buffer")
    assert answer.json()["nodes"] == {"node2": "http://node2:8340"}
    assert answer.json()["origins"] == ["node1"]
    assert "node1 keeps events of node1 only" in answer.json()["detail"]
    assert "ask node2 (http://node2:8340)" in answer.json()["detail"]
    assert answer.headers["tocsin-cursor"]


@pytest.mark.parametrize(
    "query",
    ["", f"?after={ID}:1", "?after=0", "?since=5", "?on=service.*", "?on=node.*@node1", "?after=x:1&wait=1"],
)
async def test_who_may_want_events_of_others_is_told_who_has_them(query: str) -> None:
    """Nothing, silently, would be wrong: the reader could wait for ever."""
    async with client(limited()) as http:
        left_out(await http.get(EVENTS + query))
        left_out(await http.get(EVENTS + query, headers={"accept": "text/event-stream"}))


async def test_a_reader_that_resumes_is_not_left_without() -> None:
    """What it has not seen of other nodes is not here, and that is said."""
    async with client(limited()) as http:
        left_out(
            await http.post(f"{EVENTS}/resume", json={"after": "x:1", "seen": {"node2": f"{1:013}-{1:012}"}})
        )
        answer = await http.post(f"{EVENTS}/resume", json={"after": "x:1", "seen": {}, "on": WITHIN})
    assert (answer.status_code, len(answer.json()["events"])) == (200, 1)


async def test_whose_interests_are_within_is_served_and_told_of_whom() -> None:
    """Events and gaps name the nodes; a complete buffer names none."""
    node = limited(retain=10.0)
    async with client(node) as http:
        page = await http.get(f"{EVENTS}?after=0&on={WITHIN}")
        nothing = await http.get(f"{EVENTS}?after={ID}:1&on={WITHIN}")
        node.seconds = 30.0
        node.buffer.prune(30.0)  # type: ignore[union-attr]
        gap = await http.get(f"{EVENTS}?after={ID}:0&on={WITHIN}")
    assert (page.status_code, nothing.status_code, gap.status_code) == (200, 204, 410)
    assert page.json()["window"]["origins"] == gap.json()["window"]["origins"] == ["node1"]
    async with client(Node()) as http:
        assert "origins" not in (await http.get(EVENTS)).json()["window"]


@pytest.mark.parametrize("node", [Node(buffer=False), limited()], ids=["none", "limited"])
async def test_a_page_goes_by_the_feed_of_another_node(node: Node) -> None:
    """It is served, names the nodes to ask, and has no position here: its frames begin with that node's."""
    async with client(node) as http:
        page = await http.get("/")
        frame = await http.get("/frame/content?at=/", headers={"accept": "text/html;profile=frame"})
    assert (page.status_code, frame.status_code) == (200, 200)
    assert 'data-nodes="{&#34;node2&#34;:&#34;http://node2:8340&#34;}"' in page.text
    assert "data-cursor" not in page.text
    assert "tocsin-cursor" not in page.headers.keys() | frame.headers.keys()
    policy = page.headers["content-security-policy"]
    assert "connect-src 'self' http://node1:8340 http://node2:8340;" in policy


async def test_pages_of_nodes_without_a_buffer_may_read_here() -> None:
    """To a browser they are of another origin; they are of this cluster all the same."""
    node = Node(buffer=False)  # names node2 as one that has a buffer, itself as a node
    async with client(node) as http:
        answer = await http.get("/api/v1/board", headers={"origin": "http://node1:8340"})
    assert answer.headers["access-control-allow-origin"] == "http://node1:8340"


async def test_nobody_is_known_who_has_a_buffer() -> None:
    """Then that is said, too; and who is not ready says that first."""
    node = Node(buffer=False)
    node.known = {"node1": "http://node1:8340"}
    async with client(node) as http:
        answer = await http.get(EVENTS)
        assert (answer.status_code, answer.json()["nodes"]) == (421, {})
        assert answer.json()["detail"].endswith("no node that keeps all events is known here")
        node.why_not_ready = "joining"
        assert (await http.get(EVENTS)).status_code == 503


async def test_a_monitor_says_why_it_reads_nothing() -> None:
    """Given only the URL of a node without a buffer, where nobody is known who has one."""
    node = Node(buffer=False)
    node.known = {"node1": "http://node1:8340"}
    async with AsyncMonitor("http://node1:8340", patience=0.0, transport=ASGITransport(node.app)) as monitor:
        with pytest.raises(
            NoContact, match="the last: http://node1:8340: node1 keeps no buffer; no node that"
        ):
            async for _ in monitor:
                pass
