"""What all tests share: their order, and what a skip means where CI=true."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

#: On a busy machine an example takes its time: how long is measured in ``benchmarks/``.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

CI = os.environ.get("CI") == "true"


def _weight(item: pytest.Item) -> int:
    """Quick tests first. Browser tests last: Playwright's loop stays in the thread once it has run."""
    for weight, marker in ((3, "browser"), (2, "system"), (1, "slow")):
        if item.get_closest_marker(marker):
            return weight
    return 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests by weight; within a weight their order stays."""
    items.sort(key=_weight)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI=true a test that is skipped has failed: a green run must mean that it ran."""
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("may_skip"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure where CI=true: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that skips itself."""
    report = yield
    if CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure where CI=true: {_reason(report)}"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
