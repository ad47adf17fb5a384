"""`libctr mount`, `umount`, `mounts`, `apply` and `discard`: what a running container sees, and what becomes of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ._cli_options import DISK, disk, scratch, tmpfs, written
from ._containers import join
from ._errors import Error
from ._words import printable, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_FAILED = 125
"""As docker: the command failed, and not a program."""


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands, of which `command` makes parsers."""
    about = (
        "show a host path, a volume, a disk, an image or a tmpfs inside a running container; programs see it at once"
    )
    kinds = f"SRC:DST[:ro] | --tmpfs DST[:SIZE] | --disk {DISK} | --scratch SRC:DST | --mount …"
    mounted = command("mount", _mount, about, f"NAME ({kinds})")
    mounted.add_argument("name", metavar="NAME", help="the name of the container")
    mounted.add_argument("mount", metavar="SRC:DST[:ro]", nargs="?", help="as for run -v")
    mounted.add_argument("--tmpfs", metavar="DST[:SIZE]", type=tmpfs, help="as for run --tmpfs")
    mounted.add_argument("--disk", metavar=DISK, help="as for run --disk")
    mounted.add_argument("--mount", metavar="type=…,…", dest="written", type=written, help="as for run --mount")
    mounted.add_argument("--scratch", metavar="SRC:DST", type=scratch, help="as for run --scratch")

    unmounted = command("umount", _umount, "take off what -v, --tmpfs or libctr mount has mounted in a container")
    unmounted.add_argument("name", metavar="NAME", help="the name of the container")
    unmounted.add_argument("targets", metavar="DST", nargs="+", help="where it is mounted inside")
    about = "also while programs use it: it is gone for all others, and ends with its last use"
    unmounted.add_argument("-l", "--lazy", action="store_true", help=about)

    applied = command(
        "apply", _apply, "carry the changes beneath a scratch mount over to the host: A, C and D as for diff"
    )
    applied.add_argument("name", metavar="NAME", help="the name of the container")
    applied.add_argument("target", metavar="DST", help="where it is mounted inside")
    about = "what was changed on the host too: refuse applies nothing, keep leaves it, overwrite replaces it"
    applied.add_argument("--conflicts", choices=("refuse", "keep", "overwrite"), default="refuse", help=about)

    discarded = command("discard", _discard, "drop the changes beneath a scratch mount")
    discarded.add_argument("name", metavar="NAME", help="the name of the container")
    discarded.add_argument("target", metavar="DST", help="where it is mounted inside")

    listed = command("mounts", _mounts, "list what was mounted in a running container, when it was made and since")
    listed.add_argument("name", metavar="NAME", help="the name of the container")


def _mounts(options: argparse.Namespace) -> int:
    with join(options.name) as container:
        given = container.mounts()
    rows = [("TARGET", "SOURCE", "KIND", "MODE", "MOUNTED")]
    for it in given:
        since = "while it ran" if it.live else "with it"
        rows.append((it.target, it.source or "-", it.kind, "ro" if it.read_only else "rw", since))
    table(rows)
    return 0


def _mount(options: argparse.Namespace) -> int:
    try:
        typed = None if options.disk is None else disk(options.disk)
    except ValueError as error:
        options.parser.error(str(error))
    given = [options.mount, options.tmpfs, typed, options.scratch, options.written]
    given = [each for each in given if each is not None]
    if len(given) != 1:
        options.parser.error("one of SRC:DST[:ro], --tmpfs, --disk, --scratch and --mount says what is mounted")
    with join(options.name) as container:
        container.mount(given[0])
    return 0


def _apply(options: argparse.Namespace) -> int:
    with join(options.name) as container:
        applied = container.apply(options.target, conflicts=options.conflicts)
    for path, change in applied.changes:
        print(change[0].upper(), printable(path))
    for path, _ in applied.conflicts:
        print(f"libctr: changed on the host as well, and left alone: {printable(path)}", file=sys.stderr)
    for path, _ in applied.left_out:
        print(f"libctr: a device or socket, left out: {printable(path)}", file=sys.stderr)
    return _FAILED if applied.conflicts else 0


def _discard(options: argparse.Namespace) -> int:
    with join(options.name) as container:
        container.discard(options.target)
    return 0


def _umount(options: argparse.Namespace) -> int:
    """One that fails keeps it from none of the others."""
    status = 0
    with join(options.name) as container:
        for target in options.targets:
            try:
                container.unmount(target, lazy=options.lazy)
            except Error as error:
                print(f"libctr: {error}", file=sys.stderr)
                status = _FAILED
    return status
