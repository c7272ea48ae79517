"""Words, ages, sizes and ids as pages write them. Pure functions."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from tocsin.core.board import Resource
from tocsin.core.verdict import WORDS, node_words, wall_seconds

__all__ = [
    "LABELS",
    "bits",
    "clock",
    "headline",
    "link_of",
    "many",
    "node_path",
    "percent",
    "plain",
    "said",
    "size",
    "slug",
    "state_of",
    "text_of",
]

#: Kind → what one resource of it is called; other kinds are called by their own name.
LABELS: Final = {
    "node": "Node",
    "rail": "Rail",
    "service": "Service",
    "process": "Process",
    "adapter": "Adapter",
    "storage": "Volume",
    "device": "Device",
    "cpu": "CPU",
    "memory": "Memory",
    "config": "File",
    "log": "Log",
    "agent": "Agent",
}
_PLAIN: Final = re.compile(rb"[A-Za-z0-9-]")
# With these an event could disguise what stands beside it (security requirement 1).
_TURNING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MAX_SLUG: Final = 120


def slug(*parts: str) -> str:
    """An id made from names: the same for the same names, different for different ones, safe anywhere.

    Letters, digits and ``-`` stay; other bytes become ``_`` and two hexadecimal digits, so that ``__``
    can stand between the parts. A long id is cut and gets a hash in place of the rest.
    """
    text = "__".join("".join(_escaped(byte) for byte in part.encode("utf-8", "replace")) for part in parts)
    if len(text) <= _MAX_SLUG:
        return text
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]
    return f"{text[:80]}___{digest}"


def _escaped(byte: int) -> str:
    return chr(byte) if _PLAIN.match(bytes((byte,))) else f"_{byte:02x}"


def clock(iso: str, today: str) -> str:
    """The time of day in UTC, with the date before it if that is not ``today`` (``YYYY-MM-DD``)."""
    seconds = wall_seconds(iso)
    if seconds is None:
        return ""
    at = datetime.fromtimestamp(seconds, UTC)
    return at.strftime("%H:%M:%S" if at.strftime("%Y-%m-%d") == today else "%Y-%m-%d %H:%M")


def size(count: object) -> str:
    """Bytes in words: ``8.4 GiB``; empty for what is no number."""
    if isinstance(count, bool) or not isinstance(count, int | float):
        return ""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} PiB"


def bits(per_second: float | None) -> str:
    """Bytes a second as megabits a second, the unit of adapters: ``0.03``, ``4.2``, ``212``."""
    if per_second is None:
        return ""
    value = per_second * 8 / 1e6
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def percent(value: float | None) -> str:
    """A percentage in whole numbers; empty if it is not known."""
    return "" if value is None else f"{value:.0f} %"


def many(count: int, one: str, more: str = "") -> str:
    """``1 node``, ``3 nodes``."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def said(summary: str, subject: str) -> tuple[str, str]:
    """A summary in two: what is said of the subject, and the rest behind the first ``:``, ``(`` or ``;``."""
    rest = summary.removeprefix(subject).strip() if summary.startswith(subject) else ""
    if not rest:
        return "", summary
    found = re.match(r"([^:(;]{1,80}?)\s*(?:[:;]\s+|\()(.*)\Z", rest, re.DOTALL)
    if not found:
        return (rest, "") if len(rest) <= 80 else ("", summary)
    tail = found[2].rstrip()
    closed = "(" in rest and tail.endswith(")") and tail.count("(") < tail.count(")")
    return found[1], tail[:-1] if closed else tail


def headline(resource: Resource) -> tuple[str, str]:
    """What is the matter with a resource, in bold, and the rest."""
    subject = resource.subject
    if resource.kind == "node":
        words = node_words(resource)[1]
        return (f"{subject} {words}" if words else subject), said(resource.summary, subject)[1]
    if resource.kind == "agent" and subject.startswith("generator/"):
        name = subject.removeprefix("generator/")
        state = text_of(resource.attributes.get("state")) or WORDS.get(resource.status, "").lower()
        return f"Generator {name} on {resource.node} is {state}", text_of(resource.attributes.get("reason"))
    words, rest = said(resource.summary, subject)
    label = LABELS.get(resource.kind, _capital(resource.kind))
    named = f"{label} {subject} on {resource.node}" if subject else f"{label} on {resource.node}"
    return f"{named} {words}".strip(), rest


def state_of(resource: Resource) -> str:
    """One or two words for the state of a resource, to stand beside its icon."""
    state = text_of(resource.attributes.get("state"))
    if resource.kind == "node":
        return node_words(resource)[0]
    if resource.status == "unknown":
        return WORDS["unknown"]
    if resource.kind == "adapter":
        return _adapter_state(resource)
    if resource.kind == "storage":
        access = "Read-only" if resource.attributes.get("access") == "ro" else "Mounted"
        return access if state in ("", "ok") else _capital(state)
    return _capital(state) if 0 < len(state) <= 24 else WORDS.get(resource.status, "Unknown")


def _adapter_state(resource: Resource) -> str:
    if resource.attributes.get("admin") == "down":
        return "Off" if resource.status == "ok" else "Down"
    if resource.type.endswith(".no-carrier") or resource.attributes.get("operational") == "lowerlayerdown":
        return "No carrier"
    return "Up" if resource.status == "ok" else "Down"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def text_of(value: Any, most: int = 400) -> str:
    """A value of an event's attributes as text, cut to a length that a page can show."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        text = ", ".join(text_of(item, 100) for item in value[:20])
    elif isinstance(value, dict):
        text = ", ".join(f"{key}: {text_of(item, 100)}" for key, item in list(value.items())[:20])
    else:
        text = str(value)
    text = plain(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def plain(text: str) -> str:
    """The text without characters that control a terminal or turn the direction of what stands beside it."""
    return _TURNING.sub("\N{REPLACEMENT CHARACTER}", text)


def link_of(text: str) -> str:
    """The address to link to if the text is an http or https address as a whole; else empty."""
    return text if re.fullmatch(r"https?://[^\s\"'<>`{}|\\^]{1,2000}", text, re.ASCII) else ""


def node_path(name: str) -> str:
    """The page of a node."""
    return f"/nodes/{quote(name, safe='')}"
