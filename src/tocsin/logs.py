"""Structured logs: one line an event, as text (key=value) or JSON, on standard error.

Whatever a line carries, it stays one line that a terminal can show: control characters, line
separators and marks that turn the direction of text are escaped, and lengths are capped. Lines are
written by a thread of their own from a bounded queue, so that a terminal that was stopped, or a reader
that sleeps, never holds up the agent; lines lost that way are counted, and told as soon as one gets through.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
import threading
import traceback
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec

__all__ = ["Log", "get", "printable", "setup", "shutdown"]

_MAX_VALUE: Final = 1000
_MAX_TRACE: Final = 6000
_MAX_LINE: Final = 16_000
#: Lines waiting to be written; when full, the oldest is dropped and counted.
_QUEUE: Final = 10_000
#: Seconds that the end of the process waits for lines still unwritten.
_FLUSH: Final = 1.0

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PLAIN: Final = re.compile(r"[^\s\"'=\\]+\Z")
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_KEYS: Final = ("time", "level", "from", "event")


class Log:
    """Writes lines of one part of the program: ``log.info("rail opened", rail="rail1", peers=2)``."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def enabled(self, level: str) -> bool:
        """Whether anybody reads what is said at this level: ``debug``, ``info`` …"""
        return self._logger.isEnabledFor(getattr(logging, level.upper()))

    def debug(self, event: str, /, **fields: object) -> None:
        """What only somebody who looks for a mistake wants to know."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """What happened."""
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """What somebody should look at, while the rest goes on."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """What does not work."""
        self._log(logging.ERROR, event, fields)

    def crash(self, event: str, error: BaseException, /, **fields: object) -> None:
        """A mistake in the program, with its traceback in the same line."""
        self._logger.error(event, exc_info=error, extra={"fields": fields})

    def _log(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields})


def get(name: str) -> Log:
    """The log of a part: ``get(__name__)``."""
    return Log(name)


def setup(level: str = "info", format: str = "text", stream: TextIO | None = None) -> None:
    """Sends everything that is logged in this process, by libraries too, to ``stream`` (standard error).

    ``level`` is one of debug, info, warning, error; ``format`` text or json. May be called again.
    """
    shutdown()
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    handler = _Handler(_Writer(stream or sys.stderr))
    handler.setFormatter(_Json() if format == "json" else _Text())
    root.addHandler(handler)
    root.setLevel(level.upper())
    for library in ("httpx", "httpcore", "asyncio"):  # chatty at info: a line a request
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))


def shutdown() -> None:
    """Writes what is queued, for at most a second, and lets go of the stream."""
    for handler in logging.getLogger().handlers[:]:
        if isinstance(handler, _Handler):
            logging.getLogger().removeHandler(handler)
            handler.close()


atexit.register(shutdown)


class _Handler(logging.Handler):
    def __init__(self, writer: _Writer) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.put(self.format(record))
        except Exception:  # noqa: BLE001 - a value whose __str__ fails must not stop who logs it
            self.handleError(record)

    def close(self) -> None:
        self._writer.close()
        super().close()


class _Writer:
    """A thread that writes lines from a bounded queue."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: deque[str] = deque()
        self._lost = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="tocsin-log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Queues a line; from any thread, never waits for the stream."""
        with self._changed:
            if len(self._lines) >= _QUEUE:
                self._lines.popleft()
                self._lost += 1
            self._lines.append(line)
            self._changed.notify()

    def close(self) -> None:
        """Writes the rest, as far as the stream takes it in time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_FLUSH)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._closing:
                    self._changed.wait()
                if not self._lines:
                    return
                lines, self._lines = self._lines, deque()
                lost, self._lost = self._lost, 0
            if lost:
                lines.appendleft(f'level=warning event="log lines lost" count={lost}')
            try:
                self._stream.write("".join(f"{line}\n" for line in lines))
                self._stream.flush()
            except (OSError, ValueError):  # nobody reads any more, or the disk is full: go on without
                with self._changed:
                    self._lost += len(lines)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What a line carries, in its order."""
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
    part = record.name.removeprefix("tocsin.")
    event = _capped(record.getMessage(), _MAX_VALUE)
    values = (when.replace("+00:00", "Z"), record.levelname.lower(), part, event)
    fields: dict[str, object] = dict(zip(_KEYS, values, strict=True))
    given = getattr(record, "fields", {})
    for name, value in given.items():
        fields[f"{name}_" if name in _KEYS else name] = value
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        fields["error"] = f"{type(error).__name__}: {error}"
        # The end of a traceback tells most.
        fields["trace"] = "".join(traceback.format_exception(error))[-_MAX_TRACE:]
    return fields


def _capped(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return _ESCAPES.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}")


def printable(text: str) -> str:
    """The text with everything escaped that would break its line or play tricks on a terminal."""
    return _UNSAFE.sub(_escape, text)


def _value(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "null"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


class _Text(logging.Formatter):
    """``time=… level=info from=agent event="rail opened" rail=rail1``."""

    def format(self, record: logging.LogRecord) -> str:
        parts = (f"{name}={self._quoted(name, value)}" for name, value in _fields(record).items())
        return _capped(" ".join(parts), _MAX_LINE)

    @staticmethod
    def _quoted(name: str, value: object) -> str:
        text = _capped(_value(value), _MAX_TRACE if name == "trace" else _MAX_VALUE)
        if _PLAIN.match(text) and not _UNSAFE.search(text):
            return text
        text = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{printable(text)}"'


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: self._plain(name, value) for name, value in _fields(record).items()}
        return msgspec.json.encode(fields).decode()

    @staticmethod
    def _plain(name: str, value: object) -> object:
        if isinstance(value, int | float) or value is None:
            return value
        text = _capped(str(value), _MAX_TRACE if name == "trace" else _MAX_VALUE)
        # JSON escapes C0 itself; the rest would still reach a terminal as it is.
        return re.sub(_UNSAFE, lambda m: m[0] if m[0] < " " else _escape(m), text)
