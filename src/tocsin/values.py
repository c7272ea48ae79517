"""Reads the value of one setting: from TOML's own types, or from the text of a flag or variable."""

from __future__ import annotations

import re
from typing import Any, Final

from tocsin.settings import Setting

__all__ = ["BadValue", "read_value", "show_value"]

_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%]*)\Z")
_UNITS: Final[dict[str, dict[str, float]]] = {
    "s": {"s": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0},
    "bytes": {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9},
    "%": {"%": 1.0},
}
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


class BadValue(ValueError):
    """What is wrong with a value, to be read behind its key; ``hint`` says what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(what)


def read_value(setting: Setting, value: Any, *, is_text: bool = False) -> Any:
    """The value in the setting's type and within its range. Raises :exc:`BadValue`.

    ``is_text``: it comes from a flag or variable, where everything is text.
    """
    if setting.type is bool:
        return _bool(value, is_text)
    if setting.type in (int, float):
        return _number(setting, value, is_text)
    if setting.type is str:
        result: Any = _text(value)
    else:
        result = _list(value, is_text)
    if setting.choices and result not in setting.choices:
        raise BadValue(f"is {result!r}", f"write one of: {', '.join(setting.choices)}")
    wrong = setting.check(result) if setting.check and result != setting.default else ""
    if wrong:
        raise BadValue(wrong)
    return result


def _bool(value: Any, is_text: bool) -> bool:
    if is_text and isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    if not isinstance(value, bool):
        raise BadValue(f"is {_shown(value)}, not true or false", "write true or false, without quotes")
    return value


def _number(setting: Setting, value: Any, is_text: bool) -> float:
    number = _quantity(setting, value, is_text) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise BadValue(f"is {_shown(value)}, not a number", _example(setting))
    if not setting.low <= number <= setting.high:  # NaN is not in any range
        span = f"{show_value(setting.low)} to {show_value(setting.high)} {setting.unit}".rstrip()
        raise BadValue(f"is {_shown(value)}, not within {span}", _example(setting))
    if setting.type is int and number != int(number):
        raise BadValue(f"is {_shown(value)}, not a whole number", _example(setting))
    return setting.type(number)  # type: ignore[no-any-return]


def _quantity(setting: Setting, text: str, is_text: bool) -> float | None:
    """A number with a unit: ``5m``, ``64 MiB``; without one only where all values are text."""
    match = _QUANTITY.match(text.strip())
    units = _UNITS.get(setting.unit, {})
    if match is None or not (match[2] in units or (is_text and not match[2])):
        return None
    return float(match[1]) * units.get(match[2], 1)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValue(f"is {_shown(value)}, not text", "put it in quotes")
    if _CONTROL.search(value):
        raise BadValue("has a control character")
    return value


def _list(value: Any, is_text: bool) -> tuple[str, ...]:
    if is_text:
        return tuple(value.replace(",", " ").split())
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadValue(f"is {_shown(value)}, not a list of texts", 'write ["one", "two"]')
    return tuple(map(_text, value))


def _example(setting: Setting) -> str:
    return f"write a number of {setting.unit}, e.g. {show_value(setting.default)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def show_value(value: Any) -> str:
    """A value as a person writes it in a TOML file: numbers plain."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, str):
        return f'"{value}"'
    return "[" + ", ".join(f'"{item}"' for item in value) + "]"
