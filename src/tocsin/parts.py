"""What the stages get of the configuration, and what the agent counts of its parts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from tocsin.core.buffer import Buffer
from tocsin.core.cursor import buffer_id
from tocsin.core.publisher import Publisher
from tocsin.forwarder.forwarder import Forwarder
from tocsin.forwarder.rail import Rail
from tocsin.forwarder.zenoh import ZenohRail
from tocsin.settings import Config
from tocsin.web.node import Settings

__all__ = ["generator_settings", "make_buffer", "make_rails", "metrics", "web_settings"]

Metrics: TypeAlias = Mapping[str, float | Mapping[str, float]]

_RAIL_COUNTERS = ("opened", "sent", "sent_bytes", "received", "received_bytes", "dropped_out", "dropped_in")


def make_buffer(config: Config, former_life: int) -> Buffer:
    """The buffer, in memory. Its id is new in each life: wall time, or more than the former incarnation."""
    life = max(former_life + 1, round(time.time() * 1000))
    return Buffer(
        buffer_id(config.cluster.name, config.node.name, life),
        retain=config.buffer.retain,
        max_events=config.buffer.max_events,
        max_bytes=config.buffer.max_bytes,
    )


def make_rails(config: Config) -> list[Rail]:
    """A rail for each that is configured, not open yet."""
    return [
        ZenohRail(
            rail.name or f"rail{number}",
            cluster=config.cluster.name,
            node=config.node.name,
            listen=rail.listen,
            connect=rail.connect,
        )
        for number, rail in enumerate(config.rails, start=1)
    ]


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
    )


def generator_settings(config: Config) -> dict[str, Any]:
    """The generators' own settings, keyed ``storage.filling`` and so on."""
    nested = msgspec.to_builtins(config.generators)
    return {
        f"{name}.{key}": value
        for name, values in nested.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }


def metrics(
    publisher: Publisher, forwarder: Forwarder, now: float
) -> Mapping[str, float | Mapping[str, float]]:
    """What is counted, for /metrics: a name, or a name with labels in braces, to a value."""
    replica = forwarder.replica
    found: dict[str, float | Mapping[str, float]] = {"events_published_total": publisher.last}
    for name in ("events_duplicate", "events_filled", "events_late", "events_lost", "messages_refused"):
        found[f"{name}_total"] = replica.counters[name]
    for name, value in sorted(replica.counters.items()):
        found[f"{name}_total"] = value
    found["nodes_heard"] = len(replica.liveness.living(now, replica.period))
    for name in _RAIL_COUNTERS if forwarder.rails else ():
        found[f"rail_{name}_total"] = {
            f'{{rail="{rail.name}"}}': float(getattr(rail.stats(), name)) for rail in forwarder.rails
        }
    if forwarder.rails:
        found["rail_up"] = {f'{{rail="{rail.name}"}}': float(rail.stats().up) for rail in forwarder.rails}
        found["rail_peers"] = {f'{{rail="{rail.name}"}}': rail.stats().peers for rail in forwarder.rails}
    return found
