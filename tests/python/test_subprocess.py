"""`ctr.Popen` and `run` beside `subprocess`: the same arguments, the same attributes, the same ends."""

from __future__ import annotations

import gc
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ctr
from ctr import DEVNULL, PIPE


def positional(function: Any) -> list[str]:
    """The names of what can be given without its name."""
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]


def test_the_pid_is_an_int_however_short_the_program(c: ctr.Container, tmp_path: Path) -> None:
    for _ in range(200):
        p = c.popen(["true"], stdout=PIPE, stderr=DEVNULL)
        p.wait()
        assert p.pid > 1
        assert p.stdout is not None
        p.stdout.close()
    with c.popen(["cat"], stdin=PIPE) as p:
        known = p.pid
        assert f"NSpid:\t{known}" in Path(f"/proc/{known}/status").read_text()
    assert p.pid == known
    p.pid = 1
    assert p.pid == 1


@pytest.mark.parametrize("argv", [["cat"], ["sh", "-c", "while read x; do :; done"], ["sleep", "1000"], ["yes"]])
def test_a_terminal_that_is_closed_hangs_up(c: ctr.Container, argv: list[str]) -> None:
    with c.popen(argv, pty=True) as p:
        assert p.pty is not None
    assert p.returncode is not None
    p = c.popen(argv, pty=True)
    assert p.pty is not None
    p.pty.close()
    assert p.wait(60) is not None


def test_nothing_of_a_terminal_is_left_open(c: ctr.Container, fds: set[int]) -> None:
    with c.popen(["cat"], pty=True) as p:
        assert p.pty is not None
        p.resize(10, 20)
        assert os.get_terminal_size(p.pty.fileno()) == (20, 10)
    with c.popen(["cat"], stdin=PIPE) as p, pytest.raises(ValueError, match="started without one"):
        p.resize(10, 20)


def test_keywords_at_their_idle_values_are_accepted(c: ctr.Container) -> None:
    idle: dict[str, Any] = {
        "preexec_fn": None,
        "startupinfo": None,
        "creationflags": 0,
        "close_fds": None,
        "restore_signals": None,
        "universal_newlines": None,
        "bufsize": None,
        "umask": -2,
        "pipesize": -1,
        "pass_fds": [],
    }
    assert c.run(["true"], **idle).returncode == 0
    assert c.run(["true"], capture_output=True, **idle).stdout == b""
    assert ctr.run("host", ["true"], **idle).returncode == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("preexec_fn", print),
        ("startupinfo", 1),
        ("creationflags", 1),
        ("close_fds", False),
        ("restore_signals", False),
    ],
)
def test_what_can_mean_nothing_here_is_a_value_error(c: ctr.Container, name: str, value: Any) -> None:
    for options in ({}, {"stdout": PIPE}):
        with pytest.raises(ValueError, match=name):
            c.run(["true"], **options, **{name: value})  # type: ignore[call-overload]


def test_arguments_without_names_are_in_the_order_of_subprocess(c: ctr.Container) -> None:
    theirs = [name for name in positional(subprocess.Popen) if name != "self"]
    assert positional(c.popen) == theirs
    assert positional(c.run) == theirs
    assert positional(ctr.Popen)[1:] == theirs
    assert c.popen(["echo", "a"], -1, None, None, PIPE).communicate() == (b"a\n", None)  # type: ignore[call-overload]
    assert c.run("echo $A", -1, None, None, PIPE, None, None, True, True, None, {"A": "b"}).stdout == b"b\n"  # type: ignore[call-overload]


def test_every_keyword_of_subprocess_is_there_and_can_be_seen(c: ctr.Container) -> None:
    theirs = set(inspect.signature(subprocess.Popen).parameters)
    ours = set(inspect.signature(c.popen).parameters)
    assert theirs <= ours
    of_run = {"input", "capture_output", "timeout", "check"}
    assert set(inspect.signature(c.run).parameters) == ours | of_run
    assert set(inspect.signature(ctr.Popen).parameters) == ours | {"container"}
    from ctr._types import PopenOptions

    said = set(PopenOptions.__annotations__) | {"args", "text", "universal_newlines", "encoding", "errors"}
    assert said == ours


def test_every_keyword_of_a_container_can_be_seen() -> None:
    from ctr._types import ContainerOptions

    parameters = inspect.signature(ctr.Container).parameters
    assert list(parameters) == ["image", *ContainerOptions.__annotations__]
    assert parameters["memory"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "Size" in str(parameters["memory"].annotation)
    with pytest.raises(TypeError, match=r"^Container\(\) got an unexpected keyword argument 'memroy'$"):
        ctr.Container(memroy="1G")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^explain\(\) got an unexpected keyword argument 'memroy'$"):
        ctr.explain(memroy="1G")  # type: ignore[call-arg]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="annotations are written with | and Unpack")
def test_annotations_can_be_evaluated() -> None:
    for function in (ctr.run, ctr.Container.run, ctr.Container.popen, ctr.Container.__init__, ctr.join, ctr.explain):
        assert typing.get_type_hints(function)
    for generic in (ctr.Popen, ctr.CompletedProcess):
        assert generic[str] is not None


def test_attributes_are_those_of_subprocess(c: ctr.Container) -> None:
    args = {"stdout": PIPE, "encoding": "latin-1", "errors": "replace"}
    theirs = subprocess.Popen(["true"], **args)  # type: ignore[call-overload]
    theirs.communicate()
    ours = c.popen(["true"], **args)  # type: ignore[call-overload]
    ours.communicate()
    missing = {name for name in vars(theirs) if not name.startswith("_")} - {*vars(ours), *dir(ours)}
    assert not missing
    for name in ("encoding", "errors", "pipesize", "returncode", "args"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.text_mode
    assert ours.universal_newlines
    ours.universal_newlines = False
    assert not ours.text_mode


def test_it_is_shown_as_subprocess_shows_it(c: ctr.Container) -> None:
    for args in (["true"], ["sh", "-c", ": " + "x" * 100], "true", ("true",)):
        ours, theirs = c.popen(args), subprocess.Popen(args)
        ours.wait(), theirs.wait()
        cut = repr(theirs).replace("<Popen", "<ctr.Popen")
        assert repr(ours)[:70] == cut[:70]
        assert len(repr(ours)) <= 80


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"user": 1.0}, TypeError),
        ({"user": b"nobody"}, TypeError),
        ({"user": -1}, ValueError),
        ({"user": 2**64}, OverflowError),
        ({"group": 2**64}, OverflowError),
        ({"user": ""}, KeyError),
        ({"user": "no-such-user"}, KeyError),
        ({"group": 1.0}, TypeError),
        ({"group": "no-such-group"}, KeyError),
        ({"extra_groups": ["no-such-group"]}, KeyError),
        ({"extra_groups": [1.0]}, TypeError),
        ({"extra_groups": "wheel"}, ValueError),
        ({"umask": "0"}, TypeError),
        ({"bufsize": "s"}, TypeError),
        ({"env": {"a=b": "c"}}, ValueError),
    ],
)
def test_what_is_no_value_is_told_as_subprocess_tells_it(
    c: ctr.Container, options: dict[str, Any], error: type[Exception]
) -> None:
    for more in ({}, {"stdout": PIPE}):
        with pytest.raises(error):
            c.run(["true"], **options, **more)  # type: ignore[call-overload]
    if os.geteuid() == 0 or "umask" in options or "bufsize" in options:
        with pytest.raises(error):
            subprocess.run(["true"], **options)


def test_an_unknown_user_is_an_error_of_ours_too(c: ctr.Container) -> None:
    with pytest.raises(ctr.Error, match="has no such user") as caught:
        c.run(["true"], user="no-such-user")
    assert isinstance(caught.value, FileNotFoundError)


def test_true_is_the_user_1_as_in_subprocess(c: ctr.Container) -> None:
    if len(c.run(["cat", "/proc/self/uid_map"], capture_output=True, text=True).stdout.split()) != 3:
        pytest.skip("this user has ranges")
    if c.run("test $(awk '{print $3}' /proc/self/uid_map) -gt 1", shell=True).returncode:
        pytest.skip("this container has a single id")
    assert c.run(["id", "-u"], user=True, capture_output=True).stdout == b"1\n"


def test_an_executable_needs_no_arguments(c: ctr.Container) -> None:
    assert c.run([], executable="/bin/true").returncode == 0
    with pytest.raises(ValueError, match="argv is empty"):
        c.run([])


def test_a_path_is_no_script(c: ctr.Container) -> None:
    with pytest.raises(TypeError, match="path-like args is not allowed when shell is true"):
        c.run(Path("/bin/true"), shell=True)


def test_other_greenlets_run_while_one_waits() -> None:
    pytest.importorskip("gevent", reason="gevent is not installed")
    script = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import ctr, gevent, time\n"
        "order = []\n"
        "def one(c, how):\n"
        "    how(c); order.append('ran')\n"
        "def beside():\n"
        "    gevent.sleep(0.2); order.append('beside')\n"
        "with ctr.Container() as c:\n"
        "    for how in (lambda c: c.run(['sleep', '2']), lambda c: c.popen(['sleep', '2']).wait(),\n"
        "                lambda c: c.run(['sleep', '2'], capture_output=True)):\n"
        "        gevent.joinall([gevent.spawn(one, c, how), gevent.spawn(beside)], raise_error=True)\n"
        "print(*order)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["beside", "ran"] * 3, done.stderr


def test_input_has_to_be_of_the_kind_of_the_pipes(c: ctr.Container) -> None:
    for wrong in (b"", b"x"):
        with pytest.raises(TypeError, match="input must be str, not bytes"):
            c.run(["cat"], input=wrong, text=True, capture_output=True)
        with pytest.raises(TypeError):
            c.run(["cat"], input=wrong, text=True, stdout=DEVNULL)
    with pytest.raises(TypeError):
        c.run(["cat"], input="x", capture_output=True)


def test_a_signal_out_of_range_is_an_os_error(c: ctr.Container) -> None:
    with c.popen(["cat"], stdin=PIPE) as p, pytest.raises(OSError, match="999"):
        p.send_signal(999)


@contextmanager
def interrupted_in(seconds: float) -> Iterator[None]:
    """Ctrl-C, which nobody but us hears."""
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        timer.cancel()


CLEANS_UP = "trap 'echo cleaned > {}; exit 9' INT; echo > {}; while :; do sleep 0.01; done"


@pytest.mark.parametrize("options", [{}, {"stdout": PIPE}, {"timeout": 600}])
def test_ctrl_c_lets_the_program_clean_up_before_it_is_killed(c: ctr.Container, options: dict[str, Any]) -> None:
    c.run("rm -f /tmp/there /tmp/cleaned", shell=True)
    with interrupted_in(0.5):
        c.run(CLEANS_UP.format("/tmp/cleaned", "/tmp/there"), shell=True, **options)
    assert c.run(["test", "-e", "/tmp/there"]).returncode == 0
    assert c.run(["cat", "/tmp/cleaned"], stdout=PIPE).stdout == b"cleaned\n"
    with interrupted_in(0.3):
        c.run("trap '' INT; exec sleep 1234", shell=True, **options)
    assert c.run("! grep -q '^sleep.1234' /proc/[0-9]*/cmdline", shell=True).returncode == 0


@pytest.mark.parametrize("how", ["wait", "communicate", "with"])
def test_ctrl_c_while_one_waits_is_passed_on_as_by_a_terminal(c: ctr.Container, how: str) -> None:
    p = c.popen(["sleep", "1000"])
    with interrupted_in(0.3):
        if how == "with":
            with p:
                time.sleep(1000)
        else:
            getattr(p, how)()
    assert p.wait(60) == -signal.SIGINT
    # Who has a terminal of its own is not told.
    with c.popen(["sleep", "1000"], pty=True) as p:
        with interrupted_in(0.3):
            p.wait()
        assert p.poll() is None


class Early(Exception):
    """Raised by a signal."""


@pytest.mark.parametrize("options", [{}, {"capture_output": True}, {"capture_output": True, "text": True}])
def test_an_exception_at_any_moment_leaves_nothing_running(c: ctr.Container, options: dict[str, Any]) -> None:
    def raise_early(number: int, frame: object) -> None:
        raise Early

    before = signal.signal(signal.SIGALRM, raise_early)
    raised = 0
    try:
        for step in range(100):
            try:
                signal.setitimer(signal.ITIMER_REAL, (step + 1) * 3e-5)
                c.run(["sleep", "4321"], **options)
            except Early:
                raised += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert raised == 100
    assert c.run("! grep -q '^sleep.4321' /proc/[0-9]*/cmdline", shell=True).returncode == 0
    gc.collect()


def test_a_time_limit_is_kept_whoever_holds_the_pipes(c: ctr.Container) -> None:
    # What a program leaves behind in a session of its own holds its pipe for ever.
    script = "echo shown; setsid sleep 1000 & exec sleep 1000"
    done = c.run(script, shell=True, capture_output=True, time_limit=0.3)
    assert (done.exit.reason, done.stdout, done.stderr) == ("timed out", b"shown\n", b"")
    p = c.popen(script, shell=True, stdout=PIPE, text=True, time_limit=0.3)
    assert p.communicate() == ("shown\n", None)
    c.run("kill -9 -1 2>/dev/null; true", shell=True)


def test_an_editor_sees_what_there_is(c: ctr.Container) -> None:
    jedi = pytest.importorskip("jedi")
    source = "import ctr\nctr.\nctr.Container().\n"
    script = jedi.Script(source, path="editor.py")
    assert {"run", "Container", "Image", "join"} <= {name.name for name in script.complete(2, 4)}
    assert {"run", "popen", "memory_limit"} <= {name.name for name in script.complete(3, 16)}
    for call in ("ctr.Container('x', mem", "ctr.Container(mem"):
        assert "memory=" in {name.name for name in jedi.Interpreter(call, [{"ctr": ctr}]).complete()}
    for call in ("c.popen(['x'], std", "c.run(['x'], std"):
        completed = {name.name for name in jedi.Interpreter(call, [{"c": c}]).complete()}
        assert {"stdin=", "stdout=", "stderr="} <= completed, call
