"""Calls that take the kernel a moment, in worker threads: what they make is never lost, whatever is cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import anyio
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync

T = TypeVar("T")

# The kernel makes namespaces and mounts one at a time, however many ask for them.
_THREADS = 8
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("ctr.aio threads")


class _Abandoned(Exception):
    """Raised in a worker thread whose caller is gone."""


class _Handover(Generic[T]):
    """Takes what a worker thread has made to the task that waits for it, or undoes it if the task was cancelled."""

    def __init__(self, undo: Callable[[T], object] | None) -> None:
        self._undo = undo
        self._lock = threading.Lock()
        self._made: list[T] = []
        self._abandoned = False

    def check(self) -> None:
        """In the thread: raises once nobody waits any more."""
        if self._abandoned:
            raise _Abandoned

    def give(self, made: T) -> None:
        """In the thread: here it is."""
        with self._lock:
            if not self._abandoned:
                self._made.append(made)
                return
        if self._undo is not None:
            self._undo(made)

    def take(self) -> T:
        """In the task, when the thread has ended."""
        return self._made.pop()

    def abandon(self) -> None:
        """In the task: nobody takes it any more."""
        with self._lock:
            self._abandoned = True
            made = [] if self._undo is None else self._made
        for thing in made:
            # On a thread again, since it takes the kernel a moment; nobody waits for it.
            threading.Thread(target=self._undo, args=(thing,), name="ctr.aio undo").start()


async def in_thread(work: Callable[[Callable[[], None]], T], undo: Callable[[T], object] | None = None) -> T:
    """The result of `work` in a worker thread; `undo` gets it if the task is cancelled before it has it.

    `work` is given a function that raises if the task is gone, to call where it can stop.
    """
    handover = _Handover(undo)

    def call() -> None:
        try:
            handover.give(work(handover.check))
        except _Abandoned:
            pass

    try:
        await run_sync(call, limiter=_threads(), abandon_on_cancel=True)
        return handover.take()
    except BaseException:
        handover.abandon()
        raise


async def until_done(work: Callable[[], Any]) -> None:
    """`work` in a worker thread, to its end: also in a task that is cancelled, as at the end of a block."""
    with anyio.CancelScope(shield=True):
        await run_sync(work, limiter=_threads())


def _threads() -> anyio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_THREADS)
        _limiter.set(limiter)
        return limiter
