"""What the tests share: containers of this machine's own system, and a look at what is left afterwards."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import ctr


@pytest.fixture(autouse=True, scope="session")
def own_state_and_store() -> Iterator[None]:
    """The tests see no container and no image of anyone else."""
    places = {name: tempfile.mkdtemp(prefix="ctr-test-") for name in ("CTR_STATE_DIR", "CTR_STORE_DIR")}
    os.environ.update(places)
    # Cgroups at one place, and not below whatever has started the tests; test_limits.py has its own.
    if Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists():
        os.environ.setdefault("CTR_CGROUP_PARENT", "/")
    # What the first container of a process opens once and for all is not counted against any test.
    ctr.Container().destroy()
    yield
    left = [info.name for info in ctr.containers()]
    assert not left, f"containers left running: {left}"
    for name, place in places.items():
        del os.environ[name]
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def c() -> Iterator[ctr.Container]:
    """A running container for tests that don't change it."""
    with ctr.Container() as container:
        yield container


@pytest.fixture
def fds() -> Iterator[set[int]]:
    """The descriptors open before the test, which must be those open after it."""
    before = open_fds()
    yield before
    assert open_fds() == before


def open_fds() -> set[int]:
    """The numbers of our open descriptors, without those that only garbage holds."""
    gc.collect()
    numbers = {int(name) for name in os.listdir("/proc/self/fd")}
    return {fd for fd in numbers if Path(f"/proc/self/fd/{fd}").exists()}
