"""`Container.run` and `ctr.run`: what subprocess.run promises, inside."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath

import pytest

import ctr
from ctr import DEVNULL, PIPE, STDOUT
from lanes import FURTHER_IDS


def test_the_result_is_a_completed_process(c: ctr.Container) -> None:
    done = c.run(["sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True)
    assert isinstance(done, subprocess.CompletedProcess)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert done.args == ["sh", "-c", "echo out; echo err >&2; exit 3"]
    with pytest.raises(subprocess.CalledProcessError):
        done.check_returncode()


def test_nothing_is_captured_unless_asked_for(c: ctr.Container) -> None:
    done = c.run(["true"])
    assert (done.returncode, done.stdout, done.stderr) == (0, None, None)


def test_the_exit_says_why_and_what_was_used(c: ctr.Container) -> None:
    done = c.run(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 7"])
    assert (done.exit.code, done.exit.signal, done.exit.reason, done.exit.returncode) == (7, 0, "exited", 7)
    assert done.exit.user_time > 0
    assert done.exit.system_time >= 0
    assert done.exit.max_rss > 100_000
    killed = c.run(["sh", "-c", "kill -TERM $$"])
    assert (killed.returncode, killed.exit.code, killed.exit.reason) == (-signal.SIGTERM, 143, "signaled")


def test_a_result_survives_pickling(c: ctr.Container) -> None:
    done = c.run(["echo", "a"], capture_output=True)
    copy = pickle.loads(pickle.dumps(done))
    assert (copy.args, copy.returncode, copy.stdout, copy.exit) == (done.args, 0, b"a\n", done.exit)


def test_an_aborted_program_has_the_negative_signal_as_returncode(c: ctr.Container) -> None:
    assert c.run(["sh", "-c", "kill -ABRT $$"]).returncode == -signal.SIGABRT


def test_check_raises_called_process_error(c: ctr.Container) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        c.run(["sh", "-c", "echo BDFL; exit 47"], check=True, stdout=PIPE)
    assert (caught.value.returncode, caught.value.output) == (47, b"BDFL\n")
    with pytest.raises(subprocess.CalledProcessError, match="SIGKILL"):
        c.run(["sh", "-c", "kill -KILL $$"], check=True)
    assert c.run(["true"], check=True).returncode == 0


def test_check_says_why_it_was_killed(c: ctr.Container) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="SIGKILL.*: timed out") as caught:
        c.run(["sleep", "1000"], time_limit=0.1, check=True)
    assert isinstance(caught.value, ctr.CalledProcessError)
    assert caught.value.exit is not None
    assert caught.value.exit.reason == "timed out"
    done = c.run(["sleep", "1000"], time_limit=0.1)
    assert "reason='timed out'" in repr(done)
    assert "reason" not in repr(c.run(["false"]))
    with pytest.raises(subprocess.CalledProcessError, match="exit status 1") as caught:
        c.run(["false"]).check_returncode()


def test_a_timeout_kills_and_raises(c: ctr.Container) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        c.run(["sleep", "1000"], timeout=0.05)
    assert (caught.value.cmd, caught.value.timeout) == (["sleep", "1000"], 0.05)
    assert b"sleep" not in c.run(["cat /proc/[0-9]*/comm"], shell=True, capture_output=True).stdout


def test_a_timeout_carries_the_output_so_far(c: ctr.Container) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        c.run(["sh", "-c", "echo early; exec sleep 1000"], timeout=0.5, stdout=PIPE)
    assert caught.value.output == b"early\n"


def test_a_timeout_kills_what_the_shell_started_too(c: ctr.Container) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        c.run("sleep 1000; echo never", shell=True, timeout=0.05, capture_output=True)
    with pytest.raises(subprocess.TimeoutExpired):
        c.run("sleep 1000; echo never", shell=True, timeout=0.05)
    # Its parent is gone already; PID 1 reaps it a moment later.
    deadline = time.monotonic() + 60
    while b"sleep" in c.run(["cat /proc/[0-9]*/comm"], shell=True, capture_output=True).stdout:
        assert time.monotonic() < deadline


def test_a_timeout_that_has_passed_already_still_kills(c: ctr.Container) -> None:
    for timeout in (0, -1, -3.5):
        with pytest.raises(subprocess.TimeoutExpired):
            c.run(["sleep", "1000"], timeout=timeout)
        with pytest.raises(subprocess.TimeoutExpired):
            c.run(["sleep", "1000"], timeout=timeout, capture_output=True)


def test_a_timeout_that_is_no_time_is_refused_before_anything_starts(c: ctr.Container) -> None:
    with pytest.raises(ValueError, match="nan"):
        c.run(["true"], timeout=float("nan"))
    with pytest.raises(OverflowError):
        c.run(["true"], timeout=float("inf"))


def test_input_goes_to_stdin(c: ctr.Container) -> None:
    assert c.run(["cat"], input=b"abc", stdout=PIPE).stdout == b"abc"
    assert c.run(["cat"], input="äbc\n", capture_output=True, text=True).stdout == "äbc\n"
    assert c.run(["cat"], input=b"", stdout=PIPE).stdout == b""
    assert c.run(["cat"], input=bytearray(b"xy"), capture_output=True).stdout == b"xy"
    assert c.run(["cat"], input=memoryview(b"zz"), stdout=PIPE).stdout == b"zz"


def test_input_of_the_wrong_type_is_a_type_error_and_leaves_no_process(c: ctr.Container) -> None:
    with pytest.raises(TypeError):
        c.run(["cat"], input="text", capture_output=True)
    with pytest.raises(TypeError):
        c.run(["cat"], input=b"bytes", capture_output=True, text=True)
    assert b"cat\ncat" not in c.run(["cat /proc/[0-9]*/comm"], shell=True, capture_output=True).stdout


def test_more_input_than_a_pipe_holds_comes_through(c: ctr.Container) -> None:
    data = os.urandom(3 << 20)
    assert c.run(["cat"], input=data, capture_output=True).stdout == data
    assert c.run(["cat"], input=data, stdout=PIPE, timeout=60).stdout == data


def test_a_program_that_does_not_read_its_input_is_no_error(c: ctr.Container) -> None:
    assert c.run(["true"], input=b"x" * (1 << 20)).returncode == 0
    assert c.run(["true"], input=b"x" * (1 << 20), capture_output=True).returncode == 0


def test_stdin_from_a_file_or_a_descriptor(c: ctr.Container, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"pear")
    with open(tmp_path / "in", "rb") as file:
        assert c.run(["cat"], stdin=file, stdout=PIPE).stdout == b"pear"
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        assert c.run(["cat"], stdin=file.fileno(), stdout=PIPE).stdout == b"pear"


def test_stdout_and_stderr_to_files_and_descriptors(c: ctr.Container, tmp_path: Path) -> None:
    script = ["sh", "-c", "echo apple; echo orange >&2"]
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        assert c.run(script, stdout=out, stderr=err.fileno()).returncode == 0
    assert (tmp_path / "out").read_bytes() == b"apple\n"
    assert (tmp_path / "err").read_bytes() == b"orange\n"
    with open(tmp_path / "both", "wb") as both:
        c.run(script, stdout=both, stderr=both)
    assert (tmp_path / "both").read_bytes() == b"apple\norange\n"


def test_stderr_can_follow_stdout(c: ctr.Container, tmp_path: Path) -> None:
    script = ["sh", "-c", "echo apple; echo orange >&2"]
    done = c.run(script, stdout=PIPE, stderr=STDOUT)
    assert (done.stdout, done.stderr) == (b"apple\norange\n", None)
    with open(tmp_path / "both", "wb") as both:
        c.run(script, stdout=both, stderr=STDOUT)
    assert (tmp_path / "both").read_bytes() == b"apple\norange\n"
    assert c.run(script, stdout=DEVNULL, stderr=STDOUT).returncode == 0


def test_stderr_follows_our_stdout_when_that_is_inherited() -> None:
    script = (
        "import ctr\n"
        "with ctr.Container() as c:\n"
        "    c.run(['sh', '-c', 'echo 42 >&2'], stderr=ctr.STDOUT)\n"
        "    c.run(['sh', '-c', 'echo 43'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"42\n43\n", b"")


def test_only_stderr_can_be_stdout(c: ctr.Container) -> None:
    for name in ("stdin", "stdout"):
        with pytest.raises(ValueError, match="only stderr"):
            c.run(["true"], **{name: STDOUT})  # type: ignore[call-overload]


def test_devnull_reads_nothing_and_keeps_nothing(c: ctr.Container) -> None:
    assert c.run(["cat"], stdin=DEVNULL, stdout=PIPE).stdout == b""
    assert c.run(["sh", "-c", "echo a; echo b >&2"], stdout=DEVNULL, stderr=DEVNULL).returncode == 0


def test_arguments_that_exclude_each_other_are_refused_as_by_subprocess(c: ctr.Container) -> None:
    with pytest.raises(ValueError, match="stdin and input"):
        c.run(["cat"], stdin=DEVNULL, input=b"")
    with pytest.raises(ValueError, match="capture_output"):
        c.run(["cat"], capture_output=True, stdout=PIPE)
    with pytest.raises(ValueError, match="capture_output"):
        c.run(["cat"], capture_output=True, stderr=PIPE)
    with pytest.raises(subprocess.SubprocessError):
        c.run(["true"], text=True, universal_newlines=False)


def test_text_is_decoded_and_its_newlines_are_one(c: ctr.Container) -> None:
    script = ["printf", r"a\r\nb\rc\n\303\244"]
    for kind in ({"text": True}, {"universal_newlines": True}, {"encoding": "utf-8"}, {"errors": "strict"}):
        expected = "a\nb\nc\nä"
        assert c.run(script, stdout=PIPE, **kind).stdout == expected
        assert c.run(script, capture_output=True, **kind).stdout == expected
    assert c.run(script, stdout=PIPE).stdout == "a\r\nb\rc\nä".encode()


def test_an_encoding_and_its_errors_are_honoured(c: ctr.Container) -> None:
    assert c.run(["printf", r"\344"], stdout=PIPE, encoding="latin-1").stdout == "ä"
    assert c.run(["printf", r"\344"], capture_output=True, encoding="utf-8", errors="replace").stdout == "\ufffd"
    assert c.run(["cat"], input="ä", stdout=PIPE, encoding="utf-16").stdout == "ä"
    with pytest.raises(UnicodeDecodeError):
        c.run(["printf", r"\344"], capture_output=True, encoding="utf-8")


def test_programs_and_arguments_may_be_bytes_and_paths(c: ctr.Container) -> None:
    assert c.run([b"/bin/echo", PurePosixPath("/a"), "b"], stdout=PIPE).stdout == b"/a b\n"
    assert c.run("true").returncode == 0
    assert c.run(PurePosixPath("/bin/true")).returncode == 0
    assert c.run(b"/bin/true").returncode == 0
    assert c.run(("echo", "t"), stdout=PIPE).stdout == b"t\n"
    assert c.run(iter(["echo", "i"]), stdout=PIPE).stdout == b"i\n"  # type: ignore[call-overload]


def test_bytes_that_are_no_text_pass_through_arguments_and_environment(c: ctr.Container) -> None:
    word = "a\udcffb"
    assert c.run(["printf", "%s", word], stdout=PIPE).stdout == b"a\xffb"
    assert c.run(["sh", "-c", 'printf %s "$X"'], extra_env={"X": word}, stdout=PIPE).stdout == b"a\xffb"
    assert c.run(["sh", "-c", 'printf %s "$X"'], extra_env={b"X": b"\xfe"}, stdout=PIPE).stdout == b"\xfe"


def test_arguments_of_other_types_are_type_errors(c: ctr.Container) -> None:
    for args in ([1], ["echo", None], 5):
        with pytest.raises(TypeError):
            c.run(args)  # type: ignore[arg-type]


def test_a_nul_in_an_argument_is_a_value_error(c: ctr.Container) -> None:
    with pytest.raises(ValueError, match=r"NUL|null"):
        c.run(["echo", "a\0b"])


def test_a_shell_runs_a_string_or_a_sequence(c: ctr.Container) -> None:
    assert c.run("echo $FRUIT", shell=True, extra_env={"FRUIT": "apple"}, stdout=PIPE).stdout == b"apple\n"
    assert c.run(["echo $0 $1", "a", "b"], shell=True, stdout=PIPE).stdout == b"a b\n"
    assert c.run("exit 3", shell=True).returncode == 3


def test_env_replaces_the_environment(c: ctr.Container) -> None:
    done = c.run(["/usr/bin/env"], env={"FRUIT": "orange", "N": "1"}, stdout=PIPE, text=True)
    assert sorted(done.stdout.splitlines()) == ["FRUIT=orange", "N=1"]
    assert c.run(["/usr/bin/env"], env={}, stdout=PIPE).stdout == b""


def test_a_program_is_found_without_a_path_too(c: ctr.Container) -> None:
    assert c.run(["echo", "found"], env={}, stdout=PIPE).stdout == b"found\n"


def test_extra_env_adds_to_the_environment() -> None:
    with ctr.Container(env={"FROM": "container", "BOTH": "container"}) as c:
        done = c.run(["env"], extra_env={"BOTH": "exec"}, stdout=PIPE, text=True)
        seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
        assert seen["FROM"] == "container"
        assert seen["BOTH"] == "exec"
        assert "/bin" in seen["PATH"]


def test_our_own_environment_is_not_seen_inside(c: ctr.Container, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    assert b"SECRET_OF_THE_HOST" not in c.run(["env"], stdout=PIPE).stdout


def test_the_working_directory_is_one_inside(c: ctr.Container) -> None:
    assert c.run(["pwd"], stdout=PIPE).stdout == b"/\n"
    assert c.run(["pwd"], cwd="/usr/bin", stdout=PIPE).stdout == b"/usr/bin\n"
    assert c.run(["pwd"], cwd=b"/usr", stdout=PIPE).stdout == b"/usr\n"
    assert c.run(["pwd"], cwd=PurePosixPath("/tmp"), stdout=PIPE).stdout == b"/tmp\n"


@FURTHER_IDS
def test_the_user_is_a_name_or_a_number(c: ctr.Container) -> None:
    script = ["sh", "-c", "echo $(id -u) $(id -g)"]
    assert c.run(script, stdout=PIPE).stdout == b"0 0\n"
    assert c.run(script, user=1, stdout=PIPE).stdout.split()[0] == b"1"
    assert c.run(script, user="daemon", stdout=PIPE).stdout == b"1 1\n"
    assert c.run(script, user="1:2", stdout=PIPE).stdout == b"1 2\n"
    assert c.run(script, user="daemon", group="bin", stdout=PIPE).stdout == b"1 2\n"
    assert c.run(script, group=2, stdout=PIPE).stdout == b"0 2\n"


def test_signals_are_at_their_defaults_inside(c: ctr.Container) -> None:
    # Python itself ignores SIGPIPE; a program inside must not inherit that.
    ignored = c.run(["grep", "SigIgn", "/proc/self/status"], stdout=PIPE, text=True).stdout.split()[1]
    blocked = c.run(["grep", "SigBlk", "/proc/self/status"], stdout=PIPE, text=True).stdout.split()[1]
    assert (int(ignored, 16), int(blocked, 16)) == (0, 0)


def test_run_makes_and_removes_a_container_of_its_own() -> None:
    before = ctr.containers()
    done = ctr.run(
        "host", ["sh", "-c", "cat; id -u; echo $A; pwd"], env={"A": "1"}, cwd="/tmp", input=b"in\n", capture_output=True
    )
    assert done.stdout == b"in\n0\n1\n/tmp\n"
    assert ctr.containers() == before


def test_run_takes_the_keywords_of_both() -> None:
    done = ctr.run(
        "host", "hostname; cat /t/f", shell=True, hostname="inside", mounts=["/etc:/t:ro"], stdout=PIPE, text=True
    )
    assert done.stdout == "inside\n"
    assert done.returncode != 0


def test_run_removes_its_container_after_a_timeout_and_after_an_error() -> None:
    before = ctr.containers()
    with pytest.raises(subprocess.TimeoutExpired):
        ctr.run("host", ["sleep", "1000"], timeout=0.05)
    with pytest.raises(FileNotFoundError):
        ctr.run("host", ["no-such-program"])
    assert ctr.containers() == before


def test_a_thousand_runs_leave_no_descriptor(c: ctr.Container, fds: set[int]) -> None:
    for _ in range(500):
        c.run(["true"])
        c.run(["true"], capture_output=True)


def test_a_failed_start_leaves_no_descriptor(c: ctr.Container, fds: set[int]) -> None:
    for _ in range(100):
        with pytest.raises(FileNotFoundError):
            c.run(["no-such-program"], input=b"x", capture_output=True)


def test_waiting_does_not_spin(c: ctr.Container) -> None:
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    c.run(["sleep", "1"])
    c.run(["sleep", "1"], capture_output=True)
    assert resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before < 50


def test_the_program_can_be_another_than_the_first_argument(c: ctr.Container) -> None:
    done = c.run(["called", "-c", "echo $0 $1", "a", "b"], executable="sh", stdout=PIPE, text=True)
    assert done.stdout == "a b\n"
    assert c.run(["called", "-c", "cat /proc/$$/cmdline"], executable="/bin/sh", stdout=PIPE).stdout[:7] == b"called\0"
    assert c.run("echo $BASH_VERSION", shell=True, executable="/bin/bash", stdout=PIPE).stdout != b"\n"
    with pytest.raises(ctr.Error, match="start no-such-program") as caught:
        c.run(["true"], executable="no-such-program")
    assert isinstance(caught.value, FileNotFoundError)
    assert (caught.value.step_id, caught.value.step, caught.value.object) == (
        "start-program",
        "start",
        "no-such-program",
    )


def test_files_are_made_without_the_bits_of_the_umask(c: ctr.Container) -> None:
    assert c.run("umask", shell=True, stdout=PIPE).stdout.strip() == b"0022"
    assert c.run("umask", shell=True, stdout=PIPE, umask=0o077).stdout.strip() == b"0077"
    with pytest.raises(ValueError, match="umask 0o1000"):
        c.run(["true"], umask=0o1000)


@FURTHER_IDS
def test_supplementary_groups_are_those_asked_for(c: ctr.Container) -> None:
    def groups(**options: object) -> bytes:
        return bytes(c.run(["id", "-G"], stdout=PIPE, check=True, **options).stdout.strip())  # type: ignore[call-overload]

    assert groups(extra_groups=["daemon", 77]) == b"0 1 77"
    assert groups(user="1:1", extra_groups=[]) == b"1"
    with pytest.raises(FileNotFoundError, match="no such group"):
        groups(extra_groups=["no-such-group"])


def test_keywords_of_subprocess_that_can_have_one_meaning_only_have_that(c: ctr.Container) -> None:
    assert c.run(["true"], close_fds=True, restore_signals=True).returncode == 0
    with pytest.raises(ValueError, match="pass_fds"):
        c.run(["true"], close_fds=False)
    with pytest.raises(ValueError, match="restore_signals"):
        c.popen(["true"], restore_signals=False)


def test_a_keyword_that_there_is_not_is_named_as_python_names_it(c: ctr.Container) -> None:
    for use, name in (
        (c.run, "run"),
        (c.popen, "popen"),
        (lambda args, **options: c.run(args, capture_output=True, **options), "run"),
        (lambda args, **options: ctr.run("host", args, **options), "run"),
    ):
        with pytest.raises(TypeError, match=rf"^(Container\.)?{name}\(\) got an unexpected keyword argument 'memroy'$"):
            use(["true"], memroy="64M")  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="preexec_fn is not supported: no code of this program"):
            use(["true"], preexec_fn=print)  # type: ignore[call-overload]


def test_what_subprocess_raises_has_a_name_here_too(c: ctr.Container) -> None:
    assert ctr.TimeoutExpired is subprocess.TimeoutExpired
    with pytest.raises(ctr.CalledProcessError):
        c.run(["false"], check=True)
