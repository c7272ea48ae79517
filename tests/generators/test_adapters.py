"""Adapters: judged on recordings, and observed on real links in a namespace of their own."""

from __future__ import annotations

import socket

import pytest

from tests.generators.bench import NODE, Bench, Running, registered
from tests.generators.test_rtnetlink import recorded
from tests.tools.namespaces import in_namespaces, sh
from tocsin.core.board import Resource
from tocsin.generators import adapters as module
from tocsin.generators import rtnetlink
from tocsin.generators.adapters import Adapter, Table, adapter_drafts, present_draft
from tocsin.generators.rtnetlink import parse

PAIR = "ip link add west type veth peer name east"


def adapter(**changes: object) -> Adapter:
    """An adapter that is up, with changes."""
    usual = {"index": 2, "name": "eth1", "mac": "02:00:00:00:00:01", "mtu": 1500, "kind": ""}
    state = {"admin": "up", "operational": "up", "running": True}
    return Adapter(**{**usual, **state, **changes})  # type: ignore[arg-type]


UP = adapter()
DOWN = adapter(admin="down", operational="down", running=False)
BARE = adapter(operational="down", running=False)


class TestTable:
    def test_a_recording_told_as_events(self) -> None:
        """Each step of the recording brings the events that an administrator expects of it."""
        table = Table()
        before: dict[str, Adapter] = {}
        failed: set[str] = set()
        told: dict[str, set[str]] = {}
        for step, datagrams in recorded():
            for data in datagrams:
                for message in parse(data):
                    table.apply(message)
            now = table.adapters()
            drafts = [
                d for name, a in now.items() for d in adapter_drafts(before.get(name), name in failed, a)
            ]
            failed = {d.subject for d in drafts if d.data["status"] == "failed"} | (failed & now.keys())
            told[step] = {f"{d.type} {d.subject}" for d in drafts}
            told[step] |= {f"removed {name}" for name in before.keys() - now.keys()}
            before = now

        assert told["ip link set lo up"] == set()
        assert told[PAIR] == {"adapter.added west", "adapter.added east"}
        assert told["ip link set west up"] == {"adapter.no-carrier west"}
        assert told["ip link set east up"] == {"adapter.up west", "adapter.up east"}
        assert told["ip addr add 10.9.0.1/24 dev west"] == {"adapter.address-added west"}
        assert told["ip link set east down"] == {"adapter.no-carrier west", "adapter.down east"}
        assert told["ip link set west mtu 1400"] == {"adapter.changed west"}
        assert told["ip link set east nomaster"] == {"adapter.changed office"}  # its address was its port's
        assert told["ip link set east name fast"] == {"adapter.added fast", "removed east"}
        assert told["ip addr del 10.9.0.1/24 dev west"] == {"adapter.address-removed west"}
        assert told["ip link del west"] == {"removed west", "removed fast"}

    def test_names_can_be_left_out(self) -> None:
        """What matches a pattern to ignore is not reported, nor is the loopback."""
        table = Table(ignore=("w*",))
        for _, datagrams in recorded()[:2]:
            for data in datagrams:
                for message in parse(data):
                    table.apply(message)

        assert set(table.adapters()) == {"east"}


class TestJudging:
    def test_switched_off(self) -> None:
        """An adapter that was up and was switched off has failed, and the sentence says what happened."""
        (draft,) = adapter_drafts(UP, False, DOWN)

        assert (draft.type, draft.severity) == ("adapter.down", "error")
        assert draft.data["summary"] == "eth1 is down (switched off)"
        assert draft.data["attributes"]["admin"] == "down"

    def test_lost_carrier(self) -> None:
        """An adapter that was up and lost its carrier has failed, but is not switched off."""
        (draft,) = adapter_drafts(UP, False, BARE)

        assert (draft.type, draft.data["status"]) == ("adapter.no-carrier", "failed")
        assert draft.data["summary"] == "eth1 has no carrier"
        assert draft.data["attributes"]["admin"] == "up"

    def test_switched_on_again_without_carrier_it_has_still_failed(self) -> None:
        """From switched off to no carrier is no recovery."""
        (draft,) = adapter_drafts(DOWN, True, BARE)

        assert draft.data["status"] == "failed"

    def test_up_again(self) -> None:
        """An adapter that is up is fine whatever it was, and its speed is said."""
        (draft,) = adapter_drafts(BARE, True, adapter(speed=1000))

        assert (draft.type, draft.data["status"]) == ("adapter.up", "ok")
        assert draft.data["summary"] == "eth1 is up at 1000 Mb/s"

    @pytest.mark.parametrize("state", [DOWN, BARE])
    def test_what_was_never_up_raises_no_alarm(self, state: Adapter) -> None:
        """A spare port, or a bridge without members, is fine."""
        assert present_draft(state, None).data["status"] == "ok"
        assert adapter_drafts(None, False, state)[0].data["status"] == "ok"

    def test_a_physical_port_with_an_address_should_have_a_carrier(self) -> None:
        """Who gave it an address meant to use it; a bridge of a container engine is another matter."""
        port, bridge = (
            adapter(addresses=("10.0.0.1/8",), running=False),
            adapter(kind="bridge", running=False),
        )

        assert present_draft(port, None).data["status"] == "warning"
        assert present_draft(bridge, None).data["status"] == "ok"

    @pytest.mark.parametrize(
        ("known", "status"),
        [
            ({"status": "ok", "attributes": {"admin": "up", "operational": "up"}}, "failed"),
            ({"status": "ok", "attributes": {"admin": "up", "operational": "unknown"}}, "failed"),
            ({"status": "failed", "attributes": {"admin": "down"}}, "failed"),
            ({"status": "ok", "attributes": {"admin": "down"}}, "ok"),
            ({"status": "ok", "attributes": {"admin": "up", "operational": "down"}}, "ok"),
        ],
    )
    def test_a_dump_is_judged_by_what_was_reported(self, known: dict[str, object], status: str) -> None:
        """An adapter that was up in the agent's last life, or had failed then, has failed if it is down."""
        resource = Resource(node=NODE, kind="adapter", subject="eth1", **known)  # type: ignore[arg-type]

        assert present_draft(DOWN, resource).data["status"] == status

    def test_all_new_addresses_are_one_event(self) -> None:
        """Addresses that came together are told together, and the event has all of them."""
        (draft,) = adapter_drafts(UP, False, adapter(addresses=("10.0.0.1/8", "10.0.0.2/8")))

        assert draft.type == "adapter.address-added"
        assert draft.data["summary"] == "eth1 is up; address 10.0.0.1/8, 10.0.0.2/8 was added"
        assert draft.data["attributes"]["addresses"] == ["10.0.0.1/8", "10.0.0.2/8"]

    def test_other_changes_say_what_changed(self) -> None:
        """The old and the new value are in the sentence; without a change nothing is told."""
        (draft,) = adapter_drafts(UP, False, adapter(mtu=9000))

        assert (draft.type, draft.data["summary"]) == ("adapter.changed", "eth1 is up; mtu 1500 → 9000")
        assert adapter_drafts(UP, False, UP) == []


class TestOnRealLinks:
    @in_namespaces
    async def test_the_life_of_a_pair(self) -> None:
        """A real pair of links is added, goes up, loses its far end and is removed: each told once."""
        bench = Bench()
        async with Running(bench, registered("adapters")):
            sh(PAIR)
            await bench.event("adapter.added", "west")
            sh("ip link set west up && ip link set east up && ip addr add 10.1.0.1/24 dev west")
            await bench.event("adapter.address-added", "west")
            await bench.event("adapter.up", "east")
            sh("ip link set east down")
            down = await bench.event("adapter.down", "east")
            await bench.event("adapter.no-carrier", "west")
            sh("ip link del west")
            await bench.event("adapter.removed", "west")

        assert (down.severity, down.payload().status) == ("error", "failed")
        assert bench.said("east") == [
            ("adapter.added", "ok"),
            ("adapter.up", "ok"),
            ("adapter.down", "failed"),
            ("adapter.removed", "gone"),
        ]
        assert not [s for _, s in bench.said() if s == "lo"]
        assert bench.board.section(NODE) == []

    @in_namespaces
    async def test_what_is_there_at_the_very_first_start_is_no_news(self) -> None:
        """Adapters that are fine are put on the board silently; the next life tells only what changed."""
        sh(f"{PAIR} && ip link set west up && ip link set east up && ip addr add 10.1.0.1/24 dev west")
        bench = Bench()
        async with Running(bench, registered("adapters")):
            await bench.until(lambda: not bench.said() or bench.said("west")[-1][1] == "ok")
        silent = [(e.type, e.subject) for e in bench.events]
        sh("ip link set east down")
        second = Bench(first_start=False, board=bench.board, life=2)
        async with Running(second, registered("adapters")):
            pass

        assert [said for said in silent if said[0] in ("adapter.added", "adapter.removed")] == []
        assert bench.resource("adapter", "west").attributes["addresses"] == ["10.1.0.1/24"]
        assert sorted(second.said()) == [("adapter.down", "east"), ("adapter.no-carrier", "west")]

    @in_namespaces
    async def test_what_was_removed_while_away_is_told(self) -> None:
        """An adapter that the board knows and that is not there any more is gone."""
        sh(PAIR)
        bench = Bench()
        async with Running(bench, registered("adapters")):
            pass
        sh("ip link del west")
        second = Bench(first_start=False, board=bench.board, life=2)
        async with Running(second, registered("adapters")):
            pass

        assert sorted(second.said()) == [("adapter.removed", "east"), ("adapter.removed", "west")]

    @in_namespaces
    async def test_after_an_overflow_the_truth_is_asked_for(self) -> None:
        """Notices that did not fit are made up for by a dump: no adapter is missed, none is a ghost."""
        bench = Bench()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "open_socket", _small)
            async with Running(bench, registered("adapters")):
                for n in range(40):  # in one step of the loop: nothing is read meanwhile
                    sh(f"ip link add a{n} type veth peer name b{n}")
                sh("ip link del a0")
                await bench.event("adapter.added", "b39")
                await bench.until(lambda: len(bench.board.section(NODE)) == 78)

        assert {r.subject for r in bench.board.section(NODE)} == {
            f"{s}{n}" for s in "ab" for n in range(1, 40)
        }

    @in_namespaces
    async def test_a_fresh_link_gets_time_for_its_carrier(self) -> None:
        """Switched on, an adapter without carrier is told only when it had time to get one."""
        sh(PAIR)
        bench = Bench()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "CARRIER_GRACE", 0.2)
            await self._no_carrier_for_long(bench)

        assert bench.said("west") == [("adapter.no-carrier", "ok"), ("adapter.up", "ok")]
        assert bench.said("east") == [("adapter.up", "ok")]

    async def _no_carrier_for_long(self, bench: Bench) -> None:
        async with Running(bench, registered("adapters")):
            sh("ip link set west up")
            await bench.event("adapter.no-carrier", "west")
            sh("ip link set east up")
            await bench.event("adapter.up", "west")


def _small(*, notices: bool = False) -> socket.socket:
    opened = rtnetlink.open_socket(notices=notices)
    if notices:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return opened
