"""Files of a running container, opened, read, written, listed and looked at without a program inside."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import ctr


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image without any program."""
    image = tmp_path_factory.mktemp("bare")
    image.chmod(0o755)
    (image / "etc").mkdir()
    (image / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n")
    return image


@pytest.fixture
def c(bare: Path) -> Iterator[ctr.Container]:
    with ctr.Container(bare) as c:
        yield c


def test_bytes_are_written_and_read(c: ctr.Container) -> None:
    data = os.urandom(200_000)
    assert c.write_bytes("/data", data) == len(data)
    assert c.read_bytes("/data") == data
    assert c.read_bytes(b"data") == data
    assert c.write_bytes(Path("/data"), memoryview(b"short")) == 5
    assert c.read_bytes("/data") == b"short"
    assert c.write_bytes("/empty", b"", permissions=0o600) == 0
    assert stat.S_IMODE(c.stat("/empty").st_mode) == 0o600


def test_open_is_the_builtin_for_files_inside(c: ctr.Container) -> None:
    with c.open("/etc/app.conf", "w", encoding="utf-8") as f:
        assert not os.get_inheritable(f.fileno())
        f.write("ä\nb\n")
    with c.open("/etc/app.conf", encoding="utf-8") as f:
        assert f.readlines() == ["ä\n", "b\n"]
    with c.open("/etc/app.conf", "ab") as f:
        f.write(b"c\n")
    with c.open("/etc/app.conf", "r+b") as f:
        f.seek(-2, os.SEEK_END)
        assert f.read() == b"c\n"
    with pytest.raises(FileExistsError):
        c.open("/etc/app.conf", "x")
    with pytest.raises(FileNotFoundError, match=r"open /no of container .*ENOENT") as caught:
        c.open("/no")
    assert isinstance(caught.value, ctr.Error)
    assert caught.value.step_id == "open-inside"
    with pytest.raises(IsADirectoryError):
        c.open("/etc")
    with pytest.raises(IsADirectoryError, match="/etc"):
        c.read_bytes("/etc")
    with pytest.raises(NotADirectoryError):
        c.read_bytes("/etc/passwd/x")
    with pytest.raises(ValueError, match="mode"):
        c.open("/etc/passwd", "z")


def test_a_directory_is_listed(c: ctr.Container) -> None:
    c.write_bytes(b"/etc/\xff", b"")
    assert sorted(c.listdir("/etc")) == sorted({"passwd", os.fsdecode(b"\xff"), *c.listdir("/etc")})
    assert "etc" in c.listdir()
    with pytest.raises(NotADirectoryError, match="list /etc/passwd"):
        c.listdir("/etc/passwd")


def test_a_file_is_looked_at(c: ctr.Container) -> None:
    c.write_bytes("/x", b"12345")
    with c.open("/x") as f:
        here, inside = os.fstat(f.fileno()), c.stat("/x")
    for name in ("mode", "size", "ino", "nlink", "mtime_ns", "ctime_ns", "mtime", "blocks", "dev"):
        assert getattr(inside, f"st_{name}") == getattr(here, f"st_{name}"), name
    assert (inside.st_uid, inside.st_gid, inside[6]) == (0, 0, 5)
    assert stat.S_ISCHR(c.stat("/dev/null").st_mode)
    assert c.stat("/dev/null").st_rdev == os.makedev(1, 3)
    assert stat.S_ISLNK(c.stat("/dev/fd", follow_symlinks=False).st_mode)


def test_devices_and_the_kernels_files_are_refused(c: ctr.Container) -> None:
    for path in ("/dev/null", "/dev/zero", "/proc/version", "/proc/sys/kernel/hostname"):
        with pytest.raises(ctr.Error, match=f"open {path} of container") as caught:
            c.read_bytes(path)
        assert caught.value.errno == errno.EOPNOTSUPP
    with pytest.raises(ctr.Error) as caught:
        c.read_bytes("/proc/1/root/etc/passwd")
    assert caught.value.errno in (errno.EACCES, errno.ELOOP)


def test_a_new_file_belongs_to_the_user(c: ctr.Container) -> None:
    c.write_bytes("/tmp/roots", b"", user=0)
    assert c.stat("/tmp/roots").st_uid == 0
    try:
        c.write_bytes("/tmp/anns", b"x", user="ann")
    except ctr.Error as error:
        if error.step_id != "become-user":
            raise
        pytest.skip(str(error))
    assert (c.stat("/tmp/anns").st_uid, c.stat("/tmp/anns").st_gid) == (1000, 1000)
    assert c.read_bytes("/tmp/anns", user=1000) == b"x"
    with pytest.raises(PermissionError):
        c.write_bytes("/etc/new", b"", user="ann")


def test_a_joiner_opens_too_and_nobody_when_it_is_over(bare: Path) -> None:
    with ctr.Container(bare) as c, ctr.join(c.name) as joined:
        joined.write_bytes("/x", b"x")
        f = c.open("/x", "rb")
        c.destroy()
        with pytest.raises(ProcessLookupError):
            joined.read_bytes("/x")
    with f:
        assert f.read() == b"x"


def test_no_descriptor_is_left(bare: Path) -> None:
    with ctr.Container(bare) as c:
        c.read_bytes("/etc/passwd")
        before = os.listdir("/proc/self/fd")
        for _ in range(20):
            c.write_bytes("/x", b"x")
            c.read_bytes("/x")
            c.listdir("/")
            with pytest.raises(ctr.Error):
                c.read_bytes("/dev/null")
        assert len(os.listdir("/proc/self/fd")) == len(before)


def tree(top: Path) -> Path:
    (top / "sub").mkdir(parents=True)
    (top / "file").write_text("file\n")
    (top / "sub/large").write_bytes(os.urandom(2_000_000))
    (top / "link").symlink_to("sub/large")
    return top


def test_a_tree_goes_in_and_comes_out(c: ctr.Container, tmp_path: Path) -> None:
    source = tree(tmp_path / "source")
    c.copy_in(source, "/tmp/copy")
    assert c.read_bytes("/tmp/copy/sub/large") == (source / "sub/large").read_bytes()
    assert stat.S_ISLNK(c.stat("/tmp/copy/link", follow_symlinks=False).st_mode)
    c.copy_in(str(source / "file"), b"/tmp/copy/sub")
    assert c.read_bytes("/tmp/copy/sub/file") == b"file\n"
    c.copy_out("/tmp/copy", tmp_path / "back")
    assert (tmp_path / "back/link").read_bytes() == (source / "sub/large").read_bytes()
    with pytest.raises(FileNotFoundError, match=r"copy /no of container") as caught:
        c.copy_out("/no", tmp_path)
    assert isinstance(caught.value, ctr.Error)
    assert caught.value.step_id == "copy-from"
    with pytest.raises(FileNotFoundError):
        c.copy_in(tmp_path / "no", "/tmp")
    with pytest.raises(ctr.Error, match="device"):
        c.copy_out("/dev/null", tmp_path / "null")


def test_an_archive_goes_in_and_comes_out(c: ctr.Container, tmp_path: Path) -> None:
    c.copy_in(tree(tmp_path / "source"), "/tmp/copy")
    memory = io.BytesIO()
    c.copy_out("/tmp/copy", memory)
    with (tmp_path / "out.tar").open("wb") as f:
        c.copy_out("/tmp/copy", f)
    assert memory.getvalue() == (tmp_path / "out.tar").read_bytes()
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert sorted(archive.getnames()) == ["copy", "copy/file", "copy/link", "copy/sub", "copy/sub/large"]
    for number, source in enumerate((io.BytesIO(memory.getvalue()), (tmp_path / "out.tar").open("rb"))):
        place = f"/tmp/again{number}"
        c.copy_in(tmp_path / "source/sub", place)
        with source:
            c.copy_in(source, place)
        assert c.read_bytes(f"{place}/copy/sub/large") == (tmp_path / "source/sub/large").read_bytes()
    packed = tmp_path / "out.tar.gz"
    with gzip.open(packed, "wb") as f:
        f.write(memory.getvalue())
    with gzip.open(packed) as unpacked:
        c.copy_in(unpacked, "/tmp/again0/sub" if "sub" in c.listdir("/tmp/again0") else "/tmp/again0")
    with pytest.raises(ctr.Error, match="not a tar archive"):
        c.copy_in(io.BytesIO(b"x" * 2000), "/tmp")
    foreign = io.BytesIO()
    with tarfile.open(fileobj=foreign, mode="w") as made:
        entry = tarfile.TarInfo("foreign")
        entry.uid = 1 << 20
        made.addfile(entry)
    foreign.seek(0)
    with pytest.raises(ctr.Error, match=r"EINVAL.*ids that the container has"):
        c.copy_in(foreign, "/tmp", archive=True)
    with pytest.raises(ValueError, match=r"no file in it \(sockets"):
        c.copy_in(io.BytesIO(), "/tmp")


def test_a_copy_that_does_not_fit_says_what_gives_room(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (6 << 20))
    with ctr.Container("host", upper_size="4M") as c:
        with pytest.raises(ctr.Error, match=r"large: ENOSPC.*--upper-size"):
            c.copy_in(tmp_path / "large", "/tmp")
        assert c.listdir("/tmp") == []
        c.set_limit("upper_size", "8M")
        c.copy_in(tmp_path / "large", "/tmp")


def test_libctr_cp(bare: Path, tmp_path: Path) -> None:
    def libctr(*args: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "ctr", "cp", *args]
        return subprocess.run(command, input=given, capture_output=True, check=False)

    source = tree(tmp_path / "source")
    with ctr.Container(bare) as c:
        assert libctr(str(source), f"{c.name}:/tmp/copy").returncode == 0
        assert c.read_bytes("/tmp/copy/file") == b"file\n"
        kept = libctr("-a", f"{c.name}:/tmp/copy/file", str(tmp_path / "out"))
        if os.geteuid() == 0:
            assert (kept.returncode, kept.stderr) == (0, b"")
        else:
            # Nobody else may give a file to root, whose it is inside.
            assert (kept.returncode, b"takes root outside" in kept.stderr) == (125, True)
            assert libctr(f"{c.name}:/tmp/copy/file", str(tmp_path / "out")).returncode == 0
        assert (tmp_path / "out").read_text() == "file\n"
        archive = libctr(f"{c.name}:/tmp/copy", "-")
        assert archive.returncode == 0
        done = libctr("-", f"{c.name}:/", given=archive.stdout)
        assert (done.returncode, done.stderr) == (0, b"")
        assert c.read_bytes("/copy/file") == b"file\n"
        done = libctr(f"{c.name}:/no", str(tmp_path))
        assert done.returncode == 125
        assert b"copy /no of container" in done.stderr
        done = libctr("/etc/passwd", "/tmp/x")
        assert done.returncode == 125 or done.returncode == 2
        assert b"NAME:PATH" in done.stderr
