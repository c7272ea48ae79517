"""The engine's sockets: their close must not wait.

The engine has the kernel hold up the close of a link (``SO_LINGER``, ten seconds) until the peer has taken
what is on its way. A peer that was cut off does not, so a receive thread of the engine blocks; and if that
thread was the one that waited for the network on behalf of all, nothing is received over any link of any rail
until then, however many threads there are. There is no setting for it. What is on its way is repaired anyway,
so the waiting is switched off from outside.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Final

from tocsin.endpoints import Address

__all__ = ["close_at_once"]

_OFF: Final = struct.pack("ii", 0, 0)
_OPEN: Final = Path("/proc/self/fd")


def close_at_once(links: Collection[tuple[str, str]]) -> int:
    """Has the close of these TCP connections of this process return at once; returns how many it found.

    ``links``: (this end, the other end) as the engine writes them, e.g. ``tcp/10.1.0.1:7447``.
    """
    try:
        descriptors = [int(path.name) for path in _OPEN.iterdir()]
    except OSError:  # another system than Linux
        return 0
    return sum(_close_at_once(each, links) for each in descriptors)


def _close_at_once(descriptor: int, links: Collection[tuple[str, str]]) -> bool:
    try:
        # A copy: the engine may close its own, and somebody else get the number, between two calls.
        copy = os.dup(descriptor)
        if not stat.S_ISSOCK(os.fstat(copy).st_mode):
            os.close(copy)
            return False
        with socket.socket(fileno=copy) as sock:
            found = (_text(sock.getsockname()), _text(sock.getpeername())) in links
            if found:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _OFF)
            return found
    except OSError:  # not connected, or gone by now
        return False


def _text(name: object) -> str:
    match name:
        case (str(host), int(port), *_):
            return f"tcp/{Address(host, port)}"
    return ""
