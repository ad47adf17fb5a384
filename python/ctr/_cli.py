"""The commands of `python -m ctr`: run, exec, ps, explain, rm, doctor, and those of `_cli_images`."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from . import __version__
from ._cli_images import add_commands, age, bar, table
from ._container import Container, containers, explain, join
from ._errors import Error
from ._options import Tmpfs
from ._probe import probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from ._popen import Popen
    from ._types import Argv

# As docker: the engine failed, the program can't be run, the program is not there.
_FAILED = 125
_CANNOT_RUN = {errno.EACCES: 126, errno.ENOEXEC: 126, errno.ENOENT: 127}


def command(words: Sequence[str]) -> int:
    """Carry out a command line; the exit status."""
    options = _parser().parse_args(words)
    try:
        return int(options.act(options))
    except BrokenPipeError:
        # Whoever reads what we print has read enough, as in `ctr images | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (OSError, ValueError, TypeError) as error:
        print(f"ctr: {error}", file=sys.stderr)
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ctr", description="Containers: a tarball in, an isolated process out.")
    parser.add_argument("--version", action="version", version=f"ctr {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a program in a new container")
    _about_the_container(run)
    _about_the_program(run)
    run.add_argument("--entrypoint", metavar="CMD", help='in the place of the image\'s; "" for none')
    run.add_argument("image", metavar="IMAGE", help='a tarball, a directory, the name of an image, or "host"')
    run.add_argument(
        "argv",
        metavar="CMD",
        nargs=argparse.REMAINDER,
        help="what to run, after the image's entrypoint; by default what the image says, or else /bin/sh",
    )
    run.set_defaults(act=_run)

    inside = commands.add_parser("exec", help="run a program in a running container")
    _about_the_program(inside)
    inside.add_argument("name", metavar="NAME", help="the name of a container, or a pid")
    inside.add_argument("argv", metavar="CMD", nargs=argparse.REMAINDER, help="what to run; /bin/sh by default")
    inside.set_defaults(act=_exec)

    commands.add_parser("ps", help="list running containers").set_defaults(act=_ps)

    shown = commands.add_parser("explain", help="show every wall, and what run would do, as shell commands")
    _about_the_container(shown)
    shown.add_argument("image", metavar="IMAGE", nargs="?", default="host")
    shown.set_defaults(act=_explain)

    remove = commands.add_parser("rm", help="destroy containers")
    remove.add_argument("names", metavar="NAME", nargs="+")
    remove.set_defaults(act=_rm)

    doctor = commands.add_parser("doctor", help="what this machine allows, what it does not, and what to do")
    doctor.set_defaults(act=_doctor)

    add_commands(commands)
    return parser


def _about_the_container(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--name", help="a name for exec and rm")
    add("--hostname", help="the hostname inside")
    add("-m", "--memory", metavar="SIZE", help="memory limit, as 256M")
    add("--pids", type=int, metavar="N", help="most processes at one time")
    add("--network", metavar="NET", help='"none" (the default), "host" or "container:NAME"')
    add("-v", "--volume", action="append", default=[], metavar="SRC:DST[:ro]", help="show a host path inside")
    add("--tmpfs", action="append", default=[], metavar="DST[:SIZE]", help="an empty tmpfs inside")
    add("--read-only", action="store_true", help="mount the root read-only")
    add(
        "--preset",
        choices=("default", "strict", "privileged"),
        default="default",
        help="which walls stand; privileged: NONE but the namespaces",
    )
    add("--cap", action="append", metavar="NAME", help="keep only these capabilities")
    add("--device", action="append", default=[], metavar="SRC[:DST][:rwm]", help="give it a device, as /dev/fuse")
    add(
        "--device-cgroup-rule",
        action="append",
        default=[],
        metavar="RULE",
        help='let devices through, as "c 10:229 rwm"',
    )
    add("--apparmor", metavar="PROFILE", help="run programs under this AppArmor profile")
    add("--selinux", metavar="CONTEXT", help="run programs in this SELinux context")
    add("--time-offset", action="append", default=[], metavar="CLOCK=SECONDS", help="set off boottime or monotonic")
    add("--ns", action="append", default=[], metavar="KIND=FROM", help='a namespace: "host", "new", a pid, a path')


def _about_the_program(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="an environment variable")
    add("-w", "--workdir", metavar="DIR", help="working directory inside")
    add("-u", "--user", metavar="USER[:GROUP]", help="user inside, by name or number")
    add("-t", "--tty", action="store_true", default=None, dest="tty", help="give it a terminal")
    add("-T", "--no-tty", action="store_false", dest="tty", help="give it none; the default unless ours is one")


def _run(options: argparse.Namespace) -> int:
    with _ending_by_signal():
        with bar("importing", options.image) as progress:
            made = Container(options.image, progress=progress, **_container_options(options))
        with made as container:
            argv: list[str] | None = _words(options) or None
            entrypoint = None if options.entrypoint is None else [word for word in [options.entrypoint] if word]
            said = container.image_config
            if not argv and not (said.entrypoint or said.cmd if entrypoint is None else entrypoint):
                argv = ["/bin/sh"]
            return _attached(container, container.image_command(argv, entrypoint=entrypoint), options)


def _exec(options: argparse.Namespace) -> int:
    with _ending_by_signal(), join(_name_or_pid(options.name)) as container:
        return _attached(container, _words(options) or ["/bin/sh"], options)


def _ps(options: argparse.Namespace) -> int:
    rows = [("NAME", "PID", "OWNER", "AGE", "IMAGE")]
    for info in containers():
        owner = "detached" if info.detached else str(info.owner)
        rows.append((info.name, str(info.pid), owner, age(time.time() - info.created), info.image))
    table(rows)
    return 0


def _explain(options: argparse.Namespace) -> int:
    print(explain(options.image, **_container_options(options)))
    return 0


def _rm(options: argparse.Namespace) -> int:
    for name in options.names:
        join(name).destroy()
    return 0


def _doctor(options: argparse.Namespace) -> int:
    """A line for each check, `ok` or `no`, and a `mend` below it. Fails where no container can be made."""
    checks = probe()
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{'ok' if check.ok else 'no':4}  {check.name:{width}}  {check.says}".rstrip())
        if check.mend:
            print(f"mend  {'':{width}}  {check.mend}")
    return 0 if checks[-1].ok else 1


def _container_options(options: argparse.Namespace) -> dict[str, Any]:
    mounts: list[Any] = list(options.volume)
    for text in options.tmpfs:
        target, _, size = text.partition(":")
        mounts.append(Tmpfs(target, size or None))
    namespaces = {kind: int(source) if source.isdecimal() else source for kind, source in map(_pair, options.ns)}
    time_offsets = {clock: float(seconds) for clock, seconds in map(_pair, options.time_offset)}
    if time_offsets:
        namespaces.setdefault("time", "new")
    return {
        "name": options.name,
        "hostname": options.hostname,
        "memory": options.memory,
        "pids": options.pids,
        "network": options.network,
        "mounts": mounts,
        "read_only": options.read_only,
        "capabilities": options.cap,
        "preset": options.preset,
        "namespaces": namespaces,
        "time_offsets": time_offsets,
        "devices": options.device + options.device_cgroup_rule,
        "apparmor": options.apparmor,
        "selinux": options.selinux,
    }


def _words(options: argparse.Namespace) -> list[str]:
    words: list[str] = options.argv
    return words[1:] if words[:1] == ["--"] else words


def _attached(container: Container, argv: Argv, options: argparse.Namespace) -> int:
    """Runs the program with our streams or our terminal; its exit status."""
    tty = options.tty if options.tty is not None else os.isatty(0) and os.isatty(1)
    extra = dict(map(_pair, options.env))
    if tty:
        extra.setdefault("TERM", os.environ.get("TERM", "xterm"))
    with contextlib.nullcontext() if tty else _passing_signals_on() as told:
        try:
            process = container.popen(argv, cwd=options.workdir, user=options.user, extra_env=extra, pty=bool(tty))
        except Error as error:
            print(f"ctr: {error}", file=sys.stderr)
            return _CANNOT_RUN.get(error.errno or 0, _FAILED)
        try:
            if told is None:
                _lend_the_terminal(process)
            else:
                told(process)
                process.wait()
        except BaseException:
            # We are told to end: so is the program, which may be in a container that lives on.
            process.kill_group(signal.SIGHUP)
            raise
    assert process.exit is not None
    return process.exit.code


def _lend_the_terminal(process: Popen) -> None:
    from ._terminal import fit, relay

    def resized(signum: int, frame: FrameType | None) -> None:
        fit(process)

    before = signal.signal(signal.SIGWINCH, resized)
    try:
        relay(process)
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextlib.contextmanager
def _ending_by_signal() -> Iterator[None]:
    """SIGTERM and SIGHUP end us as an exception does: the terminal is restored, the container is removed."""

    def end(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _passing_signals_on() -> Iterator[Callable[[Popen], None]]:
    """Without a terminal, a signal to us is meant for the program, as in docker; to be told which program that is.

    What arrives while it is being started is kept for it.
    """
    started: list[Popen] = []
    early: list[int] = []

    def pass_on(signum: int, frame: FrameType | None) -> None:
        if started:
            started[0].send_signal(signum)
        else:
            early.append(signum)

    def tell(process: Popen) -> None:
        started.append(process)
        for signum in early:
            process.send_signal(signum)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield tell
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"write NAME=VALUE, not {text!r}")
    return name, value


def _name_or_pid(text: str) -> str | int:
    return int(text) if text.isdecimal() else text
