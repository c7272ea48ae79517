"""Strict JSON: what two readers could understand differently is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.web.strict import loads


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"a":1,"b":2,"a":3}', "'a' is there twice"),
        (b'[{"a":{"b":1,"b":1}}]', "'b' is there twice"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"1e999", "too large"),
        (b"9007199254740993", "2\\^53"),
        (b"-9007199254740993", "2\\^53"),
        (b"1" * 10_000, "2\\^53"),
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
        (b"[" * 100_000 + b"]" * 100_000, "deeper than 32"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"),
        (b"\xff", "UTF-8"),
        (b"\xef\xbb\xbf{}", "Expecting value|BOM"),
        (b"", "Expecting value"),
        (b"{} {}", "Extra data"),
        (b"'a'", "Expecting value"),
    ],
)
def test_what_is_refused(body: bytes, why: str) -> None:
    """Each is a ValueError that says what is wrong."""
    with pytest.raises(ValueError, match=why):
        loads(body)


def test_what_is_at_the_bounds() -> None:
    """32 levels, 2**53 and whole surrogate pairs are fine."""
    assert loads(b"[" * 32 + b"]" * 32)
    assert loads(b"[9007199254740992, -9007199254740992]") == [2**53, -(2**53)]
    assert loads(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"
    assert loads(b'{"a":1.5,"b":{"a":null}}') == {"a": 1.5, "b": {"a": None}}


@given(st.binary())
def test_it_is_total(body: bytes) -> None:
    """Any bytes are a value or a ValueError."""
    try:
        value = loads(body)
    except ValueError:
        return
    assert json.loads(body) == value
