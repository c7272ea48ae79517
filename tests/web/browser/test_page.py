"""The page and its monitor in a real Chromium, on real feeds. What was refreshed is counted at the server."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, Request, Route

from tests.web.browser.cluster import Cluster, Served, until

pytestmark = pytest.mark.browser


def live(page: Page, node: str = "node1") -> None:
    """Waits until the page says that it is live via the node."""
    page.wait_for_selector(f"body[data-monitor=live] #live:text('Live via {node} · ')")


def listening(node: Served, polls: int = 1) -> None:
    """Waits until so many polls are held."""
    until(lambda: node.held() == polls, what=f"{polls} held polls")


def test_only_concerned_frames(cluster: Cluster, page: Page) -> None:
    """An event refreshes the frames that registered it, once each; one of no interest refreshes nothing."""
    (node,) = cluster.add("node1")
    page.goto(f"{node.url}/services")
    live(page)
    listening(node)
    mark = node.mark()
    cluster.event("storage.full", "/var", status="failed")
    cluster.event("backup.finished", "b")
    until(lambda: node.log("/api/v1/events", mark), what="the monitor was told and asks on")
    page.wait_for_timeout(700)
    assert node.frames(mark) == {}
    cluster.event("adapter.down", "eth1", status="failed")
    page.wait_for_function("() => document.getElementById('verdict').textContent === '2 failed'")
    assert node.frames(mark) == {"banner": 1}
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_selector("#r-node1-nginx b:text('failed')")
    page.wait_for_function("() => document.getElementById('verdict').textContent === '3 failed'")
    page.wait_for_timeout(700)
    assert node.frames(mark) == {"banner": 2, "content": 1}
    cluster.event("node.down", "node2", node="node2", origin="node1", status="failed")
    until(lambda: node.frames(mark).get("tree") == 1)
    until(lambda: node.frames(mark) == {"banner": 3, "content": 2, "tree": 1}, what="node.* is implied")


def test_quick(cluster: Cluster, page: Page) -> None:
    """A held poll brings an event to the page at once: no reload, no wait for the next poll."""
    (node,) = cluster.add("node1")
    page.goto(f"{node.url}/services")
    live(page)
    listening(node)
    begin = time.monotonic()
    cluster.event("service.started", "nginx")
    page.wait_for_selector("#r-node1-nginx")
    assert time.monotonic() - begin < 1.5
    assert page.evaluate("() => performance.getEntriesByType('navigation').length") == 1


def test_burst(cluster: Cluster, page: Page) -> None:
    """A burst of events is a refresh or two of the frame, not one for each event."""
    (node,) = cluster.add("node1")
    page.goto(f"{node.url}/services")
    live(page)
    listening(node)
    mark = node.mark()
    for number in range(40):
        cluster.event("service.started", f"s{number}")
    page.wait_for_selector("#r-node1-s39")
    page.wait_for_timeout(1000)
    assert node.frames(mark)["content"] <= 3


def test_late_registration(cluster: Cluster, page: Page) -> None:
    """A frame whose answer was slow does not miss what happened between its render and its registration."""
    (node,) = cluster.add("node1")
    page.goto(f"{node.url}/services")
    live(page)
    listening(node)
    page.click("#t-slow")  # rendered now, answered in a second
    until(lambda: node.log(r"^/frame/content\?at=%2Fslow"))
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_function("() => document.getElementById('h').textContent === 'slow'")
    page.wait_for_selector("#r-node1-nginx b:text('failed')")


def test_event_before_first_poll(cluster: Cluster, page: Page) -> None:
    """An event between the render of the page and the first poll refreshes the frame."""
    (node,) = cluster.add("node1")

    def before_first_poll(route: Route) -> None:
        cluster.event("service.failed", "nginx", status="failed")
        route.continue_()

    page.route("**/api/v1/events*", before_first_poll, times=1)
    page.goto(f"{node.url}/services")
    page.wait_for_selector("#r-node1-nginx b:text('failed')")
    assert node.frames() == {"banner": 1, "content": 1}


def test_reader_state_stays(cluster: Cluster, page: Page) -> None:
    """Scroll, focus, selected text and open details survive a refresh."""
    (node,) = cluster.add("node1")
    cluster.event("service.started", "nginx")
    page.goto(f"{node.url}/services")
    live(page)
    listening(node)
    page.click("#d-node1-nginx summary")
    page.evaluate(
        """() => {
          const words = document.getElementById('words').firstChild;
          getSelection().setBaseAndExtent(words, 5, words, 10);
          document.querySelector('#d-node1-nginx summary').focus();
          scrollTo(0, 300);
        }"""
    )
    cluster.event("service.failed", "nginx", status="failed")
    cluster.event("service.failed", "apache", status="failed")
    page.wait_for_selector("#r-node1-apache", state="attached")
    assert page.evaluate("() => document.getElementById('d-node1-nginx').open")
    assert page.evaluate("() => document.activeElement.closest('details')?.id") == "d-node1-nginx"
    assert page.evaluate("() => String(getSelection())") == "words"
    assert page.evaluate("() => scrollY") >= 300


def test_edited_frame_waits(cluster: Cluster, page: Page) -> None:
    """A frame in which the reader types waits, says so, keeps what was typed, and refreshes when asked to."""
    (node,) = cluster.add("node1")
    page.goto(f"{node.url}/form")
    live(page)
    listening(node)
    page.fill("#text", "half a sen")
    page.focus("#text")
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_selector("#content[data-waiting] .frame-note >> text=New information is waiting.")
    assert not page.query_selector("#r-node1-nginx")
    page.wait_for_function(
        "() => document.getElementById('verdict').textContent === '1 failed'"
    )  # the others go on
    page.keyboard.type("tence")
    page.click("text=Refresh now")
    page.wait_for_selector("#r-node1-nginx")
    assert page.input_value("#text") == "half a sentence"
    assert not page.query_selector(".frame-note")
    assert page.get_attribute("#content", "data-waiting") is None


def test_edited_frame_goes_on_when_left(cluster: Cluster, page: Page) -> None:
    """A frame that waited is refreshed by itself when the reader has left the field as it was."""
    (node,) = cluster.add("node1")
    page.goto(f"{node.url}/form")
    live(page)
    listening(node)
    page.focus("#text")
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_selector("#content[data-waiting]")
    page.evaluate("() => document.activeElement.blur()")
    page.wait_for_selector("#r-node1-nginx")


def test_unchanged_frame_is_not_sent(cluster: Cluster, page: Page) -> None:
    """A refresh that changes nothing is a 304; the frame counts as fresh as its cursor says."""
    (node,) = cluster.add("node1")
    page.goto(f"{node.url}/services")
    live(page)
    listening(node)
    for number in (1, 2):
        cluster.event("service.checked", "x", status=None)
        until(lambda: len(node.log("^/frame/content")) == number)  # noqa: B023 - called at once
        page.wait_for_timeout(600)
    until(lambda: [entry["status"] for entry in node.log("^/frame/content")] == [200, 304])
    page.wait_for_function("() => document.getElementById('content').getAttribute('cursor').endsWith(':2')")


def test_navigation(cluster: Cluster, page: Page) -> None:
    """A link loads the content alone; back and forward work; its URL is a page; modified clicks are left."""
    (node,) = cluster.add("node1")
    cluster.event("adapter.down", "eth1", status="failed")
    page.goto(f"{node.url}/services")
    live(page)
    page.evaluate("() => { window.same = true; }")
    page.click("#t-adapters")
    page.wait_for_selector("#r-node1-eth1")
    assert page.url == f"{node.url}/adapters"
    page.wait_for_function("() => document.title === '(1) test · adapters'")
    assert page.inner_text("#at") == "/adapters"
    mark = node.mark()
    cluster.event("service.failed", "nginx", status="failed")
    page.wait_for_function("() => document.getElementById('verdict').textContent === '2 failed'")
    assert node.frames(mark) == {"banner": 1}, "the interests are those of the new content"
    page.go_back()
    page.wait_for_selector("#r-node1-nginx")
    assert page.inner_text("#h") == "services"
    page.go_forward()
    page.wait_for_selector("#r-node1-eth1")
    assert page.evaluate("() => window.same"), "the page was never reloaded"
    with page.context.expect_page() as other:
        page.click("#t-services", modifiers=["Control"])
    assert other.value.url == f"{node.url}/services"
    assert page.url == f"{node.url}/adapters"
    page.reload()
    assert page.inner_text("#h") == "adapters"


def test_form_navigates(cluster: Cluster, page: Page) -> None:
    """A search form shows its page in the content frame, under its own URL."""
    (node,) = cluster.add("node1")
    page.goto(f"{node.url}/form")
    live(page)
    page.evaluate("() => { window.same = true; }")
    page.fill("#q", "a b&c")
    page.press("#q", "Enter")
    page.wait_for_function("() => document.getElementById('h').textContent === 'services'")
    assert page.url == f"{node.url}/services?q=a+b%26c"
    assert page.evaluate("() => window.same")


def test_keyboard(cluster: Cluster, page: Page) -> None:
    """`/` finds, `j` and `k` step through rows, `o` opens, `?` helps; typing in a field does none of it."""
    (node,) = cluster.add("node1")
    cluster.event("service.started", "a")
    cluster.event("service.started", "b")
    page.goto(f"{node.url}/form")
    live(page)
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.id") == "q"
    page.keyboard.type("j?")
    assert page.input_value("#q") == "j?"
    page.goto(f"{node.url}/services")
    live(page)
    focused = "() => document.activeElement.closest('[data-row]')?.id"
    page.keyboard.press("j")
    assert page.evaluate(focused) == "r-node1-a"
    page.keyboard.press("j")
    assert page.evaluate(focused) == "r-node1-b"
    page.keyboard.press("k")
    assert page.evaluate(focused) == "r-node1-a"
    page.keyboard.press("?")
    assert page.evaluate("() => document.getElementById('help').open")
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    page.wait_for_url("**/services?r=node1-a")


def test_ages(cluster: Cluster, page: Page) -> None:
    """Ages go on in the browser from the server's age, without a request."""
    (node,) = cluster.add("node1")
    cluster.event("service.started", "a")
    page.clock.install()
    page.goto(f"{node.url}/services")
    page.clock.run_for(120_000)
    assert page.inner_text("#r-node1-a time") == "3 min"


def test_without_javascript(cluster: Cluster, browser_page_without_javascript: Page) -> None:
    """Without JavaScript the page shows everything, and its links are plain pages."""
    page = browser_page_without_javascript
    (node,) = cluster.add("node1")
    cluster.event("adapter.down", "eth1", status="failed")
    page.goto(f"{node.url}/services")
    page.click("#t-adapters")
    assert page.url == f"{node.url}/adapters"
    assert page.inner_text("#r-node1-eth1 b") == "failed"


def test_tabs_share_one_poll(cluster: Cluster, context: BrowserContext) -> None:
    """Four tabs hold one poll between them, and all are fresh; when the poller is closed another goes on."""
    (node,) = cluster.add("node1")
    pages = []
    for _ in range(4):
        pages.append(context.new_page())
        pages[-1].goto(f"{node.url}/services")
        live(pages[-1])
    listening(node, 1)
    mark = node.mark()
    cluster.event("service.started", "first")
    for page in pages:
        page.wait_for_selector("#r-node1-first")
    pages[0].wait_for_timeout(3000)
    assert node.held() == 1
    assert len(node.log("/api/v1/events", mark)) <= 4
    for page in pages[:3]:
        page.close()
    until(lambda: node.held() == 1, 6)
    cluster.event("service.started", "second")
    pages[3].wait_for_selector("#r-node1-second")


def test_tabs_share_short_polls(cluster: Cluster, context: BrowserContext) -> None:
    """Where the feed offers only short polls, four tabs ask hardly more often than one."""
    (node,) = cluster.add("node1", poll_wait=0, poll_interval=0.5)
    page, *others = pages = [context.new_page() for _ in range(4)]
    for one in pages:
        one.goto(f"{node.url}/services")
        live(one)
    page.wait_for_timeout(1000)
    mark = node.mark()
    page.wait_for_timeout(4000)
    assert 4 <= len(node.log("/api/v1/events", mark)) <= 14
    cluster.event("service.started", "a")
    for one in [page, *others]:
        one.wait_for_selector("#r-node1-a")


#: Text of events that would run or load something, or break out, if it were taken for markup.
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover=alert(1) x='",
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "javascript:alert(1)",
    "<base href=http://evil.example/>",
    "<form action=http://evil.example><input name=a></form>",
    "</live-frame><template><b>",
    "{{7*7}}${7*7}",
    "\u202etxt.exe",
)


def test_events_are_no_markup(cluster: Cluster, page: Page) -> None:
    """Hostile text in any field of an event is shown as text on every page, rendered or refreshed."""
    (node,) = cluster.add("node1", real_pages=True)
    alarms: list[str] = []

    def dialog(said: Dialog) -> None:
        alarms.append(said.message)
        said.dismiss()

    def request(sent: Request) -> None:
        alarms.extend([sent.url] if "evil" in sent.url else [])

    page.on("dialog", dialog)
    page.on("request", request)
    page.goto(f"{node.url}/events")
    live(page)
    listening(node)
    for text in HOSTILE:
        cluster.event("service.failed", text, status="failed", summary=text)
    page.wait_for_selector(f"#content :text('{HOSTILE[0]}')")
    for path in ("/", "/services", "/events", "/nodes/node1", "/find?q=%3Cimg%20src=x%20onerror=alert(1)%3E"):
        page.goto(node.url + path)
        live(page)
        mark = node.mark()
        cluster.event("service.failed", HOSTILE[1], status="failed", summary=HOSTILE[0] + path)
        until(lambda: node.frames(mark).get("banner"))  # noqa: B023 - called at once
        page.wait_for_timeout(300)
        assert (
            page.query_selector_all("img, iframe, live-frame live-frame, [onerror], [onload], svg[onload]")
            == []
        )
    assert alarms == []
