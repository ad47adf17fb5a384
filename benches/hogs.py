"""Hogs at their limits: what a neighbour with a steady load gets done meanwhile, how long the host waits for memory.

hogs.py        prints lines as benches/lifecycle.c does: per second, and microseconds

The load is stress-ng's, none of ours. Every hog is in one container with a limit of each kind, for a few seconds; the
neighbour is in another, on the other half of the machine's processors' time. Both sides of a row take turns.
"""

from __future__ import annotations

import mmap
import os
import shutil
import statistics
import sys
import time

import ctr

SECONDS = 2.0
ROUNDS = 3
# Each is stopped by a limit of its container, and by its time.
HOGS = {
    "memory": "--vm 2 --vm-bytes 256M --vm-keep",
    "processors": "--cpu 8",
    "forks": "--fork 8 --fork-max 64",
    "descriptors": "--open 4",
    "sockets": "--sock 4",
    "shared memory": "--shm 2 --shm-bytes 128M",
    "files": "--hdd 1 --hdd-bytes 256M",
    "inodes": "--dentry 2",
}
# A line for each thousand units.
WORK = "i=0; while :; do i=$((i + 1)); [ $((i % 1000)) -ne 0 ] || echo; done"


def allocation() -> float:
    """How long the host waits for 4 MiB, in microseconds."""
    start = time.perf_counter()
    with mmap.mmap(-1, 4 << 20) as piece:
        for at in range(0, len(piece), mmap.PAGESIZE):
            piece[at] = 1
    return (time.perf_counter() - start) * 1e6


def measured(lines: int) -> tuple[float, list[float]]:
    """Units a second that come from the neighbour, and the waits of the host, for some seconds."""
    waits = list[float]()
    units, start = 0, time.perf_counter()
    while (now := time.perf_counter()) - start < SECONDS:
        waits.append(allocation())
        time.sleep(0.02)
        units += len(os.read(lines, 65536))
    return units * 1000 / (now - start), waits


def side(samples: list[float]) -> str:
    """Median, least and 90th percentile of one side."""
    samples.sort()
    return f"{statistics.median(samples):.3f}\t{samples[0]:.3f}\t{samples[len(samples) * 9 // 10]:.3f}"


def main() -> None:
    """Each hog, with and without in turn."""
    stress = shutil.which("stress-ng")
    if stress is None:
        sys.exit("bench: stress-ng is not installed")
    limits: dict[str, object] = {
        "memory": "64M",
        "pids": 64,
        "cpus": 0.5,
        "upper_size": "32M",
        "rlimits": {"nofile": 256},
    }
    rates, alone, busy, quiet = list[float](), list[float](), list[float](), list[float]()
    with ctr.Container("host", memory="64M", pids=16) as neighbour, ctr.Container("host", **limits) as hog:
        work = neighbour.popen(["/bin/sh", "-c", WORK], stdout=ctr.PIPE)
        lines = work.stdout.fileno()
        os.set_blocking(lines, True)
        measured(lines)
        for options in list(HOGS.values()) * ROUNDS:
            rate, waits = measured(lines)
            alone.append(rate)
            quiet += waits
            argv = [stress, *options.split(), "--timeout", "20", "--temp-path", "/tmp"]
            load = hog.popen(argv, stdout=ctr.DEVNULL, stderr=ctr.DEVNULL)
            time.sleep(0.2)
            rate, waits = measured(lines)
            rates.append(rate)
            busy += waits
            hog.kill_all(9)
            load.wait()
        work.kill()
        work.wait()
        if neighbour.oom_kills:
            sys.exit("bench: the neighbour was killed")
    print("hogs_neighbour", side(rates), side(alone), len(rates), sep="\t")
    print("hogs_allocation", side(busy), side(quiet), len(busy), sep="\t")


main()
