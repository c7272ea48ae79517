"""What went wrong in other systems' pages, each named by its thread: it must not go wrong here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from tests.web.browser.cluster import Cluster, until
from tests.web.browser.conftest import start, watched
from tests.web.browser.proxy import Proxy
from tests.web.browser.test_page import listening, live

pytestmark = pytest.mark.browser

#: Lets the wall clock of a page be stepped: ``step(seconds)``.
STEPPABLE = """
  { const now = Date.now; let ahead = 0;
    Date.now = () => now() + ahead;
    window.step = seconds => { ahead += seconds * 1000; }; }
"""
HANDLER = """() => import('/static/page.js').then(({ monitor }) => {
  window.got = [];
  monitor.on('service.*', event => window.got.push(event.subject));
  monitor.addEventListener('gap', () => window.got.push('gap'));
})"""


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[Proxy]:
    """A node with quick polls behind a proxy."""
    (node,) = cluster.add("node1", poll_wait=1.0, poll_interval=0.5)
    proxy = Proxy(node.url)
    yield proxy
    proxy.close()


def test_eight_tabs(cluster: Cluster, context: BrowserContext) -> None:
    """8 tabs at once on HTTP/1.1 with its six connections: one poller, and all are fresh (Mercure 648)."""
    (node,) = cluster.add("node1")
    pages = [context.new_page() for _ in range(8)]
    for page in pages:
        page.goto(f"{node.url}/services", wait_until="commit")
    for page in pages:
        live(page)
    listening(node, 1)
    for number in range(3):
        cluster.event("service.failed", f"s{number}", status="failed")
        for page in pages:
            page.wait_for_selector(f"#r-node1-s{number} b:text('failed')")
    mark = node.mark()
    pages[0].wait_for_timeout(2000)
    assert 1 == node.held()
    assert len(node.log("/api/v1/events", mark)) <= 2
    assert {"live"} == {page.get_attribute("body", "data-monitor") for page in pages}


def test_two_viewers(cluster: Cluster, browser: Browser, page: Page) -> None:
    """Two readers at one node are told everything, each by a poll of their own (salt 35798)."""
    (node,) = cluster.add("node1")
    with watched(browser) as other:
        pages = [page, other.new_page()]
        for one in pages:
            one.goto(f"{node.url}/services")
            live(one)
            one.evaluate(HANDLER)
        listening(node, 2)
        for number in range(5):
            cluster.event("service.failed", f"s{number}", status="failed")
        for one in pages:
            one.wait_for_selector("#r-node1-s4 b:text('failed')")
            assert [f"s{number}" for number in range(5)] == one.evaluate("() => window.got")


def test_reload_fires_nothing_again(cluster: Cluster, page: Page) -> None:
    """After a reload handlers are not told what they had been told, only what happens then (Consul 571)."""
    (node,) = cluster.add("node1")
    page.goto(f"{node.url}/services")
    page.evaluate(HANDLER)
    live(page)
    listening(node)
    cluster.event("service.failed", "before")
    page.wait_for_function("() => window.got.length === 1")
    page.reload()
    page.evaluate(HANDLER)
    live(page)
    cluster.event("service.failed", "after")
    page.wait_for_function("() => window.got.length")
    page.wait_for_timeout(500)
    assert ["after"] == page.evaluate("() => window.got")


def test_menus_stay_open(cluster: Cluster, page: Page) -> None:
    """An open menu and what is chosen in it survive a refresh of their frame (kubernetes/dashboard 1459)."""
    (node,) = cluster.add("node1")
    cluster.event("service.started", "nginx")
    page.goto(f"{node.url}/services")
    live(page)
    listening(node)
    page.click("#d-node1-nginx summary")
    page.evaluate(
        """() => {
          const menu = document.createElement('div');
          menu.id = 'menu'; menu.popover = 'auto'; menu.textContent = 'a menu';
          menu.setAttribute('data-keep', '');
          document.body.append(menu);
          menu.showPopover();
        }"""
    )
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_selector("#r-node1-nginx b:text('failed')")
    assert page.evaluate("() => document.getElementById('d-node1-nginx').open")
    assert page.evaluate("() => document.getElementById('menu').matches(':popover-open')")


def test_the_clock_is_stepped(cluster: Cluster, page: Page) -> None:
    """The browser's clock jumps -30 min and +2 h: no gap, no refresh for it, ages stay right (nchan 469)."""
    (node,) = cluster.add("node1", poll_wait=1.0, poll_interval=0.5)
    cluster.event("service.started", "nginx")
    page.add_init_script(STEPPABLE)
    page.goto(f"{node.url}/services")
    page.evaluate(HANDLER)
    live(page)
    for seconds, type, status in ((-1800, "service.failed", "failed"), (7200, "service.started", "ok")):
        mark = node.mark()
        page.evaluate("seconds => step(seconds)", seconds)
        page.wait_for_timeout(1500)
        live(page)
        assert {} == node.frames(mark)
        assert "1 min" == page.inner_text("#r-node1-nginx time")
        cluster.event(type, "nginx", status=status)
        page.wait_for_selector(f"#r-node1-nginx b:text('{status}')")
        page.wait_for_selector(f"#verdict:text('{int(status == 'failed')} failed')")  # all is refreshed
    assert ["nginx", "nginx"] == page.evaluate("() => window.got")


def test_asleep_for_two_hours(cluster: Cluster, proxy: Proxy, page: Page) -> None:
    """Awake after 2 h, connections gone: says at once that it does not know, then is current (unsee 133)."""
    (node,) = cluster.nodes
    page.add_init_script(STEPPABLE)
    page.goto(f"{proxy.url}/services")
    live(page)
    until(node.held)
    session = page.context.new_cdp_session(page)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    proxy.deaden()
    cluster.event("service.failed", "nginx", status="failed")
    node.ask("/test/clock", 7200)
    cluster.event("adapter.down", "eth1", status="failed")
    page.wait_for_timeout(1500)
    session.send("Page.setWebLifecycleState", {"state": "active"})
    page.evaluate("() => step(7200)")
    page.wait_for_selector("body:not([data-monitor=live]), #r-node1-nginx", state="attached")
    page.wait_for_selector("#r-node1-nginx b:text('failed')", timeout=40_000)
    live(page)
    assert [entry for entry in node.log("/api/v1/events") if entry["status"] == 410]


def test_back_and_forward(cluster: Cluster, driver: Playwright) -> None:
    """A page that comes back from the browser's cache is current at once, its held poll begun anew."""
    (node,) = cluster.add("node1")
    browser = start(driver, without=["--disable-back-forward-cache"])
    with watched(browser) as context:
        page = context.new_page()
        page.goto(f"{node.url}/services")
        page.evaluate("() => addEventListener('pageshow', event => { window.cached = event.persisted; })")
        live(page)
        listening(node)
        page.goto(f"{node.url.replace('127.0.0.1', 'localhost')}/adapters")
        live(page)
        listening(node)  # the page that left holds none any more
        cluster.event("service.failed", "nginx", status="failed")
        page.go_back(wait_until="commit")  # there is no load event for what was kept
        page.wait_for_selector("#r-node1-nginx b:text('failed')")
        live(page)
        assert page.evaluate("() => window.cached"), "it was kept, not loaded anew"
        listening(node)
        cluster.event("service.failed", "apache", status="failed")
        page.wait_for_selector("#r-node1-apache b:text('failed')")
    browser.close()
