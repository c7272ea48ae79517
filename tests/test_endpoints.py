"""Addresses and endpoints as an operator writes them."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.endpoints import Address, is_loopback, parse_address, parse_endpoint


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8340", ("127.0.0.1", 8340)),
        ("[::1]:0", ("::1", 0)),
        ("node-1.example.org:65535", ("node-1.example.org", 65535)),
    ],
)
def test_address(text, address):
    """A host and a port, which print as they were written."""
    assert parse_address(text) == address
    assert str(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("8340", "'8340' is not HOST:PORT"),
        ("host:", "'host:' is not HOST:PORT"),
        ("host:http", "is not HOST:PORT"),
        ("host:٣", "is not HOST:PORT"),
        ("host:65536", "the port 65536 is not between 0 and 65535"),
        (":80", "'' in ':80' is not the name or address of a host"),
        ("::1:80", "needs brackets"),
        ("[::g]:80", "is not an IPv6 address"),
        ("300.0.0.1:80", "is not an IPv4 address"),
        ("a b:80", "is not the name or address of a host"),
        ("-a:80", "is not the name or address of a host"),
    ],
)
def test_no_address(text, sentence):
    """What is no address is told in words."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse_address(text)


def test_port_zero_only_where_it_makes_sense():
    """Any free port can be listened on, not connected to."""
    with pytest.raises(ValueError, match="not between 1 and"):
        parse_address("host:0", any_port=False)


def test_endpoint():
    """An endpoint is protocol, address and the engine's own options."""
    assert parse_endpoint("tcp/[::1]:7447#iface=lo") == ("tcp", Address("::1", 7447), "#iface=lo")


@pytest.mark.parametrize(
    "text", ["", "tcp", "tcp/", "10.0.0.1:7447", "tcp/10.0.0.1", "quic/10.0.0.1:1", "TCP/a:1"]
)
def test_no_endpoint(text):
    """What is no endpoint is told in words."""
    with pytest.raises(ValueError, match="is not"):
        parse_endpoint(text)


@given(st.text())
def test_total(text):
    """Whatever is written: an endpoint, or a ValueError."""
    for parse in (parse_address, parse_endpoint):
        with contextlib.suppress(ValueError):
            parse(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.3", "::1", "localhost", "LOCALHOST", "localhost."])
def test_loopback(host):
    """Only this machine reaches these."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "", "example.org", "127.0.0.1.example.org"])
def test_not_loopback(host):
    """A name may mean anything; it counts as outside."""
    assert not is_loopback(host)
