"""Who has said that it lacks what is missing here."""

from __future__ import annotations

from tocsin.core.denials import Denials


def test_the_last_word_of_each_counts() -> None:
    """Up to which number, whether for good, and when; what it adds is as old as what it said first."""
    denials = Denials()
    assert 0 == denials.up_to("n2")
    denials.note("n2", 5, 10.0, waiting=True)
    denials.note("n2", 9, 12.0, waiting=False, more=True)
    assert ({"n2"}, set(), set()) == (denials.asked(9), denials.asked(10), denials.final(9))
    denials.note("n2", 5, 12.0, waiting=False)
    denials.note("n2", 9, 15.0, waiting=False, more=True)
    assert ({"n2"}, set()) == (denials.final(9, 12.0), denials.final(9, 12.1))
    denials.note("n2", 3, 16.0, waiting=False)
    assert 3 == denials.up_to("n2")


def test_all_lack_what_the_first_of_them_lacks() -> None:
    """Nobody has said anything of more; without anybody there is no answer."""
    denials = Denials()
    denials.note("n2", 5, 10.0, waiting=False)
    denials.note("n3", 4, 11.0, waiting=False)
    assert 4 == denials.by_all(["n2", "n3"], 10.0)
    assert 0 == denials.by_all(["n2", "n3"], 10.5)
    assert 0 == denials.by_all(["n2", "n3", "n4"], 10.0)
    assert 0 == denials.by_all([], 10.0)
    denials.note("n3", 4, 11.0, waiting=True)
    assert 0 == denials.by_all(["n2", "n3"], 10.0)


def test_what_was_had_or_given_up_is_forgotten() -> None:
    """What was said of the numbers behind it stays."""
    denials = Denials()
    denials.note("n2", 5, 10.0, waiting=True)
    denials.note("n3", 4, 10.0, waiting=True)
    denials.forget(4)
    assert {"n2"} == denials.asked(1)
    denials.note("n3", 6, 11.0, waiting=False)
    assert {"n3"} == denials.final(5)
