"""Where in a TOML file a key stands: the parser of the standard library does not tell.

The text is cut into statements, each is read by the same parser on its own, and the keys that it sets
get the number of its first line. So nothing of TOML's grammar is known here but that a statement starts
on a new line.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["Path", "key_lines", "show_path"]

#: A key and what leads to it: ``("rails", 0, "listen")``.
Path = tuple[str | int, ...]

_HEADER: Final = re.compile(r"\s*(\[\[?)")


def key_lines(text: str) -> dict[Path, int]:
    """The line, from 1, of every key and table of a text that :mod:`tomllib` can read."""
    lines: dict[Path, int] = {}
    tables: dict[Path, int] = {}
    base: Path = ()
    for number, statement, content in _statements(text):
        header = _HEADER.match(statement)
        if header is None:
            found = _paths(content, base)
        else:
            base = _table(content, header[1] == "[[", tables)
            found = iter([base])
        for path in found:
            for length in range(1, len(path) + 1):
                lines.setdefault(path[:length], number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The statements with the number of their first line and what they mean alone."""
    pending, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if not pending:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            start = number
        pending += line + "\n"
        try:
            content = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue  # a value of several lines goes on
        yield start, pending, content
        pending = ""


def _table(content: dict[str, Any], repeated: bool, tables: dict[Path, int]) -> Path:
    """The path of ``[table]`` or ``[[table]]``; the latter is counted, a part of one belongs to its last."""
    path: Path = ()
    value: Any = content
    while isinstance(value, dict) and value:
        key = next(iter(value))
        value = value[key]
        path = (*path, key)
        last = isinstance(value, list)
        if path in tables and not (last and repeated):
            path = (*path, tables[path])
        if last:
            value = value[0]
    if repeated:
        tables[path] = tables.get(path, -1) + 1
        path = (*path, tables[path])
    return path


def _paths(content: object, base: Path) -> Iterator[Path]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield (*base, key)
            yield from _paths(value, (*base, key))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield (*base, index)
            yield from _paths(value, (*base, index))


def show_path(path: Path) -> str:
    """The path as an operator would write it: ``rails[0].listen``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
