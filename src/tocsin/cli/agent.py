"""``tocsin agent``: the agent of a node."""

from __future__ import annotations

import os
from pathlib import Path

from tocsin.config import load

__all__ = ["agent"]


def agent(
    *,
    config: Path | None = None,
    name: str | None = None,
    cluster: str | None = None,
    listen: str | None = None,
    rail: list[str] | None = None,
    retain: str | None = None,
    state_dir: str | None = None,
    allow_anonymous: bool = False,
) -> int:
    """Runs the agent of a node until it is told to stop by SIGTERM or SIGINT.

    A flag wins over the environment (TOCSIN_…), that over the file, that over the default.
    Exit codes: 0 stopped as told; 1 it could not run, the last line says why; 2 wrong usage or settings.

    :param config: The TOML file; default: TOCSIN_CONFIG, else /etc/tocsin/tocsin.toml if it is there.
    :param name: The name of this node; default: that of the host.
    :param cluster: The name of the cluster; default: default.
    :param listen: HOST:PORT for pages and the feed; default: 127.0.0.1:8340.
    :param rail: LISTEN[,PEER…]: a private network, where this node and its peers listen on it, e.g.
        tcp/10.1.0.1:7447,tcp/10.1.0.2:7447. Once for each rail.
    :param retain: How long an event stays in the buffer at least, in seconds or e.g. 5m; default: 300.
    :param state_dir: The directory for what outlives the agent; default: nothing is kept.
    :param allow_anonymous: Listen beyond loopback although nobody is asked who they are, without rate limit.
    """
    flags = {
        "node.name": name,
        "cluster.name": cluster,
        "node.listen": listen,
        "rails": rail,
        "buffer.retain": retain,
        "node.state_dir": state_dir,
        "node.allow_anonymous": allow_anonymous or None,
    }
    from tocsin.generators.registry import REGISTRY

    names = [registration.name for registration in REGISTRY]
    settings = load(config, os.environ, flags, generators=names)
    from tocsin.agent import run

    return run(settings)
