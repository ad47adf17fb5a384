"""Sockets in a container's network that this process holds."""

from __future__ import annotations

import operator
import os
from typing import TYPE_CHECKING, Union

from ._errors import invalid
from ._types import Path

if TYPE_CHECKING:
    import socket
    from typing import SupportsIndex

    from . import _ctr

    Address = Union[tuple[str, SupportsIndex], SupportsIndex, Path]

SOCK_STREAM, SOCK_DGRAM = 1, 2
"""Of socket(2), on Linux: `socket` itself is imported by those who use one."""

_LOCAL = "127.0.0.1"


def connect(native: _ctr.Container, address: Address, kind: int, timeout: float | None) -> socket.socket:
    """`Container.connect`."""
    return _held(native.connect(_datagrams(kind), *parts("connect-to", address), timeout))


def listen(native: _ctr.Container, address: Address, kind: int) -> socket.socket:
    """`Container.listen`."""
    return _held(native.listen(_datagrams(kind), *parts("listen-at", address)))


def wait_for_port(native: _ctr.Container, address: Address, timeout: float | None) -> None:
    """`Container.wait_for_port`."""
    native.wait_for_port(*parts("connect-to", address), timeout)


def _held(fd: int) -> socket.socket:
    import socket

    # Its family, type and protocol are asked of the kernel.
    return socket.socket(fileno=fd)


def _datagrams(kind: int) -> bool:
    if kind not in (SOCK_STREAM, SOCK_DGRAM):
        raise invalid("argument", "type", f"{kind} is neither socket.SOCK_STREAM nor socket.SOCK_DGRAM")
    return kind == SOCK_DGRAM


def parts(step_id: str, address: Address) -> tuple[Path, int]:
    """The address and the port, 0 of a path."""
    if isinstance(address, (str, bytes, os.PathLike)):
        return address, 0
    host, port = address if isinstance(address, (tuple, list)) else (_LOCAL, address)
    number = operator.index(port)
    if not 0 <= number <= 0xFFFF:
        raise invalid(step_id, f"port {number}", "a port is a number up to 65535")
    return host, number
