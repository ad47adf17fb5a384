"""`libctr volume`: directories of the store that outlive containers."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ._errors import Error
from ._volumes import Volume, prune_volumes, volume, volumes
from ._words import amount, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_FAILED = 125
"""As docker: the command failed, and not a program."""


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """The command, of which `command` makes the parser."""
    about = "list, create and remove volumes: directories of the store that outlive containers, for run -v NAME:DST"
    usage = "(ls | create NAME... | rm NAME... | prune)"
    parser = command("volume", _volume, about, usage, late="names")
    about = "prune removes all that no container uses, with their files"
    parser.add_argument("what", metavar="ls|create|rm|prune", choices=tuple(_ACTS), help=about)
    parser.add_argument("names", metavar="NAME", nargs="*", default=[], help="names of volumes")
    parser.add_argument("-q", "--quiet", action="store_true", help="ls: only names")
    parser.add_argument("-f", "--force", action="store_true", help="prune: don't ask")


def _volume(options: argparse.Namespace) -> int:
    act, takes_names = _ACTS[options.what]
    if takes_names != bool(options.names):
        options.parser.error(f"{options.what} takes {'the names of volumes' if takes_names else 'no names'}")
    return act(options)


def _ls(options: argparse.Namespace) -> int:
    found = volumes()
    if options.quiet:
        print(*(each.name for each in found), sep="\n", end="\n" if found else "")
        return 0
    table([("NAME", "SIZE", "PATH"), *((each.name, amount(each.size), each.path) for each in found)])
    return 0


def _create(options: argparse.Namespace) -> int:
    for name in options.names:
        print(volume(name).name)
    return 0


def _rm(options: argparse.Namespace) -> int:
    """One that fails keeps it from none of the others."""
    status = 0
    for name in options.names:
        try:
            Volume(name).remove()
        except (Error, ValueError) as error:
            print(f"libctr: {error}", file=sys.stderr)
            status = _FAILED
    return status


def _prune(options: argparse.Namespace) -> int:
    if not options.force:
        if not os.isatty(0):
            options.parser.error("prune removes files that nothing can make again: say so by -f")
        print("This removes all volumes that no container uses, with their files. Go on? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 1
    removed = prune_volumes()
    print(*removed, sep="\n", end="\n" if removed else "")
    return 0


_ACTS = {"ls": (_ls, False), "create": (_create, True), "rm": (_rm, True), "prune": (_prune, False)}
