"""What publishers may not publish: bad names, reserved kinds, words for others."""

from __future__ import annotations

import re
from typing import Any, Final

from tocsin.core.errors import EventError, ReservedKind
from tocsin.core.event import KINDS_OF_AGENTS, SEVERITIES, STATUSES, Draft

__all__ = ["check_published"]

_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+\Z")
_NODE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9])?\Z")
# CloudEvents 1.0 section 3.1.1: control characters must not appear in strings.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LIMITS: Final = {"type": 200, "subject": 1024, "id": 256, "source": 1024, "node": 255}


def check_published(draft: Draft, *, here: str) -> None:
    """Refuses what a publisher at node ``here`` may not publish. Raises :exc:`EventError`."""
    for name, limit in _LIMITS.items():
        value = getattr(draft, name)
        if len(value) > limit:
            raise EventError(f"has {len(value)} characters, at most {limit}", attribute=name)
        if _CONTROL.search(value):
            raise EventError("has a control character or half a surrogate pair", attribute=name)
    if not _TYPE.match(draft.type):
        raise EventError(
            f"{draft.type[:80]!r} is not <kind>.<what> in lower case, e.g. 'backup.finished'",
            attribute="type",
        )
    kind = draft.type.partition(".")[0]
    if kind in KINDS_OF_AGENTS:
        raise ReservedKind(kind)
    if draft.node and not _NODE.match(draft.node):
        raise EventError(f"{draft.node[:80]!r} is not the name of a node", attribute="node")
    if draft.node not in ("", here):
        # DESIGN.md section 4: whom it concerns is the origin, except for node.* and rail.*
        raise EventError(f"is {draft.node!r}; a publisher here speaks for {here!r}", attribute="node")
    if draft.severity not in SEVERITIES:
        raise EventError(
            f"is {draft.severity[:40]!r}, not one of {', '.join(SEVERITIES)}", attribute="severity"
        )
    if isinstance(draft.data, dict):
        _check_data(draft.data)


def _check_data(data: dict[str, Any]) -> None:
    status = data.get("status")
    if status is not None and status not in STATUSES:
        raise EventError(
            f"'status' is {str(status)[:40]!r}, not one of {', '.join(STATUSES)}", attribute="data"
        )
    if not isinstance(data.get("summary", ""), str):
        raise EventError("'summary' is not text", attribute="data")
    if not isinstance(data.get("attributes", {}), dict):
        raise EventError("'attributes' is not an object", attribute="data")
