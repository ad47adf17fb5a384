"""Named networks, in which containers find each other by name."""

from __future__ import annotations

from typing import NamedTuple

from . import _ctr
from ._container import text_of
from ._rows import Rows
from ._types import Path


class Network(NamedTuple):
    """A named network, as it is when it is asked for: what `ctr.network` answers, and `ctr.networks` lists."""

    name: str
    """What `ctr.Container` takes as `network`."""
    subnet: str
    """Its IPv4 addresses, as "10.201.0.0/24"."""
    ipv6: str | None
    """Its IPv6 addresses, if it has any."""
    bridge: str
    """The name of its bridge, an interface of this machine that is there while it has members."""
    members: list[str]
    """The names of the containers in it, in the order in which they came."""
    state_dir: str | None = None
    """Where it is written down, if not in the usual place."""

    def remove(self) -> None:
        """Remove it. `ctr.Error` with EBUSY if containers are in it."""
        _ctr.remove_network(self.name, self.state_dir)


def network(
    name: str, subnet: str | None = None, ipv6: str | bool | None = None, *, state_dir: Path | None = None
) -> Network:
    """The network of this name, which is made if there is none; it takes root.

    Containers of `ctr.Container(…, network=name)` talk to each other, by addresses of its subnets and by their names,
    and to nobody else: not to this machine, not to other networks, not to the outside. It is there until it is removed,
    or until the machine starts anew.

    Args:
        name: Its name, for all processes of this user.
        subnet: Its IPv4 addresses, as "10.0.3.0/24"; by default a subnet that neither a route of this machine nor
            another network has.
        ipv6: Its IPv6 addresses, as "fd00:1::/64"; True is a random subnet, and by default it has none.
        state_dir: Where it is written down; as for `ctr.Container` by default.
    """
    state = text_of(state_dir)
    asked = ("auto" if ipv6 else None) if isinstance(ipv6, bool) else ipv6
    return Network(*_ctr.network(name, subnet, asked, state), state)


def networks(*, state_dir: Path | None = None) -> list[Network]:
    """The named networks of this user, in the order of their names."""
    state = text_of(state_dir)
    return Rows(Network(*parts, state) for parts in _ctr.networks(state))
