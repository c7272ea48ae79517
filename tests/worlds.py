"""Runs many simulated clusters on all processors, or repeats one.

``python -m tests.worlds KIND SEED`` repeats one schedule. ``python -m tests.worlds --worlds 100000``
runs so many, ``--first`` where they begin, and prints each that fails with how to repeat it.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from os import cpu_count

from tests.schedules import SCHEDULES

__all__ = ["run_many"]

#: Worlds that a process runs in one go.
_BATCH = 25


def run_many(worlds: int, first: int = 0, *, log: bool = False) -> dict[str, str]:
    """Runs so many schedules, of every kind as many; what failed: how to repeat it → what was wrong."""
    seeds = range(first, first + -(-worlds // len(SCHEDULES)))
    tasks = [(kind, at, min(at + _BATCH, seeds.stop)) for at in seeds[::_BATCH] for kind in SCHEDULES]
    failed: dict[str, str] = {}
    began, done = time.monotonic(), 0
    with get_context("spawn").Pool(cpu_count()) as pool:
        for number, (count, found) in enumerate(pool.imap_unordered(_batch, tasks), start=1):
            failed |= found
            done += count
            for how, what in found.items():
                print(f"{how}    # {what}", flush=True)
            if log and (number % 40 == 0 or number == len(tasks)):
                took = time.monotonic() - began
                print(f"{done:,} worlds in {took:,.0f} s, {len(failed)} failed", flush=True)
    return failed


def _batch(task: tuple[str, int, int]) -> tuple[int, dict[str, str]]:
    kind, first, stop = task
    gc.disable()  # most of the time goes to objects that live as long as their world
    failed = dict(_failures(kind, first, stop))
    gc.enable()
    gc.collect()
    return stop - first, failed


def _failures(kind: str, first: int, stop: int) -> Iterator[tuple[str, str]]:
    for seed in range(first, stop):
        try:
            SCHEDULES[kind](seed)
        except Exception as error:
            what = f"{type(error).__name__}: {error}".partition("\n")[0]
            yield f"python -m tests.worlds {kind} {seed}", what


def main() -> int:
    """Says what failed; 1 if anything did."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", nargs="?", choices=SCHEDULES)
    parser.add_argument("seed", nargs="?", type=int)
    parser.add_argument("--worlds", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    if asked.kind is not None and asked.seed is not None:
        SCHEDULES[asked.kind](asked.seed)
        print("all is well")
        return 0
    return int(bool(run_many(asked.worlds, asked.first, log=True)))


if __name__ == "__main__":
    sys.exit(main())
