"""What publishers may not publish, and what they may."""

from __future__ import annotations

import pytest

from tocsin.core.admission import check_published
from tocsin.core.errors import EventError, ReservedKind
from tocsin.core.event import KINDS_OF_AGENTS, Draft


@pytest.mark.parametrize(
    ("draft", "attribute"),
    [
        (Draft(type=""), "type"),
        (Draft(type="backup"), "type"),
        (Draft(type="Backup.Finished"), "type"),
        (Draft(type="backup.finished\n"), "type"),
        (Draft(type="a." + "b" * 200), "type"),
        (Draft(type="a.b", subject="x" * 1025), "subject"),
        (Draft(type="a.b", subject="x\x00"), "subject"),
        (Draft(type="a.b", subject="\ud800"), "subject"),
        (Draft(type="a.b", source="\x85"), "source"),
        (Draft(type="a.b", id="i" * 257), "id"),
        (Draft(type="a.b", node="node 1"), "node"),
        (Draft(type="a.b", node="node2"), "node"),
        (Draft(type="a.b", severity="bad"), "severity"),
        (Draft(type="a.b", data={"status": "fine"}), "data"),
        (Draft(type="a.b", data={"status": ["ok"]}), "data"),
        (Draft(type="a.b", data={"summary": 1}), "data"),
        (Draft(type="a.b", data={"attributes": []}), "data"),
    ],
)
def test_what_is_refused_from_publishers(draft: Draft, attribute: str) -> None:
    """The error names the attribute."""
    with pytest.raises(EventError) as error:
        check_published(draft, here="node1")
    assert attribute == error.value.attribute


@pytest.mark.parametrize("kind", sorted(KINDS_OF_AGENTS))
def test_kinds_of_agents_are_refused(kind: str) -> None:
    """Nobody but an agent says that a node is down."""
    with pytest.raises(ReservedKind):
        check_published(Draft(type=f"{kind}.down"), here="node1")


@pytest.mark.parametrize(
    "draft",
    [
        Draft(type="backup.finished"),
        Draft(type="backup.finished", node="node1", severity="critical", data={"status": "gone"}),
        Draft(type="a-1.b_2.c", subject="ü: 中", data=[1, 2]),
        Draft(type="service.restarted", data={"status": None, "summary": "", "attributes": {}, "more": 1}),
    ],
)
def test_what_is_taken_from_publishers(draft: Draft) -> None:
    """Any kind but those of agents, about the node it was posted to."""
    check_published(draft, here="node1")
