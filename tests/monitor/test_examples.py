"""The examples run, against a real feed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.monitor.feeds import ROOT, FeedNode

EXAMPLES = ROOT / "examples"


def start(name: str, *arguments: str, folder: Path) -> subprocess.Popen[str]:
    """Starts an example in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines that it prints; then it is killed."""
    assert process.stdout
    try:
        return [process.stdout.readline().strip() for _ in range(count)]
    finally:
        process.kill()
        process.communicate()


def until_asked(node: FeedNode, count: int) -> None:
    """Waits until the feed has been asked so often."""
    while len(node.do("asked")) < count:
        pass


def test_control_system(one: FeedNode, tmp_path: Path) -> None:
    """It acts on each failed service, and after it was killed it goes on where it was."""
    process = start("control_system.py", one.url, folder=tmp_path)
    until_asked(one, 2)
    one.do("event", "n1", 1, "service.failed")
    one.do("event", "n1", 2, "adapter.down")
    assert lines(process, 1) == ["repair: s on n1"]
    one.do("event", "n1", 3, "service.started")
    one.do("event", "n2", 1, "service.failed")
    process = start("control_system.py", one.url, folder=tmp_path)
    got = lines(process, 1)
    # The first may come again: it was killed in the midst of it.
    assert got[0] in {"repair: s on n1", "repair: s on n2"}


def test_datacenter_report(one: FeedNode, tmp_path: Path) -> None:
    """It reports what is new since its last run, and says by its exit code whether there is anything."""
    one.do("mark", "n2", 1, 3)
    one.do("event", "n1", 1)
    first = start("datacenter_report.py", "cursor", one.url, folder=tmp_path)
    out, err = first.communicate(timeout=20)
    assert (first.returncode, out, err) == (0, "", "")
    one.do("mark", "n2", 4, 5)
    second = start("datacenter_report.py", "cursor", one.url, folder=tmp_path)
    out, err = second.communicate(timeout=20)
    assert (second.returncode, err) == (1, "")
    assert "may have been missed here (replica)" in out
    third = start("datacenter_report.py", "cursor", one.url, folder=tmp_path)
    assert (third.communicate(timeout=20), third.returncode) == (("", ""), 0)


def test_watch_async(one: FeedNode, tmp_path: Path) -> None:
    """It watches two kinds of things at once."""
    process = start("watch_async.py", one.url, folder=tmp_path)
    until_asked(one, 4)
    one.do("event", "n1", 1, "service.failed")
    one.do("event", "n1", 2, "adapter.down")
    assert sorted(lines(process, 2)) == ["network: adapter.down s", "services: service.failed s"]
