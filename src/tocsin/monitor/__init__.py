"""Stage 5: monitors in Python. They read a feed through any node of the cluster, and miss nothing silently.

* :class:`Monitor` iterates over events, or calls handlers; plain blocking code;
* :class:`AsyncMonitor` is the same for asyncio;
* :class:`Gap` is what they give instead of events that may have been missed: refresh what you derived;
* :func:`key_of` is the identity of an event, to recognise one that is handed on again after a crash.

An event is a dict: the CloudEvent as JSON, with ``number`` and ``recordedtime`` of the node it came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tocsin.core.errors import NoContact, Refused
from tocsin.core.follow import Gap, Position, key_of
from tocsin.monitor.items import Event
from tocsin.monitor.sync import Monitor

if TYPE_CHECKING:
    from tocsin.monitor.aio import AsyncMonitor

__all__ = ["AsyncMonitor", "Event", "Gap", "Monitor", "NoContact", "Position", "Refused", "key_of"]


def __getattr__(name: str) -> Any:
    # asyncio and httpx cost 0.3 s to import, which `tocsin tail` need not wait for.
    if name == "AsyncMonitor":
        from tocsin.monitor.aio import AsyncMonitor  # noqa: PLC0415

        return AsyncMonitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
