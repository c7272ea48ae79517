"""A table that a refresh does not disturb: the chosen line stays chosen, and stays where it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tocsin.monitor.tui.looks import Looks
from tocsin.monitor.tui.model import span_since
from tocsin.monitor.tui.sheets import Column, Line, Sheet, widths

__all__ = ["Rows"]

_GAP: Final = Segment("  ")
_NOTHING: Final = Sheet("", (), (), "")


class Rows(ScrollView, can_focus=True):
    """Shows a :class:`Sheet`. Columns are fitted to the width; ages are counted when it is painted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "move(-10)", "Page up", show=False),
        Binding("pagedown", "move(10)", "Page down", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
        Binding("enter", "open", "Details", show=False),
    ]

    class Opened(Message):
        """A line was entered."""

        def __init__(self, line: Line) -> None:
            super().__init__()
            self.line = line

    def __init__(self, looks: Looks, now: Callable[[], float], *, follow: bool = False, id: str) -> None:
        """``follow``: the first line stays chosen when newer ones come before it."""
        super().__init__(id=id)
        self.sheet = _NOTHING
        #: The place of the chosen line.
        self.at = 0
        self._looks, self._now, self._follow = looks, now, follow
        self._wide: tuple[int, ...] = ()

    @property
    def chosen(self) -> Line | None:
        """The chosen line."""
        return self.sheet.lines[self.at] if self.at < len(self.sheet.lines) else None

    # -- what it shows ---------------------------------------------------------------------------

    def show(self, sheet: Sheet, *, anew: bool = False) -> None:
        """Shows a sheet; ``anew``: another one, not the same with newer values."""
        if sheet == self.sheet and not anew:
            return
        before, old = self.at, self.chosen
        self.sheet = sheet
        self.border_title = sheet.title
        self.at = 0 if anew else self._find(old, before)
        self._measure()
        top = 0 if anew else max(0, round(self.scroll_y) + self.at - before)
        self.scroll_to(y=top, animate=False, force=True, immediate=True)
        self.refresh()

    def _find(self, old: Line | None, before: int) -> int:
        if self._follow and before == 0:
            return 0
        if old is not None:
            for place, line in enumerate(self.sheet.lines):
                if line.key == old.key:
                    return place
        return max(0, min(before, len(self.sheet.lines) - 1))

    def _measure(self) -> None:
        self._wide = widths(self.sheet, max(1, self.scrollable_content_region.width))
        size = Size(0, len(self.sheet.lines) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
            self.refresh(layout=True)  # its height may depend on it

    def on_resize(self, event: events.Resize) -> None:
        """Fits the columns anew."""
        self._measure()
        self.refresh()

    # -- choosing --------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Chooses the line so many below."""
        self.choose(self.at + by)

    def choose(self, place: int) -> None:
        """Chooses a line and brings it into view."""
        self.at = max(0, min(place, len(self.sheet.lines) - 1))
        # The heading covers the first visible line, so one more is brought into view.
        self.scroll_to_region(Region(0, self.at, 1, 2), animate=False, force=True, immediate=True)
        self.refresh()

    def action_open(self) -> None:
        """Tells that the chosen line was entered."""
        if self.chosen is not None:
            self.post_message(self.Opened(self.chosen))

    def on_click(self, event: events.Click) -> None:
        """A click chooses, one on the chosen line opens."""
        place = event.get_content_offset(self)
        if place is None or place.y == 0:
            return
        wanted = place.y - 1 + round(self.scroll_y)
        if wanted == self.at:
            self.action_open()
        elif wanted < len(self.sheet.lines):
            self.choose(wanted)

    # -- painting --------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """One line on the screen; the first is the heading."""
        width = self.scrollable_content_region.width
        place = y - 1 + round(self.scroll_y)
        if not self.sheet.lines:
            text = self.sheet.empty if y == 0 else ""
            strip = Strip([Segment(text, self._looks.style("faint"))])
        elif y == 0:
            strip = Strip(self._cells([c.title for c in self.sheet.columns], self._looks.style("faint")))
        elif place < len(self.sheet.lines):
            strip = self._painted(self.sheet.lines[place], chosen=place == self.at)
        else:
            strip = Strip([])
        return strip.adjust_cell_length(width).apply_style(self.rich_style)

    def _painted(self, line: Line, *, chosen: bool) -> Strip:
        texts = list(line.cells)
        for place, column in enumerate(self.sheet.columns):
            if column.form == "age":
                texts[place] = span_since(line.since, self._now())
            elif column.form == "shape":
                texts[place] = self._looks.shape(line.status)
            elif column.form == "mark":
                texts[place] = self._looks.mark(line.status, texts[place])
        segments = self._cells(texts, Style(), line.status)
        if chosen and self.has_focus:
            width = self.scrollable_content_region.width
            reverse = Style(reverse=True)
            return Strip(segments).adjust_cell_length(width).apply_style(reverse)
        return Strip(segments)

    def _cells(self, texts: list[str], style: Style, status: str = "") -> list[Segment]:
        segments: list[Segment] = []
        for text, wide, column in zip(texts, self._wide, self.sheet.columns, strict=True):
            if wide:
                if segments:
                    segments.append(_GAP)
                segments.append(Segment(_fit(text, wide, column), self._style(column, status) + style))
        return segments

    def _style(self, column: Column, status: str) -> Style:
        if status and column.form in ("mark", "shape"):
            return self._looks.style(status)
        return self._looks.style("faint") if status and column.form == "age" else Style()


def _fit(text: str, wide: int, column: Column) -> str:
    """The text in just so many places; what does not fit ends with three dots."""
    if column.form == "age":
        return text.rjust(wide)[:wide]
    if cell_len(text) <= wide:
        return set_cell_size(text, wide)
    return set_cell_size(text, wide - 1) + "…"
