"""Measured values: means over slots, the last sample, bounds."""

from tocsin.core.measures import MAX_NAMES, SPAN, STEP, Measures


def test_slots_hold_means_and_the_last_sample_is_kept():
    """Samples of one slot become their mean; the last sample is what it was."""
    measures = Measures()
    for at, value in ((100.0, 10.0), (102.0, 20.0), (104.0, 60.0), (110.0, 5.0)):
        measures.add("node1", {"cpu": value}, at)

    assert measures.series("node1", "cpu") == [(100.0, 30.0), (110.0, 5.0)]
    assert measures.latest("node1", "cpu") == 5.0
    assert measures.heard("node1") == 110.0


def test_unknown_is_none_and_empty():
    """What was never measured is unknown, not zero."""
    measures = Measures()
    measures.add("node1", {"cpu": 1.0}, 0.0)

    assert measures.latest("node1", "memory") is None
    assert measures.latest("node2", "cpu") is None
    assert measures.series("node2", "cpu") == []
    assert measures.heard("node2") is None
    assert measures.names("node2") == []


def test_an_old_sample_is_no_present_value():
    """A value that has not come for a while is not shown as the present one."""
    measures = Measures()
    measures.add("node1", {"cpu": 7.0}, 100.0)

    assert measures.latest("node1", "cpu", now=130.0) == 7.0
    assert measures.latest("node1", "cpu", now=131.0) is None
    assert measures.latest("node1", "cpu", now=131.0, within=60.0) == 7.0


def test_an_hour_is_kept():
    """The ring holds one hour and no more."""
    measures = Measures()
    for n in range(1000):
        measures.add("node1", {"cpu": float(n)}, n * STEP)

    series = measures.series("node1", "cpu")
    assert len(series) == SPAN / STEP
    assert series[-1] == (999 * STEP, 999.0)


def test_a_clock_set_back_starts_anew():
    """After the clock was set back the series goes on from the new time."""
    measures = Measures()
    measures.add("node1", {"cpu": 1.0}, 1000.0)
    measures.add("node1", {"cpu": 2.0}, 500.0)

    assert measures.series("node1", "cpu") == [(500.0, 2.0)]


def test_names_are_bounded_and_nodes_can_be_forgotten():
    """One node cannot make others keep any number of values, and a node can be forgotten."""
    measures = Measures()
    measures.add("node1", {f"v{n}": 1.0 for n in range(MAX_NAMES + 10)}, 1.0)
    measures.add("node0", {"cpu": 1.0}, 1.0)

    assert len(measures.names("node1")) == MAX_NAMES
    assert measures.nodes() == ["node0", "node1"]
    measures.forget("node1")
    assert measures.nodes() == ["node0"]
