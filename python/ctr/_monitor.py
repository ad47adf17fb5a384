"""Samples of what a container uses, for plots: what `Container.monitor()` gives."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, NamedTuple

from ._errors import Error

if TYPE_CHECKING:
    from collections.abc import Generator

    from ._container import Container
    from ._stats import Pressure, Stats
    from ._types import Self

# CTR_ERR_DESTROYED of ctr.h.
_GONE = -5


class Sample(NamedTuple):
    """What a container used between two looks, in one flat row. What is not counted on this machine is None."""

    time: float
    """When it was looked at, as `time.time()`."""
    elapsed: float
    """Seconds since the monitor began, by a clock that nobody sets."""
    cpu: float | None
    """Processors in use, on average since the last sample: 1.0 is one of them all the time."""
    cpu_user: float | None
    """The part of it in programs."""
    cpu_system: float | None
    """The part of it in the kernel."""
    throttled: float | None
    """Seconds a second for which programs were made to wait by a processor limit, all of them added up."""
    memory: int | None
    """Bytes in use."""
    memory_peak: int | None
    """The most bytes that ever were in use."""
    memory_anon: int | None
    """Bytes of the programs' own."""
    memory_file: int | None
    """Bytes of cached files, with those on tmpfs and shared memory."""
    memory_shmem: int | None
    """Bytes of shared memory and files on tmpfs."""
    memory_kernel: int | None
    """Bytes of the kernel."""
    memory_sock: int | None
    """Bytes in sockets of the internet."""
    pids: int | None
    """Processes and threads, the container's PID 1 among them."""
    io_read: float | None
    """Bytes a second that were read from block devices."""
    io_written: float | None
    """Bytes a second that were written to them."""
    oom_kills: int | None
    """Processes that were killed for memory, since the container was made."""
    pressure_memory: float | None
    """The share of the time since the last sample in which programs waited for memory, 0.0 to 1.0."""
    pressure_cpu: float | None
    """The same for processors."""
    pressure_io: float | None
    """The same for block devices."""


class Clock:
    """When the next look is due, and what was seen at the last."""

    def __init__(self, container: Container, interval: float, count: int | None) -> None:
        """Takes the first look, against which the first sample is measured."""
        if not interval > 0:
            raise ValueError(f"interval must be a positive number of seconds, not {interval}")
        self._container = container
        self._interval = interval
        self._left = count
        self._began = self._looked = self._due = time.monotonic()
        self._stats = container.stats()

    def wait(self) -> float | None:
        """How long it is until the next look, from which on that is under way; None where there is none any more."""
        if self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        now = time.monotonic()
        self._due += self._interval
        # One that was late is not made up for: rates of a moment tell nothing.
        if self._due < now + self._interval / 2:
            self._due = now + self._interval
        return self._due - now

    def look(self) -> Sample | None:
        """A sample; None once the container has ended."""
        try:
            stats = self._container.stats()
        except Error as error:
            if error.code != _GONE:
                raise
            return None
        now, before, last = time.monotonic(), self._stats, self._looked
        self._stats, self._looked = stats, now
        return _sample(stats, before, now - last, now - self._began)


class Monitor:
    """What `Container.monitor` gives: an iterator of samples, and in a notebook a drawing that moves."""

    def __init__(self, container: Container, interval: float, count: int | None) -> None:
        """The first look is taken now."""
        self._again = (container, interval, count)
        self._samples = _samples(container, Clock(container, interval, count))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sample:
        return next(self._samples)

    def close(self) -> None:
        """End it: there are no more samples."""
        self._samples.close()

    def _ipython_display_(self) -> None:
        from ._drawing import draw

        # Samples of its own: this iterator can still be asked for all of them.
        draw(*self._again)


def _samples(container: Container, clock: Clock) -> Generator[Sample, None, None]:
    while (left := clock.wait()) is not None:
        ended = select.poll()
        try:
            ended.register(container.fileno(), select.POLLIN)
        except Error:
            return
        if ended.poll(left * 1000) or (sample := clock.look()) is None:
            return
        yield sample


def _sample(stats: Stats, before: Stats, seconds: float, elapsed: float) -> Sample:
    def rate(now: float | None, then: float | None) -> float | None:
        return None if now is None or then is None or seconds <= 0 else (now - then) / seconds

    def share(now: Pressure | None, then: Pressure | None) -> float | None:
        waited = rate(now and now.some.total, then and then.some.total)
        return None if waited is None else min(waited, 1.0)

    memory, pressure, past = stats.memory, stats.pressure, before.pressure
    user = rate(stats.cpu.user, before.cpu.user)
    system = rate(stats.cpu.system, before.cpu.system)
    return Sample(
        time=time.time(),
        elapsed=elapsed,
        cpu=None if user is None or system is None else user + system,
        cpu_user=user,
        cpu_system=system,
        throttled=rate(stats.cpu.throttled, before.cpu.throttled),
        memory=memory.current,
        memory_peak=memory.peak,
        memory_anon=memory.anon,
        memory_file=memory.file,
        memory_shmem=memory.shmem,
        memory_kernel=memory.kernel,
        memory_sock=memory.sock,
        pids=stats.pids.current,
        io_read=rate(stats.io.read, before.io.read),
        io_written=rate(stats.io.written, before.io.written),
        oom_kills=stats.oom_kills,
        pressure_memory=share(pressure.memory, past.memory),
        pressure_cpu=share(pressure.cpu, past.cpu),
        pressure_io=share(pressure.io, past.io),
    )
