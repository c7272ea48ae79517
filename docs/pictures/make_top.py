"""Makes the pictures of ``tocsin top``, from a real demo: ``python docs/pictures/make_top.py``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tocsin.monitor.tui.app import Top

HERE = Path(__file__).parent
TOCSIN = [sys.executable, "-m", "tocsin.cli"]
NODES = 3
#: What happened on the pictured cluster, besides a node that is killed.
STORY = (
    ("backup.started", "nightly", "info", "ok", "nightly backup started: 412 GiB to copy"),
    ("job.failed", "reindex", "error", "failed", "reindex failed: exit code 3 after 12 min"),
    ("queue.long", "mail", "warning", "warning", "mail queue holds 1,204 messages"),
    ("certificate.checked", "www.example.org", "info", "ok", "certificate is good for 61 days"),
    ("backup.done", "nightly", "info", "ok", "nightly backup done in 38 min"),
)


def free_ports() -> int:
    """The first of some free ports one behind the other."""
    for first in range(18_400, 28_000, NODES):
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            for port in range(first, first + NODES):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise SystemExit("no free ports")


@contextlib.contextmanager
def demo() -> Iterator[tuple[list[str], list[int]]]:
    """A running demo: the URLs and the processes of its nodes."""
    first = free_ports()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*TOCSIN, "demo", "--nodes", str(NODES), "--port", str(first)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": folder},
        )
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(NODES + 1)]
            pids = [int(found) for found in re.findall(r"process (\d+)", "".join(lines))]
            yield [f"http://127.0.0.1:{first + number}" for number in range(NODES)], pids
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)


def tell(urls: list[str]) -> None:
    """The story, told by all nodes."""
    for number, (type, subject, severity, status, summary) in enumerate(STORY):
        words = ["--subject", subject, "--severity", severity, "--status", status, "--summary", summary]
        command = [*TOCSIN, "emit", type, *words, "--url", urls[number % 2]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


async def take(urls: list[str], size: tuple[int, int], keys: tuple[str, ...]) -> str:
    """A picture of the terminal of this size, as SVG."""
    app = Top(urls)
    async with app.run_test(size=size) as pilot:
        async with asyncio.timeout(30):
            while not (app.live.state == "live" and app.live.cluster and len(app.live.events) > len(STORY)):
                await pilot.pause(0.1)
        await pilot.press(*keys)
        await pilot.pause(0.5)
        svg = app.export_screenshot(title="tocsin top", simplify=True)
    # Pictures load nothing from elsewhere: the reader's own fixed font will do.
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code", "DejaVu Sans Mono") + "\n"


def main() -> None:
    """Starts the demo, tells the story, kills a node, takes the pictures."""
    os.environ.pop("NO_COLOR", None)
    with demo() as (urls, pids):
        tell(urls)
        os.kill(pids[2], signal.SIGKILL)
        asyncio.run(asyncio.sleep(8))
        for name, size, keys in (
            ("top-80x24.svg", (80, 24), ()),
            ("top-200x60.svg", (200, 60), ("down", "right")),
        ):
            (HERE / name).write_text(asyncio.run(take(urls[:2], size, keys)), "utf-8")


if __name__ == "__main__":
    main()
