"""``python -m tests.system.faults [NAME…]``: runs faults, each on its own cluster, for ``docs/faults.md``.

Without names all are run. Rows of faults that were run replace those in the document; the others stay.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tests.system.faults.listed import FAULTS
from tests.system.faults.run import Fault, Row, on_its_own

_DOCUMENT = Path(__file__).parent.parent.parent.parent / "docs" / "faults.md"
_ROW = re.compile(r"^\| `([a-z0-9-]+)` \|.*\n", re.MULTILINE)


def line(row: Row) -> str:
    """A row as the document has it."""
    fault, gaps = row.fault, row.count("gaps")
    cells = [
        f"`{fault.name}`",
        fault.says + (f" ({fault.nodes} nodes)" if fault.nodes > 3 else ""),
        f"{row.accepted}",
        f"{row.count('lost')}" + (f" (+{row.died} with the origin)" if row.died else ""),
        f"{row.count('repeated')}",
        f"{row.count('disorder')}",
        f"{gaps}" + (f", {gaps - row.count('untrue')} true" if gaps else ""),
        f"{1000 * row.delay:.0f} ms" if len(fault.spared) > 1 else "–",
        f"{row.equal:.1f} s",
    ]
    return "| " + " | ".join(cells) + " |\n"


def write(lines: dict[str, str]) -> None:
    """Puts lines into the document, in the order of the table of faults."""
    text = _DOCUMENT.read_text("utf-8")
    known = {found[1]: found[0] for found in _ROW.finditer(text)} | lines
    table = "".join(known[fault.name] for fault in FAULTS if fault.name in known)
    head, rest = re.split(r"^\|(?: ?-+ ?\|)+\n", text, maxsplit=1, flags=re.MULTILINE)
    rule = text[len(head) : len(text) - len(rest)]
    _DOCUMENT.write_text(head + rule + table + _ROW.sub("", rest), "utf-8")


def measure(fault: Fault) -> Row | None:
    """Runs a fault; None, and why, if its end is not reached."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        try:
            return on_its_own(fault, Path(directory))
        except AssertionError as error:
            print(f"{fault.name}: {error}", file=sys.stderr, flush=True)
            return None


def main() -> int:
    """The program; 1 if a promise was broken."""
    names = sys.argv[1:] or [fault.name for fault in FAULTS]
    lines, wrong = dict[str, str](), False
    for fault in FAULTS:
        if fault.name not in names:
            continue
        row = measure(fault)
        wrong |= row is None or bool(row.wrong)
        if row is not None:
            lines[fault.name] = line(row)
            print(line(row).strip(), *row.wrong, flush=True)
    write(lines)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
