"""Runs all benchmarks: ``python -m benchmarks [NAME…]`` (``make bench``)."""

from __future__ import annotations

import sys

from benchmarks import cluster, feed

BENCHMARKS = {"cluster": cluster.main, "feed": feed.main}


def main() -> int:
    """Runs those named, or all; returns the exit code."""
    names = sys.argv[1:] or list(BENCHMARKS)
    sys.argv[1:] = []  # alone, each has flags of its own
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names:
        print(f"== {name}", flush=True)
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
