"""`libctr connect`: a port inside, on standard input and output. `libctr forward`: at a port of this machine."""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

from ._cli_json import add_json, print_json
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

    about = "publish ports of a running container at ports of this machine, or list those that are published"
    forwarded = command("forward", _forward, about)
    forwarded.add_argument("name", metavar="NAME", help="the name of the container")
    about = "ADDRESS is 127.0.0.1 if there is none; 0 is a free port; without any, those are listed that there are"
    forwarded.add_argument("ports", metavar="[ADDRESS:]PORT:PORT", nargs="*", help=about)
    about = "end what is published at [ADDRESS:]PORT"
    forwarded.add_argument("-c", "--close", metavar="[ADDRESS:]PORT", action="append", default=[], help=about)
    add_json(forwarded)


def _forward(options: argparse.Namespace) -> int:
    from ._forward import asked, port_of, written

    wanted = asked(options.ports)
    with join(options.name) as container:
        for address in options.close:
            container._native.unpublish(*port_of(address))
        made = [container.forward(pair["address"], pair["to"]) for pair in wanted]
        found = made if made or options.close else container.ports
        if options.json:
            print_json(
                [{"address": written(each.address), "to": written(each.to), "running": each.running} for each in found]
            )
            return 0
        for each in found:
            ended = "" if each.running else "  (its process was killed)"
            print(f"{written(each.address)} -> {written(each.to)}{ended}")
    return 0


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
