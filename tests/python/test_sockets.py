"""Sockets inside that are held outside."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import ctr

ECHO = """import socket, threading
def serve(s):
    while data := s.recv(1000):
        s.sendall(data)
    s.sendall(b"that was all")
    s.close()
server = socket.create_server(("127.0.0.1", 5432))
path = socket.socket(socket.AF_UNIX)
path.bind("/tmp/sock")
path.listen()
def accept(server):
    while True:
        threading.Thread(target=serve, args=server.accept()[:1]).start()
threading.Thread(target=accept, args=(path,)).start()
accept(server)
"""


@pytest.fixture
def c() -> Iterator[ctr.Container]:
    with ctr.Container() as c:
        yield c


def test_a_server_inside_is_reached(c: ctr.Container) -> None:
    c.popen(["python3", "-c", ECHO])
    c.wait_for_port(5432, timeout=20)
    addresses: list[tuple[str, int] | int | str | bytes]
    addresses = [("127.0.0.1", 5432), ("localhost", 5432), 5432, "/tmp/sock", b"/tmp/sock"]
    for address in addresses:
        with c.connect(address, timeout=20) as s:
            assert isinstance(s, socket.socket)
            assert (s.type, s.gettimeout(), s.get_inheritable()) == (socket.SOCK_STREAM, None, False)
            assert s.family == (socket.AF_UNIX if isinstance(address, (str, bytes)) else socket.AF_INET)
            assert s.fileno() > 2
            s.sendall(b"hello")
            s.shutdown(socket.SHUT_WR)
            assert s.makefile("rb").read() == b"hellothat was all"
    with ctr.join(c.name) as joined, joined.connect(5432) as s:
        assert s.getpeername() == ("127.0.0.1", 5432)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 5432), timeout=5)


def test_a_program_inside_reaches_a_socket_outside(c: ctr.Container) -> None:
    script = "import socket; s = socket.create_connection(('127.0.0.1', 80)); print(s.recv(9).decode())"
    with c.listen(80) as server:
        p = c.popen(["python3", "-c", script], stdout=ctr.PIPE, text=True)
        client = server.accept()[0]
        client.sendall(b"answer")
        client.close()
        assert p.communicate()[0] == "answer\n"
        with pytest.raises(OSError, match="listen at 127.0.0.1:80 of container") as caught:
            c.listen(("127.0.0.1", 80))
        assert caught.value.errno == errno.EADDRINUSE
    with c.listen(("127.0.0.1", 0), type=socket.SOCK_DGRAM) as server:
        assert server.type == socket.SOCK_DGRAM
        with c.connect(server.getsockname(), type=socket.SOCK_DGRAM) as s:
            s.send(b"datagram")
            assert server.recv(20) == b"datagram"


def test_what_is_not_reached_is_told(c: ctr.Container) -> None:
    with pytest.raises(ConnectionRefusedError, match="127.0.0.1:5432 of container") as caught:
        c.connect(5432)
    assert isinstance(caught.value, ctr.Error)
    assert caught.value.step_id == "connect-to"
    start = time.monotonic()
    # More than one slice of the binding's.
    with pytest.raises(TimeoutError, match="127.0.0.1:5432 of container"):
        c.wait_for_port(5432, timeout=0.7)
    assert 0.7 <= time.monotonic() - start < 20
    with pytest.raises(FileNotFoundError):
        c.connect("/tmp/missing")
    wrong: list[tuple[str, int] | str]
    wrong = [("db.example", 5432), ("127.0.0.1", 0), ("127.0.0.1", 65536), ("127.0.0.1", -1), "relative"]
    for address in wrong:
        with pytest.raises(ValueError, match="connect to"):
            c.connect(address)
    with pytest.raises(ValueError, match="SOCK_DGRAM"):
        c.connect(1, type=socket.SOCK_RAW)
    with pytest.raises(ValueError, match="listen at"):
        c.listen("/tmp/sock")
    for other in [None, 1.5, ("127.0.0.1", "80"), ("127.0.0.1", 80, 0)]:
        with pytest.raises((TypeError, ValueError)):
            c.connect(other)  # type: ignore[arg-type]
    c.destroy()
    with pytest.raises(ProcessLookupError):
        c.connect(5432)


def test_ctrl_c_ends_a_wait(c: ctr.Container) -> None:
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        c.wait_for_port(5432, timeout=None)
    timer.join()


def test_nothing_is_left_open(c: ctr.Container) -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    with c.listen(9), c.connect(9):
        pass
    before = opened()
    for _ in range(5):
        with c.listen(9), c.connect(9):
            pass
        with pytest.raises(ConnectionRefusedError):
            c.connect(9)
    assert opened() == before


def test_the_command_line_is_connected(c: ctr.Container) -> None:
    c.popen(["python3", "-c", "import time; time.sleep(0.5)\n" + ECHO])

    def command(*words: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "ctr", "connect", *words]
        return subprocess.run(command, input=b"x" * 100000, capture_output=True, check=False)

    for words in [("-w", "20", c.name, "5432"), (c.name, "127.0.0.1:5432"), (c.name, "/tmp/sock")]:
        done = command(*words)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == b"x" * 100000 + b"that was all"
    done = command(c.name, "1")
    assert done.returncode == 125
    assert b"connect to 127.0.0.1:1 of container" in done.stderr
    done = command(c.name, "nonsense")
    assert done.returncode == 125
    assert b"neither a port" in done.stderr
