"""Addresses as an operator writes them: ``HOST:PORT`` for HTTP, ``tcp/HOST:PORT`` for a rail.

Every function here reads text and never resolves a name or opens a socket.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

__all__ = ["Address", "Endpoint", "is_loopback", "parse_address", "parse_endpoint"]

#: What a rail may run over; anything else of the engine needs certificates or another kind of host.
PROTOCOLS: Final = ("tcp", "udp")
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?\Z")
_ENDPOINT: Final = re.compile(r"(?P<protocol>[a-z-]+)/(?P<address>[^?#]*)(?P<options>[?#].*)?\Z")


class Address(NamedTuple):
    """A host (name or IP address, an IPv6 one without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Endpoint(NamedTuple):
    """One end of a rail, e.g. ``tcp/10.1.0.1:7447#iface=eth1``."""

    protocol: str
    address: Address
    #: The engine's own options behind ``?`` or ``#``, as written.
    options: str


def parse_address(text: str, *, any_port: bool = True) -> Address:
    """Reads ``HOST:PORT``, ``[IPv6]:PORT``. Port 0, where allowed, means any free port.

    Raises :exc:`ValueError` with a sentence for the operator.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise ValueError(f"{text!r} is not HOST:PORT, e.g. 127.0.0.1:8340 or [::1]:8340")
    lowest = 0 if any_port else 1
    if not lowest <= int(port) <= 65535:
        raise ValueError(f"the port {port} is not between {lowest} and 65535")
    return Address(_host(host, text), int(port))


def _host(host: str, text: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise ValueError(f"{host} in {text!r} is not an IPv6 address") from None
        return host[1:-1]
    if ":" in host:
        raise ValueError(f"an IPv6 address needs brackets: [{host}]:PORT")
    if re.fullmatch(r"[0-9.]+", host):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError(f"{host!r} in {text!r} is not an IPv4 address") from None
    elif not _HOST.match(host):
        raise ValueError(f"{host!r} in {text!r} is not the name or address of a host")
    return host


def parse_endpoint(text: str, *, any_port: bool = True) -> Endpoint:
    """Reads ``tcp/HOST:PORT``. Raises :exc:`ValueError` with a sentence for the operator."""
    match = _ENDPOINT.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not PROTOCOL/HOST:PORT, e.g. tcp/10.1.0.1:7447")
    if match["protocol"] not in PROTOCOLS:
        known = " or ".join(PROTOCOLS)
        raise ValueError(f"the protocol {match['protocol']!r} in {text!r} is not {known}")
    address = parse_address(match["address"], any_port=any_port)
    return Endpoint(match["protocol"], address, match["options"] or "")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``. A name counts only if it is ``localhost``."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
