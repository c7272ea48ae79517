"""When a hole is given up: not while anybody who lives, or fell silent a moment ago, may still have it."""

from __future__ import annotations

from tests.core.made import LIFE, event
from tests.core.test_intake import announce, delivered, lost, meet, push, replica
from tests.simulator import World
from tocsin.core import effects as fx
from tocsin.core import messages as ms
from tocsin.core.messages import decode, encode
from tocsin.core.replica import Replica


def cut(world: World, *ways: tuple[str, str]) -> None:
    """Cuts these ways, on all rails."""
    world.network.cuts |= {(rail, one, other) for rail in (0, 1) for one, other in ways}


def holed() -> tuple[World, str]:
    """Three nodes: n1 and n2 have heard of an event of n3, and what they ask n3 does not arrive."""
    world = World(3, 1)
    world.start()
    world.run(6)
    cut(world, ("n3", "n1"), ("n3", "n2"))
    sent = world.emit("n3", "web", "failed")
    world.run(0.05)
    world.network.heal()
    cut(world, ("n1", "n3"), ("n2", "n3"))
    world.run(1.1)
    lives = [world.nodes[name].replica.origins["n3"].life for name in ("n1", "n2")]
    assert [True, True] == [life.missing for life in lives]
    return world, sent


def test_what_a_node_holds_that_fell_silent_for_a_moment_is_waited_for() -> None:
    """It is suspect after 3.3 s and down after 5; all others lack what it holds, and it comes back."""
    world, sent = holed()
    cut(world, ("n3", "n1"), ("n3", "n2"))
    world.run(3.9)
    assert all(world.nodes[name].replica.origins["n3"].life.missing for name in ("n1", "n2"))
    world.network.heal()
    world.run(2)

    for node in world.nodes.values():
        assert sent in {event.sequence for event in node.events("n3")}
        assert not node.losses()
        assert "n3" not in {event.node for event in node.events(type_="node.down")}


def test_what_only_a_dead_node_held_is_given_up_when_it_is_down() -> None:
    """All others lack it, and it does not come back: readers are told once it counts as down."""
    world, sent = holed()
    world.kill("n3")
    world.run(4.5)
    assert not world.nodes["n1"].losses()
    world.run(4)

    for name in ("n1", "n2"):
        assert [(sent, sent)] == [(loss.first, loss.last) for loss in world.nodes[name].losses()]


def answers(made: Replica, first: int, last: int, number: int) -> list[bool]:
    """n3 asks for a range of n2's life: whether each part of the answer says that this node waits for it."""
    done = made.receive("n3", encode(ms.Ask, number, "n2", LIFE, first, last), made._awake_at)
    sent = [decode(effect.payload) for effect in done if isinstance(effect, fx.Send)]
    return [part.waiting for part in sent if isinstance(part, ms.Fill)]


def test_who_has_not_asked_everybody_yet_says_so() -> None:
    """It may have it soon, and then who asked it can have it, too."""
    made = replica()
    meet(made)
    now = made._awake_at
    made.receive("n3", announce(0, name="n3"), now)
    made.receive("n2", announce(4), now)
    made.receive("n2", push(3), now)
    assert [True] == answers(made, 1, 4, 1)
    for_all = encode(ms.Fill, "n2", LIFE, 1, 2, [], False)
    made.receive("n2", for_all, now)  # of 4 it has said nothing yet
    assert [False, True] == [*answers(made, 1, 2, 2), *answers(made, 1, 4, 3)]
    made.receive("n2", encode(ms.Fill, "n2", LIFE, 4, 4, [], False), now)
    assert [False] == answers(made, 1, 4, 4)


def test_who_does_not_know_of_it_waits_if_it_hears_the_origin() -> None:
    """It will be told, as the asker was. Of what was handed on or given up nothing more is to be had."""
    made = replica()
    meet(made)
    assert [True] == answers(made, 1, 4, 1)
    now = made._awake_at
    made.receive("n2", announce(2), now)
    made.receive("n2", push(1, 2), now)
    assert [False] == answers(made, 1, 2, 2)


def test_of_a_hole_that_has_grown_only_what_was_asked_for_is_given_up() -> None:
    """That n2 lacks what was missing first says nothing of what was missed since."""
    made = replica()
    meet(made)
    now = made._awake_at
    made.receive("n2", announce(2), now)
    made.receive("n2", encode(ms.Fill, "n2", LIFE, 1, 2, [], False), now)
    made.receive("n2", announce(9), now)
    done = made.tick(now + 0.2)
    done += made.receive("n2", encode(ms.Section, "n2", LIFE, 2, 0, 1, [], {}), now + 0.2)
    assert [(1, 2)] == lost(done)
    done = made.tick(now + 0.4)
    assert not lost(done)
    asks = [decode(effect.payload) for effect in done if isinstance(effect, fx.Send)]
    assert [(3, 9)] == [(ask.first, ask.last) for ask in asks if isinstance(ask, ms.Ask)]
    assert 7 == len(delivered(made.receive("n2", push(3, 4, 5, 6, 7, 8, 9), now + 0.4)))


def test_a_peer_that_fell_silent_holds_up_the_joining_as_one_that_is_heard() -> None:
    """It holds what this node told in its former life; who hears nobody is ready after three seconds."""
    world = World(2, 1)
    world.start()
    world.run(6)
    sent = [world.emit("n2", f"s{number}") for number in range(5)]
    world.run(1)
    world.kill("n2")
    world.run(6)
    cut(world, ("n2", "n1"))
    world.start("n2")
    world.run(1.2)  # n1 is heard to hold them, and cannot be asked …
    cut(world, ("n1", "n2"))
    world.run(3.6)  # … and then is suspect
    assert not world.nodes["n2"].replica.ready
    world.network.heal()
    world.run(2)

    node = world.nodes["n2"]
    assert node.replica.ready
    assert set(sent) <= {event.sequence for event in node.events("n2")}
    assert not node.losses()


def asked(effects: list[fx.Effect]) -> list[tuple[int, int, int]]:
    """The life of n1 and the range of it that is asked for."""
    sent = [decode(effect.payload) for effect in effects if isinstance(effect, fx.Send)]
    return [(m.incarnation, m.first, m.last) for m in sent if isinstance(m, ms.Ask) and m.origin == "n1"]


def test_what_a_node_itself_knows_of_its_last_life_is_asked_for() -> None:
    """Others tell of the life before only. When one above it turns up, that one is next."""
    stored = {"stored_incarnation": LIFE + 5, "stored_last": 2}
    made = Replica("n1", now=1000.0, wall_ms=LIFE + 9, names=["n1", "n2"], **stored)  # type: ignore[arg-type]
    entries = [ms.Entry("n1", LIFE, 1, 1, "")]
    made.receive("n2", announce(0, others=entries), 1000.5)
    done = [effect for at in range(1, 20) for effect in made.tick(1000.5 + at * 0.05)]
    assert (LIFE, 1, 1) in asked(done)
    first = [(1, 0, event("n1", 1, life=LIFE).body)]
    done = made.receive("n2", encode(ms.Fill, "n1", LIFE, 1, 1, first, False), 1001.5)
    assert (LIFE + 5, 1, 2) in asked(done + made.tick(1001.5) + made.tick(1001.8))
    both = [(seq, 0, event("n1", seq, life=LIFE + 5).body) for seq in (1, 2)]
    entries = [ms.Entry("n1", LIFE + 7, 1, 3)]
    made.receive("n2", announce(0, others=entries), 1001.9)
    done = made.receive("n2", encode(ms.Fill, "n1", LIFE + 5, 1, 2, both, False), 1001.9)
    assert (LIFE + 7, 1, 3) in asked(done + made.tick(1002.2) + made.tick(1002.5))
    assert not made.ready
