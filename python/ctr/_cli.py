"""The commands of `libctr`: run, exec, ps, explain, rm, doctor, and those of `_cli_images`."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

from . import DEVNULL, __version__
from ._cli_json import add_json, print_json
from ._cli_options import add_rows, container_keywords, pair
from ._cli_streams import PipedFiles
from ._container import Container
from ._containers import containers, destroy, explain, join
from ._errors import Error
from ._probe import probe
from ._progress import bar
from ._words import age, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

    from ._popen import Popen
    from ._types import Argv

# As docker: the engine failed or was asked for nonsense, the program can't be run, the program is not there.
_FAILED, _CANNOT_RUN, _NOT_THERE = 125, 126, 127
# CTR_ERR_EXEC and CTR_ERR_NOT_FOUND of ctr.h.
_OF_THE_PROGRAM = (-9, -3)

EXAMPLES = (
    "libctr run host -- bash                  a shell, with this machine's own programs",
    "libctr run -m 256M debian.tar.gz ls -l   a program of a tarball",
    "libctr run -d --name web box serve       in the background, until libctr rm web; libctr exec web sh",
)
EXIT_STATUS = (
    ("that of the program", "run and exec; 128 and the number of the signal where one ended it"),
    ("125", "ctr failed, or the command line is wrong; with several names, one of them failed at least"),
    ("126", "the program can't be run"),
    ("127", "the program is not there"),
    ("1", "doctor: no container can be made here"),
    ("0", "everything else"),
)
ENVIRONMENT = (
    ("CTR_STORE_DIR", "where images are kept"),
    ("CTR_STATE_DIR", "where running containers are written down"),
    ("CTR_CGROUP_PARENT", "the cgroup that cgroups of containers are made in"),
)
_EPILOG = "\n".join(
    (
        "examples:",
        *(f"  {line}" for line in EXAMPLES),
        "\nexit status:",
        *(f"  {status:21}{meaning}" for status, meaning in EXIT_STATUS),
        '\n"libctr COMMAND --help" has the rest.',
    )
)


# What people who know docker type, and what it is here.
_ELSEWHERE = {
    "--pid": "--ns pid=",
    "--ipc": "--ns ipc=",
    "--uts": "--ns uts=",
    "--userns": "--ns user=",
    "--cgroupns": "--ns cgroup=",
    "--privileged": "--preset privileged",
    "--net": "--network",
    "--memory-swap": "--swap SIZE, which does not count memory",
    "--cpu-shares": "--cpu-weight N, where others have 100 and not 1024",
    "--blkio-weight": "--io-weight N, 1 to 10000",
    "--lifetime": "run has it, for the container's whole life; a program has --timeout",
    "--cpu-time": "run has it, for the container's whole life; a program has --cpu-timeout",
    "--env-file": "-e NAME=VALUE",
    "-P": "-p [ADDRESS:]PORT:PORT, a port each",
    "--security-opt": "--seccomp, --apparmor or --selinux",
}
_COMMANDS_ELSEWHERE = {
    "port": "libctr forward NAME",
    "pull": "nothing is downloaded: libctr import FILE NAME takes an archive, as docker save or skopeo copy make it",
    "push": "nothing is uploaded: libctr save IMAGE -o FILE writes an archive, which skopeo copies on",
    "load": "libctr import FILE",
    "ls": "libctr ps",
    "list": "libctr ps",
    "start": "libctr run -d IMAGE",
    "create": "libctr run -d IMAGE",
    "attach": "libctr exec NAME",
    "logs": "there are none: a program's output goes where libctr run's goes",
    "info": "libctr doctor",
    "resume": "libctr unpause NAME",
    "set": "libctr update NAME",
    "unmount": "libctr umount NAME DST",
    "version": "libctr --version",
    "shell": "libctr run host",
}


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and where to look."""

    known: tuple[str, ...] = ()
    """The commands that there are."""

    def __init__(self, **options: Any) -> None:
        # Half an option is a typing error, and may be another program's whole one. -h is the hostname, as docker's.
        super().__init__(**options, allow_abbrev=False, conflict_handler="resolve")

    def error(self, message: str) -> NoReturn:
        self.exit(_FAILED, f"{self.prog}: {message} ({self.prog} --help shows what there is)\n")


def command(words: Sequence[str]) -> int:
    """Carry out a command line; the exit status."""
    parser = _parser(words[0] if words else "")
    if words and words[0][:1] != "-" and words[0] not in parser.known:
        there = _COMMANDS_ELSEWHERE.get(words[0])
        # What ends or removes something is nobody's second guess.
        harmless = [word for word in parser.known if word not in ("kill", "prune", "rm", "stop")]
        close = "".join(f", is it {word}?" for word in difflib.get_close_matches(words[0], harmless, 1))
        there = there or "libctr --help shows what there is"
        parser.exit(_FAILED, f"libctr: there is no command {words[0]}{close} ({there})\n")
    options, rest = parser.parse_known_args(words)
    if "act" not in options:
        parser.print_help(sys.stderr)
        return _FAILED
    rest = _with_late_words(options, rest)
    if rest:
        options.parser.error(_too_much(rest, options.parser))
    try:
        return int(options.act(options))
    except Error as error:
        print(f"libctr: {error}", file=sys.stderr)
        return _FAILED
    except BrokenPipeError:
        # Whoever reads what we print has read enough, as in `libctr images | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (OSError, ValueError, TypeError) as error:
        print(f"libctr: {error}", file=sys.stderr)
        return _FAILED


def _too_much(rest: list[str], parser: argparse.ArgumentParser) -> str:
    option, equals, value = rest[0].partition("=")
    if option[:1] != "-":
        return f"{option} is too much"
    there = _ELSEWHERE.get(option)
    if there and there.endswith("="):
        there += value if equals else "host"
    if there:
        return f"there is no option {option}: {'here it is ' * (there[0] == '-')}{there}"
    known = [name for name in parser._option_string_actions if name.startswith("--")]
    close = [name for name in known if name.startswith(option)] if option[2:] else []
    close = close or difflib.get_close_matches(option, known, 1, 0.75)
    return f"there is no option {option}" + "".join(f", is it {name}?" for name in close[:1])


def _with_late_words(options: argparse.Namespace, rest: list[str]) -> list[str]:
    """What is left over. Optional words end at the first option for argparse; those behind it are as good."""
    name = getattr(options, "late", None)
    if name is None or any(word[:1] == "-" for word in rest):
        return rest
    before = getattr(options, name)
    if isinstance(before, list):
        before += rest
        return []
    if before is None and rest:
        setattr(options, name, rest[0])
        return rest[1:]
    return rest


def _add_the_others(command: Callable[..., Any]) -> None:
    from . import (
        _cli_copy,
        _cli_images,
        _cli_kernel,
        _cli_limits,
        _cli_mounts,
        _cli_networks,
        _cli_sockets,
        _cli_stats,
        _cli_volumes,
    )
    from ._cli_events import add_command

    for others in (_cli_mounts, _cli_volumes, _cli_copy, _cli_sockets, _cli_networks, _cli_stats, _cli_limits):
        others.add_commands(command)
    add_command(command)

    add_json(command("doctor", _doctor, "show what this machine allows and what it does not, and what to do about it"))

    _cli_images.add_commands(command)
    _cli_kernel.add_commands(command)


def _parser(wanted: str = "") -> _Parser:
    """That of all commands, or of the first ones where the wanted one is among them: files of others are not loaded."""
    parser = _Parser(
        prog="libctr",
        usage="libctr [--version] COMMAND [OPTION...] [ARGUMENT...]",
        description="Containers: a tarball in, an isolated process out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"libctr {__version__}")
    # Without `prog` the usage would be a part of theirs.
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog="libctr")

    def command(
        name: str, act: Callable[[argparse.Namespace], int], about: str, usage: str = "", late: str | None = None
    ) -> Any:
        child = commands.add_parser(
            name,
            help=about,
            description=about[0].upper() + about[1:] + ".",
            usage=f"libctr {name} [OPTION...] {usage}" if usage else None,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34),
        )
        child.set_defaults(act=act, parser=child, late=late)
        return child

    run = command("run", _run, "run a program in a new container", "IMAGE [CMD...]")
    add_rows(run)
    _about_the_program(run)
    run.add_argument("--entrypoint", metavar="CMD", help='in the place of the image\'s; "" for none')
    run.add_argument("image", metavar="IMAGE", help='a tarball, a directory, the name of an image, or "host"')
    _about_the_words(run, "what to run, after the image's entrypoint; by default what the image says, or else /bin/sh")
    about = "print its name, and leave it until libctr rm; output and exit status of the program are not kept"
    run.add_argument("-d", "--detach", action="store_true", help=about)
    run.add_argument("--rm", action="store_true", help="as docker's; without -d the container is removed anyway")

    inside = command("exec", _exec, "run a program in a running container", "NAME [CMD...]")
    _about_the_program(inside)
    inside.add_argument("name", metavar="NAME", help="the name of a container, or a pid")
    _about_the_words(inside, "what to run; /bin/sh by default")

    listed = command("ps", _ps, "list running containers, and how many programs run in each: 0 once they have ended")
    listed.add_argument("-q", "--quiet", action="store_true", help="only names")
    add_json(listed)

    shown = command("explain", _explain, "show every wall, and what run would do, as shell commands", "[IMAGE]")
    add_rows(shown)
    shown.add_argument("image", metavar="IMAGE", nargs="?", default="host", help='as for run; "host" by default')

    remove = command("rm", _rm, "destroy containers, whatever runs in them")
    remove.add_argument("names", metavar="NAME", nargs="+", help="the name of a container")

    about = "ask the programs of containers to end, by the image's stop signal or SIGTERM, then destroy the containers"
    stopped = command("stop", _stop, about)
    about = "how long the programs may take; 10 by default"
    stopped.add_argument("-t", "--timeout", "--time", type=float, metavar="SECONDS", default=10.0, help=about)
    stopped.add_argument("names", metavar="NAME", nargs="+", help="the name of a container")

    killed = command("kill", _kill, "send a signal to every program of containers, which live on")
    killed.add_argument("-s", "--signal", metavar="SIGNAL", type=_signal_number, default="KILL", help="KILL by default")
    killed.add_argument("names", metavar="NAME", nargs="+", help="the name of a container")

    about = "stop every process of containers where it is, until libctr unpause"
    paused = command("pause", _pause, about)
    about = "how long that may take; 10 by default"
    paused.add_argument("-t", "--timeout", type=float, metavar="SECONDS", default=10.0, help=about)
    paused.add_argument("names", metavar="NAME", nargs="+", help="the name of a container")

    resumed = command("unpause", _unpause, "let paused containers go on")
    resumed.add_argument("names", metavar="NAME", nargs="+", help="the name of a container")

    if wanted not in commands.choices:
        _add_the_others(command)
    parser.known = tuple(commands.choices)
    return parser


def _about_the_words(parser: argparse.ArgumentParser, help: str) -> None:
    # Older Pythons say that it is required.
    parser.add_argument("argv", metavar="CMD", nargs=argparse.REMAINDER, help=help).required = False


def _about_the_program(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "-e",
        "--env",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a variable; without a value, the caller's",
    )
    add("-w", "--workdir", metavar="DIR", help="working directory inside")
    add("-u", "--user", metavar="USER[:GROUP]", help="user inside, by name or number")
    add("-t", "--tty", action="store_true", default=None, dest="tty", help="give it a terminal")
    add(
        "-T",
        "--no-tty",
        action="store_false",
        dest="tty",
        help="give it none; the default unless stdin and stdout are one",
    )
    add("-i", "--interactive", action="store_true", help="as docker's; the program has this command's stdin anyway")
    add("--timeout", type=float, metavar="SECONDS", help="kill it and all that it has started after this time")
    about = "kill it and all that it has started when they have used so much CPU time together"
    add("--cpu-timeout", type=float, metavar="SECONDS", help=about)


def _run(options: argparse.Namespace) -> int:
    with _ending_by_signal():
        with bar("importing", options.image) as progress:
            made = _made(options, progress)
        if options.detach:
            return _detached(made, options)
        # In this order: what the program has left behind is dead before the pipes are at their end.
        with PipedFiles() as files, made as container:
            status = _attached(container, _command(container, options), options, files.streams)
        return _FAILED if files.failed else status


def _made(options: argparse.Namespace, progress: Any) -> Container:
    import warnings

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        made = Container(options.image, progress=progress, detached=options.detach, **container_keywords(options))
    for warning in told:
        print(f"libctr: warning: {warning.message}", file=sys.stderr)
    return made


def _detached(container: Container, options: argparse.Namespace) -> int:
    """Starts the program and leaves it running."""
    try:
        spawn = _program_options(options)
        container.popen(_command(container, options), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, **spawn)
    except BaseException as error:
        container.destroy()
        if isinstance(error, Error):
            return _failed_to_start(error)
        raise
    print(container.name)
    return 0


def _command(container: Container, options: argparse.Namespace) -> Argv:
    argv: list[str] | None = _words(options) or None
    entrypoint = None if options.entrypoint is None else [word for word in [options.entrypoint] if word]
    said = container.image_config
    if not argv and not (said.entrypoint or said.cmd if entrypoint is None else entrypoint):
        argv = ["/bin/sh"]
    return container.image_command(argv, entrypoint=entrypoint)


def _exec(options: argparse.Namespace) -> int:
    with _ending_by_signal(), join(_name_or_pid(options.name)) as container:
        return _attached(container, _words(options) or ["/bin/sh"], options)


def _ps(options: argparse.Namespace) -> int:
    running = containers()
    if options.quiet:
        print(*(info.name for info in running), sep="\n", end="\n" if running else "")
        return 0
    if options.json:
        runs = ((info, _runs(info.pid)) for info in running)
        print_json([{**info._asdict(), "runs": None if count == "?" else int(count)} for info, count in runs])
        return 0
    rows = [("NAME", "PID", "RUNS", "STATE", "OWNER", "AGE", "IMAGE")]
    for info in running:
        owner = "detached" if info.detached else str(info.owner)
        state = "paused" if info.paused else "running"
        since = age(time.time() - info.created)
        rows.append((info.name, str(info.pid), _runs(info.pid), state, owner, since, info.image))
    table(rows)
    return 0


def _runs(pid: int) -> str:
    """How many children PID 1 has, proc(5); it is the parent of every program, and of whom these leave behind."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as children:
            return str(len(children.read().split()))
    except OSError:
        return "?"


def _explain(options: argparse.Namespace) -> int:
    print(explain(options.image, **container_keywords(options)))
    return 0


def _rm(options: argparse.Namespace) -> int:
    return _each(options.names, destroy)


def _stop(options: argparse.Namespace) -> int:
    return _each(options.names, _joined(lambda container: container.stop(options.timeout)))


def _kill(options: argparse.Namespace) -> int:
    return _each(options.names, _joined(lambda container: container.kill_all(options.signal)))


def _pause(options: argparse.Namespace) -> int:
    return _each(options.names, _joined(lambda container: container.pause(options.timeout)))


def _unpause(options: argparse.Namespace) -> int:
    return _each(options.names, _joined(Container.resume))


def _joined(act: Callable[[Container], None]) -> Callable[[str], None]:
    def by_name(name: str) -> None:
        with join(name) as container:
            act(container)

    return by_name


def _each(names: list[str], act: Callable[[str], None]) -> int:
    """Does the same to each container; one that fails keeps it from none of the others."""
    status = 0
    for name in names:
        try:
            act(name)
        except Error as error:
            print(f"libctr: {error}", file=sys.stderr)
            status = _FAILED
    return status


def _signal_number(text: str) -> int:
    """`9`, `KILL`, `SIGKILL`, as kill(1) takes them."""
    if text.isdecimal():
        return int(text)
    name = text.upper()
    try:
        return int(signal.Signals[name if name.startswith("SIG") else "SIG" + name])
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no signal {text!r}") from None


def _doctor(options: argparse.Namespace) -> int:
    """A line for each check, `ok` or `no`, and a `hint` below it. Fails where no container can be made."""
    checks = probe()
    if options.json:
        print_json(checks)
        return 0 if checks[-1].ok else 1
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{'ok' if check.ok else 'no':4}  {check.name:{width}}  {check.says}".rstrip())
        if check.hint:
            print(f"hint  {'':{width}}  {check.hint}")
    return 0 if checks[-1].ok else 1


def _words(options: argparse.Namespace) -> list[str]:
    words: list[str] = options.argv
    return words[1:] if words[:1] == ["--"] else words


def _attached(
    container: Container, argv: Argv, options: argparse.Namespace, streams: Mapping[str, int] | None = None
) -> int:
    """Runs the program with our streams, with `streams` in the place of some, or with our terminal; its exit status."""
    tty = options.tty if options.tty is not None else os.isatty(0) and os.isatty(1) and _is_in_the_foreground()
    spawn = _program_options(options)
    if not tty:
        spawn.update(streams or {})
    else:
        spawn["extra_env"].setdefault("TERM", os.environ.get("TERM", "xterm"))
    with contextlib.nullcontext() if tty else _passing_signals_on() as told:
        try:
            process = container.popen(argv, pty=bool(tty), **spawn)
        except Error as error:
            return _failed_to_start(error)
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
    if process.exit.reason in ("out of memory", "timed out", "out of cpu time"):
        print(f"libctr: {process.exit.reason}: the program was killed", file=sys.stderr)
    return process.exit.code


def _is_in_the_foreground() -> bool:
    """Whether the terminal is ours to read and to set: in the background (`libctr run … &`) that would stop us."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        # It is not our controlling terminal, so there is no foreground to be in.
        return True


def _program_options(options: argparse.Namespace) -> dict[str, Any]:
    ours = {name: os.environ[name] for name in options.env if name in os.environ}
    given = dict(pair(text) for text in options.env if "=" in text)
    return {
        "cwd": options.workdir,
        "user": options.user,
        "extra_env": {**ours, **given},
        "time_limit": options.timeout,
        "cpu_time_limit": options.cpu_timeout,
    }


def _failed_to_start(error: Error) -> int:
    print(f"libctr: {error}", file=sys.stderr)
    if error.step_id == "start-program" and error.errno == errno.ENOENT:
        return _NOT_THERE
    return _CANNOT_RUN if error.code in _OF_THE_PROGRAM else _FAILED


def _lend_the_terminal(process: Popen[Any]) -> None:
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
def _passing_signals_on() -> Iterator[Callable[[Popen[Any]], None]]:
    """Without a terminal, a signal to us is meant for the program, as in docker; to be told which program that is.

    What arrives while it is being started is kept for it. What a terminal sends to all of a group (Ctrl-C) goes to all
    of the program's. The third time, as docker's, we end, and the program with us.
    """
    started: list[Popen[Any]] = []
    early: list[int] = []
    ending: list[int] = []

    def send(signum: int) -> None:
        if signum in (signal.SIGINT, signal.SIGQUIT):
            started[0].kill_group(signum)
        else:
            started[0].send_signal(signum)

    def pass_on(signum: int, frame: FrameType | None) -> None:
        if signum in (signal.SIGINT, signal.SIGTERM):
            ending.append(signum)
        if len(ending) == 3:
            if started:
                started[0].kill_group(signal.SIGKILL)
            raise SystemExit(128 + signum)
        if started:
            send(signum)
        else:
            early.append(signum)

    def tell(process: Popen[Any]) -> None:
        started.append(process)
        for signum in early:
            send(signum)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield tell
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _name_or_pid(text: str) -> str | int:
    return int(text) if text.isdecimal() else text
