"""The backend of joblib: `import ctr.joblib`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

import ctr
from lanes import LIMITS

joblib = pytest.importorskip("joblib")
pytest.importorskip("cloudpickle")

import ctr.joblib  # noqa: E402


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert not ctr.containers()


def test_tasks_run_in_containers_in_their_order() -> None:
    here = os.uname().nodename
    with joblib.parallel_config("ctr", n_jobs=2, image="host", hostname="fern"):
        found = joblib.Parallel()(joblib.delayed(lambda x: (x * x, os.uname().nodename))(x) for x in range(20))
    assert found == [(x * x, "fern") for x in range(20)]
    assert here != "fern"


def test_a_workers_libraries_have_their_share_of_threads() -> None:
    def threads() -> str:
        return os.environ["OMP_NUM_THREADS"]

    with joblib.parallel_config("ctr", n_jobs=2, inner_max_num_threads=3):
        assert joblib.Parallel()(joblib.delayed(threads)() for _ in range(3)) == ["3"] * 3


def test_results_come_as_a_generator() -> None:
    with joblib.parallel_config("ctr", n_jobs=2):
        results = joblib.Parallel(return_as="generator")(joblib.delayed(pow)(2, x) for x in range(8))
        assert next(results) == 1
        assert list(results) == [2**x for x in range(1, 8)]


def test_what_a_task_raises_is_raised_and_ends_the_others() -> None:
    def wait_or_fail(x: int) -> None:
        if x == 1:
            raise ValueError("bad")
        time.sleep(100)

    start = time.monotonic()
    with joblib.parallel_config("ctr", n_jobs=2), pytest.raises(ValueError, match="bad"):
        joblib.Parallel(batch_size=1)(joblib.delayed(wait_or_fail)(x) for x in range(4))
    assert time.monotonic() - start < 50


@LIMITS
def test_a_task_beyond_its_memory_is_an_error() -> None:
    with joblib.parallel_config("ctr", n_jobs=2, memory="64M"), pytest.raises(MemoryError):
        joblib.Parallel()(joblib.delayed(bytearray)(1 << 28) for _ in range(2))


def test_a_call_within_a_call_stays_in_its_container() -> None:
    def inner(x: int) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = joblib.Parallel(n_jobs=2)(
            joblib.delayed(lambda y: (x * y, os.uname().nodename))(y) for y in range(3)
        )
        return found

    with joblib.parallel_config("ctr", n_jobs=2, hostname="fern"):
        found = joblib.Parallel()(joblib.delayed(inner)(x) for x in range(3))
    assert found == [[(x * y, "fern") for y in range(3)] for x in range(3)]


def test_how_many_workers_there_are() -> None:
    backend = ctr.joblib.ContainerBackend()
    processors = len(os.sched_getaffinity(0))
    assert [backend.effective_n_jobs(n) for n in (None, 3, -1, -1000)] == [1, 3, processors, 1]
    with pytest.raises(ValueError, match="n_jobs == 0"):
        backend.effective_n_jobs(0)
    with pytest.raises(TypeError, match="n_jobs"):
        ctr.joblib.ContainerBackend(max_workers=3)
