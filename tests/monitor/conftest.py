"""Two nodes' feeds, as processes that all tests of monitors share; each test gets them as new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.monitor.feeds import FeedNode


@pytest.fixture(scope="session")
def nodes() -> Iterator[tuple[FeedNode, FeedNode]]:
    """The processes."""
    with FeedNode("n1") as one, FeedNode("n2") as two:
        yield one, two


@pytest.fixture
def one(nodes: tuple[FeedNode, FeedNode]) -> FeedNode:
    """The first node, with an empty buffer."""
    nodes[0].reset()
    return nodes[0]


@pytest.fixture
def two(nodes: tuple[FeedNode, FeedNode]) -> FeedNode:
    """The second node, with an empty buffer."""
    nodes[1].reset()
    return nodes[1]
