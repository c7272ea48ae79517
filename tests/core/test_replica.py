"""The replica, by whole clusters of them under simulated time and network."""

from __future__ import annotations

import msgspec
import pytest

from tests.core.made import LIFE, arrival
from tests.schedules import SCHEDULES, assert_agreement
from tests.simulator import World, check_order
from tocsin.core import effects as fx
from tocsin.core import messages as ms
from tocsin.core.replica import Replica
from tocsin.core.sequence import incarnation_of, seq_of, sequence_of


def cluster(count: int = 3, **settings: float) -> World:
    """Nodes that have started together and have joined."""
    world = World(count, **settings)  # type: ignore[arg-type]
    world.start()
    world.run(6)
    return world


def services(world: World, name: str, origin: str) -> list[str]:
    """What of an origin's services a node has numbered."""
    return [e.sequence for e in world.nodes[name].events(origin) if e.kind == "service"]


def test_every_node_becomes_ready_and_all_join_once() -> None:
    """Started together, each node is told of the others joining exactly once, and shows them up."""
    world = cluster(4)

    for name, node in world.nodes.items():
        others = sorted(set(world.names) - {name})
        assert node.replica.ready
        assert others == sorted(e.node for e in node.events(type_="node.joined"))
        assert not node.events(type_="node.up")
        assert ["up"] * 4 == [r.attributes["state"] for r in node.board.nodes()]
        assert not node.losses()


def test_an_event_reaches_all_once_in_order() -> None:
    """What one publishes enters the buffer of every node, once and in order, on two rails."""
    world = cluster()
    sent = [world.emit("n1", f"s{i}") for i in range(50)]
    world.run(0.2)

    for name in world.names:
        assert sent == services(world, name, "n1")
        check_order(world.nodes[name])


def test_a_rail_cut_loses_and_delays_nothing() -> None:
    """With one of two rails gone every event arrives within milliseconds, without repair."""
    world = cluster()
    world.network.cut("n2", (0,), ["n1", "n3"])
    sent = [world.emit("n1", f"s{i}") for i in range(20)]
    world.run(0.01)

    assert sent == services(world, "n2", "n1")
    assert world.nodes["n2"].replica.counters["events_filled"] == 0


def test_both_rails_cut_and_healed() -> None:
    """After a cut of all rails what was missed is asked for and handed on in order, without a loss."""
    world = cluster()
    world.network.cut("n2", (0, 1), ["n1", "n3"])
    sent = []
    for i in range(200):
        sent.append(world.emit("n1", f"s{i}"))
        world.run(0.05)
    assert len(services(world, "n2", "n1")) < 200
    world.network.heal()
    world.run(3)

    for name in world.names:
        assert sent == services(world, name, "n1")
        check_order(world.nodes[name])
        assert not world.nodes[name].losses()


def test_loss_duplication_and_reordering() -> None:
    """A network that loses 30 %, repeats 20 % and reorders makes no difference in the end."""
    world = cluster()
    world.network.loss, world.network.duplicate, world.network.jitter = 0.3, 0.2, 0.2
    sent = []
    for i in range(300):
        sent.append(world.emit("n3", f"s{i}"))
        world.run(0.01)
    world.run(5)

    for name in world.names:
        assert sent == services(world, name, "n3")
        check_order(world.nodes[name])


def test_kill_and_restart() -> None:
    """A killed node is down once on each survivor; its new life is told once, nothing repeats, no loss."""
    world = cluster()
    world.emit("n2", "a")
    world.run(1)
    world.kill("n2")
    world.run(8)
    for name in ("n1", "n3"):
        node = world.nodes[name]
        assert ["n2"] == [e.node for e in node.events(type_="node.down")]
        assert "down" == node.board.node("n2").attributes["state"]  # type: ignore[union-attr]

    world.start("n2")
    world.run(5)
    sent = world.emit("n2", "b")
    world.run(0.5)

    for name in ("n1", "n3"):
        node = world.nodes[name]
        assert ["n2"] == [e.node for e in node.events(type_="node.up")]
        assert sent == services(world, name, "n2")[-1]
        assert 2 == len({incarnation_of(s) for s in services(world, name, "n2")})
        check_order(node)
        assert not node.losses()
    assert services(world, "n1", "n2") == services(world, "n2", "n2")


def test_a_quick_restart_is_told_once() -> None:
    """A node that is back before it is called down is told of by one node.up, and none is lost."""
    world = cluster()
    world.emit("n2", "a")
    world.run(1)
    world.kill("n2")
    world.run(0.5)
    world.start("n2")
    world.run(6)
    last = world.emit("n2", "b")
    world.run(1)

    for name in ("n1", "n3"):
        node = world.nodes[name]
        assert ["n2"] == [e.node for e in node.events(type_="node.up")]
        assert not node.events(type_="node.down")
        assert last == services(world, name, "n2")[-1]
        check_order(node)
        assert not node.losses()


def test_what_only_its_origin_had_of_a_former_life_is_had_or_told_as_lost() -> None:
    """A new life says how the former one ended: others ask for the rest, and know what is missing."""
    world = cluster()
    first = world.emit("n2", "a")
    world.run(1)
    world.network.cut("n2", (0, 1), world.names)
    alone = [world.emit("n2", "b"), world.emit("n2", "c")]
    world.run(1)
    world.kill("n2")
    world.network.heal()
    world.start("n2")
    node = world.nodes["n2"].replica
    node._told_of_me = (incarnation_of(first), seq_of(alone[-1]))  # as its state directory says
    world.run(6)

    for name in ("n1", "n3"):
        assert [("n2", *alone)] == [tuple(loss[:3]) for loss in world.nodes[name].losses()]
        assert first in services(world, name, "n2")


def test_clean_stop_is_left_at_once() -> None:
    """A goodbye is told at once as left, and does not become down."""
    world = cluster()
    world.stop("n3")
    world.run(0.5)
    assert ["n3"] == [e.node for e in world.nodes["n1"].events(type_="node.left")]
    world.run(10)

    assert not world.nodes["n1"].events(type_="node.down")
    assert "left" == world.nodes["n1"].board.node("n3").attributes["state"]  # type: ignore[union-attr]


def test_a_name_of_the_configuration_that_never_comes() -> None:
    """A configured node that is never heard is unknown, then down: told once."""
    world = World(3)
    world.start("n1", "n2")
    world.run(2.5)
    assert "unknown" == world.nodes["n1"].board.node("n3").status  # type: ignore[union-attr]
    world.run(8)

    for name in ("n1", "n2"):
        assert ["n3"] == [e.node for e in world.nodes[name].events(type_="node.down")]


def test_a_newcomer_gets_history_and_sections() -> None:
    """A node that joins late has the events that the others hold, in order, and their board."""
    world = World(3)
    world.start("n1", "n2")
    world.run(6)
    sent = [world.emit("n1", f"s{i}", "failed") for i in range(30)]
    world.run(1)
    world.start("n3")
    world.run(4)

    assert sent == services(world, "n3", "n1")
    check_order(world.nodes["n3"])
    assert {r.key for r in world.nodes["n1"].board.section("n1")} == {
        r.key for r in world.nodes["n3"].board.section("n1")
    }


def test_a_partition_longer_than_the_retention_is_told_as_a_loss_and_the_board_is_right() -> None:
    """What nobody holds any more becomes one marker, behind a fresh board section."""
    world = cluster(retain=5.0)
    world.network.cut("n2", (0, 1), ["n1", "n3"])
    for i in range(20):
        world.emit("n1", "web", "failed" if i % 2 else "ok")
        world.run(1)
    world.emit("n1", "web", "failed")
    world.run(8)
    world.network.heal()
    world.run(5)
    node = world.nodes["n2"]

    assert ["n1"] == [loss.origin for loss in node.losses() if loss.origin == "n1"]
    assert "failed" == node.board.own("n1", "service", "web").status  # type: ignore[union-attr]
    check_order(node)
    last = world.emit("n1", "web", "ok")
    world.run(0.5)
    assert last == services(world, "n2", "n1")[-1]


LIES = [
    b"", b"\x00", b"\x93\x01\xa5hello\xa2\xff\xfe",
    ms.encode(ms.Announce, "n3", 5, 1, 0, 1.0),
    ms.encode(ms.Announce, "n2", 5, 9, 3, 1.0),
    ms.encode(ms.Goodbye, "n3", 5, 0),
    ms.encode(ms.Events, "n3", 5, 1, []),
]  # fmt: skip


@pytest.mark.parametrize("payload", LIES)
def test_what_a_peer_may_not_say_is_refused_and_counted(payload: bytes) -> None:
    """Garbage, words in another's name, an announce of less than nothing: nothing follows from them."""
    replica = cluster().nodes["n1"].replica
    assert [] == replica.receive("n2", payload, replica._awake_at)
    assert 1 == replica.counters["messages_refused"]


def test_lies_about_a_node_that_is_heard_change_nothing() -> None:
    """Others are not believed about an origin that tells itself, nor numbers that cannot be."""
    world = cluster()
    node = world.nodes["n1"]
    life = world.nodes["n3"].replica.incarnation
    for entry in (
        ms.Entry("n3", life, 1, 10**9),
        ms.Entry("n3", life - 9, 1, 5),
        ms.Entry("n1", 10**13 - 1, 1, 5),
    ):
        node.do(node.replica.receive("n2", _announce(world, "n2", [entry]), world.now))
    node.do(node.replica.receive("n2", ms.encode(ms.Section, "n3", life, 99, 0, 1, [], {}), world.now))
    node.do(node.replica.receive("n2", ms.encode(ms.Section, "n9", life, 99, 0, 1, [], {}), world.now))
    node.do(node.replica.receive("n2", ms.encode(ms.Fill, "n9", life, 1, 9, []), world.now))
    world.run(3)
    sent = world.emit("n3", "after")
    world.run(0.2)
    assert [sent] == services(world, "n1", "n3")
    assert not node.losses()


def test_an_impossible_end_of_a_former_life_is_no_hole() -> None:
    """Nothing is asked for, and nothing is given up."""
    world = cluster()
    node, other = world.nodes["n1"].replica, world.nodes["n3"].replica
    for previous in (sequence_of(other.incarnation, 10**11), sequence_of(other.incarnation, 0)):
        said = ms.encode(ms.Announce, "n3", other.incarnation, 1, other.own.known, 1.0, True, previous)
        node.receive("n3", said, world.now)
    assert not node.origins["n3"].life.missing
    assert not world.nodes["n1"].losses()


def _announce(world: World, name: str, others: list[ms.Entry]) -> bytes:
    replica = world.nodes[name].replica
    return ms.encode(
        ms.Announce, name, replica.incarnation, 1, replica.own.known, 1.0, True, "", others, {"cpu": 1.0}
    )


class Dialect(World):
    """A cluster in which n3 speaks another version: one after this one, with more fields, or one before."""

    version = ms.PROTOCOL + 1

    def send(self, sender: str, payload: bytes, to: str | None) -> None:
        """What n3 says, as its version says it."""
        super().send(sender, self._said(payload) if sender == "n3" else payload, to)

    def _said(self, payload: bytes) -> bytes:
        message = msgspec.msgpack.decode(payload)
        message[0] = self.version
        if self.version > ms.PROTOCOL:
            if message[1] == "announce":
                message[9] = [[*entry, "more"] for entry in message[9]]
            if message[1] == "section":
                message[7] = [{**resource, "more": 1} for resource in message[7]]
            message += [{"more": [1]}, "of all"]
        elif message[1] == "announce":
            del message[10:]  # as if measures had been appended with this version
        elif message[1] == "section":
            del message[8:]
        return msgspec.msgpack.encode(message)


class Deaf(Dialect):
    """The same with a version that is two ahead."""

    version = ms.PROTOCOL + 2


class Older(Dialect):
    """The same with the version before this one."""

    version = ms.PROTOCOL - 1


@pytest.mark.parametrize("kind", [Dialect, Older])
def test_two_versions_side_by_side(kind: type[Dialect]) -> None:
    """Fields that were appended are skipped, those that are lacking have defaults: nothing is lost."""
    world = kind(3)
    world.start()
    world.run(6)
    sent = {name: [world.emit(name, "web", "failed")] for name in world.names}
    world.run(1)
    world.network.cut("n3", (0, 1), ["n1", "n2"])
    for name in world.names:
        sent[name] += [world.emit(name, f"s{i}") for i in range(5)]
    world.run(12)
    world.network.heal()
    world.run(3)
    world.kill("n1")
    world.run(6)
    world.start("n1")  # it gets history and sections of both versions
    world.run(6)
    for name in world.names:
        for origin in world.names:
            assert sent[origin] == services(world, name, origin)
        assert ["up"] * 3 == [r.attributes["state"] for r in world.nodes[name].board.nodes()]
        assert not world.nodes[name].replica.counters["messages_refused"]
    assert_agreement(world)


def test_a_version_too_far_away_is_refused_and_counted() -> None:
    """It is not understood by halves: that node is not there, and the counter says why."""
    world = Deaf(3)
    world.start()
    world.run(12)
    node = world.nodes["n1"]
    assert node.replica.counters["messages_refused"]
    assert ["up", "up", "down"] == [r.attributes["state"] for r in node.board.nodes()]


def test_who_lacks_events_gives_no_section_on() -> None:
    """A board that is in doubt looks recent, for its stamp moves on with what comes later."""
    world = cluster()
    world.emit("n3", "web", "failed")
    world.run(0.5)
    node = world.nodes["n1"].replica
    answers = []
    for number, doubtful in enumerate((True, False), start=1):
        node.origins["n3"].doubtful = doubtful
        ask = ms.encode(ms.AskSection, number, "n3")
        answers.append([e for e in node.receive("n2", ask, world.now) if isinstance(e, fx.Send)])
    assert [] == answers[0]
    assert 1 == len(answers[1])


def test_a_twin_keeps_a_newcomer_off_the_rails() -> None:
    """A newcomer that hears its own name says so and falls silent; the one that lives goes on."""
    old = cluster().nodes["n1"].replica
    new = Replica("n1", now=old._awake_at, wall_ms=10**12, names=["n1"])
    now, clashes = old._awake_at, 0
    for _ in range(30):
        now += 0.05
        for effect in [*new.tick(now)]:
            if isinstance(effect, fx.Send):
                for answer in old.receive("n1", effect.payload, now):
                    if isinstance(answer, fx.Send):
                        clashes += sum(
                            isinstance(e, fx.Clash) for e in new.receive("n1", answer.payload, now)
                        )
    assert 1 == clashes
    assert new.clashed
    assert not old.clashed
    assert [] == new.tick(now) == new.goodbye() == new.receive("n2", b"", now)


def test_a_node_without_rails_is_ready_at_once() -> None:
    """It sends nothing."""
    alone = Replica("n1", now=0.0, wall_ms=10**12, alone=True)
    done = alone.tick(0.05)
    assert alone.ready
    assert not [
        effect for effect in [*done, *alone.open(0.1), *alone.tick(9.0)] if isinstance(effect, fx.Send)
    ]


def test_a_goodbye_of_a_former_life_or_with_an_impossible_number_ends_nothing_else() -> None:
    """The life that is over has nothing to end; what cannot be is no hole."""
    world = cluster()
    node = world.nodes["n1"].replica
    life = node.origins["n3"].current
    node.receive("n3", ms.encode(ms.Goodbye, "n3", 5, 0), world.now)
    assert "n3" in node.liveness.living(world.now, 1.0)
    node.receive("n3", ms.encode(ms.Goodbye, "n3", life, 10**11), world.now)
    assert not node.origins["n3"].life.missing
    assert "n3" not in node.liveness.living(world.now, 1.0)


def test_only_newcomers_are_told_the_members_with_a_section() -> None:
    """In a large cluster they would be most of the answer."""
    world = cluster()
    node = world.nodes["n1"].replica
    told = []
    for number in (1, 2):
        [answer] = [
            ms.decode(e.payload)
            for e in node.receive("n2", ms.encode(ms.AskSection, number, "n1"), world.now)
            if isinstance(e, fx.Send)
        ]
        assert isinstance(answer, ms.Section)
        told.append(sorted(answer.members))
        node.receive("n2", ms.encode(ms.Hello, "n2"), world.now)
    assert [[], ["n2", "n3"]] == told


def test_in_a_large_cluster_nodes_are_looked_at_less_often() -> None:
    """Announces are rarer there, so there is less haste."""
    world = cluster()
    node = world.nodes["n1"].replica
    node._announced_at = {f"x{number}": world.now for number in range(1000)}
    world.nodes.pop("n3")
    looked = 0
    for _ in range(100):
        before = node._next_look
        node.tick(node._awake_at + 0.05)
        looked += node._next_look != before
    assert 10 <= looked <= 12


def test_what_a_node_without_rails_publishes_stays_here() -> None:
    """It is held, and sent to nobody."""
    alone = Replica("n1", now=0.0, wall_ms=LIFE, alone=True)
    alone.tick(0.05)
    assert [] == alone.local([arrival("n1", 1)], 0.1)
    assert 1 == alone.own.known


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("seed", range(6))
def test_random_schedules(kind: str, seed: int) -> None:
    """Whatever happens to a cluster: in the end all agree, in order, once; no reader misses anything."""
    SCHEDULES[kind](seed)
