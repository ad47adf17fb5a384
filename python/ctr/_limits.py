"""The limits of a container: what `Container.limits()` tells."""

from __future__ import annotations

from typing import NamedTuple


class LimitInForce(NamedTuple):
    """A limit of a container; None is no limit."""

    own: float | None
    """The container's own."""
    effective: float | None
    """The lowest of that and those of the cgroups above, as far as they can be seen from here."""


class Limits(NamedTuple):
    """What `Container.limits()` tells."""

    memory: LimitInForce
    """Bytes of memory."""
    pids: LimitInForce
    """Processes and threads at one time."""
    cpus: LimitInForce
    """Processors."""
