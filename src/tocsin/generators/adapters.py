"""Network adapters, from the kernel's rtnetlink: links and addresses.

A dump of all links and addresses, then the kernel's notifications; after an overflow (``ENOBUFS``)
a dump again. :class:`Table` is pure: messages in, the adapters' state out; it keeps what the
administrator did (*admin*) and what the wire says (*operational*) apart.

What counts as trouble: an adapter that **was up** and is not any more has ``failed``, whether it was
switched off or lost its carrier. One that was not up when it was first seen raises no alarm (a spare
port, a bridge without members); only a physical port with an address that has no carrier is a ``warning``.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Iterable, Mapping
from contextlib import closing
from fnmatch import fnmatchcase
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tocsin.core.board import Resource
from tocsin.core.event import Draft, report
from tocsin.core.ports import Desk
from tocsin.generators.rtnetlink import LinkMessage, Message, drain, dump, open_socket

__all__ = ["Adapter", "Adapters", "Table", "adapter_drafts", "present_draft"]

_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING = 0x1, 0x8, 0x40  # linux/if.h

#: After an adapter was switched on, the wire gets so many seconds to come up before that is told:
#: negotiating a link takes a real port up to three.
CARRIER_GRACE: Final = 4.0
_MAX_ADDRESSES: Final = 64


class Adapter(Struct, frozen=True):
    """The state of one adapter."""

    index: int
    name: str
    mac: str
    mtu: int
    kind: str
    admin: str
    operational: str
    running: bool
    addresses: tuple[str, ...] = ()
    #: Mb/s, 0 if it cannot be known.
    speed: int = 0

    @property
    def condition(self) -> str:
        """``up``, ``no-carrier`` or ``down`` (switched off)."""
        return "down" if self.admin == "down" else "up" if self.running else "no-carrier"

    def attributes(self) -> dict[str, Any]:
        """What the in-depth view shows."""
        shown: dict[str, Any] = {
            "admin": self.admin,
            "operational": self.operational,
            "index": self.index,
            "mac": self.mac,
            "mtu": self.mtu,
            "kind": self.kind,
            "addresses": list(self.addresses[:_MAX_ADDRESSES]),
        }
        return {**shown, "speed": self.speed} if self.speed else shown


# -- state: messages to adapters -----------------------------------------------------------------------


class Table:
    """The adapters as the messages told so far say; ``ignore`` are patterns of names not to report."""

    def __init__(self, ignore: Iterable[str] = ()) -> None:
        self._ignore = tuple(ignore)
        self._links: dict[int, LinkMessage] = {}
        self._addresses: dict[int, dict[str, None]] = {}

    def apply(self, message: Message) -> int:
        """Takes in a message and returns the index of the adapter that it is about."""
        if isinstance(message, LinkMessage):
            if message.gone:
                self._links.pop(message.index, None)
                self._addresses.pop(message.index, None)
            else:
                self._links[message.index] = message
        elif message.gone:
            self._addresses.get(message.index, {}).pop(message.address, None)
        else:
            self._addresses.setdefault(message.index, {})[message.address] = None
        return message.index

    def adapters(self) -> dict[str, Adapter]:
        """All adapters to report, by name."""
        shown = (link for link in self._links.values() if self._reported(link))
        return {link.name: self._adapter(link) for link in shown}

    def _reported(self, link: LinkMessage) -> bool:
        if not link.name or link.flags & _IFF_LOOPBACK:
            return False
        return not any(fnmatchcase(link.name, pattern) for pattern in self._ignore)

    def _adapter(self, link: LinkMessage) -> Adapter:
        return Adapter(
            index=link.index,
            name=link.name,
            mac=link.mac,
            mtu=link.mtu,
            kind=link.kind,
            admin="up" if link.flags & _IFF_UP else "down",
            operational=link.operstate,
            running=bool(link.flags & _IFF_RUNNING),
            addresses=tuple(sorted(self._addresses.get(link.index, {}))),
        )


# -- judging: adapters to events -------------------------------------------------------------------------


def adapter_drafts(before: Adapter | None, was_failed: bool, now: Adapter) -> list[Draft]:
    """What is to be told of an adapter that was ``before`` and is ``now``; ``None``: it is new."""
    status = _status(before, was_failed, now)
    words = _words(now)
    if before is None:
        return [_draft("added", now, status, f"{now.name} is new: {words}")]
    drafts = []
    for what, some, others in (
        ("added", now.addresses, before.addresses),
        ("removed", before.addresses, now.addresses),
    ):
        moved = [address for address in some if address not in others]
        if moved:
            text = f"{now.name} {words}; address {', '.join(moved[:4])} was {what}"
            drafts.append(_draft(f"address-{what}", now, status, text))
    if before.condition != now.condition:
        # Last, so that it is what the board shows: addresses may come and go with the condition.
        drafts.append(_draft(now.condition, now, status, f"{now.name} {words}"))
    elif not drafts and before.attributes() != now.attributes():
        drafts.append(_draft("changed", now, status, f"{now.name} {words}; {_difference(before, now)}"))
    return drafts


def present_draft(now: Adapter, known: Resource | None) -> Draft:
    """The state of an adapter at a dump, judged by what this node reported of it last."""
    was_up = known is not None and (known.status == "failed" or _condition_of(known) == "up")
    before = replace(now, admin="up", running=True) if was_up else now
    return _draft(now.condition, now, _status(before, False, now), f"{now.name} {_words(now)}")


def _status(before: Adapter | None, was_failed: bool, now: Adapter) -> str:
    if now.condition == "up":
        return "ok"
    if was_failed or (before is not None and before.condition == "up"):
        return "failed"
    # Never seen up: configured to be used, but not plugged in?
    physical = not now.kind
    return "warning" if now.condition == "no-carrier" and physical and now.addresses else "ok"


def _condition_of(known: Resource) -> str:
    if known.attributes.get("admin") == "down":
        return "down"
    # A tunnel has no operational state of its own: the kernel calls it 'unknown' while it is up.
    return "up" if known.attributes.get("operational") in ("up", "unknown") else "no-carrier"


def _words(now: Adapter) -> str:
    if now.condition == "up":
        return f"is up at {now.speed} Mb/s" if now.speed else "is up"
    return "is down (switched off)" if now.condition == "down" else "has no carrier"


def _difference(before: Adapter, now: Adapter) -> str:
    old, new = before.attributes(), now.attributes()
    return ", ".join(f"{k} {old.get(k, 'unknown')} → {new[k]}" for k in new if new[k] != old.get(k))


def _draft(what: str, now: Adapter, status: str, summary: str) -> Draft:
    return report(f"adapter.{what}", now.name, status, summary, now.attributes())


# -- reading: the socket -----------------------------------------------------------------------------------


class Adapters:
    """The generator. Settings: ``adapters.ignore``, patterns of names not to report (default none)."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._ignore = tuple(settings.get("adapters.ignore", ()))
        self._table = Table(self._ignore)
        self._dumped = False
        self._told: dict[str, Adapter] = {}
        self._failed: set[str] = set()
        self._grace: dict[str, asyncio.TimerHandle] = {}

    async def run(self, desk: Desk) -> None:
        """Dumps, then follows the notifications."""
        loop = asyncio.get_running_loop()
        with closing(open_socket(notices=True)) as notices:
            broken: asyncio.Future[None] = loop.create_future()
            self._dump(desk, notices)
            desk.running()
            loop.add_reader(notices, self._readable, desk, notices, broken)
            try:
                await broken
            finally:
                loop.remove_reader(notices)
                for timer in self._grace.values():
                    timer.cancel()

    def _readable(self, desk: Desk, notices: socket.socket, broken: asyncio.Future[None]) -> None:
        try:
            # All that is there, then one comparison: a burst about an adapter is one change.
            self._read(desk, notices)
        except Exception as error:  # noqa: BLE001 - raised by run(), which waits for it
            if not broken.done():
                broken.set_exception(error)

    def _read(self, desk: Desk, notices: socket.socket) -> None:
        try:
            messages = drain(notices)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._dump(desk, notices)
            return
        for message in messages:
            self._table.apply(message)
        if messages:
            self._compare(desk)

    def _dump(self, desk: Desk, notices: socket.socket) -> None:
        self._table = Table(self._ignore)
        for message in dump(notices):
            self._table.apply(message)
        if self._dumped:
            self._compare(desk)
            return
        adapters = self._with_speed()
        drafts = {name: present_draft(a, desk.resource("adapter", name)) for name, a in adapters.items()}
        desk.present(["adapter"], drafts.values())
        self._failed = {name for name, draft in drafts.items() if draft.data["status"] == "failed"}
        self._told, self._dumped = adapters, True

    def _with_speed(self) -> dict[str, Adapter]:
        adapters = self._table.adapters()
        return {
            name: replace(a, speed=_speed(name)) if a.condition == "up" else a for name, a in adapters.items()
        }

    def _compare(self, desk: Desk) -> None:
        adapters = self._with_speed()
        for name in self._told.keys() - adapters.keys():
            self._remove(desk, name)
        for name, now in adapters.items():
            before = self._told.get(name)
            if before == now:
                self._end_grace(name)
            elif not self._is_coming_up(desk, before, now):
                self._end_grace(name)
                self._tell(desk, before, now)

    def _tell(self, desk: Desk, before: Adapter | None, now: Adapter) -> None:
        self._told[now.name] = now
        for draft in adapter_drafts(before, now.name in self._failed, now):
            (self._failed.add if draft.data["status"] == "failed" else self._failed.discard)(now.name)
            desk.publish(draft)

    def _remove(self, desk: Desk, name: str) -> None:
        before = self._told.pop(name)
        self._failed.discard(name)
        self._end_grace(name)
        severity = "warning" if before.condition == "up" else "notice"
        desk.publish(report("adapter.removed", name, "gone", f"{name} was removed", severity=severity))

    # -- an adapter that was just switched on has no carrier yet: that is no news at first --

    def _is_coming_up(self, desk: Desk, before: Adapter | None, now: Adapter) -> bool:
        if before is None or before.condition != "down" or now.condition != "no-carrier":
            return False
        timer = self._grace.get(now.name)
        if timer is None:
            loop = asyncio.get_running_loop()
            self._grace[now.name] = loop.call_later(CARRIER_GRACE, self._grace_over, desk, now.name)
        return True

    def _grace_over(self, desk: Desk, name: str) -> None:
        self._end_grace(name)
        now = self._table.adapters().get(name)
        if now is not None and now != self._told.get(name):
            self._tell(desk, self._told.get(name), now)

    def _end_grace(self, name: str) -> None:
        timer = self._grace.pop(name, None)
        if timer is not None:
            timer.cancel()


_SIOCETHTOOL, _ETHTOOL_GSET = 0x8946, 1
_SPEED_UNKNOWN = 0xFFFF


def _speed(name: str) -> int:
    """The speed in Mb/s, 0 if the adapter does not say (``ethtool_cmd`` of linux/ethtool.h)."""
    command = ctypes.create_string_buffer(struct.pack("=I", _ETHTOOL_GSET), 44)
    request = struct.pack("16sP16x", name.encode()[:15], ctypes.addressof(command))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
            fcntl.ioctl(anything, _SIOCETHTOOL, request)
    except OSError:
        return 0
    (low,) = struct.unpack_from("=H", command, 12)
    (high,) = struct.unpack_from("=H", command, 28)
    speed: int = high << 16 | low
    return 0 if low == _SPEED_UNKNOWN or speed >= 0xFFFFFFFF else speed
