"""A page whose node dies, freezes, restarts or is not what it seems: live, elsewhere, or said to be stale."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.web.browser.cluster import Cluster, Site, until
from tests.web.browser.test_page import listening, live

pytestmark = pytest.mark.browser

#: Quick enough for a test: short polls, and held ones of a second.
QUICK = {"poll_interval": 0.5, "poll_wait": 1.0}


def hide(page: Page, *, hidden: bool) -> None:
    """Hides the tab from its scripts, or shows it again."""
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
          document.dispatchEvent(new Event('visibilitychange'));
        }""",
        hidden,
    )


def test_failover(cluster: Cluster, page: Page) -> None:
    """When its node is killed the page goes on from another, and refreshes every frame once."""
    one, two = cluster.add("node1 node2")
    cluster.event("service.started", "nginx", at="node2")  # node2's buffer numbers differently
    cluster.event("service.started", "apache")
    page.goto(f"{one.url}/services")
    live(page)
    listening(one)
    page.evaluate("() => { window.same = true; }")
    one.kill()
    live(page, "node2")
    until(lambda: two.frames() == {"banner": 1, "tree": 1, "content": 1}, what="every frame once")
    listening(two)
    cluster.event("service.failed", "nginx", origin="node2", at="node2", status="failed")
    page.wait_for_selector("#r-node2-nginx b:text('failed')")
    page.wait_for_timeout(700)
    assert two.frames() == {"banner": 2, "tree": 1, "content": 2}
    assert page.evaluate("() => window.same && document.baseURI") == f"{two.url}/"
    page.click("#t-adapters")  # a link now leads to the living node
    page.wait_for_url(f"{two.url}/adapters")


def test_handlers_over_failover(cluster: Cluster, page: Page) -> None:
    """Handlers get each event once, also if the next node is behind and gets again what they had."""
    one, two = cluster.add("node1 node2")
    page.goto(f"{one.url}/services")
    page.evaluate(
        """() => import('/static/page.js').then(({ monitor }) => {
          window.got = [];
          monitor.on('service.*', event => window.got.push(event.subject));
          monitor.addEventListener('gap', () => window.got.push('gap'));
        })"""
    )
    live(page)
    listening(one)
    cluster.event("service.a", "a")
    cluster.event("service.b", "b", at="node1")
    page.wait_for_function("() => window.got.length === 2")
    one.kill()
    live(page, "node2")
    listening(two)
    two.ask("/test/events", [{"type": "service.b", "subject": "b", "origin": "node1", "seq": 2}])
    two.ask("/test/events", [{"type": "service.c", "subject": "c", "origin": "node1", "seq": 3}])
    page.wait_for_function("() => window.got.includes('c')")
    assert page.evaluate("() => window.got") == ["a", "b", "c"]


def test_frozen_node(cluster: Cluster, page: Page) -> None:
    """A node that accepts connections and answers nothing is left for another one."""
    one, two = cluster.add("node1 node2", **QUICK)
    page.goto(f"{one.url}/services")
    live(page)
    one.freeze()
    live(page, "node2")
    assert two.frames() == {"banner": 1, "tree": 1, "content": 1}
    one.thaw()


def test_stale_and_back(cluster: Cluster, page: Page) -> None:
    """Without any node the page says since when it is stale, in text, title and icon; then it is live."""
    (node,) = cluster.add("node1", **QUICK)
    page.goto(f"{node.url}/services")
    live(page)
    node.kill()
    page.wait_for_selector("body[data-monitor=stale] #live:text('Stale since ')")
    assert page.title() == "(stale) test · services"
    assert page.get_attribute("#icon", "href") == "/static/icon-stale.svg"
    assert "Stale since" in page.inner_text("#announce")
    node.start()
    live(page)
    page.wait_for_function("() => document.title === '(0) test · services'")
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_selector("#r-node1-nginx b:text('failed')")


def test_frozen_only_node(cluster: Cluster, page: Page) -> None:
    """A frozen node while an answer is awaited: stale soon after the time that it may take."""
    (node,) = cluster.add("node1", **QUICK)
    page.goto(f"{node.url}/services")
    live(page)
    node.freeze()
    page.wait_for_selector("body[data-monitor=stale]", timeout=9000)
    node.thaw()
    live(page)


def test_captive_portal(cluster: Cluster, page: Page) -> None:
    """Answers that are none of a feed, make the page stale, never green; frames do not show them."""
    (node,) = cluster.add("node1", **QUICK)
    page.goto(f"{node.url}/services")
    live(page)
    page.route("**/api/v1/events*", lambda route: route.fulfill(status=204))
    page.wait_for_selector("body[data-monitor=stale]")
    page.unroute_all()
    page.route("**/frame/*", lambda route: route.fulfill(body="<h1>Log in</h1>", content_type="text/html"))
    live(page)
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_selector("#content[data-stale]")
    assert "Log in" not in page.inner_text("body")
    page.unroute_all()
    page.wait_for_selector("#r-node1-nginx b:text('failed')")
    assert page.get_attribute("#content", "data-stale") is None


def test_restart(cluster: Cluster, page: Page) -> None:
    """A node that comes back with another buffer is resumed; every frame is refreshed once."""
    (node,) = cluster.add("node1", **QUICK)
    page.goto(f"{node.url}/services")
    live(page)
    mark = node.mark()
    node.ask("/test/drop", [])
    until(lambda: node.log("/events/resume", mark))
    until(lambda: node.frames(mark) == {"banner": 1, "tree": 1, "content": 1})
    page.wait_for_timeout(1000)
    assert node.frames(mark) == {"banner": 1, "tree": 1, "content": 1}


def test_asleep_for_long(cluster: Cluster, page: Page) -> None:
    """A page that slept longer than the buffer retains is told a gap, and refreshes every frame."""
    (node,) = cluster.add("node1", retain=2.0, **QUICK)
    page.goto(f"{node.url}/services")
    live(page)
    page.context.set_offline(True)
    page.wait_for_selector("body[data-monitor=stale]")
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_timeout(4500)
    cluster.event("adapter.down", "eth1", status="failed")  # and the buffer has pruned the first
    page.context.set_offline(False)
    live(page)
    page.wait_for_selector("#r-node1-nginx b:text('failed')")
    assert any(entry["status"] == 410 for entry in node.log("/api/v1/events"))


def test_hidden(cluster: Cluster, page: Page) -> None:
    """A hidden page polls rarely and holds nothing; when shown it is current at once."""
    (node,) = cluster.add("node1", poll_interval=0.5)
    page.goto(f"{node.url}/services")
    live(page)
    listening(node)
    hide(page, hidden=True)
    cluster.event("service.started", "a")  # ends the poll that is held
    until(lambda: node.held() == 0)
    mark = node.mark()
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_timeout(3000)
    assert node.log("/api/v1/events", mark) == []
    hide(page, hidden=False)
    page.wait_for_selector("#r-node1-nginx b:text('failed')", timeout=2000)
    listening(node)


def test_hidden_poller(cluster: Cluster, context: BrowserContext) -> None:
    """When the tab that polls for all is hidden, another goes on."""
    (node,) = cluster.add("node1", poll_interval=0.5)
    pages = [context.new_page() for _ in range(2)]
    for page in pages:
        page.goto(f"{node.url}/services")
        live(page)
    listening(node)
    for hidden, shown in [pages, pages[::-1]]:
        hide(shown, hidden=False)
        hide(hidden, hidden=True)
        cluster.event("service.started", "a")
        listening(node)
        cluster.event("service.started", f"s{pages.index(shown)}")
        shown.wait_for_selector(f"#r-node1-s{pages.index(shown)}")


def test_every(cluster: Cluster, page: Page) -> None:
    """A frame with measured values is refreshed by time, without an event."""
    (node,) = cluster.add("node1")
    page.goto(f"{node.url}/services")
    live(page)
    page.evaluate("() => document.getElementById('content').setAttribute('every', '0.5')")
    mark = node.mark()
    page.wait_for_timeout(2200)
    assert 2 <= node.frames(mark)["content"] <= 5
    assert set(node.frames(mark)) == {"content"}


def embedding(url: str, others: str = "") -> str:
    """A page that shows a frame of the node with this URL."""
    return (
        f'<!doctype html><script type=module src="{url}/static/embed.js" data-nodes="{others}"></script>'
        '<h1>Ours</h1><live-frame id=t src="/frame/content?at=%2Fservices"></live-frame>'
    )


def test_embed(cluster: Cluster, site: Site, page: Page) -> None:
    """A frame in somebody else's page, on an origin of the allow-list: live, also when its node dies."""
    one, two = cluster.add("node1 node2", cors_origins=[site.origin])
    site.html = embedding(one.url, two.url)
    page.goto(site.origin)
    page.wait_for_selector("#t >> text=services")
    page.wait_for_selector("html[data-tocsin=live]")
    listening(one)
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_selector("#r-node1-nginx b:text('failed')")
    assert page.get_attribute("#t", "on") == "service.*"
    assert page.get_attribute("#r-node1-nginx a", "href") == f"{one.url}/services?r=node1-nginx"
    one.kill()
    listening(two)
    cluster.event("service.failed", "apache", at="node2", status="failed")
    page.wait_for_selector("#r-node1-apache b:text('failed')")
    assert not page.query_selector("live-frame live-frame")


def test_embed_elsewhere(cluster: Cluster, site: Site, page: Page) -> None:
    """A page on an origin that is not on the list reads nothing."""
    (node,) = cluster.add("node1")
    site.html = embedding(node.url)
    page.goto(site.origin)
    page.wait_for_timeout(1000)
    assert page.inner_text("#t") == ""
