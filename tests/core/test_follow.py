"""core/follow.py (and core/frames.py) against the table that the browser's monitor passes too."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import follow_table as table
from tocsin.core.follow import Follow, Reply, key_of


@pytest.mark.parametrize("case", table.cases(), ids=lambda case: str(case["name"]))
def test_table(case: dict[str, Any]) -> None:
    """Every case of the table: answers in, requests, events, gaps and refreshes out, at the stated times."""
    table.check(case)


def test_needs_a_node() -> None:
    """A monitor without any node's URL is a mistake that is told at once."""
    with pytest.raises(ValueError, match="at least one node"):
        Follow([])


def test_position_is_a_copy() -> None:
    """The position that was read does not move when the reader does."""
    follow = Follow(["http://a"], after="a.1:1", seen={})
    before = follow.position
    follow.ask(0.0)
    body = b'{"cursor":"a.1:2","events":[],"seen":{"n1":"1"},"degraded":["n2"],"window":{"retain":"long"}}'
    follow.answer(Reply(200, {"tocsin-cursor": "a.1:2"}, body), 0.0, 0.5)
    assert (before.cursor, before.seen) == ("a.1:1", {})
    assert (follow.position.cursor, follow.position.seen) == ("a.1:2", {"n1": "1"})
    assert follow.degraded == ("n2",)
    assert follow.caught_up


def test_key() -> None:
    """The key of an event is its identity in the cluster."""
    assert key_of({"origin": "n1", "sequence": "5", "id": "x"}) == "n1/5"


def test_named_nodes_are_bounded() -> None:
    """However many nodes others name, the list stays short."""
    follow = Follow(["http://a"])
    follow.ask(0.0)
    nodes = ",".join(f'"n{i}":"http://n{i}"' for i in range(1000))
    follow.answer(Reply(421, {}, f'{{"nodes":{{{nodes}}}}}'.encode()), 0.0, 0.5)
    assert len(follow.nodes) == 64


GARBAGE = st.builds(
    Reply,
    st.sampled_from([200, 204, 301, 400, 410, 421, 429, 500, 503]),
    st.dictionaries(
        st.sampled_from(["tocsin-cursor", "tocsin-poll", "retry-after", "content-type"]),
        st.text(max_size=30)
        | st.sampled_from(["interval=1, wait=20", "1", "-1", "9" * 30, "application/problem+json"]),
    ),
    st.binary(max_size=40)
    | st.sampled_from(
        [
            b"[]",
            b"null",
            b'{"cursor":"a:1","events":[1]}',
            b'{"cursor":"a:1","events":[{"origin":1}]}',
            b'{"reason":"foreign","cursor":"b:1","seen":{}}',
            b'{"reason":"evicted","cursor":"b:1","seen":{"n1":"9"}}',
            b'{"nodes":{"a":"https://z"}}',
        ]
    ),
)


@given(st.lists(st.one_of(st.none(), GARBAGE), max_size=60), st.floats(0, 1, exclude_max=True))
def test_garbage(replies: list[Reply | None], random: float) -> None:
    """Whatever a server answers: the monitor never raises, seen never goes back, there is no busy loop."""
    follow = Follow(["http://a", "http://b"], after="a:1", seen={"n1": "5"})
    now, asked = 0.0, []
    for reply in replies:
        assert follow.due is not None
        now = max(now, follow.due)
        follow.ask(now)
        asked.append(now)
        seen = dict(follow.seen or {})
        if reply is None:
            follow.failed(now, random)
        else:
            follow.answer(reply, now, random)
        assert all((follow.seen or {})[origin] >= sequence for origin, sequence in seen.items())
    # At once: another node, a resume, a held poll. In any two seconds not more than a handful.
    assert all(later - first >= 2 for first, later in zip(asked, asked[24:], strict=False))
