"""What a container uses: what `Container.stats()` tells."""

from __future__ import annotations

from typing import NamedTuple, Optional

_Seconds = Optional[float]
_Count = Optional[int]
_Stall = tuple[float, float, float, float]
_Pressure = Optional[tuple[_Stall, Optional[_Stall]]]
Parts = tuple[
    tuple[_Count, _Count, _Count, _Count, _Count, _Count, _Count],
    tuple[_Seconds, _Seconds, _Seconds, _Count, _Count],
    _Count,
    tuple[_Count, _Count],
    _Count,
    tuple[_Pressure, _Pressure, _Pressure],
]
"""As `_ctr` tells it, in the order of the fields below."""


class MemoryStats(NamedTuple):
    """Bytes of memory."""

    current: int | None
    """In use, of all kinds."""
    peak: int | None
    """The most that ever was in use; on cgroup v2 since Linux 5.19."""
    anon: int | None
    """Of the programs' own: heaps, stacks."""
    file: int | None
    """Of cached files, with those on tmpfs and shared memory."""
    kernel: int | None
    """Of the kernel, for what the programs do; on cgroup v2 since Linux 5.18."""
    sock: int | None
    """In sockets of the internet. On cgroup v1 it is no part of `current`."""
    shmem: int | None
    """Shared memory and files on tmpfs."""


class CpuStats(NamedTuple):
    """Time of processors; it only grows."""

    user: float | None
    """Seconds in programs."""
    system: float | None
    """Seconds in the kernel."""
    throttled: float | None
    """Seconds for which programs were made to wait by a processor limit; counted where there is or was one."""
    periods: int | None
    """Periods of that limit in which programs ran."""
    throttled_periods: int | None
    """Those of them in which they were made to wait."""


class PidsStats(NamedTuple):
    """Processes and threads."""

    current: int | None
    """As many as there are, the container's PID 1 among them."""


class IoStats(NamedTuple):
    """Bytes of block devices; they only grow. Counted on cgroup v2 where the io controller is handed on."""

    read: int | None
    """Read from them."""
    written: int | None
    """Written to them."""


class Stall(NamedTuple):
    """For how much of the time programs waited."""

    avg10: float
    """Percent of the last 10 seconds."""
    avg60: float
    """Percent of the last 60 seconds."""
    avg300: float
    """Percent of the last 300 seconds."""
    total: float
    """Seconds, all in all."""


class Pressure(NamedTuple):
    """For how much of the time programs waited for something."""

    some: Stall
    """One of them at least."""
    full: Stall | None
    """All of them at once."""


class PressureStats(NamedTuple):
    """Pressure stall information of the kernel, on cgroup v2 only."""

    memory: Pressure | None
    """Of memory."""
    cpu: Pressure | None
    """Of processors."""
    io: Pressure | None
    """Of block devices."""


class Stats(NamedTuple):
    """What a container uses at one moment. What is not counted on this machine is None, never 0."""

    memory: MemoryStats
    """Memory."""
    cpu: CpuStats
    """Time of processors."""
    pids: PidsStats
    """Processes and threads."""
    io: IoStats
    """Input and output of block devices."""
    oom_kills: int | None
    """Processes that the kernel's OOM killer has ended."""
    pressure: PressureStats
    """For how long programs wait."""

    def _repr_html_(self) -> str:
        from ._display import stats

        return stats(self)


def stats_from(parts: Parts) -> Stats:
    """The same with names."""
    memory, cpu, pids, io, oom_kills, pressure = parts

    def named(told: _Pressure) -> Pressure | None:
        if told is None:
            return None
        some, full = told
        return Pressure(Stall(*some), None if full is None else Stall(*full))

    return Stats(
        MemoryStats(*memory),
        CpuStats(*cpu),
        PidsStats(pids),
        IoStats(*io),
        oom_kills,
        PressureStats(*map(named, pressure)),
    )
