"""`Popen`: a program started in a container, with the interface of `subprocess.Popen`."""

from __future__ import annotations

import io
import os
import signal as _signal
from subprocess import SubprocessError, TimeoutExpired
from typing import IO, TYPE_CHECKING, Any

from ._communicate import Conversation
from ._exit import Exit, Parts, exit_from
from ._spawn import argument_list, exec_options
from ._terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self

    from . import _ctr
    from ._types import Argv, Environment, Fds, Path, Pty, Stream


class Popen:
    """A program started in a container: the interface of `subprocess.Popen`.

    `stdin`, `stdout`, `stderr` are file objects where a pipe was asked for, `args` what was started, `returncode` its
    exit code, or -N where signal N ended it, and None while it runs. Beyond that, `exit` says why it ended and what it
    used, `pty` is its terminal, and `fileno()` lets an event loop wait for it.
    """

    def __init__(
        self,
        container: _ctr.Container,
        args: Argv,
        *,
        bufsize: int | None = -1,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        shell: bool = False,
        executable: Path | None = None,
        cwd: Path | None = None,
        env: Environment | None = None,
        extra_env: Environment | None = None,
        universal_newlines: bool | None = None,
        text: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        user: str | int | None = None,
        group: str | int | None = None,
        extra_groups: Iterable[str | int] | None = None,
        umask: int = -1,
        close_fds: bool = True,
        restore_signals: bool = True,
        pass_fds: Fds = (),
        start_new_session: bool = True,
        process_group: int | None = None,
        pipesize: int = -1,
        pty: Pty = False,
        time_limit: float | None = None,
    ) -> None:
        """Start a program. Use `Container.popen`.

        Args:
            container: Where.
            args: The program and its arguments; the program is looked up in the PATH inside.
            bufsize: As `open` has it, for the pipes.
            stdin: None (the caller's own), PIPE, DEVNULL, a file object or a descriptor.
            stdout: The same.
            stderr: The same, or STDOUT.
            shell: Have /bin/sh inside run `args`.
            executable: What is run in the place of `args[0]`, or of /bin/sh with `shell`.
            cwd: Working directory inside, absolute.
            env: The whole environment, as in `subprocess`; the container's own by default.
            extra_env: Variables over that environment.
            universal_newlines: The old name of `text`.
            text: Pipes carry str; so too with `encoding` or `errors`.
            encoding: Of the text.
            errors: What is done with bytes that are no text.
            user: "name", uid, "name:group" or "uid:gid", by the image's own /etc/passwd and /etc/group.
            group: The group, where `user` doesn't say.
            extra_groups: Supplementary groups, in the place of those that /etc/group gives the user.
            umask: Permission bits that files are made without; 0o022 by default.
            close_fds: Only True: no descriptor of ours is open inside but those of `pass_fds`.
            restore_signals: Only True: no signal is ignored or blocked inside at first.
            pass_fds: Descriptors that stay open inside, or a mapping of those to their numbers inside.
            start_new_session: A session of its own, or (False) only a process group, in the session of PID 1.
            process_group: 0 for a new process group in the session of PID 1, or the pid inside of an existing one.
            pipesize: Size of the pipes in bytes.
            time_limit: Have it killed after so many seconds, whatever we do; the reason is then "timed out".
            pty: A terminal of its own as stdin, stdout and stderr: (rows, columns), or True for the size of ours.
        """
        self.is_text = wants_text(text, universal_newlines, encoding, errors)
        self._encoding, self._errors = encoding, errors
        bufsize = -1 if bufsize is None else bufsize
        if not isinstance(bufsize, int):
            raise TypeError("bufsize must be an integer")
        self.args = args
        self.returncode: int | None = None
        self.exit_parts: Parts | None = None
        self._conversation: Conversation | None = None
        options = exec_options(
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            executable=executable,
            cwd=cwd,
            env=env,
            extra_env=extra_env,
            user=user,
            group=group,
            extra_groups=extra_groups,
            umask=umask,
            close_fds=close_fds,
            restore_signals=restore_signals,
            pass_fds=pass_fds,
            start_new_session=start_new_session,
            process_group=process_group,
            pty=pty,
            time_limit=time_limit,
        )
        self._pid: int | None = None
        self._starter = os.getpid()
        self._container = container
        self._native = container.exec(argument_list(args, shell, executable), options)
        self.stdin: IO[Any] | None = self._stream(self._native.take_stdin(), "w", bufsize, pipesize)
        self.stdout: IO[Any] | None = self._stream(self._native.take_stdout(), "r", bufsize, pipesize)
        self.stderr: IO[Any] | None = self._stream(self._native.take_stderr(), "r", bufsize, pipesize)
        master = self._native.pty()
        self.pty: Terminal | None = None if master is None else Terminal(os.dup(master), "r+")

    def _stream(self, fd: int | None, mode: str, bufsize: int, pipesize: int) -> IO[Any] | None:
        if fd is None:
            return None
        if pipesize > 0:
            import fcntl

            fcntl.fcntl(fd, getattr(fcntl, "F_SETPIPE_SZ", 1031), pipesize)
        by_line = bufsize == 1 and self.is_text
        raw: IO[Any] = open(fd, mode + "b", -1 if by_line else bufsize)
        if not self.is_text:
            return raw
        return io.TextIOWrapper(
            raw,
            encoding=self._encoding,
            errors=self._errors,
            line_buffering=by_line and mode == "w",
            write_through=mode == "w",
        )

    def codec(self, stream: Any) -> tuple[str, str]:
        """Encoding and error handler of a text stream; of a terminal, which has none, as asked for."""
        encoding = getattr(stream, "encoding", None) or self._encoding or "utf-8"
        return encoding, getattr(stream, "errors", None) or self._errors or "strict"

    @property
    def pid(self) -> int:
        """Its pid on the host, which is what `os.kill` and its like take.

        `ProcessLookupError` where it had ended before its pid could be looked up: no number would be safe to give.
        """
        if self._pid is None:
            self._pid = self._native.host_pid()
        return self._pid

    @property
    def pid_inside(self) -> int:
        """Its pid inside the container."""
        return self._native.pid

    @property
    def exit(self) -> Exit | None:
        """Why it ended ("exited", "signaled", "out of memory", "timed out", "destroyed") and what it used."""
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
        """Wait until it ends; `subprocess.TimeoutExpired` after `timeout` seconds."""
        if self.returncode is None:
            self._ended(self._native.wait(timeout))
            if self.returncode is None:
                assert timeout is not None
                raise TimeoutExpired(self.args, timeout)
        return self.returncode

    def _ended(self, parts: Parts | None) -> None:
        if parts is not None:
            self.exit_parts = parts
            self.returncode = -parts[1] if parts[1] else parts[0]

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Send `input`, read all output, wait for the end: (stdout, stderr), None for what is no pipe.

        After `subprocess.TimeoutExpired` the program still runs, and a second call goes on where the first one stopped.
        A terminal's output counts as stdout.
        """
        if self._conversation is None:
            self._conversation = Conversation(self, input)
        elif input:
            raise ValueError("Cannot send input after starting communication")
        return self._conversation.hold(timeout)

    def send_signal(self, signal: int) -> None:
        """Send it a signal; nothing is done if it has ended."""
        if self.poll() is None:
            self._native.kill(signal)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(_signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(_signal.SIGKILL)

    def stop(self, grace: float = 10.0) -> int:
        """Ask it to end, as `docker stop`, and kill it where it has not after `grace` seconds; the returncode.

        It is asked by the image's stop signal, SIGTERM where the image names none.
        """
        self.send_signal(self._container.stop_signal())
        try:
            return self.wait(grace)
        except TimeoutExpired:
            self.kill()
            return self.wait()

    def kill_group(self, signal: int = _signal.SIGKILL) -> None:
        """Send a signal to all of its process group, also when it has ended itself."""
        self._native.kill_group(signal)

    def resize(self, rows: int, cols: int) -> None:
        """Set the size of its terminal; it is told by SIGWINCH."""
        self._native.resize(rows, cols)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for stream in (self.stdout, self.stderr, self.pty, self.stdin):
                if stream is not None:
                    stream.close()
        finally:
            # After Ctrl-C nobody wants to wait for a program that may not have heard of it.
            if kind is not KeyboardInterrupt:
                self.wait()

    def __del__(self) -> None:
        # In a forked child this is a copy: the process is the parent's to ask about.
        if getattr(self, "_native", None) is not None and os.getpid() == self._starter and self.poll() is None:
            import warnings

            warnings.warn(f"{self!r} is still running", ResourceWarning, source=self, stacklevel=2)

    def __reduce__(self) -> Any:
        raise TypeError("a Popen can't be pickled or copied: it is this process's way to a program")

    def __repr__(self) -> str:
        args = self.args if isinstance(self.args, (str, bytes, os.PathLike)) else list(self.args)
        return f"<ctr.Popen: returncode: {self.returncode} args: {args!r}>"


def wants_text(text: bool | None, universal_newlines: bool | None, encoding: str | None, errors: str | None) -> bool:
    """Whether pipes carry str."""
    if text is not None and universal_newlines is not None and bool(text) != bool(universal_newlines):
        raise SubprocessError("text and universal_newlines differ: give only one of them")
    return bool(text or universal_newlines or encoding or errors)
