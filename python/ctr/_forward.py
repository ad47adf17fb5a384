"""Ports of the host that lead into a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import invalid
from ._sockets import parts

if TYPE_CHECKING:
    from types import TracebackType

    from . import _ctr
    from ._types import Port, Ports, Self

_LOCAL = "127.0.0.1"


class Forward:
    """A port of the host that leads to one inside: what `Container.forward` answers, and `Container.ports` lists.

    It ends by `close`, with its container, or at the end of a `with` block.
    """

    __slots__ = ("_native", "address", "to")

    address: tuple[str, int]
    """The address and the port of the host."""
    to: tuple[str, int]
    """Where they lead to inside."""

    def __init__(self, native: _ctr.Container, told: tuple[str, int, str, int, bool]) -> None:
        """For `Container.forward`; nothing else makes one."""
        self._native, self.address, self.to = native, told[:2], told[2:4]

    @property
    def running(self) -> bool:
        """Whether it forwards: neither closed nor ended, nor was its process killed. False if the container is gone."""
        try:
            return any(told[:2] == self.address and told[4] for told in self._native.ports())
        except OSError:
            return False

    def close(self) -> None:
        """End it with its connections; the port is free. Twice is no error, nor is it if the container is gone."""
        try:
            self._native.unpublish(*self.address)
        except (FileNotFoundError, ProcessLookupError):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self.running else " (ended)"
        return f"<ctr.Forward {written(self.address)} to {written(self.to)}{state}>"


def forward(native: _ctr.Container, address: Port, to: Port) -> Forward:
    """`Container.forward`."""
    return Forward(native, native.publish(*port_of(address), *port_of(to)))


def ports(native: _ctr.Container) -> list[Forward]:
    """`Container.ports`."""
    return [Forward(native, told) for told in native.ports()]


def port_of(address: Any) -> tuple[Any, int]:
    """(address, port), "address:port", "[::1]:port", or a port of 127.0.0.1."""
    if isinstance(address, str):
        host, _, port = address.rpartition(":")
        if not (port.isascii() and port.isdigit()):
            raise invalid("publish-port", address, 'a port is written "127.0.0.1:8080", "[::1]:8080" or "8080"')
        address = (host.removeprefix("[").removesuffix("]") or _LOCAL, int(port))
    return parts("publish-port", address)


def written(address: tuple[str, int]) -> str:
    """As the core writes one."""
    host, port = address
    host = _LOCAL if host == "localhost" else host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def asked(published: Ports) -> list[dict[str, str]]:
    """The keyword `ports`: a dict of addresses of the host to those inside, pairs, or docker's "8080:80"."""
    if isinstance(published, str) or not hasattr(published, "__iter__"):
        raise TypeError(f'ports must be a mapping, as {{"127.0.0.1:8080": 80}}, not {type(published).__name__}')
    pairs = published.items() if hasattr(published, "items") else published
    return [_pair(*(_divided(pair) if isinstance(pair, str) else pair)) for pair in pairs]


def _pair(address: Any, to: Any) -> dict[str, str]:
    return {"address": written(port_of(address)), "to": written(port_of(to))}


def _divided(text: str) -> tuple[str, str]:
    """[[ADDRESS:]PORT:]PORT of docker: without a port of the host it is a free one."""
    plain, _, protocol = text.partition("/")
    if protocol not in ("", "tcp"):
        raise ValueError(f"{text}: only TCP is published")
    address, _, to = plain.rpartition(":")
    if not address or (address.endswith(":") and not address.endswith("::")):
        address += "0"
    return address, to
