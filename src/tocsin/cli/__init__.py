"""The command tree: one file a verb; each verb but ``agent`` is a client like any other.

:func:`main` loads only what the verb needs. Exit codes: 0 done, 1 refused or failed, 2 wrong usage,
3 no contact with any node, 130 interrupted, 141 nobody reads the output any more. ``tocsin status``
has its own: 0 all fine, 1 warnings, 2 failures, 3 unknown.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tocsin.core.errors import NoContact, TocsinError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb that the arguments (without the program's name) ask for; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(words)
        sys.stdout.flush()
    except TocsinError as error:
        return _tell(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Python flushes standard output once more at its end: into nowhere, or it would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _run(words: list[str]) -> int:
    if words == ["--version"]:
        from tocsin import __version__

        print(f"tocsin {__version__}")
        return 0
    if words[:1] == ["emit"]:
        from tocsin.cli.emit import emit, plain_words

        # Scripts and hooks call it often: it must not wait for the command tree to load.
        given = plain_words(words[1:])
        if given is not None:
            return emit(given.pop("type"), **given)
    from tocsin.cli.tree import run

    return run(words)


def _tell(error: TocsinError) -> int:
    """One sentence for the user, never a traceback."""
    from tocsin.logs import printable

    for line in str(error).splitlines():
        print(f"tocsin: {printable(line)}", file=sys.stderr)
    if isinstance(error, NoContact):
        return 3
    return getattr(error, "exit_code", 1)
