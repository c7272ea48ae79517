"""Writes what is documented from the code itself: ``python -m tocsin.cli.docs``.

The reference of settings, commands and HTTP, and the example configuration. A test compares them.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from tocsin.cli.tree import VERBS, reflow, tree
from tocsin.settings import RAIL, SETTINGS, Config, Rail, Setting
from tocsin.values import show_value
from tocsin.web.openapi import describe

__all__ = ["commands", "documents", "example", "http", "main", "settings"]

_RENEW: Final = "python -m tocsin.cli.docs"
_SETTINGS_HEAD: Final = """\
Flags win over the environment, that over the file (`/etc/tocsin/tocsin.toml`, or the one that `--config` or
`TOCSIN_CONFIG` names), that over the default. `tocsin check-config FILE` says what is wrong with a file.
Times and sizes may be text with a unit: `"5m"`, `"64 MiB"`. In a variable, lists are separated by commas.
An example with every setting is `packaging/tocsin.toml`."""
_COMMANDS_HEAD: Final = """\
Every command explains itself with `--help`; `tocsin --version` prints the version. All but `agent`, `demo`
and `check-config` are clients: they ask the node that `--url` names, else those of the variable `TOCSIN_URL`
(one or several, separated by blanks), else http://127.0.0.1:8340. Errors are one sentence on standard error.
Exit codes, where a command says nothing else: 0 done, 1 refused or failed, 2 wrong usage, 3 no contact with
any node, 130 interrupted, 141 nobody reads the output any more. Colours only on a terminal, and never with
`NO_COLOR`."""
_HTTP_HEAD: Final = """\
Every node serves the same. `GET /openapi.json` is this document for programs, with the form of every answer.
Refusals and gaps are `application/problem+json` (RFC 9457). Pages, frames and static files are not part of
this interface."""
#: What stands for the value of a flag, where it is not the flag's own name.
_VALUES: Final = {
    "--after": "CURSOR",
    "--config": "FILE",
    "--cursor-file": "FILE",
    "--data": "JSON",
    "--listen": "HOST:PORT",
    "--nodes": "N",
    "--on": "INTEREST",
    "--rail": "LISTEN[,PEER…]",
    "--retain": "S",
    "--since": "S",
    "--state-dir": "DIRECTORY",
    "--summary": "TEXT",
    "--time-limit": "S",
}


def documents() -> dict[str, str]:
    """Every document made from the code: its path in the repository, and its text."""
    return {
        "docs/reference/settings.md": settings(),
        "docs/reference/commands.md": commands(),
        "docs/reference/http.md": http(),
        "packaging/tocsin.toml": example(),
    }


def main() -> int:
    """Writes all documents, in the repository that is the current directory."""
    if not Path("docs/reference").is_dir():
        print("docs: run this in the repository's directory", file=sys.stderr)
        return 1
    for path, text in documents().items():
        Path(path).write_text(text, "utf-8")
    return 0


# -- settings ------------------------------------------------------------------------------------------


def settings() -> str:
    """The reference of all settings."""
    parts = [
        f"<!-- Made by {_RENEW} from src/tocsin/settings.py: change it there. -->",
        "# Settings",
        _SETTINGS_HEAD,
    ]
    for table, group in _tables():
        parts += [f"## `[{table}]`", _sentence(table), _settings_table(group)]
    rails = (
        f"{_doc(Rail)} Given by flag, `--rail LISTEN[,PEER…]`\n"
        "once for each rail, or in the variable `TOCSIN_RAILS`, separated by blanks, they stand instead of\n"
        "all in the file."
    )
    parts += ["## `[[rails]]`", rails, _settings_table(RAIL.values(), prefix="rails.")]
    return "\n\n".join(parts) + "\n"


def _tables() -> Iterator[tuple[str, list[Setting]]]:
    for table, group in groupby(SETTINGS.values(), key=lambda setting: setting.key.rpartition(".")[0]):
        yield table, list(group)


def _sentence(table: str) -> str:
    value: Any = Config()
    for name in table.split("."):
        value = getattr(value, name)
    return _doc(type(value))


def _doc(struct: type[Any]) -> str:
    """What a struct says of itself, without the name of its table."""
    text = (struct.__doc__ or "").partition(": ")[2]
    return text[:1].upper() + text[1:]


def _settings_table(group: Iterable[Setting], prefix: str = "") -> str:
    rows = ["| setting | default | range | flag, variable | |", "| --- | --- | --- | --- | --- |"]
    for setting in group:
        flag = f"`{setting.flag}` " if setting.flag else ""
        names = "" if prefix else f"{flag}`{setting.variable}`"
        default = f"`{show_value(setting.default)}`" if setting.default != "" else ""
        cells = (f"`{prefix}{setting.key}`", default, _range(setting), names, setting.sentence)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _range(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    if setting.unit:
        return f"{show_value(setting.low)} to {show_value(setting.high)} {setting.unit}"
    return {bool: "`true`, `false`", str: "text"}.get(setting.type, "list of texts")


def example() -> str:
    """The example configuration: every setting with its default, commented out."""
    lines = [
        f"# The configuration of a Tocsin agent: every setting with its default. Made by {_RENEW}.",
        "# Copy it to /etc/tocsin/tocsin.toml, take away the # where you want something else, and ask",
        "# `tocsin check-config /etc/tocsin/tocsin.toml` whether it is right.",
    ]
    for table, group in _tables():
        lines += ["", f"# {_sentence(table)}", f"[{table}]"]
        for setting in group:
            lines += [*_comment(setting), f"#{setting.field} = {show_value(setting.default)}"]
    lines += ["", f"# {_doc(Rail)}", "#[[rails]]"]
    samples: dict[str, Any] = {
        "name": "rail1",
        "mode": "peer",
        "listen": "tcp/10.1.0.1:7447",
        "connect": ("tcp/10.1.0.2:7447", "tcp/10.1.0.3:7447"),
    }
    for setting in RAIL.values():
        lines += [*_comment(setting), f"#{setting.field} = {show_value(samples[setting.key])}"]
    return "\n".join(lines) + "\n"


def _comment(setting: Setting) -> list[str]:
    span = f" ({_range(setting).replace('`', '')})" if setting.unit or setting.choices else ""
    return [f"# {line}" for line in textwrap.wrap(setting.sentence + span, 100)]


# -- commands ------------------------------------------------------------------------------------------


def commands() -> str:
    """The reference of all commands."""
    parts = [
        f"<!-- Made by {_RENEW} from src/tocsin/cli: change it there. -->",
        "# Commands",
        _COMMANDS_HEAD,
    ]
    parts += ["\n\n".join(_command(name, path)) for name, path, _ in VERBS]
    return "\n\n".join(parts) + "\n"


def _command(name: str, path: str) -> Iterator[str]:
    module, _, function = path.partition(":")
    verb = getattr(import_module(module), function)
    arguments = list(tree([name])[name].assemble_argument_collection(parse_docstring=True))
    shown = [argument.names[0] for argument in arguments]
    usage = sorted(map(_usage, arguments), key=lambda word: not word.startswith(("[", "--o")))
    yield f"## `tocsin {name}`"
    whole = " ".join([f"tocsin {name}", *(word.replace(" ", "\0") for word in usage)])
    lines = textwrap.fill(whole, 100, subsequent_indent="    ", break_on_hyphens=False)
    yield "```\n" + lines.replace("\0", " ") + "\n```"
    yield reflow(verb.__doc__ or "").partition("\n\n:param")[0]
    texts = (" ".join((argument.parameter.help or "").split()) for argument in arguments)
    yield _table("argument", zip(shown, texts, strict=True))


def _usage(argument: Any) -> str:
    """How an argument is written: ``[--flag VALUE]…``, ``NAME``, ``-- NAME…``."""
    name = str(argument.names[0])
    if not name.startswith("--"):
        return f"-- {name}…" if argument.field_info.kind.name == "VAR_POSITIONAL" else name
    value = _VALUES.get(name, name[2:].upper().replace("-", "_"))
    word = name if argument.hint is bool else f"{name} {value}"
    several = "…" if "list" in str(argument.hint) else ""
    return f"{word}{several}" if argument.required else f"[{word}]{several}"


# -- HTTP ----------------------------------------------------------------------------------------------


def http() -> str:
    """The reference of the HTTP interface, made from its OpenAPI description."""
    parts = [
        f"<!-- Made by {_RENEW} from src/tocsin/web/openapi.py: change it there. -->",
        "# HTTP",
        _HTTP_HEAD,
    ]
    for path, operations in describe()["paths"].items():
        for method, operation in operations.items():
            parts += [f"## `{method.upper()} {path}`", f"{operation['summary']}."]
            if parameters := operation.get("parameters"):
                parts.append(_table("parameter", ((p["name"], p.get("description", "")) for p in parameters)))
            answers = sorted(operation["responses"].items())
            parts.append(_table("answer", ((status, answer["description"]) for status, answer in answers)))
    return "\n\n".join(parts) + "\n"


def _table(head: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {head} | |", "| --- | --- |"]
    lines += [f"| `{name}` | {text.replace('|', '&#124;')} |" for name, text in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
