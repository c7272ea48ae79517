"""The local bus calls its subscribers in order, each to its end."""

from __future__ import annotations

from tocsin.core.bus import Arrival, Burst, Bus, Loss
from tocsin.core.event import Draft, report, seal

EVENT = seal(
    Draft(type="a.b"), cluster="c", origin="node1", incarnation=1, seq=1, time="2026-01-01T00:00:00.000000Z"
)
STATUS = seal(
    report("a.b", "x", "ok", "fine"), cluster="c", origin="node1", incarnation=1, seq=2,
    time="2026-01-01T00:00:00.000000Z",
)  # fmt: skip


def test_subscribers_are_called_in_the_order_of_subscription() -> None:
    """The board subscribes first, so it shows an event before the buffer numbers it."""
    bus, calls = Bus(), []
    for name in ("board", "buffer", "feed"):
        bus.subscribe(lambda item, name=name: calls.append((name, item)))  # type: ignore[misc]
    arrival, loss = Arrival(EVENT, 12.5), Loss("node2", "1", "3")
    bus.publish(Burst.of([arrival]))
    bus.lose(loss)
    assert [(name, item) for item in (arrival, loss) for name in ("board", "buffer", "feed")] == calls


def test_nobody_listens() -> None:
    """A bus without subscribers takes an event and nothing happens."""
    Bus().publish(Burst.of([Arrival(EVENT, 0)]))


def test_of_nothing_nobody_is_told() -> None:
    """A burst of no arrivals is no burst."""
    bus, calls = Bus(), list[object]()
    bus.subscribe_bursts(calls.append)
    bus.publish(Burst.of([]))
    assert [] == calls


def test_what_is_known_of_a_burst() -> None:
    """Who makes it says whether its events follow each other; what else is known it finds itself."""
    plain, status = Arrival(EVENT, 1.0), Arrival(STATUS, 1.0)
    assert (True, True, len(EVENT.body)) == Burst.of([plain])[2:]
    assert (False, True, 2 * len(EVENT.body)) == Burst.of([plain, plain])[2:]
    assert (True, False, len(EVENT.body) + len(STATUS.body)) == Burst.of([plain, status], follow=True)[2:]


def test_a_burst_passes_as_a_whole() -> None:
    """The board has folded all of a burst before the buffer numbers the first of it."""
    bus, calls = Bus(), []
    bursts: list[object] = []
    for name in ("board", "buffer"):
        bus.subscribe(lambda item, name=name: calls.append((name, item)))  # type: ignore[misc]
    bus.subscribe_bursts(bursts.append)
    burst = Burst.of([Arrival(EVENT, 12.5), Arrival(EVENT, 13.5)])
    bus.publish(burst)
    assert [(name, item) for name in ("board", "buffer") for item in burst.arrivals] == calls
    assert [burst] == bursts
    bus.lose(Loss("node2", "1", "3"))
    assert [burst] == bursts, "who takes bursts need not want losses"
