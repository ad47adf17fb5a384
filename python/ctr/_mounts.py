"""What was mounted into a container: what `Container.mounts()` tells."""

from __future__ import annotations

from typing import NamedTuple


class MountInfo(NamedTuple):
    """A line of `Container.mounts()`."""

    target: str
    """Where it is inside."""
    source: str | None
    """What is seen there: a path of this machine, "NAME:PATH" of another container, a volume, an image; else None."""
    kind: str
    """"bind", "volume", "tmpfs", "disk", "image" or "scratch". Later releases may add some."""
    read_only: bool
    """Whether nothing can be written through it."""
    live: bool
    """It was mounted while the container ran, and not when it was made."""
