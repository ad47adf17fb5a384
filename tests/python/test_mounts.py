"""Mounts into a container that runs, and out of it: from Python and by the command line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ctr


@pytest.fixture
def c() -> Iterator[ctr.Container]:
    with ctr.Container() as c:
        yield c


@pytest.fixture
def data(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("of the host\n")
    return tmp_path


def cat(c: ctr.Container, *paths: str) -> str:
    return c.run(["cat", *paths], capture_output=True, text=True).stdout


def test_a_program_that_runs_sees_it_at_once(c: ctr.Container, data: Path) -> None:
    p = c.popen(["sh"], stdin=ctr.PIPE, stdout=ctr.PIPE, text=True, bufsize=1)
    assert p.stdin
    assert p.stdout
    p.stdin.write("echo ready\n")
    assert p.stdout.readline() == "ready\n"
    c.mount(data, "/mnt/data", read_only=True)
    p.stdin.write("cat /mnt/data/file; echo x 2>/dev/null >/mnt/data/x || echo refused\n")
    assert [p.stdout.readline(), p.stdout.readline()] == ["of the host\n", "refused\n"]
    with pytest.raises(ctr.Error, match="mounted there already") as caught:
        c.mount(data, "/mnt/data")
    assert (caught.value.errno, caught.value.step_id) == (errno.EBUSY, "mount-at")
    p.stdin.write("cd /mnt/data; echo there\n")
    assert p.stdout.readline() == "there\n"
    with pytest.raises(ctr.Error, match="unmount /mnt/data: EBUSY") as caught:
        c.unmount("/mnt/data")
    assert caught.value.errno == errno.EBUSY
    c.unmount(b"/mnt/data", lazy=True)
    assert cat(c, "/mnt/data/file") == ""
    p.stdin.close()
    p.wait()


def test_a_mount_is_written_as_in_the_keyword(c: ctr.Container, data: Path) -> None:
    c.mount(ctr.Bind(data, "/mnt/a", read_only=True))
    c.mount(f"{data}:/mnt/b:ro")
    c.mount((data / "file", "/mnt/c"))
    c.mount(ctr.Tmpfs(Path("/mnt/d"), size="1M", mode=0o700))
    assert cat(c, "/mnt/a/file", "/mnt/b/file", "/mnt/c") == "of the host\n" * 3
    shown = {mount["target"]: mount for mount in c.inspect()["mounts"]}
    assert "ro" in shown["/mnt/b"]["options"].split(",")
    assert shown["/mnt/d"]["kind"] == "tmpfs"
    for place in "abcd":
        c.unmount(f"/mnt/{place}")
    for refused in [("nothing",), (7,), (ctr.Tmpfs("/x", size="many"),)]:
        with pytest.raises((TypeError, ValueError)):
            c.mount(*refused)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="read_only goes with"):
        c.mount("a:/b", read_only=True)
    with pytest.raises(FileNotFoundError):
        c.unmount("/mnt/a")
    with pytest.raises(ctr.Error, match="/proc or /sys") as caught:
        c.mount(data, "/proc/x")
    assert caught.value.errno == errno.EINVAL


def test_what_was_mounted_is_listed_and_taken_off(data: Path) -> None:
    mounts: list[Any] = [(data, "/mnt/made", "ro"), ctr.Tmpfs("/mnt/fast", size="1M")]
    with ctr.Container(mounts=mounts) as c, ctr.join(c.name) as joined:
        assert list(joined.mounts()) == [
            ctr.MountInfo("/mnt/made", str(data), "bind", read_only=True, live=False),
            ctr.MountInfo("/mnt/fast", None, "tmpfs", read_only=False, live=False),
        ]
        joined.mount(data, "/mnt/late")
        told = c.mounts()
        assert told[2] == ctr.MountInfo("/mnt/late", str(data), "bind", read_only=False, live=True)
        page = told._repr_html_()  # type: ignore[attr-defined]
        assert "<th" in page
        assert "/mnt/late" in page
        assert c.inspect()["given_mounts"][2]["target"] == "/mnt/late"
        done = command("mounts", c.name)
        lines = [line.split() for line in done.stdout.splitlines()]
        assert lines[0] == ["TARGET", "SOURCE", "KIND", "MODE", "MOUNTED"]
        assert lines[1] == ["/mnt/made", str(data), "bind", "ro", "with", "it"]
        assert lines[2] == ["/mnt/fast", "-", "tmpfs", "rw", "with", "it"]
        assert lines[3] == ["/mnt/late", str(data), "bind", "rw", "while", "it", "ran"]
        assert command("umount", c.name, "/mnt/made", "/mnt/fast").returncode == 0
        assert [it.target for it in c.mounts()] == ["/mnt/late"]
        assert cat(c, "/mnt/made/file") == ""
        with pytest.raises(ctr.Error, match="the container's own") as caught:
            c.unmount("/dev")
        assert caught.value.errno == errno.EINVAL


def test_files_of_another_container_and_of_an_image(
    c: ctr.Container, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    c.run(["sh", "-c", "echo of another > /srv/file"], check=True)
    root = tmp_path_factory.mktemp("root")
    (root / "tool").write_text("of an image\n")
    store = tmp_path_factory.mktemp("store")
    subprocess.run(["tar", "-C", root, "-cf", root / "../tools.tar", "tool"], check=True)
    image = ctr.import_image(root / "../tools.tar", name="tools", store_dir=store)
    mounts: list[Any] = [
        ctr.Bind("/srv", "/mnt/srv", read_only=True, from_container=c.name),
        ctr.ImageTree(image, "/mnt/tools"),
        ctr.Bind(data, "/mnt/own", owner=(0, 0)),
    ]
    with ctr.Container(mounts=mounts, store_dir=store) as other:
        seen = cat(other, "/mnt/srv/file", "/mnt/tools/tool", "/mnt/own/file")
        assert seen == "of another\nof an image\nof the host\n"
        other.mount(ctr.ImageTree("tools", "/mnt/again"))
        assert [it.kind for it in other.mounts()] == ["bind", "image", "bind", "image"]
        assert other.mounts()[0].source == f"{c.name}:/srv"
        done = command("mount", other.name, "--mount", f"type=bind,src=/srv/file,dst=/mnt/file,ro,from={c.name}")
        assert (done.returncode, done.stderr) == (0, "")
        done = command("mount", other.name, "--mount", f"src={data},dst=/mnt/in,owner=inside")
        assert (done.returncode, done.stderr) == (0, "")
        assert cat(other, "/mnt/file", "/mnt/in/file") == "of another\nof the host\n"
        with pytest.raises(ValueError, match="owner"):
            other.mount(ctr.Bind(data, "/mnt/x", owner="nobody"))
        if os.geteuid() != 0:
            with pytest.raises(ctr.Error, match="only root of the machine") as caught:
                other.mount(ctr.Bind(data, "/mnt/x", owner=(33, 33)))
            assert caught.value.errno == errno.EPERM
    written = f"type=bind,src={data},dst=/mnt/own,ro"
    done = command("run", "--mount", written, "--mount", "type=tmpfs,dst=/mnt/t", "host", "cat", "/mnt/own/file")
    assert (done.returncode, done.stdout) == (0, "of the host\n"), done.stderr
    for wrong in (
        "type=disk,src=a,dst=/b",
        "type=bind,dst=/b",
        "type=bind,src=a,dst=/b,size=3",
        "src=a,dst=/b,owner=me",
    ):
        done = command("mount", c.name, "--mount", wrong)
        assert done.returncode == 125, wrong


def test_a_joiner_may_as_well(c: ctr.Container, data: Path) -> None:
    with ctr.join(c.name) as joined:
        joined.mount(data, "/mnt/data")
    assert cat(c, "/mnt/data/file") == "of the host\n"
    c.unmount("/mnt/data")
    with pytest.raises(ctr.Error, match="bind"):
        c.mount(data / "missing", "/mnt/x")


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ctr", *words], capture_output=True, text=True, check=False)


def test_the_command_line_mounts_and_unmounts(c: ctr.Container, data: Path) -> None:
    done = command("mount", c.name, f"{data}:/mnt/data:ro")
    assert (done.returncode, done.stderr) == (0, "")
    assert command("mount", c.name, "--tmpfs", "/mnt/tmp:1M").returncode == 0
    assert cat(c, "/mnt/data/file") == "of the host\n"
    assert c.run(["sh", "-c", "echo x > /mnt/data/x"], stderr=ctr.DEVNULL).returncode != 0
    done = command("umount", c.name, "/mnt/data", "/mnt/nothing", "/mnt/tmp")
    assert done.returncode == 125
    assert "unmount /mnt/nothing: nothing was mounted there" in done.stderr
    assert cat(c, "/mnt/data/file") == ""
    for words in [("mount", c.name), ("mount", c.name, "a:/b", "--tmpfs", "/c")]:
        done = command(*words)
        assert done.returncode == 125
        assert "says what is mounted" in done.stderr
    done = command("umount", "no-such-container", "/mnt")
    assert (done.returncode, "no container of this name runs" in done.stderr) == (125, True)
