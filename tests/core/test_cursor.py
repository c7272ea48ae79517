"""The cursor: one text for one position, and a parser that nothing upsets."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.core.cursor import Cursor, buffer_id, same_node


@given(
    st.text(max_size=30),
    st.text(max_size=30),
    st.integers(0, 10**13 - 1),
    st.integers(0, 10**15 - 1),
)
def test_text_and_back(cluster: str, node: str, incarnation: int, number: int) -> None:
    """Every cursor of every buffer reads back as itself and uses only the promised characters."""
    cursor = Cursor(buffer_id(cluster, node, incarnation), number)

    assert re.fullmatch(r"[a-z0-9:.-]+", str(cursor))
    assert Cursor.parse(str(cursor)) == cursor


@given(st.text())
def test_parse_is_total(text: str) -> None:
    """Any text is a cursor that prints as that text, or a ValueError and nothing else."""
    try:
        cursor = Cursor.parse(text)
    except ValueError:
        return
    assert str(cursor) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "103", ":", "k3f9a:", ":103", "k3f9a:-1", "k3f9a:01", "k3f9a:1\n", "K3F9A:1", "k3f9a:1:2",
        "k3f9a:١٢", "k3f9a:1e3", "k3f9a: 1", "k3f9a:" + "9" * 16, "a" * 65 + ":1", "k3f9a:\ud800",
    ],
)  # fmt: skip
def test_what_is_no_cursor(text: str) -> None:
    """Near misses are refused rather than guessed at."""
    with pytest.raises(ValueError, match="is not a cursor"):
        Cursor.parse(text)


def test_ids_tell_nodes_and_lives_apart() -> None:
    """Two lives of a node are the same node; another node or cluster is not."""
    first, second = buffer_id("c", "node1", 0), buffer_id("c", "node1", 1_800_000_000_000)

    assert first != second
    assert same_node(first, second)
    assert not same_node(first, buffer_id("c", "node2", 0))
    assert not same_node(first, buffer_id("d", "node1", 0))
    assert first.endswith(".0")
    assert re.fullmatch(r"[a-z2-7]{5}\.[0-9a-z]+", second)
