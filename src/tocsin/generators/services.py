"""Services of systemd, over D-Bus: started, stopped, failed, restarted, added, removed.

systemd's signals only say *that* something happened to a unit; once that has been quiet for a moment
the unit is asked how it is. So one start, which brings up to eight signals, is one event, and the
blink of ``failed`` before an automatic restart is none. What the answers mean is in ``units.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any, Final

from dbus_fast import AuthError, BusType, DBusError, InvalidAddressError, Message, MessageType
from dbus_fast.aio import MessageBus

from tocsin.core.errors import GeneratorUnavailable
from tocsin.core.ports import Desk
from tocsin.core.settle import Coalescer
from tocsin.generators import units
from tocsin.generators.units import Unit

__all__ = ["Services", "path_of"]

_SYSTEMD: Final = "org.freedesktop.systemd1"
_MANAGER: Final = f"{_SYSTEMD}.Manager"
_ROOT: Final = "/org/freedesktop/systemd1"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_BUS: Final = "org.freedesktop.DBus"
_MATCHES: Final = (
    f"type='signal',sender='{_SYSTEMD}',interface='{_MANAGER}'",
    f"type='signal',sender='{_SYSTEMD}',interface='{_PROPERTIES}',path_namespace='{_ROOT}/unit'",
    f"type='signal',sender='{_BUS}',interface='{_BUS}',member='NameOwnerChanged',arg0='{_SYSTEMD}'",
)

#: A unit is asked when it has been quiet so long, or at the latest so long after its first signal.
QUIET: Final = 0.1
AT_MOST: Final = 0.5
#: systemd and the bus answer at once; one that does not answer within so many seconds is not there.
ANSWER_WITHIN: Final = 5.0
#: systemd may be off the bus for a moment: when both start, and when it executes itself anew.
RETURN_WITHIN: Final = 2.0
#: Logins: they come and go all day.
IGNORED: Final = ("user@*.service", "user-runtime-dir@*.service")


class Services:
    """The generator.

    Settings: ``services.units``, patterns of the names to report (default all), ``services.ignore``,
    patterns of those not to report (default: those of logins), ``services.bus``, the D-Bus address
    (default: the system bus, or ``DBUS_SYSTEM_BUS_ADDRESS``).
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._patterns = tuple(settings.get("services.units") or ("*",))
        self._ignored = tuple(settings.get("services.ignore", IGNORED))
        self._address = str(settings.get("services.bus") or "") or None
        self._told: dict[str, Unit] = {}
        #: What the signals said of units: all that is left of one that was unloaded at once.
        self._heard: dict[str, dict[str, Any]] = {}
        self._unloaded: set[str] = set()
        self._pending: Coalescer[str] = Coalescer(QUIET, AT_MOST)
        self._list_at: float | None = None
        self._reloading = False
        self._owner = ""
        #: Since when systemd is not on the bus.
        self._left_at: float | None = None
        self._wake = asyncio.Event()

    async def run(self, desk: Desk) -> None:
        """Dumps, then follows the signals; ends with GeneratorUnavailable when the bus has gone."""
        bus = await _connected(self._address)
        manager = _Manager(bus)
        gone = asyncio.create_task(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]
        gone.add_done_callback(lambda _: self._wake.set())
        try:
            bus.add_message_handler(self._hear)
            await manager.listen()
            owner = await manager.owner()
            if not self._owner:  # a signal that came with the answer is newer than the answer
                self._owner_changed(owner)
            while not gone.done():
                await self._pause()
                await self._step(desk, manager)
            raise GeneratorUnavailable("the system bus has closed the connection")
        finally:
            bus.disconnect()
            gone.cancel()
            with suppress(Exception, asyncio.CancelledError):
                await gone

    # -- hearing: on each message, no waiting ---------------------------------

    def _hear(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "NameOwnerChanged" and message.sender == _BUS:
            self._owner_changed(message.body[2])
        elif message.sender != self._owner:
            return  # anybody on the bus may send anything to anybody
        elif message.member == "PropertiesChanged":
            self._properties_changed(units.name_of(message.path or ""), message.body[1])
        elif message.member == "Reloading":
            self._reload(begins=message.body[0])
        elif message.member in ("UnitNew", "UnitRemoved") and not self._reloading:
            self._loaded(message.body[0], message.member == "UnitNew")
        self._wake.set()

    def _owner_changed(self, owner: str) -> None:
        self._owner = owner
        self._left_at = None if owner else time.monotonic()
        self._list_at = time.monotonic() if owner else None
        self._wake.set()

    def _properties_changed(self, name: str, changed: Mapping[str, Any]) -> None:
        if self._matches(name):
            values = {key: variant.value for key, variant in changed.items()}
            self._heard.setdefault(name, {}).update(values)
            self._pending.touch(name, time.monotonic())

    def _reload(self, *, begins: bool) -> None:
        # In a reload every unit is removed and made again; what really changed shows the list after it.
        self._reloading = begins
        if not begins:
            self._list_at = time.monotonic() + QUIET

    def _loaded(self, name: str, is_loaded: bool) -> None:
        # One that was just loaded is not asked: asking loads a unit, and so on for ever.
        if not self._matches(name):
            return
        if is_loaded:
            self._unloaded.discard(name)
        else:
            self._unloaded.add(name)
            self._pending.touch(name, time.monotonic())

    def _matches(self, name: str) -> bool:
        return (
            name.endswith(".service")
            and any(fnmatchcase(name, pattern) for pattern in self._patterns)
            and not any(fnmatchcase(name, pattern) for pattern in self._ignored)
        )

    # -- asking ---------------------------------------------------------------

    async def _pause(self) -> None:
        """Until something is due."""
        back_at = None if self._left_at is None else self._left_at + RETURN_WITHIN
        due = [at for at in (self._pending.due, self._list_at, back_at) if at is not None]
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(due) - time.monotonic()) if due else None):
                await self._wake.wait()
        self._wake.clear()

    async def _step(self, desk: Desk, manager: _Manager) -> None:
        now = time.monotonic()
        if self._left_at is not None:
            if now >= self._left_at + RETURN_WITHIN:
                raise GeneratorUnavailable("there is no systemd on the system bus")
            return  # what is due is asked when it is back
        if self._list_at is not None and now >= self._list_at:
            self._list_at = None
            await manager.subscribe()
            await self._list(desk, manager)
            desk.running()
        for name in self._pending.take(now):
            await self._look(desk, manager, name)

    async def _look(self, desk: Desk, manager: _Manager, name: str) -> None:
        heard = self._heard.pop(name, {})
        before = self._told.get(name)
        if name in self._unloaded:
            self._unloaded.discard(name)
            self._unload(desk, name, heard)
            return
        unit = await manager.unit(name)
        if unit is None or not unit.state or not units.reported(unit, before):
            return
        self._told[name] = unit
        for draft in units.drafts(before, unit):
            desk.publish(draft)

    def _unload(self, desk: Desk, name: str, heard: Mapping[str, Any]) -> None:
        before = self._told.pop(name, None)
        last = Unit.of(name, heard) if "ActiveState" in heard else before
        if before is not None and last is not None:
            desk.publish(units.gone_draft(before, last))
        elif last is not None and last.state == "failed":
            desk.publish(units.gone_draft(last, last))

    async def _list(self, desk: Desk, manager: _Manager) -> None:
        """Compares with all that systemd has loaded."""
        found: dict[str, Unit] = {}
        for name in await manager.interesting(self._matches):
            unit = await manager.unit(name)
            if unit is not None:
                found[name] = unit
        drafts = []
        told: dict[str, Unit] = {}
        for name, unit in found.items():
            known = desk.resource("service", name)
            # One on its way stays as it was told; its next signal says where it got.
            shown = unit if unit.state else self._told.get(name, unit)
            if shown.state and units.reported(shown, self._told.get(name) or known):
                told[name] = shown
                drafts.append(units.present_draft(shown, known))
        self._told = told
        self._unloaded.clear()
        desk.present(["service"], drafts)


class _Manager:
    """systemd's D-Bus calls, with a limit of time; what cannot be had is GeneratorUnavailable."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus

    async def listen(self) -> None:
        """Asks the bus to hand on systemd's signals."""
        for rule in _MATCHES:
            await self._bus_call("AddMatch", "s", [rule])

    async def owner(self) -> str:
        """The unique name from which systemd's signals come; empty if it is not on the bus (yet)."""
        try:
            return str((await self._bus_call("GetNameOwner", "s", [_SYSTEMD]))[0])
        except DBusError:
            return ""

    async def subscribe(self) -> None:
        """Asks systemd to send signals; asked again by the same reader it does not mind."""
        try:
            await self._call("Subscribe")
        except DBusError as error:
            if not error.type.endswith(".AlreadySubscribed"):
                raise

    async def interesting(self, matches: Any) -> list[str]:
        """The names of loaded services that run, have failed, or are enabled."""
        enabled_files = await self._call(
            "ListUnitFilesByPatterns", "asas", [["enabled", "enabled-runtime"], ["*.service"]]
        )
        enabled = {str(path).rpartition("/")[2] for path, _ in enabled_files[0]}
        loaded = await self._call("ListUnitsByPatterns", "asas", [[], ["*.service"]])
        return [
            name
            for name, _, load, active, *_ in loaded[0]
            if matches(name) and load == "loaded" and (active != "inactive" or name in enabled)
        ]

    async def unit(self, name: str) -> Unit | None:
        """A unit as it is now; ``None`` if it was unloaded meanwhile, which a signal of its own says."""
        found = await self.properties(name)
        return None if found is None else Unit.of(name, found)

    async def properties(self, name: str) -> dict[str, Any] | None:
        """A unit's properties, those that :class:`Unit` reads; ``None`` if it is not loaded."""
        try:
            # No interface: the properties of all, in one answer, so that they belong to one moment.
            found = await self._call("GetAll", "s", [""], path=path_of(name), interface=_PROPERTIES)
        except DBusError:
            return None
        return {key: variant.value for key, variant in found[0].items() if key in _WANTED}

    async def _bus_call(self, member: str, signature: str, body: Iterable[Any]) -> list[Any]:
        return await self._send(_BUS, "/org/freedesktop/DBus", _BUS, member, signature, body)

    async def _call(
        self,
        member: str,
        signature: str = "",
        body: Iterable[Any] = (),
        *,
        path: str = _ROOT,
        interface: str = _MANAGER,
    ) -> list[Any]:
        return await self._send(_SYSTEMD, path, interface, member, signature, body)

    async def _send(
        self, to: str, path: str, interface: str, member: str, signature: str, body: Iterable[Any]
    ) -> list[Any]:
        message = Message(
            destination=to,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
        )
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                answer = await self._bus.call(message)
        except (TimeoutError, EOFError, OSError) as error:
            raise GeneratorUnavailable(f"systemd does not answer: {_words(error)}") from None
        if answer is None:
            raise GeneratorUnavailable("the system bus has closed the connection")
        if answer.message_type is MessageType.ERROR:
            text = str(answer.body[0]) if answer.body else ""
            raise DBusError(answer.error_name or "", text)
        result: list[Any] = answer.body
        return result


_WANTED: Final = frozenset(
    {"ActiveState", "SubState", "Description", "UnitFileState", "Type", "Result", "NRestarts", "MainPID"}
    | {"ExecMainCode", "ExecMainStatus", "ActiveEnterTimestampMonotonic", "InactiveEnterTimestampMonotonic"}
)


def path_of(name: str) -> str:
    """A unit's object path: in its last part all but letters and digits are ``_xx``."""
    return f"{_ROOT}/unit/" + "".join(
        c if c.isascii() and c.isalnum() and not (at == 0 and c.isdigit()) else f"_{ord(c):02x}"
        for at, c in enumerate(name)
    )


async def _connected(address: str | None) -> MessageBus:
    try:
        bus = MessageBus(bus_address=address, bus_type=BusType.SYSTEM)
        async with asyncio.timeout(ANSWER_WITHIN):
            return await bus.connect()
    except (OSError, EOFError, TimeoutError, AuthError, InvalidAddressError, DBusError) as error:
        where = address or "the system bus"
        raise GeneratorUnavailable(f"cannot connect to {where}: {_words(error)}") from None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
