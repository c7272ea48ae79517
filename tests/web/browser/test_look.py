"""How the page looks, in a real Chromium: accessible, narrow, in greyscale, in print, without JavaScript."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.web.fixtures import WebNode, busy, quiet
from tests.web.test_pages import hostile
from tocsin.web.app import App, create_app

pytestmark = pytest.mark.browser

PATHS = (
    "/",
    "/nodes/node5",
    "/nodes?tab=performance",
    "/services",
    "/adapters",
    "/storage",
    "/agents",
    "/events?on=node.*+service.*",
)


class Site:
    """One node served on a free port, in a thread with a loop of its own."""

    def __init__(self, node: WebNode) -> None:
        self._ready = threading.Event()
        self._app: App | None = None
        self._server: uvicorn.Server | None = None
        self.url = ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(node)), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    async def _run(self, node: WebNode) -> None:
        self._app = create_app(node)
        config = uvicorn.Config(self._app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
        server = self._server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        self._ready.set()
        await serving

    def close(self) -> None:
        assert self._app is not None
        assert self._server is not None
        self._app.close()
        self._server.should_exit = True
        self._thread.join(10)


@pytest.fixture(scope="module")
def troubled() -> Iterator[str]:
    """The address of a cluster in which several things are wrong."""
    site = Site(busy())
    yield site.url
    site.close()


def open_page(browser: Browser, url: str, **context: object) -> Page:
    """A fresh tab on a page."""
    page = browser.new_context(**context).new_page()  # type: ignore[arg-type]
    page.goto(url)
    return page


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_axe_finds_nothing(browser: Browser, troubled: str, scheme: str, width: int) -> None:
    """No page violates a rule of axe, in the light and in the dark, wide and narrow, closed and open."""
    page = open_page(browser, troubled, color_scheme=scheme, viewport={"width": width, "height": 844})
    for path in PATHS:
        page.goto(troubled + path)
        page.evaluate(
            "() => [...document.querySelectorAll('.rows details')].slice(0, 3).map(d => d.open = true)"
        )
        results = Axe().run(page)
        assert results.violations_count == 0, f"{path} {width}: {results.generate_report()}"
    page.context.close()


def test_narrow_pages_do_not_scroll_sideways(browser: Browser, troubled: str) -> None:
    """At 390 pixels nothing is wider than the window."""
    page = open_page(browser, troubled, viewport={"width": 390, "height": 844})
    for path in (*PATHS, "/frame/banner", "/frame/content?at=%2Fadapters"):
        page.goto(troubled + path)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390, path
    page.context.close()


def test_tables_fit_into_usual_windows(browser: Browser) -> None:
    """At 1280 pixels no table is cut off, even where devices and mount points have long names."""
    node = busy()
    for point, device in (
        ("/var/lib/containers/storage/overlay", "/dev/mapper/vg--data-lv--containers--storage"),
        ("/srv/postgresql/14/main", "10.20.30.40:/export/postgresql/cluster14"),
    ):
        disk = {"state": "ok", "device": device, "fstype": "fuse.glusterfs", "access": "rw", "size": 64 << 40}
        node.say("storage.mounted", point, "ok", f"{point} is mounted", disk, node="node3")
    site = Site(node)
    page = open_page(browser, site.url, viewport={"width": 1280, "height": 800})
    for path in ("/", "/nodes", "/nodes/node3", "/services", "/adapters", "/storage", "/agents"):
        page.goto(site.url + path)
        cut = "() => [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
        assert [] == page.evaluate(f"{cut}.map(e => `${{e.id}} ${{e.scrollWidth}}`)"), path
    page.context.close()
    site.close()


def test_in_greyscale_status_is_still_a_word_and_a_shape(browser: Browser, troubled: str) -> None:
    """Without colour each status has its word beside its own shape, for the eye or for the reader."""
    page = open_page(browser, troubled)
    client = page.context.new_cdp_session(page)
    client.send("Emulation.setEmulatedVisionDeficiency", {"type": "achromatopsia"})
    shapes = {
        status: page.locator(f"#i-{status}").inner_html() for status in ("ok", "warning", "failed", "unknown")
    }
    assert len(set(shapes.values())) == 4
    marks = page.evaluate("() => [...document.querySelectorAll('.s')].map(s => s.textContent.trim())")
    assert all(marks)
    page.context.close()


def test_without_javascript_every_link_leads_to_a_page(browser: Browser, troubled: str) -> None:
    """Pages work as plain pages: what the links lead to is there, and what it shows is in the document."""
    page = open_page(browser, troubled, java_script_enabled=False)
    links = {a.get_attribute("href") or "" for a in page.locator(".nav a, .tiles a, .tabs a").all()}
    assert len(links) > 10
    for link in sorted(links):
        answer = page.goto(troubled + link)
        assert answer is not None
        assert answer.status == 200
        assert page.locator("h1").count() == 1
    page.goto(troubled + "/events")
    page.fill("#filter-on", "adapter.*")
    page.click("text=Show >> nth=0")
    assert "/events?on=adapter" in page.url
    page.context.close()


def test_print_and_forced_colours(browser: Browser, troubled: str) -> None:
    """On paper there is content and no navigation; in forced colours the verdict keeps a border."""
    page = open_page(browser, troubled, forced_colors="active")
    assert (
        page.evaluate("() => getComputedStyle(document.querySelector('.verdict')).borderTopStyle") == "solid"
    )
    page.emulate_media(media="print")
    assert page.locator(".nav").is_hidden()
    assert page.locator("h1").is_visible()
    page.context.close()


def test_hostile_texts_do_nothing(browser: Browser) -> None:
    """In a real browser, hostile text in every field opens no dialog, runs no script, breaks no policy."""
    node = hostile()
    node.reason = ""  # or the feed would not answer
    site = Site(node)
    page = browser.new_context().new_page()
    seen: list[str] = []
    page.on("dialog", lambda dialog: seen.append(dialog.message))
    page.on("console", lambda message: seen.extend([message.text] if message.type == "error" else []))
    page.on("pageerror", lambda error: seen.append(str(error)))
    for path in ("/", "/nodes/node1", "/services", "/adapters", "/storage", "/agents", "/other", "/events"):
        page.goto(site.url + path)
        page.wait_for_selector("body[data-monitor=live]")
    assert seen == []
    page.context.close()
    site.close()


def test_fine_is_quiet(browser: Browser) -> None:
    """Where all is well nothing is bold, red or amber."""
    site = Site(quiet())
    page = open_page(browser, site.url)
    assert page.locator("#verdict").inner_text() == "Fine"
    assert (
        page.locator("main .failed, main .warning").count()
        == page.locator(".legend .failed, .legend .warning").count()
    )
    page.context.close()
    site.close()
