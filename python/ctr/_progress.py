"""How far a long piece of work is: what `progress=` takes, and how it is shown."""

from __future__ import annotations

import contextlib
import html
import os
import sys
from typing import TYPE_CHECKING, Union

from ._words import amount, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._image import Progress

    OnProgress = Union[Callable[[Progress], object], bool]
    """A function that is called, or True for a bar in the notebook or the terminal."""


@contextlib.contextmanager
def told(progress: OnProgress | None, verb: str, what: object) -> Iterator[Callable[[int, int, int], object] | None]:
    """What `progress=` says, as `_ctr` calls it."""
    if progress is None or progress is False:
        yield None
        return
    from ._image import Progress

    with shown(progress, verb, what) as call:
        yield None if call is None else lambda done, total, entries: call(Progress(done, total or None, entries))


@contextlib.contextmanager
def shown(progress: OnProgress | None, verb: str, what: object) -> Iterator[Callable[[Progress], object] | None]:
    """What `progress=` says, as a function."""
    if progress is True:
        with bar(verb, os.fsdecode(what) if isinstance(what, (str, bytes, os.PathLike)) else "") as show:
            yield show
    elif progress is None or progress is False:
        yield None
    elif callable(progress):
        yield progress
    else:
        raise TypeError(f"progress must be a function or a bool, not {type(progress).__name__}")


@contextlib.contextmanager
def bar(verb: str, what: str) -> Iterator[Callable[[Progress], object] | None]:
    """A bar in the notebook, or a line on stderr where that is a terminal, which is gone afterwards; else nothing."""
    what = printable(os.path.basename(what.rstrip("/")) or what)
    if in_notebook():
        with _bar_of_notebook(f"{verb} {what}") as show:
            yield show
        return
    try:
        is_terminal = os.isatty(2)
    except OSError:
        is_terminal = False
    if not is_terminal:
        yield None
        return
    shown = False

    def show_line(progress: Progress) -> None:
        nonlocal shown
        shown = True
        sys.stderr.write(f"\r{_line(f'{verb} {what}', progress, os.get_terminal_size(2).columns or 80)}\x1b[K")
        sys.stderr.flush()

    try:
        yield show_line
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


@contextlib.contextmanager
def _bar_of_notebook(start: str) -> Iterator[Callable[[Progress], object]]:
    """HTML that is replaced: it needs no extension, and stays in the saved notebook as it was at the end."""
    from ._display import Place

    place, last = Place(), None

    def show(progress: Progress) -> None:
        nonlocal last
        last = progress
        part = f' max="{progress.total}" value="{progress.bytes}"' if progress.total else ""
        place.show(f"{html.escape(start)} <progress{part}></progress> {_done(progress)}")

    ended = "stopped:"
    try:
        yield show
        ended = "done:"
    finally:
        # What was over before there was anything to show leaves nothing.
        if last is not None:
            place.show(f"{html.escape(start)} {ended} {_done(last)}")


def _done(progress: Progress) -> str:
    """As "103.2M of 170.0M, 5310 entries"."""
    total = f" of {amount(progress.total)}" if progress.total else ""
    return f"{amount(progress.bytes)}{total}, {progress.entries} entries"


def _line(start: str, progress: Progress, width: int) -> str:
    """As "importing debian.tar.gz  [######....]  61%  103.2M of 170.0M, 5310 entries"."""
    start, end = f"{start}  ", _done(progress)
    if progress.total:
        part = min(1.0, progress.bytes / progress.total)
        end = f"{part:4.0%}  {end}"
        cells = min(40, width - len(start) - len(end) - 5)
        if cells >= 10:
            end = f"[{'#' * int(part * cells):.<{cells}}] {end}"
    return (start + end)[: width - 1]
