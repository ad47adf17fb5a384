"""`python -m ctr` without a terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import ctr

COMMAND = [sys.executable, "-m", "ctr"]


def command(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """What the command line says."""
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_run_passes_streams_and_exit_status_through() -> None:
    done = command("run", "host", "--", "sh", "-c", "cat; echo err >&2; exit 7", input="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "in\n", "err\n")
    assert command("run", "host", "sh", "-c", "kill -9 $$").returncode == 137


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


def test_exec_and_ps_and_rm_find_a_running_container() -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    with ctr.Container(name=name) as c:
        assert command("exec", name, "echo", "inside").stdout == "inside\n"
        assert command("exec", str(c.pid), "echo", "by pid").stdout == "by pid\n"
        heading, *rows = command("ps").stdout.splitlines()
        assert heading.split() == ["NAME", "PID", "OWNER", "AGE", "IMAGE"]
        assert [row.split()[:2] for row in rows if row.startswith(name)] == [[name, str(c.pid)]]
        assert command("rm", name).returncode == 0
        assert not c.running


def test_explain_prints_shell_commands() -> None:
    done = command("explain", "-m", "64M", "host")
    assert done.returncode == 0
    assert "pivot_root" in done.stdout


def test_a_device_is_given() -> None:
    done = command(
        "run", "--device", "/dev/null:/dev/n", "--device-cgroup-rule", "c 1:11 r", "host", "test", "-c", "/dev/n"
    )
    assert (done.returncode, done.stderr) == (0, "")


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
    assert missing.stderr.startswith("ctr: ")
    assert "/no/such/image.tar" in missing.stderr
    assert missing.stderr.count("\n") == 1
    assert command("run", "host", "no-such-program").returncode == 127
    assert command("run", "host", "/etc/passwd").returncode == 126
    assert command("exec", "no-such-container", "true").returncode == 125
    assert command("run", "-m", "lots", "host", "true").returncode == 125


def test_a_signal_to_us_is_passed_on_to_the_program() -> None:
    script = "trap 'echo told; exit 5' TERM; echo up; while :; do sleep 0.01; done"
    with subprocess.Popen([*COMMAND, "run", "host", "sh", "-c", script], stdout=subprocess.PIPE) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == b"up\n"
        p.send_signal(signal.SIGTERM)
        assert p.stdout.read() == b"told\n"
        assert p.wait() == 5


def test_the_installed_script_is_the_same_command() -> None:
    assert command("--version").stdout == f"ctr {ctr.__version__}\n"
    assert command("nonsense").returncode == 2


def test_doctor_says_what_the_machine_allows() -> None:
    done = command("doctor")
    lines = done.stdout.splitlines()
    assert {line[:4] for line in lines} <= {"ok  ", "no  ", "mend"}
    assert any("user namespaces" in line for line in lines)
    assert done.returncode == (0 if lines[-1].startswith("ok") else 1)
    said = {check.name: check for check in ctr.probe()}
    assert said["a container"].ok
    assert all(check.says for check in said.values() if not check.ok)
    assert not any(check.mend for check in said.values() if check.ok)
