"""Helping a node to the events of an origin that it does not hear: who helps, and whole clusters of them."""

from __future__ import annotations

import pytest

from tests.schedules import assert_agreement
from tests.simulator import World, check_order
from tocsin.core import messages as ms
from tocsin.core.relaying import HELPERS, Relaying
from tocsin.core.sequence import seq_of

#: How many nodes there are, and between which there is no path.
PARTED = {
    "triangle": (3, [("n1", "n3")]),
    "triangle of five": (5, [("n1", "n3")]),
    "two triangles": (5, [("n1", "n3"), ("n2", "n4")]),
    "chain": (4, [("n1", "n3"), ("n1", "n4"), ("n2", "n4")]),
    "star": (5, [(a, b) for a in ("n2", "n3", "n4", "n5") for b in ("n2", "n3", "n4", "n5") if a < b]),
}


def parted(shape: str, *first: str) -> World:
    """A cluster in which some nodes have no path to each other, all or the first of it started."""
    count, pairs = PARTED[shape]
    world = World(count)
    world.network.part(*pairs)
    world.start(*first)
    world.run(6)
    return world


def services(world: World, name: str, origin: str) -> list[str]:
    """What of an origin's services a node has numbered."""
    return [e.sequence for e in world.nodes[name].events(origin) if e.kind == "service"]


@pytest.mark.parametrize("shape", PARTED)
def test_what_one_living_node_holds_reaches_all(shape: str) -> None:
    """Where some paths are cut for good, every event still reaches every node, once, at once, in order."""
    world = parted(shape)
    sent: dict[str, list[str]] = {name: [] for name in world.names}
    for step in range(20):
        for name in world.names:
            sent[name].append(world.emit(name, f"s{step}"))
        world.run(0.35)

    for name, node in world.nodes.items():
        for origin in world.names:
            assert sent[origin] == services(world, name, origin), (name, origin)
        check_order(node)
        assert {0} >= {seq_of(loss.last) for loss in node.losses()}
    assert_agreement(world)


@pytest.mark.parametrize("shape", ["triangle", "triangle of five"])
def test_a_newcomer_has_the_history_of_whom_it_does_not_hear_before_it_is_ready(shape: str) -> None:
    """It asks whoever it hears while it still listens, so joining is no slower and misses nothing."""
    count, _ = PARTED[shape]
    world = parted(shape, *[f"n{i}" for i in range(1, count + 1) if i != 3])
    sent = [world.emit("n1", "web", "failed") for _ in range(40)]
    world.run(1)
    world.start("n3")
    world.run(1.5)
    node = world.nodes["n3"]

    assert node.replica.ready
    assert sent == services(world, "n3", "n1")
    assert not node.losses()
    assert "failed" == node.board.own("n1", "service", "web").status  # type: ignore[union-attr]


def test_a_node_of_which_nobody_told_beforehand_is_learnt_of_across_the_cut() -> None:
    """It is in no configuration of the newcomer, which hears of it with the first board section."""
    world = World(3)
    world.network.part(("n1", "n3"))
    world.start("n1", "n2")
    world.run(6)
    sent = [world.emit("n1", f"s{i}") for i in range(3)]
    world.names.remove("n1")
    world.start("n3")
    world.names.append("n1")
    world.run(3)

    assert sent == services(world, "n3", "n1")
    assert not world.nodes["n3"].losses()


def test_a_new_life_beyond_a_cut_is_followed() -> None:
    """Who hears the origin says that it lives again, also where nothing else has changed."""
    world = parted("triangle")
    world.emit("n1", "a")
    world.run(1)
    world.kill("n1")
    world.run(1)
    world.start("n1")
    world.run(6)
    sent = world.emit("n1", "b")
    world.run(1)

    assert sent == services(world, "n3", "n1")[-1]
    assert services(world, "n2", "n1") == services(world, "n3", "n1")


def test_what_its_only_witness_still_waits_for_is_not_given_up() -> None:
    """That the node between does not have it yet does not mean that nobody holds it."""
    world = World(3)
    world.start()
    world.run(6)
    world.network.cuts = _one_way("n1", "n2") | _one_way("n1", "n3")
    sent = [world.emit("n1", "a")]
    world.run(0.1)
    world.network.cuts = _one_way("n1", "n2")
    sent.append(world.emit("n1", "b"))  # n3 sees that one is missing …
    world.run(0.05)
    world.network.cuts = _one_way("n2", "n1")  # … and so does n2, which cannot ask for it
    world.network.part(("n1", "n3"))
    world.run(10)
    assert [] == services(world, "n3", "n1")
    world.network.cuts -= _one_way("n2", "n1")
    world.run(3)

    assert sent == services(world, "n3", "n1") == services(world, "n2", "n1")
    assert not world.nodes["n3"].losses()


def _one_way(sender: str, to: str) -> set[tuple[int, str, str]]:
    return {(rail, sender, to) for rail in (0, 1)}


def test_few_of_many_help_and_each_in_its_turn() -> None:
    """About three of a thousand answer, others in the next turn, and more if nobody did."""
    relaying = {f"n{i}": Relaying(f"n{i}") for i in range(1000)}
    counts, helpers = [], set()
    for turn in range(20):
        known = (5, turn)  # it got something each time
        told = {name for name, one in relaying.items() if one.answers("x", "y", known, 1000, turn)}
        counts.append(len(told))
        helpers |= told
    assert 1 <= sum(counts) / 20 <= 2 * HELPERS
    assert len(helpers) > 40
    alone, turns = Relaying("alone"), 0
    while not alone.answers("x", "y", (5, 5), 1000, turns):
        turns += 1
    assert turns <= 9


def test_in_a_small_cluster_everybody_helps() -> None:
    """A handful cannot be too many."""
    relaying = Relaying("n1")
    assert all(relaying.answers("x", "y", (1, 1), 4, turn) for turn in range(9))
    relaying.told("n2", ["n9"])
    assert ["n2"] == relaying.targets("n9", 4)


def test_a_node_that_hears_again_or_is_gone_is_helped_no_more() -> None:
    """What it says last counts, as long as it is heard."""
    relaying = Relaying("n1")
    relaying.told("n2", ["n8", "n9"])
    relaying.told("n3", ["n9"])
    assert ["n2", "n3"] == relaying.targets("n9", 4)
    relaying.told("n2", ["n8"])
    assert ["n3"] == relaying.targets("n9", 4)
    assert ["n2"] == relaying.targets("n8", 4)
    relaying.keep(["n2"])
    assert [] == relaying.targets("n9", 4)
    assert ["n2"] == relaying.targets("n8", 4)
    relaying.told("n2", [])
    assert [] == relaying.targets("n8", 4)


def test_what_is_remembered_of_announces_is_bounded() -> None:
    """Names that somebody makes up cost no memory."""
    relaying = Relaying("n1")
    for number in range(5000):
        relaying.answers(f"x{number}", "y", (1, 1), 9, 0)
    assert len(relaying._told) == 4096


def test_the_end_of_a_life_is_told_of_who_is_heard_too() -> None:
    """Then its name says that it is heard, so that nobody passes on what comes anyway."""
    world = World()
    world.start()
    world.run(3)
    world.kill("n3")
    world.run(1)
    world.start("n3")
    told = set()
    for _ in range(60):
        world.run(0.1)
        others, ended = world.nodes["n1"].replica._others(world.now)
        told |= {(len([e for e in others if e.origin == "n3"]), tuple(ended))}
        assert [] == world.nodes["n2"].replica._relaying.targets("n3", 2)
    assert {(0, ()), (1, ("n3",))} <= told


def test_an_answer_is_no_statement_of_what_is_not_heard() -> None:
    """Who tells what it knows of an origin may well hear it: nothing is passed on to it."""
    world = parted("triangle")
    node = world.nodes["n3"].replica
    entry = ms.Entry("n1", world.nodes["n1"].replica.incarnation, 1, 1)
    answer = ms.encode(
        ms.Announce, "n2", world.nodes["n2"].replica.incarnation, 1, 1, 1.0, True, "", [entry], {}, [], True
    )
    node.receive("n2", answer, world.now)
    assert [] == node._relaying.targets("n1", 2)
