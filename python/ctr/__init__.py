r"""Containers as a library: a tarball in, an isolated process out.

    >>> import ctr
    >>> ctr.run("host", ["echo", "hello"], capture_output=True, text=True).stdout
    'hello\n'

    >>> with ctr.Container("debian.tar.gz", memory="256M") as c:
    ...     c.run(["cat", "/etc/os-release"])
    ...     c.memory_limit = "512M"

`Container.run` and `Container.popen` take the keywords of `subprocess` and mean the same by them. Sizes are bytes, or
strings in binary units ("64M" is 64 * 2**20). Times are seconds. What goes wrong is a `ctr.Error`, an `OSError`.
`ctr.aio` has the same for asyncio and trio.
"""

# Type checkers take this name for true. Written as a plain False it would be believed by editors on jedi.
TYPE_CHECKING = bool()  # noqa: UP018
if TYPE_CHECKING:
    from subprocess import TimeoutExpired

    from . import aio as aio
    from ._container import Container
    from ._containers import ContainerInfo, containers, destroy, explain, join
    from ._errors import Error
    from ._executor import ContainerPoolExecutor, RemoteError, WorkerLost
    from ._exit import CalledProcessError, CompletedProcess, Exit
    from ._forward import Forward
    from ._image import (
        Applied,
        Difference,
        Image,
        ImageConfig,
        Progress,
        Pruned,
        build_image,
        disk_use,
        image,
        images,
        import_image,
        prune,
    )
    from ._limits import LimitInForce, Limits, ListInForce
    from ._monitor import Sample
    from ._mounts import MountInfo
    from ._networks import Network, network, networks
    from ._options import Bind, Disk, ImageTree, Scratch, Tmpfs
    from ._popen import Popen
    from ._probe import Check, probe
    from ._run import run
    from ._stats import Pressure, Stall, Stats
    from ._this_python import ThisPython, this_python
    from ._volumes import Volume, prune_volumes, volume, volumes
    from ._walls import Wall
    from ._watch import Event, PressureThreshold, Watch

    __version__: str

__all__ = [
    "Applied",
    "Bind",
    "CalledProcessError",
    "Check",
    "CompletedProcess",
    "Container",
    "ContainerInfo",
    "ContainerPoolExecutor",
    "DEVNULL",
    "Difference",
    "Disk",
    "Error",
    "Event",
    "Exit",
    "Forward",
    "Image",
    "ImageConfig",
    "ImageTree",
    "LimitInForce",
    "Limits",
    "ListInForce",
    "MountInfo",
    "Network",
    "PIPE",
    "Popen",
    "Pressure",
    "PressureThreshold",
    "Progress",
    "Pruned",
    "RemoteError",
    "STDOUT",
    "Sample",
    "Scratch",
    "Stall",
    "Stats",
    "ThisPython",
    "TimeoutExpired",
    "Tmpfs",
    "Volume",
    "Wall",
    "Watch",
    "WorkerLost",
    "build_image",
    "containers",
    "destroy",
    "disk_use",
    "explain",
    "image",
    "images",
    "import_image",
    "join",
    "network",
    "networks",
    "probe",
    "prune",
    "prune_volumes",
    "run",
    "this_python",
    "volume",
    "volumes",
]

# The numbers of subprocess.
PIPE = -1
STDOUT = -2
DEVNULL = -3

# Loaded when first asked for, so that `import ctr` costs next to nothing.
_ROOMS = {
    "Applied": "_image",
    "Bind": "_options",
    "CalledProcessError": "_exit",
    "Check": "_probe",
    "CompletedProcess": "_exit",
    "Container": "_container",
    "ContainerInfo": "_containers",
    "ContainerPoolExecutor": "_executor",
    "Difference": "_image",
    "Disk": "_options",
    "Error": "_errors",
    "Event": "_watch",
    "Exit": "_exit",
    "Forward": "_forward",
    "Image": "_image",
    "ImageConfig": "_image",
    "ImageTree": "_options",
    "LimitInForce": "_limits",
    "Limits": "_limits",
    "ListInForce": "_limits",
    "MountInfo": "_mounts",
    "Network": "_networks",
    "Popen": "_popen",
    "Pressure": "_stats",
    "PressureThreshold": "_watch",
    "Progress": "_image",
    "Pruned": "_image",
    "RemoteError": "_executor",
    "Sample": "_monitor",
    "Scratch": "_options",
    "Stall": "_stats",
    "Stats": "_stats",
    "ThisPython": "_this_python",
    "TimeoutExpired": "_exit",
    "Tmpfs": "_options",
    "Volume": "_volumes",
    "Wall": "_walls",
    "Watch": "_watch",
    "WorkerLost": "_executor",
    "build_image": "_image",
    "containers": "_containers",
    "destroy": "_containers",
    "disk_use": "_image",
    "explain": "_containers",
    "image": "_image",
    "images": "_image",
    "import_image": "_image",
    "join": "_containers",
    "network": "_networks",
    "networks": "_networks",
    "probe": "_probe",
    "prune": "_image",
    "prune_volumes": "_volumes",
    "run": "_run",
    "this_python": "_this_python",
    "volume": "_volumes",
    "volumes": "_volumes",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":
        value: object = import_module("ctr._ctr").version()
    elif name == "aio":
        # Only for who asks for it: it needs anyio.
        value = import_module("ctr.aio")
    elif name in _ROOMS:
        value = getattr(import_module("ctr." + _ROOMS[name]), name)
    elif name.endswith("Error"):
        # ctr.FileNotFoundError and its like: what a ctr.Error is raised as.
        value = import_module("ctr._errors").SUBCLASSES.get(name)
    else:
        value = None
    if value is None:
        raise AttributeError(f"module 'ctr' has no attribute {name!r}")
    globals()[name] = value
    return value


def load_ipython_extension(shell: object) -> None:
    """`%load_ext ctr`: `%%ctr IMAGE` runs a cell in a container; `%ctr --help` shows how."""
    from ._magic import load_ipython_extension as load

    load(shell)


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__, "__version__", "aio"})
