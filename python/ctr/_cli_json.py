"""`--json`: what a command lists, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_json(parser: argparse.ArgumentParser) -> None:
    """Let `--json` be typed."""
    parser.add_argument("--json", action="store_true", help="as JSON, with numbers in bytes and seconds")


def print_json(found: Any) -> None:
    """A list, or what else is told. Of tuples with names the names are told too."""
    import json

    print(json.dumps(_named(found), indent=2))


def _named(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _named(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_named(each) for each in value]
    return value
