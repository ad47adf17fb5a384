"""`ctr.aio.Process`: a program in a container, with the interface of `asyncio.subprocess.Process`."""

from __future__ import annotations

import contextlib
import os
import signal as _signal
from collections.abc import AsyncIterator
from subprocess import TimeoutExpired
from typing import IO, TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import checkpoint

from ._aio_threads import in_thread, until_done
from ._communicate import end_of_typing
from ._exit import OF_A_LIMIT, Exit
from ._popen import Popen

if TYPE_CHECKING:
    from types import TracebackType

    from ._types import Argv, Self

_CHUNK = 64 * 1024
# What a pipe that nobody has enlarged holds at most; proc(5), pipe-max-size.
_PIPE = 1 << 20
# How long a line may be, as in asyncio.
_LINE = 64 * 1024
# How often the end is looked for beside what PID 1 says, in seconds, as `Popen.wait` does.
_LOOK = 0.5
# How long one that was killed is waited for in one go: a wait of this length looks why it does not die, and lends it
# processor time for that.
_DYING = 2.0


class StreamReader:
    """What a program writes, with the interface of `asyncio.StreamReader`."""

    def __init__(self, file: IO[bytes]) -> None:
        """Reads the file, which is closed at its end."""
        self._file = file
        self._buffer = bytearray()
        self._end = False
        os.set_blocking(file.fileno(), False)

    def at_eof(self) -> bool:
        """Whether the end was read and nothing is buffered."""
        return self._end and not self._buffer

    async def read(self, n: int = -1) -> bytes:
        """At most `n` bytes, as soon as there are any; all until the end for -1. b"" at the end."""
        if n == 0:
            return b""
        if n < 0:
            while not self._end:
                await self._fill()
            return self._taken(len(self._buffer))
        if not self._buffer and not self._end:
            await self._fill()
        return self._taken(n)

    async def readexactly(self, n: int) -> bytes:
        """`n` bytes; `EOFError`, an `asyncio.IncompleteReadError`, if the end comes before."""
        while len(self._buffer) < n and not self._end:
            await self._fill()
        if len(self._buffer) < n:
            from asyncio import IncompleteReadError

            raise IncompleteReadError(self._taken(n), n)
        return self._taken(n)

    async def readline(self) -> bytes:
        """A line with its newline; what is left at the end, and b"" after that. `ValueError` if it is over 64 KiB."""
        searched = 0
        while (found := self._buffer.find(b"\n", searched)) < 0 and not self._end:
            searched = len(self._buffer)
            if searched > _LINE:
                raise ValueError(f"a line of more than {_LINE} bytes")
            await self._fill()
        return self._taken(found + 1 if found >= 0 else len(self._buffer))

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Line by line."""
        return self

    async def __anext__(self) -> bytes:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    def read_what_is_there(self) -> bytes:
        """What is buffered and what can be read at once; nothing is read after it."""
        # No more than lies there now: somebody may go on writing.
        left = len(self._buffer) + _PIPE
        try:
            while not self._end and len(self._buffer) < left:
                self._receive()
        except BlockingIOError:
            pass
        self.close()
        return self._taken(len(self._buffer))

    def close(self) -> None:
        """Read no more."""
        self._end = True
        self._file.close()

    async def _fill(self) -> None:
        while not self._end:
            # A program that writes faster than we read would leave the loop no turn otherwise, and no time-out.
            await checkpoint()
            try:
                self._receive()
            except BlockingIOError:
                await anyio.wait_readable(self._file.fileno())
            else:
                return

    def _receive(self) -> None:
        try:
            chunk = os.read(self._file.fileno(), _CHUNK)
        except BlockingIOError:
            raise
        except OSError:
            # EIO of a terminal: the last program on it has closed it.
            chunk = b""
        self._buffer += chunk
        if not chunk:
            self.close()

    def _taken(self, n: int) -> bytes:
        taken = bytes(self._buffer[:n])
        del self._buffer[:n]
        return taken


class StreamWriter:
    """What a program reads, with the interface of `asyncio.StreamWriter`."""

    def __init__(self, file: IO[bytes]) -> None:
        """Writes the file."""
        self._file = file
        self._unsent = bytearray()
        os.set_blocking(file.fileno(), False)

    def write(self, data: bytes) -> None:
        """Have it sent; `drain` waits for that."""
        self._unsent += data

    def writelines(self, data: Any) -> None:
        """Have each of them sent."""
        for piece in data:
            self.write(piece)

    async def drain(self) -> None:
        """Wait until all is sent; `BrokenPipeError` if the program reads no more."""
        while self._unsent:
            await checkpoint()
            try:
                sent = os.write(self._file.fileno(), self._unsent[:_CHUNK])
            except BlockingIOError:
                await anyio.wait_writable(self._file.fileno())
            else:
                del self._unsent[:sent]

    def close(self) -> None:
        """Send no more. What `drain` has not sent is lost."""
        self._unsent.clear()
        self._file.close()

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._file.closed

    async def wait_closed(self) -> None:
        """Returns at once: `close` is all there is to do."""


class Process:
    """A program started in a container: the interface of `asyncio.subprocess.Process`.

    `stdin` is a stream to write to, `stdout` and `stderr` are streams to read, where a pipe was asked for. With a
    terminal (`pty`) it is both `stdin` and `stdout`. `popen` is the `ctr.Popen` beneath.
    """

    def __init__(self, popen: Popen[bytes]) -> None:
        """Use `ctr.aio.Container.popen`."""
        self.popen = popen
        inward, outward = popen.stdin or popen.pty, popen.stdout or popen.pty
        self.stdin = None if inward is None else StreamWriter(inward)
        self.stdout = None if outward is None else StreamReader(outward)
        self.stderr = None if popen.stderr is None else StreamReader(popen.stderr)
        self._read: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._killed = False
        # Two tasks can't wait for one descriptor.
        self._waiting = anyio.Lock()

    @property
    def output(self) -> tuple[bytes | None, bytes | None]:
        """What `communicate` has read so far, of stdout and stderr; None for what is no pipe."""
        stdout, stderr = (
            None if stream is None else bytes(read) for stream, read in zip((self.stdout, self.stderr), self._read)
        )
        return stdout, stderr

    @property
    def args(self) -> Argv:
        """What was started."""
        return self.popen.args

    @property
    def pid(self) -> int:
        """Its pid on the host."""
        return self.popen.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, -N where signal N ended it, None while it runs or before anybody has waited."""
        return self.popen.returncode

    @property
    def exit(self) -> Exit | None:
        """How it ended and what it used; None while it runs."""
        return self.popen.exit

    async def wait(self) -> int:
        """Wait until it ends; its returncode. Any number of tasks may."""
        async with self._waiting:
            while self.popen.poll() is None:
                with anyio.move_on_after(_LOOK):
                    await anyio.wait_readable(self.popen.fileno())
                    if self.popen.poll() is None:
                        # PID 1 has gone without a word: the process itself is what is left to look at.
                        await anyio.sleep(_LOOK)
                if self._killed and self.popen.poll() is None:
                    with contextlib.suppress(TimeoutExpired):
                        await in_thread(lambda check: self.popen.wait(_DYING))
        assert self.popen.returncode is not None
        return self.popen.returncode

    async def communicate(self, input: bytes | None = None) -> tuple[bytes | None, bytes | None]:
        """Send `input`, read all output, wait for the end: (stdout, stderr), None for what is no pipe."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._send, input)
            for stream, read in zip((self.stdout, self.stderr), self._read):
                if stream is not None:
                    group.start_soon(self._receive, stream, read)
            if await self.wait() is not None and self._ran_out_of_time():
                # What it has started may hold its pipes open. As in `run`, nobody waits for that beyond a time limit.
                group.cancel_scope.cancel()
        for stream, read in zip((self.stdout, self.stderr), self._read):
            if stream is not None and not stream.at_eof():
                read += stream.read_what_is_there()
        return self.output

    def _ran_out_of_time(self) -> bool:
        return self.popen.exit_parts is not None and self.popen.exit_parts[2] in OF_A_LIMIT

    async def _send(self, data: bytes | None) -> None:
        if self.stdin is None or self.stdin.is_closing():
            return
        if data:
            self.stdin.write(data if self.popen.pty is None else data + end_of_typing(data))
        try:
            await self.stdin.drain()
        except OSError:
            # A program that doesn't read to the end is no error.
            pass
        if self.popen.pty is None:
            self.stdin.close()

    async def _receive(self, stream: StreamReader, read: bytearray) -> None:
        while chunk := await stream.read(_CHUNK):
            read += chunk

    def send_signal(self, signal: int) -> None:
        """Send it a signal; does nothing if it has ended."""
        self._note(signal)
        self.popen.send_signal(signal)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.popen.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(_signal.SIGKILL)

    def kill_group(self, signal: int = _signal.SIGKILL) -> None:
        """Send a signal to all of its process group, also when it has ended itself."""
        self._note(signal)
        self.popen.kill_group(signal)

    def _note(self, signal: int) -> None:
        self._killed = self._killed or signal == _signal.SIGKILL

    async def abandon(self) -> None:
        """Kill it with its process group, and close our ends."""
        await until_done(self.popen.abandon)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            await self.abandon()
            return
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream is not None:
                stream.close()
        await self.wait()

    def __repr__(self) -> str:
        return f"<ctr.aio.Process {self.pid} returncode: {self.returncode}>"
