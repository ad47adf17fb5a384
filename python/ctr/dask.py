"""Dask in containers: the workers of a `dask.distributed` cluster run their tasks in containers.

    >>> import ctr.dask
    >>> ctr.dask.register(client, "debian.tar", memory="1G", timeout=600)
    >>> client.submit(render, page).result()

The image goes to the scheduler once, in pieces, and from there to each worker that does not have it, which keeps it in
the store of its machine; it is known by its digest. Workers that come later get it as well. ctr has to be installed
where the scheduler and the workers run.

A worker still reads what its clients send: tasks and their arguments are unpickled there, as always in Dask. It is what
the functions do that is in the container, with its limits. What comes back is not believed: it is plain values and
numpy arrays, unless `trust_results` is set.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin, WorkerPlugin

from ._executor import ContainerPoolExecutor
from ._image import Image, find_image, images, import_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from ._types import ImageSource

__all__ = ["ContainerPlugin", "register"]

_PIECE = 4 << 20
_ARCHIVES = "ctr-images"


def register(client: Any, image: ImageSource = "host", *, executor: str = "default", **options: Any) -> Any:
    """Have the workers of a client's cluster run tasks in containers, those that come later as well.

    Called again for the same `executor`, it takes the place of what was there. An asynchronous client awaits it.

    Args:
        client: The `distributed.Client`.
        image: What the containers are made from: "host", which is each worker's own machine, a `ctr.Image`, or an image
            by its name or archive, which is sent to the workers.
        executor: Which tasks: "default" is all that are not annotated; another name is that of those which are, by
            `dask.annotate(executor="sandbox")`.
        **options: The keywords of `ctr.ContainerPoolExecutor`. By default a worker has as many containers as threads.
    """
    return client.sync(_register, client, image, executor, options)


async def _register(client: Any, image: ImageSource, executor: str, options: dict[str, Any]) -> None:
    digest = None if image == "host" else await _sent(client, image)
    plugin = ContainerPlugin(digest, executor, options)
    await client.register_plugin(plugin, name=f"ctr-{executor}")


async def _sent(client: Any, image: ImageSource) -> str:
    """The digest that an image has at the scheduler, where it is from now on.

    That of a plain tarball, which has no configuration, is another one in an archive.
    """
    from asyncio import to_thread

    found = await to_thread(_found, image)
    await client.register_plugin(_Archives(), name=_ARCHIVES)
    known: str | None = await client.run_on_scheduler(_known, found.digest)
    if known is not None:
        return known
    with tempfile.TemporaryFile() as archive:
        digest = await to_thread(_saved, found, archive)
        end = archive.seek(0, os.SEEK_END)
        for offset in range(0, end, _PIECE):
            piece = os.pread(archive.fileno(), _PIECE, offset)
            await client.run_on_scheduler(_add, digest, offset, piece)
    await client.run_on_scheduler(_whole, found.digest, digest)
    return digest


def _found(image: Any) -> Image:
    return image if isinstance(image, Image) else find_image(image)


def _saved(image: Image, archive: IO[bytes]) -> str:
    """Saves an image; the digest that it has for whoever reads that."""
    image.save(archive, compression="zstd")
    archive.seek(0)
    read = import_image(archive, store_dir=image.store_dir)
    if read != image and not read.names:
        read.remove()
    return read.digest


class ContainerPlugin(WorkerPlugin):
    """What `register` gives each worker: an executor whose tasks run in containers."""

    def __init__(self, digest: str | None, executor: str, options: dict[str, Any]) -> None:
        """`digest` is that of an image at the scheduler; None is the worker's own machine."""
        self._digest, self._executor, self._options = digest, executor, options
        self._before: Any = None
        self._pool: _Pool | None = None

    async def setup(self, worker: Any) -> None:
        """At a worker: bring the image, and make the pool."""
        image: str | Image = "host" if self._digest is None else await self._brought(worker, self._digest)
        self._pool = _Pool(image, **{"max_workers": worker.state.nthreads, **self._options})
        self._before = worker.executors.get(self._executor)
        worker.executors[self._executor] = self._pool

    async def teardown(self, worker: Any) -> None:
        """At a worker that closes, or loses the plugin: nothing of it is left."""
        from asyncio import to_thread

        if self._pool is None:
            return
        if worker.executors.get(self._executor) is self._pool:
            if self._before is None:
                del worker.executors[self._executor]
            else:
                worker.executors[self._executor] = self._before
        await to_thread(self._pool.kill_workers)

    async def _brought(self, worker: Any, digest: str) -> Image:
        """The image, from the store of this machine or else from the scheduler."""
        from asyncio import to_thread

        store = self._options.get("store_dir")

        def known() -> Image | None:
            return next((image for image in images(store_dir=store) if image.digest == digest), None)

        if (image := await to_thread(known)) is not None:
            return image
        with tempfile.TemporaryFile(dir=worker.local_directory) as archive:
            offset = 0
            while piece := await worker.scheduler.ctr_image_piece(digest=digest, offset=offset):
                archive.write(piece)
                offset += len(piece)
            archive.seek(0)
            image = await to_thread(import_image, archive, store_dir=store)
        if image.digest != digest:
            raise ValueError(f"the scheduler has sent the image {image.digest} in the place of {digest}")
        return image


class _Pool(ContainerPoolExecutor):
    """Runs in a container what a worker would run by a thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have `fn` call the task, which is its first argument; measure it, and make a message of the result.

        The task alone goes inside, with what `fn` calls it with.
        """
        task, *rest = args
        return self._threads.submit(fn, partial(self._inside, task), *rest, **kwargs)

    def _inside(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        return self._call(self._dumps((task, args, kwargs)))


class _Archives(SchedulerPlugin):
    """At the scheduler: the archives of images, for workers to fetch."""

    # The archives of one that is there already stay.
    idempotent = True

    def __init__(self) -> None:
        # The digests of those that are whole, by those that the images had at the clients.
        self.digests: dict[str, str] = {}
        self._directory: Any = None

    async def start(self, scheduler: Any) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="ctr-images-")
        scheduler.handlers["ctr_image_piece"] = self.piece

    async def close(self) -> None:
        self._directory.cleanup()

    def add(self, digest: str, offset: int, piece: bytes) -> None:
        """A piece of a client's; two clients that send the same image send the same bytes."""
        with open(os.open(self._path(digest), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb") as archive:
            os.pwrite(archive.fileno(), piece, offset)

    def piece(self, digest: str, offset: int) -> bytes:
        """A piece for a worker; empty at the end."""
        if digest not in self.digests.values():
            raise FileNotFoundError(f"the scheduler has no image {digest}: call ctr.dask.register again")
        with open(self._path(digest), "rb") as archive:
            return os.pread(archive.fileno(), _PIECE, offset)

    def _path(self, digest: str) -> str:
        return os.path.join(self._directory.name, digest.partition(":")[2])


def _archives(scheduler: Any) -> _Archives:
    plugin: _Archives = scheduler.plugins[_ARCHIVES]
    return plugin


def _known(digest: str, dask_scheduler: Any) -> str | None:
    return _archives(dask_scheduler).digests.get(digest)


def _add(digest: str, offset: int, piece: bytes, dask_scheduler: Any) -> None:
    _archives(dask_scheduler).add(digest, offset, piece)


def _whole(source: str, digest: str, dask_scheduler: Any) -> None:
    _archives(dask_scheduler).digests[source] = digest
