"""Who asks a node for what its buffer does not have is sent to nodes that have it: 421, with their URLs.

A node may keep no buffer, or one of some nodes only. Its pages and frames are served all the same: the board
is complete everywhere. Their monitors follow the feed of another node.
"""

from __future__ import annotations

from tocsin.core.interest import Interests
from tocsin.web.node import Node
from tocsin.web.problems import Problem

__all__ = ["check", "no_buffer"]


def no_buffer(node: Node) -> Problem:
    """The answer of a node that keeps no buffer: it names those that do."""
    return Problem("no-buffer", f"{node.name} keeps no buffer; {_who(node)}", nodes=_others(node))


def check(node: Node, interests: Interests) -> None:
    """Raises :exc:`Problem` where an event of interest could be one that the buffer leaves out.

    Not to answer would be silence about it, and a gap would be one for ever.
    """
    origins = node.settings.origins
    if origins and not interests.within(origins):
        which = f"{node.name} keeps events of {', '.join(origins)} only, and others may be of interest"
        raise Problem("partial-buffer", f"{which}; {_who(node)}", nodes=_others(node), origins=origins)


def _others(node: Node) -> dict[str, str]:
    return {name: url for name, url in node.feeds().items() if name != node.name}


def _who(node: Node) -> str:
    others = [f"{name} ({url})" for name, url in _others(node).items()]
    if not others:
        return "no node that keeps all events is known here"
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return f"ask {' or '.join(others[:5])}{more}"
