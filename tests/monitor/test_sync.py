"""monitor/sync.py against real feeds over HTTP: failover, restarts, gaps, impostors, handlers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from tests.monitor.feeds import FeedNode, impostor
from tocsin.core import follow
from tocsin.core.errors import InterestError
from tocsin.core.sequence import seq_of
from tocsin.monitor import Event, Gap, Monitor, NoContact, Refused


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits of a tenth, so that a test of a frozen node does not take half a minute."""
    monkeypatch.setattr(follow, "TIMEOUT", 0.5)
    monkeypatch.setattr(follow, "BACKOFF", 0.1)


def short(item: Event | Gap) -> str:
    """'n1/3', or 'gap evicted'."""
    if isinstance(item, Gap):
        return f"gap {item.reason}"
    return f"{item['origin']}/{seq_of(item['sequence'])}"


def take(monitor: Monitor, count: int) -> list[str]:
    """The next so many, in short."""
    return [short(item) for item in islice(monitor, count)]


def later(seconds: float, call: Callable[[], Any]) -> threading.Thread:
    """Does something while the test waits for a monitor."""

    def run() -> None:
        threading.Event().wait(seconds)
        call()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_events_are_whole_cloudevents(one: FeedNode) -> None:
    """An event is the CloudEvent with its number and the time when the buffer got it."""
    one.do("event", "n1", 1, "service.failed")
    with Monitor(one.url, after="0") as monitor:
        (event,) = islice(monitor, 1)
    assert isinstance(event, dict)
    assert event["specversion"] == "1.0"
    assert (event["type"], event["number"], event["recordedtime"][:2]) == ("service.failed", 1, "20")
    assert event["data"] == {"summary": "n1 1"}


def test_live(one: FeedNode) -> None:
    """A held poll brings an event within a fraction of a second."""
    with Monitor(one.url, after="0") as monitor:
        one.do("event", "n1", 1)
        assert take(monitor, 1) == ["n1/1"]
        began = time.monotonic()
        thread = later(0.3, lambda: one.do("event", "n1", 2))
        assert take(monitor, 1) == ["n1/2"]
        assert time.monotonic() - began < 1.0
        thread.join()
        assert (monitor.state, monitor.node, monitor.trouble, monitor.degraded) == (
            "live",
            one.url,
            "",
            ("n9",),
        )
    assert len(one.do("asked")) <= 3


def test_pages(one: FeedNode) -> None:
    """Many events come in pages, each once and in order; leaving the loop in the middle loses none."""
    one.events("n1", 1, 250)
    with Monitor(one.url, after="0", limit=100) as monitor:
        assert take(monitor, 130) == [f"n1/{i}" for i in range(1, 131)]
        assert take(monitor, 120) == [f"n1/{i}" for i in range(131, 251)]


def test_since(one: FeedNode) -> None:
    """Since gives the events of the last seconds, and goes on from there."""
    one.events("n1", 1, 2)
    with Monitor(one.url, since=60) as monitor:
        assert take(monitor, 2) == ["n1/1", "n1/2"]


def test_starts_at_now(one: FeedNode) -> None:
    """Without a cursor nothing of the past is handed on."""
    one.events("n1", 1, 3)
    with Monitor(one.url) as monitor:
        thread = later(0.4, lambda: one.do("event", "n1", 4))
        assert take(monitor, 1) == ["n1/4"]
        thread.join()


def test_filter(one: FeedNode) -> None:
    """Only events of interest are asked for; what the filter hides is seen all the same."""
    for seq, type in enumerate(["service.failed", "adapter.down", "adapter.up", "service.started"], start=1):
        one.do("event", "n1", seq, type)
    with Monitor(one.url, after="0", on=["service.*"]) as monitor:
        assert take(monitor, 2) == ["n1/1", "n1/4"]
        one.do("event", "n1", 5, "adapter.down")
        one.do("event", "n1", 6, "service.failed")
        assert take(monitor, 1) == ["n1/6"]
        assert seq_of((monitor.position.seen or {})["n1"]) == 6


def test_failover(one: FeedNode, two: FeedNode) -> None:
    """When a node is killed the next goes on: nothing is repeated, what it has in addition is new."""
    one.events("n1", 1, 4)
    one.events("n2", 1, 2)
    two.events("n2", 1, 2)
    two.events("n1", 1, 3)
    states: list[str] = []
    with Monitor([one.url, two.url], after="0") as monitor:
        monitor.on_state(lambda state, _: states.append(state))
        assert take(monitor, 6) == ["n1/1", "n1/2", "n1/3", "n1/4", "n2/1", "n2/2"]
        one.kill()
        two.events("n1", 4, 5)
        two.events("n2", 3, 3)
        assert take(monitor, 2) == ["n1/5", "n2/3"]
        assert monitor.node == two.url
    assert states == ["live", "trying", "live"]


def test_failover_and_back_again(one: FeedNode, two: FeedNode) -> None:
    """Each event once through kill, restart with an empty buffer, and kill of the other node."""
    for node in (one, two):
        node.events("n1", 1, 2)
    with Monitor([one.url, two.url], after="0") as monitor:
        assert take(monitor, 2) == ["n1/1", "n1/2"]
        one.kill()
        two.events("n1", 3, 4)
        assert take(monitor, 2) == ["n1/3", "n1/4"]
        one.start()
        one.events("n1", 1, 5)
        two.kill()
        assert take(monitor, 1) == ["n1/5"]
        assert monitor.node == one.url


def test_restart_of_the_only_node(one: FeedNode) -> None:
    """A node that restarts is resumed: what it learnt again from its peers is not handed on twice."""
    one.events("n1", 1, 3)
    with Monitor(one.url, after="0") as monitor:
        assert take(monitor, 3) == ["n1/1", "n1/2", "n1/3"]
        one.kill()
        one.start()
        one.events("n1", 1, 4)
        assert take(monitor, 1) == ["n1/4"]


def test_gap_after_failover(one: FeedNode, two: FeedNode) -> None:
    """If the next node no longer holds what was not seen, that is a gap, and it names what is lost."""
    one.events("n1", 1, 2)
    two.events("n1", 1, 5)
    two.do("prune")
    with Monitor([one.url, two.url], after="0") as monitor:
        assert take(monitor, 2) == ["n1/1", "n1/2"]
        one.kill()
        two.do("event", "n1", 6)
        gap, event = islice(monitor, 2)
        assert isinstance(gap, Gap)
        assert (gap.reason, gap.node) == ("evicted", two.url)
        assert tuple(map(seq_of, gap.lost["n1"])) == (3, 5)
        assert short(event) == "n1/6"


def test_marker(one: FeedNode) -> None:
    """What the node itself missed is a gap in its place among the events."""
    one.do("event", "n1", 1)
    one.do("mark", "n2", 1, 3)
    one.do("event", "n1", 2)
    with Monitor(one.url, after="0") as monitor:
        assert take(monitor, 3) == ["n1/1", "gap replica", "n1/2"]


def test_evicted_does_not_loop(one: FeedNode) -> None:
    """A reader that is too late is told a gap, and goes on without asking in a loop."""
    one.events("n1", 1, 5)
    cursor = one.do("cursor")
    one.events("n1", 6, 9)
    one.do("prune")
    with Monitor(one.url, after=cursor) as monitor:
        assert take(monitor, 1) == ["gap evicted"]
        thread = later(1.5, lambda: one.do("event", "n1", 10))
        assert take(monitor, 1) == ["n1/10"]
        thread.join()
    assert len(one.do("asked")) <= 4


def test_foreign_cursor(one: FeedNode) -> None:
    """A cursor that means nothing here, and no seen to resume by: a gap."""
    with Monitor(one.url, after="garbage") as monitor:
        assert take(monitor, 1) == ["gap foreign"]


@pytest.mark.usefixtures("quick")
def test_frozen_node(one: FeedNode, two: FeedNode) -> None:
    """A node that hangs past the time it offered has failed, and the next goes on."""
    for node in (one, two):
        node.do("event", "n1", 1)
    with Monitor([one.url, two.url], after="0", wait=0.5) as monitor:
        assert take(monitor, 1) == ["n1/1"]
        one.freeze()
        two.do("event", "n1", 2)
        began = time.monotonic()
        assert take(monitor, 1) == ["n1/2"]
        assert time.monotonic() - began < 3
        one.thaw()


def test_not_ready(one: FeedNode, two: FeedNode) -> None:
    """A node that is not ready (503, Retry-After) is left for another at once."""
    one.do("ready", "history is fetched")
    two.do("event", "n1", 1)
    began = time.monotonic()
    with Monitor([one.url, two.url], after="0") as monitor:
        assert take(monitor, 1) == ["n1/1"]
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize(
    ("status", "headers"), [(200, {"Content-Type": "text/html"}), (204, {}), (302, {"Location": "/login"})]
)
@pytest.mark.usefixtures("quick")
def test_impostors(status: int, headers: dict[str, str]) -> None:
    """What is no feed is never live, whatever it answers, and after a while that is told."""
    with impostor(status, headers, b"<h1>Log in</h1>") as url:
        states = []
        monitor = Monitor(url, patience=0.6)
        monitor.on_state(lambda state, _: states.append(state))
        with monitor, pytest.raises(NoContact, match=f"no feed has answered.*HTTP {status}"):
            take(monitor, 1)
        assert states == ["trying", "stale"]


@pytest.mark.usefixtures("quick")
def test_endless_answer() -> None:
    """An answer that is much too large is not read to its end."""
    with (
        impostor(200, {"Tocsin-Cursor": "a:1"}, b" " * (9 << 20)) as url,
        Monitor(url, patience=0.1) as monitor,
        pytest.raises(NoContact, match="too large"),
    ):
        take(monitor, 1)


def test_patience_is_no_longer_than_it_was_said_to_be(one: FeedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the pauses between two tries have become: the last one is made when patience ends."""
    monkeypatch.setattr(follow, "BACKOFF", 600.0)
    monkeypatch.setattr(follow, "LONGEST_BACKOFF", 600.0)
    one.kill()
    start = time.monotonic()
    with Monitor(one.url, patience=0.3) as monitor, pytest.raises(NoContact):
        take(monitor, 1)
    assert 0.3 <= time.monotonic() - start < 30


@pytest.mark.usefixtures("quick")
def test_nobody_there(one: FeedNode) -> None:
    """Where nothing listens, or the address is none, the reason is told in words."""
    one.kill()
    with Monitor([one.url, "ftp://x"], patience=0.3) as monitor:
        with pytest.raises(NoContact, match=r"refused|begins with http"):
            take(monitor, 1)
        assert monitor.trouble


def test_refused(one: FeedNode) -> None:
    """What every node refuses is an error with the feed's own words."""
    with Monitor(one.url, limit=10**6) as monitor, pytest.raises(Refused, match="limit") as refused:
        take(monitor, 1)
    assert refused.value.status == 400


def test_bad_interest() -> None:
    """An interest that cannot be read is told before anything is asked."""
    with pytest.raises(InterestError):
        Monitor("http://127.0.0.1:1", on="@node")


def test_server_closes_kept_connections(one: FeedNode) -> None:
    """A connection that the server closed between two polls is no failure."""
    one.do("event", "n1", 1)
    states = []
    with Monitor(one.url, after="0", wait=0, interval=6.0) as monitor:
        monitor.on_state(lambda state, _: states.append(state))
        assert take(monitor, 1) == ["n1/1"]
        one.do("event", "n1", 2)
        assert take(monitor, 1) == ["n1/2"]  # 6 s later; uvicorn closes after 5
    assert states == ["live"]


def test_close_ends_a_held_poll(one: FeedNode) -> None:
    """Closing from another thread ends the iteration at once, though an answer is held."""
    monitor = Monitor(one.url, wait=20)
    thread = later(0.5, monitor.close)
    began = time.monotonic()
    assert list(monitor) == []
    assert time.monotonic() - began < 2
    thread.join()


def test_catch_up(one: FeedNode) -> None:
    """catch_up ends when there is nothing more for now."""
    one.events("n1", 1, 5)
    with Monitor(one.url, after="0", limit=2) as monitor:
        assert [short(item) for item in monitor.catch_up()] == [f"n1/{i}" for i in range(1, 6)]
        assert list(monitor.catch_up()) == []
        one.do("event", "n1", 6)
        one.do("mark", "n2", 1, 1)
        assert [short(item) for item in monitor.catch_up()] == ["n1/6", "gap replica"]


def test_read_ahead(one: FeedNode) -> None:
    """With ahead the feed is read while an event is handled, so that a slow handler misses nothing."""
    one.events("n1", 1, 3)
    with Monitor(one.url, after="0", ahead=100) as monitor:
        items = iter(monitor)
        assert short(next(items)) == "n1/1"
        one.events("n1", 4, 6)
        threading.Event().wait(0.5)  # the handler is slow
        one.do("prune")
        assert [short(next(items)) for _ in range(5)] == [f"n1/{i}" for i in range(2, 7)]


def test_read_ahead_is_bounded(one: FeedNode) -> None:
    """When the queue is full the feed is not read on; nothing is dropped."""
    one.events("n1", 1, 20)
    with Monitor(one.url, after="0", ahead=2, limit=5) as monitor:
        items = iter(monitor)
        assert short(next(items)) == "n1/1"
        threading.Event().wait(0.3)
        assert len(one.do("asked")) == 1
        assert [short(next(items)) for _ in range(19)] == [f"n1/{i}" for i in range(2, 21)]


@pytest.mark.usefixtures("quick")
def test_read_ahead_tells_errors(one: FeedNode) -> None:
    """What ends the reading thread comes out of the loop, behind what was read."""
    one.events("n1", 1, 2)
    with Monitor(one.url, after="0", ahead=10, patience=0.3) as monitor:
        items = iter(monitor)
        assert short(next(items)) == "n1/1"
        one.kill()
        assert short(next(items)) == "n1/2"
        with pytest.raises(NoContact):
            next(items)


def test_close_while_reading_ahead(one: FeedNode) -> None:
    """Closing ends both the thread that reads and the loop that waits for it."""
    monitor = Monitor(one.url, ahead=10)
    thread = later(0.5, monitor.close)
    assert list(monitor) == []
    thread.join()
    for reading in threading.enumerate():
        if reading.name == "tocsin monitor":
            reading.join(2)
            assert not reading.is_alive()


def test_handlers(one: FeedNode) -> None:
    """Handlers are called for what concerns them, in order of registration; gaps go to the gap hook."""
    calls: list[str] = []
    monitor = Monitor(one.url, after="0")
    monitor.on("service.*")(lambda event: calls.append(f"service {short(event)}"))
    monitor.on("service.failed adapter.*@n2")(lambda event: calls.append(f"both {short(event)}"))

    @monitor.on_gap
    def stop(gap: Gap) -> None:
        calls.append(gap.reason)
        monitor.close()

    one.do("event", "n1", 1, "service.failed")
    one.do("event", "n1", 2, "adapter.down")
    one.do("event", "n2", 1, "adapter.down")
    one.do("event", "n2", 2, "service.started")
    one.do("mark", "n2", 3, 4)
    with monitor:
        monitor.run()
    assert calls == ["service n1/1", "both n1/1", "both n2/1", "service n2/2", "replica"]
    assert "on=service.%2A" in one.do("asked")[0]


def test_run_needs_handlers(one: FeedNode) -> None:
    """run() without a handler is a mistake that is told."""
    with Monitor(one.url) as monitor, pytest.raises(ValueError, match="no handler"):
        monitor.run()


def test_gap_without_hook_is_logged(one: FeedNode, caplog: pytest.LogCaptureFixture) -> None:
    """A gap is never silent: without a hook it is logged."""
    one.do("event", "n1", 1)
    one.do("mark", "n1", 2, 2)
    one.do("event", "n1", 3)
    monitor = Monitor(one.url, after="0")
    monitor.on("*")(lambda event: monitor.close() if short(event) == "n1/3" else None)
    with monitor:
        monitor.run()
    assert "may have been missed (replica)" in caplog.text


def test_error_of_a_handler_comes_out(one: FeedNode) -> None:
    """What a handler raises ends run(); the event counts as not handled."""
    one.do("event", "n1", 1)
    monitor = Monitor(one.url, after="0")

    @monitor.on("*")
    def fail(event: Event) -> None:
        raise RuntimeError(short(event))

    with monitor, pytest.raises(RuntimeError, match="n1/1"):
        monitor.run()
