"""``tocsin tail``: a monitor that shows events."""

import json
import os
import pty
import re
import signal
import subprocess
import threading

import pytest

from tests.cli.commands import TOCSIN, wait_for
from tests.cli.conftest import free_port


def emit(tocsin, url, type, **more):
    """Publishes an event and returns its sequence."""
    done = tocsin("emit", type, "--url", url, *(f"--{name}={value}" for name, value in more.items()))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Lines:
    """The lines that a process writes, as they come."""

    def __init__(self, stream):
        self.lines = []
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream):
        for line in stream:
            self.lines.append(line.rstrip("\n"))

    def wait(self, number, seconds=15):
        """The first lines, once there are as many."""
        wait_for(lambda: len(self.lines) >= number, seconds, told=lambda: str(self.lines))
        return self.lines[:number]


def test_json(tocsin, started, node):
    """One CloudEvent a line, as it happens, of the interests given."""
    first = emit(tocsin, node, "tail.first")
    tail = Lines(started("tail", "--json", "--after", "0", "--on", "tail.*", "--url", node).stdout)
    assert json.loads(tail.wait(1)[0])["sequence"] == first

    emit(tocsin, node, "other.thing")
    second = emit(tocsin, node, "tail.second", subject="x", summary="y")

    event = json.loads(tail.wait(2)[1])
    assert (event["type"], event["sequence"], event["node"]) == ("tail.second", second, "node1")
    assert event["specversion"] == "1.0"
    assert event["data"]["summary"] == "y"


def test_for_people(tocsin, started, node):
    """A line has time, severity, node, type, subject and summary, nothing of it can break the terminal."""
    summary = json.dumps({"summary": "took\x1b[31m 3 s\n"})
    emit(tocsin, node, "people.told", subject="nightly", severity="warning", data=summary)

    [line] = Lines(started("tail", "--since", "1m", "--on", "people.*", "--url", node).stdout).wait(1)

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  warning   node1  people\.told  nightly  took\\x1b\[31m 3 s\\n", line
    )


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours(tocsin, node, environment, env, coloured):
    """Colours are for terminals, and not where NO_COLOR is set."""
    emit(tocsin, node, "colour.told", severity="error")
    terminal, other = pty.openpty()
    process = subprocess.Popen(
        [*TOCSIN, "tail", "--after", "0", "--on", "colour.*", "--url", node],
        stdin=subprocess.DEVNULL,
        stdout=other,
        env=environment | {"TERM": "xterm"} | env,
    )
    try:
        os.close(other)
        written = os.read(terminal, 1000).decode()
    finally:
        process.kill()
        process.wait()
        os.close(terminal)

    assert ("\x1b[31merror" in written) == coloured
    assert ("\x1b" in written) == coloured


@pytest.mark.parametrize("cursor", ["zzzzz.0:5", "nonsense"])
def test_gap(started, node, cursor):
    """Where events may have been missed it says so, at once, in both forms."""
    as_json = Lines(started("tail", "--json", "--after", cursor, "--url", node).stdout)
    for_people = Lines(started("tail", "--after", cursor, "--url", node).stdout)

    assert json.loads(as_json.wait(1)[0])["gap"]["reason"] == "foreign"
    assert for_people.wait(1)[0].startswith("-- gap: events may have been missed (foreign")


def test_interrupted(started, node):
    """Ctrl-C ends it without a word."""
    process = started("tail", "--after", "0", "--url", node)
    assert process.stdout.readline()

    process.send_signal(signal.SIGINT)

    assert process.communicate(timeout=10)[1] == ""
    assert process.returncode == 130


def test_nobody_reads(tocsin, started, node):
    """When its reader has gone, the next event ends it without a word."""
    process = started("tail", "--after", "0", "--on", "head.*", "--url", node)
    emit(tocsin, node, "head.one")
    process.stdout.readline()
    process.stdout.close()

    emit(tocsin, node, "head.two")

    assert process.wait(10) == 141
    assert process.stderr.read() == ""


def test_refused(tocsin, node):
    """What every node refuses ends it with a sentence."""
    done = tocsin("tail", "--on", "x " * 1001, "--url", node)

    assert done.returncode == 2
    assert done.stderr == "tocsin: --on: 1001 interests, at most 1000\n"


@pytest.mark.slow
def test_no_contact_at_all(tocsin):
    """Where no node answers for ten seconds it gives up; it has said so at once."""
    done = tocsin("tail", "--url", f"http://127.0.0.1:{free_port()}")

    assert (done.returncode, done.stdout) == (3, "")
    first, last = done.stderr.splitlines()
    assert first == "tocsin: no answer yet, trying for 10 s"
    assert re.match(r"tocsin: no feed has answered for 1\d s", last)


@pytest.mark.slow
def test_failover(tocsin, started, two_nodes):
    """When its node is killed the next one goes on: every event once. Without any it waits, and says so."""
    urls = [two_nodes.url(0), two_nodes.url(1)]
    process = started("tail", "--json", "--after", "0", "--on", "fail.*", "--url", urls[0], "--url", urls[1])
    tail, told = Lines(process.stdout), Lines(process.stderr)
    sequences = [emit(tocsin, urls[0], "fail.before"), emit(tocsin, urls[1], "fail.other")]
    tail.wait(2)

    two_nodes.kill(0)
    sequences.append(emit(tocsin, urls[1], "fail.after"))
    tail.wait(3)
    two_nodes.kill(1)
    wait_for(lambda: "tocsin: no contact with any node, trying on" in told.lines, 30)
    two_nodes.start(1)
    two_nodes.wait_ready(1)
    sequences.append(emit(tocsin, urls[1], "fail.again"))
    wait_for(lambda: sequences[-1] in "".join(tail.lines), 40)

    items = [json.loads(line) for line in tail.lines]
    assert sequences == [item["sequence"] for item in items if "gap" not in item]
    assert f"tocsin: in contact with {urls[1]}" in told.lines
