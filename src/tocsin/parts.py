"""What the stages get of the configuration, and what the agent counts of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from tocsin import __version__
from tocsin.core.board import Board
from tocsin.core.event import KINDS_OF_AGENTS, KINDS_OF_GENERATORS, Draft, report
from tocsin.core.publisher import Publisher
from tocsin.forwarder.forwarder import Forwarder
from tocsin.forwarder.rail import Rail
from tocsin.forwarder.zenoh import ZenohRail
from tocsin.forwarder.zenoh_config import make_room
from tocsin.settings import Config
from tocsin.web.node import Settings

__all__ = [
    "feeds",
    "generator_settings",
    "here",
    "kinds_added",
    "make_rails",
    "metrics",
    "urls",
    "web_settings",
]

Metrics: TypeAlias = Mapping[str, float | Mapping[str, float]]

_RAIL_COUNTERS = (
    *("opened", "reopened", "left_behind", "echoes", "echoes_lost"),
    *("sent", "sent_bytes", "received", "received_bytes", "dropped_out", "dropped_in"),
)
#: Round trips are told of so many peers of a rail: the slowest.
_MOST_PEERS = 64


def make_rails(config: Config) -> list[Rail]:
    """A rail for each that is configured, not open yet."""
    peers = len(set(config.cluster.nodes) - {config.node.name})
    make_room(sum(1 if rail.mode == "client" else max(peers, len(rail.connect)) for rail in config.rails))
    return [
        ZenohRail(
            rail.name or f"rail{number}",
            cluster=config.cluster.name,
            node=config.node.name,
            listen=rail.listen,
            connect=rail.connect,
            mode=rail.mode,
        )
        for number, rail in enumerate(config.rails, start=1)
    ]


def kinds_added(node: str, kinds: Iterable[str]) -> Iterator[Draft]:
    """What is to be told of kinds of which a publisher has just brought the first resource.

    A page that shows everything can be interested only in kinds that it knows: those of the catalogue, and
    those on the board. So it is told, in the kind ``agent``, that there is one more.
    """
    for kind in kinds:
        if kind not in KINDS_OF_AGENTS | KINDS_OF_GENERATORS:
            yield report(
                "agent.kind-added", kind, None, f"{node} has brought the first resource of its kind: {kind}"
            )


def web_settings(config: Config) -> Settings:
    """The settings of the HTTP side."""
    feed = config.feed
    return Settings(
        allow_anonymous=config.node.allow_anonymous,
        wait_slots=feed.wait_slots,
        shared_cache_seconds=feed.shared_cache_seconds,
        cors_origins=tuple(feed.cors_origins),
        # Two polls fit into the retention, also of readers who found no slot and come half as often.
        poll_interval=min(feed.poll_interval, config.buffer.retain / 4),
        poll_wait=min(20.0, config.buffer.retain / 2),
        hosts=tuple(feed.hosts),
        origins=tuple(sorted(config.buffer.nodes)),
    )


def here(config: Config) -> dict[str, Any]:
    """What the agent tells the others of itself: where it serves what."""
    buffer = config.buffer
    told: dict[str, Any] = {"url": config.node.url, "version": __version__, "buffer": buffer.enabled}
    return told | ({"origins": sorted(buffer.nodes)} if buffer.enabled and buffer.nodes else {})


def urls(board: Board, config: Config) -> dict[str, str]:
    """Public base URL of every node that has told it, this one included."""
    found = {name: str(told["url"]) for name, told in _told(board, config).items() if told.get("url")}
    return dict(sorted(found.items()))


def feeds(board: Board, config: Config) -> dict[str, str]:
    """The same of those whose buffer has the events of all nodes; those that are up first."""
    told = _told(board, config)
    whole = {name for name, its in told.items() if its.get("buffer") and not its.get("origins")}
    found = {name: url for name, url in urls(board, config).items() if name in whole}
    up = {node.subject for node in board.nodes() if node.attributes.get("state") == "up"} | {config.node.name}
    return dict(sorted(found.items(), key=lambda item: item[0] not in up))


def _told(board: Board, config: Config) -> dict[str, Mapping[str, Any]]:
    """What each agent tells of itself."""
    agents = {node.subject: board.own(node.subject, "agent", "agent") for node in board.nodes()}
    found = {name: its.attributes for name, its in agents.items() if its is not None}
    return found | {config.node.name: here(config)}


def generator_settings(config: Config) -> dict[str, Any]:
    """The generators' own settings, keyed ``storage.filling`` and so on."""
    nested = msgspec.to_builtins(config.generators)
    return {
        f"{name}.{key}": value
        for name, values in nested.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }


#: What the replica counts of what came in, shown from the start: who watches it sees it change.
_COUNTED: Final = (
    "events_duplicate", "events_filled", "events_late", "events_lost", "events_quarantined",
    "messages_refused", "numbers_quarantined",
)  # fmt: skip


def metrics(
    publisher: Publisher, forwarder: Forwarder, now: float
) -> Mapping[str, float | Mapping[str, float]]:
    """What is counted, for /metrics: a name, or a name with labels in braces, to a value."""
    replica = forwarder.replica
    found: dict[str, float | Mapping[str, float]] = {"events_published_total": publisher.last}
    for name in sorted({*_COUNTED, *replica.counters}):
        found[f"{name}_total"] = replica.counters[name]
    found["nodes_heard"] = len(replica.liveness.living(now, replica.period))
    return found | _rails(forwarder)


def _rails(forwarder: Forwarder) -> dict[str, Mapping[str, float]]:
    """What is counted of the rails; the names are in docs/rails.md."""
    stats = {rail.name: rail.stats() for rail in forwarder.rails}
    copies = forwarder.copies.counts
    found: dict[str, dict[str, float]] = {
        f"rail_{name}_total": {_label(rail): float(getattr(each, name)) for rail, each in stats.items()}
        for name in _RAIL_COUNTERS
    }
    found["rail_duplicates_total"] = {_label(rail): copies[rail].duplicate for rail in stats}
    found["rail_late_copies_total"] = {_label(rail): copies[rail].late for rail in stats}
    found["rail_up"] = {_label(rail): float(each.up) for rail, each in stats.items()}
    found["rail_peers"] = {_label(rail): each.peers for rail, each in stats.items()}
    found["rail_round_trip_seconds"] = {
        _label(rail, peer): seconds
        for rail, each in stats.items()
        for peer, seconds in sorted(each.round_trips.items(), key=lambda item: -item[1])[:_MOST_PEERS]
    }
    return dict(found) if stats else {}


def _label(rail: str, peer: str = "") -> str:
    """Labels as OpenMetrics has them; names of rails and nodes need no escapes."""
    return f'{{rail="{rail}"}}' if not peer else f'{{rail="{rail}",peer="{peer}"}}'
