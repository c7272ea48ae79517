"""The mounts of this namespace: parsed, chosen, watched.

:func:`parse` and :func:`chosen` are pure; :func:`read` and :func:`watched` are the reader.
"""

from __future__ import annotations

import asyncio
import re
import select
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from msgspec import Struct

from tocsin.core.errors import GeneratorUnavailable

__all__ = ["Mount", "chosen", "parse", "read", "watched"]

_MOUNTINFO: Final = Path("/proc/self/mountinfo")

#: Nothing of theirs can fill up: views of the kernel, images that are read-only and full by nature.
_NOT_STORAGE: Final = frozenset(
    {"autofs", "bdev", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cpuset", "debugfs"}
    | {"devpts", "devtmpfs", "efivarfs", "erofs", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal"}
    | {"fuse.snapfuse", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nfsd", "nsfs", "pipefs", "proc"}
    | {"pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "sockfs", "squashfs", "sysfs"}
    | {"tracefs", "udf"}
)
#: Mounts of containers, made and removed by their engine; each shows again what is below it.
_OF_CONTAINERS: Final = ("/var/lib/docker/*", "/var/lib/containers/*", "/var/lib/kubelet/*")
#: Where file systems in memory are the system's own tools.
_OF_SYSTEM: Final = ("/dev/*", "/proc/*", "/sys/*", "/run/*")


class Mount(Struct, frozen=True):
    """A line of mountinfo."""

    id: int
    device: str
    root: str
    #: The mount point: as text for people, and as the system knows it.
    point: str
    path: bytes
    fstype: str
    source: str
    #: The file system's, not this mount's: a sandbox shows all mounts read-only.
    read_only: bool


# -- parsing ---------------------------------------------------------------------------------------


def parse(data: bytes) -> list[Mount]:
    """The mounts in ``/proc/self/mountinfo`` (proc(5)); a line that is none is passed over."""
    return [mount for line in data.split(b"\n") if (mount := _mount(line)) is not None]


def _mount(line: bytes) -> Mount | None:
    left, dash, right = line.partition(b" - ")
    fields, kind = left.split(b" "), right.split(b" ")
    if not dash or len(fields) < 6 or len(kind) < 3 or not fields[0].isdigit():
        return None
    path = _unescaped(fields[4])
    return Mount(
        id=int(fields[0]),
        device=_text(fields[2]),
        root=_text(_unescaped(fields[3])),
        point=_text(path),
        path=path,
        fstype=_text(kind[0]),
        source=_text(_unescaped(kind[1])),
        read_only=b"ro" in kind[2].split(b","),
    )


def _unescaped(field: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8) & 0xFF]), field)


def _text(raw: bytes) -> str:
    # A name that is not UTF-8 or has control characters must not break an event.
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", raw.decode("utf-8", "replace"))


def chosen(mounts: Iterable[Mount], ignore: Iterable[str] = ()) -> dict[str, Mount]:
    """The mounts to report, by mount point: of each real file system one.

    Of several mounts of one file system it is that of its root, else the one with the shortest name.
    """
    ignore = tuple(ignore)
    visible = {mount.point: mount for mount in mounts}  # of several on one point the last is seen
    best: dict[str, Mount] = {}
    for mount in visible.values():
        if not _is_storage(mount) or any(fnmatchcase(mount.point, pattern) for pattern in ignore):
            continue
        # Subvolumes of btrfs have one device each, and share all their space.
        device = mount.source if mount.fstype == "btrfs" else mount.device
        other = best.get(device)
        if other is None or _rank(mount) < _rank(other):
            best[device] = mount
    return {mount.point: mount for mount in best.values()}


def _rank(mount: Mount) -> tuple[bool, int, int]:
    return (mount.root != "/", len(mount.point), mount.id)


def _is_storage(mount: Mount) -> bool:
    if mount.fstype in _NOT_STORAGE or len(mount.point) > 1024:
        return False
    if mount.fstype in ("overlay", "aufs"):
        return mount.point == "/"  # elsewhere it shows a container's view of a file system below
    not_here = _OF_CONTAINERS + (_OF_SYSTEM if mount.fstype == "tmpfs" else ())
    return not any(fnmatchcase(mount.point, pattern) for pattern in not_here)


# -- reading ---------------------------------------------------------------------------------------


def read() -> list[Mount]:
    """The mounts as they are now (about 2 µs each)."""
    return parse(_MOUNTINFO.read_bytes())


@contextmanager
def watched(changed: Callable[[], None]) -> Iterator[None]:
    """Calls ``changed`` whenever the mounts of this namespace change.

    mountinfo is always readable, a change is POLLPRI: an event loop, which waits for readable, would
    spin. So it waits for an epoll of our own that waits for nothing but POLLPRI.
    """
    loop = asyncio.get_running_loop()
    try:
        mounts = _MOUNTINFO.open("rb")
    except OSError as error:
        raise GeneratorUnavailable(f"{_MOUNTINFO}: {error.strerror}") from None
    with mounts, select.epoll() as nested:
        nested.register(mounts, select.EPOLLPRI)

        def ready() -> None:
            nested.poll(0)  # only drains; it returns nothing, for the outer poll has consumed the event
            changed()

        loop.add_reader(nested.fileno(), ready)
        try:
            yield
        finally:
            loop.remove_reader(nested.fileno())
