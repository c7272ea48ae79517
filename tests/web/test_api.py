"""The API beside the feed: publishing, board, health, metrics; and one shape of all refusals."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from tests.web.nodes import ID, LIFE, Node, client
from tocsin.core.board import Resource
from tocsin.core.sequence import sequence_of
from tocsin.web.problems import PROBLEMS

EVENTS = "/api/v1/events"
STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


def event(**more: Any) -> dict[str, Any]:
    """A CloudEvent of a publisher."""
    return {"specversion": "1.0", "id": "1", "source": "/backup", "type": "backup.finished", **more}


async def post(node: Node, document: Any, headers: dict[str, str] = STRUCTURED) -> httpx.Response:
    """Posts events."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    async with client(node) as http:
        return await http.post(EVENTS, content=content, headers=headers)


async def test_publishing_is_numbering() -> None:
    """A posted event is in this node's buffer when it is answered 202 with its sequence."""
    node = Node()

    answer = await post(node, event(data={"status": "ok", "summary": "done"}, subject="/srv"))

    assert answer.status_code == 202
    assert answer.json() == {"sequences": [sequence_of(LIFE, 1)], "origin": "node1"}
    assert answer.headers["tocsin-cursor"] == f"{ID}:1"
    own = node.board.own("node1", "backup", "/srv")
    assert own is not None
    assert own.status == "ok"


async def test_the_same_pair_is_published_once() -> None:
    """Source and id posted again, alone or in one batch, are 202 with the first sequence."""
    node = Node()

    first = await post(node, event())
    again = await post(node, [event(), event(id="2"), event(id="2"), event(source="/other")], BATCH)

    one, two, three = (sequence_of(LIFE, n) for n in (1, 2, 3))
    assert first.json()["sequences"] == [one]
    assert again.json()["sequences"] == [one, two, two, three]
    assert node.last == 3


async def test_a_batch_is_taken_whole_or_not_at_all() -> None:
    """One bad or too large event refuses all; the answer says which."""
    node = Node()

    bad = await post(node, [event(), event(id="2", type="node.down")], BATCH)
    large = await post(node, [event(), event(id="2", data="x" * 17_000)], BATCH)
    none = await post(node, [], BATCH)

    alone = await post(node, event(type="node.down"))
    assert (bad.status_code, bad.json()["index"], bad.json()["attribute"]) == (400, 1, "type")
    assert bad.json()["detail"].startswith("event 1: attribute 'type'")
    assert alone.json()["detail"].startswith("attribute 'type'")
    assert (large.status_code, "16384" in large.json()["detail"]) == (413, True)
    assert (none.status_code, none.json()["sequences"]) == (202, [])
    assert node.last == 0


async def test_publishing_has_bounds() -> None:
    """At most 1,000 events and 1 MiB, no parameters, and nothing while the node is not ready."""
    node = Node()
    many = [event(id=str(n)) for n in range(1001)]

    assert (await post(node, many, BATCH)).status_code == 413
    assert (await post(node, b" " * ((1 << 20) + 1))).status_code == 413
    async with client(node) as http:
        assert (await http.post(EVENTS + "?wait=1", json=event())).status_code == 400
    node.listens = True
    assert (await post(node, event())).headers["retry-after"] == "1"
    node.why_not_ready = "joining"
    assert (await post(node, event())).status_code == 503
    assert node.last == 0


async def test_a_node_without_a_buffer_takes_events() -> None:
    """Publishing does not need a buffer: the event goes to the board and the rails."""
    answer = await post(Node(buffer=False), event())

    assert answer.status_code == 202
    assert "tocsin-cursor" not in answer.headers


async def test_the_board_carries_its_position() -> None:
    """Resources, with the cursor and seen at which they are valid."""
    node = Node()
    node.happen("service.failed", subject="nginx.service")

    async with client(node) as http:
        answer = await http.get("/api/v1/board")
    board = answer.json()

    assert answer.headers["tocsin-cursor"] == board["cursor"] == f"{ID}:1"
    assert board["seen"] == {"node1": sequence_of(LIFE, 1)}
    assert [(r["kind"], r["subject"], r["status"]) for r in board["resources"]] == [
        ("service", "nginx.service", "failed")
    ]
    async with client(Node(buffer=False)) as http:
        assert (await http.get("/api/v1/board")).json()["cursor"] is None


async def test_health_means_what_it_says() -> None:
    """livez: the agent runs; readyz: history is numbered and the feed answers."""
    node = Node()
    async with client(node) as http:
        ready = [(await http.get(path)).status_code for path in ("/livez", "/readyz", "/api/v1/board")]
        node.why_not_ready = "joining"
        joining = [(await http.get(path)).status_code for path in ("/livez", "/readyz", "/api/v1/board")]

    assert (ready, joining) == ([200, 200, 200], [200, 503, 503])


async def test_metrics_are_openmetrics() -> None:
    """Families have one TYPE line each, counters end in _total, and the text ends in EOF."""
    node = Node()
    node.happen("service.failed")
    async with client(node) as http:
        await http.get(EVENTS)
        answer = await http.get("/metrics")
        without = await http.get("/metrics")
    lines = answer.text.splitlines()

    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert lines[-1] == "# EOF"
    assert without.status_code == 200
    for line in (
        "# TYPE tocsin_feed_answers counter",
        'tocsin_feed_answers_total{answer="events"} 1',
        "# TYPE tocsin_ready gauge",
        "tocsin_ready 1",
        "tocsin_buffer_last_number 1",
        "tocsin_events_published_total 1",
        'tocsin_rail_sent_total{rail="rail1"} 3',
    ):
        assert line in lines
    types = [line for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    async with client(Node(buffer=False)) as http:
        assert "tocsin_buffer" not in (await http.get("/metrics")).text


async def test_forget() -> None:
    """The name of a node that is gone is removed; one that is not there is 404, one that is up 409."""
    node = Node()
    async with client(node) as http:
        assert (await http.post("/api/v1/nodes/node9/forget", json={})).json() == {"forgotten": "node9"}
        assert (await http.post("/api/v1/nodes/node1/forget", json={})).status_code == 404
        node.board.set_node(Resource(node="node1", kind="node", subject="node1", status="ok"))
        assert (await http.post("/api/v1/nodes/node1/forget", json={})).status_code == 409
        assert (await http.post("/api/v1/nodes/node9/forget", content=b"")).status_code == 415


async def test_a_crash_is_an_answer() -> None:
    """An error of our own is a 500 problem without details, and is logged."""

    class Broken(Node):
        def forget(self, node: str) -> bool:
            raise ZeroDivisionError(node)

    async with client(Broken()) as http:
        answer = await http.post("/api/v1/nodes/node9/forget", json={})

    assert answer.json()["type"] == "urn:tocsin:problem:internal"
    assert "node9" not in answer.text


def _routes(node: Node) -> list[tuple[str, str]]:
    found = [(EVENTS, "GET"), (f"{EVENTS}/resume", "POST")]
    own = ("/api/", "/metrics", "/livez", "/readyz", "/openapi.json")  # pages answer people, in HTML
    for route in node.app._router.routes:
        if isinstance(route, Route) and route.path.startswith(own):
            path = route.path.replace("{name}", "nobody")
            found += [(path, method) for method in sorted((route.methods or set()) - {"HEAD"})]
    return found


@pytest.mark.parametrize("cause", ["host", "method", "site", "parameter", "not-ready", "path"])
async def test_every_refusal_has_one_shape(cause: str) -> None:
    """Whatever the route and the cause, a refusal is problem+json with type, title, status, detail."""
    node = Node()
    if cause == "not-ready":
        node.why_not_ready = "joining"
    routes = (
        [(f"/no/such/{n}", m) for n, m in enumerate(("GET", "POST"))] if cause == "path" else _routes(node)
    )
    refused = 0
    async with client(node) as http:
        for path, method in routes:
            headers = {"host": "evil.example"} if cause == "host" else {}
            if cause == "site":
                headers = {"origin": "http://evil.example"}
            sent = "DELETE" if cause == "method" else method
            asked = path + "?nonsense=1" if cause == "parameter" else path
            answer = await http.request(sent, asked, headers=headers)
            if answer.status_code < 400:
                continue
            refused += 1
            document = answer.json()
            assert answer.headers["content-type"] == "application/problem+json", (method, path)
            assert {"type", "title", "status", "detail"} <= set(document), (method, path)
            assert document["status"] == answer.status_code
            slug = document["type"].removeprefix("urn:tocsin:problem:")
            assert PROBLEMS[slug] == (answer.status_code, document["title"])
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            if answer.status_code == 503:
                assert answer.headers["retry-after"] == "1"
    assert refused >= 2
