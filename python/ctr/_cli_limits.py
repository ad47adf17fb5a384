"""`libctr limits` and `libctr update`: the limits of running containers, told and changed."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from ._cli_json import add_json, print_json
from ._cli_options import ROWS, UNLIMITED, Row, add_rows, dest
from ._containers import join
from ._errors import Error
from ._limits import CHANGES, SIZES, LimitInForce, Limits
from ._options import hugetlb_lines, io_lines
from ._words import table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ._container import Container

_FAILED = 125


def add_commands(make: Callable[..., Any]) -> None:
    """The commands, by `make` of the parser."""
    about = "show the limits of a container: its own, and as they hold in the end, below those of the cgroups above"
    shown = make("limits", _limits, about, "NAME")
    shown.add_argument("name", metavar="NAME", help="the name of a container")
    add_json(shown)

    about = 'change limits of containers while they run; "unlimited" lifts one'
    changed = make("update", _update, about, "NAME...")
    add_rows(changed, (*Limits._fields, *CHANGES), str)
    changed.add_argument("names", metavar="NAME", nargs="+", help="the name of a container")


def _limits(options: argparse.Namespace) -> int:
    rows = [("LIMIT", "OWN", "EFFECTIVE")]
    with join(options.name) as container:
        told: dict[str, Any] = container.limits()._asdict()
        for name in CHANGES:
            # While it is paused nobody tells, and changes on disk have none.
            with contextlib.suppress(Error):
                own = container.limit(name)  # type: ignore[call-overload]
                told[name] = LimitInForce(own, own)
    if options.json:
        print_json([{"limit": name, **limit._asdict()} for name, limit in told.items()])
        return 0
    rows += ((name, _text(name, own), _text(name, effective)) for name, (own, effective) in told.items())
    table(rows)
    return 0


def _text(name: str, value: Any) -> str:
    """As it is typed."""
    if value is None:
        return "-"
    if name in SIZES:
        return _size(value)
    if name == "hugetlb":
        return ", ".join(f"{page}={_size(most)}" for page, most in value.items()) or "-"
    if name == "io":
        rates = ((device, " ".join(f"{key}={rate}" for key, rate in rates.items())) for device, rates in value.items())
        return ", ".join(f"{device} {words}" for device, words in rates) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _size(count: int) -> str:
    """In the largest unit in which it is a whole number."""
    for unit, shift in (("T", 40), ("G", 30), ("M", 20), ("K", 10)):
        if count and count % (1 << shift) == 0:
            return f"{count >> shift}{unit}"
    return str(count)


def _update(options: argparse.Namespace) -> int:
    changes: dict[str, Any] = {}
    for row in ROWS:
        typed = getattr(options, dest(row), None)
        if typed is None or (row.many and not typed):
            continue
        if row.many:
            changes.setdefault(row.keyword, []).extend(row.read(text) for text in typed)
        else:
            changes[row.keyword] = _value(options, row, typed)
    if not changes:
        options.parser.error("say which limit to change, as -m 512M")
    status = 0
    for name in options.names:
        try:
            with join(name) as container:
                for keyword, value in changes.items():
                    _set(container, keyword, value)
        except Error as error:
            print(f"libctr: {error}", file=sys.stderr)
            status = _FAILED
    return status


def _value(options: argparse.Namespace, row: Row, text: str) -> Any:
    if text in UNLIMITED:
        return None
    try:
        typed = row.type(text)
    except ValueError:
        # As argparse says it of the same option of run.
        names = row.names.replace(" ", "/")
        options.parser.error(f"argument {names}: invalid {row.type.__name__} value: {text!r}")
    return row.read(str(typed))


def _set(container: Container, keyword: Any, value: Any) -> None:
    """Of lists what was typed counts behind what there is."""
    if keyword == "io":
        value = [*io_lines(container.limit("io") or {}), *(line for pair in value for line in io_lines(dict([pair])))]
    elif keyword == "hugetlb":
        value = [*hugetlb_lines(container.limit("hugetlb") or {}), *hugetlb_lines(dict(value))]
    container.set_limit(keyword, value)
