"""rtnetlink: recorded datagrams become messages, and broken ones break nothing."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.tools.namespaces import in_namespaces, sh
from tocsin.generators.rtnetlink import AddressMessage, LinkMessage, Message, drain, dump, open_socket, parse

RECORDED = Path(__file__).parents[1] / "recordings" / "adapters" / "steps.jsonl"


def recorded() -> list[tuple[str, list[bytes]]]:
    """What each step of the recording brought."""
    lines = map(json.loads, RECORDED.read_text().splitlines())
    return [(line["step"], [bytes.fromhex(data) for data in line["datagrams"]]) for line in lines]


def messages(step: str) -> list[Message]:
    """The messages that a step brought."""
    datagrams = dict(recorded())[step]
    return [message for data in datagrams for message in parse(data)]


def test_a_new_link_has_all_its_attributes() -> None:
    """Index, name, kind, hardware address, MTU and both states are read."""
    links = [m for m in messages("ip link add west type veth peer name east") if isinstance(m, LinkMessage)]
    west = next(link for link in links if link.name == "west")

    assert (west.kind, west.mtu, west.operstate, west.gone) == ("veth", 1500, "down", False)
    assert west.index > 0
    assert len(west.mac.split(":")) == 6


def test_addresses_of_both_families_are_read() -> None:
    """An address is written with its prefix; link-local IPv6 ones are passed over."""
    four, six = (
        messages("ip addr add 10.9.0.1/24 dev west"),
        messages("ip addr add 2001:db8::1/64 dev west nodad"),
    )

    assert [m.address for m in four if isinstance(m, AddressMessage)] == ["10.9.0.1/24"]
    assert {m.address for m in six if isinstance(m, AddressMessage)} == {"2001:db8::1/64"}


def test_lost_carrier_and_switched_off_look_different() -> None:
    """The far end lost its carrier and is still switched on; the near end is switched off."""
    links = {m.name: m for m in messages("ip link set east down") if isinstance(m, LinkMessage)}

    assert links["west"].operstate == "lower-layer-down"
    assert links["west"].flags & 1
    assert not links["east"].flags & 1


def test_leaving_a_bridge_is_no_removal() -> None:
    """The kernel says 'deleted' also of a port that left its bridge: that is another family's message."""
    assert not any(m.gone for m in messages("ip link set east nomaster"))


def test_removal_is_told() -> None:
    """Both ends of a removed pair are gone."""
    gone = {m.name for m in messages("ip link del west") if m.gone and isinstance(m, LinkMessage)}

    assert gone == {"west", "fast"}


@given(st.binary(max_size=300))
def test_any_bytes_can_be_parsed(data: bytes) -> None:
    """No bytes make the parser raise or run on for ever."""
    list(parse(data))


@given(st.data())
def test_a_damaged_recording_can_be_parsed(data: st.DataObject) -> None:
    """A datagram that is cut off or has wrong bytes never makes the parser raise."""
    whole = bytearray(data.draw(st.sampled_from([d for _, datagrams in recorded() for d in datagrams])))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))

    list(parse(bytes(whole[: data.draw(st.integers(0, len(whole)))])))


@in_namespaces
async def test_a_dump_and_the_notices_agree() -> None:
    """What a dump says of a link is what the kernel told when it was made."""
    with open_socket(notices=True) as notices:
        sh("ip link add west type veth peer name east && ip addr add 10.0.0.1/8 dev west")
        told = {(m.index, m.name) for m in drain(notices) if isinstance(m, LinkMessage)}
        found = dump(notices)

    assert told <= {(m.index, m.name) for m in found if isinstance(m, LinkMessage)}
    assert "10.0.0.1/8" in [m.address for m in found if isinstance(m, AddressMessage)]


@in_namespaces
async def test_what_another_process_sends_is_not_believed() -> None:
    """Any process may send to a netlink socket; only the kernel is heard."""
    forged = recorded()[1][1][0]
    with open_socket(notices=True) as notices, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as other:
        port = notices.getsockname()[0]
        other.sendto(forged, (port, 0))

        assert drain(notices) == []
