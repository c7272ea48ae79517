"""Fixtures of the system tests: clusters that are always cleared away, with their logs where a test fails."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.system.cluster import Cluster
from tests.system.netns import missing

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keeps for the fixtures whether the test failed."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture
def make_cluster(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Generator[Callable[..., Cluster], None, None]:
    """Builds clusters: ``make_cluster(nodes=3, rails=2, settings={…})``; nothing is started yet."""
    if missing():
        pytest.skip(missing())
    built: list[Cluster] = []

    def make(nodes: int = 3, rails: int = 2, **options: Any) -> Cluster:
        directory = tmp_path / f"cluster{len(built)}"
        directory.mkdir()
        built.append(Cluster(directory, nodes, rails, **options))
        return built[-1]

    yield make
    for cluster in built:
        if request.node.stash.get(_FAILED, False):
            print(cluster.logs())
        cluster.close()


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    """Three nodes on two rails, started, ready, and up in each other's eyes."""
    made = make_cluster()
    made.start()
    made.wait_ready()
    made.wait_together()
    return made
