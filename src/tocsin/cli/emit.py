"""``tocsin emit``: publishes an event."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from tocsin.cli.http import request
from tocsin.cli.usage import Usage, node_urls
from tocsin.core.errors import FeedError

__all__ = ["emit", "plain_words"]


def emit(
    type: str,
    /,
    *,
    subject: str | None = None,
    severity: str | None = None,
    status: str | None = None,
    summary: str | None = None,
    data: str | None = None,
    url: str | None = None,
) -> int:
    """Publishes an event at a node, for the whole cluster, and prints its sequence.

    Exit codes: 0 published; 1 refused, the sentence says why; 2 wrong usage; 3 no node answers.

    :param type: What happened, as KIND.WHAT in lower case, e.g. backup.finished.
    :param subject: The resource that it is about, e.g. /srv/backup.
    :param severity: info, notice, warning, error or critical; default info.
    :param status: The resource's new status on the board: ok, warning, failed, unknown or gone.
    :param summary: One line in plain words.
    :param data: Anything more, as JSON; with --status or --summary it must be an object.
    :param url: The node's URL; default: TOCSIN_URL, else http://127.0.0.1:8340.
    """
    event: dict[str, Any] = {
        "specversion": "1.0",
        # Chosen here, once: a node that gets the same pair again does not publish it twice.
        "id": os.urandom(16).hex(),
        "source": f"/hosts/{os.uname().nodename}/tocsin-emit",
        "type": type,
    }
    if subject:
        event["subject"] = subject
    if severity:
        event["severity"] = severity
    content = _data(data, status, summary)
    if content is not None:
        event["data"] = content
    body = json.dumps(event, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    headers = {"Content-Type": "application/cloudevents+json"}
    answer = request(node_urls([url] if url else None), "POST", "/api/v1/events", body=body, headers=headers)
    try:
        [sequence] = answer.json()["sequences"]
    except (KeyError, TypeError, ValueError):
        raise FeedError(f"{answer.url}: what answers there is not a node of Tocsin") from None
    print(sequence)
    return 0


def _data(text: str | None, status: str | None, summary: str | None) -> Any:
    content: Any = None
    if text is not None:
        try:
            content = json.loads(text, parse_constant=_no_constant)
        except ValueError as error:
            raise Usage(f"--data is not JSON: {error}") from None
    told = {name: value for name, value in (("status", status), ("summary", summary)) if value is not None}
    if not told:
        return content
    if content is not None and not isinstance(content, dict):
        raise Usage("--data must be a JSON object when --status or --summary is given")
    return {**(content or {}), **told}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def plain_words(words: Sequence[str]) -> dict[str, str] | None:
    """The arguments of :func:`emit` where the words are plain: a type, and flags each with its value.

    None for everything else (help, mistakes): the command tree reads that and says what is wrong.
    """
    given: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            name, value = "type", word
        else:
            name, equals, value = word.removeprefix("--").partition("=")
            value = value if equals else next(rest, "-")
            if not word.startswith("--") or name not in (emit.__kwdefaults__ or {}) or value.startswith("-"):
                return None
        if name in given:
            return None
        given[name] = value
    return given if given.get("type") else None
