"""One wheel for every CPython from 3.9 on: built from the tree, installed into fresh virtual environments, used."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")

SCRIPT = """
import ctr, sys
assert "site-packages" in ctr.__file__, ctr.__file__
with ctr.Container(memory="64M") as c:
    assert c.run(["echo", "hello"], capture_output=True, text=True).stdout == "hello\\n"
    c.memory_limit = "128M"
    with c.popen(["cat"], stdin=ctr.PIPE, stdout=ctr.PIPE) as p:
        assert p.communicate(b"through") == (b"through", None)
    try:
        c.run(["no-such-program"])
    except FileNotFoundError as error:
        assert isinstance(error, ctr.Error)
assert ctr.run("host", ["sh", "-c", "exit 3"]).returncode == 3
print("%d.%d" % sys.version_info[:2])
"""


def interpreter(version: str) -> str | None:
    """Where this machine has that CPython."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    own = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return str(own[-1]) if own else shutil.which(f"python{version}")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `pip install .` builds it."""
    if not os.access(ROOT, os.W_OK):
        pytest.skip("building a wheel writes to the tree, which is another user's")
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(place), str(ROOT)]
    environment = dict(os.environ)
    if importlib.util.find_spec("maturin"):
        # The build tool is here already: nothing is downloaded.
        command.append("--no-build-isolation")
        environment["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    subprocess.run(command, env=environment, check=True)
    (built,) = place.glob("*.whl")
    return built


def test_the_wheel_is_for_every_interpreter_from_3_9_on(wheel: Path) -> None:
    assert wheel.name.startswith("libctr-")
    assert "-cp39-abi3-" in wheel.name


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_works_in_a_fresh_environment(wheel: Path, version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"this machine has no CPython {version}")
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    inside = tmp_path / "venv" / "bin" / "python"
    subprocess.run([inside, "-m", "pip", "install", "--quiet", "--no-index", wheel], check=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [inside, "-W", "error", "-c", SCRIPT], check=True, capture_output=True, text=True, cwd="/", env=clean
    )
    assert done.stdout == f"{version}\n"
    # containerd's client is called ctr.
    installed = sorted(path.name for path in inside.parent.iterdir())
    assert "libctr" in installed
    assert "ctr" not in installed
    said = subprocess.check_output([inside.parent / "libctr", "--version"], text=True, cwd="/", env=clean)
    assert said.startswith("libctr ")
