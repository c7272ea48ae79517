"""Board sections: asked for, put together, used, answered."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.core.made import LIFE, arrival, loss
from tocsin.core import effects as fx
from tocsin.core.board import Resource
from tocsin.core.errors import CodecError
from tocsin.core.messages import PROTOCOL, AskSection, Section, decode
from tocsin.core.origin import SECTION_PATIENCE, Origin
from tocsin.core.repair import Repair
from tocsin.core.sections import Sections
from tocsin.core.sequence import sequence_of


def resource(subject: str) -> Resource:
    """A service of n1."""
    return Resource(node="n1", kind="service", subject=subject, status="ok", origin="n1", summary="x" * 500)


BOARD = {"n1": (sequence_of(LIFE, 3), [resource(f"s{i}") for i in range(300)])}


def sections() -> Sections:
    """Those of a node that has n1 on its board."""
    return Sections(Repair(), lambda origin: BOARD.get(origin, ("", [])))


def origin(*seqs: int) -> Origin:
    """n1, with these events handed on."""
    made = Origin("n1", fresh=False)
    life = made.begin(LIFE, 0.0)
    assert life is not None
    for seq in seqs:
        life.add(seq, arrival("n1", seq), 0.0)
    list(life.ready())
    return made


def part(seq: int, number: int = 0, parts: int = 1, **more: Any) -> Section:
    """Part of a section with one resource in each part."""
    wire = [msgspec.to_builtins(resource(f"s{number}"))]
    return Section(PROTOCOL, "section", "n1", LIFE, seq, number, parts, wire, **more)


def asked(effects: list[fx.Effect]) -> list[str | None]:
    """Whom it asks."""
    return [effect.to for effect in effects if isinstance(effect, fx.Send)]


def test_the_origin_is_asked_again_until_patience_ends() -> None:
    """Then its state is in doubt, and the loss that waited is told."""
    made, one, lost = sections(), origin(), loss("n1", 1, 2)
    assert [] == list(made.tend(one, ["n1"], 0.0))
    made.want(one, lost, 0.0, joining=False)
    assert ["n1"] == asked(list(made.tend(one, ["n1", "n2"], 0.0)))
    assert [] == asked(list(made.tend(one, ["n1"], 0.1)))
    assert ["n1"] == asked(list(made.tend(one, ["n1"], 0.5)))
    told = list(made.tend(one, ["n1"], SECTION_PATIENCE))
    assert isinstance(told[0], fx.Doubt)
    assert fx.Lose(lost) == told[1]
    assert one.doubtful
    assert one.gate is None


def test_an_origin_in_doubt_is_asked_as_soon_as_it_lives() -> None:
    """And those who told of it where it does not; the board's change without an event is told by one."""
    made, one = sections(), origin()
    one.holders = {"n2": LIFE, "n3": LIFE, "n4": LIFE}
    made.want(one, None, 0.0, joining=False)
    living = ["n2", "n3", "n4"]
    assert ["n3", "n4"] == asked(list(made.tend(one, living, 0.0)))
    assert ["n4", "n2"] == asked(list(made.tend(one, living, 0.5))), "others in their turn"
    list(made.tend(one, [], 9.0))
    assert [] == list(made.tend(one, [], 9.1)) == list(made.tend(one, living, 9.1))
    assert ["n1"] == asked(list(made.tend(one, ["n1"], 9.2)))
    assert [] == list(made.tend(one, ["n1"], 10.3))
    list(made.tend(one, ["n1"], 10.4))
    whole = made.assemble("n1", part(0), one, joining=False)
    assert whole is not None
    used = list(made.use(one, whole, joining=False))
    assert [fx.ReplaceSection, fx.Publish] == [type(effect) for effect in used]
    assert not one.doubtful


def test_a_section_from_before_a_loss_does_not_end_the_doubt_it_raised() -> None:
    """What was lost is folded in nowhere: only a section that contains it makes the board true again."""
    made, one = sections(), origin(1, 2)
    made.want(one, loss("n1", 3, 3), 0.0, joining=False)
    list(made.tend(one, ["n2"], SECTION_PATIENCE))
    assert one.doubtful
    for seq, now in ((2, 20.0), (3, 20.6)):
        assert ["n2"] == asked(list(made.tend(one, ["n2"], now)))
        whole = made.assemble("n2", part(seq), one, joining=False)
        assert whole is not None
        assert (seq == 3) == bool(list(made.use(one, whole, joining=False)))
    assert not one.doubtful


def test_where_an_origin_is_not_heard_anybody_may_know_its_section() -> None:
    """Those who told of its events do not hear it either; who hears it says nothing of it unasked."""
    made, one = sections(), origin()
    one.holders = {"n2": LIFE}
    made.want(one, None, 0.0, joining=False)
    assert ["n3", "n2"] == asked(list(made.tend(one, ["n2", "n3"], 0.0)))


def test_an_origin_in_doubt_that_others_hear_is_asked_about_now_and_then() -> None:
    """They may know it by now; but if all are in doubt that must cost little."""
    made, one = sections(), origin()
    one.holders, one.doubtful = {"n2": LIFE}, True
    asks = sum(len(asked(list(made.tend(one, ["n2"], tick / 10)))) for tick in range(600))
    assert 20 <= asks <= 100


def test_a_section_is_whole_when_all_parts_are_here() -> None:
    """In any order; the parts of an older answer do not count."""
    made, one = sections(), origin()
    assert made.assemble("n1", part(3), one, joining=False) is None, "nobody asked"
    made.want(one, None, 0.0, joining=False)
    assert made.assemble("n1", part(3, 1, 2), one, joining=False) is None
    assert made.assemble("n1", part(4, 0, 2), one, joining=False) is None
    assert made.assemble("n1", part(3, 0, 2), one, joining=False) is None
    whole = made.assemble("n1", part(4, 1, 2), one, joining=False)
    assert whole is not None
    assert ["s0", "s1"] == [r.subject for r in whole.resources]
    assert {} == made._parts


def test_parts_that_contradict_each_other_break_nothing() -> None:
    """A part beyond its number is refused; another number of parts begins anew; giving up drops all."""
    made, one = sections(), origin()
    made.want(one, None, 0.0, joining=False)
    with pytest.raises(CodecError):
        made.assemble("n1", part(3, 2, 2), one, joining=False)
    assert made.assemble("n1", part(3, 4, 5), one, joining=False) is None
    assert made.assemble("n1", part(3, 0, 2), one, joining=False) is None
    assert 1 == len(made._parts)
    list(made.tend(one, [], 9.0))
    assert {} == made._parts


def test_only_what_is_later_is_folded_on_top() -> None:
    """The gate opens, the loss follows the section."""
    made, one, lost = sections(), origin(1, 2, 3), loss("n1", 1, 1)
    made.want(one, lost, 0.0, joining=False)
    whole = made.assemble("n1", part(2), one, joining=False)
    assert whole is not None
    replaced, told = made.use(one, whole, joining=False)
    assert isinstance(replaced, fx.ReplaceSection)
    assert [3] == [event.seq for event in replaced.later]
    assert fx.Lose(lost) == told


def test_a_section_that_is_too_old_is_not_used() -> None:
    """Older than the loss, or than events that have been let go of already; or nobody asked."""
    made, one = sections(), origin(1, 2, 3)
    whole = made.assemble("n1", part(0), one, joining=False)
    made.want(one, loss("n1", 1, 1), 0.0, joining=False)
    whole = made.assemble("n1", part(0), one, joining=False)
    assert whole is not None
    assert [] == list(made.use(one, whole, joining=False))
    made.want(one, None, 0.0, joining=False)
    one.life.prune(9.0)
    assert [] == list(made.use(one, whole, joining=False))
    one.gate = None
    assert [] == list(made.use(one, whole, joining=False))


def test_a_section_must_contain_what_cannot_be_had() -> None:
    """A newcomer begins behind a base; a section from before it would lack what lies between."""
    made, one = sections(), origin()
    made.want(one, None, 0.0, joining=True, base=sequence_of(LIFE, 4))
    old = made.assemble("n2", part(3), one, joining=True)
    assert old is not None
    assert [] == list(made.use(one, old, joining=True))
    whole = made.assemble("n2", part(4), one, joining=True)
    assert whole is not None
    assert 1 == len(list(made.use(one, whole, joining=True)))


def test_a_newcomer_waits_for_sections_and_learns_the_members() -> None:
    """What is lost while it joins is numbered with its history, but the section must contain it."""
    made, one = sections(), origin()
    made.want(one, loss("n1", 1, 2), 0.0, joining=True)
    assert made.wanted("n1")
    assert one.gate is None
    made.sleep(10.0)
    assert ["n1"] == asked(list(made.tend(one, ["n1"], 10.0)))
    old = made.assemble("n1", part(1), one, joining=True)
    assert old is not None
    assert [] == list(made.use(one, old, joining=True))
    whole = made.assemble("n1", part(2, members={"n2": ("up", 1)}), one, joining=True)
    assert whole is not None
    assert [fx.ReplaceSection] == [type(effect) for effect in made.use(one, whole, joining=True)]
    assert {"n2": ("up", 1)} == made.members
    assert not made.wanted("n1")


def test_what_has_not_come_when_the_joining_ends_is_in_doubt() -> None:
    """Until it has come: so nobody takes an empty section over from here, and then frames are told."""
    made, one, two = sections(), origin(), Origin("n2", fresh=False, doubtful=True)
    two.begin(LIFE, 0.0)
    made.want(one, None, 0.0, joining=True)
    made.want(two, None, 0.0, joining=True)
    (doubt,) = made.doubt_rest({"n1": one, "n2": two})
    assert isinstance(doubt, fx.Doubt)
    assert ("n1", None) == (doubt.origin, one.true_at)
    whole = made.assemble("n1", part(0), one, joining=False)
    assert whole is not None
    replaced, synced = made.use(one, whole, joining=False)
    assert isinstance(replaced, fx.ReplaceSection)
    assert isinstance(synced, fx.Publish)
    assert ("node.synced", (LIFE, 0)) == (synced.draft.type, one.true_at)


def test_an_answer_comes_in_parts_once() -> None:
    """The members are told with the first; of an origin that is not on the board nothing is answered."""
    made = sections()
    ask = AskSection(PROTOCOL, "ask-section", 5, "n1")
    parts = [decode(payload) for payload in made.answer("n2", ask, None, {"n2": ("up", 1)})]
    assert [] == list(made.answer("n2", ask, None, {}))
    assert [] == list(made.answer("n2", AskSection(PROTOCOL, "ask-section", 6, "n9"), None, {}))
    assert all(isinstance(p, Section) for p in parts)
    found = [p for p in parts if isinstance(p, Section)]
    assert len(found) > 1
    assert {(LIFE, 3, len(found))} == {(p.incarnation, p.seq, p.parts) for p in found}
    assert [{"n2": ("up", 1)}, {}] == [found[0].members, found[1].members]
    assert 300 == sum(len(p.resources) for p in found)
    [payload] = made.answer("n2", AskSection(PROTOCOL, "ask-section", 7, "n9"), (LIFE, 8), {})
    own = decode(payload)
    assert isinstance(own, Section)
    assert 8 == own.seq
