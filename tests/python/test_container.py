"""`ctr.Container` from its making to its end, and the other ways to get one."""

from __future__ import annotations

import copy
import errno
import gc
import json
import math
import os
import pickle
import re
import select
import signal
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

import ctr
from ctr import DEVNULL, PIPE
from lanes import CAN_LIMIT, LIMITS


def shown(c: ctr.Container, script: str) -> str:
    """What a shell inside prints."""
    done = c.run(script, shell=True, stdout=PIPE, text=True, check=True)
    return str(done.stdout)


def exists(pid: int) -> bool:
    """Whether a process of the host runs; one that ended and waits to be reaped does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def names() -> list[str]:
    """The containers that run."""
    return [info.name for info in ctr.containers()]


def test_a_block_makes_a_container_and_ends_it() -> None:
    with ctr.Container() as c:
        pid = c.pid
        assert c.running
        assert exists(pid)
        assert c.name in names()
        assert c.name in repr(c)
    assert not c.running
    assert not exists(pid)
    assert c.name not in names()


def test_every_namespace_but_time_is_its_own() -> None:
    with ctr.Container() as c:
        kinds = ("mnt", "pid", "user", "uts", "ipc", "cgroup", "net", "time")
        inside = shown(c, " ".join(["for k in", *kinds, "; do readlink /proc/self/ns/$k; done"])).split()
        same = {kind for kind, link in zip(kinds, inside) if link == os.readlink(f"/proc/self/ns/{kind}")}
        assert same <= {"time", "cgroup"}
        assert "time" in same


@pytest.mark.parametrize("kind", ["uts", "ipc", "net"])
def test_a_namespace_can_be_the_hosts(kind: str) -> None:
    with ctr.Container(namespaces={kind: "host"}) as c:
        assert shown(c, f"readlink /proc/self/ns/{kind}").strip() == os.readlink(f"/proc/self/ns/{kind}")


def test_a_namespace_can_be_another_containers() -> None:
    with ctr.Container() as first:
        net = shown(first, "readlink /proc/self/ns/net")
        with ctr.Container(network=f"container:{first.name}") as second:
            assert shown(second, "readlink /proc/self/ns/net") == net
        with ctr.Container(namespaces={"net": first}) as third:
            assert shown(third, "readlink /proc/self/ns/net") == net


def test_changes_stay_inside_and_are_gone_afterwards() -> None:
    mark = f"/tmp/{uuid.uuid4().hex}"
    with ctr.Container() as c:
        assert shown(c, f"echo here > {mark}; cat {mark}") == "here\n"
        assert not Path(mark).exists()
    with ctr.Container() as c:
        assert c.run(["test", "-e", mark]).returncode == 1


def test_hostname_environment_and_mounts_are_as_asked(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "f").write_text("data\n")
    (tmp_path / "w").mkdir()
    (tmp_path / "w").chmod(0o777)
    with ctr.Container(
        hostname="inside",
        env={"A": "1"},
        mounts=[
            (tmp_path, "/data", "ro"),
            ctr.Bind(tmp_path / "w", "/writable"),
            ctr.Tmpfs("/scratch", size="1M", mode=0o700),
        ],
    ) as c:
        assert shown(c, "hostname; echo $A; cat /data/f") == "inside\n1\ndata\n"
        assert c.run(["touch", "/data/g"], stderr=DEVNULL).returncode != 0
        assert c.run(["touch", "/writable/g"]).returncode == 0
        assert (tmp_path / "w" / "g").exists()
        assert shown(c, "stat -c %a /scratch; stat -f -c %T /scratch") == "700\ntmpfs\n"
        assert c.run("head -c 2000000 /dev/zero > /scratch/f", shell=True, stderr=DEVNULL).returncode != 0


def test_a_read_only_root_can_not_be_written() -> None:
    with ctr.Container(read_only=True) as c:
        done = c.run(["touch", "/usr/new"], stderr=PIPE, text=True)
        assert done.returncode != 0
        assert "Read-only" in done.stderr


def test_a_tarball_is_an_image(tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("hello from the tarball\n")
    archive = tmp_path / "image.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "hello", "hello")
    binds = [(path, path, "ro") for path in ("/bin", "/lib", "/lib64", "/usr") if os.path.exists(path)]
    with ctr.Container(archive, mounts=binds) as c:
        assert shown(c, "cat /hello; echo more >> /hello; wc -l < /hello") == "hello from the tarball\n2\n"
    with ctr.Container(archive, mounts=binds) as c:
        assert shown(c, "wc -l < /hello") == "1\n"


def test_a_directory_is_an_image_and_is_not_written_to(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    tmp_path.chmod(0o755)
    (root / "hello").write_text("hello\n")
    binds = [(path, path, "ro") for path in ("/bin", "/lib", "/lib64", "/usr") if os.path.exists(path)]
    with ctr.Container(root, mounts=binds) as c:
        assert shown(c, "cat /hello; echo more >> /hello; cat /hello") == "hello\nhello\nmore\n"
    assert (root / "hello").read_text() == "hello\n"


@LIMITS
def test_the_memory_limit_is_set_read_and_lifted_live() -> None:
    with ctr.Container(memory="64M") as c:
        assert c.memory_limit == 64 << 20
        c.memory_limit = "128M"
        assert c.memory_limit == 128 << 20
        c.memory_limit = 32 << 20
        assert c.memory_limit == 32 << 20
        assert 0 < c.memory_usage <= c.memory_peak
        c.memory_limit = None
        assert c.memory_limit is None


@LIMITS
def test_the_processor_limit_is_set_read_and_lifted_live() -> None:
    with ctr.Container(cpus=0.5, pids=50) as c:
        assert c.cpu_limit == 0.5
        c.cpu_limit = 1.25
        assert (c.cpu_limit, c.limit("cpus")) == (1.25, 1.25)
        c.cpu_limit = None
        assert c.cpu_limit is None
        c.set_limit("memory", "64M")
        c.set_limit("pids", 40)
        assert (c.memory_limit, c.pids_limit, c.limit("pids")) == (64 << 20, 40, 40)
        for unknown, said in (("mem", "there are memory, .*, cpuset, "), ("lifetime", "when the container is made")):
            with pytest.raises(ValueError, match=said):
                c.set_limit(unknown, "1M")  # type: ignore[arg-type]
            with pytest.raises(ValueError, match=said):
                c.limit(unknown)  # type: ignore[call-overload]
    for bad, error in (
        ("1", TypeError),
        (True, TypeError),
        (0.001, ctr.Error),
        (-1, ctr.Error),
        (float("nan"), ctr.Error),
    ):
        with pytest.raises(error):
            ctr.Container(cpus=bad)  # type: ignore[arg-type]


@LIMITS
def test_a_program_that_takes_too_much_memory_ends_for_that_reason() -> None:
    with ctr.Container(memory="16M") as c:
        done = c.run(["sh", "-c", "exec tail /dev/zero"], stderr=DEVNULL)
        assert (done.returncode, done.exit.reason) == (-signal.SIGKILL, "out of memory")
        assert c.run(["true"]).returncode == 0


@LIMITS
def test_the_pids_limit_is_set_read_and_lifted_live() -> None:
    with ctr.Container(pids=20) as c:
        assert c.pids_limit == 20
        c.pids_limit = 10
        assert c.pids_limit == 10
        done = c.run("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; wait", shell=True, stderr=PIPE, text=True)
        assert "fork" in done.stderr.lower()
        c.pids_limit = None
        assert c.pids_limit is None


def test_destroy_ends_what_runs_and_may_be_called_again() -> None:
    c = ctr.Container()
    p = c.popen(["sleep", "1000"])
    c.destroy()
    assert p.wait(60) == -signal.SIGKILL
    assert p.exit is not None
    assert p.exit.reason == "destroyed"
    c.destroy()
    c.close()
    c.destroy()
    assert not c.running


def test_a_destroyed_container_says_so() -> None:
    c = ctr.Container()
    c.destroy()
    uses: list[Callable[[], object]] = [
        lambda: c.run(["true"]),
        lambda: c.popen(["true"]),
        lambda: setattr(c, "memory_limit", "64M"),
        lambda: setattr(c, "pids_limit", 5),
    ]
    for use in uses:
        with pytest.raises(ctr.Error) as caught:
            use()
        assert caught.value.code == -5
        assert "destroyed" in str(caught.value)


def test_a_closed_handle_says_so() -> None:
    with ctr.Container() as c:
        handle = ctr.join(c.name)
        handle.close()
        handle.close()
        with pytest.raises(ctr.Error, match="closed"):
            handle.run(["true"])
        assert not handle.running
        assert c.running


def test_a_dropped_container_ends() -> None:
    c = ctr.Container()
    pid = c.pid
    del c
    gc.collect()
    assert not exists(pid)


def test_a_container_whose_first_process_was_killed_has_ended() -> None:
    with ctr.Container() as c:
        p = c.popen(["sleep", "1000"])
        poller = select.poll()
        poller.register(c, select.POLLIN)
        assert poller.poll(0) == []
        os.kill(c.pid, signal.SIGKILL)
        assert poller.poll(60_000)
        assert p.wait(60) == -signal.SIGKILL
        assert p.exit is not None
        assert p.exit.reason == "destroyed"
        assert not c.running
        with pytest.raises(ctr.Error):
            c.run(["true"])
        assert c.name not in names()


@LIMITS
def test_join_by_name_is_as_good_as_making_it() -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    with ctr.Container(name=name, memory="64M") as c, ctr.join(name) as joined:
        assert (joined.name, joined.pid) == (name, c.pid)
        c.run("echo shared > /tmp/f", shell=True)
        assert shown(joined, "cat /tmp/f") == "shared\n"
        joined.memory_limit = "96M"
        assert c.memory_limit == 96 << 20
        joined.close()
        assert c.running
        with ctr.join(name) as again:
            again.destroy()
        assert not c.running


def test_join_works_from_another_process() -> None:
    with ctr.Container() as c:
        c.run("echo shared > /tmp/f", shell=True)
        script = f"import ctr; print(ctr.join({c.name!r}).run(['cat', '/tmp/f'], capture_output=True).stdout)"
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert other.stdout == "b'shared\\n'\n"
        assert c.running


def test_join_by_pid_enters_the_namespaces_of_any_process() -> None:
    with ctr.Container(hostname="joined") as c:
        p = c.popen(["sleep", "1000"])
        with ctr.join(p.pid) as joined:
            assert joined.name == ""
            assert shown(joined, "hostname") == "joined\n"
            with pytest.raises(ctr.Error, match=rf"limit container pid {p.pid}: only a container has a cgroup"):
                joined.memory_limit = "64M"
        assert p.poll() is None
        with ctr.join(c.pid, namespaces=["user", "uts"]) as joined:
            assert shown(joined, "hostname") == "joined\n"
            inside = shown(joined, "readlink /proc/self/ns/net").strip()
            assert inside == os.readlink("/proc/self/ns/net")
        p.kill()
        p.wait()


def test_join_of_what_is_not_there_is_a_lookup_error_by_name() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-container"):
        ctr.join("no-such-container")
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(ProcessLookupError, match=str(gone.pid)):
        ctr.join(gone.pid)
    with pytest.raises(TypeError, match="only when a pid is joined"):
        ctr.join("name", namespaces=["net"])


def test_containers_tells_what_runs() -> None:
    before = time.time()
    with ctr.Container(name="first") as first, ctr.Container(name="second", detached=True) as second:
        try:
            one, two = (info for info in ctr.containers() if info.name in ("first", "second"))
            assert (one.name, one.image, one.pid, one.owner, one.detached) == (
                "first",
                "host",
                first.pid,
                os.getpid(),
                False,
            )
            assert (two.name, two.pid, two.detached) == ("second", second.pid, True)
            assert before - 1 <= one.created <= two.created <= time.time() + 1
        finally:
            second.destroy()


def test_a_detached_container_outlives_its_block_and_its_maker() -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    script = (
        "import ctr\n"
        f"with ctr.Container(name={name!r}, detached=True) as c:\n"
        "    c.run(['touch', '/tmp/mark'], check=True)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with ctr.join(name) as c:
        assert c.run(["test", "-e", "/tmp/mark"]).returncode == 0
        c.destroy()
    assert name not in names()


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(0)", "sys.exit()", "os.execvp('true', ['true'])"])
def test_a_container_ends_with_its_maker_however_that_ends(end: str) -> None:
    script = f"import ctr, os, sys\nc = ctr.Container()\nprint(c.pid, c.name, flush=True)\n{end}\n"
    maker = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    pid, name = maker.stdout.split()
    deadline = time.monotonic() + 60
    while exists(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not exists(int(pid))
    assert name not in names()


def test_a_name_in_use_is_refused_by_name() -> None:
    with ctr.Container(name="taken"), pytest.raises(FileExistsError, match="taken"):
        ctr.Container(name="taken")
    with ctr.Container(name="taken"):
        pass


def test_the_state_directory_can_be_chosen(tmp_path: Path) -> None:
    with ctr.Container(name="elsewhere", state_dir=tmp_path / "state"):
        assert "elsewhere" not in names()
        assert [info.name for info in ctr.containers(state_dir=tmp_path / "state")] == ["elsewhere"]
        with ctr.join("elsewhere", state_dir=tmp_path / "state") as c:
            assert shown(c, "echo joined") == "joined\n"


def test_a_container_whose_record_is_damaged_is_ended_by_its_name(tmp_path: Path) -> None:
    state = tmp_path / "state"
    c = ctr.Container(name="damaged", state_dir=state, detached=True)
    (state / "damaged.json").write_text("garbage")
    with pytest.raises(ctr.Error, match="its record is damaged"):
        ctr.join("damaged", state_dir=state)
    with pytest.raises(ctr.Error, match="no container of this name") as told:
        ctr.destroy("damaged")
    assert told.value.errno == errno.ENOENT
    ctr.destroy("damaged", state_dir=state)
    assert not c.running
    assert [path.name for path in state.glob("damaged*")] == ["damaged.json.damaged"]
    with pytest.raises(ctr.Error, match="no container of this name"):
        ctr.destroy("damaged", state_dir=state)


def test_explain_tells_each_wall_as_a_shell_command() -> None:
    text = ctr.explain(memory="64M", cgroup="optional", hostname="told")
    for word in ("unshare", "mount", "pivot_root", "told", *(["67108864"] if CAN_LIMIT else [])):
        assert word in text
    with ctr.Container(hostname="told") as c:
        assert "pivot_root" in c.explain()
    assert names() == []


def test_every_wall_is_told_with_its_reason() -> None:
    with ctr.Container(seccomp="unconfined", read_only=True, masked_paths=False, landlock=False) as c:
        walls = {wall.name: wall for wall in c.walls()}
        assert [walls[name].state for name in ("masked paths", "read-only paths", "Landlock")] == ["off"] * 3
        assert walls["Landlock"].why == "asked for: landlock = false"
        assert walls["seccomp"][1:] == ("off", "every system call is let through", "asked for: seccomp = unconfined")
        assert (walls["no_new_privs"].state, walls["no_new_privs"].why) == ("on", "preset default")
        assert ctr.join(c.name).walls() == c.walls()
        told = ctr.join(c.name).inspect()
        assert (told["name"], told["pid"], told["image"], told["network"]) == (c.name, c.pid, "host", "none")
        assert told["walls"] == [wall._asdict() for wall in c.walls()]
        assert abs(told["created"] - time.time()) < 3600
        assert any(mount["target"] == "/proc" for mount in told["mounts"])
        for wall in c.walls():
            assert f"#   {wall.name} " in c.explain()
    with pytest.raises(ctr.Error):
        c.walls()
    with ctr.Container(preset="privileged") as c:
        assert c.inspect()["warning"].startswith("PRIVILEGED")


def test_capabilities_are_those_asked_for() -> None:
    def effective(c: ctr.Container) -> int:
        return int(shown(c, "grep CapEff /proc/self/status").split()[1], 16)

    with ctr.Container() as c:
        assert effective(c) == 0xA80405FB
    with ctr.Container(capabilities=["chown", "CAP_KILL"]) as c:
        assert effective(c) == 1 | 1 << 5
    with ctr.Container(capabilities=[]) as c:
        assert effective(c) == 0


@LIMITS
def test_a_preset_is_a_set_of_walls() -> None:
    with ctr.Container(preset="strict") as c:
        assert c.run(["touch", "/new"], stderr=DEVNULL).returncode != 0
        assert c.run(["unshare", "--user", "true"], stderr=DEVNULL).returncode != 0
        assert c.memory_limit is not None
    with ctr.Container(preset="privileged") as c:
        assert "Seccomp:\t0\n" in shown(c, "cat /proc/self/status")
        assert c.run(["unshare", "--user", "true"]).returncode == 0


def test_seccomp_is_a_name_a_file_or_a_profile(tmp_path: Path) -> None:
    no_mkdir = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71}],
    }
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(no_mkdir))
    for seccomp in (no_mkdir, profile, str(profile)):
        with ctr.Container(seccomp=seccomp) as c:
            done = c.run(["mkdir", "/tmp/d"], stderr=PIPE, text=True)
            assert "Protocol error" in done.stderr
    with ctr.Container(seccomp="unconfined") as c:
        assert c.run(["unshare", "--user", "true"]).returncode == 0
    with ctr.Container() as c:
        assert c.run(["unshare", "--user", "true"], stderr=DEVNULL).returncode == 1
    with ctr.Container(seccomp_refusal="kill-process") as c:
        assert c.run(["unshare", "--user", "true"]).returncode == -signal.SIGSYS
    with ctr.Container(seccomp_refusal=71) as c:
        assert "Protocol error" in c.run(["unshare", "--user", "true"], stderr=PIPE, text=True).stderr
    with pytest.raises(ctr.Error, match="no-such-profile"):
        ctr.Container(seccomp="/no-such-profile.json")


def test_limits_of_processes_and_kernel_parameters_are_as_asked() -> None:
    with ctr.Container(
        rlimits={"nofile": (100, 200), "core": 0}, sysctls={"net.ipv4.ip_unprivileged_port_start": 80}
    ) as c:
        assert shown(c, "ulimit -Sn; ulimit -Hn; ulimit -c").split() == ["100", "200", "0"]
        assert shown(c, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start") == "80\n"
    with pytest.raises(ctr.Error, match="no-such-limit"):
        ctr.Container(rlimits={"no-such-limit": 1})


def test_limits_that_count_bytes_are_sizes_too() -> None:
    with ctr.Container(rlimits={"fsize": ("512k", "1M"), "RLIMIT_STACK": ("8M", None), "nofile": "64"}) as c:
        # In blocks of 512 bytes, POSIX.
        assert shown(c, "ulimit -Sf; ulimit -Hf; ulimit -Ss; ulimit -Hs; ulimit -n").split() == [
            "1024",
            "2048",
            "8192",
            "unlimited",
            "64",
        ]
        assert shown(c, "head -c 2M /dev/zero > /tmp/x; stat -c %s /tmp/x") == f"{512 << 10}\n"
    for name, value in (("fsize", "1X"), ("fsize", "M"), ("as", "-1M")):
        with pytest.raises(ctr.Error, match=f"set {name} limit '{value}'") as refused:
            ctr.Container(rlimits={name: value})
        assert "64M" in refused.value.hint
    with pytest.raises(TypeError, match="rlimits: nofile must be a number or None, not '1M'"):
        ctr.Container(rlimits={"nofile": "1M"})
    with pytest.raises(ctr.Error, match="core_pattern"):
        ctr.Container(sysctls={"kernel.core_pattern": "|/bin/sh"})


def test_a_clock_is_set_off_in_a_time_namespace() -> None:
    def uptime() -> float:
        return float(Path("/proc/uptime").read_text().split()[0])

    before = uptime()
    with ctr.Container(namespaces={"time": "new"}, time_offsets={"boottime": 86400.25, "monotonic": -0.5}) as c:
        inside = float(shown(c, "cat /proc/uptime").split()[0])
        assert before + 86400.2 < inside < uptime() + 86400.3
        assert (
            shown(c, "cat /proc/self/timens_offsets").split()
            == "monotonic -1 500000000 boottime 86400 250000000".split()
        )
    for wrong, error in (
        ({"boottime": 1.0}, "time namespace"),
        ({"boottime": math.inf}, "boottime"),
        ({"sundial": 1}, "sundial"),
    ):
        with pytest.raises((ctr.Error, ValueError, TypeError), match=error):
            ctr.Container(time_offsets=wrong)
    with pytest.raises(ctr.Error, match="boot") as caught:
        ctr.Container(namespaces={"time": "new"}, time_offsets={"boottime": -uptime() - 3600})
    assert caught.value.errno == errno.ERANGE


def test_a_device_is_given_and_a_list_says_which_can_be_opened() -> None:
    with ctr.Container(devices=["/dev/zero:/dev/given/zero:rw", "c 1:11 r"]) as c:
        assert shown(c, "head -c 2 /dev/given/zero | wc -c") == "2\n"
        plan = c.explain()
        assert "/dev/given/zero" in plan
        assert "c 1:11 r" in plan or "only root of the machine" in plan
    with ctr.Container(devices="/dev/null:/dev/one", device_list="off") as c:
        assert c.run(["test", "-c", "/dev/one"]).returncode == 0
    if os.geteuid() != 0:
        with pytest.raises(ctr.Error, match="list the devices"):
            ctr.Container(device_list="required")
    for wrong in ("/etc/passwd", "c 1:3 x", "/dev/null:/dev/n:q"):
        with pytest.raises(ctr.Error):
            ctr.Container(devices=[wrong])
    with pytest.raises(ValueError, match="sometimes"):
        ctr.Container(device_list="sometimes")  # type: ignore[arg-type]


def test_a_label_of_a_security_module_is_given_refused_or_left_out() -> None:
    active = next(check.says for check in ctr.probe() if check.name == "security modules")
    for module, options in (
        ("AppArmor", {"apparmor": "ctr-no-such-profile"}),
        ("SELinux", {"selinux": "a:b:c:s0"}),
        ("SELinux", {"selinux_mounts": "a:b:c:s0"}),
    ):
        with pytest.raises(ctr.Error, match=module) as caught:
            ctr.Container(**options)  # type: ignore[arg-type]
        assert caught.value.hint
        if module.lower() not in active:
            with ctr.Container(labels_optional=True, **options) as c:  # type: ignore[arg-type]
                assert c.run(["true"]).returncode == 0


def test_no_cgroup_is_made_when_none_is_wanted() -> None:
    with ctr.Container(cgroup="off") as c:
        assert c.run(["true"]).returncode == 0
        with pytest.raises(ctr.Error):
            c.memory_limit = "64M"


def test_threads_make_use_and_end_containers_at_once() -> None:
    failures: list[BaseException] = []

    def lives() -> None:
        try:
            for _ in range(10):
                with ctr.Container(memory="64M", cgroup="optional") as c:
                    assert c.run(["echo", "x"], capture_output=True).stdout == b"x\n"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=lives) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert names() == []


def test_destroy_while_other_threads_run_programs_ends_them_all() -> None:
    c = ctr.Container()
    reasons: list[object] = []

    def run() -> None:
        while True:
            try:
                reasons.append(c.run(["sleep", "1000"], timeout=120).exit.reason)
            except ctr.Error as error:
                reasons.append(error.code)
                return

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(shown(c, "cat /proc/[0-9]*/comm").split("sleep")) < 5:
        pass
    c.destroy()
    for thread in threads:
        thread.join(60)
    assert reasons.count("destroyed") == 4
    assert set(reasons) == {"destroyed", -5}


def test_a_hundred_lives_leave_no_descriptor(fds: set[int]) -> None:
    for _ in range(100):
        with ctr.Container() as c:
            c.run(["true"])


def test_capabilities_are_added_and_dropped_by_name_as_docker_does_it() -> None:
    def mask(**options: object) -> int:
        with ctr.Container(**options) as c:  # type: ignore[arg-type]
            status = c.run(["grep", "CapBnd", "/proc/self/status"], stdout=PIPE, text=True).stdout
        return int(status.split()[1], 16)

    usual = mask()
    assert mask(cap_add=["NET_ADMIN"], cap_drop=["cap_mknod"]) == (usual | 1 << 12) & ~(1 << 27)
    assert mask(cap_drop=["ALL"], cap_add=["chown"]) == 1
    assert mask(capabilities=[], cap_add=["CHOWN", "KILL"]) == 1 | 1 << 5
    said = ctr.explain(cap_drop=["ALL"], cap_add=["chown"])
    assert re.search(r"1 of \d+ are kept, over its own namespaces only: CHOWN; asked for: capabilities", said)
    with pytest.raises(ValueError, match="SYS_ADMN"):
        mask(cap_add=["SYS_ADMN"])
    with pytest.raises(ValueError, match="added and dropped"):
        mask(cap_add=["KILL"], cap_drop=["KILL"])


def test_a_limit_under_a_name_that_there_is_not_is_an_error(c: ctr.Container) -> None:
    with pytest.raises(AttributeError, match="memory_limt"):
        c.memory_limt = "64M"  # type: ignore[attr-defined]


def test_a_handle_says_what_it_is_and_is_not_copied() -> None:
    with ctr.Container(name="shown") as c:
        assert repr(c) == "<ctr.Container 'shown'>"
        p = c.popen(["true"])
        p.wait()
        for take in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=r"send its name, and there ctr\.join\(name\)"):
                take(c)
            with pytest.raises(TypeError, match="Popen can't be pickled or copied"):
                take(p)
    assert repr(c) == "<ctr.Container 'shown' (ended)>"
    kept = ctr.Container(name="kept", detached=True)
    kept.close()
    assert repr(kept) == "<ctr.Container 'kept' (closed)>"
    joined = ctr.join("kept")
    joined.destroy()
    assert repr(joined) == "<ctr.Container 'kept' (ended)>"


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"name": 5}, TypeError, "name: "),
        ({"preset": "paranoid"}, ValueError, 'unknown preset: "paranoid"; there are default, strict, privileged'),
        ({"cgroup": "maybe"}, ValueError, "there are auto, required, optional, off"),
        ({"upper": "cloud"}, ValueError, "there are memory, disk"),
        ({"directory": "x"}, ValueError, "there are lower, direct"),
        ({"seccomp_refusal": "shout"}, ValueError, "there are errno, kill-process"),
        ({"rlimits": {"nofile": "x"}}, TypeError, "rlimits: "),
        ({"hostname": "x" * 65}, ValueError, "longer than 64 bytes"),
        ({"network": "/etc/passwd"}, ValueError, "/etc/passwd: it is no net namespace"),
        ({"namespaces": {"uts": "/proc/self/ns/net"}}, ValueError, "it is no uts namespace"),
        ({"sysctls": {"net.ipv4.no_such": 1}}, FileNotFoundError, "net.ipv4.no_such"),
        ({"mounts": [("/etc/passwd", "/etc")]}, OSError, "a file onto a file"),
        ({"mounts": [("/no/such", "/x")]}, FileNotFoundError, "has to exist on the host"),
    ],
)
def test_a_keyword_of_no_use_is_named(options: dict[str, object], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        ctr.Container(**options)  # type: ignore[arg-type]
    assert words in str(caught.value)
