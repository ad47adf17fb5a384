"""`Popen.communicate`: input, output and end of a program at the same time, without threads and without deadlock."""

from __future__ import annotations

import contextlib
import os
import select
import time
import weakref
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, Any

from ._exit import OF_A_LIMIT
from ._terminal import VEOF

if TYPE_CHECKING:
    from ._popen import Popen

# A pipe holds this much as long as nobody asks for more; proc(5), pipe-max-size.
_PIPE = 1 << 20
_CHUNK = 64 * 1024
# Milliseconds that a signal may have to wait for.
_SLICE = 500


class Conversation:
    """What was sent and read so far; it outlives a time-out, so that the next call can go on."""

    def __init__(self, process: Popen[Any], input: Any) -> None:
        # The process holds us; to hold it in turn would keep its descriptors open until the next garbage collection.
        self._process: Popen[Any] = weakref.proxy(process)
        self._input = input
        self._inward: Any = process.stdin if process.pty is None else process.pty
        self._outward: tuple[Any, Any] = (process.stdout if process.pty is None else process.pty, process.stderr)
        self._unsent: memoryview | None = None
        self._chunks: tuple[list[bytes], list[bytes]] = ([], [])
        self._results: tuple[Any, Any] | None = None

    def hold(self, timeout: float | None) -> tuple[Any, Any]:
        """All of it, or `TimeoutExpired`."""
        if self._results is None:
            pipes = [stream for stream in {self._inward, *self._outward} if stream is not None]
            alone = len(pipes) <= 1 and self._process.pty is None and not self._process.has_time_limit
            if alone and timeout is None and self._unsent is None:
                self._results = self._simply()
            else:
                deadline = None if timeout is None else time.monotonic() + timeout
                try:
                    self._in_turns(deadline)
                except TimeoutError:
                    assert timeout is not None
                    # As in subprocess, the output so far is bytes, also where the pipes carry text.
                    stdout, stderr = (b"".join(chunks) or None for chunks in self._chunks)
                    raise TimeoutExpired(self._process.args, timeout, stdout, stderr) from None
                self._results = self._decoded(0), self._decoded(1)
        return self._results

    def _simply(self) -> tuple[Any, Any]:
        """With one pipe at most nothing can block another: plain blocking reads and writes, without poll."""
        if self._inward is not None:
            _send_all(self._inward, self._input)
        output: list[Any] = [None, None]
        for index, stream in enumerate(self._outward):
            if stream is not None:
                with stream:
                    output[index] = stream.read()
        self._process.wait()
        return output[0], output[1]

    def _in_turns(self, deadline: float | None) -> None:
        """poll(2) says which pipe can go on."""
        if self._unsent is None:
            self._unsent = self._prepare()
        poller = select.poll()
        reading = {
            stream.fileno(): (stream, chunks)
            for stream, chunks in zip(self._outward, self._chunks)
            if stream is not None and not stream.closed
        }
        for fd in reading:
            poller.register(fd, select.POLLIN)
        writing: int | None = None
        if self._unsent and not self._inward.closed:
            writing = self._inward.fileno()
            os.set_blocking(writing, False)
            poller.register(writing, select.POLLOUT | (select.POLLIN if writing in reading else 0))
        # What the program has started may hold its pipes open. As in subprocess that is waited for, but not beyond a
        # time limit.
        ended = self._process.fileno() if self._process.has_time_limit else -1
        if ended >= 0:
            poller.register(ended, select.POLLIN)
        try:
            while reading or writing is not None:
                for fd, event in poller.poll(milliseconds(deadline)):
                    if fd == ended and self._process.poll() is not None:
                        poller.unregister(ended)
                        parts = self._process.exit_parts
                        if parts is not None and parts[2] in OF_A_LIMIT:
                            self._read_what_is_there(reading)
                            reading, writing = {}, None
                            break
                    if fd == writing and event & (select.POLLOUT | select.POLLERR) and not self._send(fd):
                        writing = None
                        self._sent(poller, fd)
                    if fd in reading and event & ~select.POLLOUT and not self._receive(fd, reading[fd][1]):
                        poller.unregister(fd)
                        reading.pop(fd)[0].close()
                        writing = None if fd == writing else writing
        finally:
            if writing is not None:
                os.set_blocking(writing, True)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            self._process.wait(left)
        except TimeoutExpired:
            raise TimeoutError from None

    def _prepare(self) -> memoryview:
        """What is to be sent, as bytes; without any, stdin is closed."""
        process, data = self._process, self._input
        if process.stdin is not None and not process.stdin.closed:
            try:
                process.stdin.flush()
            except BrokenPipeError:
                pass
            if not data:
                _close(process.stdin)
        if self._inward is None or not data:
            return memoryview(b"")
        if isinstance(data, str):
            if not process.text_mode:
                raise TypeError("input must be bytes-like, not str")
            data = data.encode(*process.codec(process.stdin))
        if process.pty is not None:
            data = bytes(data) + end_of_typing(data)
        return memoryview(data).cast("B")

    def _send(self, fd: int) -> bool:
        """Writes what the pipe takes; whether there is more to be sent."""
        assert self._unsent is not None
        try:
            self._unsent = self._unsent[os.write(fd, self._unsent[:_CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._unsent = self._unsent[:0]
        return bool(self._unsent)

    def _sent(self, poller: select.poll, fd: int) -> None:
        """All is sent: a pipe is closed, a terminal goes on being read."""
        if self._process.pty is None:
            poller.unregister(fd)
            _close(self._inward)
        else:
            os.set_blocking(fd, True)
            poller.modify(fd, select.POLLIN)

    def _read_what_is_there(self, reading: dict[int, tuple[Any, list[bytes]]]) -> None:
        """Nobody is waited for any more."""
        for fd, (stream, chunks) in reading.items():
            os.set_blocking(fd, False)
            with contextlib.suppress(OSError):
                # EIO of a terminal, EAGAIN of a pipe.
                chunks.append(os.read(fd, _PIPE))
            stream.close()
        for stream in (self._inward, self._process.stdin):
            if stream is not None:
                _close(stream)

    def _receive(self, fd: int, chunks: list[bytes]) -> bool:
        """Reads what is there; whether there may be more to come."""
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            # EIO: the last program on the terminal has closed it.
            if self._process.pty is None:
                raise
            return False
        chunks.append(chunk)
        return bool(chunk)

    def _decoded(self, index: int) -> Any:
        stream, data = self._outward[index], b"".join(self._chunks[index])
        if stream is None:
            return None
        if not self._process.text_mode:
            return data
        return decoded(data, self._process.codec(stream))


def decoded(data: bytes, codec: tuple[str, str]) -> str:
    """What a program has written, as text: by its encoding and error handler, with newlines as Python has them."""
    return data.decode(*codec).replace("\r\n", "\n").replace("\r", "\n")


def end_of_typing(data: bytes) -> bytes:
    """What is typed behind `data` to end it: within a line the first one only sends the line so far, termios(3)."""
    return VEOF if data[-1:] == b"\n" else VEOF * 2


def milliseconds(deadline: float | None) -> int:
    """Until `deadline`, as poll takes it, but half a second at most: a signal just before it would not end it."""
    if deadline is None:
        return _SLICE
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return min(int(left * 1000) + 1, _SLICE)


def _send_all(stdin: Any, data: Any) -> None:
    """Writes and closes; a program that does not read to the end is no error."""
    try:
        if data:
            stdin.write(data)
    except BrokenPipeError:
        pass
    _close(stdin)


def _close(stream: Any) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        pass
