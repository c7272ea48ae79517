"""``tocsin status``: the board."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, Final

from tocsin.cli.http import request
from tocsin.cli.terminal import Painter, columns
from tocsin.cli.usage import node_urls
from tocsin.core.errors import FeedError

__all__ = ["status"]

#: What each status of a resource makes of the exit code.
_CODES: Final = {"ok": 0, "warning": 1, "failed": 2, "unknown": 3}
#: Of several, the one that wins: a failure is worse than what nobody knows.
_ORDER: Final = (0, 1, 3, 2)


def status(*, json: bool = False, url: str | None = None) -> int:
    """Shows the state of every resource of the cluster, by node.

    Exit codes: 0 all fine; 1 warnings; 2 failures; 3 something is unknown and nothing failed, or no node
    answers.

    :param json: One resource a line, as JSON.
    :param url: The URL of the node to ask; default: TOCSIN_URL, else http://127.0.0.1:8340.
    """
    urls = node_urls([url] if url else None)
    try:
        board = request(urls, "GET", "/api/v1/board", headers={"Accept": "application/json"}).json()
        resources = [dict(resource) for resource in board["resources"]]
    except FeedError as error:
        # Whatever the reason: the state of the cluster is unknown.
        error.exit_code = 3  # type: ignore[attr-defined]
        raise
    except (KeyError, TypeError, ValueError):
        raise _Unreadable(urls[0]) from None
    if json:
        _print_json(resources)
    else:
        _print_table(resources)
    return _exit_code(resources)


class _Unreadable(FeedError):
    exit_code = 3

    def __init__(self, url: str) -> None:
        super().__init__(f"{url}: what answers there is not a node of Tocsin")


def _exit_code(resources: Iterable[dict[str, Any]]) -> int:
    codes = {_CODES.get(str(resource.get("status")), 3) for resource in resources}
    return max(codes, key=_ORDER.index, default=0)


def _print_json(resources: Iterable[dict[str, Any]]) -> None:
    for resource in resources:
        print(json.dumps(resource, ensure_ascii=False, separators=(",", ":")))


def _print_table(resources: list[dict[str, Any]]) -> None:
    paint = Painter(sys.stdout)
    by_node: dict[str, list[dict[str, Any]]] = {}
    for resource in resources:
        by_node.setdefault(str(resource.get("node", "")), []).append(resource)
    up = [r for r in resources if r.get("kind") == "node" and _state(r) == "up"]
    nodes = [r for r in resources if r.get("kind") == "node"]
    print(paint.bold(f"{len(up)} of {len(nodes)} nodes up"))
    for node in sorted(by_node):
        print(f"\n{paint.bold(paint.plain(node))}")
        rows = sorted(by_node[node], key=_worst_first)
        for line in columns([_row(resource) for resource in rows], paint, indent="  "):
            print(line)


def _state(resource: dict[str, Any]) -> str:
    attributes = resource.get("attributes")
    return str(attributes.get("state", "")) if isinstance(attributes, dict) else ""


def _worst_first(resource: dict[str, Any]) -> tuple[bool, int, str, str]:
    code = _CODES.get(str(resource.get("status")), 3)
    own = resource.get("kind") == "node"
    return (not own, -_ORDER.index(code), str(resource.get("kind")), str(resource.get("subject")))


def _row(resource: dict[str, Any]) -> tuple[str, ...]:
    names = ("status", "kind", "subject", "since", "summary")
    cells = [str(resource.get(name) or "") for name in names]
    cells[3] = cells[3][:19].replace("T", " ")
    return tuple(cells)
