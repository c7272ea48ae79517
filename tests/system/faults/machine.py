"""Faults of the machine that an agent runs on: disk, descriptors, processor, clock."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["Clock", "Disk", "full", "starved", "usage", "without_descriptors"]

_FAKETIME: Final = "faketime/libfaketimeMT.so.1"
_CGROUP: Final = Path("/sys/fs/cgroup/cpu")
_PERIOD: Final = 100_000
_CHUNK: Final = 64 << 10


class Disk:
    """A small file system of its own at a directory."""

    def __init__(self, path: Path, size: str) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tocsin-test", str(path))

    def close(self) -> None:
        """Removes it, once nobody uses it any more."""
        _run("umount", "--lazy", str(self.path))


@contextmanager
def full(disk: Disk) -> Iterator[None]:
    """Not one byte is free."""
    filler = disk.path / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        size = _CHUNK
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def without_descriptors(pid: int) -> Iterator[None]:
    """A process can open no file and no connection beyond those that it has, or hardly any."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(_descriptors(pid))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@contextmanager
def starved(pid: int, percent: int) -> Iterator[None]:
    """A process gets so much of one processor at most, or what busy neighbours leave."""
    with _limited(pid, percent) if (_CGROUP / "cpu.cfs_quota_us").exists() else _crowded(pid):
        yield


@contextmanager
def _limited(pid: int, percent: int) -> Iterator[None]:
    group = _CGROUP / f"tocsin-test-{pid}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text(f"{_PERIOD}")
        (group / "cpu.cfs_quota_us").write_text(f"{_PERIOD * percent // 100}")
        (group / "cgroup.procs").write_text(f"{pid}")
        yield
    finally:
        with suppress(ProcessLookupError):
            (_CGROUP / "cgroup.procs").write_text(f"{pid}")
        group.rmdir()


@contextmanager
def _crowded(pid: int) -> Iterator[None]:
    """A process has the last priority, and every processor is busy."""
    threads = [int(each.name) for each in Path(f"/proc/{pid}/task").iterdir()]
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        for thread in threads:
            os.setpriority(os.PRIO_PROCESS, thread, 19)
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
        for thread in threads:
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, thread, 0)


class Clock:
    """A wall clock for processes, which can be set; the monotonic clock stays right."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    @staticmethod
    def missing() -> str:
        """Why there can be none here; empty if there can."""
        return "" if _library() else "libfaketime missing; tests/install-tools installs what tests need"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to go by this clock; it looks at it once a second."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """How far it is ahead of the real one."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self._file)


def _library() -> Path | None:
    return next(Path("/usr/lib").glob(f"*/{_FAKETIME}"), None)


def usage(pid: int) -> tuple[float, int]:
    """The memory of a process in MB, and how many descriptors it has open."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return kilobytes / 1024, len(_descriptors(pid))


def _descriptors(pid: int) -> list[int]:
    return [int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
