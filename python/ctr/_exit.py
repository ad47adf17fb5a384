"""How a process ended, and what it used."""

from __future__ import annotations

import subprocess
from typing import Any, NamedTuple

_REASONS = ("exited", "signaled", "out of memory", "timed out", "destroyed")


class Exit(NamedTuple):
    """How a process ended, and what it used."""

    code: int
    """The exit code, or 128 + signal, as in a shell's `$?`."""
    signal: int
    """The signal that ended it, 0 if none."""
    reason: str
    """Why it ended: "exited", "signaled", "out of memory", "timed out" or "destroyed"."""
    user_time: float
    """Seconds of CPU time in user mode."""
    system_time: float
    """Seconds of CPU time in the kernel."""
    max_rss: int
    """Largest resident set, in bytes."""

    @property
    def returncode(self) -> int:
        """As in `subprocess`: the exit code, or the negative number of the signal."""
        return -self.signal if self.signal else self.code


def exit_from(parts: tuple[int, int, int, float, float, int]) -> Exit:
    """The exit that `_ctr` tells of."""
    code, signal, reason, user_time, system_time, max_rss = parts
    return Exit(code, signal, _REASONS[reason], user_time, system_time, max_rss)


class CompletedProcess(subprocess.CompletedProcess[Any]):
    """What `run` returns: `subprocess.CompletedProcess`, and `exit`, which says how the process ended."""

    exit: Exit

    def __init__(self, args: Any, exit: Exit, stdout: Any = None, stderr: Any = None) -> None:
        super().__init__(args, exit.returncode, stdout, stderr)
        self.exit = exit
