"""What a container uses: from Python, by `libctr stats` and by `libctr top`."""

from __future__ import annotations

import errno
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

import ctr
from lanes import LIMITS

LIBCTR = [sys.executable, "-m", "ctr"]


@LIMITS
def test_numbers_have_names_and_what_is_not_counted_is_none() -> None:
    with ctr.Container(memory="64M") as c:
        before = c.stats()
        assert before.memory.current is not None
        assert 1000 < before.memory.current < 64 << 20
        assert before.pids.current == 1
        assert before.oom_kills == 0
        c.run(["sh", "-c", "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done"], check=True)
        with ctr.join(c.name) as joined:
            after = joined.stats()
        assert before.cpu.user is not None
        assert after.cpu.user is not None
        assert before.cpu.user + 0.02 < after.cpu.user < 60
        assert after.memory._fields == ("current", "peak", "anon", "file", "kernel", "sock", "shmem")
        pressure = after.pressure.memory
        if pressure is None:
            assert after.pressure == (None, None, None)
        else:
            assert 0 <= pressure.some.avg10 <= 100
            assert pressure.some.total >= 0
        c.run(["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"], stderr=ctr.DEVNULL)
        assert c.stats().oom_kills == 1
    with pytest.raises(ctr.Error, match="its handle is closed"):
        c.stats()


def test_what_has_no_cgroup_has_no_numbers() -> None:
    with ctr.Container(cgroup="off") as c:
        with pytest.raises(ctr.Error, match="it has no cgroup") as caught:
            c.stats()
        assert caught.value.errno == errno.EOPNOTSUPP
        row = rows(subprocess.check_output([*LIBCTR, "stats"], text=True))[c.name]
        assert row["MEMORY"] == "-"


def rows(text: str) -> dict[str, dict[str, str]]:
    """The lines of a table by the names of their containers."""
    heading, *lines = [re.split(r"\s{2,}", line) for line in text.splitlines()]
    return {line[0]: dict(zip(heading, line)) for line in lines}


@LIMITS
def test_the_command_line_shows_one_and_all() -> None:
    with ctr.Container(memory="64M") as c, ctr.Container() as other:
        all_of_them = rows(subprocess.check_output([*LIBCTR, "stats"], text=True))
        row = all_of_them[c.name]
        assert "CPU TIME" in row
        # One look has no rate.
        assert "CPU %" not in row
        assert (row["LIMIT"], row["PIDS"], row["OOM"], row["STATE"]) == ("64.0M", "1", "0", "running")
        assert re.fullmatch(r"\d+\.\d[KM]", row["MEMORY"])
        assert all_of_them[other.name]["LIMIT"] == "-"
        assert list(rows(subprocess.check_output([*LIBCTR, "stats", c.name], text=True))) == [c.name]
    done = subprocess.run([*LIBCTR, "stats", c.name], capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert c.name in done.stderr


@LIMITS
def test_top_without_a_terminal_is_a_table_again_and_again() -> None:
    with ctr.Container(memory="64M") as c:
        c.popen(["sh", "-c", "while :; do :; done"])
        text = subprocess.check_output([*LIBCTR, "top", "-n", "2", "-d", "0.5"], text=True)
        first, second = (rows(table)[c.name] for table in text.split("\n\n"))
        assert first["CPU %"] == "-"
        assert 1 < float(second["CPU %"]) <= 210
        assert "\x1b" not in text


@LIMITS
@pytest.mark.parametrize("key", ["q", "\x03"])
def test_top_on_a_terminal_is_live_and_ends_by_a_key(key: str) -> None:
    with ctr.Container(memory="64M") as c:
        master, slave = pty.openpty()
        top = subprocess.Popen(
            # The terminal is its own, so that Ctrl-C reaches it.
            ["setsid", "--ctty", "--wait", *LIBCTR, "top", "-d", "0.2"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        shown = ""
        end = time.monotonic() + 60
        while shown.count(c.name[:8]) < 3:
            assert time.monotonic() < end, shown
            if select.select([master], [], [], 1)[0]:
                shown += os.read(master, 65536).decode()
        os.write(master, key.encode())
        assert top.wait(60) == (0 if key == "q" else 130)
        while select.select([master], [], [], 0.2)[0]:
            try:
                shown += os.read(master, 65536).decode()
            except OSError:
                break
        assert shown.startswith("\x1b[?1049h")
        assert shown.endswith("\x1b[?25h\x1b[?1049l"), shown[-100:]
        os.close(master)
        assert c.running
