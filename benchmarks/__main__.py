"""Runs all benchmarks: ``python -m benchmarks [NAME…]`` (``make bench``)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import cluster, emit, feed, latency, rate, viewers
from benchmarks.table import Row, show

BENCHMARKS: dict[str, Callable[[], list[Row] | None]] = {
    "rate": rate.main,
    "latency": latency.main,
    "cluster": cluster.main,
    "emit": emit.main,
    "feed": feed.main,
    "viewers": viewers.main,
}


def main() -> int:
    """Runs those named, or all; returns the exit code."""
    names = sys.argv[1:] or list(BENCHMARKS)
    sys.argv[1:] = []  # alone, each has flags of its own
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in names:
        print(f"== {name}", flush=True)
        rows += BENCHMARKS[name]() or []
    if rows:
        show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
