"""How a notebook shows what ctr tells: the HTML behind `_repr_html_`.

Names come from containers and archives. All of it is text: nothing becomes markup, and what a screen would obey is
escaped as in the terminal.
"""

from __future__ import annotations

import html
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._errors import Error
from ._words import amount, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._container import Container
    from ._image import Image
    from ._limits import Limits
    from ._stats import Stats

# A list of a million changes is not what a page is for.
_MOST = 500
_LEFT = ' style="text-align: left"'
_COLORS = {"on": "green", "yes": "green", "off": "firebrick", "no": "firebrick", "partly": "darkorange"}
# The columns that say whether something is as it should be.
_JUDGED = ("ok", "state")
# Of a named tuple's fields: what holds bytes, what is a moment.
_BYTES = ("size", "bytes", "memory", "memory_high", "memory_low", "swap")
_MOMENTS = ("created", "time")


class Place:
    """A place in the notebook where one page follows another."""

    def __init__(self) -> None:
        """Nothing is there yet."""
        self._handle: Any = None

    def show(self, page: str) -> None:
        """What it shows from now on; from any thread."""
        ipython: Any = import_module("IPython.display")
        if self._handle is None:
            self._handle = ipython.display(ipython.HTML(page), display_id=True)
        else:
            self._handle.update(ipython.HTML(page))


def escaped(text: str) -> str:
    """`text` as a part of a page."""
    return html.escape(printable(text))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """A table of text. Where there are no headings the first column has them."""
    lines = ["<table>"]
    if caption:
        lines.append(f"<caption{_LEFT}><b>{escaped(caption)}</b></caption>")
    if headings:
        lines.append("<tr>" + "".join(f"<th{_LEFT}>{escaped(heading)}</th>" for heading in headings) + "</tr>")
    for row in rows:
        names = headings or [""] * len(row)
        cells = [f"<td{_LEFT}>{_cell(name, cell)}</td>" for name, cell in zip(names, row)]
        if not headings:
            cells[0] = f"<th{_LEFT}>{escaped(row[0])}</th>"
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _cell(heading: str, text: str) -> str:
    color = _COLORS.get(text) if heading in _JUDGED else None
    return f'<span style="color: {color}">{text}</span>' if color else escaped(text)


def rows(items: Sequence[Any]) -> str:
    """Named tuples of one kind, or images."""
    if not items:
        return "<i>none</i>"
    shown = [_row(item) for item in items[:_MOST]]
    told = table([name.replace("_", " ") for name in shown[0]], [list(row.values()) for row in shown])
    return told if len(items) <= _MOST else f"{told}\n<i>and {len(items) - _MOST} more</i>"


def _row(item: Any) -> dict[str, str]:
    if hasattr(item, "_asdict"):
        return {name: _value(name, value) for name, value in item._asdict().items()}
    found: Image = item
    return {
        "names": ", ".join(found.names),
        "digest": found.digest.partition(":")[2][:12],
        "size": amount(found.size),
        "created": _moment(found.created),
        "layers": str(len(found.layers)),
    }


def _value(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in _BYTES:
        return amount(value)
    return _moment(value) if name in _MOMENTS else str(value)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def script(text: str) -> str:
    """Commands, with what they are for in another color."""
    lines = []
    for line in text.split("\n"):
        shown = escaped(line).replace("\\\\", "\\")
        is_comment = line.lstrip().startswith("#")
        lines.append(f'<span style="color: gray">{shown}</span>' if is_comment else shown)
    return "<pre>" + "\n".join(lines) + "</pre>"


def stats(told: Stats) -> str:
    """What a container uses, a line each, without what is not counted here."""

    def lines(prefix: str, value: Any) -> Iterable[tuple[str, str]]:
        if value is None:
            return
        if hasattr(value, "_asdict"):
            for name, part in value._asdict().items():
                yield from lines(f"{prefix}.{name}" if prefix else name, part)
        elif prefix.startswith(("memory.", "io.")):
            yield prefix, f"{amount(value)} ({value})"
        elif isinstance(value, float):
            yield prefix, f"{value:.3f} s" if not prefix.rpartition(".")[2].startswith("avg") else f"{value:.2f} %"
        else:
            yield prefix, str(value)

    return table((), lines("", told))


def limits(told: Limits) -> str:
    """The limits that there are, and all of them in the end."""

    def value(name: str, limit: Any) -> str:
        return "no limit" if limit is None else _value(name, limit)

    heads = ("limit", "its own", "in the end")
    return table(heads, [(name, value(name, own), value(name, most)) for name, (own, most) in told._asdict().items()])


def image(found: Image) -> str:
    """An image: what it is and how it is run."""
    row = {**_row(found), "digest": found.digest}
    config = found.config
    for name in ("entrypoint", "cmd", "volumes"):
        row[name] = " ".join(getattr(config, name))
    for name in ("working_dir", "user", "stop_signal", "architecture"):
        row[name] = getattr(config, name)
    row["env"] = " ".join(f"{name}={value}" for name, value in config.env.items())
    pairs = [(name.replace("_", " "), value) for name, value in row.items() if value]
    return table((), pairs, f"Image {found.name or ''}".rstrip())


def container(it: Container) -> str:
    """A container as it is at this moment; nobody inside is asked."""
    lines: list[tuple[str, str]] = []

    def line(name: str, ask: Any) -> None:
        # What can't be told of it, or not any more, is left out.
        try:
            value = ask()
        except Error:
            return
        if value is not None:
            lines.append((name, value))

    def memory() -> str | None:
        used, most = it.stats().memory.current, it.memory_limit
        return None if used is None else amount(used) + ("" if most is None else f" of {amount(most)}")

    def processor() -> str | None:
        told = it.stats().cpu
        return None if told.user is None or told.system is None else f"{told.user + told.system:.2f} s"

    def processes() -> str | None:
        count, most = it.stats().pids.current, it.pids_limit
        return None if count is None else str(count) + ("" if most is None else f" of {most}")

    running = it.running
    line("state", lambda: ("paused" if it.paused else "running") if running else "ended")
    if running:
        line("pid", lambda: str(it.pid))
        line("memory", memory)
        line("processor time", processor)
        line("processes", processes)
    return table((), lines, f"Container {it.name}")
