"""Two living nodes of one name that meet: the younger yields, and nobody loses what the elder tells.

Whoever hears both follows the elder's life until it is clear which of the two goes on.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import pytest

from tests.core.test_intake import announce, meet, replica
from tests.core.test_relaying import services
from tests.simulator import Node, Reader, World, check_order
from tocsin.core import effects as fx
from tocsin.core import messages as ms
from tocsin.core.messages import Message, decode, encode
from tocsin.core.origin import CLOSE_AFTER
from tocsin.core.sequence import seq_of, sequence_of


class Other(Node):
    """The twin: it has the name n2, and its own place in the network."""

    def do(self, effects: list[fx.Effect]) -> None:
        """Carries out effects; what it sends comes from its own place."""
        for effect in effects:
            if isinstance(effect, fx.Send):
                self.world.send("twin", effect.payload, effect.to)
            else:
                super().do([effect])


class Twins(World):
    """n1, n2, n3, and a twin of n2."""

    #: Messages that are lost: of what kind between whom.
    deaf: tuple[type[Message], str] | None = None

    def send(self, sender: str, payload: bytes, to: str | None) -> None:
        """Puts a message on every rail; one to n2 reaches both who have that name."""
        net, message = self.network, decode(payload)
        names = [key for key, node in self.nodes.items() if key != sender and to in (None, node.name)]
        for name in names:
            if self.deaf and isinstance(message, self.deaf[0]) and name == self.deaf[1]:
                continue
            for rail in range(net.rails):
                if (rail, sender, name) in net.cuts or self.random.random() < net.loss:
                    continue
                self.sent += 1
                at = self.now + net.delay + self.random.random() * net.jitter
                heapq.heappush(self._queue, (at, self.sent, self.nodes[sender].name, name, message))

    def tell(self, seconds: float) -> list[str]:
        """Lets time pass in which the elder tells something again and again; what it tells."""
        sent = []
        for step in range(round(seconds / 0.2)):
            sent.append(self.emit("n2", f"s{step}"))
            self.run(0.2)
        return sent


def met(*, with_twin: Sequence[str] = (), seed: int = 0, loss: float = 0.0) -> tuple[Twins, list[str]]:
    """Both have lived and told something, the twin behind a cut, perhaps with others; what the elder told."""
    world = Twins(3, seed)
    world.network.loss = loss
    world.start()
    world.run(6)
    others = [name for name in world.names if name not in with_twin]
    for name in ("twin", *with_twin):
        world.network.cut(name, (0, 1), others)
    world.nodes["twin"] = Other(world, "n2", disk={})
    world.run(7)
    world.emit("twin", "theirs")
    sent = world.tell(1)
    return world, sent


def of_elder(world: Twins, name: str) -> list[str]:
    """What a node has of what the elder told."""
    twins = str(world.nodes["twin"].replica.incarnation) if "twin" in world.nodes else "nobody"
    return [sequence for sequence in services(world, name, "n2") if not sequence.startswith(twins)]


def told_as_lost(node: Node, sequence: str) -> bool:
    """Whether a loss in a node's buffer contains an event of n2."""
    return any(loss.first <= sequence <= loss.last for loss in node.losses() if loss.origin == "n2")


def clashes(node: Node) -> list[bool]:
    """What a node was told of a clash: whether it has to yield."""
    return [effect.yields for effect in node.errors if isinstance(effect, fx.Clash)]


@pytest.mark.parametrize(("seed", "loss"), [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.2), (4, 0.2), (5, 0.2)])
def test_nothing_that_the_elder_tells_is_lost_while_the_younger_yields(seed: int, loss: float) -> None:
    """Everywhere all of it, in order, and before that of its next life; of the twin's that it is lost."""
    world, sent = met(seed=seed, loss=loss)
    twin, elder = world.nodes["twin"], world.nodes["n2"]
    reader = Reader(world.nodes["n1"])
    world.run(world.random.random())
    world.network.heal()
    for _ in range(40):
        sent += world.tell(0.4)
        reader.poll(world.nodes["n1"], 1000)
    world.run(3)
    assert ([True], [False]) == (clashes(twin), clashes(elder))
    for name in ("n1", "n3"):
        node = world.nodes[name]
        check_order(node)
        assert sent == services(world, name, "n2")
        assert not [sequence for sequence in sent if told_as_lost(node, sequence)]
        assert 1 == len(node.events("n2", "agent.clash"))
        assert 1 == len(node.events("n2", "agent.renewed"))
        assert [] == node.replica.names()[3:]
        assert "up" == node.board.nodes()[1].attributes["state"]
        assert elder.board.section("n2") == node.board.section("n2")
    reader.poll(world.nodes["n1"], 1000)
    reader.check(world.nodes["n1"])
    # Who comes from the twin has seen a later life than what the elder told then.
    stamp = sequence_of(elder.replica.incarnation, 1)
    assert all(told_as_lost(world.nodes[name], stamp) for name in world.names)


def test_nothing_is_lost_either_when_the_younger_cannot_say_that_it_yields() -> None:
    """The elder lives on in its life for some seconds more, and those who hear it see that."""
    world, sent = met()
    world.deaf = (ms.Goodbye, "n2")
    world.network.heal()
    sent += world.tell(12)
    world.run(3)
    assert 1 == len(world.nodes["n1"].events("n2", "agent.renewed"))
    assert sent == services(world, "n1", "n2") == services(world, "n3", "n2")


def test_nothing_is_lost_either_when_the_elder_never_heard_of_the_younger() -> None:
    """It is told of it by those who did, once that one is silent: to a living one it would have to yield."""
    world, sent = met()
    world.network.heal()
    world.network.part(("n2", "twin"))
    sent += world.tell(2)
    world.kill("twin")
    sent += world.tell(12)
    world.run(3)
    assert [] == clashes(world.nodes["n2"])
    assert 1 == len(world.nodes["n1"].events("n2", "agent.renewed"))
    assert sent == services(world, "n1", "n2") == services(world, "n3", "n2")


@pytest.mark.parametrize("seed", range(3))
def test_who_was_with_the_twin_is_told_what_it_lacks_of_the_elder(seed: int) -> None:
    """It has left the elder's life: what that told later has no number there. With the others it has."""
    world, sent = met(with_twin=["n3"], seed=seed)
    assert services(world, "n3", "n2")
    world.network.heal()
    sent += world.tell(12)
    world.run(3)
    assert sent == of_elder(world, "n1")
    assert sent != services(world, "n1", "n2")  # what the twin told is had of who was with it
    node, had = world.nodes["n3"], of_elder(world, "n3")
    check_order(node)
    lacks = [sequence for sequence in sent if sequence not in had]
    assert lacks
    assert all(told_as_lost(node, sequence) for sequence in lacks)
    assert world.nodes["n2"].board.section("n2") == node.board.section("n2")


def test_a_twin_does_not_say_that_what_the_other_told_is_lost() -> None:
    """Both are asked: who has the name. What is not here may be there."""
    made = replica()
    now = made._awake_at
    twin = encode(ms.Announce, "n1", made.incarnation + 1, 1, 9, 1.0)
    asks = [encode(ms.Ask, number, "n1", made.incarnation + 1, 1, 9) for number in (1, 2)]
    made.receive("n1", twin, now)
    assert [] == made.receive("n2", asks[0], now + 1)
    assert [fx.Send] == [type(effect) for effect in made.receive("n2", asks[1], now + 9)]


def test_copies_of_what_a_twin_said_before_it_yielded_are_no_twin() -> None:
    """They come on a slower rail; this node has a life above it by then, and does not yield to them."""
    made = replica()
    now = made._awake_at + 9
    twin = [encode(ms.Announce, "n1", made.incarnation + 1, 1, 9, 1.0)]
    twin.append(encode(ms.Events, "n1", made.incarnation + 1, 10, []))
    made.receive("n1", twin[0], now)
    made.receive("n1", encode(ms.Goodbye, "n1", made.incarnation + 1, 12), now)
    begun = [effect for effect in made.tick(now) if isinstance(effect, fx.Begin)]
    assert [12] == [seq_of(effect.previous) for effect in begun]
    for step in range(20):
        assert [] == made.receive("n1", twin[step % 2], now + step / 10)
    assert not made.clashed


# -- a restart is no clash ---------------------------------------------------------------------


def left_after(late: Sequence[float]) -> float:
    """n2 begins anew; announces of its former life come so much later than the first of the next one.

    After how many seconds the former life is left.
    """
    made = replica()
    meet(made)
    start, origin = made._awake_at + 10, made.origins["n2"]
    former, late = origin.current, sorted(late, reverse=True)
    for step in range(1400):
        now = start + step * 0.05
        if step % 20 == 0:
            made.receive("n2", announce(0, life=former + 5), now)
        while late and start + late[-1] <= now:
            late.pop()
            made.receive("n2", announce(0), now)
        made.tick(now)
        if origin.current > former:
            return now - start
    raise AssertionError("it was never left")


def test_a_restart_takes_no_longer_whatever_comes_late() -> None:
    """What comes within a second of the new life's first announce proves nothing."""
    at_most = CLOSE_AFTER + 0.06
    assert left_after([]) <= at_most
    assert left_after([0.0, 0.01, 0.05]) <= at_most
    assert left_after([0.2, 0.5, 0.9, 0.95]) <= at_most


def test_a_life_that_lives_on_is_left_when_it_ends() -> None:
    """Or after a minute: then two nodes of one name do not hear each other, and the newer life is on."""
    assert 4.9 + CLOSE_AFTER - 0.06 <= left_after([0.9 + n for n in range(5)]) <= 4.9 + CLOSE_AFTER + 0.06
    assert 60 <= left_after([0.9 + n for n in range(70)]) < 61
