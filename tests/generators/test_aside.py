"""Calls made aside: answers and errors come back, and a hanging one keeps nobody."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from tocsin.generators.aside import aside


async def test_it_runs_in_another_thread_and_answers_here() -> None:
    """The result of a call in a thread of its own comes back to the loop."""
    where = await aside(threading.current_thread, "test")

    assert where is not threading.current_thread()
    assert (where.name, where.daemon) == ("test", True)


async def test_its_error_comes_back() -> None:
    """What the function raised is raised by the future."""
    with pytest.raises(ValueError, match="invalid literal"):
        await aside(lambda: int("x"), "test")


async def test_nobody_need_wait_for_it() -> None:
    """A cancelled question takes a late answer without complaint."""
    go = threading.Event()
    future = aside(go.wait, "test")
    future.cancel()
    go.set()
    await asyncio.sleep(0.05)

    assert future.cancelled()


def test_a_call_that_never_returns_does_not_keep_the_process() -> None:
    """A process whose call hangs still ends."""
    program = (
        "import asyncio, threading\n"
        "from tocsin.generators.aside import aside\n"
        "async def main():\n"
        "    future = aside(threading.Event().wait, 'hangs')\n"
        "    await asyncio.wait([future], timeout=0.05)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=20)

    assert done.returncode == 0
