"""The end of a former life: whatever any living node holds of it is had, and what is not is told.

Each of these was missed without a word once. Nodes come back below or above a cut, while what they had told
is with others, or with nobody.
"""

from __future__ import annotations

import pytest

from tests.core.made import LIFE
from tests.core.test_relaying import parted, services
from tests.simulator import Reader, World
from tocsin.core import effects as fx
from tocsin.core import messages as ms
from tocsin.core.replica import Replica
from tocsin.core.sequence import seq_of, sequence_of
from tocsin.core.telling import later as later_entries


def running(count: int) -> World:
    """A cluster in which n1 has told something."""
    world = World(count)
    world.start()
    world.run(6)
    world.emit("n1", "web")
    world.run(1)
    return world


def test_how_a_former_life_ended_is_known_also_by_way_of_others() -> None:
    """What only its origin had of it is told as lost; it was missing without a word (``file 9052``)."""
    world = parted("triangle")
    world.emit("n1", "web")
    world.run(1)
    life, had = world.kill("n1").replica.incarnation, seq_of(world.nodes["n3"].buffer.seen()["n1"])
    node, other = world.nodes["n3"], world.nodes["n2"].replica
    entry = ms.Entry("n1", life + 1, 1, 0, sequence_of(life, had + 2))
    said = ms.encode(ms.Announce, "n2", other.incarnation, 1, other.own.known, 1.0, True, "", [entry])
    node.do(node.replica.receive("n2", said, world.now))
    world.run(6)

    assert [(had + 1, had + 2)] == [(seq_of(x.first), seq_of(x.last)) for x in node.losses()]


class Unannounced(World):
    """A cluster in which what n1 announces is lost from some moment on, and nothing else."""

    since, until = float("inf"), 0.0

    def send(self, sender: str, payload: bytes, to: str | None) -> None:
        """Puts a message on every rail, unless it is one of those."""
        lost = sender == "n1" and self.since <= self.now < self.until
        if not (lost and isinstance(ms.decode(payload), ms.Announce)):
            super().send(sender, payload, to)


def test_a_life_is_not_left_before_anybody_could_say_how_it_ended() -> None:
    """Events of the next one may come first, and the announces that say it be lost one after another."""
    world = Unannounced(2)
    world.start()
    world.run(4)
    world.emit("n1", "web")
    world.run(1)
    world.network.cut("n1", (0, 1), ["n2"])
    only_there = world.emit("n1", "web", "failed")
    world.stop("n1")
    world.network.heal()
    world.start("n1")
    world.since, world.until = world.now, world.now + 4
    while not world.nodes["n1"].replica.ready:
        world.run(0.1)
    sent = world.emit("n1", "web")
    world.run(8)

    assert [(only_there, only_there)] == [(loss.first, loss.last) for loss in world.nodes["n2"].losses()]
    assert sent in services(world, "n2", "n1")


def path(one: str, other: str) -> set[tuple[int, str, str]]:
    """The path between two nodes, as the network knows it."""
    return {(rail, a, b) for rail in (0, 1) for a, b in ((one, other), (other, one))}


def test_a_life_is_not_left_before_those_who_hold_its_end_are_heard() -> None:
    """After a cut an origin is heard first, in a new life; a moment later who knows more of the old one."""
    world = running(3)
    world.network.cut("n3", (0, 1), ["n1", "n2"])
    sent = [world.emit("n1", "web", "failed"), world.emit("n1", "web", "ok")]
    world.run(0.5)
    world.kill("n1")
    world.network.part(("n1", "n2"))
    world.run(0.3)
    world.start("n1")  # alone: it does not know how far it came
    world.run(6)
    world.network.cuts -= path("n1", "n2")
    world.run(6)
    world.network.heal()
    world.run(10)

    assert sent == services(world, "n2", "n1")[-2:] == services(world, "n3", "n1")[-2:]


def test_a_life_is_not_left_on_the_word_of_one_who_knows_less_of_its_end() -> None:
    """It heard only n4 when it began again, which had not all of what n2 holds."""
    world = running(4)
    world.network.cut("n3", (0, 1), ["n1", "n2", "n4"])
    world.network.part(("n1", "n4"), ("n2", "n4"))
    sent = [world.emit("n1", "web", "failed"), world.emit("n1", "web", "ok")]
    world.run(0.5)
    world.kill("n1")
    world.network.cuts -= path("n1", "n4")
    world.network.part(("n1", "n2"))
    world.run(0.3)
    world.start("n1")
    world.run(6)
    world.network.cuts -= path("n1", "n2") | path("n4", "n2")
    world.run(6)
    world.network.heal()
    world.run(12)

    assert sent == services(world, "n3", "n1")[-2:]


def test_readers_of_a_node_that_does_not_know_how_far_it_came_are_told() -> None:
    """It was killed, nobody else heard it, and what it kept in memory is gone: that is a gap."""
    world = World(1)
    world.network.rails = 0
    world.start()
    world.run(6)
    world.emit("n1", "web")
    reader = Reader(world.nodes["n1"])
    reader.poll(world.nodes["n1"], 1000)
    world.emit("n1", "web", "failed")
    world.kill("n1")
    world.run(0.5)
    world.start("n1")
    world.run(6)
    reader.poll(world.nodes["n1"], 1000)

    assert 1 == len(reader.gaps)


def test_who_comes_from_a_node_that_left_a_life_early_is_told_where_its_end_is() -> None:
    """n2 left it on the word of its origin; n3, which held more of it, was cut off then (``plain 23519``)."""
    world = running(3)
    reader = Reader(world.nodes["n2"])
    world.network.cut("n2", (0, 1), ["n1", "n3"])
    sent = [world.emit("n1", "web", "failed"), world.emit("n1", "web", "ok")]
    world.run(0.5)
    world.kill("n1")
    world.network.heal()
    world.network.cut("n3", (0, 1), ["n1", "n2"])
    world.run(0.3)
    world.start("n1")  # it hears n2 only, which lacks these two
    world.run(10)
    world.emit("n1", "web", "failed")
    world.run(1)
    reader.poll(world.nodes["n2"], 1000)
    assert [] == reader.gaps
    n2 = world.kill("n2")  # before it hears that there was more
    world.network.heal()
    for _ in range(20):
        world.run(0.5)
        reader.poll(world.nodes["n3"], 1000)

    assert not set(sent) & {event.sequence for event in reader.told if event.origin == "n1"}
    assert sent == services(world, "n3", "n1")[1:3]
    assert [("replica", {})] == [(reason, lost(before, after)) for reason, before, after in reader.gaps]
    assert not n2.losses()


def lost(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    """What a gap moved on."""
    return {name: sequence for name, sequence in after.items() if sequence != before.get(name)}


@pytest.mark.parametrize("clean", [True, False])
def test_a_number_saved_before_a_crash_is_not_taken_for_the_end(clean: bool) -> None:
    """More may have been told after it was saved, and with nobody else here nobody can say."""
    made = Replica(
        "n1",
        now=0.0,
        wall_ms=LIFE + 1,
        stored_incarnation=LIFE,
        stored_last=7,
        stored_clean=clean,
        alone=True,
    )
    done = made.tick(0.0)
    base = sequence_of(LIFE, 7) if clean else made.own.sequence(0)
    assert [base] == [effect.sequence for effect in done if isinstance(effect, fx.Base)]
    assert [made.previous] == [effect.previous for effect in done if isinstance(effect, fx.Begin)]
    assert sequence_of(LIFE, 7) == made.previous


def test_how_far_this_life_has_come_says_nothing_of_the_one_before() -> None:
    """Others may tell this node of its present life while it still joins: no loss follows from that."""
    made = Replica(
        "n1", now=0.0, wall_ms=LIFE + 1, names=["n1", "n2"], stored_incarnation=LIFE, stored_last=7
    )
    now, done = 0.0, list[fx.Effect]()
    while not made.ready:
        now += 0.05
        others = [ms.Entry("n1", made.incarnation, 1, 0)] if made.incarnation else []
        said = ms.encode(ms.Announce, "n2", LIFE, 1, 0, 1.0, True, "", others)
        done += made.receive("n2", said, now) + made.tick(now)
    assert fx.Base("n1", sequence_of(LIFE, 7)) in done
    assert not [effect for effect in done if isinstance(effect, fx.Lose)]


def test_a_newcomer_is_told_of_lives_in_their_order() -> None:
    """Also by who was told of the later one first; who begins with that takes nothing of the earlier one."""
    world = World(4)
    world.network.part(("n1", "n3"))
    world.start()
    world.run(6)
    world.emit("n1", "web")
    world.run(1)
    sent = [world.emit("n1", f"a{number}") for number in range(3)]
    world.run(0.5)
    world.kill("n1")
    world.kill("n2")
    world.run(0.5)
    world.start("n1")
    world.run(1.5)
    world.start("n2")  # it recalls the former life of n1
    world.run(8)
    world.kill("n4")
    world.kill("n3")
    world.run(1)
    world.start("n3")
    world.run(8)

    assert sent == [each for each in services(world, "n3", "n1") if each in sent]


def test_a_node_tells_the_end_of_its_former_life_though_others_know_of_less() -> None:
    """They know of that life, and of no event of it: what only the state directory says was left out."""
    world = World(2)
    world.start()
    world.run(4)
    world.network.part(("n1", "n2"))
    only_there = world.emit("n1", "web", "failed")
    world.stop("n1")
    assert only_there not in services(world, "n2", "n1")
    world.network.heal()
    world.run(0.1)
    world.start("n1")
    world.run(6)

    assert [only_there] == [loss.last for loss in world.nodes["n1"].losses()]


def test_a_node_that_forgot_its_later_life_is_told_of_it_by_who_holds_nothing_of_that() -> None:
    """Its clock went back, its state was lost, and who heard of that life had met no event of it."""
    world = World(2)
    world.clock["n1"] = 60_000
    world.start()
    world.run(4)
    node = world.nodes["n2"].replica
    known = node.origins["n1"]
    known.fresh = True  # it heard that there is that life, and not yet where it begins
    world.kill("n1")
    world.clock["n1"] = -3_600_000
    world.disks["n1"].clear()
    later = later_entries(known)
    assert [(known.newest().incarnation, known.newest().known)] == [(e.incarnation, e.last) for e in later]
    world.start("n1")
    world.run(12)
    assert world.nodes["n1"].replica.incarnation > later[0].incarnation
