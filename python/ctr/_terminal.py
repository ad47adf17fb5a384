"""Terminals: the master side of a program's pty, and our own terminal in its hands."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._popen import Popen

_CHUNK = 16 * 1024
# What a person types to end the input, termios(3).
VEOF = b"\x04"
# How often we look whether our terminal has another size. The kernel tells by SIGWINCH, but signals are the program's
# that we are a guest of.
_LOOK = 250


class Terminal(io.FileIO):
    """The master side of a pty, unbuffered: what is written is typed, what is read was shown.

    Linux answers EIO when the last program has closed its side; here that is the end of the file.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, as soon as there are any; b"" when no program has the terminal any more."""
        if size is None or size < 0:
            return self.readall()
        try:
            return super().read(size) or b""
        except OSError as error:
            return _end(error)

    def readall(self) -> bytes:
        """All that is shown until no program has the terminal any more."""
        return b"".join(iter(lambda: self.read(_CHUNK), b""))


def set_size(fd: int, rows: int, cols: int) -> None:
    """TIOCSWINSZ of ioctl_tty(2): the program on the terminal gets SIGWINCH."""
    import fcntl
    import struct
    import termios

    if not (0 <= rows < 1 << 16 and 0 <= cols < 1 << 16):
        raise OverflowError(f"a terminal has 0 to 65535 rows and columns, not {(rows, cols)!r}")
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def relay(process: Popen[Any], timeout: float | None = None) -> None:
    """Lend our terminal (descriptors 0 and 1) to `process` until it ends; the terminal is as before afterwards."""
    assert process.pty is not None
    master, deadline = process.pty.fileno(), None if timeout is None else time.monotonic() + timeout
    os.set_blocking(master, False)
    poller = select.poll()
    poller.register(0, select.POLLIN)
    poller.register(master, select.POLLIN)
    poller.register(process.fileno(), select.POLLIN)
    typed = b""
    size = fit(process, None)
    with _raw(0):
        while process.poll() is None:
            if deadline is not None and time.monotonic() >= deadline:
                # Not reached before the deadline: this raises TimeoutExpired.
                process.wait(0)
            poller.modify(master, select.POLLIN | (select.POLLOUT if typed else 0))
            for fd, event in poller.poll(_LOOK):
                if fd == 0:
                    keys = os.read(0, _CHUNK)
                    if not keys:
                        poller.unregister(0)
                    typed += keys or VEOF
                elif fd == master and event & select.POLLOUT:
                    typed = _type(master, typed)
                if fd == master and event & ~select.POLLOUT and not _show(master):
                    # No program has the terminal open; the end of the process is all that is left to wait for.
                    poller.unregister(master)
                    process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
                    return
            size = fit(process, size)
        while _show(master):
            pass


@contextlib.contextmanager
def _raw(fd: int) -> Iterator[None]:
    """A terminal hands each key through at once; whatever happens, it is as before afterwards."""
    if not os.isatty(fd):
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSADRAIN)
        yield
    finally:
        # One that was hung up has nothing to be restored.
        with contextlib.suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


def fit(process: Popen[Any], known: os.terminal_size | None = None) -> os.terminal_size | None:
    """Gives the program's terminal the size of ours, where that has changed."""
    try:
        size = os.get_terminal_size(0)
    except OSError:
        return known
    if size != known and size.lines and size.columns:
        process.resize(size.lines, size.columns)
    return size


def _type(master: int, keys: bytes) -> bytes:
    """Writes what the terminal takes; the rest."""
    try:
        return keys[os.write(master, keys[:_CHUNK]) :]
    except BlockingIOError:
        return keys


def _show(master: int) -> bool:
    """Copies what is there to our output; whether there was anything."""
    try:
        shown = os.read(master, _CHUNK)
    except BlockingIOError:
        return False
    except OSError as error:
        shown = _end(error)
    left = memoryview(shown)
    while left:
        left = left[os.write(1, left) :]
    return bool(shown)


def _end(error: OSError) -> bytes:
    if error.errno != errno.EIO:
        raise error
    return b""
