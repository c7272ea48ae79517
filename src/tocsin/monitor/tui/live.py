"""The board and the latest events, kept fresh through any node of the cluster. No terminal here.

The board is fetched when an event that can have changed it arrives, after a gap, after a change of node,
when something on it expires, and for no other reason.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import httpx

from tocsin.core.errors import CodecError, Refused
from tocsin.core.follow import Gap
from tocsin.core.verdict import wall_seconds
from tocsin.monitor.aio import AsyncMonitor
from tocsin.monitor.tui.model import Cluster, changes_board, read_board
from tocsin.monitor.tui.sheets import Told, told

__all__ = ["Live", "Part"]

#: What has changed: the state of the cluster, the events, or the contact.
Part = Literal["board", "events", "contact"]

MOST_EVENTS: Final = 1000
_HISTORY: Final = 300.0  # seconds of events to begin with
_WAIT: Final = 5.0  # for an answer to be held: one terminal, and a frozen node is to be noticed soon
_QUIET: Final = 0.15  # a burst is one fetch
_FLOOR: Final = 0.5  # between two fetches
_TIMEOUT: Final = 5.0
_LONGEST_RETRY: Final = 15.0


class Live:
    """What is known of the cluster; ``changed`` is called in the loop with the part that is new."""

    def __init__(self, urls: Sequence[str], changed: Callable[[Part], object]) -> None:
        self.cluster: Cluster | None = None
        #: Newest first.
        self.events: deque[Told] = deque(maxlen=MOST_EVENTS)
        #: Why the board could not be fetched last time; empty if it could.
        self.trouble = ""
        self._urls, self._changed = list(urls), changed
        self._monitor = AsyncMonitor(urls, since=_HISTORY, wait=_WAIT)
        self._monitor.on_state(self._state_changed)
        self._refused = ""
        self._wanted = asyncio.Event()
        self._board_from = ""
        self._skew = 0.0
        self._gaps = 0

    # -- for who shows it ------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``starting``, ``live``, ``trying``, ``stale`` or ``refused``, as a monitor says it."""
        return "refused" if self._refused else self._monitor.state

    @property
    def url(self) -> str:
        """The node that is asked."""
        return self._monitor.node

    @property
    def why(self) -> str:
        """Why there is no contact, in words; empty while there is."""
        return self._refused or self._monitor.trouble

    @property
    def heard(self) -> float | None:
        """When a feed last answered, in seconds since 1970; None: never."""
        heard = self._monitor.heard
        return None if heard is None else time.time() - (time.monotonic() - heard)

    @property
    def now(self) -> float:
        """Seconds since 1970 by the node's clock: ages must not depend on this machine's."""
        return time.time() + self._skew

    @property
    def is_home(self) -> bool:
        """Whether the board is of the node that is asked now."""
        return self._board_from == self._monitor.node

    def renew(self) -> None:
        """Fetches the board soon."""
        self._wanted.set()

    # -- running ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follows the cluster until it is cancelled."""
        self._wanted.set()
        client = httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT)
        async with self._monitor, client, asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._keep(client))

    async def _follow(self) -> None:
        while True:
            try:
                async for item in self._monitor:
                    self._refused = ""
                    self._take(item)
            except Refused as error:  # another node, or the same one later, may be of another mind
                self._refused = str(error)
                self._changed("contact")

    def _take(self, item: dict[str, object] | Gap) -> None:
        gap = isinstance(item, Gap)
        self._gaps += gap
        self.events.appendleft(told(item, self._gaps, datetime.now(UTC).isoformat()))
        self._changed("events")
        known = self.cluster.degraded if self.cluster else ()
        if isinstance(item, Gap) or changes_board(item) or self._monitor.degraded != known:
            self._wanted.set()

    def _state_changed(self, state: str, node: str) -> None:
        if state == "live":
            self._refused = ""
            if node != self._board_from or self.trouble:
                self._wanted.set()
        self._changed("contact")

    async def _keep(self, client: httpx.AsyncClient) -> None:
        fails = 0
        while True:
            await self._until_wanted()
            self._wanted.clear()
            done = await self._fetch(client)
            await asyncio.sleep(_FLOOR)
            fails = 0 if done else fails + 1
            if fails:
                await self._pause(min(_LONGEST_RETRY, 2.0 ** (fails - 1)))
                self._wanted.set()

    async def _until_wanted(self) -> None:
        await self._pause(self._next_expiry())
        await asyncio.sleep(_QUIET)

    async def _pause(self, seconds: float | None) -> None:
        """Waits for the time, or until the board is wanted before that."""
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            pass

    def _next_expiry(self) -> float | None:
        """Seconds until something on the board becomes unknown without an event; None: nothing does."""
        resources = self.cluster.resources if self.cluster else []
        times = (wall_seconds(r.expirytime) for r in resources if r.expirytime and r.status != "unknown")
        first = min((at for at in times if at is not None), default=None)
        return None if first is None else max(1.0, first - self.now + 1.0)

    async def _fetch(self, client: httpx.AsyncClient) -> bool:
        """Fetches the board of the node whose events are read; whether there is a new one."""
        node = self._monitor.node
        try:
            async with asyncio.timeout(_TIMEOUT):
                answer = await client.get(f"{node}/api/v1/board")
            if answer.status_code != httpx.codes.OK:
                raise CodecError(f"HTTP {answer.status_code}")
            cluster = read_board(answer.content)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, CodecError) as error:
            self.trouble = f"{node}: {str(error) or type(error).__name__}"
            self._changed("contact")
            return False
        self._skew = _skew(answer.headers.get("date", ""))
        self.cluster, self.trouble, self._board_from = cluster, "", node
        self._changed("board")
        return True


def _skew(date: str) -> float:
    """How far the node's clock is ahead, in seconds; what the header's whole seconds can hide is 0."""
    try:
        ahead = email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError):
        return 0.0
    return ahead if abs(ahead) > 2.0 else 0.0
