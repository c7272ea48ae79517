"""What an idle agent costs: one of three on two rails, with its generators, to which nothing happens.

For more agents: ``benchmarks.idle``. ``python -m benchmarks.cluster``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from benchmarks.agents import Agents, pause
from benchmarks.table import Row, show

__all__ = ["main"]

#: Seconds until the start is over, and seconds that are measured.
SETTLE: Final = 15
SECONDS: Final = 30


def main() -> list[Row]:
    """Measures the agent that costs most."""
    with tempfile.TemporaryDirectory() as directory, Agents(Path(directory)) as agents:
        pause(SETTLE)
        cpu, memory = max(agents.cpu(SECONDS)), max(agents.memory()) * 2**20 / 1e6
    return [
        Row("idle agent, of one core", f"{cpu:.2f} %", "≤ 1 %", cpu <= 1),
        Row("idle agent, resident", f"{memory:.0f} MB", "≤ 90 MB", memory <= 90),
    ]


if __name__ == "__main__":
    show(main())
