"""Liveness: ears, what was told, and what follows where they differ."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.made import event
from tocsin.core.event import Draft, Event
from tocsin.core.liveness import FORGET_AFTER, MAX_NAMES, TURN, Liveness
from tocsin.core.lives import MAX_INCARNATION


def liveness(me: str = "n1", names: tuple[str, ...] = ("n1", "n2", "n3"), **more: Any) -> Liveness:
    """One observer, listening since 0."""
    made = Liveness(me, names, seen=more.pop("seen", ()), down_after=more.pop("down_after", 5.0))
    made.start(0.0)
    return made


def told(origin: str, state: str, about: str, incarnation: Any = 7) -> Event:
    """A report of ``origin`` about a node."""
    attributes = {"state": state, "incarnation": incarnation}
    data = {"status": "ok", "attributes": attributes}
    return event(origin, 1, f"node.{state}", subject=about, node=about, data=data)


def reports(made: Liveness, now: float) -> list[tuple[str, str]]:
    """What it tells now, and has told from then on."""
    drafts: list[Draft] = list(made.tick(now, 1.0))
    for draft in drafts:
        state = draft.type.removeprefix("node.")
        assert made.accept(
            told(made.me, state, draft.node, draft.data["attributes"]["incarnation"]), now, 1.0
        )
    return [(draft.node, draft.type) for draft in drafts]


def test_silence_is_suspect_then_down_and_a_sign_of_life_is_up() -> None:
    """Each change is told once; a name never seen joins, later it is up."""
    made = liveness()
    made.heard("n2", 7, 1.0)
    made.heard("n3", 7, 1.0)
    assert [("n2", "node.joined"), ("n3", "node.joined")] == sorted(reports(made, 1.0))
    made.heard("n3", 7, 5.0)
    assert [("n2", "node.suspect")] == reports(made, 5.0)
    assert [] == reports(made, 5.1)
    made.heard("n3", 7, 7.0)
    assert [("n2", "node.down")] == reports(made, 7.0)
    made.heard("n2", 8, 7.5)
    assert [("n2", "node.up")] == reports(made, 7.5)
    assert ["n2", "n3"] == made.living(8.0, 1.0)


def test_a_name_that_never_comes_is_unknown_then_down() -> None:
    """Nothing is said before listening has begun, nor before its time."""
    made = Liveness("n1", ["n1", "n2"], seen=["n9"], down_after=5.0)
    assert [] == list(made.tick(99.0, 1.0))
    made.start(100.0)
    assert [] == reports(made, 104.0)
    assert [("n2", "node.down"), ("n9", "node.down")] == sorted(reports(made, 105.5))
    assert not made.hears("nobody", 100.0, 1.0)


def test_a_goodbye_is_left_until_a_new_life() -> None:
    """What comes late of the life that left is no sign of life; its silence is no news."""
    made = liveness(names=("n1", "n2"))
    made.heard("n2", 7, 1.0)
    reports(made, 1.0)
    made.goodbye("n2", 7)
    assert [("n2", "node.left")] == reports(made, 1.1)
    made.heard("n2", 7, 1.2)
    assert [] == reports(made, 99.0)
    made.heard("n2", 8, 99.0)
    assert [("n2", "node.up")] == reports(made, 99.0)


def test_a_goodbye_that_others_heard_counts() -> None:
    """It is not called down here for its silence."""
    made = liveness(names=("n1", "n2"))
    made.heard("n2", 7, 1.0)
    reports(made, 1.0)
    assert made.accept(told("n3", "left", "n2"), 6.0, 1.0)
    assert [] == reports(made, 20.0)


def test_observers_take_turns_by_rank() -> None:
    """The k-th of those that are heard waits k turns; the one concerned does not count."""
    made = liveness("n3", ("n1", "n2", "n3", "n4"))
    made.heard("n1", 7, 0.5)
    made.heard("n2", 7, 0.5)
    assert [] == reports(made, 0.5)
    assert [("n1", "node.joined"), ("n2", "node.joined")] == sorted(reports(made, 0.5 + TURN))


def test_a_long_announce_period_is_no_silence() -> None:
    """A node that announces each ten seconds is waited for; nonsense as a period is not believed."""
    made = liveness()
    made.heard("n2", 7, 0.0, 10.0)
    made.heard("n3", 7, 0.0, float("nan"))
    assert ["n2"] == made.living(20.0, 1.0)
    assert not made.hears("n2", 20.0, 1.0, 6)
    assert made.hears("n2", 20.0, 1.0, 7)


def test_who_stood_still_accuses_nobody() -> None:
    """The time in which this node itself was paused does not count as anybody's silence."""
    made = liveness()
    made.heard("n2", 7, 1.0)
    made.sleep(60.0, 62.0, 1.0)
    assert ["n2"] == made.living(62.0, 1.0)
    assert [] == [draft for draft in made.tick(62.0, 1.0) if draft.node == "n3"]
    Liveness("n1", ["n2"], seen=(), down_after=5.0).sleep(60.0, 62.0, 1.0)


def test_who_stood_still_listens_for_a_period_more() -> None:
    """Its links may be gone, and are dialled first; but who was silent before is not alive again for that."""
    made = liveness()
    made.heard("n2", 7, 6.0)
    made.heard("n3", 7, 3.0)
    assert [("n2", "node.joined"), ("n3", "node.joined")] == sorted(
        [*reports(made, 6.0), *reports(made, 6.3)]
    )
    assert [("n3", "node.suspect")] == reports(made, 6.6) + reports(made, 6.9)
    made.sleep(60.0, 66.9, 1.0)
    assert [] == reports(made, 66.9) + reports(made, 67.1)
    assert [("n3", "node.down")] == reports(made, 68.1) + reports(made, 68.3)
    assert [] == reports(made, 70.1)
    assert [("n2", "node.suspect")] == reports(made, 70.3)


def test_who_stands_still_again_and_again_has_the_dead_for_dead() -> None:
    """A period more is granted once a silence: else whoever starves would never find out."""
    made = liveness()
    made.heard("n2", 7, 0.0)
    now = 0.0
    for _ in range(6):  # awake for 0.8 s, and then not for 1.2
        now += 2.0
        made.sleep(1.2, now, 1.0)
    assert [] == made.living(now, 1.0)


def test_others_are_told_how_long_it_really_is_that_a_node_was_heard() -> None:
    """That this one stood still is no sign of life of another, who may have died meanwhile."""
    made = liveness()
    made.heard("n2", 7, 1.0)
    made.sleep(60.0, 61.5, 1.0)
    assert ["n2"] == made.living(61.5, 1.0)
    assert (7, 60.5) == made.age("n2", 61.5)
    made.heard("n2", 7, 62.0)
    assert (7, 0.5) == made.age("n2", 62.5)


def test_a_report_must_be_news_and_agree_with_the_ears() -> None:
    """Told already, of an older life, contradicted by what is heard, about this node itself: refused."""
    made = liveness()
    made.heard("n2", 7, 1.0)
    assert made.accept(told("n3", "joined", "n2"), 1.0, 1.0)
    assert not made.accept(told("n3", "up", "n2"), 1.0, 1.0)
    assert not made.accept(told("n3", "down", "n2", 6), 1.0, 1.0)
    assert not made.accept(told("n3", "down", "n2"), 1.0, 1.0)
    assert not made.accept(told("n3", "down", "n1"), 1.0, 1.0)
    assert made.accept(told("n3", "down", "n2"), 1.0, 1.0, past=True)
    assert made.accept(told("n3", "down", "n1"), 1.0, 1.0, past=True)
    assert made.accept(event("n3", 1, "node.synced", node="n2"), 1.0, 1.0)
    made.goodbye("n3", 7)
    assert not made.accept(told("n2", "up", "n3"), 1.0, 1.0)
    assert made.accept(told("n2", "left", "n3"), 1.0, 1.0)


def test_news_of_a_newer_life_stands_against_old_ears() -> None:
    """What was told of a newer life is not taken back by ears that are behind."""
    made = liveness(names=("n1", "n2"))
    made.heard("n2", 7, 1.0)
    assert made.accept(told("n3", "up", "n2", 8), 1.0, 1.0)
    assert [] == reports(made, 1.0)
    assert made.accept(told("n3", "down", "n2", 8), 20.0, 1.0)
    made.heard("n2", 8, 20.0)
    assert [] == list(made.tick(24.0, 1.0))  # one sign of life, then silence: not back


@pytest.mark.parametrize("incarnation", ["seven", -1, MAX_INCARNATION + 1, None])
def test_an_incarnation_that_cannot_be_poisons_nothing(incarnation: Any) -> None:
    """It counts as none: what is told later of the node is believed."""
    made = liveness()
    made.accept(told("n3", "up", "n2", incarnation), 1.0, 1.0)
    assert made.members["n2"].incarnation == 0


def test_names_that_are_made_up_are_bounded() -> None:
    """What is no name of a node is refused; of names there are at most so many."""
    made = liveness()
    assert not made.accept(told("n3", "up", "no name"), 1.0, 1.0)
    for number in range(MAX_NAMES + 10):
        made.accept(told("n3", "up", f"x{number}"), 1.0, 1.0)
    assert MAX_NAMES == len(made.members)
    made.heard("late", 7, 1.0)
    made.goodbye("later", 7)
    assert MAX_NAMES == len(made.members)


def test_seven_days_of_silence_remove_a_name() -> None:
    """But never one of the configuration."""
    made = liveness(names=("n1", "n2"), seen=("old",))
    assert {("old", "node.down"), ("n2", "node.down")} == set(reports(made, 10.0))
    assert [] == reports(made, FORGET_AFTER - 1)
    assert [("old", "node.forgotten")] == reports(made, FORGET_AFTER)
    assert ["n2"] == list(made.members)


def test_what_is_still_told_of_a_forgotten_name_does_not_bring_it_back() -> None:
    """Only a new life does, or a sign of life of its own; a living node cannot be forgotten."""
    made = liveness()
    made.heard("n2", 7, 1.0)
    assert not made.accept(told("n3", "forgotten", "n2"), 1.0, 1.0)
    assert made.accept(told("n3", "forgotten", "n2"), 50.0, 1.0)
    assert not made.accept(told("n3", "forgotten", "n2"), 50.0, 1.0)
    assert not made.accept(told("n3", "down", "n2"), 50.0, 1.0)
    assert [] == made.learn({"n2": ("down", 7)})
    assert made.buried("n2", 7)
    assert not made.buried("n2", 8)
    made.heard("n2", 7, 51.0)
    assert ["n2"] == made.living(51.0, 1.0)
    for number in range(MAX_NAMES + 2):
        made.members.pop("x", None)
        made.accept(told("n3", "up", "x"), 60.0, 1.0)
        made.accept(told("n3", "forgotten", "x"), 60.0, 1.0)
        made._forgotten[f"y{number}"] = 1
    assert len(made._forgotten) <= 2 * MAX_NAMES


def test_a_newcomer_learns_what_was_told() -> None:
    """Of others only, of states there are, and where nothing has been told here; it shows on the board."""
    made = liveness()
    assert {"n2": ("unknown", 0), "n3": ("unknown", 0)} == made.told()
    assert ["n2"] == made.learn({"n1": ("down", 1), "n2": ("left", 7), "n3": ("odd", 7)})
    found = made.resource("n2", "now")
    assert ("unknown", {"state": "left", "incarnation": 7}) == (found.status, found.attributes)
    myself = made.resource("n1", "now", 9)
    assert ("ok", {"state": "up", "incarnation": 9}) == (myself.status, myself.attributes)


def test_what_others_hear_is_no_worse_than_suspect() -> None:
    """They are asked in time; who hears it keeps it from being called down, told once, in its own words."""
    made = liveness(names=("n1", "n2"))
    made.heard("n2", 7, 1.0)
    reports(made, 1.0)
    assert {} == made.silent(4.9, 1.0)
    assert [("n2", "node.suspect")] == reports(made, 5.0)
    [(name, every)] = made.silent(5.1, 1.0).items()
    assert ("n2", True) == (name, every < 1.0)
    made.others_hear("n2", 7, 5.0)
    made.others_hear("n9", 7, 5.0)
    assert {"n2": 1.0} == made.silent(5.2, 1.0)
    [draft] = made.tick(6.1, 1.0)
    assert ("node.suspect", "indirect") == (draft.type, draft.data["attributes"]["path"])
    assert "no direct path from n1 to n2" in draft.data["summary"]
    apart = event("n1", 9, draft.type, subject="n2", node="n2", data=draft.data)
    assert made.accept(apart, 6.1, 1.0)
    assert not made.accept(apart, 6.1, 1.0)
    assert {"n2": ("suspect", 7)} == made.told()
    assert {"state": "suspect", "incarnation": 7, "path": "indirect"} == made.resource("n2", "").attributes
    assert [] == reports(made, 8.0)
    assert not made.accept(told("n3", "down", "n2"), 8.0, 1.0), "others hear it"
    assert [] == reports(made, 9.9), "silent for them too, but not for long enough"
    assert [("n2", "node.down")] == reports(made, 10.0)
    assert {"n2": 10.0} == made.silent(10.0, 1.0)


def test_what_others_heard_before_it_was_called_down_does_not_bring_it_back() -> None:
    """But a later sign of life does; of an older life, or of one that left, their word counts for nothing."""
    made = liveness(names=("n1", "n2"))
    made.heard("n2", 7, 1.0)
    reports(made, 1.0)
    assert made.accept(told("n3", "down", "n2"), 6.0, 1.0)
    made.others_hear("n2", 7, 5.9)
    assert [] == reports(made, 6.1)
    assert not made.accept(told("n3", "suspect", "n2"), 6.2, 1.0)
    made.others_hear("n2", 6, 9.0)
    assert [] == reports(made, 9.2)
    made.others_hear("n2", 8, 9.0)
    assert [("n2", "node.suspect")] == [(d.node, d.type) for d in made.tick(9.3, 1.0)]
    made.heard("n2", 9, 9.4)
    assert [("n2", "node.up")] == reports(made, 9.4)
    assert made.accept(told("n3", "left", "n2", 9), 20.0, 1.0)
    made.others_hear("n2", 9, 20.0)
    assert {} == made.silent(30.0, 1.0)


def test_a_node_tells_what_it_hears() -> None:
    """The life and the age; negative for one that it never heard or that said goodbye."""
    made = liveness()
    made.heard("n2", 7, 1.0)
    made.heard("n3", 7, 1.0)
    made.goodbye("n3", 7)
    assert [(7, 0.5), (0, -1.0), (0, -1.0)] == [made.age(name, 1.5) for name in ("n2", "n3", "n9")]


def test_a_name_that_others_hear_is_not_removed() -> None:
    """However long there is no direct path to it."""
    made = liveness(names=("n1",), seen=("n2",))
    made.others_hear("n2", 7, FORGET_AFTER - 2)
    assert [("n2", "node.suspect")] == [(d.node, d.type) for d in made.tick(FORGET_AFTER, 1.0)]
