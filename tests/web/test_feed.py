"""The four answers and no fifth, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.web.nodes import ID, LIFE, Node, client, serving
from tocsin.core.bus import Loss
from tocsin.core.event import Draft
from tocsin.core.sequence import sequence_of

EVENTS = "/api/v1/events"
BATCH = "application/cloudevents-batch+json"


def s(seq: int) -> str:
    """The sequence of event ``seq`` of node1."""
    return sequence_of(LIFE, seq)


async def ask(node: Node, query: str = "", **headers: str) -> httpx.Response:
    """One poll; whatever the answer, it has the headers of a feed."""
    async with client(node) as http:
        answer = await http.get(EVENTS + query, headers={k.replace("_", "-"): v for k, v in headers.items()})
    assert answer.headers["tocsin-cursor"]
    assert answer.headers["tocsin-poll"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.status_code in {200, 204, 410, 400, 401, 403, 413, 415, 421, 429, 503}
    return answer


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The answer is this problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["type"], document["status"]) == (f"urn:tocsin:problem:{slug}", status)
    assert document["title"]
    assert document["detail"]
    return document


async def test_first_contact_starts_now() -> None:
    """Without a cursor: the present position, all of seen, no events."""
    node = Node()
    node.happen("service.failed")

    answer = await ask(node)

    assert answer.status_code == 200
    assert answer.json() == {
        "buffer": ID,
        "node": "node1",
        "cursor": f"{ID}:1",
        "seen": {"node1": s(1)},
        "more": False,
        "window": {"first": 1, "last": 1, "from": node.wall(), "to": node.wall(), "retain": 300.0},
        "degraded": [],
        "events": [],
    }
    assert answer.headers["tocsin-cursor"] == f"{ID}:1"
    assert answer.headers["tocsin-poll"] == "interval=2, wait=20"


async def test_events_are_numbered_cloudevents() -> None:
    """An event in an answer is its origin's own JSON with number and recordedtime in front."""
    node = Node()
    node.publish([Draft(type="backup.done", id="7", source="/b", data={"status": "ok"}, extensions={"x": 1})])

    document = (await ask(node, f"?after={ID}:0")).json()

    assert document["events"] == [
        {
            "number": 1,
            "recordedtime": node.wall(),
            "specversion": "1.0",
            "id": "7",
            "source": "/b",
            "type": "backup.done",
            "time": node.wall(),
            "origin": "node1",
            "sequence": s(1),
            "node": "node1",
            "severity": "info",
            "x": 1,
            "data": {"status": "ok"},
        }
    ]
    assert document["seen"] == {"node1": s(1)}


async def test_brief_is_what_a_page_needs() -> None:
    """view=brief has seven members an event."""
    node = Node()
    node.happen("service.failed")

    document = (await ask(node, f"?after={ID}:0&view=brief")).json()

    assert document["events"] == [
        {
            "number": 1,
            "type": "service.failed",
            "node": "node1",
            "subject": "x",
            "severity": "error",
            "origin": "node1",
            "sequence": s(1),
        }
    ]


async def test_nothing_new_is_204_and_small() -> None:
    """An idle poll's whole answer is at most 300 bytes, to a page of another node as well."""
    node = Node()
    node.happen("service.failed")
    async with serving(node.app) as url:
        host, port = url.removeprefix("http://").split(":")
        for origin in ("", "Origin: http://node2:8340\r\n"):
            reader, writer = await asyncio.open_connection(host, int(port))
            request = f"GET {EVENTS}?after={ID}:1 HTTP/1.1\r\nHost: {host}:{port}\r\n{origin}\r\n"
            writer.write(request.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()

            assert head.startswith(b"HTTP/1.1 204 ")
            assert len(head) <= 300, head
            assert f"tocsin-cursor: {ID}:1\r\n".encode() in head
            assert (b"access-control-allow-origin: http://node2:8340" in head) is bool(origin)


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (f"{ID}:9", "future"),
        ("k3f9a.0:1", "restarted"),
        ("zzzzz.1:1", "foreign"),
        ("rubbish", "foreign"),
        ("", "foreign"),
        ("%00%F0%9F%92%A9", "foreign"),
        ("-1", "foreign"),
        (f"{ID}:{'9' * 30}", "foreign"),
    ],
)
async def test_cursors_that_are_no_position_here(after: str, reason: str) -> None:
    """Each is a gap at once that says why and where now is; none hangs (Syncthing#2197)."""
    node = Node()
    node.happen("service.failed")

    document = problem(await ask(node, f"?after={after}&wait=20"), 410, "gap")

    assert (document["reason"], document["lost"], document["cursor"]) == (reason, {}, f"{ID}:1")
    assert document["seen"] == {"node1": s(1)}
    assert document["window"]["last"] == 1


async def test_an_evicted_cursor_is_a_gap_that_names_the_loss() -> None:
    """A reader that slept too long learns what it lost; the cursor it is given works."""
    node = Node(retain=10.0)
    node.happen("service.failed", "service.started")
    node.seconds = 5.0
    node.happen("service.failed")
    assert node.buffer is not None
    node.buffer.prune(12.0)

    answer = await ask(node, f"?after={ID}:1")
    document = problem(answer, 410, "gap")

    assert (document["reason"], document["lost"]) == ("evicted", {"node1": [s(2), s(2)]})
    assert answer.headers["tocsin-cursor"] == document["cursor"] == f"{ID}:2"
    after = (await ask(node, f"?after={document['cursor']}")).json()
    assert [event["sequence"] for event in after["events"]] == [s(3)]


async def test_a_marker_ends_a_page_and_is_told_next() -> None:
    """What this node missed of another is a gap, unless it cannot concern the reader."""
    node = Node()
    node.happen("service.failed")
    node.bus.lose(Loss("node2", s(1), s(4)))

    page = (await ask(node, f"?after={ID}:0")).json()
    assert (len(page["events"]), page["more"], page["cursor"]) == (1, True, f"{ID}:1")
    document = problem(await ask(node, f"?after={ID}:1"), 410, "gap")
    assert (document["reason"], document["lost"]) == ("replica", {"node2": [s(1), s(4)]})
    assert (await ask(node, f"?after={ID}:1&on=service.*@node1")).status_code == 200


async def test_the_whole_window_and_the_last_seconds() -> None:
    """after=0 and since are always 200 with the full seen."""
    node = Node()
    node.happen("service.failed")
    node.seconds = 100.0
    node.happen("service.started")

    whole = (await ask(node, "?after=0")).json()
    recent = (await ask(node, "?since=50")).json()
    empty = await ask(Node(), "?after=0")

    assert [event["number"] for event in whole["events"]] == [1, 2]
    assert [event["number"] for event in recent["events"]] == [2]
    assert whole["seen"] == recent["seen"] == {"node1": s(2)}
    assert (empty.status_code, empty.json()["events"], empty.json()["window"]["from"]) == (200, [], None)


async def test_pages_and_more() -> None:
    """Limit cuts an answer; more says that asking at once is worth it."""
    node = Node()
    node.happen(*["service.failed"] * 5)

    got, cursor, more = [], f"{ID}:0", True
    while more:
        page = (await ask(node, f"?after={cursor}&limit=2")).json()
        got += [event["number"] for event in page["events"]]
        cursor, more = page["cursor"], page["more"]

    assert (got, cursor) == ([1, 2, 3, 4, 5], f"{ID}:5")


async def test_an_answer_is_below_one_mebibyte() -> None:
    """However large the events, an answer is cut and more is said."""
    node = Node()
    node.publish([Draft(type="a.b", data="x" * 15_000)] * 100)

    answer = await ask(node, f"?after={ID}:0")

    assert 900_000 < len(answer.content) < 1 << 20
    assert answer.json()["more"] is True


async def test_a_filter_moves_the_cursor() -> None:
    """Events that a filter hid still bring the reader forward, with 200 and none."""
    node = Node()
    node.happen("service.failed")

    page = (await ask(node, f"?after={ID}:0&on=adapter.*&on=storage.*,config.*")).json()

    assert (page["events"], page["cursor"], page["seen"]) == ([], f"{ID}:1", {"node1": s(1)})


async def test_seen_in_full_on_request() -> None:
    """seen=full tells of all origins, else only of those that moved."""
    node = Node()
    node.bus.lose(Loss("node2", s(1), s(4)))
    node.happen("service.failed")

    assert (await ask(node, f"?after={ID}:1")).json()["seen"] == {"node1": s(1)}
    full = {"node1": s(1), "node2": s(4)}
    assert (await ask(node, f"?after={ID}:1&seen=full")).json()["seen"] == full
    for wait in ("", "&wait=0.01"):
        up_to_date = await ask(node, f"?after={ID}:2&seen=full{wait}")
        assert up_to_date.json()["seen"] == full


async def test_degraded_nodes_are_named() -> None:
    """An answer says whose events may be incomplete."""
    node = Node()
    node.are_degraded = ("node2",)

    assert (await ask(node)).json()["degraded"] == ["node2"]


@pytest.mark.parametrize(
    "query",
    [
        "?nonsense=1",
        "?after=0&after=0",
        "?limit=0",
        "?limit=10001",
        "?limit=ten",
        "?limit=%D9%A1",
        "?limit=" + "9" * 5000,
        "?wait=26",
        "?wait=-1",
        "?wait=nan",
        "?wait=",
        "?since=1&after=0",
        "?since=inf",
        "?view=long",
        "?seen=some",
        "?on=:",
        "?on=" + "a" * 3000,
        "?on=%ff",
        "?" + "&".join(["on=a.b"] * 1001),
        "?" + "&".join(["on=a.b"] * 3000),
    ],
)
async def test_what_is_not_understood_is_refused(query: str) -> None:
    """A parameter that is unknown, twice, or out of range is 400 with a sentence, never ignored."""
    problem(await ask(Node(), query), 400, "bad-request")


async def test_not_ready_and_no_buffer() -> None:
    """Before its history is numbered a node says when to come back; without a buffer, where to go."""
    node = Node()
    node.why_not_ready = "history is on its way"
    answer = await ask(node)
    assert problem(answer, 503, "not-ready")["detail"] == "history is on its way"
    assert answer.headers["retry-after"] == "1"

    document = problem(await ask(Node(buffer=False)), 421, "no-buffer")
    assert document["nodes"] == {"node2": "http://node2:8340"}


async def test_a_cloudevents_batch_on_request() -> None:
    """The bare batch, for programs that know CloudEvents and nothing else; the cursor is in the header."""
    node = Node()
    node.happen("service.failed")

    answer = await ask(node, f"?after={ID}:0", accept=BATCH)

    assert answer.headers["content-type"] == BATCH
    assert answer.headers["tocsin-cursor"] == f"{ID}:1"
    assert [event["specversion"] for event in answer.json()] == ["1.0"]
    assert (await ask(node, f"?after={ID}:1", accept=BATCH)).status_code == 204


async def test_a_shared_cache_may_be_allowed() -> None:
    """Only where the operator says so, answers may be kept for some seconds."""
    node = Node(shared_cache_seconds=2)
    async with client(node) as http:
        answer = await http.get(f"{EVENTS}?after={ID}:0")
        refused = await http.get(f"{EVENTS}?x")

    assert answer.headers["cache-control"] == "public, max-age=0, s-maxage=2"
    assert refused.headers["cache-control"] == "no-store"


async def test_other_methods_are_named() -> None:
    """What cannot be done says what can."""
    async with client(Node()) as http:
        put = await http.put(EVENTS)
        get = await http.get(f"{EVENTS}/resume")

    assert problem(put, 405, "method-not-allowed")
    assert put.headers["allow"] == "GET, POST"
    assert problem(get, 405, "method-not-allowed")
    assert get.headers["allow"] == "POST"


# -- resume ------------------------------------------------------------------------------------


async def resume(node: Node, document: Any, kind: str = "application/json") -> httpx.Response:
    """A reader comes from another node."""
    async with client(node) as http:
        if isinstance(document, bytes):
            return await http.post(f"{EVENTS}/resume", content=document, headers={"content-type": kind})
        return await http.post(f"{EVENTS}/resume", json=document)


async def test_resume_has_the_same_four_answers() -> None:
    """Events that seen lacks, nothing, a gap, or refused."""
    node = Node(retain=10.0)
    node.happen("service.failed", "service.started")

    some = await resume(node, {"after": "other.1:7", "seen": {"node1": s(1)}, "on": "service.*", "limit": 5})
    none = await resume(node, {"after": "other.1:7", "seen": {"node1": s(2)}})
    brief = await resume(node, {"seen": {}, "view": "brief", "on": ["service.failed", "a.b"]})
    node.seconds = 20.0
    assert node.buffer is not None
    node.buffer.prune(20.0)
    gap = await resume(node, {"after": "other.1:7", "seen": {"node1": s(1)}})

    assert [event["sequence"] for event in some.json()["events"]] == [s(2)]
    assert (none.status_code, none.headers["tocsin-cursor"]) == (204, f"{ID}:2")
    assert [event["type"] for event in brief.json()["events"]] == ["service.failed"]
    assert problem(gap, 410, "gap")["lost"] == {"node1": [s(2), s(2)]}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"after": 1},
        {"seen": []},
        {"seen": {"node1": 1}},
        {"seen": {"node1": "later"}},
        {"on": [1]},
        {"on": ":"},
        {"limit": "5"},
        {"limit": True},
        {"limit": 0},
        {"view": []},
        {"other": 1},
        b"{",
        b'{"seen":{},"seen":{}}',
        b'{"limit":NaN}',
        b"\xff",
        b"[" * 10_000,
        b"",
    ],
)
async def test_a_resume_that_cannot_be_read_is_refused(document: Any) -> None:
    """Strict JSON, known members, right types: else 400."""
    problem(await resume(Node(), document), 400, "bad-request")


async def test_resume_wants_json() -> None:
    """Another content type is 415, a body beyond the limit 413."""
    problem(await resume(Node(), b"{}", "text/plain"), 415, "unsupported-media-type")
    problem(await resume(Node(), b" " * ((1 << 20) + 1)), 413, "too-large")


async def test_a_slow_body_is_not_waited_for() -> None:
    """A body that does not arrive in time is 408 and the connection ends."""
    node = Node(body_timeout=0.05)
    sent: list[Any] = []

    async def never() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"{EVENTS}/resume",
        "query_string": b"",
        "server": None,
    }
    headers = [(b"host", b"node1"), (b"content-type", b"application/json")]
    await node.app({**scope, "headers": headers}, never, send)

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_body_of_unknown_length_is_cut() -> None:
    """A chunked body is refused as soon as it is too large; one that breaks off is refused."""

    async def endless() -> Any:
        for _ in range(10):
            yield b" " * 200_000

    async with client(Node()) as http:
        kind = {"content-type": "application/json"}
        problem(await http.post(f"{EVENTS}/resume", content=endless(), headers=kind), 413, "too-large")


# -- held --------------------------------------------------------------------------------------


async def test_a_held_poll_is_answered_by_news() -> None:
    """A poll with wait holds an answer until a matching event, and a burst is one answer."""
    node = Node()
    polls = [
        asyncio.create_task(ask(node, f"?after={ID}:0&wait=20&on=service.*&view=brief")) for _ in range(50)
    ]
    await asyncio.sleep(0.1)
    assert node.app.feed.holding.count == 50

    node.happen("adapter.down")
    await asyncio.sleep(0.15)
    assert node.app.feed.holding.count == 50

    node.happen("service.failed", "service.started", "adapter.up")
    answers = await asyncio.wait_for(asyncio.gather(*polls), 2)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert [event["number"] for event in answers[0].json()["events"]] == [2, 3]
    assert answers[0].json()["cursor"] == f"{ID}:4"
    assert node.app.feed.holding.count == 0


async def test_a_held_poll_ends_by_itself() -> None:
    """Without news it is 204 after the time; hidden events then still move the cursor."""
    node = Node()
    assert (await ask(node, f"?after={ID}:0&wait=0.05")).status_code == 204

    poll = asyncio.create_task(ask(node, f"?after={ID}:0&wait=0.2&on=service.*"))
    await asyncio.sleep(0.02)
    node.happen("adapter.down")
    page = (await poll).json()
    assert (page["events"], page["cursor"]) == ([], f"{ID}:1")


async def test_news_is_never_waited_for() -> None:
    """What is there already is answered at once, and so is a gap."""
    node = Node()
    node.happen("service.failed")

    async with asyncio.timeout(1):
        assert (await ask(node, f"?after={ID}:0&wait=25")).status_code == 200
        assert (await ask(node, "?after=0&wait=25")).status_code == 200
        assert (await ask(node, "?wait=25")).status_code == 200
        assert (await ask(node, f"?after={ID}:9&wait=25")).status_code == 410


async def test_past_the_slots_everybody_is_answered() -> None:
    """The node never refuses a viewer for being one too many: it answers at once and offers short polls."""
    node = Node(wait_slots=1)
    held = asyncio.create_task(ask(node, f"?after={ID}:0&wait=20"))
    await asyncio.sleep(0.05)

    async with asyncio.timeout(1):
        shed = await ask(node, f"?after={ID}:0&wait=20")
    node.happen("service.failed")
    told = await held

    assert (shed.status_code, shed.headers["tocsin-poll"]) == (204, "interval=4, wait=0")
    assert (told.status_code, told.headers["tocsin-poll"]) == (200, "interval=2, wait=20")


async def test_without_slots_no_wait_is_offered() -> None:
    """An operator can turn held polls off."""
    assert (await ask(Node(wait_slots=0))).headers["tocsin-poll"] == "interval=4, wait=0"


async def test_who_leaves_frees_its_slot() -> None:
    """A viewer that hangs up is not held for the rest of its time."""
    node = Node()
    async with serving(node.app) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {EVENTS}?after={ID}:0&wait=20 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        while node.app.feed.holding.count == 0:
            await asyncio.sleep(0.01)
        writer.close()
        async with asyncio.timeout(2):
            while node.app.feed.holding.count:
                await asyncio.sleep(0.01)
    assert node.app.feed.answers["left"] == 1


async def test_a_node_that_stops_answers_first() -> None:
    """At shutdown held polls are sent to another node at once, and later ones are not held."""
    node = Node()
    held = asyncio.create_task(ask(node, f"?after={ID}:0&wait=20"))
    await asyncio.sleep(0.05)

    node.app.close()
    async with asyncio.timeout(1):
        answer = await held
        assert (503, "1") == (answer.status_code, answer.headers["retry-after"])
        assert (await ask(node, f"?after={ID}:0&wait=20")).status_code == 503
        assert (await ask(node, f"?after={ID}:0")).status_code == 204


async def test_a_late_loss_is_a_gap_that_does_not_say_of_what() -> None:
    """What turns up of a former life of a node lies before what every reader has seen of it."""
    node = Node()
    node.happen("service.failed")
    node.bus.lose(Loss("node1", sequence_of(1, 5), sequence_of(1, 7), late=True))

    document = problem(await ask(node, f"?after={ID}:1"), 410, "gap")
    assert (document["reason"], document["lost"], document["cursor"]) == ("replica", {}, f"{ID}:2")
    assert (await ask(node, f"?after={ID}:2")).status_code in (200, 204)
