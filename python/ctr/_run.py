"""`run`: a program in a container, from its start to its end."""

from __future__ import annotations

from subprocess import CalledProcessError, TimeoutExpired
from typing import TYPE_CHECKING, Any

from ._exit import CompletedProcess
from ._popen import Popen, wants_text
from ._spawn import PIPE, argument_list, exec_options, unexpected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Unpack

    from . import _ctr
    from ._types import Argv, Environment, ImageSource, Mounts, Path, RunOptions, Size

_OF_POPEN = Popen.__init__.__kwdefaults__ or {}
_ONLY_FOR_PIPES = ("bufsize", "pipesize", "text", "universal_newlines", "encoding", "errors")


def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    memory: Size | None = None,
    pids: int | None = None,
    network: str | None = None,
    mounts: Mounts = (),
    env: Environment | None = None,
    cwd: Path | None = None,
    user: str | int | None = None,
    input: Any = None,
    capture_output: bool = False,
    text: bool | None = None,
    timeout: float | None = None,
    check: bool = False,
    **options: Unpack[RunOptions],
) -> CompletedProcess:
    """Run one program in a container of its own: `subprocess.run`, with an image before its arguments.

    As in `docker run`, `args` follow the image's Entrypoint, where it has one, and stand for its Cmd; without `args`
    what the image says is run. `entrypoint` is in the place of the image's ([] for none), whose Cmd then isn't used.
    `shell` runs `args` by /bin/sh inside, whatever the image says.

    The keywords of `Container` say how the container is made, those of `Container.popen` how the program is started;
    `env` is the program's, as in `subprocess`.
    """
    from ._container import Container

    spawn: dict[str, Any] = {
        key: value for key, value in (("env", env), ("cwd", cwd), ("user", user), ("text", text)) if value is not None
    }
    make: dict[str, Any] = {"memory": memory, "pids": pids, "network": network, "mounts": mounts}
    of_container = Container.__init__.__kwdefaults__ or {}
    for key, value in options.items():
        if key not in _OF_POPEN and key not in of_container:
            raise unexpected("run", key)
        (spawn if key in _OF_POPEN else make)[key] = value
    if "detached" in make:
        raise TypeError("run waits for the end: its container can't be detached")
    with Container(image, **make) as container:
        if not spawn.get("shell"):
            args = container.image_command(args, entrypoint=entrypoint)
        return container.run(args, input=input, capture_output=capture_output, timeout=timeout, check=check, **spawn)


def run_in(
    container: _ctr.Container,
    args: Argv,
    *,
    input: Any,
    capture_output: bool,
    timeout: float | None,
    check: bool,
    options: Mapping[str, Any],
) -> CompletedProcess:
    """`Container.run`."""
    options = dict(options)
    for key in options:
        if key not in _OF_POPEN:
            raise unexpected("run", key)
    if input is not None:
        if options.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        if not options.get("pty"):
            options["stdin"] = PIPE
    if capture_output and not options.get("pty"):
        if options.get("stdout") is not None or options.get("stderr") is not None:
            raise ValueError("stdout and stderr arguments may not be used with capture_output.")
        options["stdout"] = options["stderr"] = PIPE
    if options.get("pty") or PIPE in (options.get("stdin"), options.get("stdout"), options.get("stderr")):
        relayed = bool(options.get("pty")) and not capture_output and input is None
        result = _conversation(container, args, input, timeout, relayed, options)
    else:
        result = _silently(container, args, timeout, options)
    if check and result.returncode:
        raise CalledProcessError(result.returncode, args, output=result.stdout, stderr=result.stderr)
    return result


def _silently(
    container: _ctr.Container, args: Argv, timeout: float | None, options: dict[str, Any]
) -> CompletedProcess:
    """Without pipes one native call is all there is to do."""
    native, shell = None, False
    if options:
        shell = options.pop("shell", False)
        pipes = {key: options.pop(key) for key in _ONLY_FOR_PIPES if key in options}
        wants_text(pipes.get("text"), pipes.get("universal_newlines"), None, None)
        native = exec_options(**options)
    parts = container.run(argument_list(args, shell, options.get("executable")), native, timeout)
    if parts is None:
        assert timeout is not None
        raise TimeoutExpired(args, timeout)
    return CompletedProcess(args, parts)


def _conversation(
    container: _ctr.Container, args: Argv, input: Any, timeout: float | None, relayed: bool, options: dict[str, Any]
) -> CompletedProcess:
    with Popen(container, args, **options) as process:
        try:
            if relayed:
                from ._terminal import relay

                relay(process, timeout)
                stdout = stderr = None
            else:
                stdout, stderr = process.communicate(input, timeout)
        except BaseException:
            # Its group too: what it started may hold the pipes open.
            process.kill_group()
            process.kill()
            process.wait()
            raise
        process.wait()
        assert process.exit_parts is not None
        return CompletedProcess(args, process.exit_parts, stdout, stderr)
