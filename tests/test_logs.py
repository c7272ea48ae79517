"""Structured logs: one line an event, whatever it carries."""

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading

import pytest

from tocsin import logs

#: What has been used to break logs and terminals: new lines, escapes, direction marks, separators.
NASTY = [
    "a\r\nlevel=error event=forged",
    "\x1b]0;title\x07\x1b[31mred",
    "abc\u202edef\u2066",
    "one\u2028two\u2029three\x85four",
    "\x00\x7f\x9b31m",
    "half \ud800 a pair",
    'quotes " and \\ and = and blank',
    "",
]


@pytest.fixture
def lines():
    """Runs what it is given with the logs set up, and returns the lines written."""
    before = logging.getLogger().handlers[:], logging.getLogger().level

    def lines(act, format="text", level="debug"):
        stream = io.StringIO()
        logs.setup(level, format, stream)
        act(logs.get("tocsin.forwarder"))
        logs.shutdown()
        text = stream.getvalue()
        assert text == "" or text.endswith("\n")
        return text.splitlines()  # splits at everything that any program may take for a line's end

    yield lines
    logs.shutdown()
    logging.getLogger().handlers[:], logging.getLogger().level = before


def unquoted(line):
    """The fields of a line in text form, read as logfmt readers do."""
    pairs = re.findall(r'([^\s=]+)=("(?:[^"\\]|\\.)*"|\S*)', line)
    return {name: value.strip('"') for name, value in pairs}


def test_text(lines):
    """A line is key=value, quoted where it must be, with time, level and part first."""
    [line] = lines(lambda log: log.info("rail opened", rail="rail1", peers=2, share=0.5, ok=True, why=None))

    assert re.match(r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z level=info from=forwarder event=", line)
    assert line.endswith('event="rail opened" rail=rail1 peers=2 share=0.5 ok=true why=null')


def test_json(lines):
    """A line is one JSON object with the same fields."""
    [line] = lines(lambda log: log.warning("rail lost", rail="rail1", peers=0), format="json")

    fields = json.loads(line)
    assert list(fields) == ["time", "level", "from", "event", "rail", "peers"]
    assert (fields["level"], fields["event"], fields["peers"]) == ("warning", "rail lost", 0)


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("text", NASTY)
def test_one_line_whatever_it_carries(lines, format, text):
    """Nothing that a field or the event itself carries breaks the line or reaches a terminal."""
    event = f"event {text}"

    [line] = lines(lambda log: log.info(event, field=text, other="end"), format=format)

    assert line.isprintable()
    fields = json.loads(line) if format == "json" else unquoted(line)
    assert (fields["level"], fields["other"]) == ("info", "end")


def test_a_field_cannot_pretend_to_be_another(lines):
    """A field that is called like one of the line's own gets another name."""
    [line] = lines(lambda log: log.info("real", level="error", event="forged"), format="json")

    fields = json.loads(line)
    assert (fields["level"], fields["event"], fields["event_"]) == ("info", "real", "forged")


def test_lengths_are_capped(lines):
    """A value is cut, and so is a line with many values."""
    [one] = lines(lambda log: log.info("x", big="y" * 10_000))
    [many] = lines(lambda log: log.info("x", **{f"f{number}": "y" * 900 for number in range(100)}))

    assert len(one) < 1200
    assert one.endswith("…")
    assert len(many) <= 16_000


def test_exception(lines):
    """A mistake in the program is one line, too, with its traceback."""

    def act(log):
        try:
            raise RuntimeError("two\nlines")
        except RuntimeError as error:
            log.crash("generator crashed", error, generator="storage")

    [line] = lines(act)

    assert 'generator=storage error="RuntimeError: two\\nlines" trace="Traceback' in line


def test_levels(lines):
    """What is below the level is not written."""

    def act(log):
        log.debug("1")
        log.info("2")
        log.warning("3")
        log.error("4")

    assert [unquoted(line)["event"] for line in lines(act, level="warning")] == ["3", "4"]


def test_libraries_write_the_same_lines(lines):
    """What libraries log by the standard module has the same form."""
    [line] = lines(lambda _: logging.getLogger("uvicorn.error").warning("%s\n", "Uvicorn is here"))

    assert 'level=warning from=uvicorn.error event="Uvicorn is here\\n"' in line


def test_a_stream_that_takes_nothing_holds_up_nobody():
    """While a terminal is stopped the program goes on; the lines lost are counted and told."""
    release, stuck = threading.Event(), threading.Event()

    class Stopped(io.StringIO):
        def write(self, text):
            stuck.set()
            release.wait(30)
            return super().write(text)

    stream = Stopped()
    logs.setup("info", "text", stream)
    log = logs.get("tocsin.test")
    log.info("first")
    assert stuck.wait(10)
    for number in range(10_005):
        log.info("line", number=number)
    release.set()
    logs.shutdown()

    written = stream.getvalue().splitlines()
    assert 'event="log lines lost" count=5' in written[1]
    assert written[2].endswith("number=5")
    assert written[-1].endswith("number=10004")


def test_nobody_reads():
    """A program whose standard error is closed at the other end goes on and ends as it would."""
    code = (
        "from tocsin import logs\nlogs.setup()\nlog = logs.get('x')\n"
        "for n in range(1000): log.info('n', n=n)\nlogs.shutdown()\nprint('done')"
    )
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writing, text=True)
    finally:
        os.close(writing)

    assert (done.returncode, done.stdout) == (0, "done\n")
