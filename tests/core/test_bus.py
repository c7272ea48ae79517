"""The local bus calls its subscribers in order, each to its end."""

from __future__ import annotations

from tocsin.core.bus import Arrival, Burst, Bus, Loss
from tocsin.core.event import Draft, seal

EVENT = seal(
    Draft(type="a.b"), cluster="c", origin="node1", incarnation=1, seq=1, time="2026-01-01T00:00:00.000000Z"
)


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
