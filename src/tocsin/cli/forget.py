"""``tocsin forget``: removes the name of a node."""

from __future__ import annotations

from urllib.parse import quote

from tocsin.cli.http import request
from tocsin.cli.usage import node_urls
from tocsin.core.errors import FeedError, Refused

__all__ = ["forget"]


def forget(node: str, /, *, url: str | None = None) -> int:
    """Removes a node that is gone for good from the board of the cluster.

    A node that is up is not removed; one that comes back is a new one.
    Exit codes: 0 removed; 1 refused (no such node, or it is up); 2 wrong usage; 3 no node answers.

    :param node: The name of the node.
    :param url: The URL of the node to ask; default: TOCSIN_URL, else http://127.0.0.1:8340.
    """
    # Two segments "." and ".." would be taken for a path; a node's name cannot be one of them.
    path = f"/api/v1/nodes/{quote(node, safe='')}/forget"
    urls, headers = node_urls([url] if url else None), {"Content-Type": "application/json"}
    try:
        request(urls, "POST", path, body=b"{}", headers=headers)
    except Refused as refused:
        why = refused.problem.get("detail") or str(refused)
        raise FeedError(f"{node} is not forgotten: {why}") from None
    print(f"{node} is forgotten")
    return 0
