"""Names, origins and headers: what protects a node from pages of other sites."""

from __future__ import annotations

import httpx
import pytest

from tests.web.nodes import Node, client, serving
from tocsin.web.asgi import Message

EVENTS = "/api/v1/events"
RESUME = f"{EVENTS}/resume"
PATHS = [
    EVENTS,
    "/api/v1/board",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/static/monitor.js",
    "/nothing",
]


async def get(path: str, **headers: str) -> httpx.Response:
    """One request with these headers."""
    async with client(Node(hosts=("ops.example",))) as http:
        return await http.get(path, headers=headers)


@pytest.mark.parametrize("path", PATHS)
async def test_unknown_names_are_misdirected_on_every_route(path: str) -> None:
    """A name that somebody else points at this node is 421 everywhere (DNS rebinding)."""
    answer = await get(path, host="evil.example")

    assert answer.status_code == 421
    assert answer.json()["type"] == "urn:tocsin:problem:unknown-host"


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("node1", True),
        ("NODE1:8340", True),
        ("node1.", True),
        ("localhost:1", True),
        ("ops.example", True),
        ("127.0.0.1:8340", True),
        ("[::1]:8340", False),
        ("10.9.9.9", False),
        ("0x7f.1", False),
        ("2130706433", False),
        ("127.1", False),
        ("node1:", False),
        ("node1:port", False),
        ("node1:99999", False),
        ("node1:80@evil.example", False),
        ("evil.example:8340", False),
        ("node1.evil.example", False),
        ("[::1", False),
        ("[::1]x", False),
        ("", False),
    ],
)
async def test_names_of_this_node(host: str, known: bool) -> None:
    """Own names, configured ones, and the address that was reached; nothing that merely looks like it."""
    node = Node(hosts=("ops.example",))
    transport = httpx.ASGITransport(app=node.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8340") as http:
        answer = await http.get("/livez", headers={"host": host})

    assert answer.status_code == (200 if known else 421)


async def test_the_address_that_was_reached_is_a_name() -> None:
    """Over a real socket the local address counts, whatever a forwarding header claims."""
    async with serving(Node().app) as url, httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/livez")).status_code == 200
        assert (
            await http.get(f"{url}/livez", headers={"x-forwarded-host": "evil.example"})
        ).status_code == 200
        evil = {"host": "evil.example", "x-forwarded-host": "node1"}
        assert (await http.get(f"{url}/livez", headers=evil)).status_code == 421


async def test_no_host_and_two_hosts() -> None:
    """Without a name, or with two, nothing is served."""
    node = Node()
    for headers in ([], [(b"host", b"node1"), (b"host", b"node1")]):
        sent: list[Message] = []

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request"}

        scope = {"type": "http", "method": "GET", "path": "/livez", "query_string": b"", "headers": headers}
        await node.app(scope, receive, send)
        assert sent[0]["status"] == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"sec-fetch-site": "same-origin"}, 202),
        ({"sec-fetch-site": "none"}, 202),
        ({"origin": "http://node1:8340", "sec-fetch-site": "same-origin"}, 202),
        ({"origin": "http://node2:8340", "sec-fetch-site": "same-site"}, 202),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://evil.example", "sec-fetch-site": "same-origin"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://node1:8341"}, 403),
        ({"origin": "http://node1.evil.example:8340"}, 403),
        ({"origin": "https://ops.example"}, 403),
    ],
)
async def test_only_pages_of_the_cluster_may_publish(headers: dict[str, str], status: int) -> None:
    """A page of another site cannot make a browser post an event; a program without a browser can."""
    event = '{"specversion":"1.0","id":"1","source":"/s","type":"a.b"}'
    kind = {"content-type": "application/cloudevents+json"}
    async with client(Node(cors_origins=("https://ops.example",))) as http:
        answer = await http.post(EVENTS, content=event, headers=headers | kind)

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "listed"),
    [
        ("https://ops.example", True),
        ("http://node2:8340", True),
        ("http://ops.example", False),
        ("https://ops.example.evil.example", False),
        ("https://evil-ops.example", False),
        ("https://sub.ops.example", False),
        ("https://ops.example:444", False),
        ("null", False),
        ("*", False),
    ],
)
async def test_cors_is_an_exact_list(origin: str, listed: bool) -> None:
    """Only listed origins and the cluster's own nodes may read, on answers and refusals alike."""
    node = Node(cors_origins=("https://ops.example",))
    asks = {"origin": origin, "access-control-request-method": "POST"}
    async with client(node) as http:
        answers = [await http.get(path, headers={"origin": origin}) for path in PATHS]
        answers.append(await http.get(EVENTS + "?x=1", headers={"origin": origin}))
        preflight = await http.options(RESUME, headers=asks)
        resumed = await http.post(RESUME, json={}, headers={"origin": origin})

    for answer in answers:
        assert answer.headers.get("access-control-allow-origin") == (origin if listed else None)
        exposed = answer.headers.get("access-control-expose-headers", "")
        assert ("tocsin-cursor" in exposed and "tocsin-poll" in exposed) is listed
        assert "access-control-allow-credentials" not in answer.headers
    assert preflight.status_code == (204 if listed else 403)
    assert ("content-type" in preflight.headers.get("access-control-allow-headers", "")) is listed
    assert (resumed.status_code == 403) is not listed


async def test_nodes_that_join_later_are_known() -> None:
    """The list of the cluster's own origins follows the cluster."""
    node = Node()
    origin = {"origin": "http://node3:8340"}
    async with client(node) as http:
        assert "access-control-allow-origin" not in (await http.get("/livez", headers=origin)).headers
        node.known = {**node.known, "node3": "http://node3:8340"}
        node.seconds += 2.0
        assert "access-control-allow-origin" in (await http.get("/livez", headers=origin)).headers


async def test_a_cluster_on_loopback_is_also_localhost() -> None:
    """A page opened as localhost goes on from another node of the same machine; no other port does."""
    node = Node()
    node.known = {**node.known, "node3": "http://127.0.0.1:8342"}
    async with client(node) as http:
        for origin, known in (("http://localhost:8342", True), ("http://localhost:8343", False)):
            answer = await http.get("/livez", headers={"origin": origin})
            assert known == ("access-control-allow-origin" in answer.headers)


@pytest.mark.parametrize("path", [path for path in PATHS if path != EVENTS])
async def test_every_answer_is_dressed(path: str) -> None:
    """Errors, static files and the API have the headers that browsers obey."""
    headers = (await get(path)).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == ("cross-origin" if "static" in path else "same-origin")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store")
    assert headers["content-type"]


def test_the_policy_of_pages() -> None:
    """Pages load from their own node, may talk to the cluster's nodes, and make HTML through one policy."""
    node = Node()
    headers = dict(node.app._guard.headers("/", [b"cache-control"]))

    assert headers[b"content-security-policy"].decode() == (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' http://node1:8340 http://node2:8340; "
        "connect-src 'self' http://node1:8340 http://node2:8340; "
        "base-uri 'self' http://node1:8340 http://node2:8340; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types tocsin"
    )
    assert b"cache-control" not in headers


@pytest.mark.parametrize(
    "path", ["/static/..%2fapp.py", "/static/../app.py", "/static/%00", "/static//etc/passwd"]
)
async def test_static_files_stay_in_their_directory(path: str) -> None:
    """No name leads out of the package's static files, and none is an error of ours."""
    assert (await get("/static/" + path)).status_code == 404
