"""Types of arguments, for type checkers only: nothing imports this file when a program runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, TypedDict, Union

if TYPE_CHECKING:
    from ._container import Container
    from ._image import Image, OnProgress
    from ._options import Bind, Tmpfs

Path = Union[str, bytes, PathLike[str], PathLike[bytes]]
ImageSource = Union[Path, "Image"]
Files = Union[Mapping[Any, Path], Iterable[Union[tuple[Path, Path], str]]]
Readable = Union[Path, int, "Reads"]
Writable = Union[Path, int, "Writes"]
Size = Union[int, str]
Argv = Union[Path, Sequence[Path]]
Environment = Union[Mapping[str, str], Mapping[bytes, bytes], Mapping[str, Path]]
Stream = Union[None, int, IO[Any]]
Fds = Union[Iterable[int], Mapping[int, int]]
Pty = Union[bool, tuple[int, int]]
Mounts = Iterable[Union["Bind", "Tmpfs", str, tuple[Path, Path], tuple[Path, Path, str]]]
Namespace = Union[str, int, PathLike[str], "Container"]
Seccomp = Union[str, PathLike[str], Mapping[str, Any]]
Refusal = Union[int, str, tuple[str, int]]
Rlimit = Union[None, int, tuple[Union[int, None], Union[int, None]]]


class Reads(Protocol):
    """A binary file to read from."""

    def read(self, size: int, /) -> bytes | None: ...


class Writes(Protocol):
    """A binary file to write to."""

    def write(self, data: bytes, /) -> object: ...


class _MoreOfContainers(TypedDict, total=False):
    name: str | None
    hostname: str | None
    cgroup: Literal["auto", "required", "optional", "off"]
    namespaces: Mapping[str, Namespace] | None
    read_only: bool
    upper: Literal["memory", "disk"]
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


class _MoreOfPopen(TypedDict, total=False):
    bufsize: int | None
    stdin: Stream
    stdout: Stream
    stderr: Stream
    shell: bool
    executable: Path | None
    extra_env: Environment | None
    universal_newlines: bool | None
    encoding: str | None
    errors: str | None
    group: str | int | None
    extra_groups: Iterable[str | int] | None
    umask: int
    close_fds: bool
    restore_signals: bool
    pass_fds: Fds
    start_new_session: bool
    process_group: int | None
    pipesize: int
    pty: Pty
    time_limit: float | None


class ContainerOptions(_MoreOfContainers, total=False):
    """The keywords of `ctr.Container`."""

    env: Environment | None
    mounts: Mounts
    memory: Size | None
    pids: int | None
    network: str | None
    detached: bool


class PopenOptions(_MoreOfPopen, total=False):
    """The keywords of `Container.popen`."""

    cwd: Path | None
    env: Environment | None
    user: str | int | None
    text: bool | None


class RunOptions(_MoreOfContainers, _MoreOfPopen, total=False):
    """The keywords of `ctr.run` beside those that it names itself."""
