"""Disks and images of them as mounts: from Python and by the command line."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ctr
from ctr import _cli_options
from ctr._options import mount_option

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An ext4 image with a file."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        pytest.skip("loop devices are root's")
    mke2fs = shutil.which("mke2fs", path=PATH)
    if not mke2fs:
        pytest.skip("there is no mke2fs")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/hello").write_text("from the disk\n")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run([mke2fs, "-q", "-F", "-t", "ext4", "-d", str(tmp_path / "tree"), str(image)], check=True)
    return image


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ctr", *words], capture_output=True, text=True, check=False)


def test_a_disk_is_seen_from_the_beginning_and_live(image: Path) -> None:
    with ctr.Container(mounts=[ctr.Disk(image, "/mnt/disk", read_only=False)]) as c:
        c.write_bytes("/mnt/disk/new", b"kept")
        with pytest.raises(ctr.Error, match="it is in use") as caught:
            c.mount(ctr.Disk(image, "/mnt/live"))
        assert (caught.value.errno, caught.value.step_id) == (errno.EBUSY, "open-disk")
    with ctr.Container() as c:
        c.mount(ctr.Disk(image, "/mnt/live", filesystem="ext2", noexec=True))
        assert c.read_bytes("/mnt/live/new") == b"kept"
        shown = next(mount for mount in c.inspect()["mounts"] if mount["target"] == "/mnt/live")
        assert shown["kind"] == "ext4"
        assert {"ro", "nosuid", "nodev", "noexec"} <= set(shown["options"].split(","))
        assert [(it.target, it.source, it.kind, it.read_only) for it in c.mounts()] == [
            ("/mnt/live", str(image), "disk", True)
        ]
        c.unmount("/mnt/live")
        with pytest.raises(ctr.Error, match="no table of partitions") as caught:
            c.mount(ctr.Disk(image, "/mnt/live", partition=2))
        assert caught.value.errno == errno.ENXIO
        with pytest.raises(FileNotFoundError):
            c.mount(ctr.Disk(image.with_name("missing"), "/mnt/live"))
        with pytest.raises(ValueError, match="ntfs"):
            c.mount(ctr.Disk(image, "/mnt/live", filesystem="ntfs"))


def test_the_command_line_has_disks(image: Path) -> None:
    done = command("run", "--disk", f"{image}:/mnt/disk", "host", "cat", "/mnt/disk/hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "from the disk\n", "")
    with ctr.Container() as c:
        assert command("mount", c.name, "--disk", f"{image}:/mnt/disk:rw,noexec").returncode == 0
        assert c.run(["touch", "/mnt/disk/x"]).returncode == 0
        assert command("umount", c.name, "/mnt/disk").returncode == 0
        done = command("mount", c.name, "--disk", str(image))
        assert done.returncode != 0
        assert "IMAGE:DST" in done.stderr


def test_a_disk_is_typed_in_one_word() -> None:
    for text, disk in {
        "/a:/b": ctr.Disk("/a", "/b"),
        "/a:/b:rw": ctr.Disk("/a", "/b", read_only=False),
        "/dev/by-path/pci-0000:00:/b:ro": ctr.Disk("/dev/by-path/pci-0000:00", "/b"),
        "/a,b:/c,partition=2": ctr.Disk("/a,b", "/c", partition=2),
        "/a:/b:rw,noexec,filesystem=xfs,partition=1": ctr.Disk("/a", "/b", "xfs", 1, False, True),
    }.items():
        assert _cli_options.disk(text) == disk
    for text in ("/a", ":/b", "/a:"):
        with pytest.raises(ValueError, match="IMAGE:DST"):
            _cli_options.disk(text)


def test_a_relative_image_is_in_our_directory() -> None:
    assert mount_option(ctr.Disk("a", "/b"))[1]["source"] == os.path.abspath("a")
