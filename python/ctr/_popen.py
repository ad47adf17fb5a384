"""`Popen`: a program started in a container, with the interface of `subprocess.Popen`."""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal as _signal
import sys
import time
from subprocess import SubprocessError, TimeoutExpired
from typing import IO, TYPE_CHECKING, Any, AnyStr, Generic

from ._communicate import Conversation, milliseconds
from ._errors import invalid
from ._exit import Exit, Parts, exit_from
from ._spawn import argument_list, check_bufsize, check_idle, exec_options
from ._terminal import Terminal, set_size

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from . import _ctr
    from ._types import Argv, Environment, Fds, Path, Pty, Self, Stream, User

# A pid that no process ever has: above PID_MAX_LIMIT of the kernel's linux/threads.h.
_NOBODY = 2**31 - 1
# How long a program may clean up after Ctrl-C before we go on, as in subprocess.
CLEAN_UP = 0.25


class Popen(Generic[AnyStr]):
    """A program started in a container: the interface of `subprocess.Popen`.

    `stdin`, `stdout`, `stderr` are file objects where a pipe was asked for, `args` what was started, `returncode` its
    exit code, or -N where signal N ended it, and None while it runs. `pid` is its pid on the host, which is what
    `os.kill` and its like take; as in `subprocess` it may be another's once this process has ended. Beyond that, `exit`
    says why it ended and what it used, `pty` is its terminal, and `fileno()` lets an event loop wait for it.

    It is no subclass of `subprocess.Popen`, since what it has started is no child of this process.
    """

    def __init__(
        self,
        container: _ctr.Container,
        args: Argv,
        bufsize: int | None = -1,
        executable: Path | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        preexec_fn: None = None,
        close_fds: bool | None = True,
        shell: bool = False,
        cwd: Path | None = None,
        env: Environment | None = None,
        universal_newlines: bool | None = None,
        startupinfo: None = None,
        creationflags: int = 0,
        restore_signals: bool | None = True,
        start_new_session: bool = True,
        pass_fds: Fds = (),
        *,
        user: User = None,
        group: User = None,
        extra_groups: Iterable[str | int] | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        text: bool | None = None,
        umask: int = -1,
        pipesize: int = -1,
        process_group: int | None = None,
        extra_env: Environment | None = None,
        pty: Pty = False,
        time_limit: float | None = None,
        cpu_time_limit: float | None = None,
        start_timeout: float | None = None,
    ) -> None:
        """Start a program. Use `Container.popen`.

        Args:
            container: Where.
            args: The program and its arguments; the program is looked up in the PATH inside.
            bufsize: As `open` has it, for the pipes.
            executable: What is run in the place of `args[0]`, or of /bin/sh with `shell`.
            stdin: None (the caller's own), PIPE, DEVNULL, a file object or a descriptor.
            stdout: The same.
            stderr: The same, or STDOUT.
            preexec_fn: Only None: no code of this program runs inside.
            close_fds: Only True: no descriptor of ours is open inside but those of `pass_fds`.
            shell: Have /bin/sh inside run `args`.
            cwd: Working directory inside, absolute.
            env: The whole environment, as in `subprocess`; the container's own by default.
            universal_newlines: The old name of `text`.
            startupinfo: Only None, as in `subprocess` on other systems than Windows.
            creationflags: Only 0, as there.
            restore_signals: Only True: no signal is ignored or blocked inside at first.
            start_new_session: A session of its own, or (False) only a process group, in the session of PID 1.
            pass_fds: Descriptors that stay open inside, or a mapping of those to their numbers inside.
            user: "name", uid, "name:group" or "uid:gid", by the image's own /etc/passwd and /etc/group.
            group: The group, where `user` doesn't say.
            extra_groups: Supplementary groups, in the place of those that /etc/group gives the user.
            encoding: Of the text.
            errors: What is done with bytes that are no text.
            text: Pipes carry str; so too with `encoding` or `errors`.
            umask: Permission bits that files are made without; 0o022 by default.
            pipesize: Size of the pipes in bytes.
            process_group: 0 for a new process group in the session of PID 1, or the pid inside of an existing one.
            extra_env: Variables over that environment.
            pty: A terminal of its own as stdin, stdout and stderr: (rows, columns), or True for the size of ours.
            time_limit: Have it killed after so many seconds, whatever we do; the reason is then "timed out". All that
                it has started is killed with it, in whatever session; what it has left behind when it ends in time,
                at the limit.
            cpu_time_limit: Have it killed, and all that it has started, when they have used so many seconds of CPU time
                together; the reason is then "out of cpu time".
            start_timeout: How long its start may take, 10 seconds at most and by default: `TimeoutError` after that. It
                takes a millisecond, where programs inside don't hold it up.
        """
        self.text_mode = wants_text(text, universal_newlines, encoding, errors)
        self.encoding, self.errors, self.pipesize = encoding, errors, pipesize
        bufsize = check_bufsize(bufsize)
        check_idle(preexec_fn, startupinfo, creationflags, close_fds, restore_signals)
        options = exec_options(**given(locals()))
        self.args = args
        self.returncode: int | None = None
        self.exit_parts: Parts | None = None
        self.has_time_limit = time_limit is not None or cpu_time_limit is not None
        self._conversation: Conversation | None = None
        self._starter = os.getpid()
        self._container = container
        self._clean_up = CLEAN_UP
        self.stdin: IO[AnyStr] | None = None
        self.stdout: IO[AnyStr] | None = None
        self.stderr: IO[AnyStr] | None = None
        self.pty: Terminal | None = None
        # Filled before anything can be raised, so that what has been started is always known.
        self._started: list[_ctr.Process] = []
        try:
            container.exec(argument_list(args, shell, executable), options, self._started)
            self._native = native = self._started[0]
            try:
                self.pid = native.host_pid()
            except ProcessLookupError:
                # In a container that shares another user's PID namespace. No number of a process would be safe to give.
                self.pid = _NOBODY
            self.stdin = self._stream(native.take_stdin(), "w", bufsize, pipesize)
            self.stdout = self._stream(native.take_stdout(), "r", bufsize, pipesize)
            self.stderr = self._stream(native.take_stderr(), "r", bufsize, pipesize)
            master = native.take_pty()
            self.pty = None if master is None else Terminal(master, "r+")
        except BaseException:
            self.abandon()
            raise

    def _stream(self, fd: int | None, mode: str, bufsize: int, pipesize: int) -> IO[Any] | None:
        if fd is None:
            return None
        if pipesize > 0:
            import fcntl

            fcntl.fcntl(fd, getattr(fcntl, "F_SETPIPE_SZ", 1031), pipesize)
        by_line = bufsize == 1 and self.text_mode
        raw: IO[Any] = open(fd, mode + "b", -1 if by_line else bufsize)
        if not self.text_mode:
            return raw
        return io.TextIOWrapper(
            raw,
            encoding=self.encoding,
            errors=self.errors,
            line_buffering=by_line and mode == "w",
            write_through=mode == "w",
        )

    def codec(self, stream: Any) -> tuple[str, str]:
        """Encoding and error handler of a text stream; of a terminal, which has none, as asked for."""
        encoding = getattr(stream, "encoding", None) or self.encoding or "utf-8"
        return encoding, getattr(stream, "errors", None) or self.errors or "strict"

    @property
    def universal_newlines(self) -> bool:
        """The old name of `text_mode`."""
        return self.text_mode

    @universal_newlines.setter
    def universal_newlines(self, text: bool) -> None:
        self.text_mode = bool(text)

    @property
    def pid_inside(self) -> int:
        """Its pid inside the container."""
        return self._native.pid

    @property
    def exit(self) -> Exit | None:
        """How it ended; `reason` is why: see `Exit`."""
        self.poll()
        return None if self.exit_parts is None else exit_from(self.exit_parts)

    def fileno(self) -> int:
        """A descriptor that is readable once `wait` will not block; for an event loop of your own."""
        return self._native.wait_fd()

    def poll(self) -> int | None:
        """The returncode if it has ended, else None."""
        if self.returncode is None:
            self._ended(self._native.wait(0))
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends; `subprocess.TimeoutExpired` after `timeout` seconds.

        With `stdout=PIPE` a program that writes more than the pipe takes (64 KiB) ends only if somebody reads: use
        `communicate`, as with `subprocess`.
        """
        if self.returncode is None:
            try:
                self._ended(self._wait(timeout))
            except KeyboardInterrupt:
                self.interrupted()
                raise
            if self.returncode is None:
                assert timeout is not None
                raise TimeoutExpired(self.args, timeout)
        return self.returncode

    def _wait(self, timeout: float | None) -> Parts | None:
        if not is_cooperative():
            return self._native.wait(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        poller = select.poll()
        poller.register(self._native.wait_fd(), select.POLLIN)
        try:
            while not poller.poll(milliseconds(deadline)):
                pass
        except TimeoutError:
            return self._native.wait(0)
        return self._native.wait(None)

    def interrupted(self) -> None:
        """Ctrl-C came while we were waiting: the program gets SIGINT and has a moment to clean up, once.

        The terminal tells a child of this process by itself, which is what `subprocess` relies on. A program with a
        terminal of its own is not told, as there.
        """
        grace, self._clean_up = self._clean_up, 0
        if grace and self.pty is None and self.returncode is None:
            self._native.kill_group(_signal.SIGINT)
            self._ended(self._native.wait(grace))

    def abandon(self, error: BaseException | None = None) -> None:
        """End what was started, with its process group, and close our ends: `error` has come between."""
        for native in getattr(self, "_started", ()):
            self._native = native
            try:
                if isinstance(error, KeyboardInterrupt):
                    self.interrupted()
            finally:
                # Its group too: what it started may hold the pipes open.
                native.kill_group(_signal.SIGKILL)
                native.kill(_signal.SIGKILL)
                self._ended(native.wait(None))
        for name in ("stdin", "stdout", "stderr", "pty"):
            stream = getattr(self, name, None)
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _ended(self, parts: Parts | None) -> None:
        if parts is not None:
            self.exit_parts = parts
            self.returncode = -parts[1] if parts[1] else parts[0]

    def communicate(
        self, input: AnyStr | None = None, timeout: float | None = None
    ) -> tuple[AnyStr | Any, AnyStr | Any]:
        """Send `input`, read all output, wait for the end: (stdout, stderr), None for what is no pipe.

        After `subprocess.TimeoutExpired` the program still runs, and a second call goes on where the first one stopped.
        A terminal's output counts as stdout.
        """
        if self._conversation is None:
            if input is not None and self.text_mode and not isinstance(input, str):
                raise TypeError(f"input must be str, not {type(input).__name__}")
            self._conversation = Conversation(self, input)
        elif input:
            raise ValueError("Cannot send input after starting communication")
        try:
            return self._conversation.hold(timeout)
        except KeyboardInterrupt:
            self.interrupted()
            raise

    def send_signal(self, signal: int) -> None:
        """Send it a signal; does nothing if it has ended."""
        if self.poll() is None:
            self._native.kill(signal)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(_signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(_signal.SIGKILL)

    def stop(self, timeout: float | None = 10.0) -> int:
        """Ask it to end, as `docker stop`; after `timeout` seconds kill it; the returncode.

        It is asked by the image's stop signal, SIGTERM where the image names none. With `stdout=PIPE` a program that
        writes more at its end than the pipe takes (64 KiB) can't end, and is killed, if nobody reads meanwhile: send
        it a signal, as by `terminate`, and call `communicate` instead, or read in another thread.
        """
        self.send_signal(self._container.stop_signal())
        try:
            return self.wait(timeout)
        except TimeoutExpired:
            self.kill()
            return self.wait()

    def kill_group(self, signal: int = _signal.SIGKILL) -> None:
        """Send a signal to all of its process group, also when it has ended itself."""
        self._native.kill_group(signal)

    def resize(self, rows: int, cols: int) -> None:
        """Set the size of its terminal; the program gets SIGWINCH."""
        if self.pty is None:
            raise invalid("resize-terminal", str(self._native.pid), "it was started without one")
        set_size(self.pty.fileno(), rows, cols)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            # A terminal hangs up: what runs on it gets SIGHUP.
            for stream in (self.stdout, self.stderr, self.pty, self.stdin):
                if stream is not None:
                    stream.close()
        finally:
            if kind is KeyboardInterrupt:
                # Nobody wants to wait now for a program that goes on all the same.
                self.interrupted()
            elif os.getpid() == self._starter:
                self.wait()

    def __del__(self) -> None:
        # In a forked child this is a copy: the process is the parent's to ask about.
        if getattr(self, "_native", None) is not None and os.getpid() == self._starter and self.poll() is None:
            import warnings

            warnings.warn(f"{self!r} is still running", ResourceWarning, source=self, stacklevel=2)

    def __reduce__(self) -> Any:
        raise TypeError("a Popen can't be pickled or copied: it is this process's way to a program")

    def __repr__(self) -> str:
        text = f"<ctr.Popen: returncode: {self.returncode} args: {self.args!r}>"
        return text if len(text) <= 80 else text[:76] + "...>"


_START = Popen.__init__.__code__
OPTIONS = {
    # Behind self, container and args.
    **dict(zip(_START.co_varnames[3 : _START.co_argcount], Popen.__init__.__defaults__ or ())),
    **(Popen.__init__.__kwdefaults__ or {}),
}
"""The keywords of `Container.popen`, and what they are by default."""


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Those that are not as by default."""
    return {key: value for key, value in options.items() if key in OPTIONS and value is not OPTIONS[key]}


def is_cooperative() -> bool:
    """Whether gevent has replaced what blocks: then we wait by poll(2), and its other greenlets run meanwhile."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("select"))


def wants_text(text: bool | None, universal_newlines: bool | None, encoding: str | None, errors: str | None) -> bool:
    """Whether pipes carry str."""
    if text is not None and universal_newlines is not None and bool(text) != bool(universal_newlines):
        raise SubprocessError("text and universal_newlines differ: give only one of them")
    return bool(text or universal_newlines or encoding or errors)
