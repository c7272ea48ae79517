"""Pages and frames over HTTP: cursors, entity tags, ids, and that event text stays text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

import tocsin.web
from tests.web.fixtures import HOSTILE, WebNode, busy, quiet
from tocsin.core.board import Resource
from tocsin.core.event import Draft
from tocsin.core.interest import Interests
from tocsin.web.app import create_app

PAGES = (
    "/",
    "/nodes",
    "/nodes?tab=problems",
    "/nodes?tab=events",
    "/nodes?tab=performance",
    "/nodes/node5",
    "/nodes/node5?tab=performance",
    "/services",
    "/services?node=node5",
    "/adapters",
    "/adapters?tab=performance",
    "/storage",
    "/storage?tab=performance",
    "/agents",
    "/other",
    "/events",
    "/find?q=eth1",
)
#: Every element that our templates use.
ELEMENTS = """
    html head meta title link script body p nav main header footer live-frame div span a h1 h2 h3 b svg defs
    symbol path circle rect text use form input select option label button details summary dialog kbd ul ol
    li section dl dt dd code table thead tbody tr th td small time
"""
KNOWN = frozenset(ELEMENTS.split())
ASK = {"accept": "text/html;profile=frame"}
WEB = Path(tocsin.web.__file__).parent


def client(node: WebNode) -> httpx.AsyncClient:
    """A browser of the node, without a network."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(node)), base_url="http://127.0.0.1:8340"
    )


def cursor(node: WebNode) -> str:
    """Where the node's buffer is now."""
    assert node.buffer is not None
    return str(node.buffer.cursor)


class Elements(HTMLParser):
    """The start tags of a document with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_three_frames_with_unique_ids(path: str) -> None:
    """A page holds banner, tree and content with what they show, no id twice, no inline style or script."""
    async with client(busy()) as http:
        answer = await http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    found = Elements(answer.text)
    frames = {a["id"]: a for tag, a in found.tags if tag == "live-frame"}
    assert list(frames) == ["banner", "tree", "content"]
    assert frames["content"]["src"] == f"/frame/content?at={quote(path, safe='')}"
    assert all(f["cursor"] == answer.headers["tocsin-cursor"] for f in frames.values())
    for frame in frames.values():
        Interests.parse(frame["on"] or "")
    ids = Counter(a["id"] for _, a in found.tags if a.get("id"))
    assert [id for id, count in ids.items() if count > 1] == []
    for tag, attributes in found.tags:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on") and name != "on"]
        assert tag != "style"
    assert [a for tag, a in found.tags if tag == "script"] == [{"type": "module", "src": "/static/page.js"}]


@pytest.mark.parametrize("name", ["banner", "tree", "content"])
async def test_a_frame_without_news_is_304(name: str) -> None:
    """The same frame later, when only ages have grown, has the same tag; both answers carry the cursor."""
    node = busy()
    async with client(node) as http:
        first = await http.get(f"/frame/{name}?at=%2Fadapters", headers=ASK)
        node.time.wall = node.time.wall.replace(second=node.time.wall.second + 30)
        again = await http.get(
            f"/frame/{name}?at=%2Fadapters", headers={**ASK, "if-none-match": first.headers["etag"]}
        )
    assert (first.status_code, again.status_code) == (200, 304)
    assert again.content == b""
    assert first.headers["tocsin-cursor"] == again.headers["tocsin-cursor"] == cursor(node)
    assert again.headers["cache-control"] == "no-cache"
    assert cursor(node) not in first.text


async def test_an_event_of_interest_changes_the_frame() -> None:
    """After an event a frame shows it, with a cursor at or behind that event's number."""
    node = busy()
    async with client(node) as http:
        before = await http.get("/frame/content?at=%2Fadapters", headers=ASK)
        node.say("adapter.down", "eth0", "warning", "eth0 is down", node="node1")
        after = await http.get("/frame/content?at=%2Fadapters", headers=ASK)
        elsewhere = await http.get("/frame/content?at=%2Fstorage", headers=ASK)
    assert before.headers["etag"] != after.headers["etag"]
    assert before.headers["tocsin-cursor"] != after.headers["tocsin-cursor"]
    assert "p__node1__adapter__eth0" in after.text
    assert "p__node1__adapter__eth0" not in elsewhere.text


async def test_an_event_of_no_interest_leaves_the_tag() -> None:
    """An event that a frame does not show moves its cursor and not its tag."""
    node = busy()
    async with client(node) as http:
        before = await http.get("/frame/content?at=%2Fadapters", headers=ASK)
        node.tell(Draft(type="backup.finished", subject="nightly"))
        after = await http.get("/frame/content?at=%2Fadapters", headers=ASK)
    assert before.headers["etag"] == after.headers["etag"]
    assert before.headers["tocsin-cursor"] != after.headers["tocsin-cursor"]


async def test_the_cursor_is_read_before_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that arrives while a frame is rendered is not covered by its cursor."""
    node = busy()
    before = cursor(node)
    resources = node.board.resources

    def late(now: datetime) -> Iterator[Resource]:
        node.tell(Draft(type="late.event"))
        return resources(now)

    monkeypatch.setattr(node.board, "resources", late)
    async with client(node) as http:
        answer = await http.get("/frame/banner", headers=ASK)
    assert answer.headers["tocsin-cursor"] == before != cursor(node)


async def test_many_viewers_are_answered_by_one_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    """At one cursor a frame is rendered once in half a second, and anew afterwards."""
    node = busy()
    taken: list[datetime] = []
    resources = node.board.resources

    def counted(now: datetime) -> Iterator[Resource]:
        taken.append(now)
        return resources(now)

    monkeypatch.setattr(node.board, "resources", counted)
    async with client(node) as http:
        for _ in range(20):
            await http.get("/frame/banner", headers=ASK)
        assert len(taken) == 1
        node.time.wall = node.time.wall.replace(microsecond=600_000)
        await http.get("/frame/banner", headers=ASK)
    assert len(taken) == 2


@pytest.mark.parametrize("name", ["banner", "tree", "content"])
async def test_a_frame_is_also_a_page_of_its_own(name: str) -> None:
    """Asked for by anybody but a monitor, a frame is a document with that one frame in it."""
    async with client(busy()) as http:
        answer = await http.get(f"/frame/{name}?at=%2Fservices", headers={"accept": "text/html,*/*;q=0.8"})
    assert answer.text.startswith("<!doctype html>")
    assert [a["id"] for tag, a in Elements(answer.text).tags if tag == "live-frame"] == [name]
    assert answer.headers["vary"] == "Accept"


async def test_what_is_not_there() -> None:
    """A page that is not there is 404 and still a page; a frame says so and stays alive."""
    async with client(quiet()) as http:
        page = await http.get("/nodes/node9")
        frame = await http.get("/frame/content?at=%2Fnodes%2Fnode9", headers=ASK)
        other = await http.get("/frame/nonsense", headers=ASK)
    assert (page.status_code, frame.status_code, other.status_code) == (404, 200, 404)
    assert "No node is called" in page.text
    assert frame.headers["tocsin-cursor"]


async def test_a_node_without_a_buffer_has_pages() -> None:
    """Without a buffer there is no cursor: the page is there, and its monitor asks another node."""
    node = WebNode(buffered=False)
    node.say("node.joined", "node1", "ok", "node1 is up", {"state": "up"})
    async with client(node) as http:
        answer = await http.get("/")
    assert answer.status_code == 200
    assert "tocsin-cursor" not in answer.headers
    assert "data-cursor" not in answer.text


# -- event text is data ------------------------------------------------------------------------------


def hostile() -> WebNode:
    """A cluster in which every field that somebody else fills is hostile."""
    node = quiet()
    for n, text in enumerate(HOSTILE):
        clean = text.replace("\u202e", "").strip()
        node.say(
            "service.failed",
            text,
            "failed",
            f"{text} failed: {text}",
            {text: text, "url": text, "state": text},
        )
        node.say("adapter.down", clean, "warning", text, {"mac": text, "addresses": [text], "admin": text})
        node.say("storage.error", text, "failed", text, {"device": text, "fstype": text})
        node.tell(
            Draft(
                type=f"x{n}.y",
                subject=text,
                data={"status": "failed", "summary": text, "attributes": {"a": text}},
            )
        )
        name = f"evil{n}{text}"
        node.say("node.down", name, "failed", text, {"state": "down"}, node=name)
        node.measures.add("node1", {text: 1.0, f"disk:{text}": 1.0}, node.time.wall.timestamp())
    node.unsure, node.reason = (HOSTILE[0],), HOSTILE[1]
    node.cluster = HOSTILE[2]
    return node


@pytest.mark.parametrize("path", [*PAGES, "/events?on=" + quote(HOSTILE[1]), "/find?q=" + quote(HOSTILE[0])])
async def test_hostile_text_stays_text(path: str) -> None:
    """Whatever stands in any field, no element, attribute or address comes of it."""
    async with client(hostile()) as http:
        answer = await http.get(path)
    found = Elements(answer.text)
    assert {tag for tag, _ in found.tags} <= KNOWN
    for tag, attributes in found.tags:
        for name, value in attributes.items():
            assert re.fullmatch(r"[a-z][a-zA-Z-]*", name)
            assert not name.startswith("on") or name == "on"
            if name in ("href", "src", "action"):
                assert re.match(r"(/(?!/)|#[a-z]|https?://[a-z0-9.:]+)", value or ""), (tag, value)
    links = [a for tag, a in found.tags if tag == "a" and (a["href"] or "").startswith("http")]
    assert all(a.get("rel") == "noopener noreferrer" for a in links)
    assert "\u202e" not in answer.text


def test_markup_is_declared_in_two_places_only() -> None:
    """Autoescape cannot be got round: Markup is made by charts and by the renderer, |safe is not used."""
    for file in WEB.rglob("*.py"):
        makes = re.findall(r"\bMarkup\(", file.read_text("utf-8"))
        assert not makes or file.name in ("charts.py", "pages.py"), file
    for file in (WEB / "templates").rglob("*.html"):
        assert not re.search(r"\|\s*safe|autoescape|style=|<style", file.read_text("utf-8")), file
