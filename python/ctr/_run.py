"""`run`: a program in a container, from its start to its end."""

from __future__ import annotations

from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, Any, Literal, overload

from ._exit import CompletedProcess
from ._popen import OPTIONS, Popen, is_cooperative, wants_text
from ._spawn import PIPE, argument_list, check_bufsize, check_idle, exec_options, unexpected
from ._types import Argv, ContainerOptions, ImageSource, RunOptions, Unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from . import _ctr

_ONLY_FOR_PIPES = ("bufsize", "pipesize", "text", "universal_newlines", "encoding", "errors")
_IDLE = ("preexec_fn", "startupinfo", "creationflags", "close_fds", "restore_signals")


@overload
def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: Literal[True],
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[str]: ...


@overload
def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: Literal[True],
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[str]: ...


@overload
def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[str]: ...


@overload
def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str,
    **options: Unpack[RunOptions],
) -> CompletedProcess[str]: ...


@overload
def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: Literal[False] | None = None,
    universal_newlines: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[bytes]: ...


@overload
def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[Any]: ...


def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> CompletedProcess[Any]:
    """Run one program in a container of its own: `subprocess.run`, with an image before its arguments.

    As in `docker run`, `args` follow the image's Entrypoint, where it has one, and stand for its Cmd; without `args`
    what the image says is run. `entrypoint` is in the place of the image's ([] for none), whose Cmd then isn't used.
    `shell` runs `args` by /bin/sh inside, whatever the image says.

    The keywords of `Container` say how the container is made, those of `Container.popen` how the program is started;
    `env` is the program's, as in `subprocess`.
    """
    from ._container import Container

    spawn, make = divided("run", options)
    with Container(image, **make) as container:
        if not spawn.get("shell"):
            args = container.image_command(args, entrypoint=entrypoint)
        return container.run(args, input=input, capture_output=capture_output, timeout=timeout, check=check, **spawn)


def divided(function: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keywords of a program and those of the container that is made for it."""
    spawn: dict[str, Any] = {}
    make: dict[str, Any] = {}
    of_container = ContainerOptions.__annotations__
    for key, value in options.items():
        if key not in OPTIONS and key not in of_container:
            raise unexpected(function, key)
        (spawn if key in OPTIONS else make)[key] = value
    if "detached" in make:
        raise TypeError("run waits for the end: its container can't be detached")
    return spawn, make


def pipes_for(options: Mapping[str, Any], input: Any, capture_output: bool) -> dict[str, int]:
    """The keywords of `popen` that `input` and `capture_output` stand for. A terminal needs none."""
    pipes: dict[str, int] = {}
    if input is not None:
        if options.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        if not options.get("pty"):
            pipes["stdin"] = PIPE
    if capture_output and not options.get("pty"):
        if options.get("stdout") is not None or options.get("stderr") is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        pipes["stdout"] = pipes["stderr"] = PIPE
    return pipes


def run_in(
    container: _ctr.Container,
    args: Argv,
    *,
    input: Any,
    capture_output: bool,
    timeout: float | None,
    check: bool,
    options: Mapping[str, Any],
) -> CompletedProcess[Any]:
    """`Container.run`."""
    options = {**options, **pipes_for(options, input, capture_output)}
    if (
        options.get("pty")
        or is_cooperative()
        or PIPE in (options.get("stdin"), options.get("stdout"), options.get("stderr"))
    ):
        relayed = bool(options.get("pty")) and not capture_output and input is None
        result = _conversation(container, args, input, timeout, relayed, options)
    else:
        result = _silently(container, args, timeout, options)
    if check:
        result.check_returncode()
    return result


def _silently(
    container: _ctr.Container, args: Argv, timeout: float | None, options: dict[str, Any]
) -> CompletedProcess[Any]:
    """Without pipes one native call is all there is to do."""
    native, shell = None, False
    if options:
        shell = options.pop("shell", False)
        pipes = {key: options.pop(key) for key in _ONLY_FOR_PIPES if key in options}
        wants_text(pipes.get("text"), pipes.get("universal_newlines"), None, None)
        check_bufsize(pipes.get("bufsize"))
        check_idle(**{key: options.pop(key) for key in _IDLE if key in options})
        native = exec_options(**options)
    parts = container.run(argument_list(args, shell, options.get("executable")), native, timeout)
    if parts is None:
        assert timeout is not None
        raise TimeoutExpired(args, timeout)
    return CompletedProcess(args, parts)


def _conversation(
    container: _ctr.Container, args: Argv, input: Any, timeout: float | None, relayed: bool, options: dict[str, Any]
) -> CompletedProcess[Any]:
    process: Popen[Any] = Popen.__new__(Popen)
    try:
        # Within, so that whatever comes between, as Ctrl-C, leaves nothing running.
        if timeout is not None:
            options["start_timeout"] = min(options.get("start_timeout") or 10.0, max(timeout, 0.0))
        try:
            process.__init__(container, args, **options)  # type: ignore[misc]
        except TimeoutError:
            if timeout is None:
                raise
            raise TimeoutExpired(args, timeout) from None
        if relayed:
            from ._terminal import relay

            relay(process, timeout)
            stdout = stderr = None
        else:
            stdout, stderr = process.communicate(input, timeout)
        process.__exit__(None, None, None)
    except BaseException as error:
        process.abandon(error)
        raise
    assert process.exit_parts is not None
    return CompletedProcess(args, process.exit_parts, stdout, stderr)
