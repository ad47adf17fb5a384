"""The keywords of `Container.popen` that say how a program is started, as `_ctr` takes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._types import Argv, Environment, Fds, Path, Pty, Stream

PIPE, STDOUT = -1, -2


def argument_list(args: Argv, shell: bool = False) -> list[Path]:
    """`args` as subprocess reads them: one word is a program without arguments; a shell gets it as its script."""
    words: list[Any] = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
    return ["/bin/sh", "-c", *words] if shell else words


def exec_options(
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    cwd: Path | None = None,
    env: Environment | None = None,
    extra_env: Environment | None = None,
    user: str | int | None = None,
    group: str | int | None = None,
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
    if cwd is not None:
        options["cwd"] = cwd
    if env is not None:
        options["clear_env"] = True
        options["env"] = _pairs(env)
    if extra_env:
        options["env"] = [*_pairs(env or {}), *_pairs(extra_env)]
    if user is not None or group is not None:
        options["user"] = str(0 if user is None else user) + ("" if group is None else f":{group}")
    if pass_fds:
        options["fds"] = list(pass_fds.items()) if hasattr(pass_fds, "items") else [(fd, fd) for fd in pass_fds]
    if process_group is not None:
        options["process_group"] = process_group
    elif not start_new_session:
        options["process_group"] = 0
    if time_limit is not None:
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
    rows, cols = pty  # type: ignore[misc]
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
    pairs = list(env.items())
    for name, value in pairs:
        text = os.fsencode(name)
        if not text or b"=" in text:
            raise ValueError(f"illegal environment variable name: {name!r}")
        if b"\0" in text or b"\0" in os.fsencode(value):
            raise ValueError("embedded null byte")
    return pairs
