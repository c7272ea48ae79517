"""The examples run, against a real feed."""

from __future__ import annotations

import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.monitor.feeds import ROOT, FeedNode

EXAMPLES = ROOT / "examples"


@contextmanager
def example(name: str, *arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs an example in a folder of its own; killed at the end if it has not ended."""
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines that it prints."""
    assert process.stdout
    return [process.stdout.readline().strip() for _ in range(count)]


def until_asked(node: FeedNode, count: int) -> None:
    """Waits until the feed has been asked so often."""
    while len(node.do("asked")) < count:
        threading.Event().wait(0.05)


def report(node: FeedNode, folder: Path) -> tuple[int, str, str]:
    """One run of the report: exit code, output, errors."""
    with example("datacenter_report.py", "cursor", node.url, folder=folder) as process:
        out, err = process.communicate(timeout=50)
        return process.returncode, out, err


def test_control_system(one: FeedNode, tmp_path: Path) -> None:
    """It acts on each failed service, and after it was killed it goes on where it was."""
    with example("control_system.py", one.url, folder=tmp_path) as process:
        until_asked(one, 2)
        one.do("event", "n1", 1, "service.failed")
        one.do("event", "n1", 2, "adapter.down")
        assert lines(process, 1) == ["repair: s on n1"]
    one.do("event", "n1", 3, "service.started")
    one.do("event", "n2", 1, "service.failed")
    with example("control_system.py", one.url, folder=tmp_path) as process:
        # The first may come again: it was killed in the midst of it.
        assert lines(process, 1)[0] in {"repair: s on n1", "repair: s on n2"}


def test_datacenter_report(one: FeedNode, tmp_path: Path) -> None:
    """It reports what is new since its last run, and says by its exit code whether there is anything."""
    one.do("mark", "n2", 1, 3)
    one.do("event", "n1", 1)
    assert report(one, tmp_path) == (0, "", "")
    one.do("mark", "n2", 4, 5)
    code, out, err = report(one, tmp_path)
    assert (code, err) == (1, "")
    assert "may have been missed here (replica)" in out
    assert report(one, tmp_path) == (0, "", "")


def test_watch_async(one: FeedNode, tmp_path: Path) -> None:
    """It watches two kinds of things at once."""
    with example("watch_async.py", one.url, folder=tmp_path) as process:
        until_asked(one, 4)
        one.do("event", "n1", 1, "service.failed")
        one.do("event", "n1", 2, "adapter.down")
        assert sorted(lines(process, 2)) == ["network: adapter.down s", "services: service.failed s"]


def test_typed() -> None:
    """Whoever installs Tocsin gets its types; `make check` holds the examples against them, strictly."""
    mypy = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    assert mypy["strict"]
    assert "examples" in mypy["files"]
    assert (ROOT / "src" / "tocsin" / "py.typed").is_file()
