"""The network for tests does what it says: cuts, one-way cuts, cables, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.netns import PUBLIC, TEST, Net, missing

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]


class Echo:
    """A UDP socket of each node on each network; says who hears whom."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.numbers = itertools.count()
        self.sockets = {
            (node, network): net.inside(node, self._bound, net.address(node, network))
            for node in net.nodes
            for network in (*net.rails, PUBLIC)
        }

    @staticmethod
    def _bound(address: str) -> socket.socket:
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind((address, 5000))
        bound.settimeout(0.15)
        return bound

    def hears(self, receiver: int, sender: int, network: int, tries: int = 1) -> bool:
        """Whether a packet arrives, one of ``tries``."""
        where, ears = (self.net.address(receiver, network), 5000), self.sockets[receiver, network]
        for _ in range(tries):
            text = b"%d" % next(self.numbers)
            with contextlib.suppress(OSError):
                self.sockets[sender, network].sendto(text, where)
                while ears.recv(20) != text:
                    """Something that was sent earlier, and waited for an address to be resolved."""
                return True
        return False

    def hears_again(self, receiver: int, sender: int, network: int) -> bool:
        """The same after a fault: addresses may have to be resolved anew, which takes a second."""
        return self.hears(receiver, sender, network, tries=20)

    def close(self) -> None:
        for each in self.sockets.values():
            each.close()


@pytest.fixture
def net() -> Iterator[Net]:
    """Three nodes, two rails."""
    with Net(nodes=3, rails=2) as built:
        yield built


@pytest.fixture
def echo(net: Net) -> Iterator[Echo]:
    """Packets between them."""
    built = Echo(net)
    yield built
    built.close()


def test_every_node_hears_every_other_on_every_network(net: Net, echo: Echo) -> None:
    """Before any fault all ways are open."""
    pairs = [(a, b, network) for a in net.nodes for b in net.nodes if a != b for network in (1, 2, PUBLIC)]
    assert [] == [pair for pair in pairs if not echo.hears(*pair)]


def test_a_cut_concerns_one_node_on_one_rail(net: Net, echo: Echo) -> None:
    """A cut node hears nobody on that rail and is not heard; the other rail and the others are as before."""
    net.cut(2, 1)
    assert (False, False) == (echo.hears(1, 2, 1), echo.hears(2, 3, 1))
    assert (True, True, True) == (echo.hears(1, 2, 2), echo.hears(3, 1, 1), echo.hears(1, 2, PUBLIC))
    net.cut(2, 2)
    assert not echo.hears(1, 2, 2)
    net.heal(2, 1)
    assert (True, False) == (echo.hears_again(1, 2, 1), echo.hears(1, 2, 2))
    net.heal()
    assert echo.hears_again(1, 2, 2)


def test_a_cut_may_be_one_way_or_between_two(net: Net, echo: Echo) -> None:
    """What a node sends is lost, what others send to it is not; a cut between two leaves the third alone."""
    assert echo.hears(1, 2, 1)  # so that addresses are resolved: a one-way cut stops that, too
    net.cut(2, 1, one_way=True)
    assert (False, True) == (echo.hears(1, 2, 1), echo.hears(2, 1, 1))
    net.heal()
    net.cut(2, 1, to=3)
    assert (False, False, True) == (echo.hears(3, 2, 1), echo.hears(2, 3, 1), echo.hears(1, 2, 1))


def test_links_go_down_at_the_node_and_at_the_other_end(net: Net, echo: Echo) -> None:
    """Switching off, pulling the cable, adding and removing an adapter show in the node's own /sys."""

    def read(what: str) -> str:
        command = net.command(2, ["cat", f"/sys/class/net/{what}"])
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    net.unplug(2, 1)
    assert ("0", False) == (read("rail1/carrier"), echo.hears(1, 2, 1))
    net.plug(2, 1)
    assert ("1", True) == (read("rail1/carrier"), echo.hears_again(1, 2, 1))
    net.link_down(2, "rail1")
    assert ("down", False) == (read("rail1/operstate"), echo.hears(1, 2, 1))
    net.link_up(2, "rail1")
    net.add_veth(2, "eth7")
    assert "up" == read("eth7/operstate")
    net.remove_link(2, "eth7")
    assert "" == read("eth7/operstate")


def test_nothing_is_left_behind() -> None:
    """After a failure inside, processes, namespaces and interfaces are gone; the machine's are as before."""
    before = _interfaces()
    names: list[str] = []
    processes: list[subprocess.Popen[bytes]] = []

    def fail() -> None:
        with Net(nodes=2, rails=1) as net:
            names.extend(net.namespace(node) for node in (1, 2, TEST, None))
            assert all(Path("/run/netns", name).exists() for name in names)
            inside = net.command(1, ["sh", "-c", "echo; exec sleep 60"])
            processes.append(subprocess.Popen(inside, stdout=subprocess.PIPE))
            assert processes[0].stdout is not None
            assert b"\n" == processes[0].stdout.readline()  # it has entered
            assert before == _interfaces()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with processes[0] as process:
        assert -9 == process.wait(20)
    assert not any(Path("/run/netns", name).exists() for name in names)
    assert before == _interfaces()


def _interfaces() -> list[str]:
    return sorted(path.name for path in Path("/sys/class/net").iterdir())
