"""Where buffers are: what a node keeps of which nodes, and which of all nodes have a complete buffer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.made import LIFE, WALL, arrival, loss
from tocsin.agent import Agent
from tocsin.config import Config, load
from tocsin.core.board import Board, Resource
from tocsin.core.bus import Burst
from tocsin.core.recent import Recent
from tocsin.core.sequence import sequence_of
from tocsin.kept import Kept, make_buffer
from tocsin.parts import feeds, here, urls

Make = Callable[[str], Config]


@pytest.fixture
def configured(tmp_path: Path) -> Make:
    """Makes the configuration of node1 from settings of its buffer."""

    def make(buffer: str) -> Config:
        file = tmp_path / "tocsin.toml"
        file.write_text(f'[node]\nname = "node1"\nstate_dir = "{tmp_path}"\n[buffer]\n{buffer}')
        return load(file, {})

    return make


def numbered(kept: Kept) -> list[str]:
    """What got a number, as origin and number in its life."""
    recent = Recent()
    kept.take(Burst.of([arrival("node1", 1), arrival("node2", 1)]), recent, 0.0, WALL)
    kept.mark(loss("node2", 2, 3), 0.0, WALL)
    kept.mark(loss("node1", 2, 3), 0.0, WALL)
    assert ["node2", "node1"] == [each.event.origin for each in recent.matching()]
    kept.base("node3", sequence_of(LIFE, 4))
    kept.skip("node3", sequence_of(LIFE, 5))
    kept.tend(1.0, lambda draft: None)
    if kept.buffer is None:
        return []
    found = [f"{origin} {sequence[-1]}" for origin, sequence in kept.buffer.seen().items()]
    return [*found, f"last {kept.buffer.last}"]


@pytest.mark.parametrize(
    ("buffer", "expected"),
    [
        ("", ["node1 3", "node2 3", "node3 5", "last 4"]),
        ('nodes = ["node1"]', ["node1 3", "last 2"]),
        ('nodes = ["node1", "node4"]\nstorage = "file"', ["node1 3", "last 2"]),
        ("enabled = false", []),
    ],
)
def test_what_a_buffer_keeps(configured: Make, buffer: str, expected: list[str]) -> None:
    """All, the events of some nodes only, or nothing; people see what arrived in any case."""
    kept = make_buffer(configured(buffer), LIFE, 0.0)
    try:
        assert expected == numbered(kept)
    finally:
        kept.close()


@pytest.mark.parametrize("buffer", ["", "enabled = false"])
def test_what_is_held_for_other_nodes_has_the_same_caps(configured: Make, buffer: str) -> None:
    """By bytes as by number: else an origin could not repair what its own buffer still has."""
    for cap in ('max_bytes = "64 KiB"', "max_events = 50", ""):
        made = Agent(configured(f"{buffer}\n{cap}"))
        replica, now, size = made.replica, made.now(), 0
        while not replica.ready:
            now += 0.1
            replica.tick(now)
        for seq in range(1, 101):
            data = {"summary": "x" * 1000}
            event = arrival("node1", seq, life=replica.incarnation, born=now, data=data)
            replica.local([event], now)
            size = len(event.event.body)
        replica.tick(now + 2)
        held = {'max_bytes = "64 KiB"': (64 << 10) // size, "max_events = 50": 50, "": 100}
        assert held[cap] == len(replica.own.events)


def agent(node: str, **told: object) -> Resource:
    """The agent of a node, as it is on the board."""
    attributes = {"url": f"http://{node}:8340", **told}
    return Resource(node=node, kind="agent", subject="agent", status="ok", attributes=attributes)


def test_who_has_a_complete_buffer(configured: Make) -> None:
    """Every node is known by its URL; of those with all events the living are named first."""
    config = configured("enabled = false")
    board = Board()
    told: dict[str, dict[str, object]] = {name: {"buffer": True} for name in ("node2", "node3", "node4")}
    told["node4"]["origins"] = ["node4"]
    for name, state in {"node1": "up", "node2": "down", "node3": "up", "node4": "up", "node5": "up"}.items():
        board.set_node(
            Resource(node=name, kind="node", subject=name, status="ok", attributes={"state": state})
        )
        if name in told:
            board.replace(name, sequence_of(LIFE, 1), [agent(name, **told[name])])
    assert ["node1", "node2", "node3", "node4"] == list(urls(board, config))
    assert {"node3": "http://node3:8340", "node2": "http://node2:8340"} == feeds(board, config)
    assert ["node3", "node2"] == list(feeds(board, config))
    assert ["node1", "node3", "node2"] == list(feeds(board, configured("")))
    assert "node1" not in feeds(board, configured('nodes = ["node1"]'))


def test_what_an_agent_tells_of_its_buffer(configured: Make) -> None:
    """The others name it to readers only if it has all."""
    assert (True, None) == (here(configured(""))["buffer"], here(configured("")).get("origins"))
    assert ["node1", "node2"] == here(configured('nodes = ["node2", "node1"]'))["origins"]
    assert (False, None) == tuple(here(configured("enabled = false")).get(k) for k in ("buffer", "origins"))
