"""Files of a running container, opened, read, written, listed and looked at without a program inside."""

from __future__ import annotations

import errno
import os
import stat
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
