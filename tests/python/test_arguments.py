"""What Python's side makes of its arguments, before any container is made."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys

import pytest

import ctr
from ctr._errors import from_native
from ctr._options import container_options, namespace_mask
from ctr._sizes import size
from ctr._spawn import argument_list, exec_options, terminal_size


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("64M", 64 << 20),
        ("64m", 64 << 20),
        ("64MiB", 64 << 20),
        ("64MB", 64 << 20),
        ("64 mb", 64 << 20),
        ("1g", 1 << 30),
        ("512k", 512 << 10),
        ("1.5G", 3 << 29),
        ("2T", 2 << 40),
        ("4096", 4096),
        ("10b", 10),
        (4096, 4096),
    ],
)
def test_a_size_is_bytes_or_a_number_with_a_binary_unit(text: str | int, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "M", "64X", "64MM", "-1", "-1M", "1e3", "0x10", "1.2.3M", ".M", "٣", "1_000"])
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="not a size") as caught:
        size(text, "memory")
    assert isinstance(caught.value, ctr.Error)
    assert repr(text) in str(caught.value)
    assert "64M" in caught.value.hint


@pytest.mark.parametrize("value", [1.5, True, b"64M", [1]])
def test_a_size_of_another_type_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="must be an int or a str"):
        size(value)


@pytest.mark.parametrize("limit", [-1, 1 << 64])
def test_a_limit_out_of_range_is_refused_by_name(limit: int) -> None:
    with pytest.raises(ctr.Error, match="set memory"):
        container_options(memory=limit)
    with pytest.raises(ctr.Error, match="set pids") as caught:
        container_options(pids=limit)
    assert (caught.value.step_id, caught.value.step, caught.value.object) == ("set-option", "set", f"pids {limit}")


def test_only_given_options_reach_the_core() -> None:
    assert container_options(name=None, memory=None, landlock=False) == {"landlock": False}
    assert exec_options() == {}


def test_a_mount_is_written_in_five_ways() -> None:
    options = container_options(
        mounts=[
            "/a:/b",
            "/a:/b:ro",
            ("/a", "/b"),
            ("/a", "/b", "ro"),
            ctr.Bind("/a", "/b", True),
            ctr.Tmpfs("/t", "1M"),
            ctr.Disk("/i", "/d", partition=2),
        ]
    )
    writable = ("bind", {"source": "/a", "target": "/b", "read_only": False})
    read_only = ("bind", {"source": "/a", "target": "/b", "read_only": True})
    assert options["mounts"] == [
        writable,
        read_only,
        writable,
        read_only,
        read_only,
        ("tmpfs", {"target": "/t", "size": 1 << 20, "mode": None}),
        (
            "disk",
            {"source": "/i", "target": "/d", "filesystem": None, "partition": 2, "read_only": True, "noexec": False},
        ),
    ]


@pytest.mark.parametrize("mount", ["/a", "/a:/b:rx", ("/a",), ("/a", "/b", "c", "d")])
def test_what_is_no_mount_is_a_value_error(mount: object) -> None:
    with pytest.raises(ValueError, match="a mount is"):
        container_options(mounts=[mount])


def test_a_relative_mount_source_is_relative_to_our_directory() -> None:
    options = container_options(mounts=[("data", "/data")])
    assert options["mounts"] == [("bind", {"source": os.path.abspath("data"), "target": "/data", "read_only": False})]


def test_capabilities_are_names_in_any_spelling() -> None:
    assert container_options(capabilities=["CAP_CHOWN", "net_bind_service"])["capabilities"] == 1 | 1 << 10
    assert container_options(capabilities=[])["capabilities"] == 0
    assert container_options(capabilities=["checkpoint_restore"])["capabilities"] == 1 << 40
    with pytest.raises(ValueError, match="unknown capability: 'CAP_FLY'"):
        container_options(capabilities=["CAP_FLY"])


def test_a_namespace_is_chosen_by_word_pid_path_or_container() -> None:
    chosen = container_options(
        namespaces={"uts": "host", "pid": "new", "ipc": 12, "net": "/proc/1/ns/net", "user": "container:web"}
    )["namespaces"]
    assert chosen == {
        "uts": "host",
        "pid": "new",
        "ipc": ("pid", 12),
        "net": ("path", "/proc/1/ns/net"),
        "user": ("container", "web"),
    }
    for network, read in (("none", "none"), ("host", "host"), ("container:web", ("container", "web")), (7, ("pid", 7))):
        assert container_options(network=network) == {"network": read}


def test_a_namespace_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown kind of namespace: 'mnt'"):
        container_options(namespaces={"mnt": "host"})
    with pytest.raises(ValueError, match=r'network is "none".* not \'net/bridge0\''):
        container_options(network="net/bridge0")
    assert container_options(network="bridge0") == {"network": ("named", "bridge0")}
    with pytest.raises(ValueError, match="may not both be used"):
        ctr.explain(network="host", namespaces={"net": "host"})
    with pytest.raises(ValueError, match="unknown kind"):
        namespace_mask(["nets"])


def test_arguments_are_read_as_subprocess_reads_them() -> None:
    assert argument_list("true") == ["true"]
    assert argument_list(("echo", b"a")) == ["echo", b"a"]
    assert argument_list("echo $HOME", shell=True) == ["/bin/sh", "-c", "echo $HOME"]
    assert argument_list(["echo $0", "a"], shell=True) == ["/bin/sh", "-c", "echo $0", "a"]


def test_env_is_the_whole_environment_and_extra_env_adds_to_it() -> None:
    assert exec_options(env={"A": "1"}) == {"clear_env": True, "env": [("A", "1")]}
    assert exec_options(env={}) == {"clear_env": True, "env": []}
    assert exec_options(extra_env={"A": "1"}) == {"env": [("A", "1")]}
    assert exec_options(env={"A": "1"}, extra_env={"B": "2"}) == {"clear_env": True, "env": [("A", "1"), ("B", "2")]}


@pytest.mark.parametrize("env", [{"A=B": "1"}, {"": "1"}, {"A\0": "1"}, {"A": "1\0"}])
def test_an_environment_that_the_kernel_could_not_hold_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="illegal environment variable name|embedded null byte"):
        exec_options(env=env)


def test_the_size_of_a_terminal_is_rows_and_columns() -> None:
    assert terminal_size((24, 80)) == (24, 80)
    assert terminal_size(os.terminal_size((80, 24))) == (24, 80)


def test_streams_beside_a_pty_are_refused() -> None:
    with pytest.raises(ValueError, match="a pty is stdin, stdout and stderr"):
        exec_options(pty=True, stdout=ctr.PIPE)


@pytest.mark.parametrize(
    ("number", "also"),
    [
        (errno.ENOENT, FileNotFoundError),
        (errno.EACCES, PermissionError),
        (errno.EPERM, PermissionError),
        (errno.ETIMEDOUT, TimeoutError),
        (errno.EEXIST, FileExistsError),
        (errno.ENOTDIR, NotADirectoryError),
        (errno.EISDIR, IsADirectoryError),
        (errno.ESRCH, ProcessLookupError),
        (errno.EINTR, InterruptedError),
        (errno.EPIPE, BrokenPipeError),
        (errno.EAGAIN, BlockingIOError),
        (errno.ECONNREFUSED, ConnectionRefusedError),
        (errno.ENOSPC, OSError),
    ],
)
def test_an_error_is_also_the_built_in_one_of_its_errno(number: int, also: type[OSError]) -> None:
    error = from_native(-1, number, "open /x: because (do that)", "open", "/x", "do that", "open-path")
    assert isinstance(error, ctr.Error)
    assert isinstance(error, also)
    assert (error.errno, error.step, error.object, error.hint) == (number, "open", "/x", "do that")
    assert error.step_id == "open-path"
    assert str(error) == "open /x: because (do that)"
    assert error.filename == "/x"
    assert getattr(ctr, type(error).__name__) is type(error)


def test_an_invalid_argument_is_also_a_value_error() -> None:
    assert isinstance(from_native(-2, errno.EINVAL, "s", "s", "o", ""), (ValueError, ctr.Error))


def test_an_error_survives_pickling() -> None:
    error = from_native(-3, errno.ENOENT, "open /x: gone", "open", "/x", "hint", "open-path")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert (copy.errno, str(copy), copy.filename) == (error.errno, str(error), error.filename)


def test_a_keyword_that_does_not_exist_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="preexec_fn"):
        ctr.Container(preexec_fn=None)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="memry"):
        ctr.run("host", ["true"], memry="1M")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="detached"):
        ctr.run("host", ["true"], detached=True)  # type: ignore[call-overload]


def test_import_loads_nothing_that_is_not_needed() -> None:
    script = "import sys; before = set(sys.modules); import ctr; print(sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "['ctr']"


def test_every_public_name_is_there() -> None:
    for name in ctr.__all__:
        assert getattr(ctr, name) is not None
        assert name in dir(ctr)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ctr.nothing  # noqa: B018


def test_what_is_no_list_or_mapping_is_a_type_error_that_says_so() -> None:
    for wrong, words in (
        ({"mounts": "/tmp:/x"}, "mounts must be a list"),
        ({"env": ["A=1"]}, "env must be a mapping"),
        ({"cap_add": "NET_ADMIN"}, "cap_add must be a list"),
    ):
        with pytest.raises(TypeError, match=words):
            container_options(**wrong)
    with pytest.raises(ValueError, match="a mount is"):
        container_options(mounts=[5])
    with pytest.raises(TypeError, match="env must be a mapping"):
        exec_options(env=["A=1"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="extra_groups must be a list"):
        exec_options(extra_groups="users")


@pytest.mark.parametrize("size", [5, (1,), (1, 2, 3), "80x24", (24, None)])
def test_a_terminal_of_no_size_is_refused(size: object) -> None:
    with pytest.raises(TypeError, match=r"pty must be True or \(rows, columns\)"):
        exec_options(pty=size)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="65535"):
        exec_options(pty=(-1, 80))
