"""``tocsin run``: a monitor that runs a command for each event."""

import json
import signal
import sys
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from tests.cli.commands import wait_for
from tests.cli.test_tail import Lines, emit

#: Writes what it was given, to the file named: its arguments, and what it read.
RECORD = (
    "import json, sys, pathlib\n"
    "file = pathlib.Path(sys.argv[1])\n"
    "entry = {'argv': sys.argv[2:], 'stdin': sys.stdin.read()}\n"
    "with file.open('a') as stream: stream.write(json.dumps(entry) + '\\n')\n"
)


@pytest.fixture
def record(tmp_path):
    """A command that records how it is called, and the calls so far."""
    file = tmp_path / "calls"

    class Record:
        def __init__(self):
            self.command = [sys.executable, "-c", RECORD, str(file), "fixed", "$(id)", "--x; y"]

        @property
        def calls(self):
            return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

        @property
        def types(self):
            return [json.loads(call["stdin"])["type"] for call in self.calls]

    return Record()


@pytest.fixture
def running(tocsin, started, node):
    """Starts `tocsin run` and returns it once it follows the feed."""

    def start(kind, *words, cursor_file=None):
        before = [] if cursor_file is None else ["--cursor-file", str(cursor_file)]
        process = started("run", "--on", f"{kind}.*", *before, "--url", node, *words)
        return process, Lines(process.stdout), Lines(process.stderr)

    return start


def follows(tocsin, node, kind, record):
    """Publishes until the first call: a monitor begins at now, whenever that is."""

    def called():
        emit(tocsin, node, f"{kind}.begin")
        return record.types

    wait_for(called)


def test_event_on_stdin(tocsin, node, running, record):
    """The command gets the event as one JSON object on standard input, nothing of it in its arguments."""
    running("input", "--", *record.command)
    follows(tocsin, node, "input", record)

    emit(
        tocsin, node, "input.told", subject="$(reboot) `x` \"' --flag", data=json.dumps({"summary": "\n; rm"})
    )

    wait_for(lambda: "input.told" in record.types)
    call = record.calls[-1]
    assert call["argv"] == ["fixed", "$(id)", "--x; y"]
    event = json.loads(call["stdin"])
    assert (event["subject"], event["data"]["summary"]) == ("$(reboot) `x` \"' --flag", "\n; rm")
    assert call["stdin"].count("\n") == 1


def test_in_order_while_a_command_runs(tocsin, node, running, record, tmp_path):
    """Events that happen while a command runs are handed on afterwards, in order."""
    slow = f"import time\ntime.sleep(0.3)\n{RECORD}"
    running("order", "--", sys.executable, "-c", slow, *record.command[3:])
    follows(tocsin, node, "order", record)

    sent = [f"order.n{number}" for number in range(5)]
    for type in sent:
        emit(tocsin, node, type)

    wait_for(lambda: record.types[-1:] == sent[-1:], 30)
    assert [type for type in record.types if type != "order.begin"] == sent


def test_polls_on_while_a_command_runs(tocsin, node, running, tmp_path):
    """However long a command takes, the feed is read: each event brings the reader back to the node."""
    begun, done = tmp_path / "begun", tmp_path / "done"
    waits = f"touch {begun}; while [ ! -e {done} ]; do sleep 0.05; done"
    running("busy", "--", "sh", "-c", waits)

    def called():
        emit(tocsin, node, "busy.begin")
        return begun.exists()

    wait_for(called)
    for _ in range(3):
        before = told(node)
        emit(tocsin, node, "busy.more")
        wait_for(partial(tells_more, node, before))
    done.touch()


def tells_more(node, before):
    """Whether the node has given another answer with events."""
    return told(node) > before


def told(node):
    """How many answers with events the node has given."""
    with urllib.request.urlopen(f"{node}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    name = 'tocsin_feed_answers_total{answer="events"} '
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def test_failures_are_told(tocsin, node, running):
    """A command that fails, or takes too long, is told with the event, and the next event follows."""
    code = (
        "import json,sys,time; t=json.load(sys.stdin)['type']; t=='bad.slow' and time.sleep(60); sys.exit(7)"
    )
    process, _, told = running("bad", "--time-limit", "1", "--", sys.executable, "-c", code)

    def begun():
        emit(tocsin, node, "bad.exit")
        return told.lines

    wait_for(begun)
    assert "ended with exit code 7 (bad.exit node1 " in told.lines[0]

    emit(tocsin, node, "bad.slow")
    emit(tocsin, node, "bad.last")

    wait_for(lambda: any("bad.last" in line for line in told.lines), 20)
    [slow] = [line for line in told.lines if "bad.slow" in line]
    assert "took longer than 1 s and was killed" in slow
    assert process.poll() is None


def test_what_a_command_starts_ends_with_it(tocsin, node, running, tmp_path):
    """A command leaves nothing running behind: its process group ends with it."""
    file = tmp_path / "pid"
    _, _, told = running("group", "--", "sh", "-c", f"sleep 1000 & echo $! > {file}; exit 3")

    def begun():
        emit(tocsin, node, "group.begin")
        return told.lines

    wait_for(begun)

    def gone():
        try:
            status = Path(f"/proc/{int(file.read_text())}/stat").read_text()
        except FileNotFoundError:
            return True
        return status.rpartition(")")[2].split()[0] == "Z"

    wait_for(gone)


def test_output_is_capped(tocsin, node, running):
    """What a command writes is passed on, up to a limit; one that floods harms nobody."""
    code = "import sys; sys.stdin.read(); print('begin'); [print('x' * 99) for _ in range(20_000)]"
    _, out, _ = running("flood", "--", sys.executable, "-c", code)

    def begun():
        emit(tocsin, node, "flood.begin")
        return "[tocsin: output cut]" in out.lines

    wait_for(begun)
    cut = out.lines.index("[tocsin: output cut]")
    assert out.lines[0] == "begin"
    assert sum(len(line) + 1 for line in out.lines[:cut]) <= (64 << 10) + 1


def test_goes_on_where_it_was(tocsin, node, running, record, tmp_path):
    """With a cursor file, what happens while it is stopped is handled when it is started again, once."""
    file = tmp_path / "cursor"
    process, _, _ = running("again", "--", *record.command, cursor_file=file)
    follows(tocsin, node, "again", record)
    one = emit(tocsin, node, "again.one")
    wait_for(lambda: one in file.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    emit(tocsin, node, "again.two")

    process, _, _ = running("again", "--", *record.command, cursor_file=file)
    wait_for(lambda: record.types[-1] == "again.two")
    emit(tocsin, node, "again.three")
    wait_for(lambda: record.types[-1] == "again.three")

    assert [type for type in record.types if type != "again.begin"] == [
        "again.one",
        "again.two",
        "again.three",
    ]
    assert json.loads(file.read_text())["cursor"]


def test_a_command_that_is_stopped_is_run_again(tocsin, node, running, record, tmp_path):
    """An event whose command was cut short by the end of the program counts as not handled."""
    file, begun = tmp_path / "cursor", tmp_path / "begun"
    process, _, _ = running("cut", "--", "sh", "-c", f"touch {begun}; sleep 1000", cursor_file=file)

    def has_begun():
        emit(tocsin, node, "cut.one")
        return begun.exists()

    wait_for(has_begun)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0

    running("cut", "--", *record.command, cursor_file=file)

    wait_for(lambda: "cut.one" in record.types)


def test_gaps(tocsin, node, running, record, tmp_path):
    """A gap is told; where it is asked for the command is run for it, too."""
    file = tmp_path / "cursor"
    file.write_text(json.dumps({"cursor": "zzzzz.0:5"}))

    _, _, told = running("none", "--gaps", "--", *record.command, cursor_file=file)

    wait_for(lambda: record.calls)
    assert json.loads(record.calls[0]["stdin"])["gap"]["reason"] == "foreign"
    assert told.lines == ["tocsin: gap: events may have been missed (foreign)"]


def test_damaged_cursor_file(tocsin, node, tmp_path):
    """A cursor file that cannot be read is told, with what to do; nothing is run."""
    file = tmp_path / "cursor"
    file.write_text("{")

    done = tocsin("run", "--on", "*", "--cursor-file", str(file), "--url", node, "--", "true")

    assert done.returncode == 1
    assert f"tocsin: {file}: is not a cursor file" in done.stderr
