"""The intake: what holds of all origins, through the replica that is built on it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from tests.core.made import LIFE, event
from tests.simulator import World
from tocsin.core import effects as fx
from tocsin.core import messages as ms
from tocsin.core.bus import Arrival
from tocsin.core.liveness import MAX_NAMES
from tocsin.core.messages import decode, encode
from tocsin.core.replica import Replica
from tocsin.core.sequence import sequence_of

NOW = 1000.0


def replica(**more: float) -> Replica:
    """n1, ready and open, with n2 and n3 configured."""
    made = Replica("n1", now=NOW, wall_ms=LIFE, names=["n1", "n2", "n3"], **more)  # type: ignore[arg-type]
    for _ in range(100):
        made.tick(made._awake_at + 0.05)
    assert made.ready
    made.open(made._awake_at)
    return made


def announce(last: int, *, first: int = 1, life: int = LIFE, name: str = "n2", **more: object) -> bytes:
    """What n2 says."""
    measures = more.get("measures", {})
    return encode(
        ms.Announce,
        name,
        life,
        first,
        last,
        1.0,
        True,
        more.get("previous", ""),
        more.get("others", []),
        measures,
    )


def push(*seqs: int, data: object = None, origin: str = "n2", said: str = "n2") -> bytes:
    """Events of n2."""
    made = [(0, event(origin, seq, data=data).body) for seq in seqs]
    return encode(ms.Events, said, LIFE, seqs[0], made)


def meet(made: Replica, **more: object) -> list[fx.Effect]:
    """n2 is heard for the first time, and gives its section."""
    now = made._awake_at
    done = made.receive("n2", announce(0, **more), now)  # type: ignore[arg-type]
    done += made.tick(now)
    seq = more.get("first", 1)
    assert isinstance(seq, int)
    section = encode(ms.Section, "n2", more.get("life", LIFE), seq - 1, 0, 1, [], {})
    return done + made.receive("n2", section, now)


def delivered(effects: Sequence[fx.Effect]) -> list[Arrival]:
    """What was handed on, in order."""
    return [arrival for e in effects if isinstance(e, fx.Deliver) for arrival in e.arrivals]


def lost(effects: list[fx.Effect]) -> list[tuple[int, int]]:
    """Numbers that were told as lost."""
    return [(int(e.loss.first[14:]), int(e.loss.last[14:])) for e in effects if isinstance(e, fx.Lose)]


def test_who_meets_an_origin_late_tells_its_readers_what_it_cannot_know() -> None:
    """A reader may come from a node that knew the origin earlier: what was before is a loss, not nothing."""
    made = replica()
    assert [(0, 8)] == lost(made.receive("n2", announce(8, first=9), made._awake_at) + meet(made, first=9))
    other = replica()
    assert [] == lost(meet(other))


@pytest.mark.parametrize("seed", range(5))
def test_nodes_that_start_together_tell_no_loss_of_what_never_was(seed: int) -> None:
    """A node may hear of another first by somebody who hears it: that tells whether it lived before."""
    world = World(4, seed)
    world.network.part(("n1", "n4"), ("n2", "n4"))
    world.start()
    world.run(4)
    world.emit("n4", "web", "failed")
    world.run(3)
    for node in world.nodes.values():
        assert [] == node.losses()
        assert ["web"] == [each.subject for each in node.events("n4", "service.started")]


def test_of_an_origin_that_lived_before_a_loss_is_told_also_when_others_tell_of_it() -> None:
    """Readers may come who knew its former life; also where nobody says whether there was one."""
    found = []
    for previous in ("", None, sequence_of(LIFE - 5, 3), sequence_of(LIFE - 5, 0)):
        made = replica()
        entry = ms.Entry("n2", LIFE, 1, 1, previous)
        made.receive("n3", announce(0, name="n3", others=[entry]), made._awake_at)
        gate = made.origins["n2"].gate
        found.append(gate is not None and gate.loss and gate.loss[1:3])
    whatever = (sequence_of(LIFE, 0), sequence_of(LIFE, 0))
    assert [None, whatever, (sequence_of(LIFE - 5, 0), sequence_of(LIFE - 5, 3)), whatever] == found


@pytest.mark.parametrize(("end", "base"), [(7, (LIFE, 7)), (0, (LIFE + 1, 0))])
def test_a_newcomer_holds_nothing_of_a_former_life(end: int, base: tuple[int, int]) -> None:
    """It meets an origin in its second life: what was before is told to who comes from elsewhere.

    Where the first one ended is known, and nobody holds anything of it; or, after a crash, it is not known:
    then nothing before the second is held.
    """
    made = Replica("n1", now=0.0, wall_ms=LIFE, names=("n1", "n2"))
    hello = announce(0, life=LIFE + 1, previous=sequence_of(LIFE, end))
    done = made.receive("n2", hello, 0.1) + made.receive("n2", hello, 0.1)
    asked = [decode(e.payload) for e in made.tick(0.2) if isinstance(e, fx.Send) and e.to == "n2"]
    for ask in asked:
        if isinstance(ask, ms.Ask):
            assert (LIFE, 1, end) == (ask.incarnation, ask.first, ask.last)
            done += made.receive("n2", encode(ms.Fill, "n2", LIFE, 1, end, []), 0.2)
    done += made.tick(0.3)
    assert [fx.Base("n2", sequence_of(*base))] == [effect for effect in done if isinstance(effect, fx.Base)]


def test_who_does_not_answer_what_it_holds_of_a_former_life_is_not_waited_for() -> None:
    """A newcomer goes on with what has come until then."""
    made = Replica("n1", now=0.0, wall_ms=LIFE, names=("n1", "n2", "n3"))
    made.receive("n2", announce(0, life=LIFE + 1, previous=sequence_of(LIFE, 7)), 0.1)
    made.receive("n3", announce(0, name="n3", others=[ms.Entry("n2", LIFE, 5, 8)]), 0.1)
    some = [(seq, 0, event("n2", seq).body) for seq in (6, 7)]
    made.receive("n3", encode(ms.Fill, "n2", LIFE, 1, 7, some), 0.2)
    done = [e for tick in range(120) for e in made.tick(0.2 + tick / 20)]
    assert fx.Base("n2", sequence_of(LIFE, 5)) in done
    assert LIFE + 1 == made.origins["n2"].current


@pytest.mark.parametrize("previous", ["9999999999998-000000000001", f"{LIFE:013d}-999999999999"])
def test_a_former_life_that_cannot_have_been_is_not_asked_for(previous: str) -> None:
    """It is later than the present one, or longer than any."""
    made = Replica("n1", now=0.0, wall_ms=LIFE, names=("n1", "n2"))
    made.receive("n2", announce(0, life=LIFE + 1, previous=previous), 0.1)
    assert not made.origins["n2"].fresh
    assert LIFE + 1 == made.origins["n2"].current


def test_identity_and_size_of_an_event_are_checked() -> None:
    """What claims another origin, node or number than its message, or is too large, is refused and counted."""  # noqa: E501
    made = replica()
    meet(made)
    now = made._awake_at
    for payload in (
        push(1, origin="n3"),
        encode(ms.Events, "n2", LIFE, 2, [(0, event("n2", 1).body)]),
        encode(ms.Events, "n2", LIFE, 1, [(0, b" " * 20_000)]),
        push(1, said="n3"),
    ):
        assert [] == made.receive("n2", payload, now)
    assert 4 == made.counters["messages_refused"]
    of_another = event("n2", 1, node="n3").body
    assert [] == made.receive("n2", encode(ms.Events, "n2", LIFE, 1, [(0, of_another)]), now)
    assert 5 == made.counters["messages_refused"]
    made.receive("n2", encode(ms.Events, "n2", LIFE, 10**11, [(0, event("n2", 10**11).body)]), now)
    assert 1 == made.counters["events_quarantined"]
    assert [1] == [a.event.seq for a in delivered(made.receive("n2", push(1), now))]


AHEAD = 10**11


@pytest.mark.parametrize("said", [
    announce(AHEAD),
    announce(AHEAD, life=LIFE + 7),
    announce(0, previous=sequence_of(LIFE, AHEAD)),
    announce(0, life=LIFE + 7, previous=sequence_of(LIFE, AHEAD)),
    encode(ms.Goodbye, "n2", LIFE, AHEAD),
    announce(0, others=[ms.Entry("n3", LIFE, 1, AHEAD)]),
    announce(0, others=[ms.Entry("n3", LIFE, 1, 0, sequence_of(LIFE - 7, AHEAD))]),
], ids=["announce", "new life", "previous", "end", "goodbye", "entry", "end in entry"])  # fmt: skip
def test_a_number_that_cannot_be_is_counted_whoever_tells_it(said: bytes) -> None:
    """An announce, a goodbye, an entry, the end of a former life: nothing follows from it, and it is seen."""
    made = replica()
    meet(made)
    entry = ms.Entry("n3", LIFE - 7, 1, 0)
    made.receive("n2", announce(0, others=[entry]), made._awake_at)
    assert 0 == made.counters["numbers_quarantined"]
    assert [] == lost(made.receive("n2", said, made._awake_at))
    assert 1 == made.counters["numbers_quarantined"]
    known = [life.known for origin in made.origins.values() for life in origin.lives.values()]
    assert 0 == max(known)


def test_the_end_of_a_life_that_was_left_is_no_number_that_cannot_be() -> None:
    """It is told as lost if it can be true, and counted if it cannot."""
    made = left_behind(1)
    now = made._awake_at
    entry = ms.Entry("n2", LIFE, 1, AHEAD)
    effects = made.receive("n3", announce(0, name="n3", others=[entry]), now)
    assert ([], 1) == (lost(effects), made.counters["numbers_quarantined"])


def test_a_node_that_says_less_than_it_said_long_before_is_counted() -> None:
    """Copies are late by any number of events, and by a few seconds; more than that is no copy."""
    made = replica()
    meet(made)
    now = made._awake_at
    for seconds, last, counted in (
        (0, 9, 0), (1, 7, 0), (2, 12, 0), (9, 3, 0), (11, 12, 0), (12, 11, 0), (22, 11, 1), (23, 11, 1),
        (33, 11, 2), (44, 13, 2), (55, 13, 2),
    ):  # fmt: skip
        for at in range(seconds):  # it does not stand still meanwhile
            made._wake(max(made._awake_at, now + at))
        made.receive("n2", announce(last), now + seconds)
        assert counted == made.counters["numbers_quarantined"], seconds


def test_a_copy_that_waited_while_this_node_stood_still_is_not_counted() -> None:
    """It is as old as it was then."""
    made = replica()
    meet(made)
    now = made._awake_at
    made.receive("n2", announce(9), now + 0.5)
    made.origins["n2"].life.said = 9  # it was the last that counted
    made.receive("n2", announce(8), now + 99)
    assert 0 == made.counters["numbers_quarantined"]


@pytest.mark.parametrize("life", [LIFE, LIFE + 7])
@pytest.mark.parametrize("packed", [None, 7, {"a": 1}, [7], [[0, "text"]], [[0, b"", 1, 2]], [[-1, b"{}"]]])
def test_a_message_that_cannot_be_read_changes_nothing(packed: object, life: int) -> None:
    """It is refused and counted before it is a sign of life, or begins one."""
    made = replica()
    meet(made)
    now, heard = made._awake_at, made.liveness.age("n2", made._awake_at + 0.5)
    for sender in ("n2", "n9"):
        payload = msgspec.msgpack.encode([ms.PROTOCOL, "events", sender, life, 1, packed])
        assert [] == made.receive(sender, payload, now + 0.5)
    assert 2 == made.counters["messages_refused"]
    assert heard == made.liveness.age("n2", now + 0.5)
    assert (["n2"], [LIFE]) == (list(made.origins), list(made.origins["n2"].lives))
    assert "n9" not in made.liveness.members


def test_a_message_of_no_events_is_a_sign_of_life_and_no_more() -> None:
    """Nobody sends one; it breaks nothing."""
    made = replica()
    meet(made)
    assert [] == made.receive("n2", encode(ms.Events, "n2", LIFE + 1, 1, []), made._awake_at)
    assert 0 == made.counters["messages_refused"]


def test_a_life_of_many_events_is_met_late_and_again_after_a_long_cut() -> None:
    """However many an origin has published: what counts is how many it says it still holds."""
    made, far = replica(), 10**8
    now = made._awake_at
    made.receive("n2", announce(far, first=far - 1), now)
    assert (False, far - 2) == (made.origins["n2"].fresh, made.origins["n2"].life.accepted)
    made.receive("n2", announce(3 * far, first=3 * far), now)
    assert 3 * far == made.origins["n2"].life.known
    made.receive("n2", announce(5 * far, first=3 * far), now)
    assert 3 * far == made.origins["n2"].life.known  # nobody holds so many


def test_origins_that_are_made_up_are_bounded() -> None:
    """However many somebody announces."""
    made = replica()
    meet(made)
    for start in range(0, MAX_NAMES + 2000, 500):
        others = [ms.Entry(f"x{number}", LIFE, 1, 1) for number in range(start, start + 500)]
        made.receive("n2", announce(0, others=others), made._awake_at)
    assert MAX_NAMES == len(made.origins)


def test_memory_is_bounded_by_number_and_by_bytes() -> None:
    """The origin that holds most gives first; what was let go of cannot be asked for any more."""
    for bound in ({"max_events": 100}, {"max_bytes": 100_000}):
        made = replica(**bound)
        meet(made)
        for seq in range(1, 200):
            made.receive("n2", push(seq, data="x" * 1000), made._awake_at)
        made.tick(made._awake_at + 1.1)
        life = made.origins["n2"].life
        assert len(life.events) <= 100
        assert life.size <= 140_000
        assert 199 == life.accepted


def test_a_hole_that_the_origin_denies_is_degraded_given_up_and_told() -> None:
    """It is asked for, then told: the section first, then the marker; degradation ends with it."""
    made = replica()
    meet(made)
    now = made._awake_at
    made.receive("n2", push(3), now)
    told: list[str] = []
    asks: list[ms.Ask] = []
    for _ in range(80):
        now += 0.05
        made.receive("n2", announce(3), now)
        for effect in made.tick(now):
            if isinstance(effect, fx.Publish):
                told.append(effect.draft.type)
            if isinstance(effect, fx.Send) and isinstance(ask := decode(effect.payload), ms.Ask):
                asks.append(ask)
    assert (1, 2) == (asks[0].first, asks[0].last)
    assert "agent.degraded" in told
    assert ("n2",) == made.degraded()
    done = made.receive("n2", encode(ms.Fill, "n2", LIFE, 1, 2, []), now) + made.tick(now + 0.05)
    done += made.receive("n2", encode(ms.Section, "n2", LIFE, 3, 0, 1, [], {}), now + 0.05)
    done += made.tick(now + 0.1)
    kinds = [type(effect) for effect in done if not isinstance(effect, fx.Send)]
    assert [(1, 2)] == lost(done)
    assert kinds.index(fx.ReplaceSection) < kinds.index(fx.Lose) < kinds.index(fx.Deliver)
    assert "agent.recovered" in [e.draft.type for e in done if isinstance(e, fx.Publish)]


def test_time_in_which_this_node_stood_still_gives_nothing_up() -> None:
    """A node that was paused for a minute asks before it tells of a loss."""
    made = replica()
    meet(made)
    now = made._awake_at
    made.receive("n2", push(2), now)
    made.tick(now + 0.1)
    late = made.tick(now + 90.0) + made.tick(now + 90.3)
    assert [] == lost(late)
    assert ["n2"] == [e.to for e in late if isinstance(e, fx.Send) and isinstance(decode(e.payload), ms.Ask)][
        :1
    ]


def test_a_forgotten_node_is_gone_and_its_degradation_with_it() -> None:
    """What others still tell of it does not bring it back."""
    made = replica()
    meet(made)
    now = made._awake_at
    made.origins["n2"].degraded = True
    data = {"status": "gone", "attributes": {"state": "forgotten"}}
    gone = event("n1", 1, "node.forgotten", subject="n2", node="n2", data=data)
    made.liveness.members["n2"].heard_at = now - 60
    done = made.local([Arrival(gone, now)], now)
    assert ["agent.recovered"] == [e.draft.type for e in done if isinstance(e, fx.Publish)]
    entry = ms.Entry("n2", LIFE, 1, 0)
    made.receive("n3", announce(0, name="n3", others=[entry]), now)
    assert "n2" not in made.origins


def test_a_report_that_is_no_news_is_no_hole() -> None:
    """It gets no number, and is counted."""
    made = replica()
    meet(made)
    data = {"status": "failed", "attributes": {"state": "down", "incarnation": 1}}
    down = event("n2", 1, "node.down", subject="n1", node="n1", data=data)
    done = made.receive("n2", encode(ms.Events, "n2", LIFE, 1, [(0, down.body)]), made._awake_at)
    assert [fx.Skip("n2", down.sequence)] == done
    assert 1 == made.counters["reports_suppressed"]


@pytest.mark.parametrize("seed", [1103, 1286, 3185])
def test_a_restart_after_losses_gets_history_and_section(seed: int) -> None:
    """A newcomer gets what the others have, what they lost as a marker, and of its own past what they know."""  # noqa: E501
    world = World(3, seed, retain=4.0)
    world.start()
    world.run(4)
    for step in range(30):
        world.emit("n1" if step % 3 else "n3", f"s{step % 5}", "failed" if step % 2 else "ok")
        world.run(0.4)
        if step == 10:
            world.kill("n2")
            world.disks["n2"].clear()
            world.network.cut("n3", (0, 1), world.names)
        if step == 12:
            world.start("n2")
        if step == 25:
            world.network.heal()
    world.run(5)
    for name in ("n2", "n3"):
        mine = {r.key: r.status for r in world.nodes[name].board.section("n1")}
        assert mine == {r.key: r.status for r in world.nodes["n1"].board.section("n1")}


def test_a_new_life_follows_the_old_one_and_what_comes_later_of_that_is_late() -> None:
    """The old life is left when all that live have announced, or after two seconds, its end told as lost."""
    made = replica()
    meet(made)
    now = made._awake_at
    made.receive("n2", push(1), now)
    made.receive("n2", announce(4), now)
    made.receive("n2", announce(0, life=LIFE + 1), now)
    done: list[fx.Effect] = []
    for _ in range(130):
        now += 0.05
        done += made.receive("n2", announce(0, life=LIFE + 1), now) + made.tick(now)
    assert [(2, 4)] == lost(done)
    assert LIFE + 1 == made.origins["n2"].current
    late = made.receive("n2", push(2), now)
    assert [2] == [e.event.seq for e in late if isinstance(e, fx.Late)]


def test_history_is_numbered_by_age_when_joining_ends() -> None:
    """What is lost of it, and what this node's own former life left, is numbered in its place."""
    made = Replica("n1", now=NOW, wall_ms=LIFE + 5, names=["n1", "n2"])
    now, done = NOW, list[fx.Effect]()
    entries = [ms.Entry("n1", LIFE, 1, 4), ms.Entry("n1", LIFE + 1, 1, 0)]
    for _ in range(90):
        now += 0.05
        done += made.receive("n2", announce(3, others=entries), now) + made.tick(now)
        for effect in list(done):
            if not isinstance(effect, fx.Send) or effect.to != "n2":
                continue
            done.remove(effect)
            ask = decode(effect.payload)
            if isinstance(ask, ms.Ask):
                some = [(seq, 10**6 * seq, event(ask.origin, seq).body) for seq in (1, 3)]
                fill = encode(ms.Fill, ask.origin, ask.incarnation, 1, 9, some)
                done += made.receive("n2", fill, now)
            elif isinstance(ask, ms.AskSection):
                section = encode(ms.Section, ask.origin, LIFE, 4, 0, 1, [], {"n3": ("down", 4)})
                done += made.receive("n2", section, now)
    assert made.ready
    assert ["n2"] == made.names() or "n2" in made.liveness.members
    told = [e for e in done if isinstance(e, fx.Deliver | fx.Lose)]
    assert {("n1", 1), ("n1", 3), ("n2", 1), ("n2", 3)} == {
        (arrival.event.origin, arrival.event.seq) for arrival in delivered(told)
    }
    assert (2, 2) in lost(done)
    assert {fx.NodeState("n3"), fx.NodeState("n1")} <= {e for e in done if isinstance(e, fx.NodeState)}


def restarted(held: dict[str, list[int]], **more: int) -> Replica:
    """n1 begins again, with these events of former lives in its buffer."""
    made = Replica("n1", now=NOW, wall_ms=LIFE + 5, names=["n1", "n2"], **more)  # type: ignore[arg-type]
    arrivals = [Arrival(event(name, seq), NOW - 9) for name, seqs in held.items() for seq in seqs]
    made.restore(arrivals, {name: event(name, seqs[-1]).sequence for name, seqs in held.items()}, NOW)
    return made


def join(made: Replica, announced: bytes, *, holds: Sequence[int]) -> list[fx.Effect]:
    """n2 announces, and answers what it is asked for as far as it holds it, until n1 is ready."""
    now, done = NOW, list[fx.Effect]()
    for _ in range(100):
        now += 0.05
        out = made.receive("n2", announced, now) + made.tick(now)
        for effect in out:
            if not isinstance(effect, fx.Send) or effect.to != "n2":
                continue
            ask = decode(effect.payload)
            if isinstance(ask, ms.Ask):
                some = [(seq, 1000, event("n2", seq).body) for seq in holds if ask.origin == "n2"]
                fill = encode(ms.Fill, ask.origin, ask.incarnation, 1, 99, some)
                done += made.receive("n2", fill, now)
            elif isinstance(ask, ms.AskSection):
                done += made.receive("n2", encode(ms.Section, "n2", LIFE, 99, 0, 1, [], {}), now)
        done += out
    assert made.ready
    return done


def told(effects: list[fx.Effect]) -> list[str]:
    """What was handed on, as origin and number."""
    found = [arrival.event for arrival in delivered(effects)]
    return [f"{each.origin}:{each.seq}" for each in found]


def test_what_the_buffer_kept_is_not_numbered_again() -> None:
    """After a restart only what came in between is fetched, and the board section with it."""
    made = restarted({"n2": [3, 4, 5]})
    done = join(made, announce(8), holds=range(1, 9))

    assert ["n2:6", "n2:7", "n2:8"] == told(done)
    assert [] == lost(done)
    assert 1 == sum(isinstance(e, fx.ReplaceSection) for e in done)
    assert not any(isinstance(e, fx.Base) for e in done)


def test_what_came_in_between_and_is_gone_is_told_as_lost() -> None:
    """Who read this node's buffer before the restart goes on: what nobody holds any more is no secret."""
    done = join(restarted({"n2": [3, 4, 5]}), announce(8, first=8), holds=[8])

    assert [(6, 7)] == lost(done)
    assert ["n2:8"] == told(done)


def test_the_end_of_the_own_former_life_is_lost_if_the_buffer_lacks_it() -> None:
    """The state directory knows how far that life came; the new one is younger than both."""
    made = restarted({"n1": [1, 2]}, stored_incarnation=LIFE, stored_last=4)
    done = join(made, announce(0), holds=[])
    assert [(3, 4)] == lost(done)
    assert LIFE + 5 <= made.incarnation

    later = restarted({"n1": [1, 2]}, stored_incarnation=LIFE + 9, stored_last=1)
    assert [(1, 1)] == lost(join(later, announce(0), holds=[]))
    assert LIFE + 9 < later.incarnation


def test_what_the_buffer_kept_can_be_asked_for() -> None:
    """An event that any living node holds reaches every living node, also after that node's restart."""
    made = restarted({"n3": [3, 4, 5]})
    join(made, announce(0), holds=[])
    out = made.receive("n2", encode(ms.Hello, "n2"), made._awake_at)
    said = [decode(each.payload) for each in out if isinstance(each, fx.Send)]
    assert any(isinstance(a, ms.Announce) and ms.Entry("n3", LIFE, 3, 5) in a.others for a in said)

    out = made.receive("n2", encode(ms.Ask, 7, "n3", LIFE, 1, 9), made._awake_at)
    fills = [decode(each.payload) for each in out if isinstance(each, fx.Send)]
    assert [3, 4, 5] == [seq for fill in fills if isinstance(fill, ms.Fill) for seq, _, _ in fill.events]


def test_a_node_that_was_forgotten_is_not_brought_back() -> None:
    """What the buffer kept of a node from before its removal makes no origin again."""
    made = Replica("n1", now=NOW, wall_ms=LIFE + 5, names=["n1", "n2", "n3"])
    forgotten = event("n2", 1, "node.forgotten", subject="n3", node="n3")
    arrivals = [Arrival(event("n3", 1, life=0), NOW - 9), Arrival(forgotten, NOW - 8)]
    made.restore(arrivals, {"n3": event("n3", 1, life=0).sequence, "n2": forgotten.sequence}, NOW)

    assert ["n2"] == list(made.origins)


def test_events_heard_before_the_first_announce_wait_for_it() -> None:
    """It says where what can be had begins; of lives before that one nothing is handed on."""
    made = replica()
    now = made._awake_at
    older = [(0, event("n2", 1).body)]
    newer = [(0, event("n2", 1, life=LIFE + 1).body)]
    made.receive("n2", encode(ms.Events, "n2", LIFE, 1, older), now)
    made.receive("n2", encode(ms.Events, "n2", LIFE + 1, 1, newer), now)
    assert not delivered(made.tick(now))
    made.receive("n2", announce(1, life=LIFE + 1), now)
    made.tick(now)
    done = made.receive("n2", encode(ms.Section, "n2", LIFE + 1, 0, 0, 1, [], {}), now)
    assert [LIFE + 1] == [a.event.incarnation for a in delivered(done)]


def test_what_comes_of_the_own_past_after_joining_is_kept_for_repair_only() -> None:
    """The newcomer waited for it as long as it could; what was missing then is told as lost, in its place."""
    made = Replica("n1", now=NOW, wall_ms=LIFE + 5, names=["n1", "n2"])
    now, done = NOW, list[fx.Effect]()
    entries = [ms.Entry("n1", LIFE, 1, 4)]
    fill = encode(ms.Fill, "n1", LIFE, 3, 3, [(3, 0, event("n1", 3).body)])
    while not made.ready:
        now += 0.05
        if now - NOW > 9.0:
            entries = [ms.Entry("n1", LIFE, 1, 4), ms.Entry("n1", LIFE + 1, 1, 0)]
        done += made.receive("n2", announce(0, others=entries), now) + made.receive("n2", fill, now)
        done += made.tick(now)
    assert 10.0 <= now - NOW < 10.2
    # Of the life after that one nobody knows how far it came: number 0 stands for whatever it told.
    mine = [e for e in done if isinstance(e, fx.Lose) and e.loss.origin == "n1"]
    assert [(1, 2), (4, 4), (0, 0)] == lost(list(mine))
    assert [3] == [a.event.seq for a in delivered(done)]
    late = encode(ms.Fill, "n1", LIFE + 1, 1, 1, [(1, 0, event("n1", 1, life=LIFE + 1).body)])
    assert [] == made.receive("n2", late, now)
    assert [1] == made.origins["n1"].life.events.numbers(1, 9)


def test_a_flood_makes_room_for_itself() -> None:
    """What is old leaves as more comes, of others and of one's own, not all at once later."""
    made = replica(retain=2.0)
    meet(made)
    now = made._awake_at
    made.receive("n2", push(1, 2, 3), now)
    made.local([Arrival(event("n1", seq, life=made.incarnation), now) for seq in (1, 2)], now)
    made._next_prune = now + 60.0
    later = now + 0.9
    while later < now + 2.5:
        made.tick(later)
        later += 0.9
    made.receive("n2", push(4), later)
    made.local([Arrival(event("n1", 3, life=made.incarnation), later)], later)
    assert [4] == made.origins["n2"].life.events.numbers(1, 9)
    assert [3] == made.own.events.numbers(1, 9)


def left_behind(*seqs: int) -> Replica:
    """One that has left the first life of n2 with these events, by which it was closed, for the second."""
    made = replica()
    meet(made)
    now = made._awake_at
    if seqs:
        made.receive("n2", push(*seqs), now)
    made.receive("n2", announce(0, life=LIFE + 2, previous=sequence_of(LIFE, len(seqs))), now)
    for _ in range(130):
        now += 0.05
        made.receive("n2", announce(0, life=LIFE + 2), now)
        made.tick(now)
    assert LIFE + 2 == made.origins["n2"].current
    return made


def losses(effects: list[fx.Effect]) -> list[tuple[str, str, bool]]:
    """What was told as lost, and whether that was late."""
    return [e.loss[1:4] for e in effects if isinstance(e, fx.Lose)]


@pytest.mark.parametrize("had", [0, 2])
def test_readers_are_told_when_who_holds_more_of_a_life_is_heard_after_it_was_left(had: int) -> None:
    """Once, and only what had not been handed on; also of a life of which nothing had been heard here."""
    made = left_behind(*range(1, had + 1))
    now = made._awake_at

    def say(life: int, last: int) -> list[tuple[str, str, bool]]:
        others = [ms.Entry("n2", life, 1, last)]
        return losses(made.receive("n3", announce(0, name="n3", others=others), now))

    assert [] == say(LIFE, had)
    assert [(sequence_of(LIFE, had + 1), sequence_of(LIFE, 5), True)] == say(LIFE, 5)
    assert [] == say(LIFE, 5)
    assert [(sequence_of(LIFE, 6), sequence_of(LIFE, 7), True)] == say(LIFE, 7)
    assert [(sequence_of(LIFE + 1, 1), sequence_of(LIFE + 1, 3), True)] == say(LIFE + 1, 3)
    assert [] == say(LIFE, 10**11)
    assert [] == say(LIFE - 1, 9)  # older than all that was ever known here
    assert 5 - had + 2 + 3 == made.counters["events_lost"]


def test_events_that_come_after_their_life_was_left_are_told_as_lost() -> None:
    """From their origin itself; the journal and a counter have them as well."""
    made = left_behind(1)
    done = made.receive("n2", push(2, 3), made._awake_at)
    assert [2, 3] == [e.event.seq for e in done if isinstance(e, fx.Late)]
    assert [(sequence_of(LIFE, 2), sequence_of(LIFE, 3), True)] == losses(done)


def test_a_node_that_is_not_heard_has_its_former_life_told_late_too() -> None:
    """Its announces have stopped; who tells of it was cut off."""
    made = left_behind(1)
    others = [ms.Entry("n2", LIFE, 1, 4)]
    done = made.receive("n3", announce(0, name="n3", others=others), made._awake_at + 60.0)
    assert [(sequence_of(LIFE, 2), sequence_of(LIFE, 4), True)] == losses(done)


def test_a_node_that_says_less_of_its_former_life_than_is_held_here_is_told() -> None:
    """It began again before it heard anybody who knew; some times only, as it may not take that up."""
    made = left_behind(1, 2, 3)
    now, answers = made._awake_at, []
    for _ in range(20):
        others = [ms.Entry("n2", LIFE, 1, 1), ms.Entry("n2", LIFE + 1, 1, 0)]
        done = made.receive("n2", announce(0, life=LIFE + 2, others=others), now)
        said = [decode(e.payload) for e in done if isinstance(e, fx.Send) and e.to == "n2"]
        answers += [entry for each in said if isinstance(each, ms.Announce) for entry in each.others]
    assert {("n2", LIFE, 3)} == {(e.origin, e.incarnation, e.last) for e in answers}
    assert 5 < len(answers) < 12


def test_a_node_that_is_told_more_of_its_last_life_tells_its_readers() -> None:
    """Once; what is older than that life it does not remember, and that is no loss."""
    made = Replica(
        "n1", now=0.0, wall_ms=LIFE + 9, names=["n1", "n2"], stored_incarnation=LIFE, stored_last=7
    )
    for step in range(200):
        made.receive("n2", announce(0), step * 0.05)
        made.tick(step * 0.05)
    assert made.ready

    def say(life: int, last: int) -> list[tuple[str, str, bool]]:
        others = [ms.Entry("n1", life, 1, last)]
        return losses(made.receive("n2", announce(0, others=others), made._awake_at))

    assert [] == say(LIFE, 7)
    assert [] == say(LIFE - 5, 9)
    assert [(sequence_of(LIFE, 8), sequence_of(LIFE, 9), True)] == say(LIFE, 9)
    assert [] == say(LIFE, 9)
    assert [(sequence_of(LIFE + 2, 1), sequence_of(LIFE + 2, 1), True)] == say(LIFE + 2, 1)
