"""Mounts: a recorded table is parsed and chosen from; real mounts are noticed without spinning."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.namespaces import in_namespaces, sh
from tocsin.core.errors import GeneratorUnavailable
from tocsin.generators import mounts
from tocsin.generators.mounts import Mount, chosen, parse

RECORDED = (Path(__file__).parents[1] / "recordings" / "storage" / "mountinfo").read_bytes()


def mount(point: str, **changes: object) -> Mount:
    """A mount of a disk of its own, with changes."""
    usual = {
        "id": 1,
        "device": point,
        "root": "/",
        "path": point.encode(),
        "fstype": "ext4",
        "source": "/dev/sda",
    }
    return Mount(**{"point": point, **usual, "read_only": False, **changes})  # type: ignore[arg-type]


def points(*some: Mount) -> set[str]:
    """Which of some mounts are chosen."""
    return set(chosen(some))


class TestParse:
    def test_a_recorded_table(self) -> None:
        """Names with blanks, devices and the file system's own access are read."""
        found = {m.point: m for m in parse(RECORDED)}
        full = found["/tmp/tocsin recording/full disk"]

        assert found["/"].source == "/dev/vda"
        assert (full.path, full.source, full.fstype) == (b"/tmp/tocsin recording/full disk", "small", "tmpfs")
        assert (full.read_only, found["/tmp/tocsin recording/ro"].read_only) == (False, True)

    def test_a_sandbox_does_not_look_read_only(self) -> None:
        """A mount that only this process sees read-only is of a file system that can be written to."""
        (found,) = parse(
            b"36 35 98:0 / /mnt ro,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue\n"
        )

        assert not found.read_only

    def test_names_that_would_break_an_event(self) -> None:
        """Control characters and bytes that are no UTF-8 are shown as '?'; the path stays as it is."""
        (found,) = parse(b"1 1 0:1 / /a\\012b\\377 rw - ext4 /dev/sda rw\n")

        assert found.path == b"/a\nb\xff"
        assert found.point == "/a?b\ufffd"

    @given(st.binary(max_size=200))
    def test_any_bytes_can_be_parsed(self, data: bytes) -> None:
        """No bytes make the parser raise."""
        parse(data)
        parse(RECORDED[: len(data)] + data)


class TestChosen:
    def test_a_recorded_table(self) -> None:
        """Of a real table only what can fill up is left: no view of the kernel, no second mount."""
        assert set(chosen(parse(RECORDED))) == {
            "/",
            "/tmp/tocsin recording",
            "/tmp/tocsin recording/full disk",
            "/tmp/tocsin recording/ro",
            "/tmp/tocsin recording/bind",
        }
        # On this point another file system was mounted over the first: that is what is seen.
        assert chosen(parse(RECORDED))["/tmp/tocsin recording/bind"].source == "over"

    def test_one_mount_for_each_file_system(self) -> None:
        """Bind mounts are left out: the mount of its root counts, else the one with the shortest name."""
        root, bind = mount("/data", device="8:1"), mount("/d", device="8:1", root="/some/folder")

        assert points(bind, root) == {"/data"}
        assert points(mount("/b/long", device="8:2", root="/x"), mount("/b", device="8:2", root="/y")) == {
            "/b"
        }

    def test_subvolumes_are_one_file_system(self) -> None:
        """A btrfs gives each subvolume a device, but they fill up together."""
        home = mount("/home", device="0:31", root="/@home", fstype="btrfs")

        assert points(mount("/", device="0:30", root="/@", fstype="btrfs"), home) == {"/"}

    def test_containers_and_their_layers_are_left_out(self) -> None:
        """An overlay is reported only as a container's own root."""
        layer = mount("/var/lib/docker/overlay2/1/merged", fstype="overlay")

        assert points(layer, mount("/srv", fstype="overlay")) == set()
        assert points(mount("/", fstype="overlay")) == {"/"}

    def test_memory_is_reported_where_people_use_it(self) -> None:
        """A tmpfs at /tmp can fill up; those below /run and /dev are the system's own."""
        memory = [
            mount(p, fstype="tmpfs") for p in ("/tmp", "/run", "/run/user/0", "/dev/shm", "/srv/scratch")
        ]

        assert points(*memory) == {"/tmp", "/run", "/srv/scratch"}

    def test_images_are_left_out(self) -> None:
        """What is read-only and full by nature is not watched."""
        assert points(mount("/snap/core/1", fstype="squashfs"), mount("/cdrom", fstype="iso9660")) == set()

    def test_the_operator_can_leave_out_more(self) -> None:
        """Patterns of mount points are not reported."""
        assert set(chosen([mount("/backup/a"), mount("/data")], ["/backup/*"])) == {"/data"}


class TestWatched:
    @in_namespaces
    async def test_each_change_is_noticed_and_nothing_spins(self) -> None:
        """Mount, remount and unmount call back within a second; without a change nothing is called."""
        calls: list[float] = []
        noticed = asyncio.Event()

        def changed() -> None:
            calls.append(time.monotonic())
            noticed.set()

        async def after(command: str) -> None:
            noticed.clear()
            sh(command)
            await asyncio.wait_for(noticed.wait(), 1)

        with mounts.watched(changed):
            await asyncio.sleep(0.1)
            assert calls == []
            await after("mount -t tmpfs -o size=1m one /mnt")
            await after("mount -o remount,ro /mnt")
            await after("umount /mnt")
            used = time.process_time()
            before = len(calls)
            await asyncio.sleep(0.3)

        assert len(calls) == before
        assert time.process_time() - used < 0.1

    async def test_a_host_without_mountinfo(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Where there is no table of mounts the generator is unavailable, and says why."""
        assert "/" in {m.point for m in mounts.read()}
        monkeypatch.setattr(mounts, "_MOUNTINFO", tmp_path / "mountinfo")

        with pytest.raises(GeneratorUnavailable, match="No such file"), mounts.watched(lambda: None):
            pass
