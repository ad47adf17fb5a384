"""Archives' ends on the host: a path, a file object or a descriptor."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._types import Readable, Writable


@contextlib.contextmanager
def reading(source: Readable) -> Iterator[tuple[Any, int]]:
    """What `_ctr` reads, a path or an object with `read`, and how many bytes that will be (0: nobody knows)."""
    if isinstance(source, int):
        with open(source, "rb", buffering=0, closefd=False) as file:
            yield file, _left(file)
    elif hasattr(source, "read"):
        yield source, _left(source)
    else:
        yield source, 0


@contextlib.contextmanager
def writing(target: Writable) -> Iterator[Any]:
    """What `_ctr` writes to: a path, or an object with `write`."""
    if isinstance(target, int):
        with open(target, "wb", closefd=False) as file:
            yield file
    else:
        yield target
        if hasattr(target, "flush"):
            target.flush()


def _left(file: Any) -> int:
    """Bytes from here to the end of a file on disk; only there is the number of bytes to be read its size."""
    if isinstance(file, io.BytesIO):
        return max(0, file.getbuffer().nbytes - file.tell())
    if not isinstance(file, (io.FileIO, io.BufferedReader, io.BufferedRandom)):
        return 0
    try:
        about = os.fstat(file.fileno())
        return max(0, about.st_size - file.tell()) if stat.S_ISREG(about.st_mode) else 0
    except (OSError, ValueError):
        return 0


def place(store_dir: Any) -> str | None:
    """A store's directory as `_ctr` takes it."""
    return None if store_dir is None else os.fsdecode(store_dir)
