"""Problems: every refusal and every gap is one RFC 9457 document of one shape.

Programs branch on ``type``; people read ``title`` and ``detail``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

__all__ = ["MEDIA_TYPE", "PROBLEMS", "Problem", "type_of"]

MEDIA_TYPE: Final = "application/problem+json"
_encoder = msgspec.json.Encoder()

#: What can be wrong: slug -> (status, title).
PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "bad-request": (400, "The request cannot be read"),
    "bad-event": (400, "The event is refused"),
    "cross-site": (403, "Refused: the request comes from a page of another site"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "This cannot be done here"),
    "too-slow": (408, "The body did not arrive in time"),
    "conflict": (409, "This cannot be done now"),
    "gap": (410, "Events may have been missed: refresh"),
    "too-large": (413, "Too large"),
    "unsupported-media-type": (415, "Not in this format"),
    "unknown-host": (421, "This node is not known by that name"),
    "no-buffer": (421, "This node keeps no buffer"),
    "partial-buffer": (421, "This node's buffer leaves out what is asked for"),
    "internal": (500, "An error of this node"),
    "not-ready": (503, "This node is not ready yet"),
    "crowded": (503, "Too many connections"),
}


def type_of(slug: str) -> str:
    """The ``type`` of a problem, stable for programs."""
    return f"urn:tocsin:problem:{slug}"


class Problem(Exception):
    """A refusal or a gap: ``detail`` says what is wrong here, ``more`` are further members."""

    def __init__(
        self, slug: str, detail: str, *, headers: Iterable[tuple[str, str]] = (), **more: Any
    ) -> None:
        super().__init__(detail)
        self.slug, self.detail, self.more = slug, detail, more
        self.status, self.title = PROBLEMS[slug]
        self.headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]

    def body(self) -> bytes:
        """The document."""
        return _encoder.encode(
            {
                "type": type_of(self.slug),
                "title": self.title,
                "status": self.status,
                "detail": _readable(self.detail),
                **self.more,
            }
        )


def _readable(text: str) -> str:
    """What a client sent may be quoted in the detail; half a surrogate pair is no JSON."""
    return text.encode("utf-8", "replace").decode("utf-8")
