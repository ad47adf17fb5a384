"""The options of `run` and `explain` that are keywords of `Container`, a row each."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NamedTuple

from ._options import LIMITS, Bind, Disk, ImageTree, Scratch, Tmpfs, rlimit
from ._options import UNLIMITED as NO_LIMIT
from ._sizes import size
from ._volumes import Volume

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection

    from ._types import Mount


class Row(NamedTuple):
    """An option of the command line."""

    keyword: str
    """The keyword of `Container`. Several rows may add to the same."""
    names: str
    """How it is typed, as "-m --memory"."""
    help: str
    metavar: str = ""
    """What stands for its value. Without this and without choices it is a flag, which stands for `value`."""
    choices: tuple[str, ...] = ()
    value: bool = True
    many: bool = False
    """It may be given again: the keyword has a list of what is read, or a dict where that is pairs."""
    read: Callable[[str], Any] = str
    type: Callable[[str], Any] = str
    """What argparse reads, and names where that fails."""


def pair(text: str, form: str = "NAME=VALUE") -> tuple[str, str]:
    """Both sides of the first =."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"write {form}, not {text!r}")
    return name, value


def _memory(text: str) -> int:
    """As docker: a number alone is bytes, of which nobody ever wants so few."""
    limit = size(text, "memory")
    if 0 <= limit < 1 << 16:
        number = text.strip().rstrip("bBkKiI")
        raise ValueError(f"-m {text} is {limit} bytes: write {number}M for megabytes")
    return limit


UNLIMITED = (NO_LIMIT, "-1")


def _rate(key: str) -> Callable[[str], tuple[str, dict[str, str | None]]]:
    """A device, and one of its rates."""

    def read(text: str) -> tuple[str, dict[str, str | None]]:
        device, colon, rate = text.rpartition(":")
        if not (colon and device):
            raise ValueError(f"write DEVICE:RATE, as /dev/sda:1M, not {text!r}")
        return device, {key: None if rate in UNLIMITED else rate}

    return read


def _hugetlb(text: str) -> tuple[str, str | None]:
    page, most = pair(text, "PAGE=SIZE")
    return page, None if most in UNLIMITED else most


def scratch(text: str) -> Scratch:
    source, colon, target = text.rpartition(":")
    if not (colon and source and target):
        raise ValueError(f"write SRC:DST, not {text!r}")
    return Scratch(source, target)


def tmpfs(text: str) -> Tmpfs:
    target, _, most = text.partition(":")
    return Tmpfs(target, most or None)


def disk(text: str) -> Disk:
    """The path of a device may have colons in it."""
    found: dict[str, Any] = {}
    place = text
    while "," in place:
        rest, _, word = place.rpartition(",")
        name, _, value = word.partition("=")
        if word == "noexec":
            found["noexec"] = True
        elif name == "partition" and value.isdecimal():
            found["partition"] = int(value)
        elif name == "filesystem" and value:
            found["filesystem"] = value
        else:
            break
        place = rest
    source, _, mode = place.rpartition(":")
    if mode in ("ro", "rw"):
        found["read_only"], place = mode == "ro", source
    source, _, target = place.rpartition(":")
    if not (source and target):
        raise ValueError(f"write IMAGE:DST[:rw][,partition=N][,filesystem=NAME][,noexec], not {text!r}")
    return Disk(source, target, **found)


DISK = "IMAGE:DST[:rw][,partition=N]"
"""How most disks are typed."""


def written(text: str) -> Mount:
    """As docker's --mount: `type=bind,src=SRC,dst=DST,ro`, with from=NAME and owner=UID:GID of ours."""
    said = dict(_setting(word) for word in text.split(","))
    kind = said.pop("type", "bind")
    known = _MOUNTS.get(kind)
    if known is None:
        raise ValueError(f"type is {', '.join(_MOUNTS)}, not {kind!r}")
    names = {_SHORT.get(name, name): value for name, value in said.items()}
    strange = names.keys() - known
    if strange:
        raise ValueError(f"type={kind} has {', '.join(sorted(known))}, but not {', '.join(sorted(strange))}")
    if "target" not in names or ("source" in known and "source" not in names):
        raise ValueError(f"type={kind} needs {'src= and dst=' if 'source' in known else 'dst='}")
    target, source = names["target"], names.get("source", "")
    if kind == "tmpfs":
        mode = names.get("mode")
        return Tmpfs(target, names.get("size"), None if mode is None else int(mode, 8))
    if kind == "image":
        return ImageTree(source, target)
    read_only = names.get("readonly", "false") not in ("false", "0")
    if kind == "volume":
        return Volume(source, target, read_only)
    return Bind(source, target, read_only, names.get("from"), _owner(names.get("owner", "caller")))


_MOUNTS = {
    "bind": {"source", "target", "readonly", "from", "owner"},
    "volume": {"source", "target", "readonly"},
    "tmpfs": {"target", "size", "mode"},
    "image": {"source", "target"},
}
_SHORT = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "tmpfs-size": "size",
    "tmpfs-mode": "mode",
}


def _setting(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    return name, value if equals else "true"


def _owner(text: str) -> str | tuple[int, int]:
    uid, colon, gid = text.partition(":")
    if uid.isdigit() and (not colon or gid.isdigit()):
        return int(uid), int(gid or uid)
    if text not in ("caller", "inside"):
        raise ValueError(f"owner is caller, inside or UID:GID, not {text!r}")
    return text


def _limit(text: str) -> tuple[str, tuple[int | None, int | None]]:
    name, value = pair(text)
    soft, _, hard = value.partition(":")
    try:
        first, second = (None if word in UNLIMITED else rlimit(name, word) for word in (soft, hard or soft))
    except (TypeError, OSError) as error:
        what = 'numbers, "unlimited", or of bytes as fsize=1M,'
        raise ValueError(f"write NAME=SOFT:HARD with {what} not {text!r}") from error
    return name, (first, second)


def _namespace(text: str) -> tuple[str, str | int]:
    kind, source = pair(text, "KIND=FROM")
    return kind, int(source) if source.isdecimal() else source


def _time_offset(text: str) -> tuple[str, float]:
    clock, seconds = pair(text, "CLOCK=SECONDS")
    return clock, float(seconds)


def _refusal(text: str) -> str | int:
    """An errno by its name or number, or an action."""
    return int(text) if text.isdecimal() else getattr(errno, text.upper(), text)


def _is_on(text: str) -> bool:
    return text == "on"


_SWITCH = ("on", "off")

ROWS = (
    Row("name", "--name", "a name for exec and rm", "NAME"),
    Row("hostname", "-h --hostname", "the hostname inside", "NAME"),
    Row("domainname", "--domainname", "the NIS domain name inside", "NAME"),
    Row("memory", "-m --memory", "memory limit, as 256M", "SIZE", read=_memory),
    Row("memory_high", "--memory-high", "slow it down above, as 200M; cgroup v2 only", "SIZE"),
    Row("memory_low", "--memory-reservation --memory-low", "reclaim so much last, as 64M", "SIZE"),
    Row("swap", "--swap", "swap besides its memory, as 1G; none by default with a memory limit", "SIZE"),
    Row("pids", "--pids --pids-limit", "the number of processes at one time", "N", type=int, read=int),
    Row("cpus", "--cpus", "processor time of all its programs together, as 0.5", "N", type=float, read=float),
    Row("cpu_weight", "--cpu-weight", "its share of processors, 1 to 10000; others have 100", "N", type=int, read=int),
    Row("cpuset", "--cpuset-cpus --cpuset", "the processors that it may run on, as 0-1,3", "LIST"),
    Row("cpuset_mems", "--cpuset-mems", "the memory nodes that it may have memory from", "LIST"),
    Row("io", "--device-read-bps", "bytes read a second of a disk", "DEVICE:RATE", many=True, read=_rate("rbps")),
    Row("io", "--device-write-bps", "bytes written a second", "DEVICE:RATE", many=True, read=_rate("wbps")),
    Row("io", "--device-read-iops", "reads a second of a disk", "DEVICE:RATE", many=True, read=_rate("riops")),
    Row("io", "--device-write-iops", "writes a second of a disk", "DEVICE:RATE", many=True, read=_rate("wiops")),
    Row("io_weight", "--io-weight", "its share of disks, 1 to 10000; others have 100", "N", type=int, read=int),
    Row("hugetlb", "--hugetlb", "how much of the huge pages, as 2M=64M", "PAGE=SIZE", many=True, read=_hugetlb),
    Row("lifetime", "--lifetime", "end it after so long", "SECONDS", type=float, read=float),
    Row("cpu_time", "--cpu-time", "end it when all in it has used so much CPU time", "SECONDS", type=float, read=float),
    Row("network", "--network", '"none" (the default), "host", "container:NAME" or the name of a network', "NET"),
    Row("ip", "--ip", "its address in that network", "ADDRESS"),
    Row("aliases", "--network-alias", "one more name in that network", "NAME", many=True),
    Row(
        "ports", "-p --publish", "publish a port, at 127.0.0.1 if no address is given", "[ADDRESS:]PORT:PORT", many=True
    ),
    Row("mounts", "-v --volume", "show a host path, or a volume by its name, inside", "SRC:DST[:ro]", many=True),
    Row("mounts", "--tmpfs", "an empty tmpfs inside", "DST[:SIZE]", many=True, read=tmpfs),
    Row("mounts", "--disk", "a block device or the image of one, read-only if not rw", DISK, many=True, read=disk),
    Row("mounts", "--scratch", "a host directory inside as copy-on-write", "SRC:DST", many=True, read=scratch),
    Row(
        "mounts",
        "--mount",
        "as docker's, type=bind, volume, tmpfs or image; a bind has from=CONTAINER and owner=inside or UID:GID",
        "type=bind,src=SRC,dst=DST[,ro]",
        many=True,
        read=written,
    ),
    Row("read_only", "--read-only", "mount the root read-only"),
    Row("upper", "--upper", "where changes go: a tmpfs, or the store's disk", choices=("memory", "disk")),
    Row(
        "upper_size",
        "--upper-size",
        "the size limit of changes in memory; half of the memory limit by default",
        "SIZE",
    ),
    Row("upper_inodes", "--upper-inodes", "the number of files in changes in memory", "N", type=int, read=int),
    Row("etc_files", "--no-etc-files", "keep the image's /etc/hosts, /etc/hostname and /etc/resolv.conf", value=False),
    Row(
        "directory",
        "--directory",
        "an image that is a directory: changes above it, or in it",
        choices=("lower", "direct"),
    ),
    Row(
        "cgroup",
        "--cgroup",
        "if no cgroup can be made: fail if a limit was asked for, always, never; off: make none",
        choices=("auto", "required", "optional", "off"),
    ),
    Row(
        "cgroup_parent",
        "--cgroup-parent",
        "the cgroup that its cgroup is made in; the caller's own by default",
        "CGROUP",
    ),
    Row(
        "preset",
        "--preset",
        "which walls stand; privileged: NONE but the namespaces",
        choices=("default", "strict", "privileged"),
    ),
    Row("capabilities", "--cap", "keep only these capabilities", "NAME", many=True),
    Row("cap_add", "--cap-add", "a capability more; ALL for every one", "NAME", many=True),
    Row("cap_drop", "--cap-drop", "a capability less; ALL for every one", "NAME", many=True),
    Row("new_privileges", "--new-privileges", "let setuid programs and file capabilities work"),
    Row("seccomp", "--seccomp", '"default", "strict", "unconfined", or a file in docker\'s format', "PROFILE"),
    Row(
        "seccomp_refusal",
        "--seccomp-refusal",
        'what a refused system call gets: an errno, "kill-process", "kill-thread", "trap", "log"',
        "ACTION",
        read=_refusal,
    ),
    Row(
        "landlock", "--landlock", "Landlock's second wall; by default where it can be had", choices=_SWITCH, read=_is_on
    ),
    Row("masked_paths", "--masked-paths", "mask parts of /proc and /sys", choices=_SWITCH, read=_is_on),
    Row("rlimits", "--ulimit", "a limit of each process", "NAME=SOFT[:HARD]", many=True, read=_limit),
    Row("sysctls", "--sysctl", "a kernel parameter of its namespaces", "NAME=VALUE", many=True, read=pair),
    Row("devices", "--device", "give it a device, as /dev/fuse", "SRC[:DST][:rwm]", many=True),
    Row("devices", "--device-cgroup-rule", 'allow devices, as "c 10:229 rwm"', "RULE", many=True),
    Row(
        "device_list",
        "--device-list",
        "a list of the devices that can be opened: where it is needed and can be had, or else refuse; off",
        choices=("auto", "required", "off"),
    ),
    Row("apparmor", "--apparmor", "run programs under this AppArmor profile", "PROFILE"),
    Row("selinux", "--selinux", "run programs in this SELinux context", "CONTEXT"),
    Row("selinux_mounts", "--selinux-mounts", "the SELinux context of the files of its own mounts", "CONTEXT"),
    Row("labels_optional", "--labels-optional", "ignore a label whose security module is not active"),
    Row(
        "time_offsets",
        "--time-offset",
        "the offset of boottime or monotonic",
        "CLOCK=SECONDS",
        many=True,
        read=_time_offset,
    ),
    Row(
        "namespaces",
        "--ns",
        'a namespace: "host", "new", "container:NAME", a pid, a path',
        "KIND=FROM",
        many=True,
        read=_namespace,
    ),
)
"""In the order in which --help shows them."""


def add_rows(parser: argparse.ArgumentParser, keywords: Collection[str] = (), kind: Any = None) -> None:
    """Let them be typed: all, or those of some keywords, whose values are read as `kind`."""
    for row in ROWS:
        if keywords and row.keyword not in keywords:
            continue
        names, into = row.names.split(), dest(row)
        if row.many:
            parser.add_argument(*names, dest=into, metavar=row.metavar, action="append", default=[], help=row.help)
        elif row.choices:
            parser.add_argument(*names, dest=into, choices=row.choices, help=row.help)
        elif row.metavar:
            parser.add_argument(*names, dest=into, metavar=row.metavar, type=kind or _type(row), help=row.help)
        else:
            parser.add_argument(*names, dest=into, action="store_const", const=row.value, help=row.help)


def _type(row: Row) -> Callable[[str], Any]:
    """What argparse reads: of a limit "unlimited" too, and the same name where it can't."""
    if row.keyword not in LIMITS or row.type is str:
        return row.type

    def read(text: str) -> Any:
        return text if text in UNLIMITED else row.type(text)

    read.__name__ = row.type.__name__
    return read


def container_keywords(options: argparse.Namespace) -> dict[str, Any]:
    """What was typed, as the keywords of `Container`."""
    keywords: dict[str, Any] = {}
    for row in ROWS:
        typed = getattr(options, dest(row))
        if typed is None or (row.many and not typed):
            continue
        if not row.many:
            if row.keyword in LIMITS and typed in UNLIMITED:
                keywords[row.keyword] = NO_LIMIT
            else:
                keywords[row.keyword] = row.read(typed) if row.metavar or row.choices else typed
            continue
        read = [row.read(text) for text in typed]
        if type(read[0]) is tuple:
            known = keywords.setdefault(row.keyword, {})
            for key, value in read:
                # Rates of a device are in several rows.
                known[key] = {**known.get(key, {}), **value} if isinstance(value, dict) else value
        else:
            keywords.setdefault(row.keyword, []).extend(read)
    if "time_offsets" in keywords:
        keywords.setdefault("namespaces", {}).setdefault("time", "new")
    return keywords


def typed_rows(options: argparse.Namespace) -> list[str]:
    """What was typed, as words that `parse_rows` reads; `ValueError` if one can't be read."""
    container_keywords(options)
    words: list[str] = []
    for row in ROWS:
        typed = getattr(options, dest(row))
        name = row.names.split()[-1]
        if row.many:
            words += [word for value in typed for word in (name, value)]
        elif typed is not None:
            words += [name, str(typed)] if row.metavar or row.choices else [name]
    return words


def parse_rows(words: list[str]) -> dict[str, Any]:
    """Words that were typed once, as the keywords of `Container`."""
    import argparse

    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    add_rows(parser)
    options, rest = parser.parse_known_args(words)
    if rest:
        raise ValueError(f"there is no option {rest[0]}")
    return container_keywords(options)


def dest(row: Row) -> str:
    """The attribute that argparse puts its value into."""
    return "container" + row.names.split()[-1].replace("-", "_")
