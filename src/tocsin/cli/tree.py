"""The command tree, by cyclopts. A verb's module is loaded when it is called, or for help."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from inspect import cleandoc
from typing import Any, Final

from cyclopts import App, CycloptsError, Parameter

from tocsin import __version__
from tocsin.cli.usage import Usage

__all__ = ["VERBS", "reflow", "run", "tree"]

#: Every verb: its name, where its function is, and the line that the list of commands has for it.
VERBS: Final = (
    ("agent", "tocsin.cli.agent:agent", "Runs the agent of a node."),
    ("demo", "tocsin.cli.demo:demo", "Runs a cluster on this machine."),
    ("emit", "tocsin.cli.emit:emit", "Publishes an event."),
    ("tail", "tocsin.cli.tail:tail", "Shows events as they happen."),
    ("run", "tocsin.cli.run:run", "Runs a command for each event."),
    ("status", "tocsin.cli.status:status", "Shows the state of the cluster."),
    ("top", "tocsin.cli.top:top", "Shows the page in a terminal."),
    ("forget", "tocsin.cli.forget:forget", "Removes a node that is gone for good."),
    ("check-config", "tocsin.cli.check_config:check_config", "Says what is wrong with a configuration file."),
)


def tree(words: Sequence[str] = ()) -> App:
    """The commands with their flags, as they are needed for ``words``."""
    # The line is for the list only: given to a command, it would stand instead of its own help.
    listed = not words or words[0] not in {name for name, _, _ in VERBS}
    app = App(
        name="tocsin",
        help="Event notification for clusters: what happens on one node, every node and page knows.",
        version=f"tocsin {__version__}",
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=False),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for place, (name, path, line) in enumerate(VERBS):
        # One --on of `run` takes all words up to the next flag or --, as its command is behind --.
        several = Parameter(consume_multiple=True) if name == "run" else None
        verb: Any = path if listed or name != words[0] else _load(path)
        help_line = line if listed else None
        app.command(verb, name=name, help=help_line, sort_key=place, default_parameter=several)
    return app


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    verb = getattr(import_module(module), name)
    verb.__doc__ = reflow(verb.__doc__ or "")
    return verb


def reflow(text: str) -> str:
    """A docstring with each paragraph and each parameter in one line, for help to break as it needs."""
    lines: list[str] = []
    for line in cleandoc(text).split("\n"):
        if line.startswith("Exit codes:") and lines and lines[-1]:
            lines += ["", line]
        elif not lines or not line or not lines[-1] or line.startswith(":param"):
            lines.append(line)
        else:
            lines[-1] += f" {line.strip()}"
    return "\n".join(lines)


def run(words: Sequence[str]) -> int:
    """Runs what the words ask for. Raises :exc:`Usage`."""
    try:
        return int(tree(words)(words) or 0)
    except CycloptsError as error:
        sentence = str(error).strip().replace("\n", " ")
        verb = " ".join(error.command_chain or ())
        raise Usage(f"{sentence} (tocsin {verb + ' ' if verb else ''}--help)") from None
