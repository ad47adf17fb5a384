"""The keywords of `Container.popen` that say how a program is started, as `_ctr` takes them."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from ._errors import refused
from ._options import mapping
from ._sizes import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._types import Argv, Path, PopenOptions, Pty, Unpack

PIPE, STDOUT = -1, -2
_STREAMS = {PIPE: "pipe", STDOUT: "stdout", -3: "null"}


def unexpected(function: str, key: str) -> TypeError:
    """What Python says of a keyword that a function doesn't have."""
    return TypeError(f"{function}() got an unexpected keyword argument {key!r}")


def check_idle(
    preexec_fn: None = None,
    startupinfo: None = None,
    creationflags: int = 0,
    close_fds: bool | None = True,
    restore_signals: bool | None = True,
) -> None:
    """Of subprocess's keywords those that can mean nothing here: each has to be idle."""
    if preexec_fn is not None:
        raise ValueError("preexec_fn is not supported: no code of this program runs inside a container")
    if startupinfo is not None:
        raise ValueError("startupinfo is only supported on Windows platforms")
    if creationflags != 0:
        raise ValueError("creationflags is only supported on Windows platforms")
    if not close_fds and close_fds is not None:
        raise ValueError("close_fds=False: inside only those descriptors are open that pass_fds names")
    if not restore_signals and restore_signals is not None:
        raise ValueError("restore_signals=False: no signal is ignored or blocked inside at first")


def check_bufsize(bufsize: int | None) -> int:
    """As in subprocess, also where there is nothing to be buffered."""
    bufsize = -1 if bufsize is None else bufsize
    if not isinstance(bufsize, int):
        raise TypeError("bufsize must be an integer")
    return bufsize


def argument_list(args: Argv, shell: bool = False, executable: Path | None = None) -> list[Path]:
    """`args` as subprocess reads them: one word is a program without arguments; a shell gets it as its script."""
    if shell and isinstance(args, os.PathLike):
        raise TypeError("path-like args is not allowed when shell is true")
    words: list[Any] = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
    if not words and executable is not None and not shell:
        # execve(2) makes this of no arguments since Linux 5.18.
        words = [""]
    return ["/bin/sh" if executable is None else executable, "-c", *words] if shell else words


def exec_options(**given: Unpack[PopenOptions]) -> dict[str, Any]:
    """The options of the core, of those keywords of `Container.popen` that are not about this end of pipes."""
    options: dict[str, Any] = {}
    streams = (("stdin", given.get("stdin")), ("stdout", given.get("stdout")), ("stderr", given.get("stderr")))
    for name, stream in streams:
        if stream is not None:
            fd = stream if isinstance(stream, int) else stream.fileno()
            if fd < 0 and fd not in _STREAMS:
                raise ValueError(f"{fd} is not a file descriptor")
            options[name] = _STREAMS.get(fd) or ("fd", fd)
    pty = given.get("pty", False)
    if options and pty:
        raise ValueError("a pty is stdin, stdout and stderr: none of them may be given beside it")
    if (executable := given.get("executable")) is not None:
        options["program"] = executable
    if (cwd := given.get("cwd")) is not None:
        options["cwd"] = cwd
    if (env := given.get("env")) is not None:
        options["clear_env"] = True
        options["env"] = _pairs(env)
    if extra_env := given.get("extra_env"):
        options["env"] = [*_pairs(env or {}), *_pairs(extra_env)]
    user, group = given.get("user"), given.get("group")
    if user is not None or group is not None:
        options["user"] = _identity("user", 0 if user is None else user)
        if group is not None:
            options["user"] += ":" + _identity("group", group)
    if (extra_groups := given.get("extra_groups")) is not None:
        if isinstance(extra_groups, str):
            raise ValueError("extra_groups must be a list, not one str")
        try:
            options["groups"] = [_identity("group", group) for group in extra_groups]
        except OverflowError as error:
            # As subprocess, for a list of them.
            raise ValueError(*error.args) from None
    umask = given.get("umask", -1)
    if not isinstance(umask, int):
        raise TypeError(f"umask must be an int, not {type(umask).__name__}")
    if umask >= 0:
        options["umask"] = umask
    if pass_fds := given.get("pass_fds"):
        options["fds"] = list(pass_fds.items()) if hasattr(pass_fds, "items") else [(fd, fd) for fd in pass_fds]
    process_group = given.get("process_group")
    if process_group:
        options["session"] = "join", process_group
    elif process_group == 0 or not given.get("start_new_session", True):
        options["session"] = "group"
    limits = {
        "time_limit": given.get("time_limit"),
        "cpu_time_limit": given.get("cpu_time_limit"),
        "start_timeout": given.get("start_timeout"),
    }
    for name, limit in limits.items():
        if limit is not None:
            options[name] = seconds(limit, name)
    if pty:
        options["pty"] = terminal_size(pty)
    return options


def _identity(what: str, value: str | int) -> str:
    """A user or group, by its name or number."""
    if isinstance(value, str):
        if not value:
            raise refused(-3, errno.ENOENT, f"find-{what}", "''", "that is no name")
        return value
    if not isinstance(value, int):
        raise TypeError(f"{what} must be a str or an int, not {type(value).__name__}")
    if value >= 1 << 32:
        raise OverflowError(f"{what} ID {value} is greater than there are")
    return str(int(value))


def terminal_size(pty: Pty) -> tuple[int, int]:
    """Rows and columns: the given ones; for True those of our own terminal, or else 24 and 80."""
    if pty is True:
        columns, lines = _own_size()
        return lines, columns
    if isinstance(pty, os.terminal_size):
        return pty.lines, pty.columns
    if not isinstance(pty, (tuple, list)) or len(pty) != 2 or not all(isinstance(n, int) for n in pty):
        raise TypeError(f"pty must be True or (rows, columns), not {pty!r}")
    if not all(0 <= n < 1 << 16 for n in pty):
        raise ValueError(f"a terminal has 0 to 65535 rows and columns, not {pty!r}")
    rows, cols = pty
    return rows, cols


def _own_size() -> tuple[int, int]:
    for fd in (0, 1, 2):
        try:
            columns, lines = os.get_terminal_size(fd)
        except OSError:
            continue
        if columns and lines:
            return columns, lines
    return 80, 24


def _pairs(env: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    pairs = list(mapping(env, "env").items())
    for name, value in pairs:
        text = os.fsencode(name)
        if not text or b"=" in text:
            raise ValueError(f"illegal environment variable name: {name!r}")
        if b"\0" in text or b"\0" in os.fsencode(value):
            raise ValueError("embedded null byte")
    return pairs
