"""Five tasks of whoever runs code that nobody has read, written for each sandbox as its own documents would have it.

sandboxes.py        prints lines of user code and the median time of each task, for each sandbox that runs here

Each task does all of it, from nothing: a sandbox, the program, its answer, the end. What a sandbox needs once is in
`setup`, whose lines count, too. A sandbox that can't run here is named with the reason. None is needed by the project:
`pip install sandlock docker`.
"""

# The tasks are the same five for each, and are told where they are checked.
# ruff: noqa: D102
from __future__ import annotations

import importlib
import inspect
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROUNDS, SECONDS = 20, 0.5
HOG = "b = bytearray(512 << 20); print('had it')"
SLOW = "import time\nfor i in range(3):\n    print(i, flush=True); time.sleep(0.05)"
STUBBORN = "import os, signal, time\nsignal.signal(15, signal.SIG_IGN)\nos.fork() or os.setsid()\ntime.sleep(600)"


class Ctr:
    """ctr itself: this interpreter's files, the strict preset."""

    def setup(self) -> None:
        import ctr

        self.ctr = ctr
        self.mounts, self.env = ctr.this_python()

    def python(self, source: str) -> str:
        box = self.ctr.run(
            "host",
            [sys.executable, "-c", source],
            preset="strict",
            mounts=self.mounts,
            extra_env=self.env,
            capture_output=True,
            text=True,
        )
        return box.stdout

    def files(self, name: str, data: bytes, source: str) -> bytes:
        with self.ctr.Container("host", preset="strict", mounts=self.mounts) as box:
            box.write_bytes(f"/tmp/{name}", data)
            box.run([sys.executable, "-c", source], cwd="/tmp", extra_env=self.env, check=True)
            return box.read_bytes("/tmp/answer")

    def memory(self, source: str) -> str:
        argv = [sys.executable, "-c", source]
        return self.ctr.run(
            "host", argv, memory="256M", mounts=self.mounts, extra_env=self.env, capture_output=True
        ).exit.reason

    def stream(self, source: str) -> list[tuple[float, str]]:
        with self.ctr.Container("host", preset="strict", mounts=self.mounts) as box:
            p = box.popen([sys.executable, "-c", source], stdout=-1, text=True, extra_env=self.env)
            return [(time.monotonic(), line) for line in p.stdout]

    def timeout(self, source: str) -> str:
        argv = [sys.executable, "-c", source]
        return self.ctr.run("host", argv, time_limit=SECONDS, mounts=self.mounts, extra_env=self.env).exit.reason


class Sandlock:
    """sandlock: Landlock and seccomp, no namespaces."""

    def setup(self) -> None:
        import sandlock

        self.sandlock = sandlock
        self.readable = ["/usr", "/lib", "/lib64", "/etc", "/proc", "/dev", sys.prefix, sys.base_prefix]

    def python(self, source: str) -> str:
        return self.sandlock.Sandbox(fs_readable=self.readable).run([sys.executable, "-c", source]).stdout.decode()

    def files(self, name: str, data: bytes, source: str) -> bytes:
        with tempfile.TemporaryDirectory() as place:
            Path(place, name).write_bytes(data)
            box = self.sandlock.Sandbox(fs_readable=self.readable, fs_writable=[place], cwd=place)
            box.run([sys.executable, "-c", source])
            return Path(place, "answer").read_bytes()

    def memory(self, source: str) -> str:
        done = self.sandlock.Sandbox(fs_readable=self.readable, max_memory="256M").run([sys.executable, "-c", source])
        return (
            done.reason.name if done.reason.name != "EXITED" or done.exit_code == 0 else f"exit code {done.exit_code}"
        )

    def stream(self, source: str) -> list[tuple[float, str]]:
        piped = self.sandlock.StdioMode.PIPED
        p = self.sandlock.Sandbox(fs_readable=self.readable).popen([sys.executable, "-c", source], stdout=piped)
        heard = [(time.monotonic(), line.decode()) for line in p.stdout]
        p.wait()
        return heard

    def timeout(self, source: str) -> str:
        return (
            self.sandlock.Sandbox(fs_readable=self.readable)
            .run([sys.executable, "-c", source], timeout=SECONDS)
            .reason.name
        )


class Bubblewrap:
    """bubblewrap by subprocess: what people write by hand."""

    def setup(self) -> None:
        self.argv = [
            "bwrap",
            "--unshare-all",
            "--die-with-parent",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
        ]
        for place in {"/usr", "/lib", "/lib64", "/bin", "/etc", sys.prefix, sys.base_prefix}:
            if os.path.exists(place):
                self.argv += ["--ro-bind", place, place]

    def python(self, source: str) -> str:
        return subprocess.run([*self.argv, sys.executable, "-c", source], capture_output=True, text=True).stdout

    def files(self, name: str, data: bytes, source: str) -> bytes:
        with tempfile.TemporaryDirectory() as place:
            Path(place, name).write_bytes(data)
            bind = ["--bind", place, "/work", "--chdir", "/work"]
            subprocess.run([*self.argv, *bind, sys.executable, "-c", source], check=True)
            return Path(place, "answer").read_bytes()

    def memory(self, source: str) -> str:
        done = subprocess.run(
            ["prlimit", f"--as={256 << 20}", *self.argv, sys.executable, "-c", source], capture_output=True
        )
        return f"exit code {done.returncode}" if done.returncode else "EXITED"

    def stream(self, source: str) -> list[tuple[float, str]]:
        with subprocess.Popen([*self.argv, sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as p:
            return [(time.monotonic(), line) for line in p.stdout]

    def timeout(self, source: str) -> str:
        try:
            subprocess.run([*self.argv, sys.executable, "-c", source], timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return "TIMEOUT"
        return "EXITED"


def no_docker() -> str:
    """Why docker's sandboxes don't run here, if they don't."""
    docker = importlib.import_module("docker")
    try:
        docker.from_env().ping()
    except docker.errors.DockerException:
        return "no docker daemon answers"
    return "not written for a daemon yet"


def no_machine() -> str:
    """The same for micro-VMs."""
    return "takes /dev/kvm and an image of a registry"


ELSEWHERE = {"docker": no_docker, "llm_sandbox": no_docker, "boxlite": no_machine, "microsandbox": no_machine}


def check_python(box: Any) -> None:
    """Runs a string."""
    assert box.python("print(6 * 7)") == "42\n"


def check_files(box: Any) -> None:
    """Passes a file in and one out."""
    source = "open('answer', 'w').write(open('question').read().upper())"
    assert box.files("question", b"what is it", source) == b"WHAT IS IT"


def check_memory(box: Any) -> None:
    """A program that takes more than it may doesn't have it."""
    assert box.memory(HOG) not in ("EXITED", "exited", "")


def check_stream(box: Any) -> None:
    """Lines come when they are written."""
    heard = box.stream(SLOW)
    assert [line for _, line in heard] == ["0\n", "1\n", "2\n"]
    assert heard[2][0] - heard[0][0] > 0.05


def check_timeout(box: Any) -> None:
    """What ignores SIGTERM, forks and calls setsid is gone at the limit."""
    mark = f"# {time.monotonic_ns()}"
    box.timeout(f"{STUBBORN}\n{mark}")
    end = time.monotonic() + 1
    while left := [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and mark.encode() in command_line(pid)]:
        if time.monotonic() > end:
            for pid in left:
                os.kill(pid, 9)
            raise AssertionError("processes live on")


def command_line(pid: str) -> bytes:
    """A process's words, nothing where it is gone."""
    try:
        return Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return b""


CHECKS = {
    "python": check_python,
    "files": check_files,
    "memory": check_memory,
    "stream": check_stream,
    "timeout": check_timeout,
}


def lines(method: Any) -> int:
    """Of its body, blank ones left out."""
    return sum(bool(line.strip()) for line in inspect.getsource(method).splitlines()[1:])


def median(check: Any, box: Any) -> str:
    """Milliseconds, or what went wrong."""
    times = []
    for _ in range(3 if check in (check_timeout, check_stream) else ROUNDS):
        start = time.perf_counter()
        try:
            check(box)
        except (AssertionError, OSError) as error:
            return f"no: {error or type(error).__name__}"
        times.append(time.perf_counter() - start)
    return f"{statistics.median(times) * 1e3:.1f} ms"


def main() -> None:
    """A row for each sandbox."""
    print("| sandbox | setup | " + " | ".join(CHECKS) + " |")
    print("|---|---|" + "---|" * len(CHECKS))
    for kind in (Ctr, Sandlock, Bubblewrap):
        box = kind()
        try:
            box.setup()
            box.python("")
        except (ImportError, OSError) as error:
            print(f"| {kind.__name__.lower()} | not here: {error} |" + " |" * len(CHECKS))
            continue
        cells = [f"{lines(getattr(box, name))} lines, {median(check, box)}" for name, check in CHECKS.items()]
        print(f"| {kind.__name__.lower()} | {lines(box.setup)} lines | " + " | ".join(cells) + " |", flush=True)
    for name, why in ELSEWHERE.items():
        try:
            importlib.import_module(name)
            reason = why()
        except ImportError:
            reason = "not installed"
        print(f"| {name} | not run: {reason} |" + " |" * len(CHECKS))


main()
