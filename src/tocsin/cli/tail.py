"""``tocsin tail``: a monitor that shows events."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from tocsin.cli.usage import Usage, node_urls, seconds
from tocsin.core.errors import InterestError, NoContact

__all__ = ["tail"]

#: Seconds in which some node must have answered once; after that it is waited for without end.
_PATIENCE: Final = 10.0


def tail(
    *,
    on: list[str] | None = None,
    after: str | None = None,
    since: str | None = None,
    json: bool = False,
    url: list[str] | None = None,
) -> int:
    """Shows events as they happen, each once, also when the node that it asks fails.

    It begins at now. Where events may have been missed it says so: that is a gap.
    Exit codes: 1 refused; 2 wrong usage; 3 no node answers in the first ten seconds (later it waits);
    130 interrupted; 141 nobody reads the output any more.

    :param on: Only events of interest: type@node:subject with * and ?, e.g. "service.*@node1". May be
        repeated.
    :param after: Begin after this cursor; 0: with all that the node has.
    :param since: Begin with the events of the last seconds, or e.g. 5m, 1h.
    :param json: One CloudEvent a line, as JSON; a gap is {"gap":{"reason":…}}.
    :param url: The URL of a node; several: when one fails the next goes on; default: TOCSIN_URL, else
        http://127.0.0.1:8340.
    """
    if after is not None and since is not None:
        raise Usage("--after and --since: give one of them")
    urls = node_urls(url)
    age = seconds(since, "--since") if since is not None else None
    show = _as_json if json else _for_people()
    for item in _items(urls, " ".join(on or ()), after or "", age):
        sys.stdout.write(show(item) + "\n")
        sys.stdout.flush()
    return 0


def _items(urls: list[str], on: str, after: str, since: float | None) -> Iterator[Any]:
    """Events and gaps, without end. Raises NoContact only if there never was any."""
    from tocsin.monitor import Monitor

    contact = Contact(_PATIENCE)
    try:
        monitor = Monitor(urls, on=on, after=after, since=since, patience=_PATIENCE)
    except InterestError as error:
        raise Usage(f"--on: {error}") from None
    monitor.on_state(contact.changed)
    with monitor:
        while True:
            try:
                yield from monitor
            except NoContact:
                if not contact.ever:
                    raise


class Contact:
    """Says on standard error when the contact is lost: "no news" and "no contact" must not look alike."""

    def __init__(self, patience: float | None = None) -> None:
        #: Whether a feed has ever answered.
        self.ever = False
        self._told = False
        self._patience = patience

    def changed(self, state: str, node: str) -> None:
        """What a monitor calls when its state has changed."""
        if state == "live":
            if self._told:
                self._say(f"in contact with {node}")
            self.ever, self._told = True, False
        elif (state == "stale" or not self.ever) and not self._told:
            self._told = True
            if self.ever:
                self._say("no contact with any node, trying on")
            else:
                self._say(f"no answer yet, trying {f'for {self._patience:g} s' if self._patience else 'on'}")

    @staticmethod
    def _say(text: str) -> None:
        print(f"tocsin: {text}", file=sys.stderr, flush=True)


def _as_json(item: Any) -> str:
    import msgspec

    return msgspec.json.encode(item if isinstance(item, dict) else {"gap": item}).decode()


def _for_people() -> Any:
    from tocsin.cli.terminal import Painter

    paint = Painter(sys.stdout)

    def show(item: Any) -> str:
        return _event_line(item, paint) if isinstance(item, dict) else _gap_line(item, paint)

    return show


def _event_line(event: dict[str, Any], paint: Any) -> str:
    data = event.get("data")
    summary = data.get("summary", "") if isinstance(data, dict) else ""
    severity = str(event.get("severity", "info"))
    words = [str(event.get(name, "")) for name in ("node", "type", "subject")]
    rest = "  ".join(paint.plain(word) for word in (*words, str(summary)) if word)
    return f"{_clock(str(event.get('time', '')))}  {paint.word(severity, severity.ljust(8))}  {rest}"


def _gap_line(gap: Any, paint: Any) -> str:
    lost = ", ".join(f"{origin} {first} to {last}" for origin, (first, last) in sorted(gap.lost.items()))
    told = f"events may have been missed ({gap.reason}{f': {lost}' if lost else ''})"
    return str(paint.word("gap", f"-- gap: {paint.plain(told)}"))


def _clock(time: str) -> str:
    """An event's time on the clock of who reads it."""
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return "?".ljust(19)
