"""rtnetlink, as far as adapters need it: links and addresses of the kernel's own network namespace.

:func:`parse` is pure: bytes to messages. :func:`open_socket`, :func:`drain` and :func:`dump` read.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

from msgspec import Struct

from tocsin.core.errors import GeneratorUnavailable

__all__ = ["AddressMessage", "LinkMessage", "Message", "drain", "dump", "open_socket", "parse"]

# linux/netlink.h, linux/rtnetlink.h, linux/if_link.h
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _DELADDR, _GETADDR = 16, 17, 18, 20, 21, 22
_REQUEST_DUMP, _DUMP_INTERRUPTED = 0x301, 0x10
_GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_OPERSTATE, _IFLA_LINKINFO = 1, 3, 4, 16, 18
_IFLA_INFO_KIND = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_SCOPE_LINK = 253
_RECEIVE_BUFFER = 1 << 20  # as far as the system allows; a burst of links fits
_LENGTHS = {socket.AF_INET: 4, socket.AF_INET6: 16}
_ATTRIBUTE_TYPE = 0x3FFF  # without the flags 'nested' and 'byte order'
_OPERSTATES = ("unknown", "not-present", "down", "lower-layer-down", "testing", "dormant", "up")


class LinkMessage(Struct, frozen=True):
    """What the kernel says of a link; ``gone`` if it was removed."""

    index: int
    name: str
    flags: int
    operstate: str
    mac: str
    mtu: int
    kind: str
    gone: bool


class AddressMessage(Struct, frozen=True):
    """What the kernel says of an address, as ``10.0.0.1/24``; ``gone`` if it was removed."""

    index: int
    address: str
    gone: bool


Message = LinkMessage | AddressMessage


# -- parsing: bytes of the kernel to messages --------------------------------------------------------


def parse(data: bytes) -> Iterator[Message]:
    """The link and address messages in a datagram of rtnetlink; others are passed over."""
    for type, _, body in _messages(data):
        if type in (_NEWLINK, _DELLINK):
            link = _link(body, gone=type == _DELLINK)
            if link is not None:
                yield link
        elif type in (_NEWADDR, _DELADDR):
            address = _address(body, gone=type == _DELADDR)
            if address is not None:
                yield address


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each message of a datagram; ends at what is cut off."""
    at = 0
    while at + 16 <= len(data):
        length, type, flags = struct.unpack_from("=IHH", data, at)
        if length < 16 or at + length > len(data):
            return
        yield type, flags, data[at + 16 : at + length]
        at += (length + 3) & ~3


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        length, type = struct.unpack_from("=HH", data, at)
        if length < 4 or at + length > len(data):
            break
        found[type & _ATTRIBUTE_TYPE] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def _link(body: bytes, *, gone: bool) -> LinkMessage | None:
    if len(body) < 16:
        return None
    family, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
    # Other families are about a bridge's ports: there 'deleted' means 'left the bridge'.
    if family != socket.AF_UNSPEC:
        return None
    found = _attributes(body[16:])
    state = found.get(_IFLA_OPERSTATE, b"\0")[0]
    info = _attributes(found.get(_IFLA_LINKINFO, b""))
    return LinkMessage(
        index=index,
        name=_text(found.get(_IFLA_IFNAME, b"")),
        flags=flags,
        operstate=_OPERSTATES[state] if state < len(_OPERSTATES) else "unknown",
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=int.from_bytes(found.get(_IFLA_MTU, b""), sys.byteorder),
        kind=_text(info.get(_IFLA_INFO_KIND, b"")),
        gone=gone,
    )


def _address(body: bytes, *, gone: bool) -> AddressMessage | None:
    if len(body) < 8:
        return None
    family, prefix, _, scope, index = struct.unpack_from("=BBBBI", body)
    # Link-local IPv6 addresses come and go with the carrier and say nothing more.
    if (family, scope) == (socket.AF_INET6, _SCOPE_LINK) or family not in _LENGTHS:
        return None
    found = _attributes(body[8:])
    # IFA_ADDRESS is the peer's on a point-to-point link, IFA_LOCAL then the own one.
    raw = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS) or b""
    if len(raw) != _LENGTHS[family]:
        return None
    return AddressMessage(index, f"{ipaddress.ip_address(raw)}/{prefix}", gone)


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("ascii", "replace")


# -- reading: the kernel's sockets


def open_socket(*, notices: bool = False) -> socket.socket:
    """A socket to the kernel; with ``notices`` it is told of changes and does not block.

    Raises :exc:`~tocsin.core.errors.GeneratorUnavailable`.
    """
    try:
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        if notices:
            netlink.setblocking(False)
            netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        netlink.bind((0, _GROUPS if notices else 0))
    except (AttributeError, OSError) as error:
        raise GeneratorUnavailable(f"no rtnetlink socket: {error}") from None
    return netlink


def drain(notices: socket.socket) -> list[Message]:
    """All waiting notifications. Raises OSError ENOBUFS if the kernel had to drop some."""
    messages: list[Message] = []
    while True:
        try:
            data, (sender, _) = notices.recvfrom(1 << 16)
        except BlockingIOError:
            return messages
        if sender == 0:  # the kernel; any process may send to a netlink socket
            messages += parse(data)


def dump(notices: socket.socket) -> list[Message]:
    """All links and addresses as they are now; what ``notices`` has waiting is older and dropped.

    Older it must not be applied on top: of a link that was removed since, the removal may be lost.
    """
    while True:
        with suppress(OSError):  # ENOBUFS, again
            drain(notices)
            break
    messages: list[Message] = []
    for _ in range(5):  # while links change under its hands, the kernel marks a dump as interrupted
        messages.clear()
        if _ask(_GETLINK, messages.append) and _ask(_GETADDR, messages.append):
            break
    return messages


def _ask(what: int, take: Callable[[Message], None]) -> bool:
    with closing(open_socket()) as netlink:
        # The kernel answers from memory at once; the limit is for what cannot happen.
        netlink.settimeout(1.0)
        netlink.send(struct.pack("=IHHIIB15x", 32, what, _REQUEST_DUMP, 1, 0, socket.AF_UNSPEC))
        complete = True
        while True:
            data = netlink.recv(1 << 18)
            for message in parse(data):
                take(message)
            for type, flags, body in _messages(data):
                complete = complete and not flags & _DUMP_INTERRUPTED
                if type == _NLMSG_DONE:
                    return complete
                if type == _NLMSG_ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    raise OSError(code, f"rtnetlink: {errno.errorcode.get(code, code)}")
