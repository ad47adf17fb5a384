"""Files of a running container, for which no program is started inside: these functions are methods of `Container`."""

from __future__ import annotations

import builtins
import os
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._types import Path


def open(
    self: Any,
    path: Path,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    *,
    user: str | int | None = None,
    permissions: int = 0o644,
) -> IO[Any]:
    """Open a file of the container, as the builtin `open`, without a program inside: an image without a shell will do.

        >>> with c.open("/etc/app.conf", "w") as f:
        ...     f.write("debug = true")

    The path begins at the container's root, and links are followed within the container only, whatever programs inside
    do to directories meanwhile. A FIFO, a device, a socket and the kernel's own files (of /proc and /sys) are refused
    with EOPNOTSUPP, and none of them is waited for. It works in a paused container. Programs inside can change a file
    while it is read: don't trust what it says.

    It takes about 0.1 ms; the first time, after some seconds, and with a `user` as long as it takes to start a
    program. `ctr.Error`, which is the `OSError` that `open` would raise: `FileNotFoundError`, `PermissionError`,
    `IsADirectoryError` and so on. The file stays open when the container ends.

    Args:
        self: The container.
        path: A path inside.
        mode: As for `open`: "r", "wb", "a+", "x" and so on.
        buffering: As for `open`, and so are `encoding`, `errors` and `newline`.
        encoding: See there.
        errors: See there.
        newline: See there.
        user: Whose rights count and whom a new file belongs to, as for `run`; None is root inside.
        permissions: The permission bits of a new file.
    """

    def opener(path: Any, flags: int) -> int:
        fd: int = self._native.open(path, flags, permissions, None if user is None else str(user))
        return fd

    return builtins.open(path, mode, buffering, encoding, errors, newline, opener=opener)


def read_bytes(self: Any, path: Path, *, user: str | int | None = None) -> bytes:
    """What is in a file of the container. It may be as large as programs inside make it."""
    fd: int = self._native.open(path, os.O_RDONLY, 0, None if user is None else str(user))
    with builtins.open(fd, "rb", buffering=0) as file:
        return file.readall()


def write_bytes(self: Any, path: Path, data: Any, *, user: str | int | None = None, permissions: int = 0o644) -> int:
    """Write a file of the container, which is made if it is missing; how many bytes that are.

    What was in it is gone first: if the file system is full, a part of the data is in it then.

    Args:
        self: The container.
        path: A path inside.
        data: `bytes`, or what is like it.
        user: As for `open`.
        permissions: As for `open`; a file that is there keeps its own.
    """
    with self.open(path, "wb", user=user, permissions=permissions) as file:
        written: int = file.write(data)
    return written


def listdir(self: Any, path: Path = "/") -> list[str]:
    """The names in a directory of the container, in no order. Undecodable bytes are as in `os.listdir`."""
    names: list[str] = self._native.list_dir(path)
    return names


def stat(self: Any, path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
    """What `os.stat` tells, of a file of the container: owners are as they are inside.

    Args:
        self: The container.
        path: A path inside. FIFOs, devices and the kernel's files are looked at as well.
        follow_symlinks: Otherwise a link at the path is told of itself.
    """
    first, times, (blksize, blocks, rdev) = self._native.stat(path, follow_symlinks)
    more: dict[str, float] = {"st_blksize": blksize, "st_blocks": blocks, "st_rdev": rdev}
    for name, (seconds, nanoseconds) in zip(("st_atime", "st_mtime", "st_ctime"), times):
        more[name] = seconds + nanoseconds / 1e9
        more[f"{name}_ns"] = seconds * 10**9 + nanoseconds
    return os.stat_result((*first, *(seconds for seconds, _ in times)), more)
