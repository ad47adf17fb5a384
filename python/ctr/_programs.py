"""Programs in a container: what `Container` has as its methods `run`, `popen` and `image_command`, and `end_reason`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from ._errors import invalid
from ._exit import REASONS, CompletedProcess
from ._popen import Popen, given, is_cooperative
from ._run import run_in
from ._spawn import argument_list
from ._types import Argv, Environment, Fds, Path, PopenOptions, Pty, Stream, Unpack, User

if TYPE_CHECKING:
    from ._exit import Parts

# `self` is a Container, which is made of these and so has no name yet: annotations can be evaluated.


@overload
def run(
    self: Any,
    args: Argv | None = None,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: Literal[True],
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[PopenOptions],
) -> CompletedProcess[str]: ...
@overload
def run(
    self: Any,
    args: Argv | None = None,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: Literal[True],
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[PopenOptions],
) -> CompletedProcess[str]: ...
@overload
def run(
    self: Any,
    args: Argv | None = None,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str,
    errors: str | None = None,
    **options: Unpack[PopenOptions],
) -> CompletedProcess[str]: ...
@overload
def run(
    self: Any,
    args: Argv | None = None,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str,
    **options: Unpack[PopenOptions],
) -> CompletedProcess[str]: ...
@overload
def run(
    self: Any,
    args: Argv | None = None,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: Literal[False] | None = None,
    universal_newlines: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
    **options: Unpack[PopenOptions],
) -> CompletedProcess[bytes]: ...
@overload
def run(
    self: Any,
    args: Argv | None = None,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[PopenOptions],
) -> CompletedProcess[Any]: ...
def run(
    self: Any,
    args: Argv | None = None,
    bufsize: int | None = -1,
    executable: Path | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    preexec_fn: None = None,
    close_fds: bool | None = True,
    shell: bool = False,
    cwd: Path | None = None,
    env: Environment | None = None,
    universal_newlines: bool | None = None,
    startupinfo: None = None,
    creationflags: int = 0,
    restore_signals: bool | None = True,
    start_new_session: bool = True,
    pass_fds: Fds = (),
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    user: User = None,
    group: User = None,
    extra_groups: Iterable[str | int] | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    text: bool | None = None,
    umask: int = -1,
    pipesize: int = -1,
    process_group: int | None = None,
    extra_env: Environment | None = None,
    pty: Pty = False,
    time_limit: float | None = None,
    cpu_time_limit: float | None = None,
    start_timeout: float | None = None,
) -> CompletedProcess[Any]:
    """Run a program inside and wait for it: `subprocess.run`, with its keywords and results.

    Without `args` it is what the image says (its Entrypoint and Cmd); with them it is they alone, as `docker exec`.
    The result's `exit` says how the program ended and what it used. Whatever ends the wait early (the time-out,
    Ctrl-C) kills the program together with its process group; on Ctrl-C it gets SIGINT first, and a quarter of a
    second to clean up. Further keywords are those of `popen`.
    """
    options = given(locals())
    if args is None:
        args = self._native.image_command([])
    plain = not (options or capture_output or check or is_cooperative()) and input is None and timeout is None
    if plain and type(args) is list:
        # The short way, for what needs nothing of the long one.
        return CompletedProcess(args, cast("Parts", self._native.run(args)))
    return run_in(
        self._native,
        args,
        input=input,
        capture_output=capture_output,
        timeout=timeout,
        check=check,
        options=options,
    )


@overload
def popen(
    self: Any,
    args: Argv | None = None,
    *,
    text: Literal[True],
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[PopenOptions],
) -> Popen[str]: ...
@overload
def popen(
    self: Any,
    args: Argv | None = None,
    *,
    text: bool | None = None,
    universal_newlines: Literal[True],
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[PopenOptions],
) -> Popen[str]: ...
@overload
def popen(
    self: Any,
    args: Argv | None = None,
    *,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str,
    errors: str | None = None,
    **options: Unpack[PopenOptions],
) -> Popen[str]: ...
@overload
def popen(
    self: Any,
    args: Argv | None = None,
    *,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str,
    **options: Unpack[PopenOptions],
) -> Popen[str]: ...
@overload
def popen(
    self: Any,
    args: Argv | None = None,
    *,
    text: Literal[False] | None = None,
    universal_newlines: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
    **options: Unpack[PopenOptions],
) -> Popen[bytes]: ...
@overload
def popen(
    self: Any,
    args: Argv | None = None,
    *,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[PopenOptions],
) -> Popen[Any]: ...
def popen(
    self: Any,
    args: Argv | None = None,
    bufsize: int | None = -1,
    executable: Path | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    preexec_fn: None = None,
    close_fds: bool | None = True,
    shell: bool = False,
    cwd: Path | None = None,
    env: Environment | None = None,
    universal_newlines: bool | None = None,
    startupinfo: None = None,
    creationflags: int = 0,
    restore_signals: bool | None = True,
    start_new_session: bool = True,
    pass_fds: Fds = (),
    *,
    user: User = None,
    group: User = None,
    extra_groups: Iterable[str | int] | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    text: bool | None = None,
    umask: int = -1,
    pipesize: int = -1,
    process_group: int | None = None,
    extra_env: Environment | None = None,
    pty: Pty = False,
    time_limit: float | None = None,
    cpu_time_limit: float | None = None,
    start_timeout: float | None = None,
) -> Popen[Any]:
    """Start a program inside: `subprocess.Popen`, with its keywords and methods. See `ctr.Popen`.

    Without `args` it is what the image says (its Entrypoint and Cmd).
    """
    options = given(locals())
    if args is None:
        args = self._native.image_command([])
    return Popen(self._native, args, **options)


def image_command(self: Any, args: Argv | None = None, *, entrypoint: Argv | None = None) -> Argv:
    """What `docker run` would start: the image's Entrypoint, and then `args`, or without them its Cmd.

    `entrypoint` replaces the image's ([] for none), whose Cmd then isn't used. `ValueError` if nothing is left to
    run.
    """
    words = [] if args is None else argument_list(args)
    if entrypoint is not None:
        words = [*argument_list(entrypoint), *words]
        if not words:
            raise invalid(
                "start-program", "a program", "there is neither an entrypoint nor an argument", "say what to run"
            )
        return words
    command = self._native.image_command(words)
    return command if args is None or len(command) > len(words) else args


def end_reason(self: Any) -> str | None:
    """Why it has ended, None while it runs.

    "timed out" and "out of cpu time" where its `lifetime` or `cpu_time` was over, else "destroyed".
    """
    why = self._native.end_reason()
    return None if why is None else REASONS[why]
