"""Rails: told once when they stop reaching living nodes, once when they do again."""

from __future__ import annotations

from random import Random

import pytest

from tests.core.made import LIFE, event
from tocsin.core.event import Draft
from tocsin.core.messages import Events, encode
from tocsin.core.rails import Copies, RailWatch

PEERS = ["b", "c", "d"]


class Running:
    """A watch with time: everybody in ``reach`` announces on the rail each second."""

    def __init__(self) -> None:
        self.watch = RailWatch(["rail1", "rail2"])
        self.now = 100.0
        self.reach = {"rail1": set(PEERS), "rail2": set(PEERS)}

    def run(self, seconds: float, living: list[str] | None = None) -> list[tuple[str, str, str]]:
        """What is told meanwhile."""
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


def test_who_stood_still_blames_no_rail() -> None:
    """After a pause of its own a node hears nobody until its links are back: that is told of no rail."""
    for silent_before in (0.0, 3.0):
        running = Running()
        running.run(5)
        running.reach = {"rail1": set(), "rail2": set()}
        told = running.run(silent_before)
        running.now += 8
        told += running.run(3)
        running.reach = {"rail1": set(PEERS), "rail2": set(PEERS)}
        assert [] == told + running.run(20)


def test_what_was_about_to_be_told_is_not_told_after_a_pause() -> None:
    """The time for which a node stood still is none in which a change lasted."""
    running = Running()
    running.run(5)
    running.reach["rail1"] = set()
    assert [] == running.run(4)  # it is silent for long enough, but has not settled
    running.now += 8
    running.reach["rail1"] = set(PEERS)
    assert [] == running.run(20)


def test_a_rail_that_does_not_come_back_after_a_pause_is_told() -> None:
    """Who stood still listens for three announces; what is silent then is told once."""
    running = Running()
    running.run(5)
    running.now += 8
    running.reach["rail2"] = set()
    assert [] == running.run(3)
    assert [("rail.down", "rail2", "failed")] == running.run(20)


def test_a_rail_that_is_down_stays_so_over_a_pause() -> None:
    """It is told neither as up nor as down again, but that it comes back is."""
    running = Running()
    running.run(5)
    running.reach["rail1"] = set()
    assert [("rail.down", "rail1", "failed")] == running.run(10)
    running.now += 8
    assert [] == running.run(20)
    running.now += 8
    running.reach["rail1"] = set(PEERS)
    assert [("rail.up", "rail1", "ok")] == running.run(20)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("count", [9, 99, 300, 1000])
def test_a_rail_of_a_large_cluster_is_one_event(count: int, apart: bool) -> None:
    """Peers announce at different times, and links come back one by one: there is one event all the same.

    ``apart``: not quite half of them announce together, and the others as long after these as may be.
    """
    period, random = max(1.0, (count + 1) / 100), Random(count)
    cut, heal, end = (number * period for number in (4.999, 14.999, 25))
    coming: list[tuple[float, str, bool]] = []
    for number in range(count):
        phase = random.uniform(0.9, 1) if apart else random.random()
        at, back = (phase if not apart or number > 0.49 * count else 0.0) * period, random.random()
        while at < end:
            coming.append((at, f"n{number}", not cut <= at < heal + back))
            at += period
    coming.sort(reverse=True)
    watch, now = RailWatch(["rail1", "rail2"]), 0.0
    told: list[Draft] = []
    while now < end:
        while coming and coming[-1][0] <= now:
            at, peer, both = coming.pop()
            watch.heard("rail1", peer, at)
            if both:
                watch.heard("rail2", peer, at)
        told += watch.tick([f"n{number}" for number in range(count)], now, period)
        now += 0.25
    assert [("rail.down", "rail2"), ("rail.up", "rail2")] == [(each.type, each.subject) for each in told]
    assert count == told[0].data["attributes"]["silent"]


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


def test_a_rail_that_flaps_is_told_twice() -> None:
    """More than four changes in a minute: one event that it flaps, one how it is when it has settled."""
    running = Running()
    running.run(5)
    told = []
    for _ in range(5):
        running.reach["rail1"] = set()
        told += running.run(6)
        running.reach["rail1"] = set(PEERS)
        told += running.run(4)
    assert ["rail.down", "rail.up", "rail.down", "rail.up", "rail.flapping"] == [each[0] for each in told]
    assert ("rail.flapping", "rail1", "warning") == told[-1]
    assert [("rail.up", "rail1", "ok")] == running.run(40)
    running.reach["rail1"] = set()
    assert [("rail.down", "rail1", "failed")] == running.run(10)


def test_a_rail_that_flaps_and_stays_down() -> None:
    """When it settles its state is told as it is then, with the number of changes."""
    running = Running()
    running.run(5)
    for _ in range(3):
        running.reach["rail2"] = set(PEERS)
        running.run(4)
        running.reach["rail2"] = set()
        running.run(6)
    drafts: list[Draft] = []
    for _ in range(400):
        drafts += running.watch.tick(PEERS, running.now, 1.0)
        running.watch.heard("rail1", "b", running.now)
        running.now += 0.1
    told = [draft for draft in drafts if draft.subject == "rail2"]
    assert [("rail.down", "failed", 5)] == [(d.type, d.data["status"], d.data["changes"]) for d in told]


def test_names_that_are_heard_are_bounded() -> None:
    """Invented senders cost a bounded amount of memory."""
    watch = RailWatch(["rail1"])
    for number in range(2000):
        watch.heard("rail1", f"n{number}", 1.0)
    assert 1000 == len(watch._heard["rail1"])


def test_awake_are_those_heard_elsewhere() -> None:
    """A peer that is silent on all other rails may have no time; with one rail nobody can tell."""
    watch = RailWatch(["rail1", "rail2"])
    watch.heard("rail2", "b", 100)
    assert {"b"} == watch.awake("rail1", ["b", "c"], 101, 1.0)
    assert set() == watch.awake("rail2", ["b", "c"], 101, 1.0)
    assert {"b", "c"} == RailWatch(["rail1"]).awake("rail1", ["b", "c"], 101, 1.0)


def test_copies_are_counted_where_they_come() -> None:
    """The first copy wins, the others are duplicates of their rail, and late if they come 0.1 s behind."""
    copies = Copies(["rail1", "rail2", "rail3"])
    for rail, at in (("rail1", 1.0), ("rail2", 1.01), ("rail3", 1.5)):
        copies.came(rail, "b", b"news", at)
    copies.came("rail2", "c", b"news", 1.6)  # of another sender
    counts = {rail: (count.duplicate, count.late) for rail, count in copies.counts.items()}
    assert {"rail1": (0, 0), "rail2": (1, 0), "rail3": (1, 1)} == counts


def test_the_same_bytes_twice_on_a_rail_are_no_copy() -> None:
    """An announce that says what the last one said is a message of its own."""
    copies = Copies(["rail1", "rail2"])
    for second in range(5):
        copies.came("rail1", "b", b"as before", second)
        copies.came("rail2", "b", b"as before", second + 0.01)
    assert [(0, 0), (5, 0)] == [(count.duplicate, count.late) for count in copies.counts.values()]


def test_copies_that_are_awaited_are_bounded() -> None:
    """A flood does not make them grow; with one rail there is nothing to await."""
    copies, alone = Copies(["rail1", "rail2"]), Copies(["rail1"])
    for number in range(10_000):
        copies.came("rail1", "b", b"%d" % number, 1.0)
        alone.came("rail1", "b", b"%d" % number, 1.0)
    assert (8192, 0) == (len(copies._first), len(alone._first))
    copies.came("rail2", "b", b"9999", 1.0)
    assert 1 == copies.counts["rail2"].duplicate


def test_messages_of_a_node_with_a_long_name_are_told_apart() -> None:
    """Their numbers stand behind the name."""
    name, copies = "n" * 255, Copies(["rail1", "rail2"])
    body = event(name, 1).body
    sent = [encode(Events, name, LIFE, first, [(0, body)]) for first in (1000, 1001, 1002)]
    for rail in ("rail1", "rail2"):
        for payload in sent:
            copies.came(rail, name, payload, 1.0)
    assert 3 == copies.counts["rail2"].duplicate


def test_names_that_came_and_went_leave_room_for_new_ones() -> None:
    """Else a node that is heard well would be told as one that a rail does not reach."""
    watch = RailWatch(["rail1", "rail2"])
    for number in range(1500):
        for rail in ("rail1", "rail2"):
            watch.heard(rail, f"old{number}", 1.0)
    told = []
    for now in range(2, 20):
        for rail in ("rail1", "rail2"):
            watch.heard(rail, "new", float(now))
        told += list(watch.tick(["new"], float(now), 1.0))
    assert [] == told
