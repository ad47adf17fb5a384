"""The limits of a container: how they are written and told, and what `Container.limits()` answers."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Union, get_args

from ._errors import invalid
from ._options import UNLIMITED, hugetlb_lines, io_lines, list_of_numbers
from ._sizes import count, size, thousandths

Number = Literal[
    "memory",
    "pids",
    "cpus",
    "memory_high",
    "memory_low",
    "swap",
    "cpu_weight",
    "io_weight",
    "upper_size",
    "upper_inodes",
]
List = Literal["cpuset", "cpuset_mems", "io", "hugetlb"]
Told = Union[str, dict[str, int], dict[str, dict[str, int]], None]

LISTS = ("cpuset", "cpuset_mems", "io", "hugetlb")
CHANGES = ("upper_size", "upper_inodes")
"""Those that no cgroup keeps: what may be changed in memory."""
SIZES = ("memory", "memory_high", "memory_low", "swap", "upper_size")


class LimitInForce(NamedTuple):
    """A limit of a container; None is no limit."""

    own: float | None
    """The container's own."""
    effective: float | None
    """The lowest of that and those of the cgroups above, as far as they can be seen from here; of a weight its own."""


class ListInForce(NamedTuple):
    """A limit of a container that is a list; None is no limit."""

    own: Told
    """The container's own."""
    effective: Told
    """What that and those of the cgroups above leave."""


class Limits(NamedTuple):
    """What `Container.limits()` tells."""

    memory: LimitInForce
    """Bytes of memory."""
    pids: LimitInForce
    """Processes and threads at one time."""
    cpus: LimitInForce
    """Processors."""
    memory_high: LimitInForce
    """Bytes of memory above which it is slowed down."""
    memory_low: LimitInForce
    """Bytes of memory that are reclaimed last."""
    swap: LimitInForce
    """Bytes of swap."""
    cpu_weight: LimitInForce
    """Its share of processors beside others, who have 100."""
    io_weight: LimitInForce
    """Its share of block devices beside others, who have 100."""
    cpuset: ListInForce
    """The processors that it may run on, "0-1,3"."""
    cpuset_mems: ListInForce
    """The memory nodes that it may have memory from."""
    io: ListInForce
    """Rates of block devices, {"8:0": {"rbps": 1048576}}."""
    hugetlb: ListInForce
    """Bytes of huge pages, {"2MB": 67108864}."""

    def _repr_html_(self) -> str:
        from ._display import limits

        return limits(self)


def told(native: Any, which: str) -> float | Told:
    """A limit of a container of the core."""
    check(which)
    if which in LISTS:
        return told_list(which, native.list_limit(which))
    if which in CHANGES:
        count: int | None = native.changes_limit(which)
        return count
    return told_number(which, native.limit(which))


def change(native: Any, which: str, value: Any) -> None:
    """Sets a limit of a container of the core."""
    check(which)
    if isinstance(value, str) and value == UNLIMITED:
        value = None
    if which in LISTS:
        native.set_list_limit(which, lines(which, value))
    elif which in CHANGES:
        native.set_changes_limit(which, number(which, value))
    else:
        native.set_limit(which, number(which, value))


def check(which: str) -> None:
    """Refuses what is no limit before its value is looked at."""
    names = (*get_args(Number), *LISTS)
    if which in names:
        return
    hint = f"there are {', '.join(names)}"
    if which in ("lifetime", "cpu_time"):
        hint = "it is said when the container is made, and stays"
    raise invalid("argument", repr(which), "no limit that is changed or read while it runs", hint)


def number(which: str, value: Any) -> int | None:
    """A limit that is a number, as the core takes it."""
    what = f"{which} limit"
    if value is None:
        return None
    if which == "cpus":
        return thousandths(value, "cpu limit")
    return count(size(value, what) if which in SIZES else value, what)


def told_number(which: str, value: int | None) -> float | None:
    """A limit that is a number, from what the core says."""
    return value / 1000 if which == "cpus" and value is not None else value


def lines(which: str, value: Any) -> str | None:
    """A limit that is a list, as the core takes it."""
    if value is None:
        return None
    if which in ("io", "hugetlb"):
        return "\n".join(io_lines(value) if which == "io" else hugetlb_lines(value)) or None
    return list_of_numbers(which)(value)


def told_list(which: str, text: str | None) -> Told:
    """A limit that is a list, from what the core says."""
    if text is None or which in ("cpuset", "cpuset_mems"):
        return text
    if which == "hugetlb":
        return {page: int(most) for page, _, most in (line.partition("=") for line in text.splitlines())}
    rates: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        device, *words = line.split(" ")
        rates[device] = {key: int(rate) for key, _, rate in (word.partition("=") for word in words)}
    return rates
