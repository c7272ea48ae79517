"""A page behind proxies that buffer, cut, or answer themselves: live when it can be, else stale."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.web.browser.cluster import Cluster, until
from tests.web.browser.proxy import Proxy
from tests.web.browser.test_page import live
from tocsin.web.node import Settings

pytestmark = pytest.mark.browser

LOGIN = (200, "text/html", b"<h1>Log in</h1><p>to use this network</p>")
#: Writes down what the page has said about itself.
WATCH = """() => {
  window.said = [];
  new MutationObserver(() => said.push(document.body.dataset.monitor))
    .observe(document.body, { attributeFilter: ['data-monitor'] });
}"""


@pytest.fixture
def proxies() -> Iterator[list[Proxy]]:
    """Proxies to be added; they end with the test."""
    proxies: list[Proxy] = []
    yield proxies
    for proxy in proxies:
        proxy.close()


def test_a_proxy_that_buffers(cluster: Cluster, proxies: list[Proxy], page: Page) -> None:
    """Each answer whole and half a second late: live, fresh, never stale; held polls work (vaadin 25751)."""
    (node,) = cluster.add("node1", poll_wait=1.5, poll_interval=0.5)
    proxies.append(proxy := Proxy(node.url))
    proxy.delay = 0.5
    page.goto(f"{proxy.url}/services")
    live(page)
    page.evaluate(WATCH)
    until(node.held, what="a poll is held through the proxy")
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_selector("#r-node1-nginx b:text('failed')")
    page.wait_for_timeout(1000)
    assert "stale" not in page.evaluate("() => window.said")
    assert "live" == page.get_attribute("body", "data-monitor")


@pytest.mark.faults
def test_a_proxy_that_cuts_idle_requests_late(cluster: Cluster, proxies: list[Proxy], page: Page) -> None:
    """A proxy that cuts after 30 s never cuts a poll: it is held for less (Syncthing 8354)."""
    (node,) = cluster.add("node1", poll_wait=1.0, poll_interval=0.5)
    assert Settings().poll_wait <= 25
    proxies.append(proxy := Proxy(node.url))
    proxy.cut = 4
    page.goto(f"{proxy.url}/services")
    live(page)
    page.evaluate(WATCH)
    page.wait_for_timeout(2500)
    assert 0 == proxy.cuts
    assert {"live"} == set(page.evaluate("() => window.said"))


def test_a_proxy_that_cuts_idle_requests_early(cluster: Cluster, proxies: list[Proxy], page: Page) -> None:
    """A proxy more impatient than the poll: no loop, nothing lost, not stale (Syncthing 8354)."""
    (node,) = cluster.add("node1", poll_wait=20, poll_interval=0.5)
    proxies.append(proxy := Proxy(node.url))
    page.goto(f"{proxy.url}/services")
    live(page)
    page.evaluate(WATCH)
    until(node.held)
    proxy.cut, mark = 1.0, node.mark()
    cluster.event("nobodys.business", "x")  # ends the poll that is held, and will not be cut any more
    until(lambda: proxy.cuts >= 2, 20, "polls were cut")
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_selector("#r-node1-nginx b:text('failed')")
    assert "stale" not in page.evaluate("() => window.said")
    assert len(node.log("/api/v1/events", mark)) <= 4 * (proxy.cuts + 2)


def test_a_captive_proxy(cluster: Cluster, proxies: list[Proxy], page: Page) -> None:
    """A proxy that answers everything with 200 and a page, or with 204: stale, never green (Kuma 1360)."""
    (node,) = cluster.add("node1", poll_wait=1.0, poll_interval=0.5)
    proxies.append(proxy := Proxy(node.url))
    page.goto(f"{proxy.url}/services")
    live(page)
    for answer in (LOGIN, (204, "text/plain", b"")):
        proxy.captive = answer
        page.wait_for_selector("body[data-monitor=stale] #live:text('Stale since ')")
        assert "/static/icon-stale.svg" == page.get_attribute("#icon", "href")
        assert page.title().startswith("(stale)")
        page.evaluate(WATCH)
        cluster.event("service.failed", f"s{answer[0]}", status="failed")
        page.wait_for_timeout(700)
        assert "live" not in page.evaluate("() => window.said")
        assert "Log in" not in page.inner_text("body")
        assert not page.query_selector(f"#r-node1-s{answer[0]}")
        proxy.captive = None
        page.wait_for_selector(f"#r-node1-s{answer[0]} b:text('failed')", timeout=20_000)
        live(page)
