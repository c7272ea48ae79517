"""This node's own lives: how they begin, and what follows if others know of a later one."""

from __future__ import annotations

import pytest

from tests.core.made import LIFE
from tests.simulator import Reader, World, check_order
from tocsin.core import effects as fx
from tocsin.core import messages as ms
from tocsin.core.joining import RENEW_EVERY
from tocsin.core.messages import encode
from tocsin.core.replica import Replica
from tocsin.core.sequence import incarnation_of, seq_of, sequence_of
from tocsin.core.twin import FORGOTTEN

NOW = 1000.0


def replica() -> Replica:
    """n1, ready and open, in its life LIFE + 3000."""
    made = Replica("n1", now=NOW, wall_ms=LIFE, names=["n1", "n2"])
    while not made.ready:
        made.tick(made._awake_at + 0.05)
    made.open(made._awake_at)
    return made


def tell(made: Replica, incarnation: int, last: int, now: float) -> list[fx.Effect]:
    """n2 tells of a life of n1; what follows at the next tick of that."""
    entry = ms.Entry("n1", incarnation, 1, last)
    made.receive("n2", encode(ms.Announce, "n2", LIFE, 1, 0, 1.0, True, "", [entry], {}), now)
    done = [effect for effect in made.tick(now) if isinstance(effect, fx.Begin | fx.Lose | fx.Publish)]
    return [e for e in done if not isinstance(e, fx.Publish) or not e.draft.type.startswith("node.")]


def test_a_later_life_that_others_know_of_is_followed_by_one_above_it() -> None:
    """What that one told is a loss here; then comes the new life, which says so."""
    made = replica()
    later = made.incarnation + 10
    begun, lost, told = tell(made, later, 4, made._awake_at + 9.0)
    assert fx.Begin(made.incarnation, sequence_of(later, 4)) == begun
    assert isinstance(lost, fx.Lose)
    assert (sequence_of(later, 1), sequence_of(made.incarnation, 1)) == lost.loss[1:3]
    assert isinstance(told, fx.Publish)
    assert "agent.renewed" == told.draft.type
    assert [] == tell(made, later, 4, made._awake_at + 9.0)
    assert later < made.incarnation <= later + 1_000_000


def test_what_is_told_in_the_same_moment_is_of_the_life_above() -> None:
    """It is numbered as it is done: before the loss that the life begins with it would be out of order."""
    made = replica()
    now = made._awake_at
    for _ in range(61):  # n2 has told something that is not to be had
        now += 0.05
        made.receive("n2", encode(ms.Announce, "n2", LIFE, 1, 1, 1.0, True, "", [], {}), now)
        made.tick(now)
    done = tell(made, made.incarnation + 10, 4, now + 0.1)
    assert [fx.Begin, fx.Lose, fx.Publish, fx.Publish] == [type(effect) for effect in done]
    told = [effect.draft.type for effect in done if isinstance(effect, fx.Publish)]
    assert ["agent.renewed", "agent.degraded"] == told


def test_a_life_that_went_on_elsewhere_ends_here() -> None:
    """The same incarnation with more events than this node ever published: a copy of its state has lived."""
    made = replica()
    life = made.incarnation
    _, lost, _ = tell(made, life, 4, made._awake_at + 9.0)
    assert isinstance(lost, fx.Lose)
    assert (life, 1) == (incarnation_of(lost.loss.first), seq_of(lost.loss.first))


def test_also_an_empty_life_of_others_is_followed_by_a_loss() -> None:
    """What this life told they never had, and a reader who comes from them takes it for old."""
    made = replica()
    assert [fx.Begin, fx.Lose, fx.Publish] == [
        type(e) for e in tell(made, made.incarnation + 1, 0, made._awake_at + 9)
    ]


def test_new_lives_do_not_follow_each_other_quickly() -> None:
    """Whatever somebody tells."""
    made = replica()
    now = made._awake_at + 9.0
    tell(made, made.incarnation + 1, 0, now)
    assert [] == tell(made, made.incarnation + 1, 0, now + 1.0)
    assert tell(made, made.incarnation + 1, 0, now + RENEW_EVERY)


def test_a_life_told_of_while_a_twin_is_near_is_the_twin_s() -> None:
    """One of the two yields; nobody begins a life to win."""
    made = replica()
    now = made._awake_at + 9.0
    twin = encode(ms.Announce, "n1", made.incarnation + 5, 1, 0, 1.0, True, "", [], {})
    made.receive("n1", twin, now)
    assert [] == tell(made, made.incarnation + 5, 0, now)
    assert tell(made, made.incarnation + 5, 0, now + FORGOTTEN + 0.1)


@pytest.mark.parametrize("wait", [0.0, 0.5, 0.8, 1.0, 1.3, 30.0])
def test_of_two_that_end_together_the_second_to_come_back_has_what_others_hold_of_the_first(
    wait: float,
) -> None:
    """It meets the other in its new life; its readers lack the end of the old one, which three nodes hold."""
    world = World(5)
    world.start()
    world.run(6)
    world.emit("n3", "seen")
    world.run(0.5)
    reader = Reader(world.nodes["n1"])
    sent = [world.emit("n3", f"a{number}") for number in range(8)]
    world.run(0.1)
    world.kill("n1")
    world.kill("n3")
    world.run(1)
    world.start("n3")
    world.run(wait)
    world.start("n1")
    world.run(8)
    reader.poll(world.nodes["n1"], 1000)
    assert [] == reader.gaps
    assert sent == [e.sequence for e in reader.told if e.origin == "n3" and e.sequence in sent]


def test_what_is_held_behind_a_loss_reaches_who_comes_back() -> None:
    """The event before it died with its origin: that is told; the one that another node holds comes."""
    world = World(3)
    world.start()
    world.run(6)
    world.emit("n3", "first")
    world.run(0.5)
    reader = Reader(world.nodes["n1"])
    world.network.cut("n3", (0, 1), world.names)
    world.emit("n3", "only here")
    world.network.heal()
    world.network.cut("n1", (0, 1), world.names)
    second = world.emit("n3", "second")
    world.run(0.02)
    world.kill("n3")
    world.kill("n1")
    world.network.heal()
    world.run(0.3)
    world.start("n3")
    world.run(0.5)
    world.start("n1")
    world.run(8)
    reader.poll(world.nodes["n1"], 1000)
    reader.poll(world.nodes["n1"], 1000)
    assert second in {event.sequence for event in reader.told}
    assert ["replica"] == [why for why, _, _ in reader.gaps]


@pytest.mark.parametrize("count", [3, 7])
def test_a_node_that_lost_its_state_is_told_of_its_later_life_when_it_is_heard(count: int) -> None:
    """Nobody could say so when it listened; by some of those who hear it, not by all."""
    world = World(count)
    world.clock["n1"] = 3_600_000
    world.start()
    world.run(6)
    later = world.nodes["n1"].replica.incarnation
    world.kill("n1")
    others = [name for name in world.names if name != "n1"]
    world.network.cut("n1", (0, 1), others)
    world.clock["n1"] = 0
    world.disks["n1"].clear()
    world.start("n1")
    world.run(7)
    assert world.nodes["n1"].replica.incarnation < later
    for name in others:  # it is heard while it has not been missed yet
        world.nodes[name].replica.liveness.heard("n1", later, world.now)
    world.network.heal()
    world.run(1.5)
    assert world.nodes["n1"].replica.incarnation > later
    at, sent = world.now, world.sent
    announce = encode(ms.Announce, "n1", 1, 1, 0, 1.0)
    told = [world.nodes[name].replica.receive("n1", announce, at) for name in others]
    answers = [e for effects in told for e in effects if isinstance(e, fx.Send) and e.to == "n1"]
    assert 1 <= len(answers) <= len(others)
    assert sent == world.sent


def test_a_node_is_told_of_its_later_life_by_way_of_one_that_knows_of_none() -> None:
    """Who remembers has no path to it, and who hears it has lost its own memory."""
    world = World(3)
    world.clock["n1"] = 3_600_000
    world.start()
    world.run(6)
    later = world.nodes["n1"].replica.incarnation
    world.kill("n1")
    world.kill("n2")
    world.network.cut("n1", (0, 1), ["n2", "n3"])
    world.clock["n1"] = 0
    world.disks["n1"].clear()
    world.start("n1")
    world.run(7)
    world.network.part(("n2", "n3"))
    world.network.cuts -= {(rail, *pair) for rail in (0, 1) for pair in (("n1", "n2"), ("n2", "n1"))}
    world.start("n2")
    world.run(7)
    assert world.nodes["n1"].replica.incarnation < later
    world.network.cuts -= {(rail, *pair) for rail in (0, 1) for pair in (("n2", "n3"), ("n3", "n2"))}
    world.run(3)
    assert world.nodes["n1"].replica.incarnation > later


@pytest.mark.parametrize("restarts", [1, 3])
def test_a_clock_set_back_and_a_state_directory_lost_behind_a_cut(restarts: int) -> None:
    """When the cut heals the others hand on what it publishes from then on; readers are told of the rest."""
    world = World(3)
    world.clock["n1"] = 3_600_000
    world.start()
    world.run(6)
    before = world.emit("n1", "before")
    world.run(1)
    world.network.cut("n1", (0, 1), ["n2", "n3"])
    world.clock["n1"] = 0
    for _ in range(restarts):
        world.kill("n1")
        world.disks["n1"].clear()
        world.start("n1")
        world.run(6)
        assert world.emit("n1", "web", "failed") < before
    own, other = Reader(world.nodes["n1"]), Reader(world.nodes["n2"])
    world.network.heal()
    world.run(3)
    after = world.emit("n1", "after")
    world.run(8)
    for name, node in world.nodes.items():
        assert [x for x in node.losses() if x.origin == "n1" and x.last.endswith("-000000000001")], name
        assert after in {e.sequence for e in node.events("n1")}
        assert 1 == len(node.events("n1", "agent.renewed"))
        assert ["failed", "ok"] == sorted(r.status for r in node.board.section("n1"))
        assert "up" == node.board.node("n1").attributes["state"]  # type: ignore[union-attr]
        check_order(node)
        assert incarnation_of(after) == world.nodes["n1"].replica.incarnation, name
    for reader, name in ((own, "n1"), (other, "n2")):
        for _ in range(5):
            reader.poll(world.nodes[name], 1000)
        reader.check(world.nodes[name])
        assert reader.gaps
