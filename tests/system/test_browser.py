"""A real Chromium on the pages of real agents: it refreshes what is concerned, and nothing else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, sync_playwright

from tests.system.cluster import Cluster, until

pytestmark = [pytest.mark.system, pytest.mark.browser]

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"),
    *("--disable-background-networking", "--disable-sync"),
]
LIVE = "() => document.body.dataset.monitor === 'live'"


@pytest.fixture
def page(cluster: Cluster) -> Iterator[Page]:
    """A page in a Chromium that lives in the test's own network namespace."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(cluster.script("/usr/bin/chromium")), args=FLAGS
        )
        yield browser.new_page(viewport={"width": 1200, "height": 500})
        browser.close()


class Requests:
    """Counts what a page asks for, by path; polls of the feed apart."""

    def __init__(self, page: Page) -> None:
        self.frames: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.hosts: Counter[str] = Counter()
        page.on("request", lambda request: self._count(request.url))

    def _count(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.path.startswith("/frame/"):
            self.frames[parts.path.removeprefix("/frame/")] += 1
            self.hosts[parts.hostname or ""] += 1
        elif not parts.path.startswith("/api/v1/events"):
            self.others[parts.path] += 1

    def clear(self) -> None:
        """Begins anew."""
        self.frames.clear()
        self.others.clear()
        self.hosts.clear()


def open_page(page: Page, url: str) -> Requests:
    """Opens a page and waits until it is live and quiet."""
    requests = Requests(page)
    page.goto(url)
    page.wait_for_function(LIVE)
    page.wait_for_timeout(1500)
    requests.clear()
    return requests


def test_only_what_is_concerned_is_refreshed(cluster: Cluster, page: Page) -> None:
    """A link of node 2 goes down: the page at node 1 shows it; what the reader does is left alone."""
    cluster.net.add_veth(2, "eth7")
    until(lambda: cluster.resource(1, 2, "adapter", "eth7"), 20, "node1 knows eth7 of node2")
    time.sleep(1)
    requests = open_page(page, f"{cluster.url(1)}/adapters")
    page.fill("input[type=search]", "typed by the reader")
    page.evaluate("() => document.querySelector('#tree details:not([open]) > summary').click()")
    opened = page.evaluate("() => [...document.querySelectorAll('details[open]')].map(d => d.id)")
    page.evaluate("() => scrollTo(0, 60)")
    scrolled = page.evaluate("() => scrollY")

    cluster.net.link_down(2, "eth7")
    row = page.locator("#content tr", has_text="eth7").filter(has_text="node2")
    row.filter(has_text="down").first.wait_for(timeout=5000)
    page.wait_for_timeout(1500)

    # The tree shows adapters, too, but the reader is typing in it: it waits.
    assert {"content": 1, "banner": 1} == dict(requests.frames)
    assert set(requests.others) <= {"/static/icon-failed.svg"}, requests.others
    assert page.input_value("input[type=search]") == "typed by the reader"
    assert page.evaluate("() => document.activeElement.type") == "search"
    assert page.evaluate("() => scrollY") == scrolled
    still = page.evaluate("() => [...document.querySelectorAll('details[open]')].map(d => d.id)")
    assert set(opened) <= set(still)

    requests.clear()
    cluster.emit(3, "nobodys.business", subject="x", data={"summary": "nobody registered this"})
    until(lambda: cluster.events(1, "nobodys.business"), 20, "it is in the buffer of node1")
    page.wait_for_timeout(2500)
    assert not requests.frames


def test_an_event_between_rendering_and_registration(cluster: Cluster, page: Page) -> None:
    """The content is on its way for long when the event happens: it is refreshed as soon as it is there."""
    cluster.net.add_veth(2, "eth7")
    until(lambda: cluster.resource(1, 2, "adapter", "eth7"), 20, "node1 knows eth7 of node2")
    open_page(page, f"{cluster.url(1)}/nodes")
    late = False

    def slowly(route: Route) -> None:
        nonlocal late
        if late or "adapters" not in route.request.url:
            route.continue_()
            return
        late = True
        answer = route.fetch()  # rendered now …
        cluster.net.link_down(2, "eth7")
        until(lambda: cluster.events(1, "adapter.down:eth7"), 20, "the event is there")
        page.wait_for_timeout(1000)  # … the monitor has been told meanwhile …
        route.fulfill(response=answer)  # … and only now it is shown

    page.route("**/frame/content*", slowly)
    page.route("**/adapters", slowly)
    page.locator("#tree a[href$='/adapters']").first.evaluate("a => a.click()")
    row = page.locator("#content tr", has_text="eth7").filter(has_text="node2")
    row.filter(has_text="down").first.wait_for(timeout=8000)
    assert late


def test_the_page_goes_on_from_another_node(cluster: Cluster, page: Page) -> None:
    """The serving node is killed: the page is live via another one, every frame refreshed once."""
    requests = open_page(page, f"{cluster.url(1)}/adapters")
    cluster.kill(1)
    elsewhere = "() => document.querySelector('base')?.href.includes('10.99.9.1:') === false"
    page.wait_for_function(elsewhere, timeout=15000)
    page.wait_for_function(LIVE, timeout=15000)
    page.wait_for_timeout(800)
    assert {"banner", "tree", "content"} == set(requests.frames)
    assert 3 == sum(many for host, many in requests.hosts.items() if host != "10.99.9.1"), requests.hosts
    page.locator("#banner", has_text="2 of 3 up").wait_for(timeout=12000)
