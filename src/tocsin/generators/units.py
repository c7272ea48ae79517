"""systemd's units, judged: properties of a service in, events out. Pure.

=============== ========= ======================================================================
the service     status    event
=============== ========= ======================================================================
runs            ok        ``service.started``
is restarted    warning   ``service.restarting``: it ended and systemd starts it again
failed          failed    ``service.failed``, with ``result`` and how its process ended
does not run    ok        ``service.stopped``; a *warning* if it ran and is enabled, that is, wanted
                          whenever the system runs. One that did not run when first seen is fine
is not loaded   gone      ``service.stopped`` if it ran just before, else ``service.removed``
=============== ========= ======================================================================

A service of type *oneshot* (a job, not something that stays) is reported only from its first failure on.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from tocsin.core.board import Resource
from tocsin.core.event import Draft, report

__all__ = ["Unit", "drafts", "name_of", "present_draft", "reported"]

#: waitid(2): how the main process ended.
_ENDED: Final = {1: "exited", 2: "killed", 3: "dumped core"}
_ENABLED: Final = ("enabled", "enabled-runtime")


class Unit(Struct, frozen=True):
    """What systemd says of a service."""

    name: str
    active: str
    sub: str
    description: str = ""
    type: str = ""
    enabled: str = ""
    result: str = "success"
    restarts: int = 0
    pid: int = 0
    #: How the main process ended last: waitid's code (0: not at all yet), exit status or signal.
    code: int = 0
    status: int = 0
    #: When it became active, and when it ended: systemd's monotonic µs, only to be compared.
    entered: int = 0
    left: int = 0

    @classmethod
    def of(cls, name: str, properties: Mapping[str, Any]) -> Unit:
        """From the properties of the D-Bus interfaces Unit and Service; absent ones have no meaning."""
        get = properties.get
        return cls(
            name=name,
            active=str(get("ActiveState", "")),
            sub=str(get("SubState", "")),
            description=str(get("Description", ""))[:200],
            type=str(get("Type", "")),
            enabled=str(get("UnitFileState", "")),
            result=str(get("Result", "success")),
            restarts=int(get("NRestarts", 0)),
            pid=int(get("MainPID", 0)),
            code=int(get("ExecMainCode", 0)),
            status=int(get("ExecMainStatus", 0)),
            entered=int(get("ActiveEnterTimestampMonotonic", 0)),
            left=int(get("InactiveEnterTimestampMonotonic", 0)),
        )

    @property
    def state(self) -> str:
        """``running restarting failed stopped``, or ``""`` on the way from one to another."""
        if self.active in ("active", "reloading", "refreshing"):
            return "running"
        if self.active == "failed":
            return "failed"
        if self.sub.startswith("auto-restart"):
            return "restarting"
        return "stopped" if self.active == "inactive" else ""

    @property
    def is_wanted(self) -> bool:
        """Whether it is to run whenever the system runs."""
        return self.enabled in _ENABLED and self.type != "oneshot"

    def end(self) -> str:
        """How its main process ended, in words; empty if that is not known."""
        if self.code == 1:
            return f"exit status {self.status}"
        return f"killed by {_signal(self.status)}" if self.code in (2, 3) else ""

    def attributes(self) -> dict[str, Any]:
        """What the in-depth view shows."""
        shown: dict[str, Any] = {
            "state": self.state or self.active,
            "active": self.active,
            "sub": self.sub,
            "result": self.result,
            "restarts": self.restarts,
            "enabled": self.enabled,
            "type": self.type,
            "description": self.description,
        }
        if self.pid:
            shown["pid"] = self.pid
        if self.code:
            shown["exit"] = _ENDED.get(self.code, str(self.code))
            shown["exit_status"] = self.status
            if self.code != 1:
                shown["signal"] = _signal(self.status)
        return shown


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def name_of(path: str) -> str:
    """The name of a unit from its object path: systemd writes ``_2e`` for a dot, and so on."""
    label = path.rpartition("/")[2]
    head, *rest = label.split("_")
    try:
        return head + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)
    except ValueError:
        return ""


def reported(unit: Unit, known: Unit | Resource | None) -> bool:
    """Whether a service is reported at all; once it is known it stays so until it is unloaded."""
    if known is not None or unit.state == "failed":
        return True
    if unit.type == "oneshot":
        return False
    return unit.state in ("running", "restarting") or unit.is_wanted


def present_draft(unit: Unit, known: Resource | None) -> Draft:
    """The state of a service at a dump, judged by what this node reported of it last."""
    if known is None:
        return drafts(None, unit)[0]
    return _draft(unit, missed=known.attributes.get("state") == "running" or known.status == "warning")


def drafts(before: Unit | None, now: Unit) -> list[Draft]:
    """What is to be told of a service that was last told as ``before``; ``None``: it is new."""
    if before is None:
        return [_draft(now, type="service.added" if now.state == "stopped" else "")]
    state = now.state
    if _moment(before) == _moment(now):
        return []
    told = [_draft(now, missed=before.state in ("running", "restarting"))]
    if state == "running" and now.restarts > before.restarts and before.state == "running":
        # It went down and came back faster than anybody looked.
        told.insert(0, _restarting(now))
    return told


def gone_draft(before: Unit, now: Unit) -> Draft:
    """A service that was told as ``before`` is not loaded any more; ``now`` is the last heard of it."""
    if before.state in ("stopped", "failed") and _moment(before) == _moment(now):
        return report("service.removed", now.name, "gone", f"{now.name} is not loaded any more")
    if before.state == "failed" and now.state == "stopped":
        return report("service.removed", now.name, "gone", f"{now.name}: its failure was reset")
    if now.state == "failed":
        text = f"{now.name} {_why(now)}, and is not loaded any more"
        return report("service.failed", now.name, "gone", text, now.attributes(), severity="error")
    return report("service.stopped", now.name, "gone", f"{now.name} has stopped", severity="info")


def _moment(unit: Unit) -> tuple[object, ...]:
    """What makes two states of a service different; a reload of it, or a new main process, is nothing."""
    since = {"running": unit.entered, "failed": unit.left}.get(unit.state, 0)
    return (unit.state, unit.restarts, since)


def _draft(unit: Unit, *, missed: bool = False, type: str = "") -> Draft:
    name, state = unit.name, unit.state
    if state == "running":
        status, usual, words = "ok", "service.started", "is running"
    elif state == "failed":
        status, usual, words = "failed", "service.failed", _why(unit)
    elif state == "restarting":
        return _restarting(unit)
    else:
        status = "warning" if missed and unit.is_wanted else "ok"
        usual, words = "service.stopped", "has stopped" if missed else "is not running"
    return report(type or usual, name, status, f"{name} {words}", unit.attributes())


def _restarting(unit: Unit) -> Draft:
    why = unit.end() or unit.result
    often = f"; {unit.restarts} restarts so far" if unit.restarts > 1 else ""
    summary = f"{unit.name} is restarted by systemd ({why}{often})"
    return report("service.restarting", unit.name, "warning", summary, unit.attributes())


def _why(unit: Unit) -> str:
    end = unit.end()
    if unit.result in ("exit-code", "signal", "core-dump") and end:
        return f"failed: {end}"
    why = unit.result.replace("-", " ")
    return f"failed: {why} ({end})" if end else f"failed: {why}"
