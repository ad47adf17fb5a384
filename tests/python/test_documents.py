"""What the documents show runs as it stands there."""

from __future__ import annotations

import gzip
import lzma
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import archives
import ctr

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(archives.BUSYBOX is None, reason="no busybox is installed")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the files that the documents name, and a store of its own."""
    system = archives.rootfs()
    (tmp_path / "data").mkdir()
    (tmp_path / "debian.tar.gz").write_bytes(gzip.compress(system))
    (tmp_path / "debian.tar.xz").write_bytes(lzma.compress(system))
    (tmp_path / "big.tar").write_bytes(system)
    (tmp_path / "nginx.docker.tar").write_bytes(archives.docker_archive({"Cmd": ["true"]}, system))
    for directory in ("site", "src"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "file").write_text("content")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CTR_STORE_DIR", str(tmp_path / "store"))
    return tmp_path


def blocks(document: str, language: str) -> list[str]:
    """The code of this language in a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


def limits_memory() -> bool:
    """Whether a memory limit can be had here."""
    with ctr.Container(cgroup="optional", memory="64M") as c:
        try:
            return c.memory_limit is not None
        except ctr.Error:
            return False


def test_the_readmes_python_runs(place: Path) -> None:
    if not limits_memory():
        pytest.skip("no memory limit can be had here")
    script = "\n".join(blocks("README.md", "python"))
    assert "ctr.run(" in script
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hello\n\n")
    assert "b'work\\n' exited" in done.stdout
    assert "pivot_root" in done.stdout
    assert {name for image in ctr.images() for name in image.names} >= {"nginx", "mine", "site"}


def test_the_python_of_the_page_on_images_runs(place: Path) -> None:
    first, store, out = blocks("docs/images.md", "python")
    names = {"ctr": ctr, "urllib": urllib, "url": f"file://{place}/debian.tar.xz"}
    with open(place / "big.tar", "rb") as file:
        # Descriptor 0 is pytest's.
        first = first.replace("import_image(0)", f"import_image({file.fileno()})")
        exec(first, names)
    # With several names for one image, removing one keeps it.
    exec(store.split("image.remove()  ")[0], names)
    with ctr.Container("debian:12") as c:
        c.run(["touch", "/etc/new"], check=True)
        exec(out, {**names, "c": c, "image": ctr.image("debian:12")})
    assert ctr.image("app").config.cmd == ("/app/main",)
    assert {"old.tar", "rootfs.tar", "debian.oci.tar"} <= set(os.listdir(place))


def test_the_command_lines_of_the_page_on_images_work(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs/images.md").read_text().split("## From the command line")[1]
    lines = [command.strip() for line in re.findall(r"^    (.*)$", text, re.MULTILINE) for command in line.split("   ")]
    commands = [shlex.split(line) for line in lines if line]
    assert ["libctr", "prune"] in commands
    name = f"documents-{os.getpid()}"
    with ctr.Container(str(place / "debian.tar.gz"), name=name) as c:
        for command in commands:
            words = [name if word == "NAME" else word for word in command]
            if "|" in words:
                # Its other half is a program that this machine may lack.
                continue
            words = words[1:]
            if words[:2] == ["run", "debian:12"] and len(words) == 2:
                words += ["true"]
            done = subprocess.run([sys.executable, "-m", "ctr", *words], stdin=subprocess.DEVNULL, capture_output=True)
            assert done.returncode == 0, (command, done.stderr)
        assert c.running


@pytest.fixture
def kitchen(place: Path) -> Path:
    """What the recipes of the cookbook name."""
    system = archives.rootfs()
    # What it would install is there already.
    apt = b"#!/bin/sh\n[ $1 = update ] || busybox cp /opt/figlet /bin/figlet\n"
    figlet = b"#!/bin/sh\necho $1 in large letters\n"
    httpd = b'#!/bin/sh\nexec busybox httpd "$@"\n'
    debian = {"bin/apt-get": apt, "opt/figlet": figlet}
    for name, files in (("debian.tar", debian), ("web.tar", {"www/index.html": b"<p>a page</p>", "bin/httpd": httpd})):
        (place / name).write_bytes(archives.tar_with(system, files))
    (place / "src" / "words").write_text("pear\napple\nfig\n")
    (place / "project").mkdir()
    (place / "project" / "test_it.py").write_text(
        "import unittest\n\n\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(1 + 1, 2)\n"
    )
    return place


RECIPES = {
    "A tool for an agent": "{'stdout': \"['1', '2', '3']\\n\", 'stderr': '', 'why': 'exited'}\ntimed out\n",
    "A service for pytest": "1 passed",
    "Many at once": "49\n",
    "Install packages once": "hello in large letters",
    "Let a build write": "['apple', 'fig', 'pear'] True\n",
    "A judge": "right\ntimed out\n",
    "Tests in a clean room": "passed\n",
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_of_the_cookbook_works(recipe: str, kitchen: Path) -> None:
    text = (ROOT / "docs/cookbook.md").read_text()
    assert len(re.findall("^## ", text, re.MULTILINE)) == len(RECIPES)
    section = text.split(f"\n## {recipe}")[1].split("\n## ")[0]
    (code,) = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    script = kitchen / "test_recipe.py"
    script.write_text(code)
    is_a_test = "@pytest.fixture" in code
    options = ["-W", "ignore", *(["-m", "pytest", "-q", "-p", "no:cacheprovider"] if is_a_test else [])]
    command = [sys.executable, *options, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert RECIPES[recipe] in done.stdout
