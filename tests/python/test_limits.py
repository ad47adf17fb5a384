"""What a container may use: of memory, in which cgroup, and what is said where a limit can't be had."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import archives
import ctr
from lanes import CAN_LIMIT, LIMITS, ROOT_ONLY

V1 = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
V2 = Path("/sys/fs/cgroup/cgroup.controllers")


@pytest.fixture
def parent() -> Iterator[str]:
    """A cgroup of this test's own, as `cgroup_parent=` takes it."""
    if not V1.exists() and not V2.exists():
        pytest.skip("no memory cgroups are mounted here")
    name = f"ctr-python-{uuid.uuid4().hex[:8]}"
    place = (V1 if V1.exists() else V2).parent / name
    place.mkdir()
    yield f"/{name}"
    # Nothing is left in it, or it would not go.
    place.rmdir()


@LIMITS
def test_what_the_kernel_has_killed_is_counted() -> None:
    with ctr.Container(memory="64M") as c:
        assert c.oom_kills == 0
        # The shell outlives what it has started, and its own end says nothing of that.
        done = c.run(["sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null; exit 0"])
        assert done.exit.reason == "exited"
        assert c.oom_kills == 1


@ROOT_ONLY
def test_a_container_is_in_the_cgroup_that_was_chosen(parent: str) -> None:
    with ctr.Container(memory="64M", cgroup_parent=parent) as c:
        told = c.inspect()
        assert any(f"{parent}/ctr-" in path for path in told["cgroups"])
        assert "as chosen" in told["cgroup_place"]
        assert parent in c.explain()
    with pytest.raises(ctr.Error, match="ctr-nowhere"):
        ctr.Container(memory="64M", cgroup_parent="/ctr-nowhere")


@ROOT_ONLY
def test_a_lower_limit_above_is_told(parent: str) -> None:
    place = (V1 if V1.exists() else V2).parent / parent[1:]
    (place / ("memory.limit_in_bytes" if V1.exists() else "memory.max")).write_text(str(48 << 20))
    with ctr.Container(memory="64M", cgroup_parent=parent) as c:
        assert c.limits().memory == (64 << 20, 48 << 20)
    with ctr.Container(cpus=0.5, pids=50) as c:
        limits = c.limits()
        assert (limits.cpus, limits.pids, limits.memory.own) == ((0.5, 0.5), (50, 50), None)


@ROOT_ONLY
def test_the_command_line_and_the_environment_choose_a_cgroup_too(parent: str) -> None:
    run = [sys.executable, "-m", "ctr", "run", "-m", "64M"]
    show = ["host", "--", "cat", "/proc/self/cgroup"]
    explain = [sys.executable, "-m", "ctr", "explain", "-m", "64M"]
    for options, environment in (["--cgroup-parent", parent], {}), ([], {"CTR_CGROUP_PARENT": parent}):
        environment = {**os.environ, **environment}
        told = subprocess.check_output([*explain, *options, "host"], text=True, env=environment)
        assert parent in told
        subprocess.run([*run, *options, *show], check=True, env=environment, stdout=subprocess.DEVNULL)


def test_a_limit_that_is_let_go_is_a_warning() -> None:
    if CAN_LIMIT and os.geteuid() != 0:
        pytest.skip("this user can have limits")
    script = """
import warnings, ctr
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    with ctr.Container(memory="64M", cgroup="optional") as c:
        listed = c.inspect()["warnings"]
        assert c.run(["true"]).returncode == 0
(warning,) = [it for it in caught if it.category is UserWarning]
assert warning.filename == "<string>", warning
assert "memory" in str(warning.message), warning
assert listed == [str(warning.message)], listed
"""
    command = [sys.executable, "-c", script]
    if CAN_LIMIT:
        # Where no cgroup is mounted.
        mount = 'mount -t tmpfs ctr-test /sys/fs/cgroup && exec "$0" "$@"'
        command = ["unshare", "--mount", "sh", "-c", mount, *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_files_of_etc_are_the_images_on_request() -> None:
    script = "cut -d' ' -f2 /proc/self/mounts"
    files = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
    with ctr.Container() as c:
        assert files & set(c.run(["sh", "-c", script], capture_output=True, text=True).stdout.split())
    with ctr.Container(etc_files=False) as c:
        assert not files & set(c.run(["sh", "-c", script], capture_output=True, text=True).stdout.split())
    line = [sys.executable, "-m", "ctr", "run", "--no-etc-files", "host", "--", "sh", "-c", script]
    assert not files & set(subprocess.check_output(line, text=True).split())


def test_a_bound_of_changes_is_one_of_those_in_memory(tmp_path: Path) -> None:
    image = tmp_path / "busybox.tar"
    image.write_bytes(archives.rootfs())
    with pytest.raises(ValueError, match="they go to disk"):
        ctr.Container(image, upper="disk", upper_size="16M")
    script = "head -c 4000000 /dev/zero 2>/dev/null > /x || echo full"
    line = [sys.executable, "-m", "ctr", "run", "--upper-size", "2M", str(image), "--", "sh", "-c", script]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    # Before Linux 6.6 the changes of an ordinary user's containers are on disk always.
    assert done.stdout == "full\n" or "Linux 6.6" in done.stderr, done


@LIMITS
def test_limits_of_every_kind_are_keywords_and_change_live() -> None:
    with ctr.Container(memory="64M", memory_low="16M", swap="8M", cpu_weight=50, cpuset="0") as c:
        assert (c.limit("memory_low"), c.limit("swap"), c.limit("cpu_weight")) == (16 << 20, 8 << 20, 50)
        assert c.limit("cpuset") == "0"
        assert c.run(["nproc"], capture_output=True, text=True).stdout == "1\n"
        c.set_limit("swap", 0)
        c.set_limit("cpu_weight", 200)
        limits = c.limits()
        assert (limits.swap.own, limits.cpu_weight, limits.cpuset) == (0, (200, 200), ("0", "0"))
        assert (limits.io.own, limits.hugetlb.own) == (None, None)
        c.set_limit("cpuset", None)
        for which, bad in (
            ("cpu_weight", 0),
            ("cpuset", "9-8"),
            ("cpuset", ""),
            ("io", {"/dev/null": {"rbps": 1}}),
            ("swap", "x"),
        ):
            with pytest.raises(ctr.Error):
                c.set_limit(which, bad)  # type: ignore[arg-type]
        for which, odd in (("cpuset", 0), ("io", "8:0 rbps=1"), ("io", 5), ("hugetlb", "2M=0"), ("cpu_weight", 0.5)):
            with pytest.raises(TypeError):
                c.set_limit(which, odd)  # type: ignore[arg-type]
    for options in ({"io": {"/dev/sda": {"speed": 1}}}, {"io": ["/dev/sda"]}, {"hugetlb": ["2M"]}):
        with pytest.raises(ValueError, match="/dev/sda|2M"):
            ctr.Container(**options)


@LIMITS
def test_rates_of_a_disk_are_a_dict(tmp_path: Path) -> None:
    rates: Mapping[str, int | str | None] = {"rbps": "1M", "wiops": 100}
    wanted: Mapping[str | bytes | os.PathLike[str] | os.PathLike[bytes], Mapping[str, int | str | None]]
    wanted = {Path.cwd(): rates}
    try:
        made = ctr.Container(io=wanted)
    except ctr.Error as error:
        pytest.skip(str(error))
    with made as c:
        told = c.limit("io")
        assert isinstance(told, dict)
        ((device, kept),) = told.items()
        assert kept == {"rbps": 1 << 20, "wiops": 100}
        c.set_limit("io", {device: {"rbps": None, "wbps": "2M"}})
        assert c.limit("io") == {device: {"wbps": 2 << 20}}
        assert c.limits().io.effective == {device: {"wbps": 2 << 20}}
        c.set_limit("io", {})
        assert c.limit("io") is None


@LIMITS
def test_the_command_line_tells_limits_and_changes_them() -> None:
    def libctr(*words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "ctr", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(name: str) -> dict[str, list[str]]:
        lines = libctr("limits", name).splitlines()
        assert lines[0].split() == ["LIMIT", "OWN", "EFFECTIVE"]
        return {line.split()[0]: line.split()[1:] for line in lines[1:]}

    name = f"ctr-limits-{uuid.uuid4().hex[:8]}"
    libctr(
        "run", "-d", "--name", name, "-m", "64M", "--cpu-weight", "50", "--cpuset-cpus", "0", "host", "sleep", "1000"
    )
    try:
        told = rows(name)
        assert (told["memory"], told["swap"], told["cpu_weight"], told["cpuset"]) == (
            ["64M"] * 2,
            ["0"] * 2,
            ["50"] * 2,
            ["0"] * 2,
        )
        assert set(told) == {*ctr.Limits._fields, "upper_size", "upper_inodes"}
        libctr("update", "-m", "96M", "--cpus", "0.5", "--swap", "1M", "--pids-limit", "30", name)
        told = rows(name)
        assert (told["memory"][0], told["cpus"][0], told["swap"][0], told["pids"][0]) == ("96M", "0.5", "1M", "30")
        libctr("update", name, "--memory", "unlimited", "--cpus", "-1", "--cpuset-cpus", "unlimited")
        told = rows(name)
        assert (told["memory"][0], told["cpus"][0], told["swap"][0]) == ("-", "-", "-")
        for words, said in (
            (["--cpu-weight", "0"], "10000"),
            ([], "which limit"),
            (["--cpuset", "9-8"], "9-8"),
            (["--lifetime", "5"], "run has it"),
            (["--cpus", "half"], "--cpus: invalid float value: 'half'"),
            (["--pids", "few"], "--pids/--pids-limit: invalid int value: 'few'"),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "ctr", "update", *words, name], capture_output=True, text=True, check=False
            )
            assert (done.returncode, said in done.stderr) == (125, True), done
    finally:
        libctr("rm", name)


@pytest.mark.parametrize(
    ("limit", "reason"), [({"lifetime": 3.0}, "timed out"), ({"cpu_time": 0.5}, "out of cpu time")]
)
def test_a_container_ends_by_itself(limit: dict[str, float], reason: str) -> None:
    with ctr.Container("host", **limit) as c:  # type: ignore[arg-type]
        assert c.end_reason is None
        assert c.inspect()["limits"].items() >= limit.items()
        with c.watch("end") as watch:
            done = c.run("(setsid sh -c 'while :; do :; done' &) ; sleep 1000", shell=True)
            assert (done.exit.reason, done.returncode) == (reason, -9)
            assert [(event.kind, event.reason) for event in watch] == [("end", reason)]
        assert c.end_reason == reason
        assert not c.running
        with pytest.raises(ProcessLookupError, match="it has ended"):
            c.run(["true"])
    with pytest.raises(TypeError, match="a number of seconds"):
        ctr.Container("host", **dict.fromkeys(limit, "5"))
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="0 is no time|more than 0, not -1"):
            ctr.Container("host", **dict.fromkeys(limit, wrong))


def test_the_size_of_changes_is_set_while_it_runs() -> None:
    with ctr.Container("host", upper_size="4M", upper_inodes=500) as c:
        assert (c.limit("upper_size"), c.limit("upper_inodes")) == (4 << 20, 500)
        fill = ["dd", "if=/dev/zero", "of=/tmp/file", "bs=1M", "count=6"]
        assert c.run(fill, stderr=ctr.DEVNULL).returncode == 1
        c.set_limit("upper_size", "16M")
        assert c.run(fill, stderr=ctr.DEVNULL).returncode == 0
        with pytest.raises(ctr.Error, match="EBUSY"):
            c.set_limit("upper_size", "2M")
        with pytest.raises(ValueError, match="the smallest is 1048576"):
            c.set_limit("upper_size", "1K")
        libctr = [sys.executable, "-m", "ctr"]
        subprocess.run([*libctr, "update", "--upper-size", "32M", "--upper-inodes", "700", c.name], check=True)
        told = subprocess.run([*libctr, "limits", c.name], capture_output=True, text=True, check=True).stdout
        lines = [line.split() for line in told.splitlines()]
        assert ["upper_size", "32M", "32M"] in lines
        assert ["upper_inodes", "700", "700"] in lines
        c.set_limit("upper_size", None)
        assert c.limit("upper_size") != 32 << 20


@LIMITS
def test_no_limit_can_be_said_wherever_one_is_set() -> None:
    with ctr.Container(
        preset="strict", memory="unlimited", cpus="unlimited", io="unlimited", upper_size="unlimited"
    ) as c:
        assert (c.memory_limit, c.pids_limit, c.cpu_limit) == (None, 128, None)
        c.set_limit("pids", "unlimited")
        c.memory_limit = "64M"
        c.memory_limit = "unlimited"
        assert (c.memory_limit, c.pids_limit) == (None, None)
    for typed in ("unlimited", "-1"):
        name = f"ctr-test-{uuid.uuid4().hex[:8]}"
        words = [
            "run",
            "-d",
            "--name",
            name,
            "--preset",
            "strict",
            "--pids",
            typed,
            "-m",
            typed,
            "--cpus",
            typed,
            "host",
            "sleep",
            "60",
        ]
        subprocess.run([sys.executable, "-m", "ctr", *words], check=True, capture_output=True)
        with ctr.join(name) as c:
            assert (c.memory_limit, c.pids_limit) == (None, None)
        ctr.destroy(name)
    with pytest.raises(ctr.Error, match="unlimitted"):
        ctr.Container(memory="unlimitted")
