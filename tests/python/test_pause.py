"""A container that stands still, and goes on: from Python and by the command line."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import ctr


@pytest.fixture
def c() -> Iterator[ctr.Container]:
    with ctr.Container() as c:
        try:
            c.pause()
            c.resume()
        except ctr.Error as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            pytest.skip(str(error))
        yield c


def test_programs_stand_still_and_go_on(c: ctr.Container) -> None:
    p = c.popen(["cat"], stdin=ctr.PIPE, stdout=ctr.PIPE, text=True, bufsize=1)
    assert p.stdin
    assert p.stdout
    assert not c.paused
    c.pause()
    c.pause(timeout=None)
    assert c.paused
    assert c.running
    assert c.inspect()["paused"]
    p.stdin.write("x\n")
    with pytest.raises(subprocess.TimeoutExpired):
        p.wait(timeout=0.1)
    with pytest.raises(ctr.Error, match="resume it first") as caught:
        c.run(["true"])
    assert caught.value.errno == errno.EBUSY
    (info,) = (info for info in ctr.containers() if info.name == c.name)
    assert (info.paused, info.pid) == (True, c.pid)
    with ctr.join(c.name) as joined:
        assert joined.paused
        joined.resume()
    assert not c.paused
    assert p.stdout.readline() == "x\n"
    p.kill()
    p.wait()
    c.pause()


def test_nobody_waits_for_the_end_of_what_was_killed_in_a_paused_container(c: ctr.Container) -> None:
    p = c.popen(["sleep", "1000"], stdin=ctr.DEVNULL, stdout=ctr.PIPE)
    c.pause()
    p.kill()
    with pytest.raises(subprocess.TimeoutExpired):
        p.wait(0.1)
    # Ends a wait that no error ends.
    late = threading.Timer(20, c.resume)
    late.start()
    for end in (p.wait, p.abandon):
        with pytest.raises(ctr.Error, match="it is paused") as caught:
            end()
        assert caught.value.errno == errno.EBUSY
    late.cancel()
    c.resume()
    assert p.wait() == -9


def test_what_has_no_cgroup_can_not_be_paused() -> None:
    with ctr.Container(cgroup="off") as c:
        with pytest.raises(ctr.Error, match="pause container") as caught:
            c.pause()
        assert caught.value.errno == errno.EOPNOTSUPP
        assert not c.paused


def libctr(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ctr", *words], capture_output=True, text=True, check=False)


def test_the_command_line_pauses_shows_and_resumes(c: ctr.Container) -> None:
    def state() -> str:
        lines = [line.split() for line in libctr("ps").stdout.splitlines()]
        (line,) = (line for line in lines if line[0] == c.name)
        return line[lines[0].index("STATE")]

    assert state() == "running"
    assert libctr("pause", c.name).returncode == 0
    assert (state(), c.paused) == ("paused", True)
    started = time.monotonic()
    done = libctr("exec", c.name, "true")
    assert done.returncode == 125, done
    assert "it is paused" in done.stderr, done
    assert time.monotonic() - started < 10
    assert libctr("unpause", c.name).returncode == 0
    assert (state(), c.paused) == ("running", False)
    assert libctr("pause", c.name, "no-such").returncode == 125
    assert c.paused
    assert libctr("rm", c.name).returncode == 0
    assert not c.running
