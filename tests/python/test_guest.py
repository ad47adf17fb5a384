"""As a guest in somebody's program: threads, signals, forks, reapers. Nothing of the host is touched or taken."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable

import pytest

import ctr
from ctr import PIPE


def program(script: str, *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs a Python program of its own, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize(
    "wait",
    [
        lambda c: c.run(["sleep", "0.3"]),
        lambda c: c.run(["sleep", "0.3"], capture_output=True),
        lambda c: c.run(["sleep", "0.3"], stdout=PIPE),
        lambda c: c.popen(["sleep", "0.3"]).wait(),
        lambda c: c.popen(["sleep", "0.3"]).communicate(),
        lambda c: c.popen(["sleep", "0.3"], stdin=PIPE, stdout=PIPE).communicate(b"x", timeout=60),
    ],
)
def test_other_threads_run_on_while_one_waits(c: ctr.Container, wait: Callable[[ctr.Container], object]) -> None:
    counted, waiting = 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not waiting.is_set():
            counted += 1
            time.sleep(0.001)

    counter = threading.Thread(target=count)
    counter.start()
    before = counted
    wait(c)
    progress = counted - before
    waiting.set()
    counter.join()
    assert progress > 20


@pytest.mark.parametrize(
    "wait",
    [
        "c.run(['sleep', '1000'])",
        "c.run(['sleep', '1000'], capture_output=True)",
        "c.run(['sleep', '1000'], stdout=ctr.PIPE)",
        "c.run(['sleep', '1000'], timeout=900)",
        "c.popen(['sleep', '1000']).wait()",
        "c.popen(['sleep', '1000']).wait(timeout=900)",
        "c.popen(['sleep', '1000'], stdout=ctr.PIPE, stderr=ctr.PIPE).communicate()",
        "ctr.run('host', ['sleep', '1000'])",
    ],
)
def test_ctrl_c_ends_a_wait(wait: str) -> None:
    program(f"""
        import ctr, os, signal, threading
        with ctr.Container() as c:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                {wait}
            except KeyboardInterrupt:
                pass
            else:
                raise SystemExit("the wait was not interrupted")
            if "popen" not in {wait!r}:
                comms = c.run("cat /proc/[0-9]*/comm", shell=True, capture_output=True, text=True).stdout
                assert "sleep" not in comms, comms
        assert os.getpid() not in [info.owner for info in ctr.containers()]
    """)


def test_a_signal_handler_runs_during_a_wait_and_the_wait_goes_on() -> None:
    program("""
        import ctr, os, signal, threading
        seen = []
        signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
        with ctr.Container() as c:
            for wait in (
                lambda: c.run(["sleep", "0.5"]),
                lambda: c.run(["sleep", "0.5"], capture_output=True),
                lambda: c.popen(["sh", "-c", "sleep 0.5; echo x"], stdout=ctr.PIPE).communicate(),
            ):
                before = len(seen)
                threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
                wait()
                assert len(seen) == before + 1, seen
    """)


@pytest.mark.parametrize("options", ["os.WNOHANG", "os.WNOHANG | 0x40000000"], ids=["plain", "__WALL"])
def test_a_hostile_reaper_sees_nothing_of_us_and_takes_nothing(options: str) -> None:
    program(f"""
        import ctr, os, signal, threading, time
        heard, reaped, stop = [], [], threading.Event()
        signal.signal(signal.SIGCHLD, lambda *_: heard.append(1))

        def reap():
            while not stop.is_set():
                try:
                    reaped.append(os.waitpid(-1, {options})[0])
                except ChildProcessError:
                    pass
                time.sleep(0.0005)

        reaper = threading.Thread(target=reap)
        reaper.start()
        for _ in range(50):
            with ctr.Container(memory="64M", cgroup="optional") as c:
                assert c.run(["sh", "-c", "exit 7"]).returncode == 7
                assert c.run(["echo", "x"], capture_output=True).stdout == b"x\\n"
        stop.set()
        reaper.join()
        # Who asks for children of clone(2) too may meet the one that starts our zygote, and takes nothing with it.
        assert sum(map(bool, reaped)) <= ("|" in {options!r}), reaped
        assert not heard
    """)


def test_a_host_that_ignores_sigchld_still_learns_how_programs_ended() -> None:
    program("""
        import ctr, signal
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with ctr.Container() as c:
            assert c.run(["sh", "-c", "exit 7"]).returncode == 7
            assert c.run(["sh", "-c", "kill -9 $$"]).returncode == -9
    """)


def test_nothing_of_the_host_is_changed() -> None:
    program("""
        import ctr, os, resource, signal
        def state():
            handlers = [signal.getsignal(n) for n in range(1, 65) if n not in (32, 33)]
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
            limits = [resource.getrlimit(n) for n in range(16)]
            os.umask(old := os.umask(0))
            kept = ("SigBlk", "SigIgn", "SigCgt", "Cap", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups", "PPid")
            status = [line for line in open("/proc/self/status") if line.startswith(kept)]
            links = {n: os.readlink(f"/proc/self/ns/{n}") for n in os.listdir("/proc/self/ns")}
            return handlers, mask, limits, old, os.getcwd(), dict(os.environ), status, links, os.getpgrp(), os.getsid(0)
        before = state()
        with ctr.Container(memory="64M", cgroup="optional") as c:
            c.run(["true"])
            assert state() == before
        assert state() == before
    """)


def test_the_end_of_a_forked_child_is_not_the_end_of_the_container() -> None:
    program("""
        import ctr, gc, os, sys
        ways = {
            "exit": lambda c: sys.exit(0),
            "_exit": lambda c: os._exit(0),
            "with": lambda c: c.__exit__(None, None, None),
            "close": lambda c: c.close(),
        }
        for name, way in ways.items():
            c = ctr.Container()
            p = c.popen(["sleep", "1000"])
            child = os.fork()
            if not child:
                try:
                    way(c)
                    del c, p
                    gc.collect()
                finally:
                    os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert c.running and p.poll() is None, name
            assert c.run(["echo", name], capture_output=True, text=True).stdout == name + "\\n"
            p.kill()
            assert p.wait() == -9
            c.destroy()
            del p
    """)


def test_leaving_a_block_in_a_forked_child_does_not_end_the_container() -> None:
    program("""
        import ctr, os
        outer = os.getpid()
        with ctr.Container() as c:
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                assert c.run(["true"]).returncode == 0
        if os.getpid() != outer:
            os._exit(0)
        assert not c.running
    """)


def test_a_forked_child_joins_by_name_and_is_refused_its_parents_handle() -> None:
    program("""
        import ctr, os
        with ctr.Container() as c:
            name = c.name
            for _ in range(3):
                child = os.fork()
                if not child:
                    status = 1
                    try:
                        try:
                            c.run(["true"])
                        except ctr.Error as error:
                            assert f"process {os.getppid()}'s" in str(error), error
                        else:
                            raise AssertionError("it is its parent's")
                        with ctr.join(name) as again:
                            assert again.run(["echo", "child"], capture_output=True).stdout == b"child\\n"
                            assert again.run(["sh", "-c", "exit 7"]).returncode == 7
                        with ctr.Container() as own:
                            assert own.run(["true"]).returncode == 0
                        status = 0
                    finally:
                        os._exit(status)
                assert c.run(["echo", "parent"], capture_output=True).stdout == b"parent\\n"
                assert os.waitpid(child, 0)[1] == 0
                assert c.run(["true"]).returncode == 0
    """)


def test_a_forked_child_that_asks_how_a_program_ended_leaves_the_answer_to_its_parent() -> None:
    program("""
        import ctr, os
        with ctr.Container() as c:
            p = c.popen(["sh", "-c", "exit 3"])
            child = os.fork()
            if not child:
                try:
                    p.wait()
                except ctr.Error:
                    os._exit(3)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
            assert (p.wait(), p.exit.reason) == (3, "exited")
    """)


def test_destroy_in_a_forked_child_ends_nothing() -> None:
    program("""
        import ctr, os
        c = ctr.Container()
        child = os.fork()
        if not child:
            try:
                c.destroy()
            except ctr.Error:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert c.running
        c.destroy()
    """)


def test_a_container_ends_with_its_maker_though_a_forked_child_lives_on() -> None:
    program("""
        import ctr, os, signal, time
        reader, writer = os.pipe()
        maker = os.fork()
        if not maker:
            c = ctr.Container()
            os.write(writer, str(c.pid).encode())
            os.close(writer)
            if os.fork():
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(2)
            os._exit(0)
        pid = int(os.read(reader, 20))
        os.waitpid(maker, 0)
        for _ in range(100):
            if not os.path.exists(f"/proc/{pid}"):
                break
            time.sleep(0.01)
        else:
            raise SystemExit("the container lives on")
    """)


def _in_pool(number: int) -> tuple[int, bytes, str]:
    done = ctr.run("host", ["sh", "-c", f"echo {number}; exit {number}"], stdout=PIPE)
    return done.returncode, done.stdout, done.exit.reason


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_can_run_containers(method: str) -> None:
    with ctr.Container() as c:
        c.run(["true"])
        with multiprocessing.get_context(method).Pool(3) as pool:
            results = pool.map(_in_pool, range(6))
        assert results == [(n, f"{n}\n".encode(), "exited") for n in range(6)]
        assert c.run(["true"]).returncode == 0


def test_handles_are_shared_by_threads(c: ctr.Container) -> None:
    results: list[bytes] = []

    def use(number: int) -> None:
        for turn in range(20):
            word = f"{number}.{turn}".encode()
            results.append(c.run(["cat"], input=word, capture_output=True).stdout)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(f"{number}.{turn}".encode() for number in range(8) for turn in range(20))


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed, who has rights to drop")
def test_a_host_that_drops_its_rights_gets_a_container_with_those_that_are_left() -> None:
    program("""
        import ctr, os, tempfile
        with ctr.Container() as c:
            assert c.run(["true"]).returncode == 0
        home = tempfile.mkdtemp()
        os.chown(home, 65534, 65534)
        os.environ.update(CTR_STATE_DIR=home + "/state", CTR_STORE_DIR=home + "/store")
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        with ctr.Container() as c:
            done = c.run(["sh", "-c", "id -u; cat /proc/self/uid_map"], capture_output=True, text=True)
            lines = done.stdout.split("\\n")
            assert lines[0] == "0", done
            assert lines[1].split() == ["0", "65534", "1"], done
    """)


def test_a_hundred_megabytes_of_our_memory_are_not_seen_inside(c: ctr.Container) -> None:
    done = c.run(["grep", "VmRSS", "/proc/1/status"], stdout=PIPE, text=True)
    assert int(done.stdout.split()[1]) < 1024


def test_an_exit_without_goodbye_leaves_no_container() -> None:
    done = program("""
        import ctr
        c = ctr.Container()
        p = c.popen(["sleep", "1000"])
        print(c.name)
    """)
    deadline = time.monotonic() + 60
    while done.stdout.strip() in [info.name for info in ctr.containers()] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert done.stdout.strip() not in [info.name for info in ctr.containers()]


def test_signals_to_our_group_do_not_reach_inside(c: ctr.Container) -> None:
    program("""
        import ctr, os, signal
        os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, lambda *_: None)
        with ctr.Container() as c:
            p = c.popen(["sleep", "1000"])
            os.killpg(0, signal.SIGTERM)
            c.run(["sleep", "0.1"])
            assert p.poll() is None
            p.kill()
            assert p.wait() == -signal.SIGKILL
    """)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert os.getpid() > 0
