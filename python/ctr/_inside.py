"""Files of a running container, for which no program is started inside: these functions are methods of `Container`."""

from __future__ import annotations

import builtins
import os
import shutil
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from ._types import Path, Readable, Writable


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
    with builtins.open(path, "rb", buffering=0, opener=lambda *_: fd) as file:
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


def copy_in(self: Any, source: Readable, target: Path, *, archive: bool = False) -> None:
    """Copy a file or tree of the host into the container while it runs, as `docker cp`; no program is started inside.

        >>> c.copy_in("site", "/var/www")       # /var/www/site, if /var/www is there
        >>> c.copy_in("site/.", "/var/www")     # what is in site

    Modes and times, symbolic and hard links, holes and FIFOs are kept; sockets are left out, a device is an error. A
    file in the way is replaced, a link there is not followed, a directory is filled. Programs inside can't have it go
    elsewhere, whatever they swap meanwhile. `ctr.Error` if it fails: what was copied before is there then, and no half
    of a file.

    Args:
        self: The container.
        source: A path on the host. Or a tar archive, not compressed: a file object or a descriptor, whose files go into
            the directory `target`.
        target: A path inside: a directory to copy into, or the name of what is made, in a directory that is there.
        archive: Keep the owners, as far as the container has these ids; otherwise files belong to root inside.
    """
    if isinstance(source, (str, bytes, os.PathLike)):
        self._native.copy_in(source, None, target, archive)
        return
    fd = _descriptor(source)
    if fd is not None:
        self._native.copy_in("", fd, target, archive)
        return
    with _spool() as file:
        shutil.copyfileobj(cast("IO[bytes]", source), file)
        file.seek(0)
        self._native.copy_in("", file.fileno(), target, archive)


def copy_out(self: Any, source: Path, target: Writable, *, archive: bool = False) -> None:
    """Copy a file or tree of the container to the host while it runs: `copy_in` the other way round.

        >>> c.copy_out("/var/log", "logs")

    What is mounted there is a part of it, but for the kernel's own file systems, as /proc. Programs inside have chosen
    how much it is and what the names are; none leads out of `target`.

    Args:
        self: The container.
        source: A path inside.
        target: A path on the host. Or a file object or a descriptor, which gets a tar archive with owners as they are
            inside.
        archive: Keep owners, with the ids that they have inside, and set-user-ID bits, which takes root; otherwise
            files are the caller's, and none is set-user-ID.
    """
    if isinstance(target, (str, bytes, os.PathLike)):
        self._native.copy_out(source, target, None, archive)
        return
    fd = _descriptor(target)
    if fd is not None:
        if not isinstance(target, int):
            cast("IO[bytes]", target).flush()
        self._native.copy_out(source, "", fd, archive)
        return
    with _spool() as file:
        self._native.copy_out(source, "", file.fileno(), archive)
        file.seek(0)
        shutil.copyfileobj(file, cast("IO[bytes]", target))


def _descriptor(file: Any) -> int | None:
    """Its descriptor, if that is a file whose bytes are those of the object: not so of a gzip.GzipFile."""
    import io

    if isinstance(file, int):
        return file
    buffered = isinstance(file, (io.BufferedReader, io.BufferedWriter, io.BufferedRandom))
    if not isinstance(file.raw if buffered else file, io.FileIO):
        return None
    fd: int = file.fileno()
    if file.seekable():
        # It has read ahead, perhaps.
        os.lseek(fd, file.tell(), os.SEEK_SET)
    return fd


def _spool() -> IO[bytes]:
    import tempfile

    return tempfile.TemporaryFile(prefix="ctr-copy-")
