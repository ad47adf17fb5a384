"""`libctr network`: networks in which containers find each other by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._words import columns

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """The command, of which `command` makes a parser."""
    about = "make, list and remove networks, in which containers find each other by name (run --network NAME)"
    parser = command("network", _list, about)
    verbs = parser.add_subparsers(metavar="create|ls|rm", dest="verb")

    about = "make a network, if there is none of this name"
    made = verbs.add_parser("create", help=about, description=about)
    made.add_argument("--subnet", metavar="SUBNET", help="its addresses, as 10.0.3.0/24; a free subnet by default")
    about = "its IPv6 addresses, as fd00:1::/64; random ones without a subnet, and none by default"
    made.add_argument("--ipv6", metavar="SUBNET", nargs="?", const="auto", help=about)
    made.add_argument("name", metavar="NAME", help="the name of the network")
    made.set_defaults(act=_create, parser=made)

    about = "list networks, their subnets and members"
    listed = verbs.add_parser("ls", help=about, description=about)
    listed.add_argument("-q", "--quiet", action="store_true", help="only names")
    listed.set_defaults(act=_list, parser=listed)

    about = "remove networks that no container is in"
    removed = verbs.add_parser("rm", help=about, description=about)
    removed.add_argument("names", metavar="NAME", nargs="+", help="the name of a network")
    removed.set_defaults(act=_remove, parser=removed)


def _create(options: argparse.Namespace) -> int:
    from ._networks import network

    print(network(options.name, options.subnet, options.ipv6).subnet)
    return 0


def _list(options: argparse.Namespace) -> int:
    from ._networks import networks

    found = networks()
    if getattr(options, "quiet", False):
        print(*(each.name for each in found), sep="\n", end="\n" if found else "")
        return 0
    rows = [("NAME", "SUBNET", "IPV6", "MEMBERS")]
    rows += [(each.name, each.subnet, each.ipv6 or "-", ", ".join(each.members) or "-") for each in found]
    print(*columns(rows), sep="\n")
    return 0


def _remove(options: argparse.Namespace) -> int:
    from . import _ctr

    for name in options.names:
        _ctr.remove_network(name)
    return 0
