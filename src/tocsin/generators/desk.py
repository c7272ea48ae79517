"""The desk: where a generator hands in what it observed (the port ``tocsin.core.ports.Desk``).

It compares with what this node reported before, so that there is no event without a change; it lets
what is fine pass silently at the very first start; and it turns flapping into two events.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tocsin.core.board import Board, Resource
from tocsin.core.event import Draft, report
from tocsin.core.settle import Flapping

if TYPE_CHECKING:
    from tocsin.generators.registry import Registration

__all__ = ["DeskOfAgent"]

#: More than so many changes of status in so many seconds are flapping, until it was quiet so long.
FLAPPING_CHANGES: Final = 6
FLAPPING_WITHIN: Final = 30.0
FLAPPING_QUIET: Final = 10.0

_TROUBLE: Final = ("warning", "failed")

_Key = tuple[str, str]


class _Facts(Struct, frozen=True):
    """What makes a difference: the status and the attributes that are not volatile."""

    status: str
    attributes: dict[str, Any]


class DeskOfAgent:
    """One generator's desk in one agent. Used on the event loop's thread only."""

    def __init__(
        self,
        registration: Registration,
        *,
        node: str,
        board: Board,
        publish: Callable[[Draft], None],
        state: Callable[[Resource], None],
        measure: Callable[[Mapping[str, float]], None],
        first_start: Callable[[], bool],
        flapping: Flapping[_Key] | None = None,
    ) -> None:
        """``publish`` sends an event, ``state`` sets a resource of the board without one.

        ``first_start()`` is true while this node, which nobody knows yet, takes stock of itself:
        later, what other nodes have learned must be changed by events.
        """
        self.registration = registration
        self._node, self._board = node, board
        self._publish, self._state, self._measure, self._first_start = publish, state, measure, first_start
        self._flapping = flapping or Flapping(FLAPPING_CHANGES, FLAPPING_WITHIN, FLAPPING_QUIET)
        #: What was handed in last of each resource, ``None`` for gone: newer than the board while
        #: the agent still queues its events, and while a resource flaps.
        self._last: dict[_Key, _Facts | None] = {}
        self._held: dict[_Key, Draft] = {}
        self._timer: asyncio.TimerHandle | None = None
        #: Told of the generator's health: ``running`` or ``degraded``, and why. Set by the supervisor.
        self.on_health: Callable[[str, str], None] = lambda state, reason: None

    # -- the port -------------------------------------------------------------

    @property
    def node(self) -> str:
        """The name of this node."""
        return self._node

    def publish(self, draft: Draft) -> None:
        """Publishes an event; one that changes a status too often is held back as flapping."""
        facts = self._facts(draft)
        if facts is None:
            self._publish(draft)
            return
        key = _key(draft)
        before = self._known(key)
        self._last[key] = None if facts.status == "gone" else facts
        # Trouble that is told again is a change too: a service that never gets beyond its restarts.
        changed = (before.status if before else "gone") != facts.status or facts.status in _TROUBLE
        self._tell(key, draft, changed=changed)
        if self._last[key] is None and self.resource(*key) is None:
            del self._last[key]  # the board knows; one that comes and goes is not remembered for ever

    def update(self, draft: Draft) -> bool:
        """Publishes ``draft`` if it says something new of its resource; whether it did.

        At the very first start a resource that is fine is put on the board without an event.
        """
        facts = self._facts(draft)
        if facts is None:
            self._publish(draft)
            return True
        known = self._known(_key(draft))
        if known == facts or (known is None and facts.status == "gone"):
            return False
        if known is None and facts.status == "ok" and self._first_start():
            self._last[_key(draft)] = facts
            self._state(self._resource(draft))
            return False
        self.publish(draft)
        return True

    def present(self, kinds: Iterable[str], drafts: Iterable[Draft]) -> None:
        """States the complete present state of the resources of ``kinds``: differences are published."""
        kinds = set(kinds)
        present = {_key(draft): draft for draft in drafts}
        # What is gone goes first: of a renamed resource the old name, then the new one.
        for key in self._reported(kinds) - present.keys():
            self.publish(self._gone(*key))
        for draft in present.values():
            self.update(draft)

    def measure(self, values: Mapping[str, float]) -> None:
        """Hands in measured values: shown, never events."""
        self._measure(values)

    def running(self) -> None:
        """The generator is well. It says so when its first dump is complete."""
        self.on_health("running", "")

    def degraded(self, reason: str) -> None:
        """The generator works, but sees less than it should."""
        self.on_health("degraded", reason)

    def resource(self, kind: str, subject: str) -> Resource | None:
        """What this node last reported of a resource."""
        return self._board.own(self._node, kind, subject)

    def close(self) -> None:
        """Ends its timer; what is held back then is found by comparison at the next start."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- comparing ------------------------------------------------------------

    def _facts(self, draft: Draft) -> _Facts | None:
        data = draft.data if isinstance(draft.data, dict) else {}
        status = data.get("status")
        if status is None:
            return None
        return self._lasting(status, data.get("attributes") or {})

    def _lasting(self, status: str, attributes: Mapping[str, Any]) -> _Facts:
        volatile = self.registration.volatile
        return _Facts(status, {k: v for k, v in attributes.items() if k not in volatile})

    def _known(self, key: _Key) -> _Facts | None:
        if key in self._last:
            return self._last[key]
        resource = self.resource(*key)
        return self._lasting(resource.status, resource.attributes) if resource else None

    def _reported(self, kinds: set[str]) -> set[_Key]:
        """The resources of ``kinds`` that are this generator's and not gone."""
        mine = self.registration.subjects
        keys = {
            (r.kind, r.subject)
            for r in self._board.section(self._node)
            if r.node == self._node and r.kind in kinds and fnmatchcase(r.subject, mine)
        }
        keys |= {key for key in self._last if key[0] in kinds}
        return {key for key in keys if self._last.get(key, True) is not None}

    def _gone(self, kind: str, subject: str) -> Draft:
        type = self.registration.gone_type.get(kind, f"{kind}.removed")
        return report(type, subject, "gone", f"{subject} is not there any more")

    def _resource(self, draft: Draft) -> Resource:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return Resource(
            node=self._node,
            kind=_key(draft)[0],
            subject=draft.subject,
            status=draft.data["status"],
            summary=draft.data.get("summary", ""),
            attributes=draft.data.get("attributes") or {},
            type=draft.type,
            since=draft.time or now,
            updated=now,
            origin=self._node,
        )

    # -- flapping -------------------------------------------------------------

    def _tell(self, key: _Key, draft: Draft, *, changed: bool) -> None:
        if draft.type in self.registration.final:
            self._flapping.settle(key)
            self._held.pop(key, None)
            self._publish(draft)
        elif not changed and key not in self._held:
            self._publish(draft)
        elif not changed:
            self._held[key] = draft
        else:
            self._tell_change(key, draft)

    def _tell_change(self, key: _Key, draft: Draft) -> None:
        verdict = self._flapping.change(key, time.monotonic())
        if verdict == "tell":
            self._publish(draft)
            return
        self._held[key] = draft
        if verdict == "began":
            self._publish(self._flapping_draft(key, draft))
        self._arm()

    def _flapping_draft(self, key: _Key, draft: Draft) -> Draft:
        kind, subject = key
        many, within = self._flapping.count(key), self._flapping.within
        summary = f"{subject} is flapping: it changed {many} times in {within:g} s"
        return report(f"{kind}.flapping", subject, "warning", summary, draft.data.get("attributes"))

    def _arm(self) -> None:
        due = self._flapping.due
        if self._timer is None and due is not None:
            wait = max(0.0, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._settle)

    def _settle(self) -> None:
        self._timer = None
        for key, many in self._flapping.settled(time.monotonic()).items():
            draft = self._held.pop(key)
            # Beside the attributes: a count is no property of the resource.
            self._publish(replace(draft, data={**draft.data, "changes": many}))
        self._arm()


def _key(draft: Draft) -> _Key:
    return (draft.type.partition(".")[0], draft.subject)
