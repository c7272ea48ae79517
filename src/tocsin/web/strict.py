"""Strict JSON: what two readers could understand differently is refused.

Refused are duplicate keys, NaN and infinities, integers beyond 2**53, nesting deeper than 32, half a
surrogate pair, and anything but UTF-8.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

__all__ = ["MAX_DEPTH", "MAX_INTEGER", "loads"]

MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**53


def loads(body: bytes) -> Any:
    """Reads a JSON document. Raises :exc:`ValueError` that says what is wrong, and nothing else."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    _check(value, 1)
    return value


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (dict, list)):
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        if isinstance(value, dict):
            for key in value:
                _check_text(key)
            value = value.values()
        for item in value:
            _check(item, depth + 1)


def _check_text(text: str) -> None:
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("a text has half a surrogate pair")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:80]!r} is there twice")
            seen.add(key)
    return value


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise ValueError(f"{digits[:40]} is beyond 2^53, where readers differ; write it as text")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:40]} is too large")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
