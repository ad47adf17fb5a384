"""`this_python`: the interpreter that runs us, with its packages, inside a container."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from ._options import Bind

# What the image "host" has of this machine; see the core's rootfs.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc")


class ThisPython(NamedTuple):
    """How a container sees the interpreter that runs us: keywords for `ctr.Container`."""

    mounts: list[Bind]
    """Its directories, read-only, at the same places."""
    env: dict[str, str]
    """PATH and PYTHONPATH as this interpreter needs them."""


def this_python() -> ThisPython:
    """Mounts and environment that show this interpreter and its packages inside: `sys.executable` runs there.

    A virtual environment, pyenv, the user's site-packages, installed projects that are edited in place and what
    PYTHONPATH names are seen at the places that they have here, read-only. The directory of the script that runs us and
    the working directory are not: they may hold what is nobody's business inside. What lies in /usr is not mounted: the
    image "host" has it, and in another image it would be over the image's own.

        >>> mounts, env = ctr.this_python()
        >>> ctr.run("host", [sys.executable, "-c", "import numpy"], mounts=mounts, extra_env=env)
    """
    named = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    own = _own()
    found = (os.path.abspath(path) for path in sys.path if path)
    paths = [*map(os.path.abspath, named), *(path for path in found if os.path.realpath(path) not in own)]
    paths = [path for path in dict.fromkeys(paths) if os.path.exists(path)]
    # An interpreter is found by links: venv/bin/python leads to that which the environment was made from.
    # A program that embeds one may have none.
    program = sys.executable or os.path.join(sys.prefix, "bin", "python3")
    programs = {os.path.dirname(program), os.path.dirname(os.path.realpath(program))}
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    seen: list[str] = []
    for path in sorted({*map(os.path.abspath, (*prefixes, *programs)), *paths}):
        if path != "/" and not _below(path, (*_SYSTEM, *seen)):
            seen.append(path)
    env = {"PATH": os.pathsep.join((os.path.dirname(program), "/usr/local/bin", "/usr/bin", "/bin"))}
    home = tuple(map(os.path.abspath, prefixes))
    extra = [path for path in paths if not _below(path, home)]
    if extra:
        env["PYTHONPATH"] = os.pathsep.join(extra)
    # Nothing can be written there.
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    return ThisPython([Bind(path, path, read_only=True) for path in seen], env)


def _own() -> set[str]:
    """What Python has put first into sys.path for what it runs: a script's directory; for -m the working directory."""
    if getattr(sys.flags, "safe_path", False):
        return set()
    own = sys.path[:1]
    # Many a script puts something before it.
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    if getattr(main, "__spec__", None) is not None:
        own.append(os.getcwd())
    elif file:
        own.append(os.path.dirname(os.path.abspath(file)))
    return {os.path.realpath(path) for path in own if path}


def _below(path: str, directories: tuple[str, ...]) -> bool:
    return any(path == directory or path.startswith(directory.rstrip("/") + "/") for directory in directories)
