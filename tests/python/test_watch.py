"""Events of a container and samples of what it uses: from Python, in event loops, and by `libctr events`."""

from __future__ import annotations

import errno
import itertools
import json
import select
import subprocess
import sys
import threading
import time

import anyio
import pytest

import ctr
from lanes import LIMITS

LIBCTR = [sys.executable, "-m", "ctr"]
# What takes 96 MiB at once, twice of what the containers have.
HOG = "dd if=/dev/zero of=/dev/null bs=96M count=1 2>/dev/null"


def until(watch: ctr.Watch, kind: str) -> list[ctr.Event]:
    """All that comes until one of this kind, which is the last of them."""
    events = []
    for event in watch:
        events.append(event)
        if event.kind == kind:
            return events
    raise AssertionError(f"no {kind} among {events}")


def count(events: list[ctr.Event], kind: str) -> int:
    return sum(event.count for event in events if event.kind == kind)


@LIMITS
def test_children_that_are_killed_for_memory_are_told_with_their_count() -> None:
    with ctr.Container(memory="48M") as c, c.watch("oom_kill", "exit") as watch:
        assert watch.kinds == {"oom_kill", "exit", "end"}
        began, monotonic = time.time(), time.monotonic()
        p = c.popen(["sh", "-c", f"{HOG}; {HOG}; exit 7"])
        events = until(watch, "exit")
        assert count(events, "oom_kill") == 2
        last = events[-1]
        assert last.exit is not None
        assert (last.pid_inside, last.exit.code, last.exit.reason) == (p.pid_inside, 7, "exited")
        assert began - 0.1 <= last.time <= time.time() + 0.1
        assert monotonic <= last.monotonic <= time.monotonic()
        assert watch.wait(0) is None
        done = c.run(["sh", "-c", f"exec {HOG}"])
        assert done.exit.reason == "out of memory"
        killed = until(watch, "exit")
        assert [event.kind for event in killed] == ["oom_kill", "exit"]
        assert killed[1].exit is not None
        assert killed[1].exit.reason == "out of memory"
        c.destroy()
        assert [event.kind for event in watch] == ["end"]
        assert list(watch) == []
        with pytest.raises(ctr.Error) as caught:
            watch.wait(0)
        assert caught.value.code == -5


def test_the_ends_of_programs_are_told_without_a_cgroup_too() -> None:
    with ctr.Container(cgroup="off") as c:
        early = c.popen(["sh", "-c", "exit 4"])
        watch = c.watch()
        assert watch.kinds == {"exit", "end"}
        watch.add(early)
        assert [event.exit and event.exit.code for event in until(watch, "exit")] == [4]
        c.popen(["sh", "-c", "exit 5"])
        ended = until(watch, "exit")[0].exit
        assert ended is not None
        assert (ended.code, ended.signal, ended.reason) == (5, 0, "exited")
        with pytest.raises(ctr.Error, match="without a cgroup") as caught:
            c.watch("oom_kill")
        assert (caught.value.errno, caught.value.step_id) == (errno.EOPNOTSUPP, "watch-container")
        with pytest.raises(ValueError, match='unknown event: "ooom"; there are oom_kill, memory_limit'):
            c.watch("ooom")  # type: ignore[arg-type]
        with pytest.raises(ctr.Error, match="watch the pressure of .* it has no cgroup"):
            watch.add_pressure("memory", stall=0.1)
        with pytest.raises(ValueError, match="stall must be a number of seconds, not -1"):
            watch.add_pressure("memory", stall=-1)
        assert watch.wait(0.01) is None
        watch.close()
        watch.close()
        with pytest.raises(ctr.Error, match="it is closed"):
            watch.wait(0)


def test_a_selector_hears_of_events_and_a_wait_ends_in_time() -> None:
    with ctr.Container() as c, c.watch("exit") as watch:
        poller = select.poll()
        poller.register(watch, select.POLLIN)
        assert poller.poll(0) == []
        began = time.monotonic()
        assert watch.wait(0.2) is None
        assert 0.2 <= time.monotonic() - began < 10
        c.popen(["true"])
        assert poller.poll(30_000)
        event = watch.wait(30)
        assert event is not None
        assert event.kind == "exit"


def test_who_joins_is_told_of_the_end() -> None:
    c = ctr.Container()
    with ctr.join(c.name) as joined:
        watch = joined.watch("end")
    threading.Timer(0.2, c.destroy).start()
    assert [event.kind for event in watch] == ["end"]


@LIMITS
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_asyncio_and_trio_are_told_without_blocking(backend: str) -> None:
    pytest.importorskip(backend)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.01)
            ticks += 1

    async def main() -> None:
        async with ctr.aio.Container(memory="48M") as c, anyio.create_task_group() as tasks:
            watch = c.watch("oom_kill", "exit")
            tasks.start_soon(tick)
            assert await watch.wait(0.3) is None
            assert ticks >= 5
            early = await c.popen(["sh", "-c", f"{HOG}; exit 3"])
            watch.add(early)
            kinds = []
            async for event in watch:
                kinds.append(event.kind)
                if event.kind == "exit":
                    assert event.pid_inside == early.popen.pid_inside
                    await c.destroy()
            assert kinds == ["oom_kill", "exit", "end"]
            watch.close()
            tasks.cancel_scope.cancel()

    anyio.run(main, backend=backend)


@LIMITS
def test_samples_are_flat_rows_with_rates_until_the_container_ends() -> None:
    with ctr.Container(memory="64M") as c:
        rows = c.monitor(0.1)
        c.popen(["sh", "-c", "while :; do :; done"])
        some = list(itertools.islice(rows, 8))
        assert all(later.elapsed - row.elapsed >= 0.04 for row, later in zip(some, some[1:]))
        # One loop, on a machine on which others may run: on cgroup v1 it is counted in steps of 10 ms.
        assert max(row.cpu or 0 for row in some) > 0.1
        assert all(row.cpu is not None and row.cpu < 1.7 for row in some)
        assert all(abs(row.cpu - row.cpu_user - row.cpu_system) < 1e-9 for row in some)  # type: ignore[operator]
        last = some[-1]
        assert last.memory is not None
        assert 1000 < last.memory < 64 << 20
        assert last.pids == 2
        assert last.oom_kills == 0
        assert last._fields[:3] == ("time", "elapsed", "cpu")
        assert abs(last.time - time.time()) < 5
        threading.Timer(0.3, c.destroy).start()
        began = time.monotonic()
        assert list(rows)
        assert time.monotonic() - began < 20
    with ctr.Container() as c:
        assert len(list(c.monitor(0.01, count=3))) == 3
        with pytest.raises(ValueError, match="interval must be a positive number"):
            c.monitor(0)
        c.destroy()
        with pytest.raises(ctr.Error):
            c.monitor()


@LIMITS
def test_samples_make_a_frame() -> None:
    pandas = pytest.importorskip("pandas")
    with ctr.Container() as c:
        frame = pandas.DataFrame(c.monitor(0.01, count=4))
    assert list(frame.columns) == list(ctr.Sample._fields)
    assert len(frame) == 4
    assert frame["memory"].mean() > 1000


@LIMITS
def test_an_event_loop_has_samples_too() -> None:
    async def main() -> None:
        async with ctr.aio.Container() as c:
            rows = [row async for row in c.monitor(0.05, count=3)]
            assert [row.pids for row in rows] == [1, 1, 1]
            endless = c.monitor(0.05)
            assert (await endless.__anext__()).pids == 1
            await c.destroy()
            assert [row async for row in endless] == []

    anyio.run(main)


@LIMITS
def test_the_command_prints_what_happens_until_the_end() -> None:
    with ctr.Container(memory="48M") as c, ctr.Container() as other:
        names = [c.name, other.name]
        with subprocess.Popen([*LIBCTR, "events", *names], text=True, stdout=subprocess.PIPE) as plain:
            with subprocess.Popen([*LIBCTR, "events", "--json", *names], text=True, stdout=subprocess.PIPE) as as_json:
                # They watch when their epolls are there.
                for process in (plain, as_json):
                    wait_for_watchers(process.pid, 2)
                c.run(["sh", "-c", f"{HOG}; {HOG}; true"], check=True)
                c.destroy()
                other.destroy()
                told = [json.loads(line) for line in as_json.communicate(timeout=60)[0].splitlines()]
            lines = plain.communicate(timeout=60)[0].splitlines()
        assert (plain.returncode, as_json.returncode) == (0, 0)
    assert sum(line["count"] for line in told if (line["name"], line["kind"]) == (c.name, "oom_kill")) == 2
    assert {line["name"] for line in told if line["kind"] == "end"} == set(names)
    assert told[-1]["kind"] == "end"
    assert any(line.endswith(f"  {c.name}  end") for line in lines)
    assert any("  oom_kill" in line for line in lines)
    gone = subprocess.run([*LIBCTR, "events", "ctr-nobody"], capture_output=True, text=True)
    assert gone.returncode != 0
    assert "find container ctr-nobody" in gone.stderr


def wait_for_watchers(pid: int, number: int) -> None:
    from pathlib import Path

    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = [fd for fd in Path(f"/proc/{pid}/fd").iterdir() if "eventpoll" in str(fd.resolve())]
        if len(found) >= number:
            # The last of them is being filled.
            time.sleep(0.1)
            return
        time.sleep(0.01)
    raise AssertionError("it does not watch")
