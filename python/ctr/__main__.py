"""`python -m ctr`: containers from the command line."""

from __future__ import annotations

import sys


def main() -> int:
    """The command `libctr`."""
    from ctr._cli import command

    return command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
