"""core/follow.py (and core/frames.py) against the table that the browser's monitor passes too."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core import follow_table as table


@pytest.mark.parametrize("case", table.cases(), ids=lambda case: str(case["name"]))
def test_table(case: dict[str, Any]) -> None:
    """Every case of the table: answers in, requests, events, gaps and refreshes out, at the stated times."""
    player = table.Player(case)
    for number, step in enumerate(case["steps"]):
        where = f"{case['name']}, step {number}, at {step['at']}"
        assert table.expected(step) == player.play(step), where
        for when, what in player.began:
            assert when == pytest.approx(step["at"], abs=table.TOLERANCE), f"{where}: {what}"
        for wanted, actual in table.stated(step, player):
            assert wanted == actual, where
