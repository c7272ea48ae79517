"""How long ``tocsin emit`` takes from its start to the node's 202, beside a bare Python.

``python -m benchmarks.emit``
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.agents import Agents
from benchmarks.table import Row, scratch, show

__all__ = ["main"]

_ROUNDS = 20
#: Milliseconds.
_AIM = 150


def _took(command: Sequence[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.monotonic() - start)


def main() -> list[Row]:
    """Measures in turns; medians."""
    tocsin = str(Path(sys.executable).with_name("tocsin"))
    found: dict[str, list[float]] = {"bare": [], "emit": []}
    with scratch() as directory, Agents(Path(directory), 1, rails=0) as agents:
        for _ in range(_ROUNDS):
            found["bare"].append(_took([sys.executable, "-c", "pass"]))
            found["emit"].append(_took([tocsin, "emit", "job.done", "--url", agents.urls[0]]))
    bare, emit = median(found["bare"]), median(found["emit"])
    return [
        Row("python -c pass", f"{bare:.0f} ms"),
        Row("tocsin emit, from exec to 202", f"{emit:.0f} ms", f"< {_AIM} ms", emit < _AIM),
    ]


if __name__ == "__main__":
    show(main())
