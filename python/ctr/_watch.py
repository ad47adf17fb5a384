"""What happens to a container: what `Container.watch()` tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ._exit import REASONS, Exit, Parts, exit_from

if TYPE_CHECKING:
    from types import TracebackType

    from . import _ctr
    from ._aio_process import Process
    from ._popen import Popen
    from ._types import Self

EventKind = Literal[
    "oom_kill", "memory_limit", "memory_high", "pids_limit", "pressure", "exit", "pause", "resume", "end"
]
EventParts = tuple[Any, float, float, int, "tuple[int, Parts] | None", "int | None", "int | None"]
"""An event as `_ctr` tells it, in the order of the fields of `Event`, but that pid and exit are one."""


class PressureThreshold(NamedTuple):
    """How much of the time programs may wait for something: what `Watch.add_pressure` was given."""

    resource: Literal["memory", "cpu", "io"]
    """What they wait for."""
    stall: float
    """How many seconds of a window."""
    window: float
    """How many seconds a window has."""
    full: bool
    """Whether all of them wait at once, not some."""


@dataclass(frozen=True)
class Event:
    """Something that has happened to a container."""

    kind: EventKind
    """What: "oom_kill", "memory_limit", "memory_high", "pids_limit", "pressure", "exit", "pause", "resume" or "end"."""
    time: float
    """When it was seen, as `time.time()`. The kernel notes no time of its own."""
    monotonic: float
    """The same as `time.monotonic()`, which nobody sets."""
    count: int
    """How often it has happened since it was told of last; 1 where that is not counted."""
    pid_inside: int | None
    """Of "exit": the program's pid inside the container, as of `Popen`."""
    exit: Exit | None
    """Of "exit": how it ended."""
    pressure: PressureThreshold | None
    """Of "pressure": the threshold that was passed."""
    reason: str | None = None
    """Of "end": why, as `Container.end_reason`."""


class Watch:
    """Events of a container, as they come: an iterator, which ends with the container. `Container.watch` makes it.

    There is no thread behind it. `fileno()` is for an event loop, which calls `wait(0)` until that returns None;
    `ctr.aio` has an asynchronous one. At the end of a `with` block, and by `close`, nothing is watched any more.
    """

    def __init__(self, native: _ctr.Watch) -> None:
        """Not to be called; see `Container.watch`."""
        self._native = native
        self._thresholds: list[PressureThreshold] = []
        self._over = False

    @property
    def kinds(self) -> frozenset[EventKind]:
        """The kinds of events that it tells of."""
        return frozenset(self._native.kinds())

    def fileno(self) -> int:
        """A descriptor, readable when something may have happened; on cgroup v1 that is so once a second."""
        return self._native.fileno()

    def wait(self, timeout: float | None = None) -> Event | None:
        """The next event, None where there is none within `timeout` seconds. `ctr.Error` after that of kind "end"."""
        parts: EventParts | None = self._native.wait(timeout)
        if parts is None:
            return None
        kind, time, monotonic, count, ended, number, why = parts
        self._over = self._over or kind == "end"
        pid, exit = (None, None) if ended is None else (ended[0], exit_from(ended[1]))
        threshold = None if number is None else self._thresholds[number]
        return Event(kind, time, monotonic, count, pid, exit, threshold, None if why is None else REASONS[why])

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = None if self._over else self.wait()
        if event is None:
            raise StopIteration
        return event

    def add(self, process: Popen[Any] | Process) -> None:
        """Tell also of the end of a program that was started before, or by another object on the same container."""
        popen: Any = getattr(process, "popen", process)
        self._native.add(popen._native)

    def add_pressure(
        self,
        resource: Literal["memory", "cpu", "io"],
        *,
        stall: float,
        window: float = 2.0,
        full: bool = False,
    ) -> PressureThreshold:
        """Tell also of each window of time in which programs waited for something too long, as the kernel finds it.

        `ctr.Error` (EOPNOTSUPP) on cgroup v1, and where the kernel was started with psi=0. It comes within a quarter of
        the window; `fileno()` is readable that often from then on.

        Args:
            resource: What they wait for.
            stall: For how many seconds of a window, all in all.
            window: How many seconds: 0.5 to 10, a multiple of 2 for who has no CAP_SYS_RESOURCE.
            full: Not some of them, but all at once.
        """
        threshold = PressureThreshold(resource, stall, window, full)
        number = self._native.add_pressure(resource, full, stall, window)
        assert number == len(self._thresholds)
        self._thresholds.append(threshold)
        return threshold

    def close(self) -> None:
        """Watch no more; the container goes on."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
