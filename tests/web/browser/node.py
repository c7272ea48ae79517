"""A node for the tests of the page: the real feed over a real buffer and board, small frames, no rails.

Run as ``python -m tests.web.browser.node FD NAME URLS SETTINGS``: serves the listening socket FD. Besides
what a node serves there are ``POST /test/events`` (events that "arrived", a JSON list), ``GET /test/log``
(the requests so far), ``POST /test/clock`` (so many seconds pass, for the buffer) and ``POST /test/drop``
(the buffer begins a new life). With the setting ``real_pages`` the pages are those of the product.
"""

from __future__ import annotations

import asyncio
import html
import json
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tocsin.core.board import Board
from tocsin.core.buffer import Buffer
from tocsin.core.bus import Arrival, Burst, Bus, Loss
from tocsin.core.cursor import buffer_id
from tocsin.core.event import Draft, seal
from tocsin.core.measures import Measures
from tocsin.core.recent import Recent
from tocsin.server import Server
from tocsin.web.app import create_app
from tocsin.web.node import Settings

KINDS = {"services": "service", "adapters": "adapter", "slow": "service", "form": "service"}


class TestNode:
    """The parts of an agent that the web stage sees."""

    __test__ = False

    def __init__(self, name: str, urls: dict[str, str], settings: dict[str, Any]) -> None:
        self.cluster, self.name = "test", name
        self.retain = settings.pop("retain", 300.0)
        self.real_pages = settings.pop("real_pages", False)
        self.max_events = settings.pop("max_events", 100_000)
        self._urls, self.settings = urls, Settings(**settings)
        self.bus, self.board, self.recent, self.measures = Bus(), Board(), Recent(), Measures()
        self.buffer: Buffer | None = self._new_buffer(1)
        self.bus.subscribe(self._take)
        self.log: list[dict[str, Any]] = []
        self.passed = 0.0

    def _new_buffer(self, life: int) -> Buffer:
        name = buffer_id(self.cluster, self.name, life)
        return Buffer(name, retain=self.retain, max_events=self.max_events)

    def renew(self, life: int) -> None:
        """A new life of the buffer that holds nothing of the old one."""
        self.buffer = self._new_buffer(life)

    def lapse(self, seconds: float) -> None:
        """So much time passes for the buffer."""
        self.passed += seconds
        if self.buffer is not None:
            self.buffer.prune(self.now())

    def _take(self, item: Arrival | Loss) -> None:
        assert self.buffer is not None
        if isinstance(item, Loss):
            return
        self.board.fold(item.event)
        number = self.buffer.append(item, self.now(), self.wall())
        self.recent.add(number, item.event, self.wall())
        self.buffer.prune(self.now())

    def arrive(self, told: dict[str, Any]) -> None:
        """An event of any origin arrived."""
        draft = Draft(
            type=told["type"],
            subject=told.get("subject", ""),
            node=told.get("node", ""),
            data={"status": told.get("status", "ok"), "summary": told.get("summary", "")},
        )
        event = seal(
            draft,
            cluster=self.cluster,
            origin=told["origin"],
            incarnation=1,
            seq=told["seq"],
            time=told.get("time", self.wall()),
        )
        self.bus.publish(Burst.of([Arrival(event, self.now())]))

    def now(self) -> float:
        return time.monotonic() + self.passed

    def wall(self) -> str:
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def publish(self, drafts: Sequence[Draft]) -> list[str]:
        raise NotImplementedError

    def readiness(self) -> str:
        return ""

    def degraded(self) -> tuple[str, ...]:
        return ()

    def urls(self) -> dict[str, str]:
        return self._urls

    def feeds(self) -> dict[str, str]:
        return self._urls

    def counters(self) -> Mapping[str, float | Mapping[str, float]]:
        return {}

    def forget(self, node: str) -> bool:
        return False

    # -- frames ----------------------------------------------------------------------------------

    def frame(self, name: str, at: str) -> tuple[str, str]:
        """The cursor, read first, and the frame with its attributes."""
        assert self.buffer is not None
        cursor = str(self.buffer.cursor)
        page = urlsplit(at).path.strip("/") or "overview"
        on, every, content = "", "", ""
        resources = list(self.board.resources(datetime.now(UTC)))
        if name == "banner":
            failed = [r for r in resources if r.status == "failed"]
            state = "failed" if failed else "ok"
            on, content = "service.* adapter.*", f"<p id=verdict>{len(failed)} failed</p>"
            content += '<p id=live data-keep>Rendered.</p><a id=home href="/">Home</a>'
            title = f' data-state={state} data-title="({len(failed)}) test"'
        elif name == "tree":
            on, title = "node.*", ""
            content = "".join(f'<a id=t-{to} href="/{to}">{to}</a> ' for to in [*KINDS, "events"])
            content += f"<p id=at>{html.escape(at)}</p>"
        else:
            on, title = f"{KINDS.get(page, page)}.*", f' data-title="{page}"'
            rows = [r for r in resources if r.kind == KINDS.get(page)]
            content = (
                f"<h1 id=h>{page}</h1>" + _controls(page) + f"<ul id=rows>{''.join(map(_row, rows))}</ul>"
            )
            content += "".join(f"<p id=filler-{i}>{i}</p>" for i in range(60))
        src = f"/frame/{name}" + (f"?at={_quoted(at)}" if name != "banner" else "")
        head = f'<live-frame id={name} src="{src}" on="{on}" cursor="{cursor}"{every}{title}>'
        return cursor, f"{head}{content}</live-frame>"

    def page(self, at: str) -> str:
        """A whole page; the cursor and seen of the body are read before anything is rendered."""
        assert self.buffer is not None
        cursor, seen = str(self.buffer.cursor), json.dumps(self.buffer.seen())
        frames = [self.frame(name, at)[1] for name in ("banner", "tree", "content")]
        data = {
            "cluster": self.cluster,
            "node": self.name,
            "nodes": json.dumps(self._urls),
            "cursor": cursor,
            "seen": seen,
            "interval": f"{self.settings.poll_interval:g}",
            "wait": f"{self.settings.poll_wait:g}",
            "retain": f"{self.retain:g}",
        }
        attributes = " ".join(f'data-{key}="{html.escape(value)}"' for key, value in data.items())
        return (
            "<!doctype html><html lang=en><head><meta charset=utf-8><title>test</title>"
            '<link rel=icon id=icon href="/static/icon-ok.svg">'
            '<script type=module src="/static/page.js"></script>'
            f"</head><body {attributes}>{''.join(frames)}"
            "<p id=announce role=status data-keep></p><dialog id=help>Help</dialog></body></html>"
        )


def _quoted(at: str) -> str:
    return (
        at.replace("%", "%25").replace("/", "%2F").replace("?", "%3F").replace("=", "%3D").replace("&", "%26")
    )


def _row(resource: Any) -> str:
    name = html.escape(f"{resource.node}-{resource.subject}")
    return (
        f'<li id="r-{name}" data-row><a href="/services?r={name}">{html.escape(resource.subject)}</a> '
        f"<b>{resource.status}</b> <time data-age=65.2>1 min</time>"
        f'<details id="d-{name}"><summary>more</summary>{html.escape(resource.summary)}</details></li>'
    )


def _controls(page: str) -> str:
    if page != "form":
        return "<p id=words>Some words to select in this page.</p>"
    return (
        '<form id=f method=get action="/services"><input id=q name=q type=search>'
        "<textarea id=text></textarea>"
        "<select id=s><option>a<option>b</select><input id=c type=checkbox><button id=go>Go</button></form>"
    )


def _routes(node: TestNode) -> list[Route]:
    async def page(request: Request) -> Response:
        at = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return Response(node.page(at), media_type="text/html", headers={"Cache-Control": "no-cache"})

    async def frame(request: Request) -> Response:
        at = request.query_params.get("at", "/")
        cursor, body = node.frame(request.path_params["name"], at)
        etag = f'"{hash(body.partition(">")[2]) & 0xFFFFFFFF:x}"'
        headers = {"Tocsin-Cursor": cursor, "ETag": etag, "Cache-Control": "no-store"}
        if at.startswith("/slow"):
            await asyncio.sleep(1.0)
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="text/html", headers=headers)

    async def events(request: Request) -> Response:
        for told in await request.json():
            node.arrive(told)
        return Response(status_code=204)

    async def log(request: Request) -> Response:
        return JSONResponse(node.log)

    async def clock(request: Request) -> Response:
        node.lapse(await request.json())
        return Response(status_code=204)

    async def drop(request: Request) -> Response:
        node.renew(2)
        return Response(status_code=204)

    return [
        Route("/test/events", events, methods=["POST"]),
        Route("/test/log", log),
        Route("/test/clock", clock, methods=["POST"]),
        Route("/test/drop", drop, methods=["POST"]),
        Route("/frame/{name}", frame),
        *[Route(path, page) for path in ("/", *(f"/{name}" for name in KINDS), "/events")],
    ]


def _logged(app: Any, node: TestNode) -> Any:
    """The application, with every request written down."""

    async def logged(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith(("/test/", "/static/")):
            await app(scope, receive, send)
            return
        query = scope["query_string"].decode()
        entry = {
            "method": scope["method"],
            "path": scope["path"] + (f"?{query}" if query else ""),
            "begin": time.monotonic(),
            "end": None,
            "status": 0,
        }
        node.log.append(entry)

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        try:
            await app(scope, receive, noted)
        finally:
            entry["end"] = time.monotonic()

    return logged


async def main() -> None:
    """Serves until it is killed."""
    fd, name, urls, settings = sys.argv[1:]
    node = TestNode(name, json.loads(urls), json.loads(settings))
    app = create_app(node)
    app._router.routes[:0] = _routes(node)[: 4 if node.real_pages else None]
    server = Server(_logged(app, node))
    server.start(socket.socket(fileno=int(fd)))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
