"""The judges of the fault matrix find what was planted, and only that; the relay does what it is asked."""

from __future__ import annotations

from tests.system.faults.judge import Accepted, Told, judge
from tests.tools.relay import Harm, Relay
from tocsin.monitor import Gap


def sequence(seq: int, life: int = 1) -> str:
    """The sequence of an event as the feed has it."""
    return f"{life:013}-{seq:012}"


def accepted(*seqs: int) -> list[Accepted]:
    """Events of node1 with these numbers."""
    return [Accepted(f"t{seq}", "node1", sequence(seq), 0.0) for seq in seqs]


def told(*seqs: int) -> list[Told | Gap]:
    """A reader was told these."""
    return [Told(f"t{seq}", "node1", sequence(seq), 0.0, 0.0) for seq in seqs]


def gap(first: int, last: int) -> Gap:
    """A gap of node1's."""
    return Gap("replica", {"node1": (sequence(first), sequence(last))}, "node2")


def test_all_is_well() -> None:
    """Everything once and in order is right, and so is an event that the agents generated themselves."""
    verdict = judge(accepted(1, 3), [*told(1), Told("", "node1", sequence(2), 0.0, 0.0), *told(3)])
    assert verdict.right
    assert ([], [], [], [], []) == tuple(verdict)


def test_a_loss_is_found() -> None:
    """What was accepted and not told is lost."""
    verdict = judge(accepted(1, 2, 3), told(1, 3))
    assert [f"node1/{sequence(2)}"] == verdict.lost
    assert not verdict.right


def test_a_loss_that_was_told_is_none() -> None:
    """A gap that covers it makes a loss right; one elsewhere, or of another origin, does not."""
    assert judge(accepted(1, 2, 3), [*told(1), gap(2, 2), *told(3)]).right
    assert [f"node1/{sequence(2)}"] == judge(accepted(1, 2, 3, 4), [*told(1), gap(4, 4), *told(3)]).lost
    other = Gap("replica", {"node2": (sequence(2), sequence(2))})
    assert [f"node1/{sequence(2)}"] == judge(accepted(1, 2), [*told(1), other]).lost
    assert judge(accepted(1, 2), [*told(1), Gap("restarted")]).right


def test_a_loss_that_is_excused_is_none() -> None:
    """What died with its origin is no loss."""
    assert judge(accepted(1, 2), told(1), excused=["t2"]).right


def test_a_repetition_is_found() -> None:
    """The same sequence twice, and the same event under two sequences."""
    assert [f"node1/{sequence(1)}", "id t1"] == judge(accepted(1), told(1, 1)).repeated
    twice = [*told(1), Told("t1", "node1", sequence(2), 0.0, 0.0)]
    assert ["id t1"] == judge(accepted(1), twice).repeated


def test_disorder_is_found() -> None:
    """A lower sequence after a higher one of the same origin; other origins do not matter."""
    assert [f"node1/{sequence(2)} after {sequence(3)}"] == judge(accepted(1, 2, 3), told(1, 3, 2)).disorder
    other = Told("x", "node2", sequence(1), 0.0, 0.0)
    assert [] == judge(accepted(1, 2), [*told(1), other, *told(2)]).disorder


def test_an_untrue_gap_is_found() -> None:
    """A gap is untrue if the reader was told everything that it names."""
    assert [gap(2, 3)] == judge(accepted(1, 2, 3), [*told(1), gap(2, 3), *told(2, 3)]).untrue
    assert [] == judge(accepted(1, 2, 3), [*told(1), gap(2, 3), *told(3)]).untrue
    across = Gap("replica", {"node1": (sequence(3), sequence(1, life=2))})
    assert [] == judge(accepted(1, 2, 3), [*told(1, 2, 3), across]).untrue


def relayed(harm: Harm, frames: int = 1000) -> list[bytes]:
    """What comes out of a relay into which numbered frames go, one each millisecond."""
    relay = Relay()
    relay.harm = harm
    out = []
    for number in range(frames):
        relay.put(1, bytes(14) + number.to_bytes(4, "big"), number / 1000)
        out += relay.due(number / 1000)
    out += relay.due(1e9)
    assert {1} == {way for way, _ in out}
    return [frame for _, frame in out]


def test_the_relay_harms_as_it_is_asked() -> None:
    """No harm: all pass in order. Loss loses, duplication repeats, a flip is one bit, delay reorders."""
    clean = relayed(Harm())
    assert [number.to_bytes(4, "big") for number in range(1000)] == [frame[14:] for frame in clean]
    assert 600 < len(relayed(Harm(loss=0.3))) < 800
    assert 1200 < len(relayed(Harm(twice=0.3))) < 1400
    bits = [
        (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()
        for one, other in zip(clean, relayed(Harm(flip=0.3)), strict=True)
    ]
    assert {0, 1} == set(bits)
    assert 200 < sum(bits) < 400
    mixed = relayed(Harm(early=0.5, delay=0.01, jitter=0.01))
    assert clean != mixed
    assert clean == sorted(mixed)


def test_the_relay_says_when_it_is_due() -> None:
    """It waits a second at most, less if a frame is due before, not at all if one is late."""
    relay = Relay()
    assert 1 == relay.pause(0)
    relay.harm = Harm(delay=0.5)
    relay.put(0, b"frame", 10)
    assert [0.5, 0] == [relay.pause(10), relay.pause(11)]
    assert [] == relay.due(10.4)
    assert [(0, b"frame")] == relay.due(10.5)
