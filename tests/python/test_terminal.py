"""Terminals: a program's pty in our hands, and our terminal in a program's."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import ctr

COMMAND = [sys.executable, "-m", "ctr"]
SHELL = [*COMMAND, "run", "-e", "PS1=$ ", "host", "--", "sh", "-i"]


def test_a_program_with_a_pty_has_a_terminal_of_that_size(c: ctr.Container) -> None:
    with c.popen(["sh", "-c", "stty size; test -t 0 && test -t 1 && test -t 2 && tty"], pty=(33, 77)) as p:
        assert p.pty is not None
        assert p.stdin is p.stdout is p.stderr is None
        assert p.pty.read() == b"33 77\r\n/dev/pts/0\r\n"


def test_resizing_a_terminal_tells_the_program(c: ctr.Container) -> None:
    script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.01; done"
    with c.popen(["sh", "-c", script], pty=(24, 80)) as p:
        assert p.pty is not None
        assert p.pty.read(100) == b"ready\r\n"
        p.resize(50, 132)
        assert p.pty.read() == b"50 132\r\n"


def test_keys_typed_into_a_terminal_become_signals(c: ctr.Container) -> None:
    with c.popen(["sh", "-c", "echo ready; exec sleep 1000"], pty=(24, 80)) as p:
        assert p.pty is not None
        p.pty.read(100)
        p.pty.write(b"\x03")
        assert p.wait(60) == -signal.SIGINT
    with c.popen(["cat"], pty=(24, 80)) as p:
        assert p.pty is not None
        p.pty.write(b"word\n\x04")
        assert p.pty.read() == b"word\r\nword\r\n"
        assert p.wait(60) == 0


def test_communicate_types_the_input_and_returns_what_was_shown(c: ctr.Container) -> None:
    p = c.popen(["sh", "-c", "stty -echo; cat; echo end"], pty=(24, 80), text=True)
    out, err = p.communicate("one\ntwo\n", timeout=60)
    assert out.endswith("one\ntwo\nend\n")
    assert err is None
    done = c.run(["tty"], pty=True, capture_output=True, text=True)
    assert done.stdout.startswith("/dev/pts/")
    assert done.stderr is None


def test_a_timeout_ends_a_program_on_a_terminal(c: ctr.Container) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        c.run(["sh", "-c", "echo shown; sleep 1000"], pty=True, capture_output=True, timeout=0.5)
    assert caught.value.output == b"shown\r\n"


class Terminal:
    """A person at a terminal on which a program of the host runs."""

    def __init__(self, argv: list[str]) -> None:
        self.pid, self.fd = os.forkpty()
        if self.pid == 0:
            os.execv(argv[0], argv)
        self.seen = b""

    def expect(self, text: bytes) -> bytes:
        """Reads until `text` is shown; all that was shown up to it."""
        while text not in self.seen:
            assert self._read(), f"{text!r} was never shown: {self.seen!r}"
        shown, _, self.seen = self.seen.partition(text)
        return shown

    def type(self, keys: bytes) -> None:
        """Types."""
        os.write(self.fd, keys)

    def end(self) -> int:
        """Reads to the end; the exit status."""
        while self._read():
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        """Reads what is shown next; false where nobody has the terminal any more."""
        assert select.select([self.fd], [], [], 60)[0], f"nothing more is shown: {self.seen!r}"
        try:
            chunk = os.read(self.fd, 10_000)
        except OSError:
            return False
        self.seen += chunk
        return bool(chunk)


@contextmanager
def at_a_terminal(argv: list[str]) -> Iterator[Terminal]:
    """A terminal, hung up in the end."""
    terminal = Terminal(argv)
    try:
        yield terminal
    finally:
        os.close(terminal.fd)


def test_a_shell_at_a_terminal_has_job_control_and_passes_its_exit_status_on() -> None:
    with at_a_terminal(SHELL) as t:
        t.expect(b"$ ")
        t.type(b"tty; echo $((6*7))\n")
        t.expect(b"/dev/pts/0\r\n42\r\n")
        t.type(b"sleep 1000\n")
        t.expect(b"sleep 1000\r\n")
        time.sleep(0.3)
        t.type(b"\x1a")
        t.expect(b"$ ")
        t.type(b"jobs\n")
        t.expect(b"Stopped")
        t.expect(b"$ ")
        t.type(b"fg\n")
        t.expect(b"sleep 1000\r\n")
        time.sleep(0.3)
        t.type(b"\x03")
        t.expect(b"$ ")
        t.type(b"exit 17\n")
        assert t.end() == 17


def test_any_process_is_joined_on_a_terminal() -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        try:
            with at_a_terminal([*COMMAND, "exec", "-e", "PS1=$ ", str(sleeper.pid), "sh", "-i"]) as t:
                t.expect(b"$ ")
                t.type(b"sleep 1000\n")
                t.expect(b"sleep 1000\r\n")
                time.sleep(0.3)
                t.type(b"\x03")
                t.expect(b"$ ")
                t.type(b"exit 5\n")
                assert t.end() == 5
        finally:
            sleeper.kill()


def test_ctrl_c_reaches_the_program_and_not_us() -> None:
    with at_a_terminal(SHELL) as t:
        t.expect(b"$ ")
        t.type(b"sleep 1000\n")
        t.expect(b"sleep 1000\r\n")
        time.sleep(0.3)
        t.type(b"\x03")
        t.expect(b"$ ")
        t.type(b"echo status=$?; exit\n")
        t.expect(b"status=130")
        assert t.end() == 0


def test_a_new_size_of_our_terminal_is_passed_on() -> None:
    with at_a_terminal(SHELL) as t:
        t.expect(b"$ ")
        fcntl.ioctl(t.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 99, 0, 0))
        time.sleep(1)
        t.type(b"stty size; exit\n")
        t.expect(b"41 99")
        assert t.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_restored_when_we_are_told_to_end(number: int) -> None:
    # The shell of the host stays on the terminal and tells how its settings are after we ended.
    script = 'stty -a | md5sum; "$0" -m ctr run host -- sh -c "echo up; sleep 1000"; echo status=$?; stty -a | md5sum'
    with at_a_terminal(["/bin/sh", "-c", script, sys.executable]) as t:
        before = t.expect(b"-\r\n")
        t.expect(b"up")
        (ours,) = {info.owner for info in ctr.containers()} - {os.getpid()}
        os.kill(ours, number)
        t.expect(b"status=%d\r\n" % (128 + number))
        assert t.expect(b"-\r\n") == before
        assert t.end() == 0
    assert {info.owner for info in ctr.containers()} <= {os.getpid()}


def test_a_terminal_that_is_hung_up_ends_the_container() -> None:
    with at_a_terminal(SHELL) as t:
        t.expect(b"$ ")
    os.waitpid(t.pid, 0)
    assert {info.owner for info in ctr.containers()} <= {os.getpid()}


def test_the_end_of_typed_input_ends_a_shell() -> None:
    with at_a_terminal(SHELL) as t:
        t.expect(b"$ ")
        t.type(b"\x04")
        assert t.end() == 0


def test_much_output_on_a_terminal_is_shown_to_the_end() -> None:
    with at_a_terminal([*COMMAND, "run", "host", "--", "seq", "100000"]) as t:
        t.expect(b"\r\n99999\r\n100000\r\n")
        assert t.end() == 0


def test_a_long_paste_reaches_a_program_that_reads_late() -> None:
    lines = b"".join(b"line %d\n" % number for number in range(2000))
    with at_a_terminal([*COMMAND, "run", "host", "--", "sh", "-c", "stty -echo; echo go; sleep 0.5; cat | wc -l"]) as t:
        t.expect(b"go")
        pending = memoryview(lines + b"\x04")
        os.set_blocking(t.fd, False)
        deadline = time.monotonic() + 60
        while pending and time.monotonic() < deadline:
            try:
                pending = pending[os.write(t.fd, pending[:512]) :]
            except BlockingIOError:
                time.sleep(0.01)
        os.set_blocking(t.fd, True)
        t.expect(b"2000\r\n")
        assert t.end() == 0


def test_a_command_in_the_background_of_a_terminal_is_not_stopped() -> None:
    with at_a_terminal(["/bin/bash", "--norc", "-i"]) as t:
        t.type(
            b"PS1='> '; "
            + " ".join(COMMAND).encode()
            + b" run host sh -c 'echo it ran' & wait; echo status=$((40+2))\n"
        )
        shown = t.expect(b"status=42\r\n")
        assert b"it ran\r\n" in shown
        assert b"Stopped" not in shown
        t.type(b"exit\n")
        t.end()
