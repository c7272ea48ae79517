"""Of two nodes on a rail one dials and the other listens; who should dial and does not is found out."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.forwarder.processes import free_ports
from tocsin.endpoints import parse_endpoint
from tocsin.forwarder.dialling import LOOK_EVERY, Lookout, dials, listening, lower_half

ONE, TWO, THREE = (f"tcp/10.1.0.{number}:7447" for number in (1, 2, 3))
#: As the engine writes the address of a peer that dialled.
LINK = ("session3", "tcp/10.1.0.3:40444")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (ONE, TWO),
        ("tcp/10.1.0.9:7447", "tcp/10.1.0.10:7447"),
        ("tcp/127.0.0.1:7447", "tcp/127.0.0.1:7448"),
        ("tcp/[fe80::1]:7447", "tcp/[fe80::a]:7447"),
    ],
)
def test_the_higher_address_dials(one: str, two: str) -> None:
    """Both ends come to opposite answers, by number and not by text."""
    low, high = parse_endpoint(one), parse_endpoint(two)
    assert (False, True) == (dials(low, high), dials(high, low))


@pytest.mark.parametrize(
    ("own", "peer"),
    [
        ("tcp/0.0.0.0:7447", ONE),
        ("tcp/node1:7447", TWO),
        (ONE, "tcp/node2:7447"),
        ("udp/10.1.0.1:7447", "udp/10.1.0.2:7447"),
        (ONE, f"{TWO}#iface=eth1"),
        (ONE, "tcp/[fe80::1]:7447"),
        ("tcp/10.1.0.1:0", TWO),
    ],
)
def test_where_addresses_do_not_tell_both_dial(own: str, peer: str) -> None:
    """Names, addresses that stand for all, options, and other protocols: better twice than not at all."""
    assert dials(parse_endpoint(own), parse_endpoint(peer))


def test_every_pair_of_a_list_has_exactly_one_that_dials() -> None:
    """The same list on every node, its own address included: each pair is dialled once."""
    ends = [f"tcp/10.1.0.{number}:7447" for number in range(1, 21)]
    awaited = {end: lower_half(end, ends) for end in ends}
    for one, two in itertools.combinations(ends, 2):
        assert (one in awaited[two]) != (two in awaited[one])
    assert lower_half("", ends) == frozenset() == lower_half(ends[-1], ends)


def test_a_peer_with_a_link_is_not_asked() -> None:
    """Only who is missing is asked, and not in every look."""
    lookout = Lookout(ONE, [ONE, TWO, THREE], [TWO, THREE])
    assert [TWO] == lookout.due([LINK], 100.0)
    assert [] == lookout.due([LINK], 100.0 + LOOK_EVERY / 2)
    assert [TWO, THREE] == lookout.due([], 100.0 + LOOK_EVERY)


def test_who_answers_for_four_seconds_without_a_link_has_to_be_dialled() -> None:
    """Nobody there, there a moment ago, there for long; who answers under another name is a new one."""
    lookout = Lookout(ONE, [TWO, THREE], [TWO, THREE])
    assert [TWO, THREE] == lookout.due([], 10.0)
    assert [] == lookout.answered({TWO: "session2", THREE: ""}, [], 10.0)
    lookout.due([], 12.0)
    assert [] == lookout.answered({TWO: "session2", THREE: "session3"}, [], 12.0)
    lookout.due([], 14.0)
    assert [TWO] == lookout.answered({TWO: "session2", THREE: "session3again"}, [], 14.0)
    lookout.due([], 16.0)
    assert [TWO] == lookout.answered({TWO: "session2", THREE: "session3again"}, [], 16.0)


def test_who_dials_after_all_is_left_alone() -> None:
    """The link came while the peer was asked, or between two questions: it counts from the beginning."""
    lookout = Lookout(ONE, [THREE], [THREE])
    lookout.due([], 10.0)
    assert [] == lookout.answered({THREE: "session3"}, [], 10.0)
    lookout.due([], 14.0)
    assert [] == lookout.answered({THREE: "session3"}, [LINK], 14.5)
    lookout.due([LINK], 16.0)
    lookout.due([], 18.0)
    assert [] == lookout.answered({THREE: "session3"}, [], 18.0)


def test_peers_on_one_host_are_told_apart_by_their_sessions() -> None:
    """With two on one address, a link with either proves nothing; the session that answers does."""
    one, two, three = (f"tcp/127.0.0.1:{port}" for port in (7001, 7002, 7003))
    lookout = Lookout(one, [one, two, three], [two, three])
    link = ("session2", "tcp/127.0.0.1:40222")
    for now, found in ((10.0, []), (12.0, []), (14.0, [three])):
        assert [two, three] == lookout.due([link], now)
        assert found == lookout.answered({two: "session2", three: "session3"}, [link], now)
    assert [] == lookout.due([link, ("session3", "tcp/127.0.0.1:40333")], 16.0)


def test_a_node_that_waits_for_nobody_asks_nobody() -> None:
    """The highest address of all dials everybody, and so does who does not listen."""
    assert [] == Lookout(THREE, [ONE, TWO], []).due([], 10.0)
    assert [] == Lookout("", [ONE, TWO], []).due([], 10.0)


async def test_who_takes_a_connection_is_listening() -> None:
    """One listens, one does not, one cannot be reached from this address: told within the time limit."""
    [closed] = free_ports(1)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    there = f"tcp/127.0.0.1:{server.sockets[0].getsockname()[1]}"
    ends = [there, f"tcp/127.0.0.1:{closed}", "tcp/192.0.2.1:7447"]
    async with asyncio.timeout(3):
        assert [there] == await listening("tcp/127.0.0.1:1", ends)
    server.close()
    await server.wait_closed()
