"""Rails: told once when they stop reaching living nodes, once when they do again."""

from __future__ import annotations

from tocsin.core.event import Draft
from tocsin.core.rails import RailWatch

PEERS = ["b", "c", "d"]


class Running:
    """A watch with time: everybody in ``reach`` announces on the rail each second."""

    def __init__(self) -> None:
        self.watch = RailWatch(["rail1", "rail2"])
        self.now = 100.0
        self.reach = {"rail1": set(PEERS), "rail2": set(PEERS)}

    def run(self, seconds: float, living: list[str] | None = None) -> list[tuple[str, str, str]]:
        told: list[Draft] = []
        for step in range(round(seconds * 10)):
            if step % 10 == 0:
                for rail, peers in self.reach.items():
                    for peer in peers:
                        self.watch.heard(rail, peer, self.now)
            told += self.watch.tick(PEERS if living is None else living, self.now, 1.0)
            self.now += 0.1
        return [(draft.type, draft.subject, draft.data["status"]) for draft in told]


def test_nothing_is_told_of_rails_that_work() -> None:
    """While all living peers are heard on all rails there is no event."""
    assert [] == Running().run(20)


def test_a_rail_that_reaches_nobody_is_one_event_and_its_return_another() -> None:
    """One event for all peers of a rail, and one when it is back."""
    running = Running()
    running.run(5)
    running.reach["rail1"] = set()
    assert [("rail.down", "rail1", "failed")] == running.run(10)
    running.reach["rail1"] = set(PEERS)
    assert [("rail.up", "rail1", "ok")] == running.run(10)


def test_a_single_peer_is_told_of_by_itself() -> None:
    """A minority that a rail does not reach is told of peer by peer, as a warning that goes away."""
    running = Running()
    running.run(5)
    running.reach["rail2"] = {"b", "c"}
    assert [("rail.down", "rail2:d", "warning")] == running.run(10)
    running.reach["rail2"] = set(PEERS)
    assert [("rail.up", "rail2:d", "gone")] == running.run(10)


def test_a_short_silence_is_not_told() -> None:
    """A rail that is silent for less than its limit and the settling makes no event."""
    running = Running()
    running.run(5)
    running.reach["rail1"] = set()
    told = running.run(3)
    running.reach["rail1"] = set(PEERS)
    assert [] == told + running.run(10)


def test_a_dead_node_is_no_dead_rail() -> None:
    """A peer that does not live is not missed on any rail, and one that has just come has its time."""
    running = Running()
    running.run(5)
    running.reach = {"rail1": {"b", "c"}, "rail2": {"b", "c"}}
    assert [] == running.run(10, living=["b", "c"])
    assert [] == running.run(3, living=PEERS)


def test_the_present_state() -> None:
    """At the start each rail is stated once, as fine."""
    assert ["rail1", "rail2"] == [draft.subject for draft in RailWatch(["rail1", "rail2"]).resources()]


def test_many_peers_are_counted_not_listed() -> None:
    """The sentence names five peers and the number of the rest."""
    watch = RailWatch(["rail1", "rail2"])
    peers = [f"n{i}" for i in range(20)]
    told: list[Draft] = []
    for step in range(80):
        for peer in peers:
            watch.heard("rail2", peer, step / 10)
            if peer < "n15":
                watch.heard("rail1", peer, step / 10)
        told += watch.tick(peers, step / 10, 1.0)
    [draft] = told
    assert "and 8 more" in draft.data["summary"]
