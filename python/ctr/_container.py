"""`Container`: a running container."""

from __future__ import annotations

import os
import signal as _signal
import warnings
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from . import _ctr, _inside, _programs, _sockets
from ._errors import Error
from ._options import check_keywords, container_options, mount_option
from ._progress import told
from ._rows import Rows, Script
from ._types import (
    ContainerOptions,
    ImageSource,
    Mount,
    OnProgress,
    Path,
    Port,
    Self,
    Size,
    Unpack,
    Writable,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from ._forward import Forward
    from ._image import Applied, Config, Difference, Image, ImageConfig
    from ._limits import Limits, List, Number, Told
    from ._monitor import Monitor
    from ._mounts import MountInfo
    from ._sockets import Address
    from ._stats import Stats
    from ._walls import Wall
    from ._watch import EventKind, Watch

_CHANGES = ("added", "changed", "deleted")


def _differences(lines: Iterable[tuple[str, int]]) -> list[Difference]:
    from ._image import Difference

    return Rows(Difference(path, _CHANGES[change]) for path, change in lines)


class _Signature:
    """Every keyword of `Container`, for `inspect.signature` and those who ask it; made when it is asked for."""

    def __get__(self, instance: object, owner: object) -> Any:
        from inspect import Parameter, Signature

        if instance is not None:
            raise AttributeError("a Container can't be called")
        image = Parameter("image", Parameter.POSITIONAL_OR_KEYWORD, default="host", annotation="ImageSource")
        options = []
        for name, annotation in ContainerOptions.__annotations__.items():
            written = getattr(annotation, "__forward_arg__", annotation)
            # None leaves an option to the core, also where no type checker lets it be given.
            options.append(Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=written))
        return Signature([image, *options])


class Container:
    """A running container, made from a tarball, a directory, or "host": this machine's own system, read-only.

    At the end of a `with` block everything in it is killed and all that was made for it is removed. A container also
    ends with the process that made it, however that ends, unless it is `detached`.

    Any thread may call any method at any time. In a forked child nothing can be done with the object (`ctr.Error`), the
    end of a `with` block ends nothing, and the child's end is not the container's: `ctr.join(name)` gives it one of
    its own.
    """

    # So that setting a misspelled limit is an error.
    __slots__ = ("__weakref__", "_holder", "_native", "_owned")

    _native: _ctr.Container
    _owned: bool
    _holder: int

    __signature__ = _Signature()

    def __init__(self, image: ImageSource = "host", **options: Unpack[ContainerOptions]) -> None:
        """Make a container.

        Args:
            image: A tarball, an archive of `docker save`, an OCI layout ("x.tar:NAME" chooses one of several in it), a
                directory, an `Image`, its name or digest, or "host". What begins with a slash or a dot is a path, and
                so is a name that no image has.
            name: What `ctr.join` takes; a random one by default.
            hostname: The hostname inside; the name by default.
            domainname: The NIS domain name inside; the host's by default.
            env: Environment of every process, over the defaults (PATH, HOME, HOSTNAME).
            mounts: `Bind`, `Tmpfs`, `Volume`, `Disk`, `Scratch`, `ImageTree`, (source, target), (source, target, "ro")
                or "source:target:ro", in order. In these last words a source without a slash is the name of a volume,
                as in docker.
            memory: Memory limit, "256M" or bytes; no limit by default, 512 MiB in the preset "strict". "unlimited" is
                none there too, and so it is for every limit below.
            memory_high: Memory above which it is slowed down and nothing is killed; cgroup v2 only.
            memory_low: Memory that is reclaimed last, where the machine has too little: a bid, no promise.
            swap: Swap that it may use besides its memory, "1G" or 0; none by default where memory is limited. On cgroup
                v1 it takes a memory limit.
            pids: How many processes and threads it may have at one time; no limit by default, 128 in the preset
                "strict".
            cpus: Processor time that all its programs have together, 0.5 or 2; no limit by default.
            cpu_weight: Its share of processors that others want too, 1 to 10000; others have 100.
            cpuset: The processors that it may run on, "0-1,3".
            cpuset_mems: The memory nodes that it may have memory from, "0".
            io: How fast it may use block devices, as {"/dev/sda": {"rbps": "10M", "wiops": 100}}: bytes (rbps, wbps)
                and operations (riops, wiops) a second of a device, of any path that lies on it, or of "8:0". Or lines,
                as ["/dev/sda rbps=10485760"].
            io_weight: Its share of block devices that others want too, 1 to 10000; others have 100. It takes the
                scheduler BFQ, or the io cost model of cgroup v2.
            hugetlb: How much of the huge pages it may use, by the size of a page, as {"2M": "64M"}.
            lifetime: After how many seconds it ends, with all that runs in it; `end_reason` is "timed out" then.
            cpu_time: After how much CPU time of all that runs in it together it ends: "out of cpu time".
            network: "none" (only loopback; the default), "host", "container:NAME", a path of a namespace, or the name
                of a `ctr.network`, in which it finds the other members by name, and they it.
            ip: The IPv4 address that it has in its named network; a free one by default.
            aliases: What it is called in its named network, besides its name and its hostname.
            cgroup: What happens if no cgroup can be made: "auto" fails if a limit was asked for, "required" always,
                "optional" never (a limit that can't be set is then a `UserWarning`); "off" makes none.
            cgroup_parent: The cgroup below which its cgroup is made: "/batch/job1" below the mount point of the
                hierarchy, or a path relative to the caller's own cgroup, which is the default where possible.
            ports: Ports of this machine that lead into it from its first moment on, as {"127.0.0.1:8080": 80}: see
                `Container.forward`. Or docker's, as ["8080:80"], at 127.0.0.1 if no address is given.
            namespaces: A choice for "mount", "pid", "user", "uts", "ipc", "cgroup", "net" or "time": "new", "host",
                "container:NAME", a pid, a path, or a `Container`. Joining one takes rights in the user namespace that
                owns it: join that as well, or, as root of the machine, set "user" to "host".
            read_only: Mount the root read-only.
            upper: Where changes go: a tmpfs that vanishes with the container, or a directory in the store. Before Linux
                6.6 it is the directory always.
            upper_size: How many bytes changes in memory may take, "1G", together with /dev/shm, the /tmp of a read-only
                root, and every `Tmpfs` without a size; a write beyond that fails with ENOSPC. At least "1M"; by
                default half of the memory limit, or half of the machine's memory without one.
            upper_inodes: How many files, directories and links changes in memory may have, together with the same
                places; one more fails with ENOSPC. At least 256; by default one for each 4 KiB of what they may take.
            directory: How an image that is a directory is used: as a lower layer that is never written to, or directly.
            etc_files: Mount an /etc/hosts, /etc/hostname and /etc/resolv.conf of its own over the image's, as docker.
            detached: Outlive this process, until someone calls `destroy`.
            capabilities: What root inside may do, by name; docker's default set less NET_RAW by default.
            cap_add: Capabilities besides those, by name; "ALL" stands for every one.
            cap_drop: Capabilities to remove from those, as docker does.
            new_privileges: Let setuid programs and file capabilities work.
            masked_paths: Mask parts of /proc and /sys, and make others read-only; as the preset says by default.
            landlock: Restrict the container by Landlock besides seccomp, or fail where the kernel can't; by default as
                the preset says, where the kernel can.
            preset: Which walls stand: "default", docker's; "strict", for programs of strangers; "privileged", NO WALLS
                BUT THE NAMESPACES, for programs that you trust. The other keywords override it.
            seccomp: The system calls that are allowed: "default", "strict", "unconfined", or docker's JSON as a path or
                a dict.
            seccomp_refusal: What a refused system call does: an errno, "kill-process", "kill-thread", "trap", "log".
            rlimits: Limits of each process by name, as {"nofile": 1024}, {"nofile": (soft, hard)} or {"fsize": "1M"};
                None is no limit.
                The others are those of the thread that starts a program, at that moment.
            sysctls: Kernel parameters of the container's own namespaces.
            time_offsets: Offsets in seconds of the clocks "monotonic" and "boottime" in a time namespace of the
                container's own, as namespaces={"time": "new"}, time_offsets={"boottime": 86400.0}.
            devices: As docker's --device, "/dev/fuse" or "/dev/ttyS0:/dev/modem:rw": a node of the host, seen inside.
                And as its --device-cgroup-rule, "c 10:229 rwm".
            device_list: Whether a list in its cgroup says which devices can be opened: "auto", if devices are given, in
                the preset "strict" and without a user namespace, as far as the machine allows; "required"; "off".
            apparmor: The AppArmor profile that programs run under, by name; it is loaded already, or "unconfined".
            selinux: The SELinux context that programs run in.
            selinux_mounts: The SELinux context of the files of the container's own mounts.
            labels_optional: Ignore a label whose security module is not active on this machine.
            state_dir: Where running containers are recorded; $CTR_STATE_DIR by default, and else the first of these
                that is, or can be made, this user's own: /run/ctr (root), $XDG_RUNTIME_DIR/ctr, /run/user/UID/ctr,
                /dev/shm/ctr-UID, /tmp/ctr-UID, $HOME/.local/state/ctr.
            store_dir: Where images are kept; $CTR_STORE_DIR by default, and else /var/lib/ctr for root and
                $XDG_DATA_HOME/ctr for others.
            progress: Called with a `Progress` some ten times a second while the image is imported, which happens the
                first time only. What it raises ends that.
            **options: Those above, but for the image; None leaves one as it is by default.
        """
        check_keywords("Container", options, ContainerOptions.__annotations__)
        self._hold(made(_ctr.Container.create, image, options), owned=not options.get("detached"))
        for warning in self._native.warnings():
            warnings.warn(warning, stacklevel=2)

    def _hold(self, native: _ctr.Container, *, owned: bool) -> None:
        self._native = native
        self._owned = owned
        self._holder = os.getpid()

    @classmethod
    def _joined(cls, native: _ctr.Container) -> Self:
        container = cls.__new__(cls)
        container._hold(native, owned=False)
        return container

    # What starts programs is a file of its own.
    run = _programs.run
    popen = _programs.popen
    image_command = _programs.image_command
    end_reason = property(_programs.end_reason)

    # So are its files.
    open = _inside.open
    read_bytes = _inside.read_bytes
    write_bytes = _inside.write_bytes
    listdir = _inside.listdir
    stat = _inside.stat
    copy_in = _inside.copy_in
    copy_out = _inside.copy_out

    @property
    def name(self) -> str:
        """The name that `ctr.join` takes; empty for a joined pid."""
        return self._native.name

    @property
    def pid(self) -> int:
        """The pid of the container's PID 1 on the host."""
        return self._native.pid

    @property
    def running(self) -> bool:
        """Whether it runs: neither destroyed nor ended from outside."""
        return self._native.is_running()

    def fileno(self) -> int:
        """A pidfd of the container's PID 1, readable when the container has ended; for an event loop of your own."""
        return self._native.pidfd()

    @property
    def image_config(self) -> ImageConfig:
        """What its image says about how it is run; empty if there is no image or it says nothing."""
        from ._image import config_from

        return config_from(self._native.image_config())

    @property
    def image_digest(self) -> str | None:
        """The digest of its image, which `ctr.image` takes; None where it was made from no image of the store."""
        return self._native.image_digest()

    @property
    def memory_limit(self) -> int | None:
        """The memory limit in bytes, None if there is none (or no cgroup); set it, live, to bytes, "512M" or None."""
        return self._native.memory_limit()

    @memory_limit.setter
    def memory_limit(self, limit: Size | None) -> None:
        self.set_limit("memory", limit)

    @property
    def memory_usage(self) -> int:
        """Bytes in use now."""
        return self._native.memory_usage()[0]

    @property
    def memory_peak(self) -> int:
        """The most bytes that ever were in use."""
        return self._native.memory_usage()[1]

    @property
    def oom_kills(self) -> int:
        """How many of its processes, programs or their children, the kernel has OOM killed so far."""
        return self._native.oom_kills()

    @property
    def pids_limit(self) -> int | None:
        """How many processes and threads it may have, None if there is no limit. It can be set, live."""
        return self._native.pids_limit()

    @pids_limit.setter
    def pids_limit(self, limit: int | None) -> None:
        self.set_limit("pids", limit)

    @property
    def cpu_limit(self) -> float | None:
        """How many processors' time its programs have together, None where there is no limit; can be set, live."""
        return self.limit("cpus")

    @cpu_limit.setter
    def cpu_limit(self, limit: float | None) -> None:
        self.set_limit("cpus", limit)

    @overload
    def limit(self, which: Number) -> float | None: ...

    @overload
    def limit(self, which: List) -> Told: ...

    def limit(self, which: str) -> float | Told:
        """A limit as the kernel has it, by its keyword; None where there is none.

        Bytes, processes, processors, weights; "0-1,3" of processors and memory nodes; of `io` and `hugetlb` a dict,
        with devices as "MAJOR:MINOR" and pages as "2MB".
        """
        from ._limits import told

        return told(self._native, which)

    def set_limit(self, which: Number | List, value: Any) -> None:
        """Set a limit, live, to what its keyword takes; None or "unlimited" lifts it.

        Of `io` and `hugetlb` it is all that is limited from then on. On cgroup v1 the first limit of a kind that the
        container was made without takes about 10 ms for each of its processes.
        """
        from ._limits import change

        change(self._native, which, value)

    def limits(self) -> Limits:
        """Every limit: the container's own, and as it holds in the end, since a cgroup above may have a lower one.

        Without a cgroup of its own those of its caller's hold.
        """
        from ._limits import LimitInForce, Limits, ListInForce, told_list, told_number

        told: dict[str, Any] = {}
        for name, own, effective in self._native.limits():
            told[name] = LimitInForce(told_number(name, own), told_number(name, effective))
        for name, own_list, effective_list in self._native.list_limits():
            told[name] = ListInForce(told_list(name, own_list), told_list(name, effective_list))
        return Limits(**told)

    def export(
        self,
        target: Writable,
        *,
        compression: Literal["none", "gzip", "zstd"] = "none",
        progress: OnProgress | None = None,
    ) -> int:
        """Write its files as a tarball, as `docker export`, while it runs; how many bytes it has.

        That is its root, with owners as they are inside, without what is mounted on it (/proc, /dev, binds, tmpfs; of
        "host" that is nearly everything). The same files give the same bytes; with SOURCE_DATE_EPOCH in the environment
        no file is younger than that. A path appears when it is whole; what ends it early leaves none. If the root's own
        file system does not answer (a directory on a FUSE, the root of a joined pid), there is no bound, and `progress`
        is not called meanwhile.

        Args:
            target: A path, a file object (binary) or a descriptor.
            compression: Of the tarball.
            progress: Called with a `Progress` about ten times a second. An exception that it raises ends the export.
                True shows a bar.
        """
        from ._files import writing

        with writing(target) as opened, told(progress, "exporting", self.name) as call:
            return self._native.export(opened, {"compression": compression}, call)

    def diff(self, target: Path | None = None) -> list[Difference]:
        """What it has changed of its image, as `docker diff`, by path. Volumes hold data and are left out.

        Args:
            target: The place of a `Scratch` mount: what has changed beneath it, compared with the host's directory as
                that is now. That a directory has another time is no change.
        """
        return _differences(self._native.diff() if target is None else self._native.diff_scratch(target))

    def apply(self, target: Path, *, conflicts: Literal["refuse", "keep", "overwrite"] = "refuse") -> Applied:
        """Carry what has changed beneath a `Scratch` mount over to the host's directory.

        Each file is whole at any moment: the old one or the new one. The container runs on; what a program writes to
        meanwhile may be carried over in part, and the next time gets the rest. Files belong to whom they would belong
        if the directory were bound. Set-user-ID and set-group-ID bits of files and their capabilities are left out,
        devices and sockets are not made.

        A file that was changed on the host too, after the mount was made or last applied, is a conflict; so is a
        directory that the container has deleted or replaced and in which the host has changed something. It is told by
        the time of change (`st_ctime`).

        Args:
            target: The place of the mount.
            conflicts: "refuse" applies nothing if there are any, and raises `FileExistsError`, a `ctr.Error` that names
                them; "keep" leaves the host's files as they are, and applies the rest; "overwrite" has the container's
                files take their place.
        """
        from ._image import Applied

        return Applied(*map(_differences, self._native.apply_scratch(target, conflicts)))

    def discard(self, target: Path) -> None:
        """Drop what has changed beneath a `Scratch` mount: a new mount of the host's directory takes its place.

        Programs that have files or directories of the old one open, or work in it, keep these; for a moment there is an
        empty directory. `ctr.Error` with EBUSY while something else is mounted on it.

        Args:
            target: The place of the mount.
        """
        self._native.discard_scratch(target)

    def stats(self) -> Stats:
        """What it uses now: memory by kind, time of processors, processes, input and output, OOM kills, pressure.

        The kernel is asked, not the container, which may be paused. What is not counted on this machine is None.
        """
        from ._stats import stats_from

        return stats_from(self._native.stats())

    def watch(self, *kinds: EventKind) -> Watch:
        """Watch what happens to it from now on: an iterator of `ctr.Event`, which ends with the container.

            with c.watch("oom_kill", "exit") as events:
                for event in events:
                    print(event.kind, event.count, event.exit)

        What the kernel counts is compared, so nothing is lost, however late it is asked: what has happened several
        times since comes as one event with its count. "exit" is told of programs that this object starts from now on,
        and of those that `Watch.add` is given. A container that was joined can be watched as well. docs/watching.md has
        what tells of what.

        Args:
            kinds: Those wanted, as "oom_kill" and "exit"; `Event.kind` has all. Each
                has to be had here. By default all that can be. "end" always comes.
        """
        from ._watch import Watch

        return Watch(self._native.watch(kinds))

    def monitor(self, interval: float = 1.0, count: int | None = None) -> Monitor:
        """Samples of what it uses, one each `interval` seconds, until it ends: flat rows, with rates, for a plot.

            frame = pandas.DataFrame(c.monitor(0.5, count=60))
            frame.plot("elapsed", ["cpu", "memory"], subplots=True)

        As the last line of a notebook's cell it is drawn: processors and memory, live, until the container ends,
        `count` samples are there, or it is drawn anew.

        The first comes an interval after this call. They are taken while the iterator is asked, in the caller's thread;
        one that is asked for late is late, and its rates are those of the longer time. Two are at least half an
        interval apart.

        Args:
            interval: Seconds between two samples.
            count: How many; None is until the container ends.
        """
        from ._monitor import Monitor

        return Monitor(self, interval, count)

    def kill_all(self, signal: int = _signal.SIGKILL) -> None:
        """Send a signal to every program inside and to all that they have started; the container lives on.

        SIGKILL ends them all, however they fork meanwhile. In the namespaces of a joined pid, and in a PID namespace
        that is shared, those are the programs that `run` and `popen` have started, and their descendants.
        """
        self._native.kill_all(signal)

    def mount(self, source: Path | Mount, target: Path | None = None, *, read_only: bool = False) -> None:
        """Mount something into it while it runs: programs inside see it at once, nobody on the host does.

        Everything is as for the keyword `mounts`: the same places, whose files they are, no setuid programs and no
        devices; a `Tmpfs` without a size, and what a `Scratch` has changed, may be as large as the changes. It ends
        with `unmount` or with the container. Programs that have made a mount namespace of their own don't see it.

            >>> c.mount("data", "/data", read_only=True)
            >>> c.mount(ctr.volume("cache"), "/cache")
            >>> c.mount(ctr.Tmpfs("/scratch", size="64M"))
            >>> c.mount(ctr.Disk("data.img", "/srv/data", partition=2))
            >>> c.mount(ctr.Bind("/srv/www", "/www", from_container="web", read_only=True))
            >>> c.mount(ctr.ImageTree("tools", "/tools"))

        `ctr.Error` with EBUSY if the caller has mounted something there already; with EINVAL in /proc and /sys, also by
        way of links inside.

        Args:
            source: A path on the host or a volume, with a `target`; or a whole mount, as in `mounts`: a `Bind`, a
                `Tmpfs`, a `Volume`, a `Disk`, a `Scratch`, "source:target:ro".
            target: An absolute path inside; it is made where it is missing.
            read_only: Nothing can be written through it, nor through what is mounted below it.
        """
        if target is not None:
            source = (cast("Any", source), target, "ro" if read_only else "rw")
        elif read_only:
            raise TypeError('read_only goes with source and target; else say it in the mount: "source:target:ro"')
        self._native.mount(mount_option(source))

    def mounts(self) -> list[MountInfo]:
        """What was mounted into it by the keyword `mounts` and by `mount`, also by who joined it, in that order.

        It is what `unmount` takes off; `inspect()["mounts"]` has also what is the container's own.
        """
        from ._mounts import MountInfo

        return Rows(MountInfo(*parts) for parts in self._native.mounts())

    def unmount(self, target: Path, *, lazy: bool = False) -> None:
        """Take off what `mount` or the keyword `mounts` has mounted at `target`; the last one if there are several.

        What is mounted below it goes with it. `ctr.Error` with EBUSY while programs use it, `FileNotFoundError` if
        nothing was mounted there; EINVAL for what the container has for itself, as /proc and /dev.

        Args:
            target: The place inside, as it was given.
            lazy: If programs use it, it is gone for all others, and ends with its last use, as `umount -l`.
        """
        self._native.unmount(target, lazy)

    def connect(
        self, address: Address, *, type: int = _sockets.SOCK_STREAM, timeout: float | None = None
    ) -> socket.socket:
        """A socket of this process that is connected to a server inside: no port is published, and it needs no rights.

            >>> c.wait_for_port(5432)
            >>> s = c.connect(("127.0.0.1", 5432))

        `ConnectionRefusedError` if nothing listens there, `TimeoutError`, `FileNotFoundError` of a path; all are
        `ctr.Error`. Set a timeout on the socket before you read from a program that you don't trust. In a container
        that shares the host's network it is a socket of the host's.

        Args:
            address: (address, port), of which the first is an IPv4 or IPv6 address or "localhost", which is 127.0.0.1:
                no other name is looked up; a port alone is one of 127.0.0.1. Or the absolute path of a Unix socket
                inside; who connects there is the container's root.
            type: `socket.SOCK_STREAM` (TCP) or `socket.SOCK_DGRAM` (UDP).
            timeout: How many seconds connecting may take; None is as long as the kernel tries, about two minutes.
        """
        return _sockets.connect(self._native, address, type, timeout)

    def listen(self, address: Address, *, type: int = _sockets.SOCK_STREAM) -> socket.socket:
        """A socket of this process that listens inside: programs of the container connect to it, and nobody else can.

        Any port below 1024 too, for any user, if the network is the container's own; EADDRINUSE if it is in use.

        Args:
            address: As for `connect`, but no path; port 0 is a free one, which `getsockname` tells.
            type: `socket.SOCK_STREAM` (TCP), or `socket.SOCK_DGRAM` (UDP), which is bound there.
        """
        return _sockets.listen(self._native, address, type)

    def wait_for_port(self, address: Address, timeout: float | None = 10.0) -> None:
        """Wait until something inside listens for TCP at (address, port), or a port of 127.0.0.1.

        It is tried by connecting: whoever listens accepts one connection that is closed at once. `TimeoutError` if
        nothing listens in so many seconds, `ProcessLookupError` if the container ends meanwhile.
        """
        _sockets.wait_for_port(self._native, address, timeout)

    def forward(self, address: Port, to: Port) -> Forward:
        """Publish a TCP port of the container at one of this machine: for what takes an address and no socket.

            >>> with c.forward(("127.0.0.1", 8080), 80):
            ...     urllib.request.urlopen("http://127.0.0.1:8080/")

        It works without any network, for ordinary users too, and makes no route and no rule. A process of ctr's
        forwards; it belongs to the container and not to the caller: it ends by `Forward.close` or with the container.
        `OSError` with EADDRINUSE if somebody has that port.

        Args:
            address: (address, port) of this machine, "127.0.0.1:8080", or a port of 127.0.0.1, where this machine alone
                can connect; at "0.0.0.0" everybody can who reaches it. Port 0 is a free one, which
                `Forward.address` tells.
            to: The same inside.
        """
        from ._forward import forward

        return forward(self._native, address, to)

    @property
    def ports(self) -> list[Forward]:
        """The ports of this machine that lead into it, whoever has published them."""
        from ._forward import ports

        return ports(self._native)

    @property
    def addresses(self) -> dict[str, list[str]]:
        """The named networks that it is in, and its addresses there, IPv4 first: {"web": ["10.201.0.2"]}."""
        return dict(self._native.addresses())

    def pause(self, timeout: float | None = 10.0) -> None:
        """Stop every process inside where it is, as `docker pause`; one that is paused already stays so.

        The processes keep all that they have, their memory above all; clocks and time limits run on. While it is
        paused, what needs an answer from inside (`run`, `popen`, `kill_all`, `export`, `diff`, `commit`) raises
        `ctr.Error` with EBUSY. Signals reach programs when it is resumed, but SIGKILL on cgroup v2 at once; `wait`
        waits for that. `stop` resumes it, `destroy` ends it as any other.

        Args:
            timeout: How many seconds that may take; if some process has not stopped by then, `TimeoutError` is raised
                and the container runs on. None is as long as it takes. The first pause takes about 10 ms for each
                process on cgroup v1, any other less than a millisecond.
        """
        self._native.pause(timeout)

    def resume(self) -> None:
        """Let it go on; one that runs already is no error.

        `ctr.Error` with EBUSY if it stands still all the same, because a cgroup above its own is frozen.
        """
        self._native.resume()

    @property
    def paused(self) -> bool:
        """Whether it stands still: by `pause`, of whomever, or because a cgroup above its own is frozen."""
        return self._native.paused()

    def stop(self, timeout: float | None = 10.0) -> None:
        """End it as `docker stop`: ask its programs to end, wait for them at most `timeout` seconds, destroy it.

        They are asked by the image's stop signal, SIGTERM where the image names none. What a program has started itself
        is left to that program; all that still runs in the end is killed. None waits as long as it takes.
        """
        self._native.stop(timeout)

    def commit(
        self, name: str | None = None, *, config: Config | None = None, progress: OnProgress | None = None
    ) -> Image:
        """Make an image of its files, as `docker commit`, while it runs: its image's layers and one of the difference.

        Args:
            name: A name for the image; taken from the image that had it.
            config: How it is run: an `ImageConfig`, or a dict of what is to be otherwise than in the container's image,
                of which "env" and "labels" are added to that's.
            progress: Called with a `Progress` about ten times a second. An exception that it raises ends the work,
                which leaves nothing. True shows a bar.
        """
        from ._image import Image, make_options

        options = make_options(name, config, self.image_config)
        with told(progress, "committing", self.name) as call:
            return Image(self._native.commit(options, call), self._native.store_dir())

    def snapshot(
        self, name: str | None = None, *, config: Config | None = None, progress: OnProgress | None = None
    ) -> Image:
        """Make an image of its changes as they lie there: `commit` without packing, for a new starting point.

        It takes as long as to copy what was changed; where that and the store are on one file system that can do so
        (`upper="disk"` on btrfs or xfs), files share their blocks. All in the container stands still meanwhile, as by
        `pause`, where its cgroup allows that: then the image is what there was at one moment. Its layer is known in
        this store only, and gets its digest when it is saved.

        Args:
            name: A name for the image; taken from the image that had it.
            config: How it is run, as for `commit`.
            progress: Called with a `Progress` about ten times a second. An exception that it raises ends the work,
                which leaves nothing. True shows a bar.
        """
        from ._image import Image, make_options

        options = make_options(name, config, self.image_config)
        with told(progress, "copying", self.name) as call:
            return Image(self._native.snapshot(options, call), self._native.store_dir())

    def walls(self) -> list[Wall]:
        """Every wall, whether it stands and why, as the kernel shows them now; also of a container that was joined.

        Of a joined pid they are the walls around what this object starts.
        """
        from ._walls import Wall

        return Rows(Wall(*parts) for parts in self._native.walls())

    def inspect(self) -> dict[str, Any]:
        """A description of it: what `libctr inspect` prints.

        Its "name", "pid", "paused", "image", "image_digest", "created" (seconds since the epoch), "owner", "detached",
        "preset", "warning" (where it is privileged), "state_dir", "store_dir", "upper", "cgroups", "cgroup_place",
        "warnings" (of limits that were dropped, and of a store that can't be id-mapped), "limits", "network",
        "namespaces", "uid_map", "capabilities", "mounts", "given_mounts" (those of `mounts`) and "walls".
        Later releases may add keys.
        """
        import json

        told: dict[str, Any] = json.loads(self._native.inspect())
        return told

    def explain(self) -> str:
        """Its walls, and what was done to make it, as the shell commands that a person would type."""
        return Script(self._native.explain())

    def destroy(self) -> None:
        """Kill every process inside and remove all that was made for it. It works in any state, and twice too."""
        self._native.destroy()

    def close(self) -> None:
        """Release the handle: a joined or detached container lives on, one that this process made is destroyed."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._owned and os.getpid() == self._holder:
            self.destroy()
        self.close()

    def __reduce__(self) -> Any:
        raise TypeError("a Container can't be pickled or copied: send its name, and there ctr.join(name)")

    def __repr__(self) -> str:
        state = "" if self.running else " (ended)"
        if state and not self._owned:
            try:
                _ = self.pid
            except Error:
                # Nobody can tell by this handle any more.
                state = " (closed)"
        return f"<ctr.Container {self.name!r}{state}>"

    def _repr_html_(self) -> str:
        from ._display import container

        return container(self)


def made(make: Callable[..., Any], image: ImageSource, options: ContainerOptions) -> Any:
    """What the core makes of an image and options. An `Image` is its digest, in the store that it is in."""
    given: dict[str, Any] = {**options}
    progress = given.pop("progress", None)
    if not isinstance(image, (str, bytes, os.PathLike)):
        if not hasattr(image, "digest"):
            raise TypeError(f"an image is a path, a name or a ctr.Image, not {type(image).__name__}")
        if given.get("store_dir") is None:
            given["store_dir"] = image.store_dir
        image = image.digest
    options_of_core = container_options(**given)
    with told(progress, "importing", image) as call:
        return make(image, options_of_core, call)


def text_of(path: Path | None) -> str | None:
    return None if path is None else os.fsdecode(path)
