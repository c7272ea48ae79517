"""Live frames in other people's pages: the example, https, and Chromium's local network access."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright

from tests.web.browser.cluster import ROOT, Cluster, Site
from tests.web.browser.conftest import start, watched
from tests.web.browser.proxy import Proxy, certificate
from tests.web.browser.test_contact import embedding
from tests.web.browser.test_page import listening, live

pytestmark = pytest.mark.browser

EXAMPLES = ROOT / "examples"


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Path, str]:
    """A certificate with its key, and the flag with which Chromium trusts this key and no other."""
    file, key = certificate(tmp_path)
    return file, f"--ignore-certificate-errors-spki-list={key}"


@pytest.fixture
def secure_site(site: Site, tls: tuple[Path, str]) -> Iterator[Proxy]:
    """The site over https."""
    proxy = Proxy(site.origin, tls=tls[0])
    yield proxy
    proxy.close()


def test_example(cluster: Cluster, site: Site, page: Page) -> None:
    """The page of another program in examples/: frames with icons, live, its script gets each event once."""
    one, two = cluster.add("node1 node2", real_pages=True, cors_origins=[site.origin])
    for name in ("embed.html", "embed.css", "embed.js"):
        text = (EXAMPLES / name).read_text()
        for port, node in ((8340, one), (8341, two)):
            text = text.replace(f"http://127.0.0.1:{port}", node.url)
        site.files[f"/{name}"] = text
    page.goto(f"{site.origin}/embed.html")
    page.wait_for_selector("#contact:text('Live.')")
    page.wait_for_selector("#cluster .verdict")
    page.wait_for_selector("#i-ok", state="attached")
    listening(one)
    cluster.event("backup.finished", "orders-db")
    page.wait_for_selector("#backups li:text('orders-db: finished')")
    cluster.event("service.failed", "nginx.service", status="failed")
    page.wait_for_selector("#services :text('nginx.service')")
    assert (page.get_attribute("#services a[href*=nginx]", "href") or one.url).startswith(one.url)
    one.kill()
    listening(two)
    cluster.event("backup.failed", "<b>mail</b>", at="node2", status="failed")
    page.wait_for_selector("#backups li:text('<b>mail</b>: failed')")
    assert 2 == page.locator("#backups li").count()
    assert page.evaluate("() => document.documentElement.dataset.tocsin") == "live"


def test_https(
    cluster: Cluster, site: Site, secure_site: Proxy, tls: tuple[Path, str], driver: Playwright
) -> None:
    """Over https a node's own page and an embedding page are live; http in an https page is not loaded."""
    (node,) = cluster.add("node1", cors_origins=[secure_site.url], hosts=["node.test"])
    secure_node = Proxy(node.url, tls=tls[0])
    browser = start(driver, tls[1], "--host-resolver-rules=MAP node.test 127.0.0.1")
    with watched(browser) as context:
        page = context.new_page()
        page.goto(f"{secure_node.url}/services")
        live(page)
        assert page.evaluate("() => isSecureContext && location.protocol") == "https:"
        cluster.event("service.failed", "nginx", status="failed")
        page.wait_for_selector("#r-node1-nginx b:text('failed')")
        page.close()

        site.html = embedding(secure_node.url)
        page = context.new_page()
        page.goto(secure_site.url)
        page.wait_for_selector("html[data-tocsin=live]")
        cluster.event("service.started", "nginx")
        page.wait_for_selector("#r-node1-nginx b:text('ok')")
        page.close()

        site.html = embedding(f"http://node.test:{node.port}")
        page = context.new_page()
        with page.expect_console_message(lambda message: "Mixed Content" in message.text):
            page.goto(secure_site.url)
        assert page.get_attribute("html", "data-tocsin") is None
    browser.close()
    secure_node.close()


def test_local_network_access(cluster: Cluster, site: Site, driver: Playwright) -> None:
    """A page from the internet reads nodes of the reader's network only when the reader has allowed it."""
    (node,) = cluster.add("node1", cors_origins=[site.origin])
    site.html = embedding(node.url)
    place = site.origin.removeprefix("http://")
    browser = start(driver, f"--ip-address-space-overrides={place}=public")
    with watched(browser) as context:
        page = context.new_page()
        page.goto(site.origin)
        page.wait_for_timeout(1000)
        assert page.get_attribute("html", "data-tocsin") is None
        assert node.log("^/api") == []
        context.grant_permissions(["local-network-access"], origin=site.origin)
        page.reload()
        page.wait_for_selector("html[data-tocsin=live]")
        cluster.event("service.failed", "nginx", status="failed")
        page.wait_for_selector("#r-node1-nginx b:text('failed')")
    browser.close()
