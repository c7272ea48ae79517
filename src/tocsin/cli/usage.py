"""What a user typed wrongly, and what verbs share in reading it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from tocsin.core.errors import TocsinError

__all__ = ["DEFAULT_URL", "Usage", "node_urls", "seconds"]

#: Where the agent of this machine listens by default.
DEFAULT_URL = "http://127.0.0.1:8340"


class Usage(TocsinError):
    """The command line is wrong; the sentence says what to write."""

    exit_code = 2


def node_urls(given: Sequence[str] | None) -> list[str]:
    """The URLs of nodes to ask, in order: those given, else those of TOCSIN_URL, else this machine's."""
    urls = list(given or os.environ.get("TOCSIN_URL", "").replace(",", " ").split() or [DEFAULT_URL])
    for url in urls:
        _check(url)
    return [url.rstrip("/") for url in dict.fromkeys(urls)]


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        right = right and not (parts.query or parts.fragment or parts.username)
    except ValueError:  # a port that is no number, a bad IPv6 address
        right = False
    if not right:
        raise Usage(f"{url!r} is not the URL of a node: write http://HOST:PORT, e.g. {DEFAULT_URL}")


def seconds(text: str, flag: str) -> float:
    """A time like ``90``, ``90s``, ``5m``, ``1h``, ``1d``."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        value = float(number) * units[unit]
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise Usage(f"{flag}: {text!r} is not a time: write seconds, or e.g. 5m, 1h")
    return value
