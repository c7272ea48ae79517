"""File systems: mounted and unmounted, read-only, filling up, full, not answering.

Mounts are told by the kernel at once. How full a file system is nobody tells: every
``storage.interval`` seconds it is asked (``statvfs``), aside, for a dead network file system never
answers. :class:`Volumes` is pure: mounts and usages in, events out.

Reported are file systems that can fill up or go wrong, by one mount each (``mounts.chosen``).
A file system that is read-only when first seen is so by nature; one that **became** read-only has failed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from msgspec import Struct

from tocsin.core.board import Resource
from tocsin.core.event import Draft, report
from tocsin.core.ports import Desk
from tocsin.core.settle import Levels
from tocsin.generators import mounts
from tocsin.generators.aside import aside
from tocsin.generators.mounts import Mount

__all__ = ["Storage", "Usage", "Volumes"]

#: A level is left so many percent below its threshold.
MARGIN: Final = 3.0
#: A file system that has not answered for so many seconds counts as not answering.
ANSWER_WITHIN: Final = 3.0


class Usage(Struct, frozen=True):
    """How full a file system is: bytes, and percent as ``df`` shows them (for ordinary users)."""

    size: int
    free: int
    used_percent: float
    inodes_percent: float

    @classmethod
    def of(cls, found: os.statvfs_result) -> Usage:
        """From what ``statvfs`` said."""
        used = found.f_blocks - found.f_bfree
        # Some file systems make inodes as needed and say 0, some claim all of them are free.
        inodes = (found.f_files - found.f_ffree) / found.f_files if found.f_files > 0 else 0.0
        return cls(
            size=found.f_blocks * found.f_frsize,
            free=found.f_bavail * found.f_frsize,
            used_percent=round(100 * used / max(used + found.f_bavail, 1), 1),
            inodes_percent=round(100 * max(inodes, 0.0), 1),
        )


# -- judging ---------------------------------------------------------------------------------------


_JUDGED: Final = {
    "ok": ("ok", "storage.recovered"),
    "filling": ("warning", "storage.filling"),
    "full": ("failed", "storage.full"),
    "read-only": ("failed", "storage.read-only"),
    "error": ("failed", "storage.error"),
}
_AGAIN: Final = {
    "filling": "has space again",
    "full": "has space again",
    "read-only": "can be written to again",
    "error": "answers again",
}


class _Volume:
    """What is known of one file system."""

    def __init__(self, mount: Mount, levels: Levels, *, became_read_only: bool) -> None:
        self.mount, self.levels, self.became_read_only = mount, levels, became_read_only
        self.usage: Usage | None = None
        self.trouble = ""
        self.told = "ok"

    @property
    def state(self) -> str:
        """``ok``, or its worst trouble."""
        if self.trouble:
            return "error"
        if self.became_read_only:
            return "read-only"
        return ("" if self.mount.read_only else self.levels.level) or "ok"

    def draft(self, type: str = "", was: str = "") -> Draft:
        status, usual = _JUDGED[self.state]
        summary = f"{self.mount.point} {self._words(was)}"
        return report(type or usual, self.mount.point, status, summary, self._attributes())

    def _words(self, was: str) -> str:
        state = self.state
        if state == "ok" and was in _AGAIN:
            return _AGAIN[was]
        if state == "error":
            return self.trouble
        if state == "read-only":
            return "has become read-only"
        if state in ("full", "filling") and self.usage is not None:
            what = "full" if state == "full" else "filling up"
            if self.usage.inodes_percent > self.usage.used_percent:
                return f"is {what}: {self.usage.inodes_percent:g} % of its inodes are used"
            return f"is {what}: {self.usage.used_percent:g} % used"
        return "is mounted (read-only)" if self.mount.read_only else "is mounted"

    def _attributes(self) -> dict[str, Any]:
        mount, usage = self.mount, self.usage
        shown: dict[str, Any] = {
            "state": self.state,
            "device": mount.source[:1024],
            "fstype": mount.fstype,
            "access": "ro" if mount.read_only else "rw",
        }
        if usage is not None:
            shown["size"] = usage.size
        # How full it is now is a measured value; here only what was the reason of this event.
        if usage is not None and self.state in ("full", "filling"):
            shown |= {
                "free": usage.free,
                "used_percent": usage.used_percent,
                "inodes_percent": usage.inodes_percent,
            }
        return shown


class Volumes:
    """All file systems that are reported. ``filling`` and ``full`` are percents."""

    def __init__(self, *, filling: float = 90.0, full: float = 98.0) -> None:
        self._thresholds = ((filling, "filling"), (full, "full"))
        self._volumes: dict[str, _Volume] = {}

    def known(self, mount: Mount, resource: Resource | None) -> None:
        """Takes up a file system that was mounted before the generator started, as it was reported last."""
        was = resource.attributes if resource is not None else {}
        became = mount.read_only and (was.get("access") == "rw" or was.get("state") == "read-only")
        levels = Levels(self._thresholds, MARGIN, str(was.get("state", "")))
        self._volumes[mount.point] = _Volume(mount, levels, became_read_only=became)

    def present(self) -> list[Draft]:
        """The state of all of them, at the first dump."""
        drafts = []
        for volume in self._volumes.values():
            volume.told = volume.state
            drafts.append(volume.draft("storage.mounted" if volume.state == "ok" else ""))
        return drafts

    def mounts(self, now: Mapping[str, Mount]) -> list[Draft]:
        """What has changed, now that these are mounted."""
        drafts = [
            report("storage.unmounted", point, "gone", f"{point} was unmounted")
            for point in self._volumes
            if point not in now
        ]
        self._volumes = {point: v for point, v in self._volumes.items() if point in now}
        for point, mount in now.items():
            drafts += self._mounted(self._volumes.get(point), mount)
        return drafts

    def _mounted(self, volume: _Volume | None, mount: Mount) -> list[Draft]:
        if volume is None or (volume.mount.device, volume.mount.source) != (mount.device, mount.source):
            self.known(mount, None)
            return [self._volumes[mount.point].draft("storage.mounted")]
        before, volume.mount = volume.mount, mount
        if before.read_only != mount.read_only:
            volume.became_read_only = mount.read_only
        return self._changed(volume)

    def usage(self, point: str, usage: Usage) -> list[Draft]:
        """A file system has answered."""
        volume = self._volumes.get(point)
        if volume is None:
            return []
        volume.usage, volume.trouble = usage, ""
        if usage.size > 0:
            volume.levels.update(max(usage.used_percent, usage.inodes_percent))
        return self._changed(volume)

    def trouble(self, point: str, what: str) -> list[Draft]:
        """A file system does not answer, or with an error; ``what`` goes on after its name."""
        volume = self._volumes.get(point)
        if volume is None:
            return []
        volume.trouble = what
        return self._changed(volume)

    def _changed(self, volume: _Volume) -> list[Draft]:
        if volume.state == volume.told:
            return []
        was, volume.told = volume.told, volume.state
        return [volume.draft(was=was)]

    def measured(self) -> dict[str, float]:
        """``disk``, the percent used of the fullest, and ``disk:<mount point>`` of each writable one."""
        used = {
            f"disk:{point}": volume.usage.used_percent
            for point, volume in self._volumes.items()
            if volume.usage is not None and not volume.mount.read_only and not volume.trouble
        }
        return {"disk": max(used.values()), **used} if used else {}


# -- reading ---------------------------------------------------------------------------------------


class Storage:
    """The generator.

    Settings: ``storage.filling`` (default 90) and ``storage.full`` (98) percent, ``storage.interval``
    (5) seconds, ``storage.ignore``, patterns of mount points not to report (default none).
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._interval = float(settings.get("storage.interval", 5.0))
        self._ignore = tuple(settings.get("storage.ignore", ()))
        self._volumes = Volumes(
            filling=float(settings.get("storage.filling", 90.0)),
            full=float(settings.get("storage.full", 98.0)),
        )
        self._mounts: dict[str, Mount] = {}
        #: Whether the mounts have changed since they were read.
        self._changed = asyncio.Event()
        #: Who has been asked and has not answered yet.
        self._asked: dict[str, _Question] = {}

    async def run(self, desk: Desk) -> None:
        """Dumps, then follows the mounts and asks each file system again and again."""
        wake = asyncio.Event()
        try:
            with mounts.watched(partial(_note, self._changed, wake)):
                await self._first(desk, wake)
                await self._follow(desk, wake)
        finally:
            for question in self._asked.values():
                question.future.cancel()

    async def _first(self, desk: Desk, wake: asyncio.Event) -> None:
        self._mounts = mounts.chosen(mounts.read(), self._ignore)
        for mount in self._mounts.values():
            self._volumes.known(mount, desk.resource("storage", mount.point))
            self._ask(mount, wake)
        if self._asked:
            await asyncio.wait([q.future for q in self._asked.values()], timeout=ANSWER_WITHIN)
        self._answers()  # what they change is in the dump
        desk.present(["storage"], self._volumes.present())
        desk.running()

    async def _follow(self, desk: Desk, wake: asyncio.Event) -> None:
        ask_at = time.monotonic()
        while True:
            if self._changed.is_set():
                self._changed.clear()
                self._tell(desk, self._new_mounts(wake))
            if time.monotonic() >= ask_at:
                ask_at = time.monotonic() + self._interval
                for mount in self._mounts.values():
                    self._ask(mount, wake)
                measured = self._volumes.measured()
                if measured:
                    desk.measure(measured)
            self._tell(desk, self._answers())
            wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, ask_at - time.monotonic())):
                    await wake.wait()

    def _new_mounts(self, wake: asyncio.Event) -> list[Draft]:
        before, self._mounts = self._mounts, mounts.chosen(mounts.read(), self._ignore)
        for point in before.keys() - self._mounts.keys():
            self._forget(point)
        drafts = self._volumes.mounts(self._mounts)
        for point, mount in self._mounts.items():
            if before.get(point) != mount:
                self._forget(point)
                self._ask(mount, wake)
        return drafts

    def _forget(self, point: str) -> None:
        question = self._asked.pop(point, None)
        if question is not None:
            question.future.cancel()

    def _ask(self, mount: Mount, wake: asyncio.Event) -> None:
        if mount.point in self._asked:  # never two questions to one that does not answer
            return
        future = aside(partial(_usage, mount.path), f"statvfs {mount.point}")
        future.add_done_callback(lambda _: wake.set())
        self._asked[mount.point] = _Question(future, time.monotonic())

    def _answers(self) -> list[Draft]:
        drafts: list[Draft] = []
        late = time.monotonic() - ANSWER_WITHIN
        for point, question in list(self._asked.items()):
            if question.future.done():
                del self._asked[point]
                drafts += self._answer(point, question.future)
            elif question.asked <= late:
                drafts += self._volumes.trouble(point, "does not answer")
        return drafts

    def _answer(self, point: str, future: asyncio.Future[Usage]) -> list[Draft]:
        try:
            return self._volumes.usage(point, future.result())
        except OSError as error:
            # Not ours to look into, or unmounted meanwhile: neither is trouble of the file system.
            if error.errno in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOSYS):
                return []
            return self._volumes.trouble(point, f"answers with an error: {error.strerror}")

    @staticmethod
    def _tell(desk: Desk, drafts: Iterable[Draft]) -> None:
        for draft in drafts:
            desk.publish(draft)


class _Question(NamedTuple):
    future: asyncio.Future[Usage]
    asked: float


def _note(changed: asyncio.Event, wake: asyncio.Event) -> None:
    changed.set()
    wake.set()


def _usage(path: bytes) -> Usage:
    return Usage.of(os.statvfs(path))
