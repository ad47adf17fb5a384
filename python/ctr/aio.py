"""The API of `ctr` for asyncio and trio: the same names and keywords, awaitable.

    async with ctr.aio.Container("debian.tar.gz", memory="256M") as c:
        done = await c.run(["cat", "/etc/os-release"], capture_output=True, text=True)

    results = await asyncio.gather(*(ctr.aio.run("host", ["sort"], input=text) for text in texts))

Nothing here blocks the event loop. A program that runs costs no thread: its pipes and its end are descriptors, and the
loop waits for these. What the kernel does in one go (making a container, starting a program, destroying it) runs in one
of a few worker threads. A task that is cancelled kills what it started: the process group of a program in
`Container.run`, the whole container in `run`. Needs anyio: pip install 'libctr[aio]'.
"""

from __future__ import annotations

import contextlib
from functools import partial
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING, Any, Literal, cast, overload

try:
    import anyio
except ImportError as error:
    raise ImportError("ctr.aio needs anyio: pip install 'libctr[aio]'") from error

from . import _container, _containers, _image
from ._aio_process import Process
from ._aio_threads import in_thread, until_done
from ._aio_watch import Watch, samples
from ._communicate import decoded
from ._exit import CompletedProcess
from ._monitor import Clock
from ._popen import Popen, wants_text
from ._progress import shown
from ._run import divided, pipes_for
from ._types import (
    Argv,
    ContainerOptions,
    ImageSource,
    Mount,
    OnProgress,
    Path,
    PopenOptions,
    Readable,
    RunOptions,
    Self,
    Unpack,
    Writable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
    from types import TracebackType

    from ._image import Applied, Config, Difference, Image
    from ._monitor import Sample
    from ._mounts import MountInfo
    from ._watch import EventKind

__all__ = ["Container", "Process", "Watch", "import_image", "join", "run"]

_OF_TEXT = ("text", "universal_newlines", "encoding", "errors")


@overload
async def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: Literal[True],
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[str]: ...


@overload
async def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: Literal[True],
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[str]: ...


@overload
async def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[str]: ...


@overload
async def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str,
    **options: Unpack[RunOptions],
) -> CompletedProcess[str]: ...


@overload
async def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: Literal[False] | None = None,
    universal_newlines: Literal[False] | None = None,
    encoding: None = None,
    errors: None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[bytes]: ...


@overload
async def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    text: bool | None = None,
    universal_newlines: bool | None = None,
    encoding: str | None = None,
    errors: str | None = None,
    **options: Unpack[RunOptions],
) -> CompletedProcess[Any]: ...


async def run(
    image: ImageSource,
    args: Argv | None = None,
    *,
    entrypoint: Argv | None = None,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> CompletedProcess[Any]:
    """Run one program in a container of its own: `ctr.run`, with its keywords and its result.

    Cancelled, it destroys the container, and so ends all that was started in it.
    """
    spawn, make = divided("run", options)
    async with Container(image, **make) as container:
        if not spawn.get("shell"):
            args = container.container.image_command(args, entrypoint=entrypoint)
        done: CompletedProcess[Any] = await container.run(
            args, input=input, capture_output=capture_output, timeout=timeout, check=check, **spawn
        )
        return done


class Container:
    """A running container: `ctr.Container`, with its keywords.

    `async with ctr.aio.Container(...) as c` makes it, and destroys it at the end of the block. Without a block
    `c = await ctr.aio.Container(...)` makes it, and it ends with `await c.destroy()`, or with this process.

    `container` is the `ctr.Container` itself: what doesn't wait (limits, `inspect`, `walls`) is asked of that.
    """

    container: _container.Container

    def __init__(self, image: ImageSource = "host", **options: Unpack[ContainerOptions]) -> None:
        """What is to be made; see `ctr.Container` for the keywords. `progress` is called in a worker thread."""
        self._make: Callable[[Callable[[], None]], _container.Container] | None = partial(_make, image, options)
        # What becomes of it if nobody takes it any more: it goes, also a detached one, whose name nobody has.
        self._undo: Callable[[_container.Container], None] = _container.Container.destroy

    def __await__(self) -> Generator[Any, Any, Self]:
        """Make it."""
        return self._made().__await__()

    async def _made(self) -> Self:
        if self._make is None:
            raise RuntimeError("this container has been made already")
        make, self._make = self._make, None
        self.container = await in_thread(make, self._undo)
        return self

    async def __aenter__(self) -> Self:
        return self if self._make is None else await self._made()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Whatever cancels us meanwhile: this is done, and done before we go on.
        await until_done(partial(self.container.__exit__, kind, error, traceback))

    @property
    def name(self) -> str:
        """The name that `join` takes; empty for a joined pid."""
        return self.container.name

    @property
    def pid(self) -> int:
        """The pid of the container's PID 1 on the host."""
        return self.container.pid

    @property
    def running(self) -> bool:
        """Whether it runs: neither destroyed nor ended from outside."""
        return self.container.running

    @overload
    async def run(
        self,
        args: Argv | None = None,
        *,
        input: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        text: Literal[True],
        universal_newlines: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[PopenOptions],
    ) -> CompletedProcess[str]: ...
    @overload
    async def run(
        self,
        args: Argv | None = None,
        *,
        input: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        text: bool | None = None,
        universal_newlines: Literal[True],
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[PopenOptions],
    ) -> CompletedProcess[str]: ...
    @overload
    async def run(
        self,
        args: Argv | None = None,
        *,
        input: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        text: bool | None = None,
        universal_newlines: bool | None = None,
        encoding: str,
        errors: str | None = None,
        **options: Unpack[PopenOptions],
    ) -> CompletedProcess[str]: ...
    @overload
    async def run(
        self,
        args: Argv | None = None,
        *,
        input: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        text: bool | None = None,
        universal_newlines: bool | None = None,
        encoding: str | None = None,
        errors: str,
        **options: Unpack[PopenOptions],
    ) -> CompletedProcess[str]: ...
    @overload
    async def run(
        self,
        args: Argv | None = None,
        *,
        input: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        text: Literal[False] | None = None,
        universal_newlines: Literal[False] | None = None,
        encoding: None = None,
        errors: None = None,
        **options: Unpack[PopenOptions],
    ) -> CompletedProcess[bytes]: ...
    @overload
    async def run(
        self,
        args: Argv | None = None,
        *,
        input: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        text: bool | None = None,
        universal_newlines: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[PopenOptions],
    ) -> CompletedProcess[Any]: ...
    async def run(
        self,
        args: Argv | None = None,
        *,
        input: Any = None,
        capture_output: bool = False,
        timeout: float | None = None,
        check: bool = False,
        text: bool | None = None,
        universal_newlines: bool | None = None,
        encoding: str | None = None,
        errors: str | None = None,
        **options: Unpack[PopenOptions],
    ) -> CompletedProcess[Any]:
        """Run a program inside and wait for it: `ctr.Container.run`, with its keywords and its result.

        Whatever ends the wait early, the time-out or a cancellation, kills the program with its process group.
        """
        decode = wants_text(text, universal_newlines, encoding, errors)
        pipes = pipes_for(options, input, capture_output)
        if input is not None and decode and not isinstance(input, str):
            raise TypeError(f"input must be str, not {type(input).__name__}")
        start = cast("PopenOptions", {**options, **pipes})
        codec = encoding or "utf-8", errors or "strict"
        data = input.encode(*codec) if decode and input is not None else input
        process: Process | None = None
        try:
            with anyio.move_on_after(timeout):
                process = await self.popen(args, **start)
                await process.communicate(data)
        except BaseException:
            if process is not None:
                await process.abandon()
            raise
        if process is None or process.returncode is None:
            assert timeout is not None
            started = args
            if process is not None:
                await process.abandon()
                started = process.args
            # As in subprocess, the output so far is bytes, also where the pipes carry text.
            so_far = (None, None) if process is None else tuple(data or None for data in process.output)
            raise TimeoutExpired(started or "the image's program", timeout, *so_far)
        outputs: list[Any] = list(process.output)
        if decode:
            outputs = [None if data is None else decoded(data, codec) for data in outputs]
        assert process.popen.exit_parts is not None
        result = CompletedProcess[Any](process.args, process.popen.exit_parts, *outputs)
        if check:
            result.check_returncode()
        return result

    async def popen(self, args: Argv | None = None, **options: Unpack[PopenOptions]) -> Process:
        """Start a program inside: `ctr.Container.popen`, with its keywords, but that its streams carry bytes."""
        for key in (*_OF_TEXT, "bufsize"):
            if options.get(key):
                raise ValueError(f"{key} can't be given: the streams of an asynchronous process carry bytes")

        unbuffered: Any = {**options, "bufsize": 0}
        return Process(await in_thread(lambda check: self.container.popen(args, **unbuffered), Popen.abandon))

    async def wait(self) -> None:
        """Wait until the container has ended, by whomever."""
        while self.container.running:
            await anyio.wait_readable(self.container.fileno())

    def watch(self, *kinds: EventKind) -> Watch:
        """Watch what happens to it from now on: `ctr.Container.watch`, as an asynchronous iterator."""
        return Watch(self.container.watch(*kinds))

    def monitor(self, interval: float = 1.0, count: int | None = None) -> AsyncIterator[Sample]:
        """Samples of what it uses, until it ends: `ctr.Container.monitor`, as an asynchronous iterator."""
        return samples(self.container, Clock(self.container, interval, count))

    async def stop(self, timeout: float | None = 10.0) -> None:
        """End it as `docker stop`: `ctr.Container.stop`."""
        await until_done(partial(self.container.stop, timeout))

    async def destroy(self) -> None:
        """Kill every process inside and remove all that was made for it."""
        await until_done(self.container.destroy)

    async def kill_all(self, signal: int = 9) -> None:
        """Send a signal to every program inside and to all that they have started: `ctr.Container.kill_all`."""
        await until_done(partial(self.container.kill_all, signal))

    async def mount(self, source: Path | Mount, target: Path | None = None, *, read_only: bool = False) -> None:
        """Mount something into it while it runs: `ctr.Container.mount`."""
        await until_done(partial(self.container.mount, source, target, read_only=read_only))

    async def read_bytes(self, path: Path, *, user: str | int | None = None) -> bytes:
        """What is in a file of the container: `ctr.Container.read_bytes`."""
        return await in_thread(lambda check: self.container.read_bytes(path, user=user))

    async def write_bytes(
        self, path: Path, data: Any, *, user: str | int | None = None, permissions: int = 0o644
    ) -> int:
        """Write a file of the container: `ctr.Container.write_bytes`."""
        return await in_thread(lambda check: self.container.write_bytes(path, data, user=user, permissions=permissions))

    async def listdir(self, path: Path = "/") -> list[str]:
        """The names in a directory of the container: `ctr.Container.listdir`."""
        return await in_thread(lambda check: self.container.listdir(path))

    async def copy_in(self, source: Readable, target: Path, *, archive: bool = False) -> None:
        """Copy a file or tree of the host into the container: `ctr.Container.copy_in`."""
        await until_done(partial(self.container.copy_in, source, target, archive=archive))

    async def copy_out(self, source: Path, target: Writable, *, archive: bool = False) -> None:
        """Copy a file or tree of the container to the host: `ctr.Container.copy_out`."""
        await until_done(partial(self.container.copy_out, source, target, archive=archive))

    async def mounts(self) -> list[MountInfo]:
        """What was mounted into it: `ctr.Container.mounts`."""
        return await in_thread(lambda check: self.container.mounts())

    async def unmount(self, target: Path, *, lazy: bool = False) -> None:
        """Take off what `mount` has mounted: `ctr.Container.unmount`."""
        await until_done(partial(self.container.unmount, target, lazy=lazy))

    async def pause(self, timeout: float | None = 10.0) -> None:
        """Stop every process inside where it is: `ctr.Container.pause`."""
        await until_done(partial(self.container.pause, timeout))

    async def resume(self) -> None:
        """Let it go on: `ctr.Container.resume`."""
        await until_done(self.container.resume)

    async def diff(self, target: Path | None = None) -> list[Difference]:
        """What it has changed of its image, or beneath a `Scratch` mount: `ctr.Container.diff`."""
        return await in_thread(lambda check: self.container.diff(target))

    async def apply(self, target: Path, *, conflicts: Literal["refuse", "keep", "overwrite"] = "refuse") -> Applied:
        """Carry what has changed beneath a `Scratch` mount over to the host: `ctr.Container.apply`."""
        return await in_thread(lambda check: self.container.apply(target, conflicts=conflicts))

    async def discard(self, target: Path) -> None:
        """Drop what has changed beneath a `Scratch` mount: `ctr.Container.discard`."""
        await until_done(partial(self.container.discard, target))

    async def export(
        self,
        target: Writable,
        *,
        compression: Literal["none", "gzip", "zstd"] = "none",
        progress: OnProgress | None = None,
    ) -> int:
        """Write its files as a tarball: `ctr.Container.export`, in a worker thread. Cancelled, it leaves none."""

        def export(check: Callable[[], None]) -> int:
            with _asking(check, progress, "exporting", self.name) as call:
                return self.container.export(target, compression=compression, progress=call)

        return await in_thread(export)

    async def commit(
        self, name: str | None = None, *, config: Config | None = None, progress: OnProgress | None = None
    ) -> Image:
        """Make an image of its files: `ctr.Container.commit`, in a worker thread. Cancelled, it leaves none."""

        def commit(check: Callable[[], None]) -> Image:
            with _asking(check, progress, "committing", self.name) as call:
                return self.container.commit(name, config=config, progress=call)

        return await in_thread(commit)

    async def snapshot(
        self, name: str | None = None, *, config: Config | None = None, progress: OnProgress | None = None
    ) -> Image:
        """Make an image of its changes: `ctr.Container.snapshot`, in a worker thread. Cancelled, it leaves none."""

        def snapshot(check: Callable[[], None]) -> Image:
            with _asking(check, progress, "copying", self.name) as call:
                return self.container.snapshot(name, config=config, progress=call)

        return await in_thread(snapshot)

    def __repr__(self) -> str:
        return f"<ctr.aio.Container {self.name!r}>" if self._make is None else "<ctr.aio.Container, not made yet>"


async def join(
    container: str | int, *, namespaces: Iterable[str] | None = None, state_dir: Path | None = None
) -> Container:
    """A running container by its name, or the namespaces of any process by its pid: `ctr.join`."""

    def enter(check: Callable[[], None]) -> _container.Container:
        return _containers.join(container, namespaces=namespaces, state_dir=state_dir)

    joined = Container()
    joined._make, joined._undo = enter, _container.Container.close
    return await joined


async def import_image(source: Readable, *, progress: OnProgress | None = None, **options: Any) -> Image:
    """Import an archive: `ctr.import_image`, with its keywords, in a worker thread. Cancelled, it leaves nothing."""

    def bring(check: Callable[[], None]) -> Image:
        with _asking(check, progress, "importing", source) as call:
            return _image.import_image(source, progress=call, **options)

    return await in_thread(bring)


def _make(image: ImageSource, options: ContainerOptions, check: Callable[[], None]) -> _container.Container:
    with _asking(check, options.get("progress"), "importing", image) as call:
        return _container.Container(image, **cast("ContainerOptions", {**options, "progress": call}))


@contextlib.contextmanager
def _asking(
    check: Callable[[], None], progress: OnProgress | None, verb: str, what: object
) -> Iterator[Callable[[Any], None]]:
    """A callback that ends the work once nobody waits for it any more."""
    with shown(progress, verb, what) as show:

        def told(state: Any) -> None:
            check()
            if show is not None:
                show(state)

        yield told
