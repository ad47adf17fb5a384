"""How a process ended, and what it used."""

from __future__ import annotations

import subprocess
from subprocess import TimeoutExpired as TimeoutExpired
from typing import Any, AnyStr, NamedTuple

Parts = tuple[int, int, int, float, float, int]
"""An exit as `_ctr` tells of it: code, signal, reason, user time, system time, largest resident set."""

# What a returncode doesn't tell.
_TELLING = ("out of memory", "timed out", "destroyed", "out of cpu time")
REASONS = ("exited", "signaled", "out of memory", "timed out", "destroyed", "unknown", "out of cpu time")
OF_A_LIMIT = (REASONS.index("timed out"), REASONS.index("out of cpu time"))
"""Those with which all that a program has started has ended too."""


class Exit(NamedTuple):
    """How a process ended, and what it used."""

    code: int
    """The exit code, or 128 + signal, as in a shell's `$?`."""
    signal: int
    """The signal that ended it, 0 if none."""
    reason: str
    """Why it ended: "exited", "signaled", "out of memory", "timed out", "out of cpu time", "destroyed" or "unknown"."""
    user_time: float
    """Seconds of CPU time in user mode, of the program and of the children that it waited for."""
    system_time: float
    """Seconds of CPU time in the kernel, of the same."""
    max_rss: int
    """Largest resident set of any one of them, in bytes."""

    @property
    def returncode(self) -> int:
        """As in `subprocess`: the exit code, or the negative number of the signal."""
        return -self.signal if self.signal else self.code


def exit_from(parts: Parts) -> Exit:
    """The exit in words."""
    code, signal, reason, user_time, system_time, max_rss = parts
    return Exit(code, signal, REASONS[reason], user_time, system_time, max_rss)


class CalledProcessError(subprocess.CalledProcessError):
    """`subprocess.CalledProcessError`, which says also why the program was killed; `exit` is how it ended."""

    exit: Exit | None = None

    def __str__(self) -> str:
        said = super().__str__()
        if self.exit is None or self.exit.reason not in _TELLING:
            return said
        return f"{said.rstrip('.')}: {self.exit.reason}."


class CompletedProcess(subprocess.CompletedProcess[AnyStr]):
    """What `run` returns: `subprocess.CompletedProcess`, and `exit`, which says how the process ended."""

    stdout: AnyStr | Any
    stderr: AnyStr | Any

    def __init__(self, args: Any, parts: Parts, stdout: Any = None, stderr: Any = None) -> None:
        # What subprocess's own __init__ does, and no more: this is on the way of every `run`.
        self.args, self.stdout, self.stderr = args, stdout, stderr
        self.returncode = -parts[1] if parts[1] else parts[0]
        self._parts = parts

    @property
    def exit(self) -> Exit:
        """How it ended; `reason` is why: see `Exit`."""
        return exit_from(self._parts)

    def check_returncode(self) -> None:
        """Raise a `CalledProcessError` if the returncode is not 0."""
        if self.returncode:
            error = CalledProcessError(self.returncode, self.args, self.stdout, self.stderr)
            error.exit = self.exit
            raise error

    def __repr__(self) -> str:
        said = super().__repr__()
        return f"{said[:-1]}, reason={self.exit.reason!r})" if self.exit.reason in _TELLING else said
