"""Faults of the network, each a context: it is there inside the ``with`` block."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.system.cluster import Cluster
from tests.system.netns import Net
from tests.tools.relay import Harm

__all__ = ["bad_cable", "cut", "pause", "reset", "resetting", "slow", "switch_rules", "without_large"]

_ROOT = Path(__file__).parent.parent.parent.parent


def pause(seconds: float) -> None:
    """Lets a fault last."""
    threading.Event().wait(seconds)


@contextmanager
def cut(
    net: Net, node: int, *rails: int, to: Iterable[int | None] = (None,), one_way: bool = False
) -> Iterator[None]:
    """Drops everything between a node and others (all) on rails (all); ``one_way``: what the node sends."""
    for rail in rails or net.rails:
        for other in to:
            net.cut(node, rail, to=other, one_way=one_way)
    try:
        yield
    finally:
        net.heal()


@contextmanager
def switch_rules(net: Net, *rules: str) -> Iterator[None]:
    """Rules of nftables for what passes the switch, e.g. ``iifname "n3r1" meta length > 600 drop``."""
    lines = "".join(f"  {rule}\n" for rule in rules)
    chain = f" chain passing {{\n  type filter hook forward priority 1\n{lines} }}\n"
    _nft(net, None, f"table bridge faults {{\n{chain}}}\n")
    try:
        yield
    finally:
        _nft(net, None, "delete table bridge faults\n")


def without_large(net: Net, node: int, *rails: int, size: int = 600) -> list[str]:
    """Rules that drop what is larger than ``size`` bytes, both ways, and tell nobody: an MTU black hole."""
    ports = [net.port(node, rail) for rail in rails]
    ways = [way for port in ports for way in (f'iifname "{port}"', f'oifname "{port}"')]
    return [f"{way} meta length > {size} drop" for way in ways]


@contextmanager
def resetting(net: Net, node: int, *rails: int) -> Iterator[None]:
    """Answers whatever arrives for TCP on rails with a reset, which the sender takes for the node's."""
    names = ", ".join(f'"{net.interface(rail)}"' for rail in rails)
    rule = f"iifname {{ {names} }} meta l4proto tcp reject with tcp reset"
    chain = f" chain arriving {{\n  type filter hook input priority 0\n  {rule}\n }}\n"
    _nft(net, node, f"table inet faults {{\n{chain}}}\n")
    try:
        yield
    finally:
        _nft(net, node, "delete table inet faults\n")


def reset(net: Net, node: int, rail: int) -> None:
    """Kills all TCP connections of a node on a rail at once; the other ends get a reset."""
    where = f"{net.address(node, rail)}/32"
    done = subprocess.run(net.command(node, ["ss", "-tKH", "src", where]), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@contextmanager
def slow(net: Net, node: int, *rails: int, rate: str = "64kbit", queue: str = "4s") -> Iterator[None]:
    """Rails of a node as slow as that in both directions, with queues that hold so much (four seconds)."""
    ends = [(node, net.interface(rail)) for rail in rails] + [(None, net.port(node, rail)) for rail in rails]
    for where, device in ends:
        _tc(net, where, f"add dev {device} root tbf rate {rate} burst 2kb latency {queue}")
    try:
        yield
    finally:
        for where, device in ends:
            _tc(net, where, f"del dev {device} root")


@contextmanager
def bad_cable(cluster: Cluster, node: int, *rails: int, harm: Harm) -> Iterator[None]:
    """Puts a relay (:mod:`tests.tools.relay`) that harms frames between a node and the switch of rails."""
    net = cluster.net
    names = [(f"tap{node}a{rail}", f"tap{node}b{rail}") for rail in rails]
    words = [name for pair in names for name in pair]
    relay = cluster.popen(
        [sys.executable, "-m", "tests.tools.relay", *words],
        node=None,
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert relay.stdin is not None
    assert relay.stdout is not None
    _expect(relay.stdout, "ready")
    for rail, (near, far) in zip(rails, names, strict=True):
        own = f"own{node}r{rail}"
        net.ip(None, f"link add {own} type bridge mcast_snooping 0", f"link set {own} up")
        net.ip(None, f"link set {near} master {own} up", f"link set {far} master bridge{rail} up")
        net.ip(None, f"link set {net.port(node, rail)} master {own}")
    try:
        _say(relay.stdin, harm._asdict())
        _expect(relay.stdout, "harming")
        yield
    finally:
        for rail in rails:
            net.ip(None, f"link set {net.port(node, rail)} master bridge{rail}", f"link del own{node}r{rail}")
        relay.stdin.close()
        done = json.loads(relay.stdout.read())
        relay.wait(10)
    for what, value in harm._asdict().items():
        assert not value or what in ("delay", "jitter") or done[what], f"no {what} happened: {done}"


def _expect(stream: IO[str], word: str) -> None:
    line = stream.readline()
    assert line.strip() == word, f"the relay says {line!r}, not {word}"


def _say(stream: IO[str], document: dict[str, Any]) -> None:
    stream.write(json.dumps(document) + "\n")
    stream.flush()


def _nft(net: Net, node: int | None, script: str) -> None:
    _run(["ip", "netns", "exec", net.namespace(node), "nft", "-f", "-"], script)


def _tc(net: Net, node: int | None, words: str) -> None:
    _run(["ip", "netns", "exec", net.namespace(node), "tc", "qdisc", *words.split()])


def _run(command: list[str], text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}\n{text}"
