"""What lies over the page for a moment: one thing in full, and the keys."""

from __future__ import annotations

from typing import ClassVar, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tocsin.core.board import Resource
from tocsin.monitor.tui.looks import Looks
from tocsin.monitor.tui.sheets import Line, facts

__all__ = ["Details", "Help"]

_KEYS: Final = (
    ("↑ ↓  j k", "the line above, below"),
    ("← →", "in the tree: fold, unfold"),
    ("Enter", "in the tree: go to its table; in a table: all of one line"),
    ("Tab", "the next part of the page"),
    ("/", "find: resources, problems and events with a text; Escape ends it"),
    ("s  p  e", "the status; only problems; only events"),
    ("r", "fetch the board anew"),
    ("q", "quit"),
)


class _Over(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,enter,question_mark", "dismiss", "Close")]
    DEFAULT_CSS = """
    _Over { align: center middle; }
    _Over > VerticalScroll {
        width: 84; max-width: 96%; height: auto; max-height: 90%; padding: 0 1;
        border: round $foreground 40%; background: $surface;
    }
    _Over Static { width: 100%; }
    """


class Details(_Over):
    """All that is known of one line."""

    def __init__(self, line: Line, looks: Looks) -> None:
        super().__init__()
        self._line, self._looks = line, looks

    def compose(self) -> ComposeResult:
        """The names and values."""
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, max_width=24, style=self._looks.style("faint"))
        table.add_column(overflow="fold")
        thing = self._line.thing
        for name, value in facts(thing):
            table.add_row(Text(name), Text(value))
        with VerticalScroll() as box:
            box.border_title = "Resource" if isinstance(thing, Resource) else "Event"
            box.border_subtitle = "Escape closes"
            yield Static(table)


class Help(_Over):
    """The keys, and what the shapes mean."""

    def __init__(self, looks: Looks) -> None:
        super().__init__()
        self._looks = looks

    def compose(self) -> ComposeResult:
        """Two tables."""
        keys = Table.grid(padding=(0, 2))
        for key, does in _KEYS:
            keys.add_row(Text(key, "bold"), Text(does))
        shapes = Text("\n")
        words = {"failed": "failed", "warning": "warning", "unknown": "not known", "ok": "fine"}
        for status, word in words.items():
            shapes.append(f"{self._looks.mark(status, word)}   ", self._looks.style(status))
        with VerticalScroll() as box:
            box.border_title = "tocsin top"
            box.border_subtitle = "Escape closes"
            yield Static(Group(keys, shapes))
