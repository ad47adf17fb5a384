"""`%%ctr`: a cell of a notebook in a container. `%load_ext ctr` brings it."""

from __future__ import annotations

import argparse
import codecs
import os
import pickle
import select
import shlex
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from ._cli_options import add_rows, container_keywords, pair
from ._container import Container
from ._errors import Error
from ._executor import worker_script
from ._exit import CalledProcessError
from ._image import Image
from ._plain import LARGER, plain
from ._this_python import this_python

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._popen import Popen

PIPE, DEVNULL = -1, -3
_CHUNK = 1 << 16
# How many bytes the variables may have that come out of a cell.
_MOST = 256 << 20
_ABOUT = """Run the cell in a container: as a script of /bin/sh, of this Python (--python), or as the input of CMD.

The container is made for the cell. IMAGE may also be a variable that is a ctr.Container, which then goes on."""


class _Parser(argparse.ArgumentParser):
    """One that raises instead of ending the kernel."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"%%ctr: {message} (%ctr --help shows all options)")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise _Helped


class _Helped(Exception):
    """The help was asked for, and shown."""


class CellFailed(CalledProcessError):
    """The program of a cell has failed. A notebook shows that in a line: how it was run is nobody's question."""

    oom_kills = 0
    """How many of its processes were killed for memory, where its own end does not say so."""

    def __str__(self) -> str:
        said = super().__str__()
        if not self.oom_kills:
            return said
        killed = "a process of it was" if self.oom_kills == 1 else f"{self.oom_kills} processes of it were"
        return f"{said.rstrip('.')}; {killed} killed: out of memory"

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def _parser() -> _Parser:
    parser = _Parser("%%ctr", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False)
    add = parser.add_argument
    # -h is the hostname, as docker's.
    add("--help", action="help", help="show this")
    add(
        "--python", action="store_true", help="run the cell by this interpreter, which is seen inside with its packages"
    )
    add(
        "--in",
        dest="given",
        metavar="NAMES",
        default="",
        help="variables that the cell gets, as a,b: for a shell as environment",
    )
    add(
        "--out",
        dest="taken",
        metavar="NAMES",
        default="",
        help="variables that the notebook gets of a Python cell: plain values",
    )
    add("-o", "--output", metavar="NAME", help="put what it writes to stdout into this variable instead of showing it")
    add(
        "-e",
        "--env",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=pair,
        help="a variable of the environment",
    )
    add("-u", "--user", metavar="USER", help="who runs it, as 1000 or www-data")
    add("-w", "--workdir", metavar="DIR", help="the working directory inside")
    add("--timeout", type=float, metavar="SECONDS", help="kill it after so long")
    add("--cpu-timeout", type=float, metavar="SECONDS", help="kill it after so much CPU time")
    add_rows(parser)
    add("image", metavar="IMAGE", help='a tarball, a directory, the name of an image, "host", or a variable')
    # Without this an error says that it is missing.
    add("argv", metavar="CMD", nargs=argparse.REMAINDER, help="a program that gets the cell on stdin").required = False
    return parser


def load_ipython_extension(shell: Any) -> None:
    """Register the magic."""

    def ctr(line: str, cell: str | None = None) -> None:
        try:
            options = _parser().parse_args(shlex.split(line))
        except _Helped:
            return
        if cell is None:
            raise ValueError(
                "%ctr shows help alone (%ctr --help): what runs in a container is a cell that begins with %%ctr"
            )
        run_cell(shell.user_ns, options, cell)

    ctr.__doc__ = _ABOUT
    # IPython takes no cell magic without a body: the line magic is for %ctr --help.
    shell.register_magic_function(ctr, "line_cell", "ctr")


def run_cell(variables: dict[str, Any], options: argparse.Namespace, cell: str) -> None:
    """Run a cell; `subprocess.CalledProcessError` if it fails."""
    image = variables.get(options.image)
    keywords = container_keywords(options)
    mounts, env = this_python() if options.python else ([], {})
    if isinstance(image, Container):
        if keywords:
            raise ValueError("%%ctr: the container is made already: these options are too late: " + ", ".join(keywords))
        if options.python and not {mount.target for mount in mounts} <= {
            m["target"] for m in image.inspect()["mounts"]
        }:
            raise ValueError("%%ctr --python: make the container with mounts=ctr.this_python().mounts")
        _run(image, variables, options, env, cell)
        return
    keywords["mounts"] = [*mounts, *keywords.get("mounts", ())]
    with Container(image if isinstance(image, Image) else options.image, **keywords) as container:
        _run(container, variables, options, env, cell)


def _run(
    container: Container, variables: dict[str, Any], options: argparse.Namespace, env: dict[str, str], cell: str
) -> None:
    given = {name: _known(variables, name) for name in _names(options.given)}
    taken = _names(options.taken)
    if taken and not options.python:
        raise ValueError("%%ctr: --out is of Python cells: use --output for what a program writes")
    extra = {**env, **dict(options.env)}
    limits = {"time_limit": options.timeout, "cpu_time_limit": options.cpu_timeout}
    start: dict[str, Any] = {"cwd": options.workdir, "user": options.user, **limits}
    argv = [word for word in options.argv[:1] if word != "--"] + options.argv[1:]
    out: list[bytes] = []
    before = _oom_kills(container)
    if options.python:
        if argv:
            raise ValueError("%%ctr: a Python cell has no command")
        process, answer = _python(container, cell, given, taken, extra, start)
    else:
        extra.update({name: str(value) for name, value in given.items()})
        words = argv or ["/bin/sh", "-c", cell]
        stdin = PIPE if argv else DEVNULL
        process = container.popen(words, stdin=stdin, stdout=PIPE, stderr=PIPE, bufsize=0, extra_env=extra, **start)
        answer = None
    try:
        with process:
            sinks: dict[int, Callable[[bytes], object]] = {}
            assert process.stdout is not None
            assert process.stderr is not None
            sinks[process.stdout.fileno()] = out.append if options.output else _shown("stdout")
            sinks[process.stderr.fileno()] = _shown("stderr")
            pickled = bytearray()
            if answer is not None:
                sinks[answer] = pickled.extend
            _relay(process, sinks, cell.encode() if argv else b"", pickled)
    except BaseException as error:
        process.abandon(error)
        raise
    finally:
        if answer is not None:
            os.close(answer)
    if options.output:
        variables[options.output] = b"".join(out).decode("utf-8", "replace")
    assert process.exit is not None
    if process.exit.code:
        failed = CellFailed(process.exit.returncode, f"%%ctr {options.image}")
        failed.exit = process.exit
        if process.exit.reason != "out of memory":
            failed.oom_kills = _oom_kills(container) - before
        raise failed
    if taken:
        read = plain(bytes(pickled), LARGER * _MOST)
        variables.update({name: read[name] for name in taken})


def _oom_kills(container: Container) -> int:
    try:
        return container.oom_kills
    except Error:
        # Nobody counts them here.
        return 0


def _python(
    container: Container,
    cell: str,
    given: dict[str, Any],
    taken: list[str],
    env: dict[str, str],
    start: dict[str, Any],
) -> tuple[Popen[Any], int]:
    """A Python that runs the cell, and the pipe on which it tells of its variables."""
    try:
        from cloudpickle import dumps  # type: ignore[import-untyped]
    except ImportError:
        dumps = pickle.dumps
    source = os.memfd_create("ctr cell")
    answer, theirs = os.pipe()
    try:
        with open(source, "wb", closefd=False) as stream:
            stream.write(dumps((cell, given, taken)))
        os.lseek(source, 0, os.SEEK_SET)
        words = [sys.executable, "-u", "-c", worker_script(), "cell", "3", "4"]
        fds = {source: 3, theirs: 4}
        process = container.popen(
            words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, bufsize=0, extra_env=env, pass_fds=fds, **start
        )
    except BaseException:
        os.close(answer)
        raise
    finally:
        os.close(source)
        os.close(theirs)
    return process, answer


def _relay(process: Popen[Any], sinks: dict[int, Callable[[bytes], object]], input: bytes, pickled: bytearray) -> None:
    """Shows what comes while it comes, on this thread: the notebook knows by it which cell it belongs to."""
    poller = select.poll()
    for fd in sinks:
        poller.register(fd, select.POLLIN)
    unsent, writing = memoryview(input), -1
    if process.stdin is not None:
        writing = process.stdin.fileno()
        os.set_blocking(writing, False)
        poller.register(writing, select.POLLOUT)
    while sinks:
        # What the program has left behind may hold the pipes open; nobody waits for that beyond a time limit.
        for fd, _ in poller.poll(500):
            if fd == writing:
                try:
                    unsent = unsent[os.write(fd, unsent[:_CHUNK]) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    unsent = unsent[:0]
                if not unsent:
                    poller.unregister(fd)
                    assert process.stdin is not None
                    process.stdin.close()
                continue
            chunk = os.read(fd, _CHUNK)
            sinks[fd](chunk)
            if len(pickled) > _MOST:
                raise OverflowError(f"%%ctr: the variables of the cell have more than {_MOST} bytes")
            if not chunk:
                poller.unregister(fd)
                del sinks[fd]
        if (
            process.poll() is not None
            and process.exit is not None
            and process.exit.reason in ("timed out", "out of cpu time")
        ):
            return


def _shown(name: str) -> Callable[[bytes], object]:
    """Writes to a stream of the notebook; b"" ends it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(chunk: bytes) -> None:
        stream = getattr(sys, name)
        stream.write(decoder.decode(chunk, not chunk))
        stream.flush()

    return show


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _known(variables: dict[str, Any], name: str) -> Any:
    if name not in variables:
        raise NameError(f"%%ctr --in: name {name!r} is not defined")
    return variables[name]
