"""The load of this node as measured values: shown, never events. The shortest generator: copy this one.

Handed in every ``load.interval`` seconds (default 2):

============== ==================================================================================
``cpu``        percent of all processors together that were busy since the last sample
``memory``     percent of the memory that is not available to a new process
``load1``      the load average of one minute
``network_in`` bytes a second that all adapters received, ``network_out`` that they sent. Where there
               are physical adapters only these count: a bridge or tunnel carries the same bytes again
============== ==================================================================================

How full the disks are is measured by the generator ``storage``, which knows them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psutil
from msgspec import Struct

from tocsin.core.errors import GeneratorUnavailable
from tocsin.core.ports import Desk

__all__ = ["Load", "Sample", "values"]

_CLASS_NET = Path("/sys/class/net")


class Sample(Struct, frozen=True):
    """What the counters said at ``at``, monotonic seconds; processor times in seconds, traffic in bytes."""

    at: float
    busy: float
    total: float
    received: int
    sent: int
    memory: float
    load1: float


def values(before: Sample, now: Sample) -> dict[str, float]:
    """The measured values of the time between two samples."""
    seconds = max(now.at - before.at, 1e-6)
    total = now.total - before.total
    cpu = 100 * (now.busy - before.busy) / total if total > 0 else 0.0
    return {
        "cpu": round(min(max(cpu, 0.0), 100.0), 1),
        "memory": round(now.memory, 1),
        "load1": round(now.load1, 2),
        # An adapter that was removed takes its counters with it: that is no negative traffic.
        "network_in": round(max(0, now.received - before.received) / seconds),
        "network_out": round(max(0, now.sent - before.sent) / seconds),
    }


class Load:
    """The generator. Settings: ``load.interval``, seconds between two samples (default 2)."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._interval = float(settings.get("load.interval", 2.0))

    async def run(self, desk: Desk) -> None:
        """Samples for ever; the first values come after one interval."""
        before = read()
        desk.running()
        while True:
            await asyncio.sleep(self._interval)
            now = read()
            desk.measure(values(before, now))
            before = now


def read() -> Sample:
    """Reads the counters (about 0.3 ms). Raises :exc:`GeneratorUnavailable` where there are none."""
    try:
        times, memory = psutil.cpu_times(), psutil.virtual_memory()
        traffic = psutil.net_io_counters(pernic=True, nowrap=False)
        load1 = psutil.getloadavg()[0]
    except (OSError, NotImplementedError, RuntimeError) as error:
        raise GeneratorUnavailable(f"the system's counters cannot be read: {error}") from None
    counted = [traffic[name] for name in _counted(traffic)]
    # Time of guests is part of 'user' and 'nice' already; waiting for a disk is idle time.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    return Sample(
        at=time.monotonic(),
        busy=total - idle,
        total=total,
        received=sum(nic.bytes_recv for nic in counted),
        sent=sum(nic.bytes_sent for nic in counted),
        memory=memory.percent,
        load1=load1,
    )


def _counted(names: Collection[str]) -> Collection[str]:
    physical = [name for name in names if (_CLASS_NET / name / "device").exists()]
    return physical or [name for name in names if name != "lo"]
