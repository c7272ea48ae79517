"""Reading what a reader asks of the feed, strictly: what is not understood is refused, not ignored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from msgspec import Struct, field

from tocsin.core.cursor import Cursor
from tocsin.core.errors import InterestError
from tocsin.core.interest import EVERYTHING, MAX_INTERESTS, Interests
from tocsin.web.node import MAX_WAIT
from tocsin.web.problems import Problem

__all__ = ["DEFAULT_LIMIT", "MAX_LIMIT", "Query", "parameters", "parse_query", "parse_resume"]

DEFAULT_LIMIT: Final = 1000
MAX_LIMIT: Final = 10_000
_MAX_ORIGINS: Final = 10_000
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?\Z")
_SEQUENCE: Final = re.compile(r"[0-9]{13}-[0-9]{12}\Z")
_KNOWN: Final = ("after", "on", "limit", "wait", "view", "seen", "since")


class Query(Struct, frozen=True):
    """What a reader asks."""

    #: The text of the cursor; None: from now on. ``cursor`` is None where it cannot be read.
    after: str | None = None
    cursor: Cursor | None = None
    interests: Interests = EVERYTHING
    limit: int = DEFAULT_LIMIT
    #: Seconds.
    wait: float = 0.0
    since: float | None = None
    brief: bool = False
    full_seen: bool = False
    #: What a reader from another node has seen; None for an ordinary request.
    seen: Mapping[str, str] | None = None

    @property
    def whole(self) -> bool:
        """Whether it asks for the whole window."""
        return self.after == "0"


class _Given(Struct):
    single: dict[str, str] = field(default_factory=dict)
    on: list[str] = field(default_factory=list)


def parameters(query_string: bytes) -> list[tuple[str, str]]:
    """The parameters of a URL. Raises :exc:`Problem` where they cannot be read."""
    try:
        text = query_string.decode("ascii")
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_INTERESTS + 20)
    except ValueError as error:
        raise Problem("bad-request", f"the query of the URL cannot be read: {error}") from None


def parse_query(query_string: bytes) -> Query:
    """Reads the parameters of ``GET /api/v1/events``. Raises :exc:`Problem`."""
    given = _Given()
    for name, value in parameters(query_string):
        if name not in _KNOWN:
            raise _bad(name, f"is not known; there are {', '.join(_KNOWN)}")
        if name == "on":
            given.on.append(value)
        elif name in given.single:
            raise _bad(name, "is there twice")
        else:
            given.single[name] = value
    return _query(given)


def _query(given: _Given) -> Query:
    single = given.single
    after = single.get("after")
    if after is not None and "since" in single:
        raise _bad("since", "cannot go together with 'after'")
    return Query(
        after=after,
        cursor=_cursor(after),
        interests=_interests(given.on),
        limit=_limit(single.get("limit")),
        wait=_seconds("wait", single.get("wait", "0"), MAX_WAIT),
        since=_seconds("since", single["since"], 10**9) if "since" in single else None,
        brief=_choice("view", single.get("view", "full"), ("full", "brief")) == "brief",
        full_seen="seen" in single and _choice("seen", single["seen"], ("full",)) == "full",
    )


def parse_resume(document: Any) -> Query:
    """Reads the body of ``POST /api/v1/events/resume``. Raises :exc:`Problem`."""
    if not isinstance(document, dict):
        raise Problem("bad-request", "the body is not a JSON object")
    for name in document:
        if name not in ("after", "seen", "on", "limit", "view"):
            raise _bad(name, "is not known; there are after, seen, on, limit, view")
    after = document.get("after", "")
    if not isinstance(after, str):
        raise _bad("after", "is not text")
    on = document.get("on", [])
    on = [on] if isinstance(on, str) else on
    if not isinstance(on, list) or not all(isinstance(text, str) for text in on):
        raise _bad("on", "is not text, or a list of texts")
    view = _choice("view", document.get("view", "full"), ("full", "brief"))
    return Query(
        after=after,
        interests=_interests(on),
        limit=_whole(document.get("limit", DEFAULT_LIMIT)),
        brief=view == "brief",
        seen=_seen(document.get("seen", {})),
    )


def _seen(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > _MAX_ORIGINS:
        raise _bad("seen", "is not an object of origin: sequence")
    for origin, sequence in value.items():
        if not isinstance(sequence, str) or not _SEQUENCE.match(sequence):
            raise _bad("seen", f"has no sequence for {origin[:80]!r}")
    return value


def _cursor(text: str | None) -> Cursor | None:
    try:
        return None if text is None else Cursor.parse(text)
    except ValueError:
        return None


def _interests(on: list[str]) -> Interests:
    if len(on) > MAX_INTERESTS:
        raise _bad("on", f"is there {len(on)} times, at most {MAX_INTERESTS}")
    try:
        return Interests.parse(" ".join(on))
    except InterestError as error:
        raise _bad("on", str(error)) from None


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise _bad("limit", f"is not a whole number from 1 to {MAX_LIMIT}")
    return _whole(int(text))


def _whole(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # to JSON 5.0 and 5 are the same number
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_LIMIT:
        raise _bad("limit", f"is not a whole number from 1 to {MAX_LIMIT}")
    return value


def _seconds(name: str, text: str, most: float) -> float:
    if not _NUMBER.match(text) or float(text) > most:
        raise _bad(name, f"is not a number of seconds from 0 to {most:g}")
    return float(text)


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise _bad(name, f"is not {' or '.join(choices)}")
    return value


def _bad(name: str, what: str) -> Problem:
    return Problem("bad-request", f"{name[:80]!r} {what}", parameter=name[:80])
