"""`libctr connect`: a port inside, on standard input and output."""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

from ._containers import join

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ._sockets import Address

_CHUNK = 64 << 10


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """The command, of which `command` makes a parser."""
    about = "connect standard input and output to a port, or a Unix socket, inside a container, as nc"
    connected = command("connect", _connect, about)
    connected.add_argument("name", metavar="NAME", help="the name of the container")
    connected.add_argument("address", metavar="[ADDRESS:]PORT|PATH", help="ADDRESS is 127.0.0.1 if there is none")
    about = "seconds to wait until something listens there, and then until it is connected"
    connected.add_argument("-w", "--wait", metavar="SECONDS", type=float, help=about)


def _connect(options: argparse.Namespace) -> int:
    address = _address(options)
    with join(options.name) as container:
        if options.wait is not None and not isinstance(address, str):
            container.wait_for_port(address, options.wait)
        server = container.connect(address, timeout=options.wait)
    with server:
        threading.Thread(target=_send, args=(server,), daemon=True).start()
        try:
            while data := server.recv(_CHUNK):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
        except ConnectionResetError:
            # It has ended without reading all of it, as for nc.
            return 1
    return 0


def _address(options: argparse.Namespace) -> Address:
    text: str = options.address
    if text.startswith("/"):
        return text
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit():
        options.parser.error(f"{text} is neither a port, ADDRESS:PORT nor an absolute path")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def _send(server: socket.socket) -> None:
    """All of standard input, then its end; the server may have something to say still."""
    try:
        while data := os.read(0, _CHUNK):
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)
    except OSError:
        # It is over, which the other direction tells.
        pass
