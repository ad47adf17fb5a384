"""`ctr.aio.Watch`: events of a container, and samples of what it uses, without blocking the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import anyio

from ._errors import Error
from ._monitor import Clock
from ._watch import Event, EventKind, PressureThreshold
from ._watch import Watch as _Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from ._aio_process import Process
    from ._container import Container
    from ._monitor import Sample
    from ._popen import Popen
    from ._types import Self


class Watch:
    """Events of a container, as they come: `ctr.Watch`, with `async for`, `async with` and an awaitable `wait`."""

    def __init__(self, watch: _Watch) -> None:
        """Not to be called; see `Container.watch`."""
        self.watch = watch
        self._over = False

    @property
    def kinds(self) -> frozenset[EventKind]:
        """The kinds of events that it tells of."""
        return self.watch.kinds

    async def wait(self, timeout: float | None = None) -> Event | None:
        """The next event, None where there is none within `timeout` seconds: `ctr.Watch.wait`."""
        event: Event | None = None
        with anyio.move_on_after(timeout):
            # What is there already is taken also where there is no time.
            while (event := self.watch.wait(0)) is None:
                await anyio.wait_readable(self.watch.fileno())
        self._over = self._over or (event is not None and event.kind == "end")
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = None if self._over else await self.wait()
        if event is None:
            raise StopAsyncIteration
        return event

    def add(self, process: Popen[Any] | Process) -> None:
        """Tell also of the end of a program that was started before: `ctr.Watch.add`."""
        self.watch.add(process)

    def add_pressure(
        self, resource: Literal["memory", "cpu", "io"], *, stall: float, window: float = 2.0, full: bool = False
    ) -> PressureThreshold:
        """Tell also of pressure: `ctr.Watch.add_pressure`."""
        return self.watch.add_pressure(resource, stall=stall, window=window, full=full)

    def close(self) -> None:
        """Watch no more; the container goes on. A task that waits is told that it is closed."""
        try:
            anyio.notify_closing(self.watch.fileno())
        except Error:
            # It is closed already.
            return
        self.watch.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


async def samples(container: Container, clock: Clock) -> AsyncIterator[Sample]:
    """The samples of `Container.monitor`."""
    while (left := clock.wait()) is not None:
        ended = False
        with anyio.move_on_after(left):
            try:
                await anyio.wait_readable(container.fileno())
            except Error:
                return
            ended = True
        if ended or (sample := clock.look()) is None:
            return
        yield sample
