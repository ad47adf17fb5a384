"""Counts the system calls of `strace -f -T --decode-pids=pidns` by role, for benches/profile.sh.

    roles.py LIFECYCLES < TRACE

Roles follow from who cloned whom: the host is the first process, what it starts (and what that leaves behind) is the
zygote, the zygote's children are each a container's PID 1, and whatever those start is a program. A zygote runs from
a memfd: what execs a file is a program.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict

ROLES = ["host", "zygote", "pid1", "program"]
LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed>)")
CHILD = re.compile(r"= (\d+)(?: /\* (\d+) in strace's PID NS \*/)?(?: <[\d.]+>)?$")
TIME = re.compile(r"<([\d.]+)>$")
MEMFD = re.compile(r'execveat\(\d+, "",|/proc/self/fd/|/dev/fd/')
CLONES = {"clone", "clone3", "fork", "vfork"}


def main() -> None:
    """Reads the trace, prints the table."""
    lifecycles = int(sys.argv[1])
    role: dict[str, str] = {}
    fresh: set[str] = set()  # zygotes-to-be that have not called execve yet
    early: defaultdict[str, list[tuple[str, str]]] = defaultdict(
        list
    )  # lines of processes whose parent's clone has not returned yet
    begun: dict[str, str] = {}  # the first half of a call that another process's line interrupted
    calls: defaultdict[tuple[str, str], int] = defaultdict(int)
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def child_role(parent: str) -> str:
        if role[parent] == "host" or parent in fresh:
            return "zygote"
        return "pid1" if role[parent] == "zygote" else "program"

    def take(pid: str, name: str, line: str) -> None:
        key = (role[pid], name)
        if "resumed>" in line:
            line = begun.pop(pid, "") + line
        else:
            calls[key] += 1
        if line.endswith("<unfinished ...>"):
            begun[pid] = line
            return
        if found := TIME.search(line):
            seconds[key] += float(found[1])
        if name in ("execve", "execveat") and "= 0" in line:
            fresh.discard(pid)
            if role[pid] == "zygote" and not MEMFD.search(line):
                role[pid] = "program"  # the floor's child has no zygote in between
        if name in CLONES and (found := CHILD.search(line)):
            adopt(pid, found[2] or found[1], "CLONE_THREAD" in line)

    def adopt(parent: str, child: str, thread: bool) -> None:
        role[child] = role[parent] if thread else child_role(parent)
        if role[child] == "zygote":
            fresh.add(child)
        for name, line in early.pop(child, []):
            take(child, name, line)

    for line in sys.stdin:
        line = line.rstrip("\n")
        if not (found := LINE.match(line)):
            continue
        pid, name = found.groups()
        if not role:
            role[pid] = "host"
        if pid in role:
            take(pid, name, line)
        else:
            early[pid].append((name, line))

    names = sorted({name for _, name in calls}, key=lambda n: -sum(calls[r, n] for r in ROLES))
    print(f"{'call':24}" + "".join(f"{r:>10}{'us each':>10}" for r in ROLES))
    for name in names:
        cells = ""
        for r in ROLES:
            count = calls[r, name]
            cells += f"{count / lifecycles:10.2f}{seconds[r, name] / count * 1e6:10.0f}" if count else " " * 20
        if any(calls[r, name] >= lifecycles / 20 for r in ROLES):
            print(f"{name:24}{cells}")
    totals = "".join(f"{sum(n for (who, _), n in calls.items() if who == r) / lifecycles:10.1f}{'':10}" for r in ROLES)
    print(f"{'all':24}{totals}")
    if early:
        print(f"not attributed: {sum(len(lines) for lines in early.values())} calls of {len(early)} processes")


main()
