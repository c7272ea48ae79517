"""Calls that may hang, made aside: in a daemon thread, with a limit.

A system call on a dead network file system never returns and cannot be cancelled. The threads of
:func:`asyncio.to_thread` are waited for when the process ends, so such a call would keep the agent
from stopping; a daemon thread does not.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

__all__ = ["aside"]

T = TypeVar("T")


def aside(function: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Starts ``function`` in a daemon thread ``name``; the future is done when it has returned or raised.

    Cancelling the future does not end the thread.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # None only where T allows it

    def work() -> None:
        result, failure = None, None
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            failure = error
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future
