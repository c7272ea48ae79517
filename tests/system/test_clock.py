"""The wall clock of a real agent is stepped: nothing that is promised goes by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from tests.system.cluster import Cluster, until
from tests.system.faults.machine import Clock
from tests.system.netns import TEST
from tocsin.monitor import Event, Gap, Monitor

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(180)]

RETAIN = 2.0
#: What an agent that gets little of a busy machine may be late with pruning. Seconds.
LATE = 12.0


def test_the_clock_is_stepped(make_cluster: Callable[..., Cluster]) -> None:
    """-30 min and +2 h: each event once, none too early or late out of the buffer (nchan 469)."""
    if Clock.missing():
        pytest.skip(Clock.missing())
    cluster = make_cluster(nodes=1, rails=1, settings={"buffer": {"retain": RETAIN}})
    clock = Clock(cluster.directory / "clock")
    cluster.start(1, environment=clock.environment)
    cluster.wait_ready(1)
    told: list[Event | Gap] = []
    monitor = Monitor(cluster.url(1), after="0", on="test.*")
    reader = threading.Thread(target=cluster.net.inside, args=(TEST, told.extend, monitor))
    reader.start()
    sent = []
    for ahead in (0, -1800, 7200):
        clock.set(ahead)
        until(partial(_goes_by, cluster, ahead), 20, f"the agent's clock is at {ahead:+d} s")
        began = time.monotonic()
        sent.append(cluster.emit(1, "test.event"))
        posted = time.monotonic()
        # It is posted, so it is shown; and as long as it is younger than T it must be.
        assert until(partial(_gone, cluster, sent[-1]), 2 * RETAIN + LATE, "it leaves") - began >= RETAIN
        assert time.monotonic() - posted <= 2 * RETAIN + LATE
        until(lambda: len(told) >= len(sent), 10, "the monitor is told")
    monitor.close()
    reader.join(10)
    assert sent == [each.reason if isinstance(each, Gap) else each["sequence"] for each in told]


def _goes_by(cluster: Cluster, ahead: int) -> bool:
    """Whether the agent's clock is so far ahead, as it dates events."""
    [sequence] = cluster.emit_all(1, [{"type": "clock.asked"}])
    [event] = [each for each in cluster.events(1, "clock.asked") if each["sequence"] == sequence]
    return abs(datetime.fromisoformat(event["recordedtime"]).timestamp() - time.time() - ahead) < 60


def _gone(cluster: Cluster, sequence: str) -> float:
    """When an event was not shown any more; 0 while it is."""
    shown: list[dict[str, Any]] = cluster.events(1, "test.event")
    return 0.0 if sequence in {event["sequence"] for event in shown} else time.monotonic()
