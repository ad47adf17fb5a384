"""The walls of a container: what `Container.walls()` tells."""

from __future__ import annotations

from typing import NamedTuple


class Wall(NamedTuple):
    """A line of `Container.walls()`."""

    name: str
    """What it is: "seccomp". Names don't change; later releases may add some."""
    state: str
    """Whether it stands: "on", "off", or "partly" where it is lower than by default."""
    says: str
    """How it stands, in a few words; may be empty."""
    why: str
    """Why it is so: the preset, what was asked for, what this machine lacks."""
