"""Types of arguments. They are there at run time too, for `typing.get_type_hints`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, TypedDict, Union

from ._options import Bind, Disk, ImageTree, Scratch, Tmpfs
from ._volumes import Volume

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._progress import OnProgress
elif sys.version_info >= (3, 11):
    from typing import Self, Unpack
else:
    # What is written with these can't be evaluated there.
    Self, Unpack = Any, Any

if not TYPE_CHECKING:
    # Of a Progress, which is in a file that is loaded with the first image.
    OnProgress = Union[Callable[[Any], object], bool]

__all__ = ["OnProgress", "Self", "Unpack"]

Path = Union[str, bytes, PathLike[str], PathLike[bytes]]
Files = Union[Mapping[Any, Path], Iterable[Union[tuple[Path, Path], str]]]
Size = Union[int, str]
Unlimited = Literal["unlimited"]
Argv = Union[Path, Sequence[Path]]
Environment = Union[Mapping[str, str], Mapping[bytes, bytes], Mapping[str, Path]]
Stream = Union[None, int, IO[Any]]
Fds = Union[Iterable[int], Mapping[int, int]]
Pty = Union[bool, tuple[int, int]]
User = Union[str, int, None]
Mount = Union[
    Bind,
    Disk,
    Scratch,
    Tmpfs,
    Volume,
    ImageTree,
    str,
    tuple[Union[Path, Volume], Path],
    tuple[Union[Path, Volume], Path, str],
]
Mounts = Iterable[Mount]
Port = Union[int, str, tuple[str, int]]
Ports = Union[Mapping[Port, Port], Iterable[Union[tuple[Port, Port], str]]]
Seccomp = Union[str, PathLike[str], Mapping[str, Any]]
Refusal = Union[int, str, tuple[str, int]]
Io = Union[Mapping[Path, Mapping[str, Union[Size, None]]], Iterable[str]]
Hugetlb = Union[Mapping[Size, Union[Size, None]], Iterable[str]]
Rlimit = Union[None, Size, tuple[Union[Size, None], Union[Size, None]]]


class Reads(Protocol):
    """A binary file to read from."""

    def read(self, size: int, /) -> bytes | None: ...


class Writes(Protocol):
    """A binary file to write to."""

    def write(self, data: bytes, /) -> object: ...


class AnImage(Protocol):
    """A `ctr.Image`."""

    @property
    def digest(self) -> str: ...
    @property
    def store_dir(self) -> Path | None: ...


class AContainer(Protocol):
    """A `ctr.Container`."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...


Readable = Union[Path, int, Reads]
Writable = Union[Path, int, Writes]
ImageSource = Union[Path, AnImage]
Namespace = Union[str, int, PathLike[str], AContainer]


class PopenOptions(TypedDict, total=False):
    """The keywords of `Container.popen` but for those that say whether pipes carry text."""

    bufsize: int | None
    executable: Path | None
    stdin: Stream
    stdout: Stream
    stderr: Stream
    preexec_fn: None
    close_fds: bool | None
    shell: bool
    cwd: Path | None
    env: Environment | None
    startupinfo: None
    creationflags: int
    restore_signals: bool | None
    start_new_session: bool
    pass_fds: Fds
    user: User
    group: User
    extra_groups: Iterable[str | int] | None
    umask: int
    pipesize: int
    process_group: int | None
    extra_env: Environment | None
    pty: Pty
    time_limit: float | None
    cpu_time_limit: float | None
    start_timeout: float | None


class OfContainers(TypedDict, total=False):
    """The keywords of `ctr.Container` that mean the same to `ctr.run`.

    A new option is a line here, under its name in the core's `Config`.
    """

    name: str | None
    hostname: str | None
    domainname: str | None
    mounts: Mounts
    memory: Size | None
    memory_high: Size | None
    memory_low: Size | None
    swap: Size | None
    pids: int | Unlimited | None
    cpus: float | Unlimited | None
    cpu_weight: int | Unlimited | None
    cpuset: str | None
    cpuset_mems: str | None
    io: Io | Unlimited | None
    io_weight: int | Unlimited | None
    hugetlb: Hugetlb | Unlimited | None
    lifetime: float | None
    cpu_time: float | None
    network: Namespace | None
    ip: str | None
    aliases: Iterable[str]
    ports: Ports | None
    cgroup: Literal["auto", "required", "optional", "off"]
    cgroup_parent: Path | None
    namespaces: Mapping[str, Namespace] | None
    read_only: bool
    upper: Literal["memory", "disk"]
    upper_size: Size | None
    upper_inodes: int | Unlimited | None
    etc_files: bool
    directory: Literal["lower", "direct"]
    capabilities: Iterable[str] | int | None
    cap_add: Iterable[str]
    cap_drop: Iterable[str]
    new_privileges: bool
    masked_paths: bool | None
    landlock: bool | None
    preset: Literal["default", "strict", "privileged"]
    seccomp: Seccomp | None
    seccomp_refusal: Refusal | None
    rlimits: Mapping[str, Rlimit] | None
    sysctls: Mapping[str, str | int] | None
    time_offsets: Mapping[str, float] | None
    devices: Iterable[str]
    device_list: Literal["auto", "required", "off"]
    apparmor: str | None
    selinux: str | None
    selinux_mounts: str | None
    labels_optional: bool
    state_dir: Path | None
    store_dir: Path | None
    progress: OnProgress | None


class ContainerOptions(OfContainers, total=False):
    """The keywords of `ctr.Container`."""

    env: Environment | None
    detached: bool


class RunOptions(OfContainers, PopenOptions, total=False):
    """The keywords of `ctr.run` but for those that say whether pipes carry text."""
