"""The banner: the cluster, its verdict, one sentence, and whether all this is fresh."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

from tocsin.logs import printable
from tocsin.monitor.tui.live import Live
from tocsin.monitor.tui.looks import Looks
from tocsin.monitor.tui.model import verdict

__all__ = ["Banner", "banner"]

_BOLD: Final = Style(bold=True)


class Banner(NamedTuple):
    """What it says; ``stale``: what the page shows may be true no more."""

    text: Text
    stale: bool
    title: str


def banner(live: Live, looks: Looks, width: int, now: float) -> Banner:
    """The banner in ``width`` places; ``now``: seconds since 1970."""
    cluster = live.cluster
    contact, stale = _contact(live, now)
    if cluster is None:
        status, word = "unknown", "Unknown"
        sentence = f"No answer yet: {live.why or live.trouble}" if live.why or live.trouble else "Asking …"
        name = "tocsin"
    else:
        found, name = verdict(cluster, live.now), cluster.name
        word, sentence = found.word, found.sentence
        if stale:  # what was fine need not be fine now: the verdict is not known
            word, sentence = "Unknown", f"Last known: {found.word.lower()}: {found.sentence}"
        status = "unknown" if stale else found.status
    text = Text(no_wrap=True, overflow="crop")
    left = Text.assemble(
        (f"{printable(name)}  ", "bold"), (looks.mark(status, word.upper()), looks.style(status) + _BOLD)
    )
    mark = "ok" if live.state == "live" and not stale else "unknown"
    right = Text(looks.mark(mark, printable(contact)), looks.style("faint" if mark == "ok" else mark))
    text.append_text(_row(left, right, width))
    text.append("\n")
    text.append(_short(printable(sentence), width))
    return Banner(text, stale, f"{name} – {word.lower()}")


def _row(left: Text, right: Text, width: int) -> Text:
    room = width - left.cell_len - right.cell_len
    if room < 2:
        right.truncate(max(0, width - left.cell_len - 2), overflow="ellipsis")
        room = width - left.cell_len - right.cell_len
    return Text.assemble(left, " " * max(0, room), right)


def _short(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _contact(live: Live, now: float) -> tuple[str, bool]:
    """Whether the page is fresh, in words; and whether what it shows may be true no more."""
    heard = _clock(live.heard)
    where = live.cluster.node if live.cluster and live.is_home else live.url.partition("://")[2]
    if live.state == "live":
        if live.trouble and live.cluster is not None:
            return f"Live via {where}, but its board cannot be fetched", True
        return f"Live via {where} · {_clock(now)}", False
    if live.state == "stale":
        return f"Stale since {heard} · trying {where}" if heard else f"No answer · trying {where}", True
    if live.state == "refused":
        return f"Refused: {live.why}", True
    if live.state == "trying":
        return f"No answer since {heard} · trying {where}" if heard else f"Trying {where}", False
    return f"Asking {where}", False


def _clock(seconds: float | None) -> str:
    """A time of day on the clock of who reads it."""
    return "" if seconds is None else datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")
