"""The table in docs/borrowed-bugs.md: every test that it names is there; one of them is here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.simulator import World

ROOT = Path(__file__).parent.parent
TABLE = (ROOT / "docs" / "borrowed-bugs.md").read_text()
ROWS = [line for line in TABLE.splitlines() if line.startswith("| ")][2:]


def test_every_row_names_tests() -> None:
    """No row of the table is a promise without a test."""
    assert len(ROWS) >= 19
    assert [] == [row for row in ROWS if "::test_" not in row]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[^`]+::test_[^`]+)`", TABLE))))
def test_every_test_that_is_named_exists(name: str) -> None:
    """It is a function of that name in that file."""
    file, _, function = name.partition("::")
    source = (ROOT / file).read_text()
    assert re.search(rf"^(async )?def {function}\(", source, re.MULTILINE), name


@pytest.mark.parametrize("seed", range(8))
def test_one_of_five_is_killed(seed: int) -> None:
    """Each survivor tells it once, whoever saw it first (cortx-prvsnr 2418, Alertmanager 4108)."""
    world = World(5, seed=seed)
    world.start()
    world.run(6)
    world.kill("n2")
    world.run(10)
    for name in world.names:
        if name != "n2":
            assert ["n2"] == [event.node for event in world.nodes[name].events(type_="node.down")]
            assert not world.nodes[name].losses()
