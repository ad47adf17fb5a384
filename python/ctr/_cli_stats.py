"""`libctr stats` and `libctr top`: what containers use, once and live."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from ._cli_json import add_json, print_json
from ._containers import containers, join
from ._errors import Error
from ._words import age, amount, columns

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from ._container import Container
    from ._stats import Stats

_HEADING = ("NAME", "CPU %", "CPU TIME", "MEMORY", "PEAK", "LIMIT", "PIDS", "READ", "WRITTEN", "OOM", "STATE")
# CTR_ERR_UNSUPPORTED, CTR_ERR_DESTROYED and CTR_ERR_NOT_FOUND of ctr.h.
_NOTHING_TO_COUNT, _GONE = -7, (-5, -3)


def add_commands(make: Callable[..., Any]) -> None:
    """The commands, by `make` of the parser."""
    about = "show what containers have used: processors, memory, processes, input and output"
    once = make("stats", _stats, about, "[NAME...]")
    once.add_argument("names", metavar="NAME", nargs="*", help="the name of a container; all by default")
    add_json(once)

    about = "show what all containers use, again and again; q or Ctrl-C ends it"
    live = make("top", _top, about)
    about = "how long it is until the next look; 1 by default"
    live.add_argument("-d", "--delay", type=float, metavar="SECONDS", default=1.0, help=about)
    live.add_argument("-n", "--count", type=int, metavar="COUNT", default=0, help="how many looks; no end by default")


def _stats(options: argparse.Namespace) -> int:
    looks = _Looks()
    if options.json:
        print_json(list(looks.told_of(options.names)))
        return 0
    # What is over before it is looked at has ended, unless it was asked for by name.
    rows = [looks.at(name) for name in options.names] if options.names else looks.at_all()
    # A share of processors is what lies between two looks: top has it.
    print(*columns([(name, *rest) for name, _, *rest in (_HEADING, *rows)]), sep="\n")
    return 0


def _top(options: argparse.Namespace) -> int:
    looks = _Looks()
    is_terminal = os.isatty(0) and os.isatty(1)
    delay = max(options.delay, 0.1)
    with _screen() if is_terminal else contextlib.nullcontext():
        count = 0
        while True:
            lines = columns([_HEADING, *looks.at_all()])
            if is_terminal:
                _show(lines)
            else:
                # A blank line between two looks.
                print(*[""] * bool(count), *lines, sep="\n", flush=True)
            count += 1
            if count == options.count:
                return 0
            if not is_terminal:
                time.sleep(delay)
            elif _wants_to_quit(delay):
                return 0


class _Looks:
    """Handles on containers, and what they had used when they were looked at last."""

    def __init__(self) -> None:
        self.joined: dict[str, Container] = {}
        self.used: dict[str, tuple[float, float]] = {}

    def names(self) -> list[str]:
        """Those that run."""
        names = [info.name for info in containers()]
        for name in self.joined.keys() - set(names):
            self._forget(name)
        return names

    def told(self, name: str) -> dict[str, Any]:
        """All that is known of one, None where nothing is counted."""
        container = self._joined(name)
        told: dict[str, Any] = {"name": name, "paused": container.paused, "stats": None}
        try:
            told["stats"] = container.stats()
        except Error as error:
            if error.code != _NOTHING_TO_COUNT:
                raise
        return {**told, "memory_limit": container.memory_limit, "pids_limit": container.pids_limit}

    def told_of(self, asked: list[str]) -> Iterator[dict[str, Any]]:
        """Of those that were asked for by name, or of all that have not ended meanwhile."""
        for name in asked or self.names():
            try:
                yield self.told(name)
            except Error as error:
                if asked or error.code not in _GONE:
                    raise

    def at_all(self) -> list[tuple[str, ...]]:
        """A row for each that runs."""
        names = self.names()
        rows = []
        for name in names:
            try:
                rows.append(self.at(name))
            except Error as error:
                # It has ended meanwhile, and another may have its name; or it can't be joined, and runs all the same.
                self._forget(name)
                if error.code not in _GONE:
                    rows.append((name, *["-"] * (len(_HEADING) - 2), "?"))
        return rows

    def at(self, name: str) -> tuple[str, ...]:
        """The row of one."""
        container = self._joined(name)
        state = "paused" if container.paused else "running"
        try:
            stats = container.stats()
        except Error as error:
            if error.code != _NOTHING_TO_COUNT:
                raise
            return (name, *["-"] * (len(_HEADING) - 2), state)
        limit = container.memory_limit
        return (
            name,
            self._share(name, stats),
            "-" if (used := _used(stats)) is None else f"{used:.2f}s" if used < 60 else age(used),
            _bytes(stats.memory.current),
            _bytes(stats.memory.peak),
            _bytes(limit),
            _number(stats.pids.current),
            _bytes(stats.io.read),
            _bytes(stats.io.written),
            _number(stats.oom_kills),
            state,
        )

    def _share(self, name: str, stats: Stats) -> str:
        """Of one processor, since the last look."""
        used, now = _used(stats), time.monotonic()
        before = self.used.get(name)
        if used is None:
            return "-"
        self.used[name] = (used, now)
        if before is None or now <= before[1]:
            return "-"
        return f"{100 * (used - before[0]) / (now - before[1]):.1f}"

    def _joined(self, name: str) -> Container:
        return self.joined.get(name) or self.joined.setdefault(name, join(name))

    def _forget(self, name: str) -> None:
        self.used.pop(name, None)
        container = self.joined.pop(name, None)
        if container is not None:
            container.close()


def _used(stats: Stats) -> float | None:
    cpu = stats.cpu
    return None if cpu.user is None or cpu.system is None else cpu.user + cpu.system


def _bytes(count: int | None) -> str:
    return "-" if count is None else amount(count)


def _number(count: int | None) -> str:
    return "-" if count is None else str(count)


@contextlib.contextmanager
def _screen() -> Iterator[None]:
    """The terminal's other screen, and each key as it is typed; as it was when that is over."""
    import termios
    import tty

    before = termios.tcgetattr(0)
    try:
        tty.setcbreak(0)
        # The other screen, without a cursor: xterm's control sequences, which Linux's terminals have in common.
        sys.stdout.write("\x1b[?1049h\x1b[?25l")
        yield
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _show(lines: list[str]) -> None:
    """As much as there is room for."""
    width, height = shutil.get_terminal_size()
    shown = [line[:width] for line in lines[:height]]
    # Each line is cleared to its end, then what is below them.
    sys.stdout.write("\x1b[H" + "\x1b[K\r\n".join(shown) + "\x1b[K\x1b[J")
    sys.stdout.flush()


def _wants_to_quit(delay: float) -> bool:
    """Whether q, or the end of the input, comes within this time."""
    end = time.monotonic() + delay
    while (left := end - time.monotonic()) > 0:
        if select.select([0], [], [], left)[0] and os.read(0, 1) in (b"q", b"Q", b""):
            return True
    return False
