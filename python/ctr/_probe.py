"""What this machine allows: `ctr.probe()`."""

from __future__ import annotations

from typing import NamedTuple

from . import _ctr
from ._rows import Rows


class Check(NamedTuple):
    """A line of `ctr.probe()`."""

    name: str
    """What is checked: "user namespaces". Names don't change."""
    ok: bool
    """Whether it is allowed."""
    says: str
    """What was found; where it is not allowed, why, and what is lost."""
    hint: str
    """What to do about it; empty where there is nothing to do, or nothing known."""


def probe() -> list[Check]:
    """What this machine allows this user, what it does not, and what to do about it.

    Each check does what a container would need, in a process that ends at once. Nothing is left.
    """
    return Rows(Check(*parts) for parts in _ctr.probe())
