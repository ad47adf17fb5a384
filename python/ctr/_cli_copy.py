"""`libctr cp`: files and trees into a running container and out of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ._containers import join

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """The command, of which `command` makes a parser."""
    about = "copy files and trees into a running container or out of it, as docker cp"
    copied = command("cp", _copy, about, "[-a] SRC NAME:DST | [-a] NAME:SRC DST")
    about = "a path, or NAME:PATH in a container; - is a tar archive on standard input or output"
    copied.add_argument("source", metavar="SRC", help=about)
    copied.add_argument(
        "target", metavar="DST", help="likewise; it names a directory to copy into, or a new file or directory"
    )
    copied.add_argument(
        "-a",
        "--archive",
        action="store_true",
        help="keep owners, which takes root, and set-user-ID bits on the way out",
    )


def _copy(options: argparse.Namespace) -> int:
    source, target = _inside(options.source), _inside(options.target)
    if (source is None) == (target is None):
        options.parser.error("one of the two is NAME:PATH, in a container; write ./a:b for a path with a colon")
    if target is not None:
        name, path = target
        with join(name) as container:
            given = sys.stdin.buffer if options.source == "-" else options.source
            container.copy_in(given, path, archive=options.archive)
    elif source is not None:
        name, path = source
        with join(name) as container:
            wanted = sys.stdout.buffer if options.target == "-" else options.target
            container.copy_out(path, wanted, archive=options.archive)
    return 0


def _inside(text: str) -> tuple[str, str] | None:
    """Container and path; None for a path of the host, as one that begins with a slash or a dot."""
    name, colon, path = text.partition(":")
    if not colon or not name or name.startswith(("/", ".")) or "/" in name:
        return None
    return name, path
