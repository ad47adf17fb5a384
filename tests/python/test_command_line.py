"""`python -m ctr` without a terminal."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

import archives
import ctr
from lanes import CAN_LIMIT, FURTHER_IDS, LIMITS

COMMAND = [sys.executable, "-m", "ctr"]


def command(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """What the command line says."""
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_run_passes_streams_and_exit_status_through() -> None:
    done = command("run", "host", "--", "sh", "-c", "cat; echo err >&2; exit 7", input="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "in\n", "err\n")
    assert command("run", "host", "sh", "-c", "kill -9 $$").returncode == 137


@LIMITS
def test_options_of_run_shape_the_container(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "f").write_text("file\n")
    done = command(
        *(
            "run",
            "--hostname",
            "cli",
            "-m",
            "64M",
            "--pids",
            "50",
            "-v",
            f"{tmp_path}:/data:ro",
            "--tmpfs",
            "/scratch:1M",
        ),
        *("-e", "A=1", "-w", "/data", "-u", "1", "--read-only", "host"),
        *(
            "sh",
            "-c",
            "hostname; echo $A; cat f; id -u; stat -f -c %T /scratch; touch /usr/x 2>/dev/null || echo sealed",
        ),
    )
    assert done.stdout.split() == ["cli", "1", "file", "1", "tmpfs", "sealed"], done.stderr


@pytest.mark.skipif(archives.BUSYBOX is None, reason="no busybox is installed")
def test_where_changes_go_is_chosen(tmp_path: Path) -> None:
    image = tmp_path / "image"
    tmp_path.chmod(0o755)
    (image / "bin").mkdir(parents=True)
    shutil.copy(str(archives.BUSYBOX), image / "bin/sh")
    write = ["sh", "-c", "echo x >/made"]
    for options in ([], ["--upper", "disk"], ["--directory", "lower"]):
        assert command("run", *options, str(image), *write).returncode == 0
        assert not (image / "made").exists()
    assert command("run", "--directory", "direct", str(image), *write).returncode == 0
    assert (image / "made").exists()
    refused = command("run", "--cgroup", "off", "-m", "64M", "host", "true")
    assert refused.returncode == 125
    assert "a limit needs a cgroup" in refused.stderr
    assert command("run", "--cgroup", "off", "host", "true").returncode == 0


def test_exec_and_ps_and_rm_find_a_running_container() -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    with ctr.Container(name=name) as c:
        assert command("exec", name, "echo", "inside").stdout == "inside\n"
        assert command("exec", str(c.pid), "echo", "by pid").stdout == "by pid\n"
        heading, *rows = command("ps").stdout.splitlines()
        assert heading.split() == ["NAME", "PID", "RUNS", "STATE", "OWNER", "AGE", "IMAGE"]
        assert [row.split()[:2] for row in rows if row.startswith(name)] == [[name, str(c.pid)]]
        assert command("rm", name).returncode == 0
        assert not c.running


def test_explain_prints_shell_commands() -> None:
    done = command("explain", "--hostname", "told", "host")
    assert done.returncode == 0
    assert "pivot_root" in done.stdout


def test_a_device_is_given() -> None:
    done = command(
        "run", "--device", "/dev/null:/dev/n", "--device-cgroup-rule", "c 1:11 r", "host", "test", "-c", "/dev/n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_wall_can_be_typed() -> None:
    done = command(
        *("explain", "--domainname", "example.org", "--landlock", "off", "--masked-paths", "off", "--new-privileges"),
        *("--seccomp-refusal", "EPROTO", "--device-list", "off", "--labels-optional", "--selinux", "a:b:c:s0"),
        *("--selinux-mounts", "a:b:c:s0", "--no-etc-files", "--time-offset", "boottime=60", "host"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "asked for: landlock = false",
        "asked for: masked_paths = false",
        "asked for: new_privileges",
        "asked for: refusal = EPROTO",
        "asked for: device_list = off",
        "domain name example.org",
        "boottime 60 s",
    ):
        assert words in done.stdout
    wrong = command("run", "--landlock", "perhaps", "host", "true")
    assert wrong.returncode == 125
    assert "--landlock" in wrong.stderr


def test_inspect_shows_a_running_container_with_its_walls() -> None:
    with ctr.Container(preset="strict", cgroup="optional") as c:
        (told,) = json.loads(command("inspect", c.name).stdout)
        assert (told["name"], told["pid"], told["preset"]) == (c.name, c.pid, "strict")
        assert told["created"].endswith("Z")
        reasons = {wall["name"]: wall["why"] for wall in told["walls"]}
        assert reasons["read-only root"] == "preset strict"
        name = c.name
    gone = command("inspect", name)
    assert (gone.returncode, gone.stdout) == (125, "")
    assert name in gone.stderr


def test_a_clock_is_set_off() -> None:
    done = command("run", "--time-offset", "boottime=-2", "host", "cat", "/proc/self/timens_offsets")
    assert done.stdout.split() == ["monotonic", "0", "0", "boottime", "-2", "0"], done.stderr


def test_failures_have_dockers_exit_statuses_and_one_line_of_words() -> None:
    missing = command("run", "/no/such/image.tar", "true")
    assert missing.returncode == 125
    assert missing.stderr.startswith("libctr: ")
    assert "/no/such/image.tar" in missing.stderr
    assert missing.stderr.count("\n") == 1
    assert command("run", "host", "no-such-program").returncode == 127
    assert command("run", "host", "/etc/passwd").returncode == 126
    assert command("run", "-w", "/no/such", "host", "true").returncode == 126
    assert command("run", "-u", "no-such-user", "host", "true").returncode == 126
    assert command("exec", "no-such-container", "true").returncode == 125
    assert command("run", "-m", "lots", "host", "true").returncode == 125
    assert "write KIND=FROM, not 'net'" in command("run", "--ns", "net", "host", "true").stderr


def test_a_signal_to_us_is_passed_on_to_the_program() -> None:
    script = "trap 'echo told; exit 5' TERM; echo up; while :; do sleep 0.01; done"
    with subprocess.Popen([*COMMAND, "run", "host", "sh", "-c", script], stdout=subprocess.PIPE) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == b"up\n"
        p.send_signal(signal.SIGTERM)
        assert p.stdout.read() == b"told\n"
        assert p.wait() == 5


def test_the_installed_script_is_the_same_command() -> None:
    assert command("--version").stdout == f"libctr {ctr.__version__}\n"
    for wrong, words in (
        (["nonsense"], "libctr: there is no command nonsense "),
        (["run"], "libctr run: the following arguments are required: IMAGE "),
        (["run", "--bogus", "host", "true"], "libctr run: there is no option --bogus "),
        (["ps", "more"], "libctr ps: more is too much "),
    ):
        done = command(*wrong)
        assert (done.returncode, done.stdout) == (125, "")
        assert done.stderr.startswith(words)
        assert done.stderr.endswith("--help shows what there is)\n")
        assert done.stderr.count("\n") == 1
    assert command().returncode == 125
    assert "commands:" in command().stderr


def test_doctor_says_what_the_machine_allows() -> None:
    done = command("doctor")
    lines = done.stdout.splitlines()
    assert {line[:4] for line in lines} <= {"ok  ", "no  ", "hint"}
    assert any("user namespaces" in line for line in lines)
    assert done.returncode == (0 if lines[-1].startswith("ok") else 1)
    said = {check.name: check for check in ctr.probe()}
    assert said["a container"].ok
    assert all(check.says for check in said.values() if not check.ok)
    assert not any(check.hint for check in said.values() if check.ok)


def test_a_program_in_the_background_stays_until_it_is_removed() -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    assert command("run", "-d", "--name", name, "host", "sleep", "1000").stdout == f"{name}\n"
    assert name in command("ps", "-q").stdout.split()
    assert "sleep" in command("exec", name, "sh", "-c", "cat /proc/[0-9]*/comm").stdout
    gone = command("rm", "no-such-container", name)
    assert (gone.returncode, gone.stderr.count("\n")) == (125, 1)
    assert name not in command("ps", "-q").stdout.split()
    failed = command("run", "-d", "--name", name, "host", "no-such-program")
    assert (failed.returncode, failed.stdout) == (127, "")
    assert name not in command("ps", "-q").stdout.split()


def test_rm_ends_what_can_not_be_joined() -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    assert command("run", "-d", "--name", name, "host", "sleep", "1000").returncode == 0
    pid = ctr.join(name).pid
    (record,) = Path(ctr.join(name).inspect()["state_dir"]).glob(f"{name}.json")
    record.write_text("garbage")
    try:
        refused = command("exec", name, "true")
        assert refused.returncode == 125
        assert "libctr rm" in refused.stderr
        assert command("rm", name).returncode == 0
        assert not Path(f"/proc/{pid}").exists()
    finally:
        record.with_name(f"{name}.json.damaged").unlink()


def test_what_is_typed_for_docker_works() -> None:
    assert command("run", "-i", "--rm", "host", "cat", input="in").stdout == "in"
    mask = "grep CapBnd /proc/self/status | cut -f 2"
    assert command("run", "--cap-drop", "ALL", "--cap-add", "CHOWN", "host", "sh", "-c", mask).stdout == f"{1:016x}\n"
    limits = ("--ulimit", "nofile=64:128", "--sysctl", "net.ipv4.ip_unprivileged_port_start=80", "--seccomp", "strict")
    script = "ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; grep Seccomp: /proc/self/status"
    assert command("run", *limits, "host", "sh", "-c", script).stdout.split() == ["64", "128", "80", "Seccomp:", "2"]
    for refused in ("nofile=x", "nofile=1M", "fsize=1X", "fsize="):
        assert "unlimited" in command("run", "--ulimit", refused, "host", "true").stderr
    assert command("run", "--ulimit", "fsize=1M", "host", "--", "sh", "-c", "ulimit -f").stdout == "2048\n"
    assert "PID 1 takes 32" in command("run", "--ulimit", "nofile=3", "host", "true").stderr
    done = command(
        "run", "-e", "OURS", "-e", "NOT_OURS", "host", "sh", "-c", "echo $OURS ${NOT_OURS-unset}", env={"OURS": "1"}
    )
    assert done.stdout == "1 unset\n"


def test_what_killed_a_program_is_said() -> None:
    late = command("run", "--timeout", "0.2", "host", "sleep", "1000")
    assert (late.returncode, late.stderr) == (137, "libctr: timed out: the program was killed\n")
    busy = command("run", "--cpu-timeout", "0.2", "host", "sh", "-c", "while :; do :; done")
    assert (busy.returncode, busy.stderr) == (137, "libctr: out of cpu time: the program was killed\n")
    with ctr.Container(cgroup="optional", memory="64M") as c:
        limited = c.memory_limit is not None
    if limited:
        hungry = command("run", "-m", "16M", "host", "tail", "/dev/zero")
        assert (hungry.returncode, hungry.stderr) == (137, "libctr: out of memory: the program was killed\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "alpine"], "nothing is downloaded"),
        (["pull", "alpine"], "nothing is downloaded"),
        (["build", "."], "a Dockerfile is not read"),
        (["build", "src"], "as src:/app"),
        (["rnu", "host"], "there is no command rnu, is it run?"),
        (["logs", "x"], "a program's output goes where"),
        (["zzz"], "there is no command zzz (libctr --help shows what there is)"),
        (["run", "--pid", "host", "host", "true"], "there is no option --pid: here it is --ns pid=host"),
        (["run", "--ipc=container:x", "host"], "--ns ipc=container:x"),
        (["run", "--mem", "1G", "host"], "there is no option --mem"),
        (["run", "--privileged", "host"], "--preset privileged"),
        (["run", "-m", "64", "host", "true"], "-m 64 is 64 bytes: write 64M"),
    ],
)
def test_what_is_not_there_is_said_with_what_there_is(words: list[str], said: str) -> None:
    done = command(*words)
    assert done.returncode == 125
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "CTR_" not in done.stderr


def test_ps_tells_of_a_container_whose_program_has_ended() -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    command("run", "-d", "--name", name, "host", "sh", "-c", "read x < /dev/null")
    try:
        line = ""
        for _ in range(600):
            line = next(line for line in command("ps").stdout.splitlines() if line.startswith(name))
            if line.split()[2] == "0":
                break
            time.sleep(0.1)
        assert line.split()[2] == "0"
        assert "RUNS" in command("ps").stdout.splitlines()[0]
        about = " ".join(command("run", "--help").stdout.split())
        assert "output and exit status of the program are not kept" in about
    finally:
        command("rm", name)


def test_ctrl_c_reaches_all_that_a_terminal_would_tell() -> None:
    # A shell waits for its program, so the program has to hear of it too. In a subshell, for which dash forks: what
    # comes while it starts a program by vfork(2) it loses, on the host as well.
    words = ["run", "host", "sh", "-c", "(echo ready; exec sleep 4351); echo after"]
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == "ready\n"
        p.send_signal(signal.SIGINT)
        try:
            assert p.wait(60) == 130
        finally:
            p.terminate()
        assert p.stdout.read() == ""


def test_the_third_ctrl_c_ends_what_does_not_listen() -> None:
    words = ["run", "host", "sh", "-c", "trap '' INT TERM; echo ready; while :; do sleep 0.1; done"]
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == "ready\n"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            assert p.poll() is None
            p.send_signal(number)
            time.sleep(0.2)
        assert p.wait(60) == 130
    assert not [info for info in ctr.containers() if info.owner == p.pid]


@pytest.mark.skipif(CAN_LIMIT, reason="every limit can be had here")
def test_a_warning_is_a_line_of_ours() -> None:
    done = command("run", "--cgroup", "optional", "-m", "64M", "host", "true")
    assert done.returncode == 0
    assert done.stderr.startswith("libctr: warning: ")
    assert "UserWarning" not in done.stderr


def test_what_is_not_known_is_said_with_what_is() -> None:
    said = command("commit", "x", "y", "-c", "cmdd=x").stderr
    assert "no field 'cmdd'" in said
    assert "entrypoint" in said
    assert "closing quotation in the words of cmd" in command("commit", "x", "y", "-c", "cmd='a").stderr
    assert "NAME=VALUE" in command("commit", "x", "y", "-c", "env=A").stderr
    assert "is it --memory?" in command("run", "--mem", "1G", "host").stderr
    assert "stop" not in command("stpo").stderr.partition("(")[0]
    assert command("run", "-h", "fern", "host", "uname", "-n").stdout == "fern\n"
    assert command("run", "--help").returncode == 0


def test_kill_signals_every_program_of_a_container() -> None:
    with ctr.Container("host") as c:
        p = c.popen(["sleep", "1000"])
        q = c.popen(["sh", "-c", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.01; done"], stdout=ctr.PIPE)
        assert q.stdout is not None
        q.stdout.readline()
        assert command("kill", "-s", "usr1", c.name).returncode == 0
        assert (p.wait(), q.wait()) == (-signal.SIGUSR1, 5)
        r = c.popen(["sleep", "1000"])
        assert command("kill", c.name).returncode == 0
        assert r.wait() == -signal.SIGKILL
        assert "no signal" in command("kill", "-s", "nothing", c.name).stderr
    assert command("kill", "no-such-container").returncode != 0


@pytest.mark.parametrize("user", ["0", pytest.param("33", marks=FURTHER_IDS)])
def test_output_that_goes_to_a_file_opens_by_name(tmp_path: Path, user: str) -> None:
    log = tmp_path / "log"
    script = "echo one; echo two > /dev/stdout; echo three >> /dev/stderr; echo four >&2; (sleep 99; echo five) &"
    line = [*COMMAND, "run", "-u", user, "host", "sh", "-c", script]
    with open(log, "ab") as file:
        file.write(b"zero\n")
        file.flush()
        done = subprocess.run(line, stdout=file, stderr=subprocess.STDOUT, timeout=100, check=False)
    assert (done.returncode, log.read_text().split()) == (0, ["zero", "one", "two", "three", "four"])


def test_output_that_does_not_fit_on_the_disk_is_an_error(tmp_path: Path) -> None:
    shell = 'ulimit -f 400; exec "$0" -m ctr run host -- sh -c "head -c 1000000 /dev/zero; exit 0" > "$1"'
    place = str(tmp_path / "out")
    done = subprocess.run(["sh", "-c", shell, sys.executable, place], stderr=subprocess.PIPE, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (125, b"libctr: write stdout: File too large\n")


def test_stop_lets_programs_end_and_then_destroys() -> None:
    with ctr.Container("host", detached=True) as c:
        script = "trap 'echo stopping; exit 3' TERM; echo ready; while :; do sleep 0.01; done"
        p = c.popen(["sh", "-c", script], stdout=ctr.PIPE)
        assert p.stdout is not None
        p.stdout.readline()
        assert command("stop", "-t", "1000", c.name).returncode == 0
        assert (p.stdout.read(), p.wait()) == (b"stopping\n", 3)
        assert not c.running
    done = command("stop", "no-such-container", "nor-this")
    assert done.returncode == 125
    assert done.stderr.count("no container of this name runs") == 2


def test_stop_kills_what_does_not_end_in_its_time() -> None:
    with ctr.Container("host", detached=True) as c:
        p = c.popen(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"], stdout=ctr.PIPE)
        assert p.stdout is not None
        p.stdout.readline()
        assert command("stop", "-t", "0.1", c.name).returncode == 0
        assert (p.wait(), p.exit.reason if p.exit else None) == (-signal.SIGKILL, "destroyed")


def test_own_stdio_a_closed_stream_is_null_inside_and_nothing_of_ours() -> None:
    inside = (
        "n=0; for fd in 0 1 2; do"
        ' if test "$(readlink /proc/$$/fd/$fd)" = /dev/null; then n=$((n + (1 << fd))); fi;'
        " done; exit $((64 + n))"
    )
    closings = ["<&-", ">&-", "2>&-"]
    for mask in range(1, 8):
        closed = " ".join(closings[fd] for fd in range(3) if mask >> fd & 1)
        shell = f'exec "$0" -m ctr run host -- sh -c "$1" {closed}'
        done = subprocess.run(
            ["sh", "-c", shell, sys.executable, inside], input=b"", capture_output=True, timeout=100, check=False
        )
        assert done.returncode == 64 + mask, (mask, done)


def test_what_lists_lists_as_json(tmp_path: Path) -> None:
    def told(*words: str) -> Any:
        return json.loads(command(*words, "--json").stdout)

    with ctr.Container() as c, c.popen(["sleep", "60"]) as program:
        found = next(each for each in told("ps") if each["name"] == c.name)
        assert (found["pid"], found["runs"], found["paused"], found["image"]) == (c.pid, 1, False, "host")
        assert 0 <= time.time() - found["created"] < 600
        (stats,) = told("stats", c.name)
        assert (stats["name"], stats["paused"]) == (c.name, False)
        assert stats["stats"] is None or stats["stats"]["cpu"]["user"] is None or stats["stats"]["cpu"]["user"] >= 0
        assert c.name in {each["name"] for each in told("stats")}
        limits = {each["limit"]: each["own"] for each in told("limits", c.name)}
        assert (limits["memory"], limits["upper_size"]) == (c.memory_limit, c.limit("upper_size"))
        forwarded = c.forward("127.0.0.1:0", 80)
        assert told("forward", c.name) == [
            {"address": f"127.0.0.1:{forwarded.address[1]}", "to": "127.0.0.1:80", "running": True}
        ]
        program.kill()
    (tmp_path / "image").mkdir(mode=0o755)
    with ctr.Container(tmp_path / "image") as c:
        c.write_bytes("/new\nline", b"")
        assert told("diff", c.name) == [{"path": "/new\nline", "change": "added"}]
    assert told("images") == [] or {"names", "digest", "layers"} <= told("images")[0].keys()
    assert all(check.keys() == {"name", "ok", "says", "hint"} for check in told("doctor"))
