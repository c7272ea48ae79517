"""What a benchmark has found, as a table for people: what, how much, what was aimed at, met or missed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeVar

__all__ = ["Row", "alone", "scratch", "show"]

T = TypeVar("T")


class Row(NamedTuple):
    """One line; ``met`` is None where nothing was aimed at."""

    what: str
    measured: str
    aim: str = ""
    met: bool | None = None

    @property
    def verdict(self) -> str:
        """In one word."""
        return "" if self.met is None else "met" if self.met else "MISSED"


def show(rows: Iterable[Row]) -> None:
    """Prints the table."""
    print("\n| what | measured | aim | |\n| --- | --- | --- | --- |")
    for row in rows:
        print(f"| {row.what} | {row.measured} | {row.aim} | {row.verdict} |")
    print(flush=True)


def alone(function: Callable[..., T], *args: object) -> T:
    """Calls a function in a new process, so that nothing of one measurement lives on in the next.

    Up to three times if it fails: on a busy machine agents may not find each other in time.
    """
    for _ in range(2):
        try:
            return _alone(function, *args)
        except (RuntimeError, TimeoutError) as error:
            print(f"once more: {error!r}", flush=True)
    return _alone(function, *args)


def _alone(function: Callable[..., T], *args: object) -> T:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result(timeout=180)


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A directory for one measurement; in memory where there is such a place."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
