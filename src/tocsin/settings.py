"""Every setting of a node: one documented value with key, type, default, sentence and unit.

The structs below are the configuration; their keys are those of the TOML file
(``config.buffer.retain`` is ``retain`` in ``[buffer]``). :data:`SETTINGS` lists the same, flat, for
everything that is derived from it: reading and checking (:mod:`tocsin.config`), flags, environment
variables, the example file and the reference in the docs. To add a setting, add a field here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from msgspec import Struct, field

from tocsin.endpoints import Address, parse_address, parse_endpoint

__all__ = [
    "RAIL",
    "SETTINGS",
    "Config",
    "Rail",
    "Setting",
]

_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9])?\Z")


# -- what a value must be like: each returns "" or what is wrong, to follow the key ----------------


def _name(text: str) -> str:
    if _NAME.match(text):
        return ""
    return f"is {text!r}; a name has letters and digits, within it also '-', '_' and '.'"


def _names(names: tuple[str, ...]) -> str:
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"has {', '.join(twice)} more than once" if twice else next(filter(None, map(_name, names)), "")


def _listen(text: str) -> str:
    try:
        parse_address(text)
    except ValueError as error:
        return str(error)
    return ""


def _endpoint(text: str) -> str:
    try:
        parse_endpoint(text)
    except ValueError as error:
        return str(error)
    return ""


def _peers(texts: tuple[str, ...]) -> str:
    for text in texts:
        try:
            parse_endpoint(text, any_port=False)
        except ValueError as error:
            return str(error)
    return ""


def _url(text: str) -> str:
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        plain = not (parts.query or parts.fragment or parts.username)
    except ValueError:  # a bad port, a bad IPv6 address
        right = plain = False
    return "" if right and plain else f"is {text!r}; write http://HOST:PORT, or https:// before a proxy"


def _origins(texts: tuple[str, ...]) -> str:
    for text in texts:
        if _url(text) or text != text.lower() or urlsplit(text).path:
            return f"has {text!r}; write each origin as a browser sends it: https://HOST[:PORT]"
    return ""


# -- the settings ------------------------------------------------------------------------------------


class _Says(NamedTuple):
    """What a field says of itself beside its type and default."""

    sentence: str
    unit: str = ""
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    check: Callable[[Any], str] | None = None
    flag: str = ""


class Cluster(Struct, frozen=True, kw_only=True):
    """``[cluster]``: which cluster this node belongs to."""

    name: Annotated[
        str,
        _Says(
            "The name of the cluster; nodes of another cluster are not heard.", check=_name, flag="--cluster"
        ),
    ] = "default"
    nodes: Annotated[
        tuple[str, ...],
        _Says("The nodes that should be there: one that never starts is shown as missing.", check=_names),
    ] = ()
    down_after: Annotated[
        float,
        _Says("How long a node is not heard before it counts as down.", unit="s", low=1, high=600),
    ] = 5.0


class Node(Struct, frozen=True, kw_only=True):
    """``[node]``: this node."""

    name: Annotated[
        str,
        _Says(
            "The name of this node, unique in the cluster; empty: the name of the host.",
            check=_name,
            flag="--name",
        ),
    ] = ""
    listen: Annotated[
        str,
        _Says(
            "Where pages and the feed are served; port 0 takes a free one.", check=_listen, flag="--listen"
        ),
    ] = "127.0.0.1:8340"
    url: Annotated[
        str,
        _Says("Under which URL browsers reach this node; empty: made of 'listen' and 'name'.", check=_url),
    ] = ""
    state_dir: Annotated[
        str,
        _Says(
            "The directory for what outlives the agent (names seen, incarnation); "
            "empty: the one that systemd gives, else nothing is kept.",
            flag="--state-dir",
        ),
    ] = ""
    allow_anonymous: Annotated[
        bool,
        _Says(
            "Whether to listen beyond loopback although nobody is asked who they are.",
            flag="--allow-anonymous",
        ),
    ] = False

    @property
    def address(self) -> Address:
        """``listen`` as host and port."""
        return parse_address(self.listen)


class Rail(Struct, frozen=True, kw_only=True):
    """``[[rails]]``: one private network between the nodes; each table is one more rail."""

    name: Annotated[
        str, _Says("The name of the rail; empty: rail1, rail2 … in the order of the file.", check=_name)
    ] = ""
    mode: Annotated[
        str,
        _Says(
            "A 'peer' has a link to every other node, a 'client' one to a router, which passes on.",
            choices=("peer", "client", "router"),
        ),
    ] = "peer"
    listen: Annotated[
        str,
        _Says(
            "Where it listens there, e.g. tcp/10.1.0.1:7447; for a client, from where it dials, or empty.",
            check=_endpoint,
        ),
    ] = ""
    connect: Annotated[
        tuple[str, ...],
        _Says(
            "Where the others listen, for a client the routers; named on neither side is not reached.",
            check=_peers,
        ),
    ] = ()


class Buffer(Struct, frozen=True, kw_only=True):
    """``[buffer]``: the recent events that this node serves."""

    enabled: Annotated[
        bool, _Says("Whether this node keeps a buffer; without one its feed names nodes that have one.")
    ] = True
    nodes: Annotated[
        tuple[str, ...],
        _Says(
            "Of which nodes it keeps events; empty: of all. Readers of others are sent to nodes with all.",
            check=_names,
        ),
    ] = ()
    retain: Annotated[
        float,
        _Says(
            "How long an event stays at least; it is gone after twice that.",
            unit="s",
            low=2,
            high=86_400,
            flag="--retain",
        ),
    ] = 300.0
    max_events: Annotated[
        int, _Says("How many events the buffer holds at most.", unit="events", low=10, high=10_000_000)
    ] = 100_000
    max_bytes: Annotated[
        int,
        _Says(
            "How many bytes of events the buffer holds at most.", unit="bytes", low=64 << 10, high=64 << 30
        ),
    ] = 64 << 20
    storage: Annotated[
        str,
        _Says(
            "Where it is: in 'memory', or also in a 'file' that outlives the agent.",
            choices=("memory", "file"),
        ),
    ] = "memory"
    directory: Annotated[
        str, _Says("The directory of that file, on a local disk; empty: that of node.state_dir.")
    ] = ""
    prune_interval: Annotated[
        float,
        _Says(
            "The least pause between two prunings of the file, which copy what is still wanted.",
            unit="s",
            low=2,
            high=3600,
        ),
    ] = 30.0


class Feed(Struct, frozen=True, kw_only=True):
    """``[feed]``: the buffer over HTTP."""

    wait_slots: Annotated[
        int,
        _Says(
            "How many requests may wait for news at once; further viewers poll.",
            unit="requests",
            low=0,
            high=1_000_000,
        ),
    ] = 1000
    poll_interval: Annotated[
        float, _Says("How often a viewer asks that may not wait.", unit="s", low=0.1, high=60)
    ] = 2.0
    shared_cache_seconds: Annotated[
        int, _Says("How long a proxy in front may share an answer; 0: not at all.", unit="s", low=0, high=10)
    ] = 0
    cors_origins: Annotated[
        tuple[str, ...], _Says("Which other origins' pages may read the feed.", check=_origins)
    ] = ()
    hosts: Annotated[
        tuple[str, ...],
        _Says("Further host names under which browsers may call this node, without port.", check=_names),
    ] = ()


class Adapters(Struct, frozen=True, kw_only=True):
    """``[generators.adapters]``: network interfaces."""

    ignore: Annotated[
        tuple[str, ...], _Says("Interfaces that are not to be observed, as patterns: veth*.")
    ] = ()


class Services(Struct, frozen=True, kw_only=True):
    """``[generators.services]``: the units of systemd."""

    units: Annotated[
        tuple[str, ...], _Says("Which services are observed, as patterns; empty: all that are of interest.")
    ] = ()
    ignore: Annotated[tuple[str, ...], _Says("Services that are not to be observed, as patterns.")] = (
        "user@*.service",
        "user-runtime-dir@*.service",
    )
    bus: Annotated[str, _Says("The D-Bus address of the system bus; empty: where it usually is.")] = ""


class Storage(Struct, frozen=True, kw_only=True):
    """``[generators.storage]``: file systems."""

    filling: Annotated[
        float, _Says("From how full on a file system is filling up: a warning.", unit="%", low=1, high=100)
    ] = 90.0
    full: Annotated[
        float, _Says("From how full on a file system counts as full: a failure.", unit="%", low=1, high=100)
    ] = 98.0
    ignore: Annotated[
        tuple[str, ...], _Says("Mount points that are not to be observed, as patterns: /mnt/backup*.")
    ] = ()
    interval: Annotated[
        float,
        _Says("How often the free space is measured; mounts are seen at once.", unit="s", low=0.1, high=3600),
    ] = 5.0


class Load(Struct, frozen=True, kw_only=True):
    """``[generators.load]``: measured values of processor, memory and network."""

    interval: Annotated[float, _Says("How often the load is measured.", unit="s", low=0.1, high=3600)] = 2.0


class Generators(Struct, frozen=True, kw_only=True):
    """``[generators]``: what observes this node."""

    disabled: Annotated[tuple[str, ...], _Says("Generators that are not to run, by name.", check=_names)] = ()
    adapters: Adapters = field(default_factory=Adapters)
    services: Services = field(default_factory=Services)
    storage: Storage = field(default_factory=Storage)
    load: Load = field(default_factory=Load)


class Log(Struct, frozen=True, kw_only=True):
    """``[log]``: what the agent writes to standard error."""

    level: Annotated[
        str, _Says("From which level on lines are written.", choices=("debug", "info", "warning", "error"))
    ] = "info"
    format: Annotated[
        str,
        _Says("How: 'text' as key=value, or 'json'; one line an event in both.", choices=("text", "json")),
    ] = "text"


class Config(Struct, frozen=True, kw_only=True):
    """The configuration of a node, complete and checked; made by :func:`tocsin.config.load`."""

    cluster: Cluster = field(default_factory=Cluster)
    node: Node = field(default_factory=Node)
    rails: tuple[Rail, ...] = ()
    buffer: Buffer = field(default_factory=Buffer)
    feed: Feed = field(default_factory=Feed)
    generators: Generators = field(default_factory=Generators)
    log: Log = field(default_factory=Log)
    #: What is not wrong but probably not meant: the agent logs it at its start.
    warnings: tuple[str, ...] = ()


# -- the same, flat ------------------------------------------------------------------------------------


class Setting(NamedTuple):
    """One setting: where it stands, what it may be, and a sentence for people."""

    key: str
    type: Any
    default: Any
    sentence: str
    unit: str
    low: float
    high: float
    choices: tuple[str, ...]
    check: Callable[[Any], str] | None
    flag: str

    @property
    def variable(self) -> str:
        """Its environment variable: ``TOCSIN_BUFFER_RETAIN``."""
        return "TOCSIN_" + self.key.upper().replace(".", "_")

    @property
    def field(self) -> str:
        """The last part of the key."""
        return self.key.rpartition(".")[2]


def _settings(struct: type[Struct], prefix: str) -> Iterator[Setting]:
    hints = get_type_hints(struct, include_extras=True)
    default = struct()
    for name, hint in hints.items():
        key = f"{prefix}{name}"
        if get_origin(hint) is Annotated:
            kind, says = get_args(hint)
            yield Setting(key, kind, getattr(default, name), *says)
        elif isinstance(hint, type) and issubclass(hint, Struct):
            yield from _settings(hint, f"{key}.")


#: Every setting that stands once in a file, by key, in the order of the file.
SETTINGS: Final = {setting.key: setting for setting in _settings(Config, "")}
#: The settings of one ``[[rails]]`` table, by the key within it.
RAIL: Final = {setting.key: setting for setting in _settings(Rail, "")}
