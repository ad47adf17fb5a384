"""`libctr kernel`: a Jupyter kernel in a container."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ctr
from ctr._cli import command
from lanes import LIMITS

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    return tmp_path


class Kernel:
    """A kernel of the name "box", and a client."""

    def __init__(self, **started: Any) -> None:
        self.manager = jupyter_client.KernelManager(kernel_name="box")
        self.manager.start_kernel(**started)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def run(self, code: str, **options: Any) -> tuple[str, str]:
        """The status, and all that was shown."""
        shown: list[str] = []

        def show(message: Any) -> None:
            content = message["content"]
            shown.append(content.get("text") or content.get("data", {}).get("text/plain") or content.get("ename") or "")

        reply = self.client.execute_interactive(code, timeout=120, output_hook=show, **options)
        return reply["content"]["status"], "".join(shown)

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(place: Path) -> Iterator[Kernel]:
    assert command(["kernel", "install", "--prefix", str(place), "--kernel-name", "box", "--hostname", "fern"]) == 0
    kernel = Kernel()
    yield kernel
    kernel.end()
    assert not ctr.containers()
    assert not list(Path("/tmp").glob("ctr-kernel-*/s/k-*"))


def test_what_is_installed_is_a_kernel_of_the_provisioner(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["kernel", "install", "--prefix", str(place), "--image", "some/Image.tar", "-m", "1G", "--read-only"]
    assert command([*typed, "--ulimit", "nofile=64", "--folder", "ro", "--display-name", "Box"]) == 0
    name, path = capsys.readouterr().out.split()
    assert name == "ctr-image.tar"
    spec = json.loads(Path(path, "kernel.json").read_text())
    assert spec["display_name"] == "Box"
    provisioner = spec["metadata"]["kernel_provisioner"]
    assert provisioner["provisioner_name"] == "ctr"
    options = ["--memory", "1G", "--read-only", "--ulimit", "nofile=64"]
    assert provisioner["config"] == {"image": "some/Image.tar", "options": options, "folder": "ro"}
    assert command(["kernel", "install", "--prefix", str(place), "-m", "12"]) != 0
    assert "12M" in capsys.readouterr().err


def test_it_runs_in_a_container_without_network(kernel: Kernel) -> None:
    assert kernel.run("import os; print(os.uname().nodename, sorted(os.listdir('/sys/class/net')))") == (
        "ok",
        "fern ['lo']\n",
    )
    assert kernel.run("1 + 1") == ("ok", "2")
    # Nothing of the notebook's folder, and no secret of the server.
    assert kernel.run("sorted(set(os.environ) & {'JPY_PARENT_PID', 'JPY_SESSION_NAME', 'CTR_STATE_DIR'})") == (
        "ok",
        "[]",
    )
    assert len(ctr.containers()) == 1


def test_interrupt_input_and_restart(kernel: Kernel) -> None:
    threading.Timer(1.0, kernel.manager.interrupt_kernel).start()
    begun = time.monotonic()
    assert kernel.run("import time; time.sleep(300)") == ("error", "KeyboardInterrupt")
    assert time.monotonic() - begun < 120
    answer = kernel.run("print(input())", allow_stdin=True, stdin_hook=lambda message: kernel.client.input("word"))
    assert answer == ("ok", "word\n")
    kernel.run("x = 5; open('/tmp/left', 'w').close()")
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(timeout=120)
    assert kernel.run("import os; 'x' in globals(), os.path.exists('/tmp/left')") == ("ok", "(False, False)")
    assert len(ctr.containers()) == 1


@LIMITS
def test_over_its_memory_limit_it_dies_alone_and_the_log_says_why(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["kernel", "install", "--prefix", str(place), "--kernel-name", "box", "-m", "256M"]
    assert command(words) == 0
    kernel = Kernel()
    with caplog.at_level(logging.WARNING):
        kernel.client.execute("x = bytearray(1 << 30)")
        end = time.monotonic() + 60
        while kernel.manager.is_alive() and time.monotonic() < end:
            time.sleep(0.05)
        kernel.end()
    assert "out of memory" in caplog.text
    assert not ctr.containers()


@pytest.mark.parametrize("how", ["ro", "rw"])
def test_the_notebooks_folder_is_there_by_choice(place: Path, how: str) -> None:
    words = ["kernel", "install", "--prefix", str(place), "--kernel-name", "box", "--folder", how]
    assert command(words) == 0
    folder = place / "folder"
    folder.mkdir()
    (folder / "data").write_text("of the notebook")
    kernel = Kernel(cwd=str(folder))
    try:
        assert kernel.run("print(open('data').read())") == ("ok", "of the notebook\n")
        assert kernel.run("open('made', 'w').close()")[0] == ("error" if how == "ro" else "ok")
        assert (folder / "made").exists() == (how == "rw")
        if how == "rw":
            assert (folder / "made").stat().st_uid == os.geteuid()
    finally:
        kernel.end()


def test_what_it_does_to_the_sockets_directory_stays_there(place: Path) -> None:
    assert command(["kernel", "install", "--prefix", str(place), "--kernel-name", "box"]) == 0
    kernel = Kernel()
    shared = Path(kernel.manager.ip).parent
    code = f"""
import os
os.chdir({str(shared)!r})
os.chmod(".", 0o777)
for _ in range(2000):
    os.mkdir("deep")
    os.chdir("deep")
os.chdir("/")
os.listdir({str(shared.parent)!r})
"""
    assert kernel.run(code) == ("ok", "['s']")
    assert shared.stat().st_mode & 0o777 == 0o777
    assert shared.parent.stat().st_mode & 0o777 == 0o700
    kernel.run(f"import os; os.chmod({str(shared.parent)!r}, 0o777)")
    assert shared.parent.stat().st_mode & 0o777 == 0o700
    kernel.end()
    assert not shared.parent.exists()


def test_what_it_writes_to_its_own_stdout_is_logged_within_bounds(caplog: pytest.LogCaptureFixture) -> None:
    from ctr._kernel import ContainerProvisioner

    provisioner = ContainerProvisioner(kernel_id="x")
    with caplog.at_level(logging.INFO, provisioner.log.name), tempfile.TemporaryFile() as stream:
        provisioner.log.propagate = True
        stream.write(b"first\n" + b"\n" * (1 << 20))
        stream.seek(0)
        provisioner._log_output(stream)
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "kernel x: first"
    assert 1000 < len(said) < 10000
