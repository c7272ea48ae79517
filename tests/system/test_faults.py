"""Real faults on real agents: nothing lost, repeated or out of order, or readers are told of a true gap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.faults.listed import FAULTS, QUICK
from tests.system.faults.machine import Clock
from tests.system.faults.run import Bed, Fault, bed, logged, on_its_own
from tests.system.netns import missing

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

#: Seconds that a node may wait for another's event while a third has a fault; usually some milliseconds.
LATE = 3.0


@pytest.fixture(scope="module")
def beds() -> Iterator[list[Bed]]:
    """The cluster of the quick faults, in a list: who finds it broken takes it out."""
    if missing() or Clock.missing():
        pytest.skip(missing() or Clock.missing())
    built: list[Bed] = []
    yield built
    for each in built:
        each.close()


@pytest.mark.slow
@pytest.mark.parametrize("fault", QUICK, ids=[fault.name for fault in QUICK])
def test_a_running_cluster_survives(beds: list[Bed], fault: Fault, tmp_path: Path) -> None:
    """One fault after another on one cluster: each event once and in order at every reader, and no gap."""
    if not beds:
        beds.append(bed(tmp_path, clock=3, disk=3))
    try:
        row = logged(beds[0], fault)
    except BaseException:
        beds.pop().close()
        raise
    assert [] == row.wrong


@pytest.mark.faults
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_cluster_survives(fault: Fault, tmp_path: Path) -> None:
    """Each fault on a cluster of its own: each event once and in order at every reader, or a true gap."""
    if missing() or (fault.clock and Clock.missing()):
        pytest.skip(missing() or Clock.missing())
    row = on_its_own(fault, tmp_path)
    assert [] == row.wrong
    assert row.delay < LATE
