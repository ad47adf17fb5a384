"""Processor time by command and system call, from sampled stacks; for benches/profile.sh.

perf script -F comm,ip,sym | stacks.py LIFECYCLES SAMPLES_PER_SECOND
"""

from __future__ import annotations

import re
import sys
from collections import Counter

FRAME = re.compile(r"^\s+[0-9a-f]+ (\S+)")
CALL = re.compile(r"^(?:__x64_sys_|__do_sys_|__se_sys_|ksys_|__sys_)(\w+)")
LEAST_US = 1.0


def what(frames: list[str]) -> str:
    """What the outermost kernel function of a stack is about."""
    for frame in reversed(frames):
        if found := CALL.match(frame):
            return found[1]
        if frame in ("do_exit", "do_group_exit"):
            return "(exit)"
        if frame == "asm_exc_page_fault":
            return "(page fault)"
        if frame.startswith("asm_sysvec") or frame == "asm_common_interrupt":
            return "(interrupt)"
        if frame.startswith("ret_from_fork"):
            return "(kernel thread or start)"
    return "(user code and entry)"


def command(comm: str) -> str:
    """A command's name without numbers that differ each time."""
    comm = re.sub(r"^ctr-[0-9a-f]{12}$", "ctr-NAME", comm)
    return re.sub(r"^(kworker|swapper|ksoftirqd|migration)/.*", r"\1", comm)


def main() -> None:
    """Reads the stacks, prints the table."""
    lifecycles, rate = int(sys.argv[1]), int(sys.argv[2])
    spent: Counter[tuple[str, str]] = Counter()
    comm, frames = "", list[str]()
    for line in [*sys.stdin, "\n"]:
        if found := FRAME.match(line):
            frames.append(found[1])
        elif line.strip():
            comm = line.strip()
        else:
            if comm:
                spent[command(comm), what(frames)] += 1
            comm, frames = "", []
    us = {key: count / rate * 1e6 / lifecycles for key, count in spent.items()}
    totals: Counter[str] = Counter()
    for (name, _), time in us.items():
        totals[name] += int(time * 10)
    for name, total in totals.most_common():
        if total / 10 < 10 * LEAST_US:
            continue
        print(f"{total / 10:9.1f} us a lifecycle: {name}")
        for (other, call), time in sorted(us.items(), key=lambda item: -item[1]):
            if other == name and time >= LEAST_US:
                print(f"          {time:9.1f}  {call}")


main()
