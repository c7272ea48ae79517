"""Storage: file systems judged, and real ones mounted, filled and made read-only."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.generators.bench import NODE, Bench, Running, registered
from tests.generators.test_mounts import mount
from tests.tools.namespaces import in_namespaces, sh
from tocsin.core.board import Resource
from tocsin.core.event import Draft
from tocsin.generators import mounts
from tocsin.generators import storage as module
from tocsin.generators.mounts import Mount
from tocsin.generators.storage import Usage, Volumes

DATA = mount("/data")


def used(percent: float, inodes: float = 1.0) -> Usage:
    """So many percent used."""
    return Usage(size=1000, free=int(1000 - 10 * percent), used_percent=percent, inodes_percent=inodes)


def said(drafts: list[Draft]) -> list[tuple[str, str]]:
    """Types and statuses."""
    return [(draft.type, draft.data["status"]) for draft in drafts]


def volumes(*some: Mount) -> Volumes:
    """File systems that have just been found."""
    found = Volumes()
    for one in some or (DATA,):
        found.known(one, None)
    found.present()
    return found


class TestUsage:
    def test_it_counts_as_df_does(self, tmp_path: Path) -> None:
        """Percent used is of what ordinary users can have, as df shows it."""
        usage = Usage.of(os.statvfs(tmp_path))

        assert usage.size > 0
        assert 0 <= usage.used_percent <= 100
        assert 0 <= usage.inodes_percent <= 100

    def test_reserved_blocks_and_no_inodes(self) -> None:
        """Blocks reserved for root count as used up; a file system without inodes has none to use up."""
        found = os.statvfs_result((4096, 4096, 1000, 100, 50, 0, 0, 0, 0, 255))

        assert Usage.of(found) == Usage(4_096_000, 204_800, 94.7, 0.0)


class TestVolumes:
    def test_filling_full_recovered(self) -> None:
        """Each level is told once when it is reached, and recovery when it is well left."""
        known = volumes()
        steps = [(50, []), (91, ["filling"]), (95, []), (99, ["full"]), (97, []), (94, ["filling"]), (88, [])]
        for percent, types in [*steps, (86, ["recovered"]), (91, ["filling"])]:
            assert [d.type for d in known.usage("/data", used(percent))] == [f"storage.{t}" for t in types]

    def test_the_sentence_says_what_is_full(self) -> None:
        """Space and inodes are told apart; the percent is in sentence and attributes."""
        (space,) = volumes().usage("/data", used(99.0))
        (inodes,) = volumes().usage("/data", used(20.0, inodes=93.0))

        assert space.data["summary"] == "/data is full: 99 % used"
        assert (space.data["status"], space.data["attributes"]["used_percent"]) == ("failed", 99.0)
        assert inodes.data["summary"] == "/data is filling up: 93 % of its inodes are used"

    def test_becoming_read_only_is_a_failure(self) -> None:
        """A file system that was writable and is not any more has failed, until it is writable again."""
        known = volumes()
        changed = mount("/data", read_only=True)

        assert said(known.mounts({"/data": changed})) == [("storage.read-only", "failed")]
        assert known.mounts({"/data": changed}) == []
        assert said(known.mounts({"/data": DATA})) == [("storage.recovered", "ok")]

    def test_read_only_by_nature_is_fine(self) -> None:
        """What is read-only when first seen is no failure, and cannot fill up."""
        known = volumes(mount("/image", read_only=True))

        assert known.usage("/image", used(100)) == []
        assert said(known.present()) == [("storage.mounted", "ok")]
        assert known.measured() == {}

    def test_mounted_and_unmounted(self) -> None:
        """Mounts that come and go are told, also when another file system takes the place."""
        known = volumes()

        assert said(known.mounts({})) == [("storage.unmounted", "gone")]
        assert said(known.mounts({"/data": DATA})) == [("storage.mounted", "ok")]
        assert said(known.mounts({"/data": mount("/data", device="9:9")})) == [("storage.mounted", "ok")]

    def test_no_answer_is_a_failure_and_an_answer_the_end_of_it(self) -> None:
        """A file system that does not answer has failed; its level is looked at again afterwards."""
        known = volumes()
        known.usage("/data", used(95))

        (silent,) = known.trouble("/data", "does not answer")
        assert (silent.type, silent.data["summary"]) == ("storage.error", "/data does not answer")
        assert known.trouble("/data", "does not answer") == []
        assert said(known.usage("/data", used(95))) == [("storage.filling", "warning")]
        (back,) = known.usage("/data", used(10))
        assert back.data["summary"] == "/data has space again"

    def test_what_is_not_mounted_any_more_has_no_news(self) -> None:
        """An answer that comes too late is nothing."""
        assert Volumes().usage("/data", used(99)) == []
        assert Volumes().trouble("/data", "does not answer") == []

    @pytest.mark.parametrize(
        ("attributes", "now", "percent", "expected"),
        [
            ({"state": "filling", "access": "rw"}, DATA, 88, "storage.filling"),
            ({"state": "ok", "access": "rw"}, DATA, 88, "storage.mounted"),
            ({"state": "ok", "access": "rw"}, mount("/data", read_only=True), 10, "storage.read-only"),
            ({"state": "read-only", "access": "ro"}, mount("/data", read_only=True), 10, "storage.read-only"),
            ({"state": "ok", "access": "ro"}, mount("/data", read_only=True), 10, "storage.mounted"),
        ],
    )
    def test_a_dump_goes_on_from_what_was_reported(
        self, attributes: dict[str, object], now: Mount, percent: float, expected: str
    ) -> None:
        """Hysteresis and 'became read-only' survive a restart of the agent."""
        known = Volumes()
        known.known(
            now, Resource(node=NODE, kind="storage", subject="/data", status="ok", attributes=attributes)
        )
        known.usage("/data", used(percent))

        assert [draft.type for draft in known.present()] == [expected]

    def test_the_fullest_is_measured(self) -> None:
        """'disk' is the fullest, and each has a value of its own."""
        known = volumes(DATA, mount("/home"))
        known.usage("/data", used(30))
        known.usage("/home", used(70))

        assert known.measured() == {"disk": 70.0, "disk:/data": 30.0, "disk:/home": 70.0}


FAST = {"storage.interval": 0.1}


class TestOnRealFileSystems:
    @in_namespaces
    async def test_the_life_of_a_file_system(self) -> None:
        """A real file system is mounted, filled until nothing fits, emptied, made read-only, unmounted."""
        bench = Bench()
        async with Running(bench, registered("storage"), FAST):
            sh("mount -t tmpfs -o size=8m disk /mnt")
            await bench.event("storage.mounted", "/mnt")
            with suppress(OSError), Path("/mnt/file").open("wb", buffering=0) as file:  # ENOSPC
                while True:
                    file.write(bytes(1 << 16))
            full = await bench.event("storage.full", "/mnt")
            await bench.until(lambda: any(m.get("disk:/mnt") == 100.0 for m in bench.measures))
            Path("/mnt/file").unlink()
            await bench.event("storage.recovered", "/mnt")
            sh("mount -o remount,ro /mnt")
            await bench.event("storage.read-only", "/mnt", seconds=1)
            sh("mount -o remount,rw /mnt")
            await bench.until(lambda: bench.said("/mnt")[-1] == ("storage.recovered", "ok"))
            sh("umount /mnt")
            await bench.event("storage.unmounted", "/mnt", seconds=1)

        assert (full.severity, full.payload().attributes["used_percent"]) == ("error", 100.0)
        assert full.payload().attributes["fstype"] == "tmpfs"
        steps = [type for type, _ in bench.said("/mnt") if type != "storage.filling"]
        assert steps == [
            "storage.mounted",
            "storage.full",
            "storage.recovered",
            "storage.read-only",
            "storage.recovered",
            "storage.unmounted",
        ]

    @in_namespaces
    async def test_what_is_mounted_at_the_very_first_start_is_no_news(self) -> None:
        """What is fine is on the board at once, without an event; a full one is told."""
        sh("mount -t tmpfs -o size=1m disk /mnt")
        sh("mkdir /mnt/full && mount -t tmpfs -o size=64k disk2 /mnt/full")
        sh("head -c 65536 /dev/zero >/mnt/full/file || true")
        bench = Bench()
        async with Running(bench, registered("storage"), FAST):
            pass

        assert bench.said("/mnt") == []
        assert bench.said("/mnt/full") == [("storage.full", "failed")]
        assert bench.resource("storage", "/mnt").attributes["device"] == "disk"


class TestAnswers:
    async def test_one_that_hangs_is_told_and_delays_no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """While a dead file system never answers, the others are watched and the generator can stop."""
        asked: list[bytes] = []
        release = asyncio.Event()
        loop = asyncio.get_running_loop()

        def usage(path: bytes) -> Usage:
            asked.append(path)
            if path == b"/dead":
                asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
            return used(10)

        monkeypatch.setattr(module, "_usage", usage)
        monkeypatch.setattr(module, "ANSWER_WITHIN", 0.2)
        monkeypatch.setattr(mounts, "read", lambda: [mount("/dead"), mount("/alive")])
        bench = Bench()
        async with Running(bench, registered("storage"), {"storage.interval": 0.05}):
            await bench.event("storage.error", "/dead")
            await bench.until(lambda: asked.count(b"/alive") > 5)
            assert asked.count(b"/dead") == 1
            release.set()
            await bench.event("storage.recovered", "/dead")

        assert bench.said("/alive") == []

    @pytest.mark.parametrize(("error", "told"), [(5, ["storage.error"]), (116, ["storage.error"]), (13, [])])
    async def test_errors(self, monkeypatch: pytest.MonkeyPatch, error: int, told: list[str]) -> None:
        """EIO and ESTALE are the file system's trouble; that we may not look is not."""
        answers = [OSError(error, os.strerror(error))]

        def usage(path: bytes) -> Usage:
            raise answers[0]

        monkeypatch.setattr(module, "_usage", usage)
        monkeypatch.setattr(mounts, "read", lambda: [mount("/odd")])
        bench = Bench()
        async with Running(bench, registered("storage"), {"storage.interval": 0.05}):
            await asyncio.sleep(0.2)

        assert [type for type, _ in bench.said("/odd")] == told
