"""What the engine is told: enough receive threads for all links that may die at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def runtime(links: int, own: str = "") -> str:
    """What a fresh process tells the engine when it makes room for so many links."""
    environment = {key: text for key, text in os.environ.items() if key != "ZENOH_RUNTIME"}
    environment |= {"ZENOH_RUNTIME": own} if own else {}
    code = (
        "import os; from tocsin.forwarder.zenoh_config import make_room; "
        f"make_room({links}) if {links} else None; print(os.environ['ZENOH_RUNTIME'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("links", "threads"), [(0, 32), (4, 32), (38, 76), (100_000, 1024)])
def test_two_threads_for_each_link(links: int, threads: int) -> None:
    """At least 32, then two for each link, and not without end."""
    assert f"(rx: (worker_threads: {threads}))" == runtime(links)


def test_the_operators_own_value_stays() -> None:
    """What is in the environment already is not touched."""
    assert "(rx: (worker_threads: 40))" == runtime(38, "(rx: (worker_threads: 40))")


_THREADS = """
import asyncio, os, sys
from pathlib import Path
from tests.forwarder.processes import Network
from tests.forwarder.suite import End, meet
from tocsin.forwarder.zenoh_config import make_room

async def main():
    make_room(40)
    network = Network("node1", "node2")
    ends = [End(network.rail(node)) for node in ("node1", "node2")]
    await meet(*ends)
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    print(sum(name.startswith("rx-") for name in names))
    for end in ends:
        await end.rail.close()

asyncio.run(main())
"""


def test_the_engine_takes_them() -> None:
    """It reads the number when it opens its first session, so it may be set after the engine is loaded."""
    environment = {key: text for key, text in os.environ.items() if key != "ZENOH_RUNTIME"}
    command = [sys.executable, "-c", _THREADS]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "80" == done.stdout.strip()
