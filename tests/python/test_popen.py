"""`Container.popen`: what subprocess.Popen promises, inside. The edge cases are those that CPython's own tests name."""

from __future__ import annotations

import errno
import gc
import io
import os
import select
import signal
import subprocess
import threading
import time
import warnings
from pathlib import Path

import pytest

import ctr
from ctr import DEVNULL, PIPE, STDOUT


def test_a_process_runs_beside_us(c: ctr.Container) -> None:
    with c.popen(["sh", "-c", "read x; echo got $x"], stdin=PIPE, stdout=PIPE, text=True) as p:
        assert p.poll() is None
        assert p.returncode is None
        assert p.stdin is not None
        assert p.stdout is not None
        p.stdin.write("word\n")
        p.stdin.close()
        assert p.stdout.read() == "got word\n"
        assert p.wait() == 0
    assert p.returncode == 0
    assert p.stdout.closed


def test_poll_and_wait_answer_the_same_for_ever(c: ctr.Container) -> None:
    p = c.popen(["sh", "-c", "exit 5"])
    assert p.wait() == 5
    assert p.wait() == 5
    assert p.wait(timeout=0) == 5
    assert p.poll() == 5
    assert p.exit is not None
    assert p.exit.reason == "exited"


def test_a_wait_that_times_out_leaves_the_process_running(c: ctr.Container) -> None:
    with c.popen(["sleep", "1000"]) as p:
        for timeout in (0.05, 0, -1):
            with pytest.raises(subprocess.TimeoutExpired, match=r"sleep.*1000"):
                p.wait(timeout=timeout)
        assert p.poll() is None
        assert p.exit is None
        p.kill()
    assert p.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("method", "number"), [("terminate", signal.SIGTERM), ("kill", signal.SIGKILL)])
def test_terminate_and_kill_send_their_signal(c: ctr.Container, method: str, number: int) -> None:
    with c.popen(["sleep", "1000"]) as p:
        getattr(p, method)()
        assert p.wait() == -number
        getattr(p, method)()
    assert p.exit is not None
    assert (p.exit.code, p.exit.signal, p.exit.reason) == (128 + number, number, "signaled")


def test_a_time_limit_ends_it_whatever_we_do(c: ctr.Container) -> None:
    p = c.popen(["sleep", "1000"], time_limit=0.1)
    assert p.wait() == -signal.SIGKILL
    assert p.exit is not None
    assert p.exit.reason == "timed out"
    assert c.run(["sleep", "1000"], time_limit=0.1).exit.reason == "timed out"
    assert c.run(["true"], time_limit=60).exit.reason == "exited"
    with pytest.raises(ValueError, match="0 or more"):
        c.popen(["true"], time_limit=-1)
    with pytest.raises(TypeError, match="time_limit must be a number of seconds, not str"):
        c.popen(["true"], time_limit="1")  # type: ignore[call-overload]


def test_a_budget_of_cpu_time_ends_all_that_a_program_started(c: ctr.Container) -> None:
    done = c.run("(setsid sh -c 'while :; do :; done' &) ; sleep 1000", shell=True, cpu_time_limit=0.2)
    assert (done.exit.reason, done.returncode) == ("out of cpu time", -9)
    assert "reason='out of cpu time'" in repr(done)
    assert c.run(["sleep", "0.3"], cpu_time_limit=0.2).exit.reason == "exited"
    held = c.run(
        "echo shown; setsid sleep 1000 & while :; do :; done", shell=True, capture_output=True, cpu_time_limit=0.2
    )
    assert (held.exit.reason, held.stdout) == ("out of cpu time", b"shown\n")
    with pytest.raises(ValueError, match="cpu_time_limit"):
        c.popen(["true"], cpu_time_limit=-1)


def test_a_time_limit_ends_what_a_program_left_behind(c: ctr.Container) -> None:
    script = "setsid sleep 1234 & (setsid sleep 1234 &); echo ready"
    done = c.run(["sh", "-c", script], time_limit=1, capture_output=True, text=True)
    assert (done.stdout, done.exit.reason) == ("ready\n", "exited")
    assert c.run("! grep -q '^sleep.1234' /proc/[0-9]*/cmdline", shell=True).returncode == 0


def test_a_start_that_takes_too_long_is_a_time_out(c: ctr.Container) -> None:
    assert c.run(["true"], start_timeout=5).returncode == 0
    with pytest.raises(ValueError, match="start_timeout"):
        c.run(["true"], start_timeout=-1)
    lease = (
        "import fcntl, os, signal, time; signal.signal(signal.SIGIO, signal.SIG_IGN); "
        "fd = os.open('/tmp/leased', os.O_RDWR); fcntl.fcntl(fd, 1024, fcntl.F_WRLCK); "
        "os.write(1, b'held'); time.sleep(1000)"
    )
    c.run("cp /bin/true /tmp/leased", shell=True, check=True)
    holder = c.popen(["python3", "-c", lease], stdout=ctr.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.read(4) == b"held"
    with pytest.raises(TimeoutError, match="lease"):
        c.popen(["/tmp/leased"], start_timeout=0.5)
    for capture in (False, True):
        with pytest.raises(ctr.TimeoutExpired):
            c.run(["/tmp/leased"], timeout=0.5, capture_output=capture)
    holder.kill()
    holder.wait()


def test_kill_all_ends_every_program_and_not_the_container(c: ctr.Container) -> None:
    programs = [c.popen(["sh", "-c", "setsid sleep 4321 & sleep 4321"]) for _ in range(3)]
    c.kill_all(0)
    assert [p.poll() for p in programs] == [None] * 3
    c.kill_all()
    assert [p.wait() for p in programs] == [-signal.SIGKILL] * 3
    assert c.run("! grep -q '^sleep.4321' /proc/[0-9]*/cmdline", shell=True).returncode == 0
    with pytest.raises(ValueError, match="signal"):
        c.kill_all(1000)


def test_stop_asks_and_then_destroys() -> None:
    script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.01; done"
    with ctr.Container() as c, c.popen(["sh", "-c", script], stdout=PIPE) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == b"ready\n"
        c.stop(timeout=None)
        assert p.stdout.read() == b"caught\n"
        assert (p.wait(), c.running) == (9, False)
        c.stop()
    with ctr.Container() as c, c.popen(["sh", "-c", script.replace("exit 9", "")], stdout=PIPE) as p:
        assert p.stdout is not None
        p.stdout.readline()
        c.stop(0.1)
        assert p.wait() == -signal.SIGKILL


def test_send_signal_reaches_a_handler(c: ctr.Container) -> None:
    script = "trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.01; done"
    with c.popen(["sh", "-c", script], stdout=PIPE) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == b"ready\n"
        p.send_signal(signal.SIGUSR1)
        assert p.stdout.read() == b"caught\n"
    assert p.returncode == 9


def test_a_signal_that_does_not_exist_is_refused(c: ctr.Container) -> None:
    with c.popen(["sleep", "1000"]) as p:
        for number in (-1, 65, 10_000):
            with pytest.raises(OSError, match="signal|EINVAL"):
                p.send_signal(number)
        assert p.poll() is None
        p.kill()


def test_a_stopped_process_has_not_ended(c: ctr.Container) -> None:
    with c.popen(["sleep", "1000"]) as p:
        p.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            p.wait(timeout=0.1)
        assert p.poll() is None
        p.send_signal(signal.SIGCONT)
        p.kill()
        assert p.wait() == -signal.SIGKILL


def test_kill_group_reaches_what_the_process_started(c: ctr.Container) -> None:
    with c.popen("sleep 1000 & echo started; wait", shell=True, stdout=PIPE) as p:
        assert p.stdout is not None
        p.stdout.readline()
        p.kill_group()
        assert p.stdout.read() == b""
        assert p.wait() == -signal.SIGKILL


def test_both_pids_are_those_of_the_process(c: ctr.Container) -> None:
    with c.popen(["sh", "-c", "echo $$; read x"], stdin=PIPE, stdout=PIPE) as p:
        assert p.stdout is not None
        assert int(p.stdout.readline()) == p.pid_inside
        status = Path(f"/proc/{p.pid}/status").read_text()
        nspid = next(line for line in status.splitlines() if line.startswith("NSpid:"))
        assert nspid.split()[-1] == str(p.pid_inside)
        known = p.pid
    p.wait()
    assert p.pid == known


def test_it_can_be_waited_for_in_an_event_loop(c: ctr.Container) -> None:
    with c.popen(["sleep", "0.1"]) as p:
        poller = select.poll()
        poller.register(p, select.POLLIN)
        assert poller.poll(60_000)
        assert p.poll() == 0


def test_communicate_talks_through_every_pipe(c: ctr.Container) -> None:
    p = c.popen(["sh", "-c", "cat; echo pineapple >&2"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert p.communicate(b"banana") == (b"banana", b"pineapple\n")
    for stream in (p.stdin, p.stdout, p.stderr):
        assert stream is not None
        assert stream.closed
    assert p.returncode == 0
    assert p.communicate() == (b"banana", b"pineapple\n")


def test_communicate_with_one_pipe_or_none(c: ctr.Container) -> None:
    assert c.popen(["cat"], stdin=PIPE, stdout=DEVNULL).communicate(b"pear") == (None, None)
    assert c.popen(["echo", "pear"], stdout=PIPE).communicate() == (b"pear\n", None)
    assert c.popen(["sh", "-c", "echo pear >&2"], stderr=PIPE).communicate() == (None, b"pear\n")
    assert c.popen(["sh", "-c", "echo pear >&2"], stderr=PIPE).communicate(timeout=60) == (None, b"pear\n")
    assert c.popen(["true"]).communicate() == (None, None)


def test_communicate_does_not_deadlock_when_both_sides_are_full(c: ctr.Container) -> None:
    data = os.urandom(1 << 20)
    p = c.popen(["sh", "-c", "head -c 1000000 /dev/zero >&2; cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
    out, err = p.communicate(data, timeout=120)
    assert out == data
    assert err == bytes(1_000_000)


def test_communicate_goes_on_after_a_timeout(c: ctr.Container) -> None:
    p = c.popen(["sh", "-c", "echo one; read go; cat; echo two >&2"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
    slow = c.popen(["sh", "-c", "echo early; sleep 1; cat"], stdin=PIPE, stdout=PIPE)
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        slow.communicate(b"late", timeout=0.3)
    assert caught.value.output == b"early\n"
    assert slow.communicate() == (b"early\nlate", None)
    assert p.communicate(b"go\nrest") == (b"one\nrest", b"two\n")


def test_a_timeout_in_large_output_loses_nothing(c: ctr.Container) -> None:
    p = c.popen(["sh", "-c", "for i in 1 2 3 4; do head -c 262144 /dev/zero; sleep 0.2; done"], stdout=PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        p.communicate(timeout=0.3)
    out, _ = p.communicate()
    assert len(out) == 4 * 262144


def test_input_can_be_given_only_once(c: ctr.Container) -> None:
    p = c.popen(["cat"], stdin=PIPE, stdout=PIPE)
    assert p.communicate(b"a") == (b"a", None)
    with pytest.raises(ValueError, match="Cannot send input after starting communication"):
        p.communicate(b"b")


def test_what_was_written_before_communicate_comes_first(c: ctr.Container) -> None:
    p = c.popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert p.stdin is not None
    p.stdin.write(b"banana")
    assert p.communicate(b"split") == (b"bananasplit", b"")


def test_communicate_after_the_streams_were_closed(c: ctr.Container) -> None:
    p = c.popen(["sh", "-c", "exec >&-; sleep 0.3"], stdout=PIPE)
    while True:
        try:
            assert p.communicate(timeout=0.05) == (b"", None)
            break
        except subprocess.TimeoutExpired:
            pass
    q = c.popen(["true"], stdin=PIPE, stdout=PIPE)
    assert q.stdin is not None
    q.stdin.close()
    assert q.communicate() == (b"", None)


def test_a_reader_that_went_away_is_no_error_for_communicate(c: ctr.Container) -> None:
    p = c.popen(["sh", "-c", "exec <&-; sleep 0.2"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert p.communicate(b"x" * (1 << 20)) == (b"", b"")
    q = c.popen(["sh", "-c", "exec <&-; sleep 0.2"], stdin=PIPE)
    assert q.communicate(b"x" * (1 << 20)) == (None, None)


def test_leaving_the_block_closes_waits_and_tells_of_a_broken_pipe(c: ctr.Container) -> None:
    p = c.popen(["true"], stdin=PIPE, bufsize=1 << 20)
    p.wait()
    assert p.stdin is not None
    p.stdin.write(b"x" * 1000)
    with pytest.raises(BrokenPipeError), p:
        pass
    assert p.stdin.closed


def test_pipes_are_buffered_unless_asked_otherwise(c: ctr.Container) -> None:
    with c.popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE) as p:
        assert isinstance(p.stdin, io.BufferedWriter)
        assert isinstance(p.stdout, io.BufferedReader)
        assert isinstance(p.stderr, io.BufferedReader)
    with c.popen(["cat"], stdin=PIPE, stdout=PIPE, bufsize=0) as p:
        assert isinstance(p.stdin, io.RawIOBase)
        assert isinstance(p.stdout, io.RawIOBase)
        p.stdin.write(b"raw")
        assert p.stdout.read(3) == b"raw"
    with c.popen(["cat"], stdin=PIPE, stdout=PIPE, bufsize=None) as p:
        assert isinstance(p.stdin, io.BufferedWriter)


def test_a_bufsize_of_one_is_by_line_in_text(c: ctr.Container) -> None:
    with c.popen(["sh", "-c", "read x; echo $x"], stdin=PIPE, stdout=PIPE, bufsize=1, text=True) as p:
        assert p.stdin is not None
        assert p.stdout is not None
        p.stdin.write("line\n")
        os.close(p.stdin.fileno())
        assert p.stdout.read() == "line\n"
        with pytest.raises(OSError, match="Bad file descriptor"):
            p.stdin.close()
        p.stdin = None
    with pytest.warns(RuntimeWarning, match="line buffering"), c.popen(["true"], stdin=PIPE, bufsize=1):
        pass
    with pytest.raises(TypeError, match="bufsize"):
        c.popen(["true"], bufsize="orange")  # type: ignore[call-overload]


def test_text_streams_have_the_encoding_asked_for(c: ctr.Container) -> None:
    with c.popen(["printf", r"l1\r\nl2\rl3\n\344"], stdout=PIPE, encoding="latin-1", errors="replace") as p:
        assert isinstance(p.stdout, io.TextIOWrapper)
        assert (p.stdout.encoding, p.stdout.errors) == ("latin-1", "replace")
        assert p.stdout.readlines() == ["l1\n", "l2\n", "l3\n", "ä"]


def test_the_size_of_pipes_can_be_set(c: ctr.Container) -> None:
    import fcntl

    get_size = getattr(fcntl, "F_GETPIPE_SZ", 1032)
    with c.popen(["cat"], stdin=PIPE, stdout=PIPE, pipesize=8192) as p:
        assert p.stdin is not None
        assert p.stdout is not None
        assert fcntl.fcntl(p.stdin.fileno(), get_size) == 8192
        assert fcntl.fcntl(p.stdout.fileno(), get_size) == 8192
    with c.popen(["cat"], stdin=PIPE) as p:
        assert p.stdin is not None
        assert fcntl.fcntl(p.stdin.fileno(), get_size) == 65536


def test_our_ends_of_pipes_are_close_on_exec_and_not_seen_inside(c: ctr.Container) -> None:
    with c.popen(["ls", "/proc/self/fd"], stdin=PIPE, stdout=PIPE, stderr=PIPE) as p:
        for stream in (p.stdin, p.stdout, p.stderr):
            assert stream is not None
            assert not os.get_inheritable(stream.fileno())
        assert p.stdout is not None
        assert p.stdout.read().split() == [b"0", b"1", b"2", b"3"]


def test_one_descriptor_can_be_several_streams(c: ctr.Container, tmp_path: Path) -> None:
    with open(tmp_path / "both", "w+b") as file:
        assert c.run(["sh", "-c", "echo a; echo b >&2"], stdout=file, stderr=file).returncode == 0
        assert c.run(["sh", "-c", "echo c"], stdin=file, stdout=file).returncode == 0
        assert c.run(["sh", "-c", "echo d >&2"], stdin=file, stderr=file).returncode == 0
    assert (tmp_path / "both").read_bytes() == b"a\nb\nc\nd\n"


def test_standard_descriptors_can_be_swapped(c: ctr.Container, tmp_path: Path) -> None:
    script = (
        "import ctr\n"
        "with ctr.Container() as c:\n"
        "    p = c.popen(['sh', '-c', 'cat; echo err >&2'], stdin=2, stdout=0, stderr=1)\n"
        "    assert p.wait() == 0\n"
    )
    import sys

    for name in "012":
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "2").write_bytes(b"in\n")
    with open(tmp_path / "0", "r+b") as zero, open(tmp_path / "1", "r+b") as one, open(tmp_path / "2", "r+b") as two:
        subprocess.run([sys.executable, "-c", script], stdin=zero, stdout=one, stderr=two, check=True)
    assert (tmp_path / "0").read_bytes() == b"in\n"
    assert (tmp_path / "1").read_bytes() == b"err\n"


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_a_host_without_standard_streams_can_run_programs(closed: tuple[int, ...], tmp_path: Path) -> None:
    import sys

    script = (
        "import os, sys\n"
        f"for fd in {closed!r}: os.close(fd)\n"
        "import ctr\n"
        "with ctr.Container() as c:\n"
        "    done = c.run(['sh', '-c', 'cat; echo out; echo err >&2'], input=b'in\\n', capture_output=True)\n"
        "    quiet = c.run(['true']).returncode\n"
        f"open({str(tmp_path / 'seen')!r}, 'w').write(repr((done.returncode, done.stdout, done.stderr, quiet)))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdin=DEVNULL, stdout=DEVNULL)
    assert (tmp_path / "seen").read_text() == repr((0, b"in\nout\n", b"err\n", 0))


def test_passed_descriptors_are_open_inside_and_no_others(c: ctr.Container) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        done = c.run(["ls", "/proc/self/fd"], pass_fds=[writer], stdout=PIPE)
        # One more is the directory that ls reads.
        assert {0, 1, 2, writer} < {int(word) for word in done.stdout.split()}
        assert len(done.stdout.split()) == 5
        c.run(["sh", "-c", "echo nine >&9"], pass_fds={writer: 9})
        assert os.read(reader, 100) == b"nine\n"
        assert not os.get_inheritable(writer)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_passed_descriptor_that_is_not_open_is_an_error(c: ctr.Container, fds: set[int]) -> None:
    with pytest.raises(OSError, match="EBADF|descriptor") as caught:
        c.popen(["true"], pass_fds=[999])
    assert caught.value.errno in (errno.EBADF, errno.EINVAL)
    with pytest.raises(OSError, match="EBADF|descriptor"):
        c.popen(["true"], stdout=998)


def test_a_process_leads_a_session_or_a_group_or_joins_one(c: ctr.Container) -> None:
    script = ["sh", "-c", "cut -d' ' -f1,5,6 /proc/$$/stat; read x"]

    def numbers(p: ctr.Popen[bytes]) -> list[int]:
        assert p.stdout is not None
        return [int(word) for word in p.stdout.readline().split()]

    with c.popen(script, stdin=PIPE, stdout=PIPE) as own:
        pid, group, session = numbers(own)
        assert pid == group == session == own.pid_inside
    with c.popen(script, stdin=PIPE, stdout=PIPE, process_group=0) as leader:
        pid, group, session = numbers(leader)
        assert pid == group == leader.pid_inside
        assert session != pid
        with c.popen(script, stdin=PIPE, stdout=PIPE, process_group=leader.pid_inside) as member:
            assert numbers(member)[1:] == [group, session]
    with c.popen(script, stdin=PIPE, stdout=PIPE, start_new_session=False) as grouped:
        pid, group, session = numbers(grouped)
        assert pid == group != session


def test_many_threads_may_wait_for_one_process(c: ctr.Container) -> None:
    p = c.popen(["sh", "-c", "sleep 0.2; exit 4"])
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(p.wait())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [4] * 8


def test_many_processes_end_in_any_order(c: ctr.Container) -> None:
    processes = [c.popen(["sh", "-c", f"sleep 0.0{9 - n}; exit {n}"]) for n in range(10)]
    assert [p.wait() for p in reversed(processes)] == list(reversed(range(10)))


def test_a_dropped_process_runs_on_and_warns(c: ctr.Container) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        p = c.popen(["sh", "-c", "sleep 0.3; echo done > /tmp/dropped"])
        del p
        gc.collect()
    assert [w.category for w in caught] == [ResourceWarning]
    deadline = time.monotonic() + 60
    while c.run(["test", "-e", "/tmp/dropped"]).returncode and time.monotonic() < deadline:
        time.sleep(0.05)
    assert c.run(["cat", "/tmp/dropped"], stdout=PIPE).stdout == b"done\n"


def test_dropped_processes_leave_no_descriptor_and_no_zombie(c: ctr.Container, fds: set[int]) -> None:
    for _ in range(100):
        c.popen(["true"]).wait()
        c.popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE).communicate()
    gc.collect()
    states = c.run("cat /proc/[0-9]*/stat", shell=True, capture_output=True, text=True).stdout
    assert ") Z " not in states


def test_a_process_is_shown_by_its_arguments(c: ctr.Container) -> None:
    with c.popen(["sleep", "0"]) as p:
        assert "sleep" in repr(p)
        p.wait()
        assert "0" in repr(p)


def test_stderr_of_a_popen_can_follow_a_pipe(c: ctr.Container) -> None:
    with c.popen(["sh", "-c", "echo a; echo b >&2"], stdout=PIPE, stderr=STDOUT) as p:
        assert p.stdout is not None
        assert p.stdout.read() == b"a\nb\n"
        assert p.stderr is None
