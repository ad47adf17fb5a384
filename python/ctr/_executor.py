"""`ContainerPoolExecutor`: `concurrent.futures` with containers as workers."""

from __future__ import annotations

import builtins
import os
import queue
import select
import socket
import struct
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from pickle import UnpicklingError, loads
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, Any, TypeVar

from ._container import Container
from ._options import check_keywords
from ._plain import LARGER, plain
from ._sizes import size
from ._this_python import this_python
from ._types import ContainerOptions, ImageSource, Size, Unpack

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator

    from ._exit import Exit
    from ._popen import Popen

T = TypeVar("T")

# What a task and its result have before them: their length.
_HEAD = struct.Struct("!Q")
_CHUNK = 1 << 20
# What `_worker` leaves of the arguments of an exception.
_SIMPLE = (type(None), bool, int, float, str, bytes)


class WorkerLost(BrokenExecutor):
    """A worker ended before its task did. The pool goes on with a new one."""

    exit: Exit
    """How it ended."""


class RemoteError(Exception):
    """An exception of a task whose class this process doesn't believe in; its text is that of the original."""

    type_name: str
    """The class that it has in the worker, as "module.Name"."""


class _RemoteTraceback(Exception):
    """The traceback of a worker, as the cause of what it raised; concurrent.futures.process does the same."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class ContainerPoolExecutor(Executor):
    """A `concurrent.futures.Executor` whose workers are Python processes in containers of their own.

        with ctr.ContainerPoolExecutor("host", max_workers=4, memory="256M", timeout=10) as pool:
            print(list(pool.map(render, pages)))

    Functions and arguments travel as in `ProcessPoolExecutor`, but by cloudpickle (pip install 'libctr[executor]'), so
    functions of a notebook and lambdas do too. What a worker answers is not believed: a result is made of plain values
    and numpy arrays, unless `trust_results` is set, since unpickling anything else can run code of whoever wrote it. An
    exception keeps its class if that is one of Python's own; otherwise it is a `RemoteError`. Its cause is the worker's
    traceback.

    A task that runs out of memory raises `MemoryError`, one that takes longer than `timeout` raises `TimeoutError`, and
    one whose worker ends otherwise raises `WorkerLost`. Each of these costs the pool that worker only: a new one takes
    its place.

    What a task leaves behind in its worker is there when the next task comes, whose answer it can forge. Where they are
    not to trust each other, `max_tasks_per_child=1` gives each task a container of its own.
    """

    def __init__(
        self,
        image: ImageSource = "host",
        max_workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        timeout: float | None = None,
        max_tasks_per_child: int | None = None,
        max_result: Size = "256M",
        python: str | None = None,
        trust_results: bool = False,
        **options: Unpack[ContainerOptions],
    ) -> None:
        """Nothing is made before the first task.

        Args:
            image: What the containers are made from.
            max_workers: How many there are at most; as many as there are processors by default.
            initializer: Called in each worker before its first task. What it raises, the task raises.
            initargs: Its arguments.
            timeout: How many seconds a task may take. Its container is destroyed at the end of that.
            max_tasks_per_child: After so many tasks a worker is replaced: 1 gives each task a container of its own.
            max_result: How many bytes a result may have. Its values may take four times as many here.
            python: The interpreter inside, a path or a name, for images that have their own of this version; by default
                the one that runs us, which is mounted with its packages as `this_python` says.
            trust_results: Unpickle whatever a worker answers. ONLY FOR CODE THAT YOU TRUST: it can run code here.
            **options: The keywords of `ctr.Container`, for each container.
        """
        check_keywords("ContainerPoolExecutor", options, ContainerOptions.__annotations__)
        if options.get("detached") or options.get("name") is not None:
            raise TypeError("the containers of a pool are its own: they are not detached, and have no name")
        if max_tasks_per_child is not None and max_tasks_per_child < 1:
            raise ValueError("max_tasks_per_child must be >= 1")
        try:
            from cloudpickle import dumps  # type: ignore[import-untyped]
        except ImportError as error:
            raise ImportError("ContainerPoolExecutor needs cloudpickle: pip install 'libctr[executor]'") from error
        self._dumps = dumps
        self._image, self._options, self._python = image, options, python
        self._workers = max_workers if max_workers is not None else len(os.sched_getaffinity(0))
        # Checks max_workers; and takes care of cancellation, of shutdown, and of the end of the interpreter.
        self._threads = ThreadPoolExecutor(self._workers, "ctr-worker")
        self._first = None if initializer is None else dumps((initializer, initargs, {}))
        self._timeout, self._most_tasks, self._trusted = timeout, max_tasks_per_child, trust_results
        self._most_bytes = size(max_result, "max_result")
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        # Those that have a task.
        self._busy: set[_Worker] = set()
        self._ending = self._killed = False
        # So that no worker becomes idle or busy after the last look at those that are.
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have `fn(*args, **kwargs)` called in a worker."""
        return self._threads.submit(self._call, self._dumps((fn, args, kwargs)))

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """The results of `fn` for the items of the iterables, in their order.

        Items are taken as results are: at most `buffersize` of them (four for each worker by default) are under way or
        done and not yet taken, so an iterable may be endless.

        Args:
            fn: What is called.
            *iterables: Its arguments, as `map` takes them.
            timeout: `TimeoutError` if a result isn't there so many seconds after this call.
            chunksize: How many items travel together.
            buffersize: How many calls may be ahead of the results that were taken.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        ahead = max(1, (buffersize if buffersize is not None else 4 * self._workers * chunksize) // chunksize)
        end = None if timeout is None else time.monotonic() + timeout
        return self._stream(fn, zip(*iterables), chunksize, ahead, end)

    def _stream(
        self, fn: Callable[..., T], items: Iterator[tuple[Any, ...]], chunksize: int, ahead: int, end: float | None
    ) -> Iterator[T]:
        from collections import deque
        from itertools import islice

        waiting: deque[Future[list[T]]] = deque()
        try:
            while True:
                while len(waiting) < ahead and (chunk := list(islice(items, chunksize))):
                    waiting.append(self.submit(_each, fn, chunk))
                if not waiting:
                    return
                left = None if end is None else max(0.0, end - time.monotonic())
                done = waiting[0].result(left)
                waiting.popleft()
                yield from done
        finally:
            for future in waiting:
                future.cancel()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As in `concurrent.futures`; the containers are destroyed when their tasks have ended."""
        with self._lock:
            self._ending = True
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return

    def kill_workers(self) -> None:
        """Destroy the containers at once, as `ProcessPoolExecutor` of Python 3.14 ends its processes.

        Tasks that have begun raise `WorkerLost`, those that haven't are cancelled, and no more are taken.
        """
        # First, so that no thread goes on to the next task.
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._ending = self._killed = True
            busy = list(self._busy)
        for worker in busy:
            worker.end()
        self.shutdown(wait=True)

    def _call(self, task: bytes) -> Any:
        """In a thread of the pool: one task, from its start to its end."""
        try:
            worker = self._idle.get_nowait()
        except queue.Empty:
            worker = _Worker(self._image, self._options, self._python, self._trusted)
        try:
            with self._lock:
                self._busy.add(worker)
                is_late = self._killed
            if is_late:
                worker.end()
            self._begin(worker)
            end = self._limit()
            # One whose answer can't be read is of no more use: it may answer the next task by itself.
            result, error = self._told(worker.call(task, end, self._timeout, self._most_bytes), end)
        except BaseException:
            with self._lock:
                self._busy.discard(worker)
            worker.close()
            raise
        with self._lock:
            self._busy.discard(worker)
            keeps = not self._ending and (self._most_tasks is None or worker.tasks < self._most_tasks)
            if keeps:
                self._idle.put(worker)
        if not keeps:
            worker.close()
        if error is not None:
            raise error
        return result

    def _begin(self, worker: _Worker) -> None:
        """Have a new worker call the initializer."""
        if self._first is None or worker.is_ready:
            return
        end = self._limit()
        _, error = self._told(worker.call(self._first, end, self._timeout, self._most_bytes), end)
        if error is not None:
            raise error
        worker.is_ready, worker.tasks = True, 0

    def _limit(self) -> float | None:
        """When a task that begins now has to be done, of `time.monotonic`."""
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _told(self, answer: bytes, end: float | None) -> tuple[Any, BaseException | None]:
        """The result of a task, and what it raised. To read it is a part of the task, which `end` is the end of."""

        def read(data: bytes) -> Any:
            return loads(data) if self._trusted else plain(data, LARGER * self._most_bytes, end)

        told = read(answer)
        if type(told) is not tuple or len(told) not in (2, 7):
            raise UnpicklingError("a worker has answered neither a result nor an exception")
        if len(told) == 2:
            return read(told[1]), None
        _, module, name, args, text, traceback, whole = told
        # Anything else may have a text without end.
        if not all(isinstance(word, str) for word in (module, name, text, traceback)):
            raise UnpicklingError("a worker tells of an exception in something else than words")
        error = self._raised(module, name, args, text, whole)
        error.__cause__ = _RemoteTraceback(traceback)
        return None, error

    def _raised(self, module: str, name: str, args: Any, text: str, whole: bytes | None) -> BaseException:
        if self._trusted and whole is not None:
            error = loads(whole)
            if isinstance(error, BaseException):
                return error
        kind = getattr(builtins, name, None) if module == "builtins" else None
        # What ends a program or a loop here must not be raised by a program there.
        if (
            isinstance(kind, type)
            and issubclass(kind, Exception)
            and not issubclass(kind, (StopIteration, StopAsyncIteration))
            and type(args) is tuple
            and all(type(arg) in _SIMPLE for arg in args)
        ):
            try:
                return kind(*args)
            except (ArithmeticError, TypeError, ValueError):
                pass
        remote = RemoteError(text)
        remote.type_name = f"{module}.{name}"
        return remote


def _each(fn: Callable[..., T], chunk: list[tuple[Any, ...]]) -> list[T]:
    return [fn(*args) for args in chunk]


def worker_script() -> str:
    """What runs inside, as source: the interpreter there need not have ctr."""
    return Path(__file__).with_name("_worker.py").read_text(encoding="utf-8")


class _Worker:
    """A container with a Python process that waits for tasks."""

    def __init__(self, image: ImageSource, options: ContainerOptions, python: str | None, trusted: bool) -> None:
        self.tasks = 0
        # Whether it has called the initializer.
        self.is_ready = False
        mounts, env = ([], {}) if python is not None else this_python()
        script = worker_script()
        ours, theirs = socket.socketpair()
        self._socket = ours
        self._container: Container | None = None
        try:
            with theirs:
                given: Any = {**options, "mounts": [*mounts, *options.get("mounts", ())]}
                self._container = Container(image, **given)
                words = [python or sys.executable, "-c", script, "serve", "3", *(["whole"] if trusted else [])]
                self._process: Popen[bytes] = self._container.popen(
                    words, stdin=-3, extra_env=env, pass_fds={theirs.fileno(): 3}, cwd="/"
                )
        except BaseException:
            self.close()
            raise
        ours.setblocking(False)

    def call(self, task: bytes, end: float | None, timeout: float | None, most: int) -> bytes:
        """The answer to a task."""
        self.tasks += 1
        self._send(memoryview(_HEAD.pack(len(task)) + task), end, timeout)
        (length,) = _HEAD.unpack(self._receive(_HEAD.size, end, timeout))
        if length > most:
            raise OverflowError(f"a result of {length} bytes, max_result is {most}")
        return self._receive(length, end, timeout)

    def end(self) -> None:
        """Destroy the container while another thread waits for an answer, which hears of it."""
        if self._container is not None:
            self._container.destroy()

    def close(self) -> None:
        """Destroy the container."""
        self._socket.close()
        if self._container is not None:
            self._container.destroy()
            self._container.close()
            process = getattr(self, "_process", None)
            if process is not None:
                process.wait()

    def _send(self, data: memoryview, end: float | None, timeout: float | None) -> None:
        while data:
            try:
                data = data[self._socket.send(data[:_CHUNK]) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, end, timeout)
            except (BrokenPipeError, ConnectionResetError):
                raise self._lost() from None

    def _receive(self, count: int, end: float | None, timeout: float | None) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                piece = self._socket.recv(min(count - len(data), _CHUNK))
            except BlockingIOError:
                self._wait(select.POLLIN, end, timeout)
                continue
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise self._lost()
            data += piece
        return bytes(data)

    def _wait(self, event: int, end: float | None, timeout: float | None) -> None:
        """Until the socket can go on, the worker has ended, or the time is up."""
        poller = select.poll()
        poller.register(self._socket, event)
        # What the task has started may hold the socket open.
        poller.register(self._process, select.POLLIN)
        while True:
            left = 0.5 if end is None else min(0.5, end - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"the task has taken longer than {timeout} seconds")
            ready = dict(poller.poll(int(left * 1000) + 1))
            if self._socket.fileno() in ready:
                return
            if self._process.poll() is not None:
                raise self._lost()

    def _lost(self) -> BaseException:
        try:
            self._process.wait(1.0)
        except TimeoutExpired:
            # A worker that has closed its socket, and lives on, is of no more use.
            self._process.kill()
            self._process.wait()
        end = self._process.exit
        assert end is not None
        if end.reason == "out of memory":
            return MemoryError("the task was killed: its container is out of memory")
        said = f"signal {end.signal}" if end.signal else f"exit code {end.code}"
        lost = WorkerLost(f"the worker has ended during its task: {end.reason}, {said}")
        lost.exit = end
        return lost
