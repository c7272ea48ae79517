"""The ports: what the stages need of each other is what they are given."""

from __future__ import annotations

import inspect

from tocsin.core.ports import Desk
from tocsin.generators.desk import DeskOfAgent


def test_the_desk_of_the_agent_is_a_desk() -> None:
    """Every method of the port is there, with the same parameters."""
    methods = [name for name in vars(Desk) if not name.startswith("_")]

    assert {"publish", "present", "measure", "running", "degraded", "resource", "node"} <= set(methods)
    for name in methods:
        wanted, given = getattr(Desk, name), getattr(DeskOfAgent, name)
        if callable(wanted):
            assert list(inspect.signature(wanted).parameters) == list(inspect.signature(given).parameters)
