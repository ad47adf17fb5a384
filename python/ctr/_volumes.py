"""`Volume`: a directory of the store that outlives containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import _ctr
from ._files import place

if TYPE_CHECKING:
    from ._types import Path


class Volume(NamedTuple):
    """A volume of the store, by its name; with a `target` it is a mount.

    Files in it outlive containers, and several containers may use it at once. It is made at its first use, by
    `ctr.volume` or with a container. One that is empty and that no container uses gets what the image has at the place
    where it is mounted, with owners and modes, as in docker; nothing of "host".

        >>> with ctr.Container(image, mounts=[ctr.Volume("data", "/var/lib/postgresql")]) as c: ...
        >>> data = ctr.volume("data")
        >>> c.mount(data, "/data", read_only=True)
        >>> data.remove()
    """

    name: str
    """At most 64 letters, digits, `_`, `.` and `-`, not beginning with a dot or a dash."""
    target: Path | None = None
    """Where it is mounted: an absolute path inside, which is made where it is missing."""
    read_only: bool = False
    """Nothing can be written through the mount."""
    store_dir: str | None = None
    """The store that it is in; None is the user's own. A mount is of a volume of the container's store."""

    @property
    def path(self) -> str:
        """The directory of its files, on the host. It is made where it is missing."""
        return _ctr.make_volume(self.name, self.store_dir)

    @property
    def size(self) -> int:
        """Bytes of disk space that its files take. All of them are looked at, each time."""
        return _ctr.volume_size(self.name, self.store_dir)

    def remove(self) -> None:
        """Remove it, with all its files.

        `ctr.Error` with EBUSY while a container uses it, which is named; `FileNotFoundError` if there is none.
        """
        _ctr.remove_volume(self.name, self.store_dir)


def volume(name: str, *, store_dir: Path | None = None) -> Volume:
    """The volume of this name, made where it is missing. `ValueError` for what can't be a name."""
    found = Volume(name, store_dir=place(store_dir))
    _ctr.make_volume(name, found.store_dir)
    return found


def volumes(*, store_dir: Path | None = None) -> list[Volume]:
    """All volumes of the store, by name."""
    store = place(store_dir)
    return [Volume(name, store_dir=store) for name in _ctr.volumes(store)]


def prune_volumes(*, store_dir: Path | None = None) -> list[str]:
    """Remove all volumes that no container uses, with their files, which nothing can make again; their names."""
    return _ctr.prune_volumes(place(store_dir))
