"""Ports of this machine that lead into a container."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

import ctr

SERVER = ["python3", "-m", "http.server", "80", "--bind", "127.0.0.1", "--directory", "/tmp"]


@pytest.fixture
def c() -> Iterator[ctr.Container]:
    with ctr.Container() as c:
        c.run(["sh", "-c", "echo what is inside > /tmp/page"], check=True)
        c.popen(SERVER, stdout=ctr.DEVNULL, stderr=ctr.DEVNULL)
        c.wait_for_port(80, timeout=20)
        yield c


def page(address: tuple[str, int]) -> bytes:
    with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/page", timeout=20) as answer:
        text: bytes = answer.read()
    return text


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_web_server_inside_is_at_a_port_of_this_machine(c: ctr.Container) -> None:
    for address in [("127.0.0.1", 0), ("localhost", 0), "127.0.0.1:0", 0, "0"]:
        with c.forward(address, 80) as forward:  # type: ignore[arg-type]
            assert (forward.address[0], forward.to) == ("127.0.0.1", ("127.0.0.1", 80))
            assert page(forward.address) == b"what is inside\n"
            assert forward.running
            assert [each.address for each in c.ports] == [forward.address]
            assert repr(forward) == f"<ctr.Forward 127.0.0.1:{forward.address[1]} to 127.0.0.1:80>"
        assert not forward.running
        assert c.ports == []
        forward.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(forward.address, timeout=5)
    port = free_port()
    c.forward(port, ("127.0.0.1", 80))
    with ctr.join(c.name) as joined:
        assert page(joined.ports[0].address) == b"what is inside\n"
        joined.ports[0].close()
    assert c.ports == []
    kept = c.forward(port, 80)
    c.destroy()
    assert not kept.running
    kept.close()
    socket.create_server(("127.0.0.1", port)).close()


def test_a_container_is_made_with_its_ports() -> None:
    port = free_port()
    for ports in [{f"127.0.0.1:{port}": 80}, {port: 80}, [(("localhost", port), "127.0.0.1:80")], [f"{port}:80/tcp"]]:
        with ctr.Container(ports=ports) as c:  # type: ignore[arg-type]
            assert [(each.address, each.to) for each in c.ports] == [(("127.0.0.1", port), ("127.0.0.1", 80))]
            assert c.inspect()["ports"][0]["address"] == f"127.0.0.1:{port}"
            with pytest.raises(ctr.Error, match=f"publish 127.0.0.1:{port} for container") as caught:
                ctr.Container(ports=ports)  # type: ignore[arg-type]
            assert caught.value.errno == errno.EADDRINUSE
    with ctr.Container(ports=["80", "127.0.0.1::81"]) as c:
        assert [each.to[1] for each in c.ports] == [80, 81]
    with ctr.Container(ports={"[::1]:0": "[::1]:80"}) as c:
        assert repr(c.ports[0]).endswith(" to [::1]:80>")


def test_what_is_no_port_is_refused(c: ctr.Container) -> None:
    for address in ["web", "127.0.0.1", ("127.0.0.1", 65536), ("127.0.0.1", -1), ("web", 80)]:
        with pytest.raises(ValueError, match="publish"):
            c.forward(address, 80)  # type: ignore[arg-type]
    for ports in ["8080:80", 8080, [8080], [(1, 2, 3)]]:
        with pytest.raises(TypeError):
            ctr.Container(ports=ports)  # type: ignore[arg-type]
    for more in [["53:53/udp"], {"web:1": 80}, {1: 0}]:
        with pytest.raises(ValueError, match="TCP|publish|address"):
            ctr.Container(ports=more)  # type: ignore[arg-type]
    assert c.ports == []


def test_ports_are_typed(c: ctr.Container) -> None:
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ctr", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first, second = free_port(), free_port()
    done = command("forward", c.name, f"{first}:80", f"127.0.0.1:{second}:80")
    listed = f"127.0.0.1:{first} -> 127.0.0.1:80\n127.0.0.1:{second} -> 127.0.0.1:80\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, listed, "")
    # It outlives the command.
    assert page(("127.0.0.1", first)) == b"what is inside\n"
    assert command("forward", c.name).stdout == listed
    assert command("forward", c.name, "--close", str(first)).returncode == 0
    assert [each.address[1] for each in c.ports] == [second]
    done = command("forward", c.name, f"{second}:80")
    assert done.returncode == 125
    assert "EADDRINUSE" in done.stderr
    done = command("run", "-p", f"{first}:80", "host", "true")
    assert (done.returncode, done.stderr) == (0, "")
    done = command("run", "-p", f"{second}:80", "host", "true")
    assert done.returncode == 125
    assert f"publish 127.0.0.1:{second}" in done.stderr
