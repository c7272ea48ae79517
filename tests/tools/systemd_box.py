r"""Boots a real systemd inside a test, in namespaces of its own (about 0.2 s), and powers it off.

    with SystemdBox({"demo.service": "[Service]\nExecStart=/bin/sleep 60\n"}) as box:
        box.systemctl("start", "demo.service")      # its bus is at box.address

The host stays untouched, and that is checked: no process of the host may change its cgroup, and no
mount may change. **Never start systemd as root in another way on a host whose PID 1 is not systemd**:
it moves every process of the machine into its own ``init.scope``.

As a command: ``python -m tests.tools.systemd_box UNITS_DIR COMMAND [ARG…]`` runs a command in the box.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

SYSTEMD = Path("/lib/systemd/systemd")
_UNITS = Path("/lib/systemd/system")
#: What a system bus needs; the box sees no other unit of the host.
_COPIED = (
    *("dbus.service", "dbus.socket", "basic.target", "sockets.target"),
    *("sysinit.target", "shutdown.target", "umount.target"),
)
_BOX_TARGET = "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\nAfter=dbus.socket\n"
_PREFIX = "tocsin-box"

# Runs as process 1 of the new namespaces. The check of the cgroup is what keeps the host safe: the
# root that systemd sees must be the box's own.
_INIT = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
umount -R /sys/fs/cgroup 2>/dev/null || mount -t tmpfs t /sys/fs/cgroup
mount -t cgroup2 c /sys/fs/cgroup
[ "$(grep ^0:: /proc/self/cgroup)" = "0::/" ]
mount -t tmpfs -o mode=755 t /run
mkdir -p /run/dbus /run/lock
ip link set lo up 2>/dev/null || true
export container=box SYSTEMD_UNIT_PATH="/run/systemd/system:$1" SYSTEMD_GENERATOR_PATH=/nonexistent
export SYSTEMD_LOG_TARGET=console LANG=C
exec /lib/systemd/systemd --system --unit=box.target --log-target=console
"""


def missing() -> str:
    """Why no box can be had here, in words; empty if it can."""
    if os.geteuid() != 0:
        return "a systemd in namespaces needs root"
    tools = ("unshare", "nsenter", "dbus-daemon", "systemctl", "mount")
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if not SYSTEMD.exists():
        lacking.append(str(SYSTEMD))
    return f"not installed: {', '.join(lacking)}" if lacking else ""


class HostChangedError(AssertionError):
    """A box has changed something outside of it."""


class SystemdBox:
    """A running systemd with the given units; ``with`` boots it and powers it off."""

    def __init__(self, units: Mapping[str, str]) -> None:
        self._given = dict(units)
        self._cgroup = _unified() / f"{_PREFIX}.{os.getpid()}.{time.monotonic_ns()}"
        self.pid = 0

    @property
    def address(self) -> str:
        """The D-Bus address of its system bus, for processes outside the box (as root)."""
        return f"unix:path=/proc/{self.pid}/root/run/dbus/system_bus_socket"

    def __enter__(self) -> SystemdBox:
        self._before = _snapshot()
        self._scratch = tempfile.TemporaryDirectory(prefix=_PREFIX)
        self.units = Path(self._scratch.name) / "units"
        self.units.mkdir()
        Path(self._scratch.name).chmod(0o755)  # the bus runs as a user of its own
        for name in _COPIED:
            shutil.copy(_UNITS / name, self.units / name)
        for name, text in {"box.target": _BOX_TARGET, **self._given}.items():
            (self.units / name).write_text(text)
        self._boot()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_systemd():
            # systemd(1): power off at once. Sent to this one process, so it can never mean the host.
            os.kill(self.pid, signal.SIGRTMIN + 14)
            with suppress(subprocess.TimeoutExpired):
                self._outer.wait(5)
        self._outer.kill()
        self._outer.wait()
        self._remove_cgroup()
        self._scratch.cleanup()
        changed = _changes(self._before, _snapshot())
        if changed:
            raise HostChangedError(changed)

    def _boot(self) -> None:
        self._cgroup.mkdir()
        self._log = Path(self._scratch.name) / "log"
        namespaces = ("--cgroup", "--mount", "--pid", "--uts", "--ipc", "--net")
        into_cgroup = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
        with self._log.open("wb") as log:
            self._outer = subprocess.Popen(
                [
                    *("sh", "-c", into_cgroup, str(self._cgroup)),
                    *("unshare", *namespaces, "--fork", "--kill-child"),
                    *("sh", "-c", _INIT, "init", str(self.units)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 10
        while not self._is_running():
            if self._outer.poll() is not None or time.monotonic() > deadline:
                text = self._log.read_text(errors="replace")
                self.__exit__()
                raise RuntimeError(f"systemd did not boot:\n{text}")
            time.sleep(0.02)  # noqa: TID251 - a tool of tests, no event loop

    def _is_running(self) -> bool:
        outer = self._outer.pid
        with suppress(OSError):
            children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
            self.pid = int(children[0]) if children else 0
        # Before it is systemd, it is a shell that may still see the host's /run, and its systemd there.
        if not self._is_systemd():
            return False
        found = self.enter("systemctl", "is-system-running", check=False)
        return found.stdout.strip() == "running"

    def _is_systemd(self) -> bool:
        try:
            return bool(self.pid) and Path(f"/proc/{self.pid}/comm").read_text().strip() == "systemd"
        except OSError:
            return False

    def enter(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command inside and returns what it said."""
        return subprocess.run(
            ["nsenter", "-t", str(self.pid), "-a", *command],
            check=check,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        """Runs systemctl inside; returns its output."""
        return self.enter("systemctl", *arguments, check=check).stdout

    def log(self) -> str:
        """What systemd has written."""
        return self._log.read_text(errors="replace")

    def _remove_cgroup(self) -> None:
        deadline = time.monotonic() + 2
        while self._cgroup.exists() and time.monotonic() < deadline:
            for folder in sorted(self._cgroup.rglob("*"), key=lambda p: -len(p.parts)):
                if folder.is_dir():
                    with suppress(OSError):
                        folder.rmdir()
            with suppress(OSError):
                self._cgroup.rmdir()


# -- the guard -------------------------------------------------------------------------------------


def _unified() -> Path:
    root = Path("/sys/fs/cgroup")
    return root / "unified" if (root / "unified").is_dir() else root


def _snapshot() -> tuple[dict[str, str], set[str]]:
    """The cgroups of each process, as far as systemd could move it, and the mounts of this namespace."""
    cgroups = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            lines = (folder / "cgroup").read_text().splitlines()
            # The other hierarchies (version 1) a box cannot even see; who ends leaves them by itself.
            cgroups[folder.name] = " ".join(x for x in lines if x.startswith("0::") or ":name=systemd:" in x)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    # Network namespaces come and go with other tests, and are mounts.
    return cgroups, {line for line in mounts if not re.search(r" - nsfs | \S*/netns ", line)}


def _changes(before: tuple[dict[str, str], set[str]], after: tuple[dict[str, str], set[str]]) -> str:
    """What a box has changed on the host, in words; a process that another box has taken is no change."""
    for pid, was in before[0].items():
        now = after[0].get(pid, was)
        if now != was and f"/{_PREFIX}." not in now:
            return f"process {pid} was moved from {was!r} to {now!r}"
    mounts = before[1] ^ after[1]
    return f"mounts have changed: {sorted(mounts)}" if mounts else ""


def main(units: str, *command: str) -> int:
    """Runs a command in a box with the units of a folder; returns its exit code."""
    texts = {path.name: path.read_text() for path in Path(units).iterdir() if path.is_file()}
    with SystemdBox(texts) as box:
        return subprocess.run(["nsenter", "-t", str(box.pid), "-a", *command]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
