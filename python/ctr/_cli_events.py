"""`libctr events`: what happens to containers, a line each."""

from __future__ import annotations

import datetime
import json
import select
from typing import TYPE_CHECKING, Any

from ._containers import join

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ._watch import Event, Watch


def add_command(make: Callable[..., Any]) -> None:
    """The command, by `make` of the parser."""
    about = "show what happens to containers until they end: kills for memory, limits that were met, pauses"
    command = make("events", _events, about, "NAME...")
    command.add_argument("--json", action="store_true", help="each event as a line of JSON")
    command.add_argument("names", metavar="NAME", nargs="+", help="the name of a container")


def _events(options: argparse.Namespace) -> int:
    poller = select.poll()
    watched: dict[int, tuple[str, Watch]] = {}
    for name in options.names:
        # It outlives the handle, and programs that others have started are told to nobody.
        with join(name) as container:
            watch = container.watch()
        watched[watch.fileno()] = name, watch
        poller.register(watch.fileno(), select.POLLIN)
    while watched:
        for fd, _ in poller.poll():
            name, watch = watched[fd]
            while (event := watch.wait(0)) is not None:
                print(_as_json(name, event) if options.json else _as_line(name, event), flush=True)
                if event.kind == "end":
                    poller.unregister(fd)
                    del watched[fd]
                    watch.close()
                    break
    return 0


def _as_line(name: str, event: Event) -> str:
    when = datetime.datetime.fromtimestamp(event.time).isoformat(" ", "milliseconds")
    times = f"  {event.count} times" if event.count > 1 else ""
    why = "" if event.reason in (None, "destroyed") else f"  {event.reason}"
    return f"{when}  {name}  {event.kind}{times}{why}"


def _as_json(name: str, event: Event) -> str:
    told = {"name": name, "kind": event.kind, "time": event.time, "monotonic": event.monotonic, "count": event.count}
    return json.dumps(told if event.reason is None else {**told, "reason": event.reason})
