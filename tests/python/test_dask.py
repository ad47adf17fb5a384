"""Dask's workers with containers: `ctr.dask`."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ctr
from lanes import LIMITS

distributed = pytest.importorskip("distributed")
dask_annotate = pytest.importorskip("dask").annotate
pytest.importorskip("cloudpickle")

import ctr.dask  # noqa: E402


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    """Two worker processes, each with a store of its own."""
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path), host="127.0.0.1"
    )
    with cluster, distributed.Client(cluster) as client:

        def set_store(dask_worker: Any) -> None:
            os.environ["CTR_STORE_DIR"] = os.path.join(dask_worker.local_directory, "store")

        client.run(set_store)
        yield client
    end = time.monotonic() + 30
    while ctr.containers() and time.monotonic() < end:
        time.sleep(0.05)
    assert not ctr.containers()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An image in which this machine's programs run, once /usr is bound into it."""
    path = tmp_path / "box.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("usr", "etc", "tmp", "proc", "dev", "sys"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name in ("bin", "lib", "lib64"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, "usr/" + name
            tar.addfile(entry)
        entry = tarfile.TarInfo("etc/marker")
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"fern"))
        # More than one piece on its way, however it is compressed.
        entry = tarfile.TarInfo("noise")
        entry.size = 9 << 20
        tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    return path


def _where() -> Callable[[], str]:
    # Of a function within a function the code itself travels: this module is nothing for the inside.
    def where() -> str:
        return os.uname().nodename

    return where


where = _where()


def test_all_tasks_run_in_containers_of_the_workers(client: Any) -> None:
    ctr.dask.register(client, hostname="fern")
    found = client.gather([client.submit(where, pure=False) for _ in range(8)])
    assert set(found) == {"fern"}
    # Results are arguments of what follows.
    total = client.submit(sum, client.map(lambda x: x * x, range(10)))
    assert total.result() == sum(x * x for x in range(10))
    with pytest.raises(ValueError, match="bad") as caught:
        client.submit(int, "bad").result()
    assert not isinstance(caught.value, ctr.Error)


def test_annotated_tasks_alone_run_in_containers(client: Any) -> None:
    ctr.dask.register(client, executor="sandbox", hostname="fern")
    with dask_annotate(executor="sandbox"):
        inside = client.submit(where, pure=False)
    assert inside.result() == "fern"
    assert client.submit(where, pure=False).result() == os.uname().nodename


def test_an_image_reaches_every_worker_once(client: Any, archive: Path) -> None:
    image = ctr.import_image(archive)
    before = ctr.images()
    options: dict[str, Any] = {"mounts": ["/usr:/usr:ro"]}
    ctr.dask.register(client, image, **options)

    def read(_: int) -> str:
        return Path("/etc/marker").read_text()

    assert set(client.gather(client.map(read, range(6)))) == {"fern"}

    def kept(dask_worker: Any) -> list[tuple[str, float]]:
        return [(image.digest, image.created) for image in ctr.images()]

    stores = client.run(kept)
    assert len(stores) == 2
    (digest,) = {digest for store in stores.values() for digest, _ in store}
    assert all(len(store) == 1 for store in stores.values())
    # That of a tarball is another one, and nothing of what was sent is left in the client's store.
    assert digest != image.digest
    assert ctr.images() == before
    # Again, by its file: it is there already.
    ctr.dask.register(client, archive, **options)
    assert client.run(kept) == stores
    assert client.submit(read, 99).result() == "fern"

    # Who comes later has it too.
    client.cluster.scale(3)
    client.wait_for_workers(3)
    (late,) = client.run(kept).keys() - stores.keys()
    future = client.submit(read, 100, workers=[late])
    assert future.result() == "fern"


@LIMITS
def test_a_task_beyond_its_limits_costs_no_worker(client: Any) -> None:
    ctr.dask.register(client, memory="96M", timeout=4)
    before = client.run(os.getpid)
    with pytest.raises(MemoryError):
        client.submit(bytearray, 1 << 28).result()
    with pytest.raises(TimeoutError):
        client.submit(time.sleep, 1000).result()
    assert client.submit(where).result()
    assert client.run(os.getpid) == before


def test_a_worker_that_closes_ends_its_containers(client: Any) -> None:
    ctr.dask.register(client)
    begun = client.submit(time.sleep, 1000)
    end = time.monotonic() + 60
    while not ctr.containers():
        assert time.monotonic() < end
        time.sleep(0.05)
    client.unregister_worker_plugin("ctr-default")
    assert not ctr.containers()
    del begun
    assert client.submit(where, pure=False).result() == os.uname().nodename


def test_what_is_refused(client: Any) -> None:
    with pytest.raises(FileNotFoundError):
        ctr.dask.register(client, "no-such-image.tar")
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        ctr.dask.register(client, colour="red")
