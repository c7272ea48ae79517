"""One request to a node, with the standard library only: ``tocsin emit`` has no time to load more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tocsin.core.errors import FeedError, NoContact, Refused

__all__ = ["Answer", "request"]

#: Seconds in which a node must answer.
TIMEOUT = 10.0
#: What another node may do that this one cannot now: it has no buffer, or is not ready yet.
_ELSEWHERE = frozenset({421, 503})
#: More than a board of a hundred thousand resources.
_MAX_BODY = 256 << 20


class Answer(NamedTuple):
    """What a node answered."""

    url: str
    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises :exc:`FeedError` if it is something else: no node answers there."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise FeedError(f"{self.url}: what answers there is not a node of Tocsin") from None


def request(
    urls: Sequence[str],
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Asks the nodes in order until one answers; 2xx only.

    Raises :exc:`NoContact` if none answers, :exc:`Refused` if one does and refuses.
    """
    told = []
    refused: Refused | None = None
    for url in urls:
        try:
            answer = _once(url, method, path, body, dict(headers or {}))
        except (OSError, HTTPException) as error:
            told.append(f"{url}: {_reason(error)}")
            continue
        if 200 <= answer.status < 300:
            return answer
        refused = Refused(answer.status, _problem(answer))
        if answer.status not in _ELSEWHERE:
            break
    if refused is not None:
        raise refused
    hint = "is the agent running? Name another node with --url or TOCSIN_URL"
    raise NoContact(f"no node answers at {'; '.join(told)} ({hint})")


def _once(url: str, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=TIMEOUT)
    try:
        connection.request(method, parts.path.rstrip("/") + path, body, headers)
        response = connection.getresponse()
        return Answer(url, response.status, response.read(_MAX_BODY))
    finally:
        connection.close()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).lower()
    return "what answers there does not speak HTTP as it should"


def _problem(answer: Answer) -> dict[str, Any]:
    """The problem document of a refusal (RFC 9457), or one made of what there is."""
    try:
        problem = json.loads(answer.body)
    except ValueError:
        problem = None
    if isinstance(problem, dict) and "title" in problem:
        return problem
    return {"title": f"{answer.url} answers HTTP {answer.status}", "status": answer.status}
