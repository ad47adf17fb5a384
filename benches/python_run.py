"""`c.run(["/bin/true"])` of a running container beside `subprocess.run(["/bin/true"])` on the host, in one process.

python_run.py IMAGE ROW      prints a line as benches/lifecycle.c does
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import ctr

BATCHES, COUNT, WARM = 40, 10, 2


def timed(run: Callable[[list[str]], object], into: list[float]) -> None:
    """One batch; its first runs don't count."""
    for i in range(WARM + COUNT):
        start = time.perf_counter()
        run(["/bin/true"])
        spent = time.perf_counter() - start
        if i >= WARM:
            into.append(spent * 1e6)


def side(samples: list[float]) -> str:
    """Median, least and 90th percentile of one side."""
    samples.sort()
    return f"{statistics.median(samples):.3f}\t{samples[0]:.3f}\t{samples[len(samples) * 9 // 10]:.3f}"


def main() -> None:
    """Both sides take turns."""
    image, row = sys.argv[1:]
    ours: list[float] = []
    others: list[float] = []
    with ctr.Container(image, memory="64M") as c:
        if c.run(["/bin/true"]).returncode != 0:
            sys.exit("bench: /bin/true failed inside")
        sides: list[tuple[Callable[[list[str]], object], list[float]]] = [(c.run, ours), (subprocess.run, others)]
        for i in range(BATCHES):
            for run, into in sides if i % 2 else reversed(sides):
                timed(run, into)
    print(row, side(ours), side(others), len(ours), sep="\t")


main()
