"""Sizes as docker writes them: bytes, or a number and a binary unit."""

from __future__ import annotations

from typing import Any

from ._errors import invalid

_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_HINT = 'give bytes, or a number with k, M, G or T, as "64M"'


def size(value: object, what: str = "size") -> int:
    """64, "64", "64k", "1.5G", "64MiB" as a number of bytes."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"{what} must be an int or a str, not {type(value).__name__}")
    if isinstance(value, int):
        number, unit = str(value), ""
    else:
        text = value.strip().lower()
        number = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
        unit = text[len(number) :].strip()
        if unit in ("b", "ib"):
            unit = ""
        elif unit[1:] in ("b", "ib"):
            unit = unit[0]
    if unit not in _UNITS or not _is_number(number):
        raise invalid("set-option", f"{what} {value!r}", "not a size", _HINT)
    scale = 1 << _UNITS[unit]
    return int(number) * scale if "." not in number else int(float(number) * scale)


def _is_number(text: str) -> bool:
    whole, _, part = text.partition(".")
    return (whole + part).isdecimal() and (whole + part).isascii() and bool(whole)


def count(value: object, what: str) -> int:
    """A number that is neither a bool nor negative."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} must be an int, not {type(value).__name__}")
    if value < 0 or value >= 1 << 64:
        raise invalid("set-option", f"{what} {value!r}", "out of range", "it is 0 at the least")
    return value


def thousandths(value: object, what: str) -> int:
    """0.5 as 500."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what} must be a number, not {type(value).__name__}")
    if not 0 <= value < 1 << 50:
        raise invalid("set-option", f"{what} {value!r}", "out of range", "it is 0 at the least")
    return round(value * 1000)


def seconds(value: Any, what: str, least: str = "0 or more") -> Any:
    """A time, of whatever type a float can be made of but text; it is not negative."""
    if not hasattr(value, "__float__"):
        raise TypeError(f"{what} must be a number of seconds, not {type(value).__name__}")
    if not value >= 0:
        raise ValueError(f"{what} must be a number of seconds, {least}, not {value!r}")
    return value
