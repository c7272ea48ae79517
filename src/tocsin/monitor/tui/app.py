"""The terminal page: banner, tree, content. Messages go up from :class:`Live`, values down to the widgets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Footer, Input, Static

from tocsin.monitor.tui import sheets
from tocsin.monitor.tui.banner import banner
from tocsin.monitor.tui.live import Live, Part
from tocsin.monitor.tui.looks import Looks
from tocsin.monitor.tui.model import EVERYTHING, Scope, tree
from tocsin.monitor.tui.navigation import Navigation
from tocsin.monitor.tui.rows import Rows
from tocsin.monitor.tui.screens import Details, Help

__all__ = ["Top"]

#: Lines of the problems above the table; all of them are one key away.
_MOST_PROBLEMS = 5


class Changed(Message):
    """A part of what is known is new. One waiting to be handled stands for all of the same part."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part

    def can_replace(self, message: Message) -> bool:
        """Newer ones replace older ones: a burst is painted once."""
        return isinstance(message, Changed) and message.part == self.part


class Top(App[None]):
    """``tocsin top``: reads the cluster through any of ``urls``."""

    TITLE = "tocsin top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #banner { height: 2; padding: 0 1; background: $surface; }
    #find { height: 3; display: none; }
    .finding #find { display: block; }
    #tree {
        width: 26; height: 1fr; border-top: solid $foreground 30%; border-right: solid $foreground 30%;
        background: $background; scrollbar-size-vertical: 1;
    }
    #content { width: 1fr; height: 1fr; }
    Rows { height: 1fr; border-top: solid $foreground 30%; padding: 0 1; background: $background;
           scrollbar-size-vertical: 1; scrollbar-gutter: stable;
           border-title-color: $foreground; border-title-style: bold; }
    Rows:focus, #tree:focus { border-top: heavy $accent; }
    #problems { height: auto; }
    #events { height: 8; }
    .tall #resources { height: auto; max-height: 60%; }
    .tall #events { height: 1fr; }
    .wide #tree { width: 36; }
    .only-problems #resources, .only-problems #events { display: none; }
    .only-problems #problems { height: 1fr; max-height: 100%; }
    .only-events #resources, .only-events #problems { display: none; }
    .only-events #events { height: 1fr; }
    .stale #tree, .stale Rows { opacity: 60%; }
    .no-colours .tree--cursor { text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("slash", "find", "Find", key_display="/"),
        Binding("s", "only('')", "Status"),
        Binding("p", "only('problems')", "Problems"),
        Binding("e", "only('events')", "Events"),
        Binding("r", "renew", "Renew", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("escape", "leave", "Back", show=False),
    ]
    # Textual declares these two as variables of the instance; they are never changed.
    HORIZONTAL_BREAKPOINTS = [(0, "narrow"), (120, "wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "low"), (40, "tall")]  # noqa: RUF012

    def __init__(self, urls: Sequence[str], *, looks: Looks | None = None) -> None:
        self.looks = looks or Looks()
        # The terminal's own colours, of which Textual then takes away all: shades of grey are colours too.
        super().__init__(ansi_color=not self.looks.colours)
        self.live = Live(urls, lambda part: self.post_message(Changed(part)))
        self.scope = EVERYTHING
        self._before_find = EVERYTHING
        # Kept, not queried: what is asked for by name is looked for on the screen that is in front.
        self._banner = Static(id="banner")
        self.navigation = Navigation(self.looks, id="tree")
        self._find = Input(placeholder="Find: a name, a node, a word", id="find")
        self.problems = Rows(self.looks, self._now, id="problems")
        self.resources = Rows(self.looks, self._now, id="resources")
        self.latest = Rows(self.looks, self._now, follow=True, id="events")

    def compose(self) -> ComposeResult:
        """The three parts of the page."""
        yield self._banner
        with Horizontal():
            yield self.navigation
            yield Vertical(self._find, self.problems, self.resources, self.latest, id="content")
        yield Footer()

    def on_mount(self) -> None:
        """Begins to follow the cluster."""
        self.set_class(not self.looks.colours, "no-colours")
        self.navigation.focus()
        self._show_all(anew=True)
        self.set_interval(1.0, self._tick)
        self.run_worker(self.live.run(), name="live", exclusive=True)

    def _now(self) -> float:
        return self.live.now

    # -- news ------------------------------------------------------------------------------------

    def on_changed(self, message: Changed) -> None:
        """Shows what is new, and only that."""
        if message.part == "board":
            self._show_board()
        if message.part == "events":
            self._show_events()
        self._show_banner()

    def _tick(self) -> None:
        """A second has passed: ages, the clock, and how long there was no contact."""
        self._show_banner()
        for rows in (self.problems, self.resources, self.latest):
            rows.refresh()

    # -- showing ---------------------------------------------------------------------------------

    def _show_all(self, *, anew: bool = False) -> None:
        self._show_banner()
        self._show_board(anew=anew)
        self._show_events(anew=anew)

    def _show_banner(self) -> None:
        state = banner(self.live, self.looks, max(20, self.size.width - 2), time.time())
        self._banner.update(state.text)
        self.set_class(state.stale and self.looks.colours, "stale")
        self.title = state.title

    def _show_board(self, *, anew: bool = False) -> None:
        cluster = self.live.cluster
        if cluster is None:
            waiting = sheets.Sheet("", (), (), "Nothing is known yet.")
            self.resources.show(waiting, anew=anew)
            return
        self.navigation.show(tree(cluster))
        problems = sheets.problems(cluster, self.scope)
        self.problems.show(problems, anew=anew)
        # Its heading, its border and its lines; a board without problems spends two lines on saying so.
        self.problems.styles.max_height = 2 + min(_MOST_PROBLEMS, len(problems.lines))
        self.resources.show(sheets.resources(cluster, self.scope), anew=anew)

    def _show_events(self, *, anew: bool = False) -> None:
        self.latest.show(sheets.events(self.live.events, self.scope), anew=anew)

    def _choose(self, scope: Scope) -> None:
        if scope != self.scope:
            self.scope = scope
            self._show_all(anew=True)

    # -- keys ------------------------------------------------------------------------------------

    @on(Navigation.Chosen)
    def _chosen(self, message: Navigation.Chosen) -> None:
        if not self.scope.find:
            self._choose(message.scope)
        else:
            self._before_find = message.scope

    @on(Navigation.Entered)
    def _entered(self, message: Navigation.Entered) -> None:
        self._end_find()
        self._choose(message.scope)
        self._first_part().focus()

    @on(Rows.Opened)
    def _opened(self, message: Rows.Opened) -> None:
        self.push_screen(Details(message.line, self.looks))

    def _first_part(self) -> Rows:
        if self.has_class("only-problems"):
            return self.problems
        return self.latest if self.has_class("only-events") else self.resources

    def action_only(self, part: str) -> None:
        """Shows one part of the content in full; the same once more: all of it."""
        part = "" if part and self.has_class(f"only-{part}") else part
        for each in ("problems", "events"):
            self.set_class(each == part, f"only-{each}")
        self._first_part().focus()

    def action_find(self) -> None:
        """Asks what to find."""
        self.add_class("finding")
        self._find.focus()

    @on(Input.Changed)
    def _sought(self, message: Input.Changed) -> None:
        if not self.scope.find:
            self._before_find = self.scope
        self._choose(Scope(find=message.value) if message.value else self._before_find)

    @on(Input.Submitted)
    def _found(self) -> None:
        self._first_part().focus()

    def _end_find(self) -> None:
        if self.has_class("finding"):
            self.remove_class("finding")
            self._find.clear()

    def action_leave(self) -> None:
        """Ends finding, then showing one part only, then goes back to the tree."""
        if self.has_class("finding"):
            self._end_find()
            self._choose(self._before_find)
            self._first_part().focus()
        elif self.has_class("only-problems") or self.has_class("only-events"):
            self.action_only("")
        else:
            self.navigation.focus()

    def action_renew(self) -> None:
        """Fetches the board anew."""
        self.live.renew()

    def action_help(self) -> None:
        """Shows the keys."""
        self.push_screen(Help(self.looks))
