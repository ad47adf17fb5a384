"""The table of bad input: each is a named error that leaves nothing behind."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ctr
from ctr import PIPE
from lanes import LIMITS, ROOT_ONLY


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No descriptor and no container more than before."""
    from conftest import open_fds

    before, running = open_fds(), ctr.containers()
    yield
    assert open_fds() == before
    assert ctr.containers() == running


def refused(number: int, act: Callable[[], object], *words: str) -> ctr.Error:
    """The error that `act` raises, which has this errno and these words, and tells its story in full."""
    with pytest.raises(ctr.Error) as caught:
        act()
    error = caught.value
    assert error.errno == number, error
    for word in words:
        assert word in str(error)
    assert error.step
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", error.step_id)
    assert error.step in str(error)
    assert error.object in str(error)
    assert error.hint in str(error)
    return error


def test_a_missing_image(tmp_path: Path) -> None:
    missing = tmp_path / "missing.tar"
    error = refused(errno.ENOENT, lambda: ctr.Container(missing), str(missing))
    assert isinstance(error, FileNotFoundError)


def test_an_unreadable_image(tmp_path: Path) -> None:
    # Root reads everything, so a link that leads nowhere but to itself stands for what can't be opened.
    loop = tmp_path / "loop.tar"
    loop.symlink_to(loop)
    refused(errno.ELOOP, lambda: ctr.Container(loop), str(loop))


def test_an_empty_image(tmp_path: Path) -> None:
    empty = tmp_path / "empty.tar"
    empty.write_bytes(b"")
    error = refused(errno.EINVAL, lambda: ctr.Container(empty), str(empty), "written to its end")
    assert error.code == -8


def test_an_image_that_is_no_archive(tmp_path: Path) -> None:
    text = tmp_path / "text.tar"
    text.write_bytes(b"this is not a tar archive\n" * 1000)
    assert refused(errno.EINVAL, lambda: ctr.Container(text), str(text), "or a directory").code == -8


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_an_image_that_is_cut_off(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    (tmp_path / "data").write_bytes(os.urandom(100_000))
    with tarfile.open(whole, "w:gz" if suffix.endswith("gz") else "w") as tar:
        tar.add(tmp_path / "data", "data")
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert refused(errno.EINVAL, lambda: ctr.Container(cut), str(cut), "its end is missing").code == -8


@pytest.mark.parametrize("name", ["a/b", "../a", "", ".", "-a", "a" * 65, "a b", "a\n", "ä"])
def test_a_name_that_can_not_be_one(name: str) -> None:
    error = refused(errno.EINVAL, lambda: ctr.Container(name=name))
    assert isinstance(error, ValueError)


def test_a_name_in_use() -> None:
    with ctr.Container(name="used"):
        refused(errno.EEXIST, lambda: ctr.Container(name="used"), "used")


def test_empty_arguments(c: ctr.Container) -> None:
    for use in (c.run, c.popen):
        error = refused(errno.EINVAL, lambda use=use: use([]))  # type: ignore[misc]
        assert isinstance(error, ValueError)


def test_a_missing_program(c: ctr.Container) -> None:
    for name in ("no-such-program", "/bin/no-such-program"):
        error = refused(errno.ENOENT, lambda name=name: c.run([name]), name)  # type: ignore[misc]
        assert isinstance(error, FileNotFoundError)
        assert error.filename == name


def test_a_program_of_the_host_that_is_not_seen_inside(c: ctr.Container, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    refused(errno.ENOENT, lambda: c.run([str(program)]), str(program), "bind it")


def test_an_empty_program_name(c: ctr.Container) -> None:
    refused(errno.EINVAL, lambda: c.run([""]), "names the program")


def test_a_program_that_is_a_directory_or_not_executable(c: ctr.Container) -> None:
    assert isinstance(refused(errno.EACCES, lambda: c.run(["/etc"]), "/etc"), PermissionError)
    refused(errno.EACCES, lambda: c.run(["/etc/passwd"]), "/etc/passwd")


def test_a_missing_interpreter_is_named(c: ctr.Container) -> None:
    c.run(r"printf '#!/no/interpreter\n' > /tmp/script; chmod +x /tmp/script", shell=True, check=True)
    refused(errno.ENOENT, lambda: c.run(["/tmp/script"]), "/tmp/script", "/no/interpreter")


def test_a_file_that_is_no_program(c: ctr.Container) -> None:
    c.run("printf 'no program' > /tmp/data; chmod +x /tmp/data", shell=True, check=True)
    refused(errno.ENOEXEC, lambda: c.run(["/tmp/data"]), "/tmp/data")


def test_too_many_arguments(c: ctr.Container) -> None:
    refused(errno.E2BIG, lambda: c.run(["true", *["x" * 100_000] * 200]), "arguments (20000205 bytes)", "by stdin")


def test_a_command_line_in_one_word_is_told_how_to_be_written(c: ctr.Container) -> None:
    refused(errno.ENOENT, lambda: c.run("echo hello"), "echo hello", "words of their own")


def test_a_signal_that_is_none(c: ctr.Container) -> None:
    with c.popen(["sleep", "1000"]) as p:
        refused(errno.EINVAL, lambda: p.send_signal(99), "99: there is no signal of this number")
        refused(errno.EINVAL, lambda: p.kill_group(-5), "-5")
        p.kill()


def test_an_image_with_a_nul_in_its_name() -> None:
    assert isinstance(refused(errno.EINVAL, lambda: ctr.Container("a\0b"), "NUL"), ValueError)


def test_a_missing_working_directory(c: ctr.Container) -> None:
    refused(errno.ENOENT, lambda: c.run(["true"], cwd="/no/such/directory"), "/no/such/directory")
    refused(errno.ENOTDIR, lambda: c.run(["true"], cwd="/etc/passwd"), "/etc/passwd")


def test_a_relative_working_directory(c: ctr.Container) -> None:
    refused(errno.EINVAL, lambda: c.run(["true"], cwd="tmp"), "tmp")


def test_a_missing_user_or_group(c: ctr.Container) -> None:
    assert refused(errno.ENOENT, lambda: c.run(["true"], user="nobody-at-all"), "nobody-at-all").code == -3
    refused(errno.ENOENT, lambda: c.run(["true"], user="0:no-such-group"), "no-such-group")
    for user in (-1, 2**32 - 1):
        assert isinstance(refused(errno.EINVAL, lambda: c.run(["true"], user=user), str(user)), ValueError)  # noqa: B023


def test_a_user_beyond_the_ids_of_the_container(c: ctr.Container) -> None:
    refused(errno.EINVAL, lambda: c.run(["true"], user=4_000_000_000), "4000000000")


@pytest.mark.parametrize("memory", [0, 1, 4096])
def test_a_memory_limit_below_what_can_be(memory: int) -> None:
    error = refused(errno.EINVAL, lambda: ctr.Container(memory=memory), str(memory))
    assert isinstance(error, ValueError)


@LIMITS
def test_a_live_memory_limit_below_what_can_be() -> None:
    with ctr.Container(memory="64M") as c:
        refused(errno.EINVAL, lambda: setattr(c, "memory_limit", 0))
        refused(errno.EINVAL, lambda: setattr(c, "memory_limit", -1))
        assert c.memory_limit == 64 << 20


@LIMITS
def test_a_live_memory_limit_below_what_is_in_use() -> None:
    with ctr.Container(memory="128M") as c:
        holder = c.popen(
            "x=$(head -c 40000000 /dev/zero | tr '\\0' x); echo held; read y", shell=True, stdin=PIPE, stdout=PIPE
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        refused(errno.EBUSY, lambda: setattr(c, "memory_limit", "8M"))
        assert c.memory_limit == 128 << 20
        assert holder.poll() is None
        holder.communicate()


def test_a_pids_limit_of_none_at_all() -> None:
    refused(errno.EINVAL, lambda: ctr.Container(pids=0), "0")


def test_a_missing_mount_source_and_a_bad_target(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    refused(errno.ENOENT, lambda: ctr.Container(mounts=[(missing, "/data")]), str(missing))
    refused(errno.EINVAL, lambda: ctr.Container(mounts=[(tmp_path, "data")]), "data")


def test_a_missing_namespace_to_join() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(ctr.Error, match=str(gone.pid)):
        ctr.Container(namespaces={"net": gone.pid})
    refused(errno.ENOENT, lambda: ctr.Container(network="container:no-such"), "no-such")


def test_a_store_that_can_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(ctr.Error, match="/proc/no-store"):
        ctr.Container(tarball(tmp_path), store_dir="/proc/no-store")


@ROOT_ONLY
def test_a_full_disk_under_the_store(tmp_path: Path) -> None:
    # In a mount namespace of its own the store lies on a tmpfs that is too small for the image.
    script = (
        "import ctr\n"
        "try:\n"
        f"    ctr.Container({str(tarball(tmp_path, 4 << 20))!r}, store_dir='/mnt/store')\n"
        "except ctr.Error as error:\n"
        "    print(error.errno, error)\n"
        "import os\n"
        "print([name for _, _, names in os.walk('/mnt/store') for name in names if 'data' in name])\n"
    )
    small = f'mount -t tmpfs -o size=1m tmpfs /mnt && exec {sys.executable} -c "$0"'
    done = subprocess.run(["unshare", "-m", "sh", "-c", small, script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{errno.ENOSPC} ")
    assert done.stdout.endswith("[]\n")


def test_a_state_directory_that_can_not_be_made() -> None:
    with pytest.raises(ctr.Error, match="/proc/no-state"):
        ctr.Container(state_dir="/proc/no-state")


@pytest.mark.parametrize("kind", ["user", "net", "mnt"])
def test_a_namespace_that_the_machine_refuses_is_named(kind: str) -> None:
    # The limit counts below the user namespace in which it is set; see namespaces(7).
    script = (
        f"open('/proc/sys/user/max_{kind}_namespaces', 'w').write('0')\n"
        "import ctr\n"
        "try:\n"
        "    ctr.Container()\n"
        "except ctr.Error as error:\n"
        "    print(error.errno, error)\n"
    )
    inside = ["unshare", "--user", "--map-root-user", sys.executable, "-c", script]
    done = subprocess.run(inside, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{errno.ENOSPC} ")
    assert "namespace" in done.stdout


def tarball(directory: Path, size: int = 10) -> Path:
    """An image with one file of random bytes."""
    (directory / "data").write_bytes(os.urandom(size))
    with tarfile.open(directory / "image.tar", "w") as tar:
        tar.add(directory / "data", "data")
    return directory / "image.tar"
