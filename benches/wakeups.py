"""Who wakes whom, and the switches of one lifecycle in a row, from scheduler events; for benches/profile.sh.

perf script -F comm,pid,cpu,time,event,trace | wakeups.py LIFECYCLES
"""

from __future__ import annotations

import re
import sys
from collections import Counter

LINE = re.compile(r"^ *(.+?) +(\d+) +\[(\d+)\] +([\d.]+): +sched:sched_(\w+): (.*)$")
WOKEN = re.compile(r"comm=(.+?) pid=(\d+) .*target_cpu=(\d+)")
SWITCH = re.compile(r"prev_comm=(.+?) prev_pid=(\d+) .*prev_state=(\S+) ==> next_comm=(.+?) next_pid=(\d+)")
WINDOW_US = 3000


def plain(comm: str) -> str:
    """Kernel workers and the idle task without their numbers."""
    return re.sub(r"^(kworker|swapper|ksoftirqd|migration)/.*", r"\1", comm)


def main() -> None:
    """Reads the events, prints the counts and a stretch of the timeline."""
    lifecycles = int(sys.argv[1])
    wakeups: Counter[str] = Counter()
    switches: Counter[str] = Counter()
    events = []
    for line in sys.stdin:
        if not (found := LINE.match(line.rstrip())):
            continue
        comm, pid, cpu, at, kind, text = found.groups()
        if kind in ("wakeup", "wakeup_new") and (woken := WOKEN.search(text)):
            far = "same cpu" if int(cpu) == int(woken[3]) else "OTHER CPU"
            new = "starts" if kind == "wakeup_new" else "wakes"
            wakeups[f"{plain(comm)} {new} {plain(woken[1])}, {far}"] += 1
            events.append((float(at), int(cpu), f"{comm}:{pid} {new} {woken[1]}:{woken[2]} for cpu {int(woken[3])}"))
        elif kind == "switch" and (moved := SWITCH.search(text)):
            switches[f"{plain(moved[4])} runs"] += 1
            events.append((float(at), int(cpu), f"    {moved[1]}:{moved[2]} ({moved[3]}) -> {moved[4]}:{moved[5]}"))
    print("a lifecycle  what (more than one in twenty lifecycles)")
    for counter in (switches, wakeups):
        for what, count in counter.most_common():
            if count >= lifecycles / 20:
                print(f"{count / lifecycles:11.2f}  {what}")
    if events:
        start = events[len(events) // 2][0]
        print(f"\n{WINDOW_US} us from the middle of the run (R runnable, S sleeps, D waits in the kernel, X/Z ended):")
        for at, cpu, text in events:
            if 0 <= (at - start) * 1e6 <= WINDOW_US:
                print(f"{(at - start) * 1e6:8.0f} us  cpu {cpu}  {text}")


main()
