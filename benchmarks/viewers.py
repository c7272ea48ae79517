"""Viewers of one node: what each way to be told costs its server, and how late viewers are told.

    python -m benchmarks.viewers [table] [many] [--viewers 1000] [--many 10000] [--seconds 10] [--rounds 2]

The server has one core, the load another. Events come at jittered times, the same for each method. A
method's measurements alternate with those of the others, so that other work on the machine hits all.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time
from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

import uvloop

from benchmarks.viewers_load import KINDS, Publisher, Reload, Tally, Viewer
from benchmarks.viewers_servers import Server, agent, as_load, nginx, nginx_is_there

RATES: Final = (0.2, 5.0, 40.0)
HELD, PUSHED = "held polls", "nchan SSE"
_CONNECTING: Final = 200
_SETTLE: Final = 1.0


class Cell(NamedTuple):
    """What one method cost."""

    viewers: int
    seconds: float
    #: CPU-seconds of the server; of this process, as a share of its core.
    cpu: float
    load: float
    bytes: int
    answers: int
    failures: int
    #: Seconds from publishing to being told, mean.
    staleness: float
    #: Events that some viewer was not told of in the end.
    missing: int
    #: Seconds from a request that is not held to its answer.
    p50: float
    p99: float
    #: Bytes of the server's memory a viewer.
    memory: float

    def per_hour(self, what: float) -> float:
        """For 1,000 viewers in an hour."""
        return what / self.seconds * 3600 * 1000 / self.viewers


def raise_limits() -> int:
    """As many open files as are allowed; returns how many that are."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


async def measure(server: Server, name: str, viewers: int, rate: float, seconds: float) -> Cell:
    """Viewers of one kind while ``rate`` events a second are published."""
    tally, rss = Tally(), server.rss()
    crowd = [KINDS[name](tally, server.port, server.buffer, server.base) for _ in range(viewers)]
    publisher = Publisher(server, tally)
    try:
        await _connect(crowd)
        # Two events before it counts: by then all connections are as they stay.
        await asyncio.sleep(min(crowd[0].interval, 5.0) + _SETTLE)
        await publisher.run(2.0, 1.0)
        await asyncio.sleep(_SETTLE)
        tally.reset()
        cpu, load, then = server.cpu(), time.process_time(), time.perf_counter()
        await publisher.run(rate, seconds)
        used, passed = server.cpu() - cpu, time.perf_counter() - then
        spent, moved, answers = time.process_time() - load, tally.bytes_in + tally.bytes_out, tally.answers
        memory, waits = (server.rss() - rss) / viewers, sorted(tally.waits)
        await _drain(crowd, publisher.number)
        reloads = isinstance(crowd[0], Reload)
        missing = 0 if reloads else sum(publisher.number - viewer.number for viewer in crowd)
        failures = tally.failures
    finally:
        for viewer in crowd:
            viewer.stop()
        await publisher.stop()
    # Who reloads is late by half the interval; a window shorter than that would not show it.
    stale = crowd[0].interval / 2 if reloads else tally.stale / tally.told
    p50, p99 = (waits[len(waits) // 2], waits[int(len(waits) * 0.99)]) if waits else (0.0, 0.0)
    return Cell(
        viewers, passed, used, spent / passed, moved, answers, failures, stale, missing, p50, p99, memory
    )


async def _connect(crowd: Sequence[Viewer]) -> None:
    for at in range(0, len(crowd), _CONNECTING):
        await asyncio.gather(*(viewer.start() for viewer in crowd[at : at + _CONNECTING]))


async def _drain(crowd: Sequence[Viewer], number: int) -> None:
    if isinstance(crowd[0], Reload):
        return
    for _ in range(100):
        if all(viewer.number >= number for viewer in crowd):
            return
        await asyncio.sleep(0.1)


def run(name: str, viewers: int, rate: float, seconds: float) -> Cell:
    """One measurement with a server of its own."""
    with nginx() if name == PUSHED else agent(wait_slots=max(1000, viewers)) as server:
        return uvloop.run(measure(server, name, viewers, rate, seconds))


def middle(cells: Sequence[Cell]) -> Cell:
    """Of each value the median; of what must not be, the sum."""
    values = {name: median(getattr(cell, name) for cell in cells) for name in Cell._fields}
    return Cell(**values)._replace(
        failures=sum(cell.failures for cell in cells), missing=sum(cell.missing for cell in cells)
    )


def _idle(seconds: float) -> float:
    with agent() as server:
        uvloop.run(asyncio.sleep(2))
        cpu = server.cpu()
        uvloop.run(asyncio.sleep(seconds))
        return (server.cpu() - cpu) / seconds


def _row(name: str, rate: float, cell: Cell) -> str:
    wrong = f" **{cell.failures} failed, {cell.missing} missing**" if cell.failures or cell.missing else ""
    return (
        f"| {name} | {rate:g} | {cell.per_hour(cell.cpu):.0f} | {cell.per_hour(cell.bytes) / 1e6:.0f} "
        f"| {cell.staleness * 1000:.0f} |{wrong}"
    )


def table(viewers: int, seconds: float, rounds: int, names: Sequence[str], rates: Sequence[float]) -> None:
    """Each method at each rate: CPU-seconds and bytes per 1,000 viewer-hours, and mean staleness."""
    print(f"agent without viewers: {_idle(5) * 3600:.0f} CPU-seconds an hour\n")
    print(f"{viewers} viewers, {seconds:g} s each")
    print("| method | events/s | server CPU-s | MB | told after, mean ms |\n| --- | --- | --- | --- | --- |")
    for rate in rates:
        cells: dict[str, list[Cell]] = {name: [] for name in names}
        for turn in range(rounds):
            for name in names:
                if turn == 0 or name in {HELD, PUSHED}:
                    # Few events need a longer look.
                    cells[name].append(run(name, viewers, rate, max(seconds, min(2 * seconds, 3 / rate))))
        for name in names:
            print(_row(name, rate, middle(cells[name])), flush=True)
        if HELD in cells and PUSHED in cells:
            pairs = zip(cells[HELD], cells[PUSHED], strict=True)
            ratio = median(held.cpu / held.seconds / (push.cpu / push.seconds) for held, push in pairs)
            print(f"| {HELD} / {PUSHED} | {rate:g} | {ratio:.2f} | | |", flush=True)


def many(viewers: int, seconds: float, names: Sequence[str]) -> None:
    """Ten thousand viewers by each method."""
    files = raise_limits()
    viewers = min(viewers, files - 1000)
    print(f"\n{viewers} viewers, 0.2 events/s, {seconds:g} s each")
    print("| method | CPU of a core | KiB a viewer | p50 ms | p99 ms | told after, mean ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names:
        cell = run(name, viewers, 0.2, seconds)
        waits = f"{cell.p50 * 1000:.1f} | {cell.p99 * 1000:.1f}" if cell.p50 else "held | held"
        wrong = (
            f" **{cell.failures} failed, {cell.missing} missing**" if cell.failures or cell.missing else ""
        )
        print(
            f"| {name} | {cell.cpu / cell.seconds * 100:.0f} % | {cell.memory / 1024:.1f} | {waits} "
            f"| {cell.staleness * 1000:.0f} |{wrong}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["table", "many"], default=["table", "many"])
    parser.add_argument("--viewers", type=int, default=1000)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="", help="methods, separated by semicolons")
    parser.add_argument("--rates", default=",".join(f"{rate:g}" for rate in RATES))
    given = parser.parse_args()
    names = given.only.split(";") if given.only else list(KINDS)
    if PUSHED in names and (why := nginx_is_there()):
        print(f"{why}: without {PUSHED}")
        names.remove(PUSHED)
    raise_limits()
    with as_load():
        if "table" in given.parts:
            rates = [float(rate) for rate in given.rates.split(",")]
            table(given.viewers, given.seconds, given.rounds, names, rates)
        if "many" in given.parts:
            many(given.many, given.seconds, [name for name in names if name != PUSHED])


if __name__ == "__main__":
    main()
