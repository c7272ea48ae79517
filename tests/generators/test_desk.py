"""The desk: no event without a change, silence at the very first start, flapping as two events."""

from __future__ import annotations

import asyncio

from tests.generators.bench import NODE, Bench
from tocsin.core.board import Resource
from tocsin.core.event import Draft, report
from tocsin.core.settle import Flapping
from tocsin.generators.desk import DeskOfAgent
from tocsin.generators.registry import Registration

PORTS = Registration(
    name="ports",
    factory=lambda settings: None,  # type: ignore[arg-type, return-value]  # never run here
    kinds=("port",),
    gone_type={"port": "port.removed"},
    subjects="eth*",
    volatile=frozenset({"traffic"}),
    final=frozenset({"port.broken"}),
)


def up(subject: str = "eth1", **attributes: object) -> Draft:
    """A port that is fine."""
    return report("port.up", subject, "ok", f"{subject} is up", attributes)


def down(subject: str = "eth1") -> Draft:
    """A port that has failed."""
    return report("port.down", subject, "failed", f"{subject} is down")


class TestPresent:
    def test_at_the_very_first_start_what_is_fine_is_no_news(self) -> None:
        """Fine resources are put on the board silently, the others become events."""
        bench = Bench(first_start=True)
        bench.desk(PORTS).present(["port"], [up("eth1", mtu=1500), down("eth2")])

        assert bench.said() == [("port.down", "eth2")]
        assert bench.resource("port", "eth1").summary == "eth1 is up"
        assert bench.resource("port", "eth1").type == "port.up"
        assert bench.resource("port", "eth1").since != ""

    def test_later_everything_new_is_an_event(self) -> None:
        """In a later life a resource that nobody knows is told: other nodes must learn of it."""
        bench = Bench(first_start=False)
        bench.desk(PORTS).present(["port"], [up("eth1")])

        assert bench.said() == [("port.up", "eth1")]

    def test_what_has_not_changed_is_no_event(self) -> None:
        """The same state again, or other values of volatile attributes, are nothing."""
        bench = Bench()
        desk = bench.desk(PORTS)
        desk.present(["port"], [up(traffic=1), down("eth2")])
        desk.present(["port"], [up(traffic=2), down("eth2")])
        bench.desk(PORTS).present(["port"], [up(traffic=3), down("eth2")])

        assert bench.said() == [("port.down", "eth2")]

    def test_what_has_changed_is_an_event(self) -> None:
        """A new status or a new attribute is told with the draft's type."""
        bench = Bench()
        bench.desk(PORTS).present(["port"], [up("eth1", mtu=1500), up("eth2")])
        bench.desk(PORTS).present(["port"], [up("eth1", mtu=9000), down("eth2")])

        assert bench.said() == [("port.up", "eth1"), ("port.down", "eth2")]

    def test_what_is_missing_is_gone(self) -> None:
        """A resource that is not presented any more is told as gone, once, with the kind's own type."""
        bench = Bench()
        desk = bench.desk(PORTS)
        desk.present(["port"], [up("eth1"), up("eth2")])
        desk.present(["port"], [up("eth2")])
        desk.present(["port"], [up("eth2")])

        assert bench.said() == [("port.removed", "eth1")]
        assert [r.subject for r in bench.board.section(NODE)] == ["eth2"]

    def test_what_others_reported_stays(self) -> None:
        """Other kinds, other subjects and other nodes' resources are not this generator's to remove."""
        bench = Bench()
        for node, kind, subject in (
            (NODE, "lamp", "eth1"),
            (NODE, "port", "usb0"),
            ("node2", "port", "eth1"),
        ):
            bench.board.state(Resource(node=node, kind=kind, subject=subject, status="ok", origin=NODE))
        bench.desk(PORTS).present(["port"], [])

        assert bench.events == []

    def test_it_does_not_depend_on_a_board_that_lags(self) -> None:
        """While the agent still queues its events, the desk itself knows what it handed in."""
        handed: list[Draft] = []
        desk = DeskOfAgent(
            PORTS,
            node=NODE,
            board=Bench().board,
            publish=handed.append,
            state=lambda resource: None,
            measure=lambda values: None,
            first_start=lambda: False,
        )
        desk.present(["port"], [up("eth1")])
        desk.present(["port"], [up("eth1")])
        desk.present(["port"], [])
        desk.present(["port"], [])

        assert [draft.type for draft in handed] == ["port.up", "port.removed"]


class TestPublish:
    def test_an_event_without_a_status_passes(self) -> None:
        """What states nothing of a resource is published as it is, also by update."""
        bench = Bench()
        desk = bench.desk(PORTS)
        desk.publish(Draft(type="port.note", subject="eth1", data="anything"))
        desk.update(Draft(type="port.note", subject="eth1"))

        assert bench.said() == [("port.note", "eth1")] * 2

    def test_measures_and_health_are_handed_on(self) -> None:
        """Values go to the agent, health to the supervisor; nothing becomes an event."""
        bench = Bench()
        desk = bench.desk(PORTS)
        desk.measure({"cpu": 3.0})
        desk.running()
        desk.degraded("half blind")

        assert bench.measures == [{"cpu": 3.0}]
        assert bench.health == [("running", ""), ("degraded", "half blind")]
        assert bench.events == []
        assert desk.node == NODE


class TestFlapping:
    def desk(self, bench: Bench) -> DeskOfAgent:
        return bench.desk(PORTS, Flapping(changes=4, within=30.0, quiet=0.1))

    async def test_flapping_is_one_event_and_settling_another(self) -> None:
        """Twenty changes are a few events, one 'flapping', and then the state in which it settled."""
        bench = Bench()
        desk = self.desk(bench)
        for _ in range(10):
            desk.publish(down())
            desk.publish(up())
        last = await bench.event("port.flapping", "eth1")
        await bench.until(lambda: len(bench.events) == 6)

        assert bench.said("eth1")[:4] == [("port.down", "failed"), ("port.up", "ok")] * 2
        assert bench.said("eth1")[4:] == [("port.flapping", "warning"), ("port.up", "ok")]
        assert last.payload().summary == "eth1 is flapping: it changed 5 times in 30 s"
        assert b'"changes":20' in bench.events[-1].body
        assert bench.resource("port", "eth1").status == "ok"
        desk.close()

    async def test_one_resource_does_not_silence_another(self) -> None:
        """Only what flaps is held back."""
        bench = Bench()
        desk = self.desk(bench)
        for _ in range(5):
            desk.publish(down())
            desk.publish(up())
        desk.publish(down("eth2"))

        assert bench.said("eth2") == [("port.down", "failed")]
        desk.close()

    async def test_while_it_flaps_its_last_state_counts(self) -> None:
        """A dump that agrees with what is held back is no change, and what settles is the last state."""
        bench = Bench()
        desk = self.desk(bench)
        for _ in range(5):
            desk.publish(up())
            desk.publish(down())
        before = len(bench.events)
        desk.present(["port"], [down()])

        assert len(bench.events) == before
        await bench.until(lambda: bench.said("eth1")[-1] == ("port.down", "failed"))
        desk.close()

    async def test_a_change_of_attributes_while_it_flaps_is_held_too(self) -> None:
        """What settles has the attributes that were handed in last."""
        bench = Bench()
        desk = self.desk(bench)
        for _ in range(5):
            desk.publish(down())
            desk.publish(up())
        desk.publish(up(mtu=9000))
        await bench.until(lambda: bench.said("eth1")[-1] == ("port.up", "ok"))

        assert bench.resource("port", "eth1").attributes == {"mtu": 9000}
        desk.close()

    async def test_the_same_trouble_again_and_again_is_flapping(self) -> None:
        """Something that never gets beyond its trouble is held back as well."""
        bench = Bench()
        desk = self.desk(bench)
        for _ in range(20):
            desk.publish(down())

        assert [said for said, _ in bench.said()] == ["port.down"] * 4 + ["port.flapping"]
        desk.close()

    async def test_an_end_ends_flapping(self) -> None:
        """A final type is told at once, and nothing follows it."""
        bench = Bench()
        desk = self.desk(bench)
        for _ in range(5):
            desk.publish(down())
            desk.publish(up())
        desk.publish(report("port.broken", "eth1", "failed", "eth1 is broken"))
        await asyncio.sleep(0.2)

        assert bench.said("eth1")[-1] == ("port.broken", "failed")
        desk.close()

    async def test_closing_ends_the_timer(self) -> None:
        """After close nothing is published any more; closing twice is no error."""
        bench = Bench()
        desk = self.desk(bench)
        for _ in range(10):
            desk.publish(down())
        desk.close()
        desk.close()
        before = len(bench.events)
        await asyncio.sleep(0.2)

        assert len(bench.events) == before
