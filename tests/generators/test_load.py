"""The load: two samples become values, and real ones are handed in."""

from __future__ import annotations

import psutil
import pytest

from tests.generators.bench import Bench, Running, registered
from tocsin.core.errors import GeneratorUnavailable
from tocsin.generators.load import Sample, read, values

BEFORE = Sample(at=100.0, busy=50.0, total=200.0, received=1000, sent=500, memory=40.0, load1=0.5)


def test_values_are_of_the_time_between_two_samples() -> None:
    """Percent of processor time, bytes a second, and the rest as it is now."""
    now = Sample(at=102.0, busy=51.0, total=204.0, received=5000, sent=500, memory=41.23, load1=0.757)

    assert values(BEFORE, now) == {
        "cpu": 25.0,
        "memory": 41.2,
        "load1": 0.76,
        "network_in": 2000,
        "network_out": 0,
    }


def test_counters_that_went_back_are_no_negative_values() -> None:
    """An adapter that was removed, or a clock that stands still, makes no nonsense."""
    now = Sample(at=100.0, busy=49.0, total=200.0, received=10, sent=0, memory=40.0, load1=0.5)

    assert values(BEFORE, now) == {
        "cpu": 0.0,
        "memory": 40.0,
        "load1": 0.5,
        "network_in": 0,
        "network_out": 0,
    }


def test_a_real_sample_is_plausible() -> None:
    """Of this machine the counters can be read."""
    sample = read()

    assert 0 < sample.busy < sample.total
    assert 0 < sample.memory < 100


def test_a_host_without_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system's counters cannot be read the generator is unavailable, and says why."""

    def nothing() -> None:
        raise FileNotFoundError(2, "No such file", "/proc/stat")

    monkeypatch.setattr(psutil, "cpu_times", nothing)
    with pytest.raises(GeneratorUnavailable, match="/proc/stat"):
        read()


async def test_values_come_after_one_interval_and_never_as_events() -> None:
    """Running at once, values each interval, no event and nothing on the board."""
    bench = Bench()
    async with Running(bench, registered("load"), {"load.interval": 0.05}):
        assert bench.measures == []
        await bench.until(lambda: len(bench.measures) >= 3)

    assert bench.measures[0].keys() == {"cpu", "memory", "load1", "network_in", "network_out"}
    assert bench.events == []
