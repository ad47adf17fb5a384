"""A container's processors and memory as a drawing that moves, in a notebook: SVG, which needs no other package."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from ._display import Place, escaped
from ._errors import Error
from ._monitor import Monitor
from ._words import amount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._container import Container
    from ._monitor import Sample

# How many samples are in sight.
_SEEN = 240
_WIDTH, _HEIGHT, _LEFT, _TOP = 320, 110, 64, 22
# Who draws a container already, by what ends it.
_drawn: weakref.WeakKeyDictionary[Container, threading.Event] = weakref.WeakKeyDictionary()


def draw(container: Container, interval: float, count: int | None) -> None:
    """Draw it from a thread, until the container ends, there are `count` samples, or it is drawn anew."""
    before = _drawn.get(container)
    if before is not None:
        before.set()
    ended = _drawn[container] = threading.Event()
    monitor = Monitor(container, interval, count)
    limits = _limits(container)
    place = Place()
    place.show(page(container.name, [], limits, ""))

    def run() -> None:
        samples: deque[Sample] = deque(maxlen=_SEEN)
        for sample in monitor:
            if ended.is_set():
                return
            samples.append(sample)
            place.show(page(container.name, list(samples), _limits(container) or limits, ""))
        place.show(page(container.name, list(samples), limits, "done" if container.running else "ended"))

    threading.Thread(target=run, name=f"ctr draws {container.name}", daemon=True).start()


def _limits(container: Container) -> tuple[float | None, float | None] | None:
    try:
        return container.cpu_limit, container.memory_limit
    except Error:
        return None


def page(name: str, samples: Sequence[Sample], limits: tuple[float | None, float | None] | None, state: str) -> str:
    """The drawing: a panel for the processors, one for the memory."""
    cpus, memory = limits or (None, None)
    panels = [
        _panel("processors", samples, [sample.cpu for sample in samples], cpus, lambda value: f"{value:.2f}"),
        _panel("memory", samples, [sample.memory for sample in samples], memory, amount),
    ]
    shown = "".join(f'<g transform="translate({at * (_WIDTH + 20)}, 0)">{panel}</g>' for at, panel in enumerate(panels))
    width, height = 2 * _WIDTH + 20, _HEIGHT + _TOP + 20
    return (
        f"<div><b>{escaped(name)}</b> {escaped(state)}</div>"
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-size="11" fill="currentColor">'
        f"{shown}</svg>"
    )


def _panel(title: str, samples: Sequence[Sample], values: Sequence[float | None], limit: float | None, say: Any) -> str:
    """A line of values over time, its limit dashed; what is not counted has no line."""
    known = [(sample.elapsed, value) for sample, value in zip(samples, values) if value is not None]
    now = say(known[-1][1]) if known else "not counted" if samples else ""
    bound = "" if limit is None else f" of {say(limit)}"
    lines = [f'<text x="{_LEFT}" y="14">{title}: {now}{bound}</text>']
    # A limit far above what is used would press the line to the ground.
    most = max((value for _, value in known), default=0.0)
    top = limit if limit is not None and limit < 4 * most else most * 1.1 or 1.0
    right, floor = _WIDTH - 4, _TOP + _HEIGHT
    lines.append(
        f'<path d="M{_LEFT} {_TOP} V{floor} H{right}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>'
        f'<text x="{_LEFT - 4}" y="{_TOP + 8}" text-anchor="end">{say(top)}</text>'
        f'<text x="{_LEFT - 4}" y="{floor}" text-anchor="end">0</text>'
    )
    if limit == top:
        lines.append(f'<path d="M{_LEFT} {_TOP} H{right}" stroke="firebrick" stroke-dasharray="4 3"/>')
    if len(known) > 1:
        first, last = known[0][0], known[-1][0]
        scale = (right - _LEFT) / (last - first)
        points = " ".join(
            f"{_LEFT + (time - first) * scale:.1f},{floor - min(value / top, 1) * _HEIGHT:.1f}" for time, value in known
        )
        lines.append(f'<polyline points="{points}" fill="none" stroke="steelblue" stroke-width="1.5"/>')
        lines.append(f'<text x="{right}" y="{floor + 13}" text-anchor="end">{last - first:.0f} s</text>')
    return "".join(lines)
