"""Interests: which events concern somebody."""

from __future__ import annotations

import time

import pytest

from tocsin.core.errors import InterestError
from tocsin.core.event import Draft, seal
from tocsin.core.interest import EVERYTHING, MAX_INTERESTS, Interests, Pattern


@pytest.mark.parametrize(
    ("pattern", "type", "node", "subject", "expected"),
    [
        ("service.*", "service.failed", "node1", "nginx.service", True),
        ("service.*", "services.failed", "node1", "", False),
        ("service.failed", "service.failed", "node1", "", True),
        ("service.faile?", "service.failed", "node1", "", True),
        ("service.faile?", "service.faile", "node1", "", False),
        ("*", "a.b", "node1", "anything: at@all", True),
        ("adapter.down@node2", "adapter.down", "node2", "eth1", True),
        ("adapter.down@node2", "adapter.down", "node20", "eth1", False),
        ("adapter.down@node?", "adapter.down", "node2", "eth1", True),
        ("*:eth1", "adapter.down", "node2", "eth1", True),
        ("*:eth1", "adapter.down", "node2", "eth10", False),
        ("*@node1:a:b@c", "x.y", "node1", "a:b@c", True),  # the rest is the subject
        ("*:user@1000.service", "service.failed", "node1", "user@1000.service", True),
        ("*:Program%20Files", "storage.full", "node1", "Program Files", True),
        ("*:a%2Cb%2cc", "storage.full", "node1", "a,b,c", True),
        ("*:[a-z]+.*", "x.y", "node1", "[a-z]+.*", True),  # only * and ? are special
        ("*:[a-z]+.*", "x.y", "node1", "abc", False),
        ("*:", "x.y", "node1", "anything", True),  # an empty part is no condition
        ("*:line?break", "x.y", "node1", "line\nbreak", True),
    ],
)
def test_patterns(pattern: str, type: str, node: str, subject: str, expected: bool) -> None:
    """Type, node and subject are matched as a whole; an absent part matches everything."""
    assert expected is Pattern(pattern).matches(type, node, subject)
    assert expected is Interests.parse(pattern).match(type, node, subject)


@pytest.mark.parametrize("text", ["@node1", ":eth1", "a" * 2049])
def test_what_is_no_interest(text: str) -> None:
    """A type is needed, and there is an end to its length."""
    with pytest.raises(InterestError):
        Interests.parse(text)


def test_lists_are_separated_by_blanks_or_commas() -> None:
    """One match is enough; empty means everything."""
    interests = Interests.parse(" service.*, adapter.down@node2\tx.y,, ")
    assert ("service.* adapter.down@node2 x.y", 3) == (interests.text, len(interests.patterns))
    assert interests.match("adapter.down", "node2", "eth1")
    assert not interests.match("adapter.down", "node1", "eth1")
    assert (True, False) == (bool(interests), bool(EVERYTHING))
    assert EVERYTHING.match("a.b", "c", "d")
    event = seal(Draft(type="x.y"), cluster="c", origin="n", incarnation=1, seq=1, time="t")
    assert (True, True) == (interests.matches(event), EVERYTHING.matches(event))


def test_there_may_be_a_thousand() -> None:
    """More than any page needs is refused."""
    assert MAX_INTERESTS == len(Interests.parse("a.b " * MAX_INTERESTS).patterns)
    with pytest.raises(InterestError, match="1001 interests, at most 1000"):
        Interests.parse("a.b " * (MAX_INTERESTS + 1))


def test_many_stars_cost_no_more_than_one() -> None:
    """A pattern made to be slow in a backtracking matcher is not slow."""
    start = time.perf_counter()
    assert not Pattern("*" * 1000 + "x").matches("a" * 200, "n", "s")
    assert 1 > time.perf_counter() - start


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("service.*", True),  # of any node, so also of this one
        ("service.*@node1", True),
        ("service.*@node*", True),
        ("service.*@node2", False),
        ("node.*@node2", True),  # others tell of a node
        ("node.down@node2", True),
        ("rail.cut@node2", True),
        ("nod*@node2", True),
        ("*@node2", True),
        ("nodes.down@node2", False),
        ("service.*@node2 adapter.*@node1", True),
    ],
)
def test_whose_loss_concerns_a_reader(text: str, expected: bool) -> None:
    """An event of node1 that was lost is a gap only for those whom it could have concerned."""
    assert expected is Interests.parse(text).concerns_origin("node1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("service.*", False),
        ("service.*@node1", True),
        ("service.*@node1:nginx* adapter.*@node2", True),
        ("service.*@node1 adapter.*@node3", False),
        ("service.*@node*", False),  # node9 may come tomorrow
        ("node.down@node1", False),  # others tell of a node
        ("rail.*@node1", False),
        ("*@node1", False),
    ],
)
def test_whose_events_alone_are_of_interest(text: str, expected: bool) -> None:
    """A buffer of the events of node1 and node2 is enough only for who can never want one of another."""
    assert expected is Interests.parse(text).within({"node1", "node2"})


def test_a_nodes_things_imply_the_node() -> None:
    """A frame that shows services of a node is also concerned when the node goes down."""
    assert "service.* node.*" == Interests.parse("service.*").with_nodes().text
    assert "a.b@n1 a.c@n1 node.*@n1" == Interests.parse("a.b@n1 a.c@n1").with_nodes().text
    assert "node.*@n1" == Interests.parse("node.*@n1").with_nodes().text
    assert "a.b@x%20y node.*@x%20y" == Interests.parse("a.b@x%20y").with_nodes().text
    assert EVERYTHING is EVERYTHING.with_nodes()
