"""The keywords of `Container.popen` that say how a program is started, as `_ctr` takes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ._options import mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._types import Argv, Environment, Fds, Path, Pty, Stream

PIPE, STDOUT = -1, -2

# Of subprocess's keywords those that can't mean anything here.
_MEANINGLESS = {
    "preexec_fn": "no code of this program runs inside a container",
    "startupinfo": "it is for Windows",
    "creationflags": "it is for Windows",
}


def unexpected(function: str, key: str) -> TypeError:
    """What Python says of a keyword that a function doesn't have."""
    if key in _MEANINGLESS:
        return TypeError(f"{key} is not supported: {_MEANINGLESS[key]}")
    return TypeError(f"{function}() got an unexpected keyword argument {key!r}")


def argument_list(args: Argv, shell: bool = False, executable: Path | None = None) -> list[Path]:
    """`args` as subprocess reads them: one word is a program without arguments; a shell gets it as its script."""
    words: list[Any] = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
    return ["/bin/sh" if executable is None else executable, "-c", *words] if shell else words


def exec_options(
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    executable: Path | None = None,
    cwd: Path | None = None,
    env: Environment | None = None,
    extra_env: Environment | None = None,
    user: str | int | None = None,
    group: str | int | None = None,
    extra_groups: Iterable[str | int] | None = None,
    umask: int = -1,
    close_fds: bool = True,
    restore_signals: bool = True,
    pass_fds: Fds = (),
    start_new_session: bool = True,
    process_group: int | None = None,
    pty: Pty = False,
    time_limit: float | None = None,
) -> dict[str, object]:
    """The options that were given."""
    options: dict[str, object] = {}
    for name, stream in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
        if stream is not None:
            options[name] = stream if isinstance(stream, int) else stream.fileno()
    if options and pty:
        raise ValueError("a pty is stdin, stdout and stderr: none of them may be given beside it")
    if not close_fds:
        raise ValueError("close_fds=False: inside only those descriptors are open that pass_fds names")
    if not restore_signals:
        raise ValueError("restore_signals=False: no signal is ignored or blocked inside at first")
    if executable is not None:
        options["program"] = executable
    if cwd is not None:
        options["cwd"] = cwd
    if env is not None:
        options["clear_env"] = True
        options["env"] = _pairs(env)
    if extra_env:
        options["env"] = [*_pairs(env or {}), *_pairs(extra_env)]
    if user is not None or group is not None:
        options["user"] = str(0 if user is None else user) + ("" if group is None else f":{group}")
    if extra_groups is not None:
        if isinstance(extra_groups, str):
            raise TypeError("extra_groups must be a list, not one str")
        options["groups"] = [str(group) for group in extra_groups]
    if umask != -1:
        options["umask"] = umask
    if pass_fds:
        options["fds"] = list(pass_fds.items()) if hasattr(pass_fds, "items") else [(fd, fd) for fd in pass_fds]
    if process_group is not None:
        options["process_group"] = process_group
    elif not start_new_session:
        options["process_group"] = 0
    if time_limit is not None:
        if not time_limit >= 0:
            raise ValueError(f"time_limit must be a number of seconds, 0 or more, not {time_limit!r}")
        options["time_limit"] = time_limit
    if pty:
        options["pty"] = terminal_size(pty)
    return options


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
