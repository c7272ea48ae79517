"""``tocsin demo``: a cluster on this machine."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.cli.commands import wait_for
from tests.cli.conftest import is_ready
from tests.cli.test_tail import Lines


def free_ports(number):
    """The first of some free ports one behind the other."""
    for first in range(20_000 + os.getpid() % 5000, 30_000, number):
        try:
            for port in range(first, first + number):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


def place_of(line):
    """Name, URL and process of the node that a line of the demo tells."""
    match = re.fullmatch(r"  (node\d)  (http://127\.0\.0\.1:\d+)  \(process (\d+)\)", line)
    assert match is not None, line
    return match[1], match[2], int(match[3])


@pytest.mark.slow
def test_demo(tocsin, started, tmp_path):
    """Agents with a page each, that know each other; one that dies is told; all end with it."""
    port = free_ports(3)
    process = started("demo", "--port", str(port), env={"TMPDIR": str(tmp_path)})
    out, told = Lines(process.stdout), Lines(process.stderr)
    lines = out.wait(5, 60)
    assert lines[0] == "A cluster of 3 over 2 rails:"
    names, urls, pids = zip(*map(place_of, lines[1:4]), strict=True)
    assert names == ("node1", "node2", "node3")
    assert urls == tuple(f"http://127.0.0.1:{port + number}" for number in range(3))
    wait_for(lambda: "3 of 3 nodes up" in tocsin("status", "--url", urls[2]).stdout, 20)

    os.kill(pids[1], signal.SIGKILL)
    wait_for(lambda: "tocsin: node2 was killed by SIGKILL; 2 of 3 go on" in told.lines)
    wait_for(lambda: "2 of 3 nodes up" in tocsin("status", "--url", urls[0]).stdout, 30)
    process.send_signal(signal.SIGINT)

    assert process.wait(15) == 0
    assert not any(map(is_ready, urls))
    assert list(tmp_path.iterdir()) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.slow
def test_killed_outright(started, tmp_path):
    """Even a demo that is killed leaves no agent behind."""
    port = free_ports(1)
    # It cannot clean up after itself; the test does.
    process = started("demo", "--nodes", "1", "--port", str(port), env={"TMPDIR": str(tmp_path)})
    _, _, pid = place_of(Lines(process.stdout).wait(2, 60)[1])

    process.kill()

    wait_for(lambda: not Path(f"/proc/{pid}").exists())


def test_port_taken(tocsin):
    """A port that another program has is told before anything is started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        done = tocsin("demo", "--nodes", "1", "--port", str(port))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"tocsin: 127.0.0.1:{port} cannot be used: address already in use "
        "(choose others with --port; node1 needs it for its page)\n"
    )
