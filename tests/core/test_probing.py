"""Asking others about a silent node."""

from __future__ import annotations

import itertools

import pytest

from tests.simulator import World
from tocsin.core.liveness import ASK_FOR, Liveness
from tocsin.core.messages import PROTOCOL, Heard, Probe, decode
from tocsin.core.probing import AT_A_TIME, Probing


def probing(*others: str) -> tuple[Probing, Liveness]:
    """n1's, to which x has been silent since 0 and these others are not."""
    liveness = Liveness("n1", [], seen=(), down_after=5.0)
    liveness.start(0.0)
    liveness.heard("x", 7, 0.0)
    for name in others:
        liveness.heard(name, 7, 4.0)
    return Probing(liveness, itertools.count(1).__next__), liveness


def asked(made: Probing, now: float) -> list[tuple[str, int, str]]:
    """Whom it asks now, with which number, about whom."""
    found = []
    for target, payload in made.tick(now, 1.0):
        question = decode(payload)
        assert isinstance(question, Probe)
        found.append((target, question.number, question.about))
    return found


def test_three_are_asked_at_a_time_in_turn() -> None:
    """From a second before it would be called down, until somebody hears it."""
    made, _ = probing("a", "b", "c", "d")
    assert [] == asked(made, 3.9)
    first = asked(made, 4.01)
    assert [("a", 1, "x"), ("b", 1, "x"), ("c", 1, "x")] == first
    assert AT_A_TIME == len(first)
    assert [] == asked(made, 4.05)
    assert [] == asked(made, 4.15)
    assert ["d", "a", "b"] == [target for target, _, _ in asked(made, 4.4)]


def test_who_is_alone_asks_nobody() -> None:
    """There is nobody to be asked."""
    made, _ = probing()
    assert [] == asked(made, 4.5)


@pytest.mark.parametrize(("number", "about", "age", "later", "counts"), [
    (1, "x", 0.2, 0.1, True),
    (1, "y", 0.2, 0.1, False),
    (2, "x", 0.2, 0.1, False),
    (1, "x", -1.0, 0.1, False),
    (1, "x", float("nan"), 0.1, False),
    (1, "x", 0.2, ASK_FOR + 0.1, False),
])  # fmt: skip
def test_only_the_answer_to_an_open_question_counts(
    number: int, about: str, age: float, later: float, counts: bool
) -> None:
    """Late ones, ones that nobody asked for, and those who do not hear it change nothing."""
    made, liveness = probing("a")
    asked(made, 4.5)
    made.heard(Heard(PROTOCOL, "heard", number, about, 7, age), 4.5 + later)
    assert (4.3 if counts else float("-inf")) == liveness.members["x"].others_at


def test_the_answer_is_what_this_node_hears() -> None:
    """The life it heard last, and how long ago."""
    made, _ = probing("a")
    answer = decode(made.answer(Probe(PROTOCOL, "probe", 9, "a"), 4.25))
    assert Heard(PROTOCOL, "heard", 9, "a", 7, 0.25) == answer


def world(count: int = 3, seed: int = 0) -> World:
    """Nodes that have joined."""
    made = World(count, seed)
    made.start()
    made.run(6)
    return made


def states(made: World, at: str, about: str) -> list[str]:
    """What one node was told of another since it joined."""
    return [e.type for e in made.nodes[at].events() if e.node == about and e.type != "node.joined"]


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_no_direct_path_is_suspect_and_never_down(loss: float) -> None:
    """A and B do not hear each other, C hears both: A and B say so, C shows both up; it ends with up."""
    made = world()
    made.network.cut("n1", (0, 1), ["n2"])
    made.network.loss = loss
    made.run(30)
    for at, about in (("n1", "n2"), ("n2", "n1")):
        shown = made.nodes[at].board.node(about)
        assert shown is not None
        assert ("suspect", "indirect") == (shown.attributes["state"], shown.attributes["path"])
        assert "no direct path" in shown.summary
        assert ["node.suspect"] * 2 == states(made, at, about)
    assert ["up"] * 3 == [r.attributes["state"] for r in made.nodes["n3"].board.nodes()]
    made.network.heal()
    made.run(3)
    assert ["node.up"] == states(made, "n1", "n2")[2:]
    assert ["node.up"] == states(made, "n2", "n1")[2:]


def test_a_one_way_path_is_no_path() -> None:
    """B hears A, A does not hear B: only A says so."""
    made = world()
    made.network.cuts |= {(rail, "n2", "n1") for rail in (0, 1)}
    made.run(20)
    assert ["node.suspect"] * 2 == states(made, "n1", "n2")
    assert [] == states(made, "n2", "n1")


def test_a_node_that_dies_without_a_direct_path_is_down_once_everywhere() -> None:
    """It is down as soon as those who heard it hear it no more."""
    made = world()
    made.network.cut("n1", (0, 1), ["n2"])
    made.run(20)
    made.kill("n2")
    made.run(5 + 1)
    for at in ("n1", "n3"):
        assert 1 == states(made, at, "n2").count("node.down")
    made.run(20)
    assert 1 == states(made, "n1", "n2").count("node.down")


def test_a_node_called_down_by_one_who_was_alone_is_suspect_when_others_tell() -> None:
    """It is never back up without a direct path."""
    made = world()
    made.network.cut("n1", (0, 1), ["n2", "n3"])
    made.run(12)
    made.network.heal()
    made.network.cut("n1", (0, 1), ["n2"])
    made.run(14)
    assert ["node.suspect", "node.down", "node.suspect"] == states(made, "n1", "n2")


@pytest.mark.parametrize("count", [3, 12])
def test_asking_delays_the_word_by_a_second_at_most(count: int) -> None:
    """A node that dies is down after the configured time, the turns and one second, at all that live."""
    made = world(count)
    made.kill("n2")
    made.run(5 + 1 + 0.2)
    for name in made.nodes:
        assert ["node.suspect", "node.down"] == states(made, name, "n2")
