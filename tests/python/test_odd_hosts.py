"""Hosts that are not as one expects: few descriptors, closed streams, odd umasks, no /proc, no rights, no home.

What can work works; what can't is refused with the reason, and works again once that is gone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import ctr

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make such a host")

WORKS = "ctr.run('host', ['echo', 'ok'], stdout=ctr.PIPE).stdout == b'ok\\n'"

AS_NOBODY = """
import ctr, os, tempfile
home = tempfile.mkdtemp()
os.chown(home, 65534, 65534)
os.environ.update(CTR_STATE_DIR=home + "/state", CTR_STORE_DIR=home + "/store")
ctr.run, ctr.Container, ctr.import_image, ctr.Error, ctr.TimeoutExpired
os.setgroups([]); os.setgid(65534); os.setuid(65534)
"""


def host(script: str, *before: str, env: dict[str, str] | None = None) -> str:
    """What a Python program prints that runs on such a host."""
    done = subprocess.run(
        [*before, sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "oddity",
    [
        "os.umask(0o777)",
        "os.umask(0)",
        "d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)",
        "os.environ.clear()",
        "os.environ.update({f'A{n}': 'x' * 100_000 for n in range(10)})",
        "os.environ['LD_PRELOAD'] = '/no/such/library.so'",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
        "[signal.signal(n, signal.SIG_IGN) for n in signal.valid_signals() - {9, 19}]",
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)",
        "os.closerange(0, 3)",
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
        "resource.setrlimit(resource.RLIMIT_STACK, (256 << 10, 256 << 10))",
        "resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))",
        "resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))",
        "os.nice(19)",
        "os.setsid() if os.fork() == 0 else os._exit(os.waitstatus_to_exitcode(os.wait()[1]))",
    ],
)
def test_a_host_may_be_odd(oddity: str) -> None:
    host(f"""
        import ctr, os, resource, signal, sys, tempfile
        state = {{k: os.environ[k] for k in ("CTR_STATE_DIR", "CTR_STORE_DIR")}}
        {oddity}
        os.environ.update(state)
        sys.exit(0 if {WORKS} else "not so")
    """)


@pytest.mark.parametrize("locale", ["C", "POSIX", "no_such_locale"])
def test_a_locale_without_letters_is_no_hindrance(locale: str, tmp_path: Path) -> None:
    env = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    out = host("import ctr; print(ctr.run('host', ['echo', 'ok'], stdout=ctr.PIPE, text=True).stdout)", env=env)
    assert out == "ok\n\n"


def test_a_host_that_has_used_up_its_descriptors_is_told_so_and_goes_on() -> None:
    out = host(f"""
        import ctr, ctr._container, ctr._run, errno, os, resource
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for free in range(12):
            lowest = os.open("/dev/null", os.O_RDONLY); os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, hard))
            try:
                ctr.run("host", ["true"])
            except ctr.Error as error:
                assert error.errno == errno.EMFILE, error
                assert "ulimit -n" in error.hint, error
                print("told")
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert {WORKS}
        # And where its zygote is there already.
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 2, hard))
        try:
            ctr.run("host", ["true"])
        except ctr.Error as error:
            assert "ulimit -n" in error.hint, error
            print("told")
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert {WORKS}
        assert ctr.containers() == []
    """)
    assert out.count("told") == 13


def test_a_host_that_may_write_no_file_is_told_so_and_lives() -> None:
    host(f"""
        import ctr, ctr._container, ctr._run, errno, os, resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        try:
            ctr.run("host", ["true"])
        except ctr.Error as error:
            assert error.errno == errno.EFBIG and "ulimit -f" in error.hint, error
        else:
            raise SystemExit("it was not told")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert {WORKS}
    """)


@ROOT_ONLY
def test_a_user_without_a_home_or_with_a_umask_against_himself_runs_programs() -> None:
    host(f"""
        {AS_NOBODY.replace(chr(10), chr(10) + " " * 8)}
        os.umask(0o777)
        assert {WORKS}
        with ctr.Container(name="closed") as c:
            assert [info.name for info in ctr.containers()] == ["closed"]
            assert ctr.join("closed").run(["true"]).returncode == 0
        os.umask(0o022)
        for name in ("CTR_STATE_DIR", "CTR_STORE_DIR", "HOME", "XDG_DATA_HOME"):
            os.environ.pop(name, None)
        assert {WORKS}
    """)


@ROOT_ONLY
@pytest.mark.parametrize(
    ("before", "words"),
    [
        # No /proc at all; one of another PID namespace; root without a capability; a chroot.
        (["unshare", "-m", "sh", "-c", 'umount -l /proc; exec "$@"', "sh"], "is /proc mounted?"),
        (["unshare", "--pid", "--fork"], "mount -t proc proc /proc"),
        (["setpriv", "--bounding-set=-all", "--inh-caps=-all"], "SETFCAP"),
        (["unshare", "-m", "sh", "-c", 'mount --rbind / /mnt; exec chroot /mnt "$@"', "sh"], "a chroot forbids them"),
        (["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro x "$CTR_STATE_DIR"; exec "$@"', "sh"], "CTR_STATE_DIR"),
    ],
)
def test_what_a_host_lacks_is_said(before: list[str], words: str) -> None:
    if not shutil.which(before[0]):
        pytest.skip(f"there is no {before[0]}")
    out = host(
        """
        import ctr
        try:
            ctr.run("host", ["true"])
        except ctr.Error as error:
            print(error)
        """,
        *before,
    )
    assert words in out


def test_too_many_processes_of_a_user_are_told_of() -> None:
    with ctr.Container(rlimits={"nproc": 1}) as c, pytest.raises(BlockingIOError, match="ulimit -u"):
        # PID 1 is of this user, too.
        c.run(["true"])


def test_nothing_is_left_of_all_this() -> None:
    assert ctr.containers() == []
