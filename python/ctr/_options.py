"""The keywords of `ctr.Container`, as `_ctr` takes them."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from ._sizes import count, size, thousandths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._types import Environment, Namespace, Path, Refusal, Rlimit, Seccomp, Size

# capabilities(7), by their numbers.
_CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service "
    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin "
    "sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override "
    "mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore"
).split()

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
    """Absolute path inside; made where it is missing."""
    read_only: bool = False
    """Nothing can be written through it."""


class Tmpfs(NamedTuple):
    """A new, empty tmpfs."""

    target: Path
    """Absolute path inside; made where it is missing."""
    size: Size | None = None
    """Most bytes it may hold."""
    mode: int | None = None
    """Permission bits of its root; 0o1777 where there are none."""


def container_options(
    *,
    env: Environment | None = None,
    mounts: Iterable[Any] = (),
    memory: Size | None = None,
    upper_size: Size | None = None,
    pids: int | None = None,
    cpus: float | None = None,
    network: str | None = None,
    namespaces: Mapping[str, Namespace] | None = None,
    capabilities: Iterable[str] | int | None = None,
    cap_add: Iterable[str] = (),
    cap_drop: Iterable[str] = (),
    seccomp: Seccomp | None = None,
    seccomp_refusal: Refusal | None = None,
    rlimits: Mapping[str, Rlimit] | None = None,
    sysctls: Mapping[str, str | int] | None = None,
    time_offsets: Mapping[str, float] | None = None,
    **rest: object,
) -> dict[str, object]:
    """The options that were given. An option that is None stays at the core's default."""
    options = {key: value for key, value in rest.items() if value is not None}
    if env:
        options["env"] = list(mapping(env, "env").items())
    if isinstance(mounts, (str, bytes)):
        raise TypeError('mounts must be a list, as ["source:target"], not one str')
    if mounts:
        options["mounts"] = [_mount(item) for item in mounts]
    if memory is not None:
        options["memory"] = count(size(memory, "memory"), "memory")
    if upper_size is not None:
        options["upper_size"] = count(size(upper_size, "upper_size"), "upper_size")
    if pids is not None:
        options["pids"] = count(pids, "pids")
    if cpus is not None:
        options["cpus"] = thousandths(cpus, "cpus")
    if capabilities is not None:
        options["capabilities"] = _capability_mask(capabilities)
    for key, names in (("cap_add", cap_add), ("cap_drop", cap_drop)):
        if isinstance(names, str):
            raise TypeError(f"{key} must be a list of names, not one str")
        if names:
            options[key] = list(names)
    if seccomp is not None:
        options["seccomp"] = _profile(seccomp)
    if seccomp_refusal is not None:
        options["seccomp_refusal"] = _action(seccomp_refusal)
    if rlimits:
        options["rlimits"] = [(name, *_soft_and_hard(limit)) for name, limit in rlimits.items()]
    if sysctls:
        options["sysctls"] = [(name, str(value)) for name, value in sysctls.items()]
    if time_offsets:
        options["time_offsets"] = {clock: _seconds(offset, clock) for clock, offset in time_offsets.items()}
    chosen = {kind: _namespace(kind, source) for kind, source in (namespaces or {}).items()}
    if network is not None:
        if "net" in chosen:
            raise ValueError("network and namespaces['net'] may not both be used")
        said = f'network is "none", "host", "container:NAME", a pid or a path, not {network!r}'
        chosen["net"] = ("new", None) if network == "none" else _namespace("net", network, said)
    if chosen:
        options["namespaces"] = chosen
    return options


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


def _mount(item: Any) -> tuple[object, ...]:
    """A `Bind`, a `Tmpfs`, (source, target[, "ro"]), or docker's "source:target[:ro]"."""
    if isinstance(item, Tmpfs):
        return "tmpfs", item.target, None if item.size is None else size(item.size, "tmpfs size"), item.mode
    if isinstance(item, Bind):
        return "bind", os.path.abspath(item.source), item.target, item.read_only
    parts = item.split(":") if isinstance(item, str) else tuple(item) if hasattr(item, "__iter__") else ()
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise ValueError(f'a mount is a Bind, a Tmpfs, (source, target) or "source:target:ro", not {item!r}')
    return "bind", os.path.abspath(parts[0]), parts[1], len(parts) == 3 and parts[2] == "ro"


def _namespace(kind: str, source: Namespace, said: str = "") -> tuple[str, object]:
    """One of "new", "host", "container:NAME", a pid, the path of a namespace file, or a `Container`."""
    if kind not in NAMESPACES:
        raise ValueError(f"unknown kind of namespace: {kind!r}; there are {', '.join(NAMESPACES)}")
    if isinstance(source, int) and not isinstance(source, bool):
        return "pid", source
    if isinstance(source, os.PathLike):
        return "path", source
    if isinstance(source, str):
        if source in ("new", "host"):
            return source, None
        if source.startswith("container:"):
            return "container", source.partition(":")[2]
        if source.startswith("/"):
            return "path", source
    elif hasattr(source, "pid"):
        return "pid", source.pid
    said = said or f'a {kind} namespace is "new", "host", "container:NAME", a pid or a path, not {source!r}'
    raise ValueError(said)


def _profile(seccomp: Seccomp) -> tuple[str, object]:
    """A profile of ours by its name, or docker's JSON: the path of a file, or what is in it."""
    if isinstance(seccomp, str):
        return (seccomp, None) if seccomp in ("default", "strict", "unconfined") else ("file", seccomp)
    if isinstance(seccomp, os.PathLike):
        return "file", seccomp
    import json

    return "json", json.dumps(seccomp)


def _action(refusal: Refusal) -> tuple[str, int]:
    """An errno, "kill-process", "kill-thread", "trap", "log", or ("trace", number)."""
    if isinstance(refusal, int):
        return "errno", refusal
    return (refusal, 0) if isinstance(refusal, str) else refusal


def _soft_and_hard(limit: Rlimit) -> tuple[int | None, int | None]:
    return limit if isinstance(limit, tuple) else (limit, limit)


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
