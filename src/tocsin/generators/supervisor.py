"""The supervisor: runs the generators, fences off what fails, and says how each one is.

A generator that fails never stops another, nor the agent. Its health is a resource on the board
(kind ``agent``, subject ``generator/<name>``), told once per change: *running*, *degraded* (works, but
sees less than it should), *unavailable* (this host lacks the source), *failed*, *disabled*.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from tocsin.core.errors import GeneratorUnavailable
from tocsin.core.event import report
from tocsin.generators.desk import DeskOfAgent
from tocsin.generators.registry import REGISTRY, Registration

__all__ = ["Supervisor"]

log = logging.getLogger("tocsin.generators")

#: A generator that ended is started again after so many seconds at first, doubling up to the last.
RETRY_FIRST: Final = 1.0
RETRY_MOST: Final = 60.0

#: state -> (status, type of the event that tells it, severity)
_HEALTH: Final = {
    "running": ("ok", "agent.generator-recovered", "info"),
    "disabled": ("ok", "agent.generator-disabled", "info"),
    "degraded": ("warning", "agent.generator-degraded", "warning"),
    "unavailable": ("unknown", "agent.generator-unavailable", "notice"),
    "failed": ("failed", "agent.generator-failed", "error"),
}


class Supervisor:
    """Runs one task for each registered generator that is not disabled."""

    def __init__(
        self,
        desk_factory: Callable[[Registration], DeskOfAgent],
        registrations: Sequence[Registration] = REGISTRY,
        disabled: Collection[str] = (),
        *,
        settings: Mapping[str, Any] | None = None,
        retry_first: float = RETRY_FIRST,
        retry_most: float = RETRY_MOST,
    ) -> None:
        """``settings`` are the generators' own, keyed ``storage.filling`` and so on; times in seconds."""
        self._registrations, self._disabled = tuple(registrations), frozenset(disabled)
        self._settings = dict(settings or {})
        self._retry_first, self._retry_most = retry_first, retry_most
        self._desks = {r.name: desk_factory(r) for r in self._registrations}
        self._tasks: list[asyncio.Task[None]] = []
        self._states: dict[str, tuple[str, str]] = {}
        self._said: dict[str, asyncio.Event] = {r.name: asyncio.Event() for r in self._registrations}
        self._stopping = False

    def start(self) -> None:
        """Starts all generators; needs a running loop."""
        for registration in self._registrations:
            desk = self._desks[registration.name]
            desk.on_health = _bound(self._tell, registration)
            if registration.name in self._disabled:
                self._disable(registration)
            else:
                task = asyncio.get_running_loop().create_task(
                    self._keep(registration), name=f"generator/{registration.name}"
                )
                self._tasks.append(task)

    async def first_dump(self, timeout: float) -> bool:  # noqa: ASYNC109 - it answers, not raises
        """Waits until each generator has told its first dump or why not; false after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                for said in self._said.values():
                    await said.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Ends all generators; waits at most a second for them."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for desk in self._desks.values():
            desk.close()

    def health(self) -> dict[str, tuple[str, str]]:
        """Of each generator the state and its reason, for the metrics; ``starting`` until it said one."""
        return {name: self._states.get(name, ("starting", "")) for name in self._said}

    # -- one generator --------------------------------------------------------

    async def _keep(self, registration: Registration) -> None:
        wait = self._retry_first
        while True:
            begun = time.monotonic()
            try:
                await registration.factory(self._settings).run(self._desks[registration.name])
                self._tell(registration, "failed", "it ended")
            except GeneratorUnavailable as reason:
                self._tell(registration, "unavailable", str(reason))
            except asyncio.CancelledError:
                if self._stopping:
                    raise
                self._tell(registration, "failed", "it was cancelled")
            except Exception as error:  # noqa: BLE001 - the fence: whatever it is, the agent goes on
                self._crashed(registration, error)
            if time.monotonic() - begun > self._retry_most:
                wait = self._retry_first
            # Jitter, so that generators that lost the same source do not all return at once.
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311
            wait = min(wait * 2, self._retry_most)

    def _crashed(self, registration: Registration, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:500]
        if self._states.get(registration.name) != ("failed", reason):
            log.error("generator %s failed", registration.name, exc_info=error)
        self._tell(registration, "failed", reason)

    def _disable(self, registration: Registration) -> None:
        # What it reported in an earlier life is known no more, and nobody will correct it.
        self._desks[registration.name].present(registration.kinds, ())
        self._tell(registration, "disabled", "switched off in the configuration")

    def _tell(self, registration: Registration, state: str, reason: str) -> None:
        name = registration.name
        if self._states.get(name) != (state, reason):
            self._states[name] = (state, reason)
            self._report(registration, state, reason)
        self._said[name].set()

    def _report(self, registration: Registration, state: str, reason: str) -> None:
        status, type, severity = _HEALTH[state]
        name = registration.name
        summary = f"generator {name} is {state}" if state != "failed" else f"generator {name} failed"
        if reason:
            summary = f"{summary}: {reason}"
        # 'kinds': whose resources nobody observes while this is unavailable or failed.
        attributes = {"state": state, "reason": reason, "kinds": list(registration.kinds)}
        draft = report(type, f"generator/{name}", status, summary, attributes, severity=severity)
        try:
            self._desks[name].update(draft)
        except Exception:
            log.exception("the health of generator %s could not be told", name)


def _bound(
    tell: Callable[[Registration, str, str], None], registration: Registration
) -> Callable[[str, str], None]:
    return lambda state, reason: tell(registration, state, reason)
