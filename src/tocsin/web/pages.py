"""Pages and frames over HTTP. A page is three frames with their content inside, and one script.

``/frame/banner``, ``/frame/tree?at=PAGE`` and ``/frame/content?at=PAGE`` answer the monitor of a page (it
asks with ``Accept: text/html;profile=frame``) with the frame alone, everybody else with a page that
consists of that frame: for an iframe, a wall display, a bookmark. Without JavaScript all are plain pages.

The cursor is read before the board (DESIGN.md section 2) and travels in the header ``Tocsin-Cursor``, not
in a frame's body, or the entity tag would change with every event. Ages are left out of the tag too: the
browser counts them on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tocsin.core.event import SEVERITIES
from tocsin.core.verdict import WORDS
from tocsin.web.content import Address, Content, address, content
from tocsin.web.node import Node
from tocsin.web.outline import Banner, banner, tree
from tocsin.web.views import SUBSYSTEMS, Snapshot, take
from tocsin.web.wording import plain

__all__ = ["FRAMES", "Pages", "routes"]

FRAMES: Final = ("banner", "tree", "content")
_HERE: Final = Path(__file__).parent
#: In place of an entity tag: of a page that says that there is no such thing.
_NONE: Final = "none"
#: A page or frame rendered at the same cursor is handed out again for so many seconds: when an event brings
#: all viewers at once it is rendered once. Short, for measured values and lost nodes move without an event.
_REUSE: Final = 0.5
_MAX_CACHED: Final = 64
_AGES: Final = re.compile(r' data-age="[0-9.]+">[^<]*<')
_HEADERS: Final = {"cache-control": "no-cache", "vary": "Accept"}


def routes(node: Node) -> list[Route]:
    """The routes of all pages and frames of a node."""
    pages = Pages(node)
    paths = ["/", "/nodes/{name}", "/events", "/find", *(s.path for s in SUBSYSTEMS)]
    return [Route(path, pages.page) for path in paths] + [Route("/frame/{id}", pages.frame)]


class _Frame(Struct, frozen=True):
    """One rendered frame, with what the ``<live-frame>`` around it says."""

    id: str
    html: Markup


class _Kept(Struct, frozen=True):
    cursor: str
    at: float
    body: bytes
    tag: str


class Pages:
    """Renders pages and frames of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._templates = Environment(
            loader=FileSystemLoader([_HERE / "templates", _HERE / "static"]),  # static: the icons
            autoescape=True,
            finalize=_shown,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(words=WORDS, severities=SEVERITIES)

    # -- whole pages -----------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        """A whole page, or 404 with a page that says what is not there."""
        where = address(_at(request))
        return self._document(where, FRAMES, "whole")

    def _document(self, where: Address, frames: Iterable[str], layout: str) -> Response:
        cursor, seen = self._position()  # before anything is looked at
        key, now = (f"{layout} {' '.join(frames)}", where.at), self._node.now()
        kept = self._kept.get(key)
        if kept is None or not cursor or kept.cursor != cursor or not 0 <= now - kept.at < _REUSE:
            kept = self._keep(key, self._compose(where, frames, layout, cursor, seen))
        headers = {**_HEADERS, **({"tocsin-cursor": cursor} if cursor else {})}
        return _html(kept.body, headers, 404 if kept.tag == _NONE else 200)

    def _compose(self, where: Address, frames: Iterable[str], layout: str, cursor: str, seen: str) -> _Kept:
        now, snapshot = self._node.now(), take(self._node)
        top, body = banner(snapshot), content(snapshot, where)
        context = {
            "snapshot": snapshot,
            "banner": top,
            "settings": self._node.settings,
            "layout": layout,
            "at": where.at,
            "title": f"{top.title} · {body.title}",
            "nodes": json.dumps(self._node.feeds(), separators=(",", ":")),
            "cursor": cursor,
            "seen": seen,
            "retain": self._node.buffer.retain if self._node.buffer is not None and cursor else "",
            "frames": [
                _Frame(
                    name,
                    self._frame(name, snapshot, where, top, body, cursor=cursor, alone=layout != "whole"),
                )
                for name in frames
            ],
        }
        html = self._templates.get_template("page.html").render(context)
        tag = _NONE if body.title.startswith("No such") else ""
        return _Kept(cursor, now, html.encode("utf-8", "replace"), tag)

    def _position(self) -> tuple[str, str]:
        """The cursor and, as JSON, what a reader here has been told.

        Empty where there is no buffer or only one of some nodes: the page goes by another node's.
        """
        buffer = self._node.buffer
        if buffer is None or self._node.settings.origins:
            return "", ""
        return str(buffer.cursor), json.dumps(buffer.seen(), separators=(",", ":"))

    # -- frames ----------------------------------------------------------------------------

    async def frame(self, request: Request) -> Response:
        """One frame: alone for a monitor, else as a page of its own."""
        name = request.path_params["id"]
        if name not in FRAMES:
            return Response("There is no such frame.\n", 404, _HEADERS, "text/plain")
        where = address(request.query_params.get("at", "/"))
        if "profile=frame" not in request.headers.get("accept", "").replace('"', "").replace(" ", ""):
            return self._document(where, (name,), "panel")
        kept = self._rendered(name, where)
        headers = {**_HEADERS, "etag": kept.tag, **({"tocsin-cursor": kept.cursor} if kept.cursor else {})}
        if _matches(request.headers.get("if-none-match", ""), kept.tag):
            return Response(status_code=304, headers=headers)
        return _html(kept.body, headers)

    def _rendered(self, name: str, where: Address) -> _Kept:
        cursor = self._position()[0]  # before the board is looked at
        key, now = (name, "" if name == "banner" else where.at), self._node.now()
        kept = self._kept.get(key)
        if kept is not None and kept.cursor == cursor and 0 <= now - kept.at < _REUSE:
            return kept
        snapshot = take(self._node)
        html = self._frame(name, snapshot, where, None, None)
        return self._keep(key, _Kept(cursor, now, html.encode("utf-8", "replace"), _tag(html)))

    def _keep(self, key: tuple[str, str], kept: _Kept) -> _Kept:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > _MAX_CACHED:
            self._kept.popitem(last=False)
        return kept

    def _frame(
        self,
        name: str,
        snapshot: Snapshot,
        where: Address,
        top: Banner | None,
        body: Content | None,
        *,
        cursor: str = "",
        alone: bool = False,
    ) -> Markup:
        at = f"?at={quote(where.at, safe='')}" if name != "banner" else ""
        shown: dict[str, Any] = {"id": name, "src": f"/frame/{name}{at}", "cursor": cursor, "alone": alone}
        shown |= {"snapshot": snapshot, "every": 0, "state": ""}
        if name == "banner":
            top = top or banner(snapshot)
            shown |= {"banner": top, "on": top.on, "title": top.title, "state": top.state, "every": 60}
        elif name == "tree":
            places = tree(snapshot, where.path, where.at, where.query.get("q", ""))
            shown |= {"tree": places, "on": places.on, "title": "Subsystems", "every": 60}
        else:
            body = body or content(snapshot, where)
            shown |= {"content": body, "on": body.on, "title": body.title, "every": body.every}
        # What a template with autoescape renders is markup; nothing else here is declared to be.
        return Markup(self._templates.get_template("frames/_frame.html").render(shown))  # noqa: S704


def _shown(value: Any) -> Any:
    """What a template writes: text of events without what turns its direction; markup as it is."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _at(request: Request) -> str:
    """The address as the browser wrote it."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


def _tag(html: str) -> str:
    """A weak entity tag of what is shown, whatever the ages."""
    return f'W/"{hashlib.sha256(_AGES.sub("<", html).encode("utf-8", "replace")).hexdigest()[:24]}"'


def _matches(asked: str, tag: str) -> bool:
    known = {word.strip().removeprefix("W/") for word in asked.split(",")}
    return tag.removeprefix("W/") in known or "*" in known


def _html(body: bytes, headers: dict[str, str], status: int = 200) -> Response:
    return Response(body, status, headers, "text/html")
