"""CloudEvents 1.0 over HTTP, inbound: structured, binary and batch (docs: reference/publishing).

Every event is taken or all are refused. What comes from outside becomes a :class:`Draft` here and nowhere
else, checked by the rules of ``core/event.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

from tocsin.core.admission import check_published
from tocsin.core.errors import EventError
from tocsin.core.event import Draft
from tocsin.web.problems import Problem
from tocsin.web.strict import loads

__all__ = ["MAX_EVENTS", "read"]

MAX_EVENTS: Final = 1000
_MAX_ATTRIBUTES: Final = 64
_STRUCTURED: Final = "application/cloudevents+json"
_BATCH: Final = "application/cloudevents-batch+json"
#: What a draft has a field for.
_FIELDS: Final = ("id", "source", "type", "subject", "time", "node", "severity", "expirytime")
#: What this node or its feed states of an event.
_OURS: Final = frozenset({"origin", "sequence", "number", "recordedtime"})
_NAME: Final = re.compile(r"[a-z0-9]{1,64}\Z")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_TEXT: Final = 2048


def read(headers: Iterable[tuple[bytes, bytes]], body: bytes, *, cluster: str, here: str) -> list[Draft]:
    """The drafts in a request to node ``here``. Raises :exc:`Problem`."""
    given = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    media, charset = _content_type(given)
    if charset not in ("", "utf-8", "us-ascii"):
        raise Problem("unsupported-media-type", f"charset {charset[:40]!r}; send UTF-8")
    if media == _BATCH:
        documents = _json(body)
        if not isinstance(documents, list):
            raise Problem("bad-event", "a batch is a JSON array of events")
    elif media == _STRUCTURED:
        documents = [_json(body)]
    elif any(name == "ce-specversion" for name, _ in given):
        documents = [_binary(given, media, body)]
    else:
        raise Problem(
            "unsupported-media-type",
            f"{media[:80] or 'no content type'!r}; send {_STRUCTURED}, {_BATCH}, or an event in binary mode "
            "with ce-specversion, ce-id, ce-source and ce-type",
        )
    if len(documents) > MAX_EVENTS:
        raise Problem("too-large", f"{len(documents)} events, at most {MAX_EVENTS} in a batch")
    which = "event {}: " if len(documents) > 1 else ""
    return [_checked(each, index, which.format(index), cluster, here) for index, each in enumerate(documents)]


def _checked(document: Any, index: int, which: str, cluster: str, here: str) -> Draft:
    try:
        draft = _draft(document)
        if draft.source.startswith(f"/clusters/{cluster}/nodes/"):
            raise EventError("is that of this cluster's own generators", attribute="source")
        check_published(draft, here=here)
    except EventError as error:
        more: dict[str, Any] = {"attribute": error.attribute} if error.attribute else {}
        raise Problem("bad-event", f"{which}{error}", index=index, **more) from None
    return draft


def _draft(document: Any) -> Draft:
    if not isinstance(document, dict):
        raise EventError("is not a JSON object")
    if len(document) > _MAX_ATTRIBUTES:
        raise EventError(f"has {len(document)} attributes, at most {_MAX_ATTRIBUTES}")
    if document.get("specversion") != "1.0":
        raise EventError("is not '1.0'", attribute="specversion")
    for name in ("id", "source", "type"):
        if not document.get(name):
            raise EventError("is missing; CloudEvents 1.0 requires it", attribute=name)
    fields: dict[str, Any] = {}
    extensions: dict[str, Any] = {}
    for name, value in document.items():
        if name in {"specversion", "data"} or value is None:
            continue
        _check_attribute(name, value)
        (fields if name in _FIELDS else extensions)[name] = value
    for name in ("time", "expirytime"):
        if name in fields:
            _check_time(name, fields[name])
    return Draft(**fields, data=document.get("data"), extensions=extensions)


def _check_attribute(name: str, value: Any) -> None:
    if name == "data_base64":
        raise EventError("is not carried; send JSON or text in 'data'", attribute=name)
    if name in _OURS:
        raise EventError("is set by Tocsin; leave it out", attribute=name)
    if not _NAME.match(name):
        raise EventError("a name of an attribute has lower-case letters and digits only", attribute=name[:80])
    if name in _FIELDS and not isinstance(value, str):
        raise EventError("is not text", attribute=name)
    if isinstance(value, str):
        if len(value) > _MAX_TEXT or _CONTROL.search(value):
            raise EventError(f"has a control character, or more than {_MAX_TEXT} characters", attribute=name)
    elif isinstance(value, bool):
        pass
    elif not isinstance(value, int) or not -(2**31) <= value < 2**31:
        raise EventError("is not text, a truth value or a 32-bit integer", attribute=name)


def _check_time(name: str, value: str) -> None:
    try:
        if _TIME.match(value) is None:
            raise ValueError
        datetime.fromisoformat(value.upper())
    except ValueError:
        raise EventError(f"{value[:40]!r} is not RFC 3339 with a time zone", attribute=name) from None


# -- the three modes ---------------------------------------------------------------------------


def _content_type(given: Sequence[tuple[str, str]]) -> tuple[str, str]:
    values = [value for name, value in given if name == "content-type"]
    if len(values) > 1:
        raise Problem("bad-request", "there are two Content-Type headers")
    media, _, rest = (values[0] if values else "").partition(";")
    match = re.search(r'charset\s*=\s*"?([^";\s]*)', rest, re.IGNORECASE)
    return media.strip().lower(), match[1].lower() if match else ""


def _json(body: bytes) -> Any:
    try:
        return loads(body)
    except ValueError as error:
        raise Problem("bad-request", f"the body is not JSON: {error}") from None


def _binary(given: Sequence[tuple[str, str]], media: str, body: bytes) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in given:
        if not name.startswith("ce-"):
            continue
        attribute = name[3:]
        if attribute in document or attribute in {"data", "datacontenttype"}:
            raise Problem("bad-request", f"the header {name[:80]!r} is there twice, or not allowed")
        try:
            document[attribute] = unquote(value, errors="strict")
        except UnicodeDecodeError:
            raise Problem("bad-request", f"the header {name[:80]!r} is not percent-encoded UTF-8") from None
    document.update(_content(media, body))
    return document


def _content(media: str, body: bytes) -> Mapping[str, Any]:
    if not body:
        return {}
    if media == "application/json" or media.endswith("+json"):
        kind = {} if media == "application/json" else {"datacontenttype": media}
        return {**kind, "data": _json(body)}
    if media.startswith("text/"):
        try:
            return {"datacontenttype": media, "data": body.decode("utf-8")}
        except UnicodeDecodeError:
            raise Problem("bad-request", "the body is not UTF-8") from None
    raise Problem("unsupported-media-type", f"the data is {media[:80]!r}; JSON and text are carried")
