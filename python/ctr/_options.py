"""The keywords of `ctr.Container`, as `_ctr` takes them."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _ctr
from ._sizes import count, seconds, size, thousandths
from ._volumes import Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ._types import Environment, Mounts, Namespace, Path, Ports, Refusal, Rlimit, Seccomp, Size

# capabilities(7), by their numbers.
_CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service "
    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin "
    "sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override "
    "mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore"
).split()

# setrlimit(2).
_LIMITS_OF_BYTES = frozenset(("as", "core", "data", "fsize", "memlock", "msgqueue", "rss", "stack"))

# namespaces(7): the name of a kind and its CLONE_NEW* flag.
NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "time": 0x00000080,
}


class Bind(NamedTuple):
    """A file or directory of the host, seen inside."""

    source: Path
    """Path on the host."""
    target: Path
    """Absolute path inside; made where it is missing, if what is above it can be written to: not /usr of "host"."""
    read_only: bool = False
    """Nothing can be written through it."""
    from_container: str | None = None
    """The name of a running container: `source` is an absolute path inside that one, and links lead nowhere else."""
    owner: str | tuple[int, int] = "caller"
    """Who owns inside what belongs to the source's owner outside, and the other way round for what is written there.

    "caller" is whom the container's ids make it: of root's containers the same ids as outside, else root. "inside" is
    the user of the image's programs, (uid, gid) this one: such a program can use the caller's files without a chown.
    Nobody else, not even root, can make files there then, unless the source is root's. It takes root to choose one."""


class ImageTree(NamedTuple):
    """The files of an image, read-only, with their owners. The image can't be removed while the container runs."""

    image: Any
    """What a container can be made from, but "host" and plain directories."""
    target: Path
    """Absolute path inside; made where it is missing, if what is above it can be written to: not /usr of "host"."""


class Tmpfs(NamedTuple):
    """A new, empty tmpfs."""

    target: Path
    """Absolute path inside; made where it is missing, if what is above it can be written to: not /usr of "host"."""
    size: Size | None = None
    """Most bytes it may hold; without one it is a part of the changes, and of their `upper_size`."""
    mode: int | None = None
    """Permission bits of its root; 0o1777 where there are none."""


class Disk(NamedTuple):
    """A block device, or a file that is the image of one, whose file system is mounted; for root alone."""

    source: Path
    """Path on the host."""
    target: Path
    """Absolute path inside; made where it is missing, if what is above it can be written to: not /usr of "host"."""
    filesystem: str | None = None
    """"ext2", "ext3", "ext4", "xfs", "btrfs", "squashfs", "erofs" or "vfat"; the one that is found there if None."""
    partition: int | None = None
    """The partition of this number, of a GPT or an MBR; None is all of it."""
    read_only: bool = True
    """Nothing is written, also not by the kernel, which passes over a journal that a crash has left."""
    noexec: bool = False
    """Programs on it can't be started."""


class Scratch(NamedTuple):
    """A directory of the host as copy-on-write: the container changes it for itself alone.

    `Container.diff` lists the changes, `Container.apply` carries them over, `Container.discard` drops them; they are
    gone with the container.
    """

    source: Path
    """Path of a directory on the host. What is mounted below it is not seen inside."""
    target: Path
    """Absolute path inside; made where it is missing, if what is above it can be written to: not /usr of "host"."""


UNLIMITED = "unlimited"
"""A limit that there is not, also where the preset has one."""

LIMITS = (
    "memory",
    "memory_high",
    "memory_low",
    "swap",
    "pids",
    "cpus",
    "cpu_weight",
    "cpuset",
    "cpuset_mems",
    "io",
    "io_weight",
    "hugetlb",
    "upper_size",
    "upper_inodes",
)
"""The keywords that may be that."""

_OF_PRESETS = ("memory", "pids")
_NO_LIMIT = (1 << 64) - 1


def container_options(**options: Any) -> dict[str, object]:
    """The options that were given. An option that is None stays at the core's default."""
    read: dict[str, object] = {}
    for key, value in options.items():
        if isinstance(value, str) and value == UNLIMITED and key in LIMITS:
            if key in _OF_PRESETS:
                read[key] = _NO_LIMIT
        elif value is not None:
            read[key] = _READ.get(key, _as_it_is)(value)
    return read


def check_keywords(function: str, options: Mapping[str, object], known: Collection[str]) -> None:
    """Each keyword has to be a known one, as where Python checks them itself."""
    for key in options:
        if key not in known:
            raise TypeError(f"{function}() got an unexpected keyword argument {key!r}")


def mapping(value: Any, what: str) -> Any:
    """The value, which has to be one of names to something."""
    if not hasattr(value, "items"):
        raise TypeError(f"{what} must be a mapping, not {type(value).__name__}")
    return value


def namespace_mask(kinds: Iterable[str] | None) -> int:
    """The CLONE_NEW* flags of some kinds; 0, which stands for all, where there is no choice."""
    if kinds is None:
        return 0
    mask = 0
    for kind in (kinds,) if isinstance(kinds, str) else kinds:
        if kind not in NAMESPACES:
            raise ValueError(f"unknown kind of namespace: {kind!r}; there are {', '.join(NAMESPACES)}")
        mask |= NAMESPACES[kind]
    if not mask:
        raise ValueError("choose at least one kind of namespace")
    return mask


def _as_it_is(value: object) -> object:
    return value


def _environment(env: Environment) -> object:
    return list(mapping(env, "env").items())


def _mounts(mounts: Mounts) -> object:
    if isinstance(mounts, (str, bytes)):
        raise TypeError('mounts must be a list, as ["source:target"], not one str')
    return [mount_option(item) for item in mounts]


def mount_option(item: Any) -> tuple[str, dict[str, object]]:
    """A `Bind`, `Tmpfs`, `Disk`, `Volume`, `Scratch`, `ImageTree`, (source, target[, "ro"]), or "source:target[:ro]".

    In docker's words a source without a slash, and not beginning with a dot, is the name of a volume.
    """
    if isinstance(item, Volume):
        return _volume(item.name, item.target, item.read_only)
    if isinstance(item, Tmpfs):
        most = None if item.size is None else size(item.size, "tmpfs size")
        return "tmpfs", {"target": item.target, "size": most, "mode": item.mode}
    if isinstance(item, Disk):
        return "disk", {**item._asdict(), "source": os.path.abspath(item.source)}
    if isinstance(item, Bind):
        return _bind(*item)
    if isinstance(item, ImageTree):
        return "image", {"image": getattr(item.image, "digest", item.image), "target": item.target}
    if isinstance(item, Scratch):
        return "scratch", {"source": os.path.abspath(item.source), "target": item.target}
    parts = item.split(":") if isinstance(item, str) else tuple(item) if hasattr(item, "__iter__") else ()
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise ValueError(
            f'a mount is a Bind, Tmpfs, Volume, Scratch, (source, target) or "source:target:ro", not {item!r}'
        )
    source, read_only = parts[0], len(parts) == 3 and parts[2] == "ro"
    if isinstance(source, Volume):
        return _volume(source.name, parts[1], read_only)
    if isinstance(item, str) and "/" not in source and not source.startswith("."):
        return _volume(source, parts[1], read_only)
    return _bind(source, parts[1], read_only)


def _volume(name: str, target: Path | None, read_only: bool) -> tuple[str, dict[str, object]]:
    if target is None:
        raise ValueError(f"where is the volume {name} to be? (volume, target) or ctr.Volume({name!r}, target) says it")
    return "volume", {"name": name, "target": target, "read_only": read_only}


def _bind(
    source: Path,
    target: Path,
    read_only: bool,
    from_container: str | None = None,
    owner: str | tuple[int, int] = "caller",
) -> tuple[str, dict[str, object]]:
    told: dict[str, object] = {"source": source, "target": target, "read_only": read_only}
    if from_container is None:
        told["source"] = os.path.abspath(source)
    else:
        told["from_container"] = from_container
    if owner != "caller":
        told["owner"] = owner if isinstance(owner, str) else ("ids", tuple(owner))
    return "bind", told


def _namespaces(chosen: Mapping[str, Namespace]) -> object:
    return {kind: _namespace(kind, source) for kind, source in mapping(chosen, "namespaces").items()}


def _ports(published: Ports) -> object:
    from ._forward import asked

    return asked(published)


def _network(network: Namespace) -> object:
    if network == "none":
        return network
    said = f'network is "none", "host", "container:NAME", a pid, a path or the name of a ctr.network, not {network!r}'
    if network in ("new", ""):
        raise ValueError(said)
    name = network if isinstance(network, str) else getattr(network, "subnet", None) and getattr(network, "name", None)
    # Whether it can be the name of one, and there is one, the core says.
    if isinstance(name, str) and name != "host" and ":" not in name and "/" not in name:
        return "named", name
    return _namespace("net", network, said)


def _namespace(kind: str, source: Namespace, said: str = "") -> object:
    """One of "new", "host", "container:NAME", a pid, the path of a namespace file, or a `Container`."""
    if kind not in NAMESPACES:
        raise ValueError(f"unknown kind of namespace: {kind!r}; there are {', '.join(NAMESPACES)}")
    if isinstance(source, int) and not isinstance(source, bool):
        return "pid", source
    if isinstance(source, os.PathLike):
        return "path", source
    if isinstance(source, str):
        if source in ("new", "host"):
            return source
        if source.startswith("container:"):
            return "container", source.partition(":")[2]
        if source.startswith("/"):
            return "path", source
    elif hasattr(source, "pid"):
        return "pid", source.pid
    said = said or f'a {kind} namespace is "new", "host", "container:NAME", a pid or a path, not {source!r}'
    raise ValueError(said)


def _profile(seccomp: Seccomp) -> object:
    """A profile of ours by its name, or docker's JSON: the path of a file, or what is in it."""
    if isinstance(seccomp, str):
        return seccomp if seccomp in ("default", "strict", "unconfined") else ("file", seccomp)
    if isinstance(seccomp, os.PathLike):
        return "file", seccomp
    import json

    return "json", json.dumps(seccomp)


def _action(refusal: Refusal) -> object:
    """An errno, "kill-process", "kill-thread", "trap", "log", or ("trace", number)."""
    return ("errno", refusal) if isinstance(refusal, int) else refusal


def rlimit(name: str, text: str) -> int:
    """A limit as it is written: a number, or of those that count bytes also a size as "64M"."""
    if name.lower().removeprefix("rlimit_") in _LIMITS_OF_BYTES:
        return size(text, f"{name} limit")
    if not (text.isdecimal() and text.isascii()):
        raise TypeError(f"rlimits: {name} must be a number or None, not {text!r}")
    return int(text)


def _rlimits(limits: Mapping[str, Rlimit]) -> object:
    read = []
    for name, limit in mapping(limits, "rlimits").items():
        pair = limit if isinstance(limit, tuple) else (limit, limit)
        soft, hard = (rlimit(name, value) if isinstance(value, str) else value for value in pair)
        try:
            _ctr.check_rlimit(name, soft, hard)
        except TypeError as error:
            raise TypeError(f"rlimits: {error}") from None
        read.append((name, soft, hard))
    return read


def _sysctls(parameters: Mapping[str, str | int]) -> object:
    return [(name, str(value)) for name, value in mapping(parameters, "sysctls").items()]


def _devices(devices: Iterable[str]) -> object:
    devices = [devices] if isinstance(devices, str) else list(devices)
    for device in devices:
        _ctr.check_device(device)
    return devices


def _time_offsets(offsets: Mapping[str, float]) -> object:
    return {clock: _seconds(offset, clock) for clock, offset in mapping(offsets, "time_offsets").items()}


def _seconds(offset: float, clock: str) -> tuple[int, int]:
    """Seconds, and the nanoseconds that are added to them."""
    if not -(2.0**62) < offset < 2.0**62:
        raise ValueError(f"the clock {clock} can't be set off by {offset} seconds")
    secs = math.floor(offset)
    nanosecs = round((offset - secs) * 1e9)
    return secs + nanosecs // 1_000_000_000, nanosecs % 1_000_000_000


def _capability_mask(names: Iterable[str] | int) -> int:
    """A mask of capabilities(7) numbers; names with or without CAP_, in any case."""
    if isinstance(names, int):
        return names
    if isinstance(names, str):
        raise TypeError("capabilities must be a list of names, not one str")
    mask = 0
    for name in names:
        plain = name.lower()
        plain = plain[4:] if plain.startswith("cap_") else plain
        if plain not in _CAPABILITIES:
            raise ValueError(f"unknown capability: {name!r}")
        mask |= 1 << _CAPABILITIES.index(plain)
    return mask


def io_lines(io: Any) -> list[str]:
    """{"/dev/sda": {"rbps": "1M", "wiops": 100}}, or such lines as "/dev/sda rbps=1048576"; None lifts a rate."""
    if not hasattr(io, "items"):
        return _lines("io", io)
    lines = []
    for device, rates in io.items():
        words = (f"{key}={_or_max(rate, f'io {key}')}" for key, rate in mapping(rates, "rates of a device").items())
        lines.append(" ".join([os.fsdecode(device), *words]))
    return lines


def hugetlb_lines(pages: Any) -> list[str]:
    """{"2M": "64M"}: the size of a page, and bytes of all of them; or such lines as "2MB=67108864"."""
    if not hasattr(pages, "items"):
        return _lines("hugetlb", pages)
    return [f"{size(page, 'page size')}={_or_max(most, 'hugetlb')}" for page, most in pages.items()]


def _lines(what: str, lines: Any) -> list[str]:
    if isinstance(lines, (str, bytes)) or not hasattr(lines, "__iter__"):
        raise TypeError(f"{what} must be a mapping, or a list of lines, not {type(lines).__name__}")
    return list(lines)


def _or_max(value: Size | None, what: str) -> int | str:
    return "max" if value is None else count(size(value, what), what)


def list_of_numbers(what: str) -> Callable[[Any], str]:
    """Of a "0-1,3"."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f'{what} must be a str, as "0-1,3", not {type(value).__name__}')
        return value

    return read


def _bytes_of(what: str) -> Callable[[Size], int]:
    return lambda value: count(size(value, what), what)


def _names_of(what: str) -> Callable[[Iterable[str]], list[str]]:
    def read(names: Iterable[str]) -> list[str]:
        if isinstance(names, str):
            raise TypeError(f"{what} must be a list of names, not one str")
        return list(names)

    return read


# How a keyword is read whose value is written otherwise in Python than in the core's Config. Those that are not here
# are taken as they are: what they may be, the core says.
_READ: dict[str, Callable[[Any], object]] = {
    "env": _environment,
    "mounts": _mounts,
    "memory": _bytes_of("memory"),
    "memory_high": _bytes_of("memory_high"),
    "memory_low": _bytes_of("memory_low"),
    "swap": _bytes_of("swap"),
    "upper_size": _bytes_of("upper_size"),
    "upper_inodes": lambda value: count(value, "upper_inodes"),
    "pids": lambda value: count(value, "pids"),
    "cpus": lambda value: thousandths(value, "cpus"),
    "cpu_weight": lambda value: count(value, "cpu_weight"),
    "cpuset": list_of_numbers("cpuset"),
    "cpuset_mems": list_of_numbers("cpuset_mems"),
    "io": io_lines,
    "io_weight": lambda value: count(value, "io_weight"),
    "hugetlb": hugetlb_lines,
    "lifetime": lambda value: seconds(value, "lifetime", "more than 0"),
    "cpu_time": lambda value: seconds(value, "cpu_time", "more than 0"),
    "network": _network,
    "aliases": _names_of("aliases"),
    "ports": _ports,
    "namespaces": _namespaces,
    "capabilities": _capability_mask,
    "cap_add": _names_of("cap_add"),
    "cap_drop": _names_of("cap_drop"),
    "seccomp": _profile,
    "seccomp_refusal": _action,
    "rlimits": _rlimits,
    "sysctls": _sysctls,
    "time_offsets": _time_offsets,
    "devices": _devices,
}
