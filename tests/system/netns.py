"""A network for tests: nodes in network namespaces of their own, on bridges in one more namespace.

Nothing of it is in the namespace of the machine. Interfaces in a node: ``rail1``, ``rail2`` … with addresses
10.99.<rail>.<node>, and ``public`` with 10.99.9.<node>. The test is a node of its own, number 254, on the
public network only: :meth:`Net.inside` runs a function in a thread that has entered a namespace.

Cuts drop packets in the switch, between the nodes, as a broken cable far away does: no carrier is lost and no
sender notices. :meth:`Net.link_down` is the cable at the node.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Final, TypeVar

__all__ = ["PUBLIC", "TEST", "Net", "missing"]

#: The number of the public network, and of the test itself on it.
PUBLIC: Final = 9
TEST: Final = 254
_CLONE_NEWNET: Final = 0x40000000
_PREFIX: Final = "tocsin-test"
_numbers = itertools.count(1)
_T = TypeVar("_T")


@cache
def missing() -> str:
    """Why this machine cannot have such networks; empty if it can."""
    if os.geteuid() != 0:
        return "network namespaces of our own need root"
    tools = [tool for tool in ("ip", "nft") if shutil.which(tool) is None]
    if tools:
        return f"{' and '.join(tools)} missing; tests/install-tools installs what tests need"
    name = f"{_PREFIX}-{os.getpid()}-probe"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if done.returncode:
        return f"no network namespaces here: {done.stderr.strip()}"
    _ip(f"netns delete {name}")
    return ""


def _ip(*commands: str, ns: str = "") -> None:
    """Runs ``ip`` for all commands at once; the first that fails is told."""
    where = ["-netns", ns] if ns else []
    _run(["ip", *where, "-batch", "-"], "\n".join(commands))


def _run(command: Sequence[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}\n{text}")
    return done.stdout


def _enter(namespace: str) -> None:
    """Moves the calling thread, and nothing else, into a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    finally:
        os.close(descriptor)


class Net:
    """``nodes`` nodes on ``rails`` rails and one public network. Use as a context manager."""

    def __init__(self, nodes: int = 3, rails: int = 2) -> None:
        _sweep()
        self.nodes, self.rails = range(1, nodes + 1), range(1, rails + 1)
        self._tag = f"{_PREFIX}-{os.getpid()}-{next(_numbers)}"
        self._threads: dict[int, ThreadPoolExecutor] = {}
        self._cuts: set[tuple[str, str]] = set()
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Net:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- names ------------------------------------------------------------------

    def namespace(self, node: int | None) -> str:
        """The name of a node's namespace; None is the switch."""
        return f"{self._tag}-{'switch' if node is None else node}"

    def address(self, node: int, network: int) -> str:
        """The address of a node on a rail, or on the public network."""
        return f"10.99.{network}.{node}"

    @staticmethod
    def interface(network: int) -> str:
        """What the interface to a network is called inside a node."""
        return "public" if network == PUBLIC else f"rail{network}"

    @staticmethod
    def port(node: int, network: int) -> str:
        """What the other end of a node's interface to a network is called in the switch."""
        return f"n{node}r{network}"

    # -- building and clearing away ---------------------------------------------

    def _build(self) -> None:
        networks = [*self.rails, PUBLIC]
        ends = [(node, network) for node in self.nodes for network in networks] + [(TEST, PUBLIC)]
        switch = self.namespace(None)
        _ip(*(f"netns add {self.namespace(node)}" for node in (None, *self.nodes, TEST)))
        _ip(*(f"link add bridge{network} type bridge mcast_snooping 0" for network in networks), ns=switch)
        _ip(
            *(
                f"link add {self.port(node, network)} netns {switch} type veth "
                f"peer name {self.interface(network)} netns {self.namespace(node)}"
                for node, network in ends
            )
        )
        _ip(
            *(f"link set bridge{network} up" for network in networks),
            *(f"link set {self.port(node, net)} master bridge{net} up" for node, net in ends),
            ns=switch,
        )
        for node in (*self.nodes, TEST):
            mine = [network for other, network in ends if other == node]
            _ip(
                "link set lo up",
                *(f"address add {self.address(node, net)}/24 dev {self.interface(net)}" for net in mine),
                *(f"link set {self.interface(net)} up" for net in mine),
                ns=self.namespace(node),
            )

    def close(self) -> None:
        """Ends what still runs in the namespaces, and removes them."""
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)
        for node in (*self.nodes, TEST, None):
            _remove(self.namespace(node))

    # -- being inside -------------------------------------------------------------

    def command(self, node: int | None, command: Iterable[str]) -> list[str]:
        """The command line that runs a command inside a node's namespace, as one process."""
        return ["ip", "netns", "exec", self.namespace(node), *command]

    def inside(self, node: int, function: Callable[..., _T], *arguments: object) -> _T:
        """Calls a function in a thread inside a node's namespace and returns what it returns.

        Sockets that it makes belong to the namespace, also when they are used elsewhere later.
        """
        threads = self._threads.get(node)
        if threads is None:
            threads = ThreadPoolExecutor(8, initializer=_enter, initargs=(self.namespace(node),))
            self._threads[node] = threads
        return threads.submit(function, *arguments).result()

    def thread(self, node: int, function: Callable[[], object]) -> Thread:
        """Starts a thread inside a node's namespace that does nothing but call a function."""

        def work() -> None:
            _enter(self.namespace(node))
            function()

        thread = Thread(target=work, daemon=True)
        thread.start()
        return thread

    def ip(self, node: int | None, *commands: str) -> None:
        """Runs commands of ``ip`` inside a node, or the switch: ``link add eth7 type dummy``."""
        _ip(*commands, ns=self.namespace(node))

    # -- faults -------------------------------------------------------------------

    def cut(self, node: int, network: int, *, to: int | None = None, one_way: bool = False) -> None:
        """Drops everything between a node and one other, or all others, of a network.

        ``one_way``: only what ``node`` sends is dropped.
        """
        here, there = self.port(node, network), "*" if to is None else self.port(to, network)
        self._cuts |= {(here, there)} if one_way else {(here, there), (there, here)}
        self._drop()

    def heal(self, node: int | None = None, network: int | None = None) -> None:
        """Undoes cuts: all, or those that concern a node, a network, or a node on a network."""
        nodes = [node] if node else [*self.nodes, TEST]
        networks = [network] if network else [*self.rails, PUBLIC]
        ports = {self.port(node, network) for node in nodes for network in networks}
        self._cuts = {cut for cut in self._cuts if not ports & set(cut)}
        self._drop()

    def _drop(self) -> None:
        rules = "".join(f"  {_rule(*cut)}\n" for cut in sorted(self._cuts))
        script = (
            "table bridge cuts {}\n"
            "delete table bridge cuts\n"
            "table bridge cuts {\n chain passing {\n"
            f"  type filter hook forward priority 0\n{rules} }}\n}}\n"
        )
        _run(["ip", "netns", "exec", self.namespace(None), "nft", "-f", "-"], script)

    def link_down(self, node: int, interface: str) -> None:
        """Switches an interface of a node off, as an administrator does; its address stays."""
        self.ip(node, f"link set {interface} down")

    def link_up(self, node: int, interface: str) -> None:
        """Switches an interface of a node on."""
        self.ip(node, f"link set {interface} up")

    def unplug(self, node: int, network: int) -> None:
        """Pulls the cable: the interface stays on, but its carrier is gone."""
        _ip(f"link set {self.port(node, network)} down", ns=self.namespace(None))

    def plug(self, node: int, network: int) -> None:
        """Puts the cable back."""
        _ip(f"link set {self.port(node, network)} up", ns=self.namespace(None))

    def switch_off(self, network: int) -> None:
        """Drops everything on a network at one instant: its switch is dead, but every carrier is there."""
        _ip(f"link set bridge{network} down", ns=self.namespace(None))

    def switch_on(self, network: int) -> None:
        """Puts the switch of a network to work again."""
        _ip(f"link set bridge{network} up", ns=self.namespace(None))

    def add_veth(self, node: int, name: str) -> None:
        """Adds an adapter that is on no network, with carrier; its other end is ``<name>-end``."""
        self.ip(node, f"link add {name} type veth peer name {name}-end", f"link set {name}-end up")
        self.ip(node, f"link set {name} up")

    def remove_link(self, node: int, name: str) -> None:
        """Removes an adapter."""
        self.ip(node, f"link delete {name}")


def _rule(sender: str, receiver: str) -> str:
    ports = (("iifname", sender), ("oifname", receiver))
    return " ".join(f'{side} "{port}"' for side, port in ports if port != "*") + " drop"


def _remove(namespace: str) -> None:
    if not Path("/run/netns", namespace).exists():
        return
    # Only what was started inside this namespace of ours.
    for pid in _run(["ip", "netns", "pids", namespace]).split():
        if int(pid) != os.getpid():
            _kill(int(pid))
    _ip(f"netns delete {namespace}")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _sweep() -> None:
    """Removes what a test run left behind that was killed."""
    for path in Path("/run/netns").glob(f"{_PREFIX}-*"):
        owner = path.name.removeprefix(f"{_PREFIX}-").partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            with suppress(RuntimeError):  # another run is sweeping, too
                _remove(path.name)
