"""The containers of this user by name: to list, join, or end one, and to explain what one would be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from . import _ctr
from ._container import Container, made, text_of
from ._options import check_keywords, namespace_mask
from ._rows import Rows, Script
from ._types import ContainerOptions, ImageSource, Path, Unpack


class ContainerInfo(NamedTuple):
    """A line of `ctr.containers()`."""

    name: str
    """The name that `ctr.join` takes."""
    image: str
    """What it was made from."""
    pid: int
    """The pid of its PID 1 on the host."""
    owner: int
    """The pid of the process that made it."""
    created: float
    """When it was made, in seconds since the epoch."""
    detached: bool
    """Whether it outlives its owner."""
    paused: bool
    """Whether it stands still: `Container.pause`."""


def join(container: str | int, *, namespaces: Iterable[str] | None = None, state_dir: Path | None = None) -> Container:
    """A running container by its name, or the namespaces of any process by its pid, as nsenter(1) enters them.

    Args:
        container: A name, made by any process of this user, or a pid.
        namespaces: For a pid: which kinds to enter ("mount", "pid", "user", "uts", "ipc", "cgroup", "net", "time"); all
            by default.
        state_dir: For a name: where running containers are recorded; as for `Container` by default.
    """
    if isinstance(container, int):
        return Container._joined(_ctr.Container.join_pid(container, namespace_mask(namespaces)))
    if namespaces is not None:
        raise TypeError("namespaces can be chosen only when a pid is joined")
    return Container._joined(_ctr.Container.join(container, text_of(state_dir)))


def destroy(name: str, *, state_dir: Path | None = None) -> None:
    """End a container by its name, as `ctr.join(name).destroy()`; also one that can't be joined.

    It can't be if its record is damaged, which is then put aside, or was written by an earlier version.

    Args:
        name: The container's name.
        state_dir: Where running containers are written down; as for `Container` by default.
    """
    _ctr.destroy(name, text_of(state_dir))


def containers(*, state_dir: Path | None = None) -> list[ContainerInfo]:
    """The running containers of this user, oldest first."""
    return Rows(ContainerInfo(*parts) for parts in _ctr.containers(text_of(state_dir)))


def explain(image: ImageSource = "host", **options: Unpack[ContainerOptions]) -> str:
    """What `Container` would do: every wall, on or off, and why, then the shell commands that a person would type.

    Nothing is made.
    """
    check_keywords("explain", options, ContainerOptions.__annotations__)
    return Script(made(_ctr.explain, image, options))
