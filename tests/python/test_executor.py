"""`ctr.ContainerPoolExecutor`, and `ctr.this_python`, which shows it this interpreter."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Future, as_completed
from pathlib import Path
from typing import Any, Literal

import pytest

import ctr
from ctr._plain import plain
from lanes import CAN_LIMIT, LIMITS

pytest.importorskip("cloudpickle")


def test_this_python_runs_inside_with_its_packages() -> None:
    mounts, env = ctr.this_python()
    assert all(mount.read_only for mount in mounts)
    code = "import ctr, sys, pytest; print(ctr.__file__, sys.prefix, pytest.__file__)"
    with ctr.Container(mounts=mounts) as python:
        inside = python.run([sys.executable, "-c", code], extra_env=env, capture_output=True, text=True, check=True)
    here = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert inside.stdout == here.stdout


def test_this_python_has_what_pythonpath_names_and_not_the_scripts_directory(tmp_path: Path) -> None:
    for place in ("named", "script"):
        (tmp_path / place).mkdir()
    script = tmp_path / "script" / "show.py"
    script.write_text("import ctr; m, e = ctr.this_python(); print([x.target for x in m], e)")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "named"), *sys.path[1:]])}
    shown = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, check=True).stdout
    assert str(tmp_path / "named") in shown
    assert str(tmp_path / "script") not in shown


def test_tasks_are_called_in_containers_and_nothing_is_left() -> None:
    factor = 3
    # Its limits take a cgroup.
    preset: Literal["strict", "default"] = "strict" if CAN_LIMIT else "default"
    with ctr.ContainerPoolExecutor("host", 2, preset=preset, hostname="fern") as pool:
        assert not ctr.containers()
        assert pool.submit(lambda n: n * factor, 14).result() == 42
        assert pool.submit(os.uname).exception() is not None
        assert pool.submit(lambda: os.uname().nodename).result() == "fern"
        futures = [pool.submit(pow, n, 2) for n in range(20)]
        assert sorted(future.result() for future in as_completed(futures)) == [n * n for n in range(20)]
        assert 1 <= len(ctr.containers()) <= 2
    assert not ctr.containers()
    with pytest.raises(RuntimeError):
        pool.submit(int)


def test_map_takes_items_as_results_are_taken() -> None:
    taken: list[int] = []

    def items() -> Any:
        for n in itertools.count():
            taken.append(n)
            yield n

    with ctr.ContainerPoolExecutor("host", 2) as pool:
        results = pool.map(lambda n, m: n + m, items(), itertools.count(10), buffersize=5)
        assert [next(results) for _ in range(20)] == [10 + 2 * n for n in range(20)]
        assert len(taken) <= 26
        results.close()  # type: ignore[attr-defined]
        assert list(pool.map(str, range(7), chunksize=3)) == list("0123456")
        with pytest.raises(TimeoutError):
            list(pool.map(time.sleep, [5], timeout=0.2))
        with pytest.raises(ValueError, match="chunksize"):
            pool.map(str, [], chunksize=0)


def test_what_a_task_raises_is_raised_with_its_traceback() -> None:
    class Own(Exception):
        pass

    def own() -> None:
        raise Own("of mine")

    with ctr.ContainerPoolExecutor("host", 1) as pool:
        nothing: dict[str, int] = {}
        error = pool.submit(lambda: nothing["key"]).exception()
        assert isinstance(error, KeyError)
        assert error.args == ("key",)
        assert "Traceback" in str(error.__cause__)
        error = pool.submit(own).exception()
        assert isinstance(error, ctr.RemoteError)
        assert str(error) == "of mine"
        assert error.type_name.endswith("Own")
        assert isinstance(pool.submit(sys.exit, 3).exception(), ctr.RemoteError)
        assert isinstance(pool.submit(next, iter(())).exception(), ctr.RemoteError)
        # The worker lives on.
        assert len({pool.submit(os.getpid).result() for _ in range(3)}) == 1
    with ctr.ContainerPoolExecutor("host", 1, trust_results=True) as pool:
        error = pool.submit(own).exception()
        assert type(error).__name__ == "Own"


def test_a_dead_worker_is_replaced() -> None:
    with ctr.ContainerPoolExecutor("host", 1, timeout=30) as pool:
        error = pool.submit(os._exit, 7).exception()
        assert isinstance(error, ctr.WorkerLost)
        assert isinstance(error, BrokenExecutor)
        assert error.exit.code == 7
        assert pool.submit(int, "1").result() == 1
        # What a task has left behind may hold the socket open.
        error = pool.submit(os.system, "sleep 1000 & kill -9 $PPID").exception()
        assert isinstance(error, ctr.WorkerLost)
        assert error.exit.signal == 9
        assert pool.submit(int, "1").result() == 1
        assert len(ctr.containers()) == 1


def test_a_task_that_takes_too_long_ends_with_all_it_started() -> None:
    with ctr.ContainerPoolExecutor("host", 1, timeout=1.0) as pool:
        error = pool.submit(os.system, "setsid sleep 4331").exception()
        assert isinstance(error, TimeoutError)
        assert "1.0 seconds" in str(error)
        assert not ctr.containers()
        assert pool.submit(int, "1").result() == 1


@LIMITS
def test_a_task_that_is_out_of_memory_says_so() -> None:
    with ctr.ContainerPoolExecutor("host", 1, memory="64M") as pool:
        error = pool.submit(lambda: len(bytearray(1 << 28))).exception()
        assert isinstance(error, MemoryError)
        assert "out of memory" in str(error)
        assert pool.submit(int, "1").result() == 1


def test_a_container_for_each_task_and_an_initializer() -> None:
    def start(value: str) -> None:
        os.environ["START"] = value

    def name() -> tuple[str, str]:
        return os.environ["START"], os.uname().nodename

    with ctr.ContainerPoolExecutor("host", 1, max_tasks_per_child=1, initializer=start, initargs=("yes",)) as pool:
        names = [pool.submit(name).result() for _ in range(3)]
        assert {started for started, _ in names} == {"yes"}
        assert len(set(names)) == 3
    with ctr.ContainerPoolExecutor("host", 1, initializer=int, initargs=("x",)) as pool:
        assert isinstance(pool.submit(int).exception(), ValueError)
        assert not ctr.containers()


def test_plain_results_and_arrays_come_whole() -> None:
    import datetime
    import decimal
    import uuid

    numpy = pytest.importorskip("numpy")
    value = [
        {"a": (1, 2.5, 3j, None, True, "ü", b"\0", bytearray(b"x"), {1}, frozenset({2}))},
        datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
        decimal.Decimal("1.50"),
        uuid.UUID(int=5),
    ]
    with ctr.ContainerPoolExecutor("host", 1) as pool:
        assert pool.submit(lambda: value).result() == value
        array, number = pool.submit(lambda: (numpy.eye(3), numpy.float32(2.5))).result()
        assert (array == numpy.eye(3)).all()
        assert number == 2.5
        assert number.dtype == numpy.float32


class Evil:
    """A pickle that writes a file where it is read."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_a_result_can_run_nothing_here(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(pickle.UnpicklingError, match="trust_results"):
        plain(pickle.dumps(Evil(str(mark))))
    # A worker that answers by itself what it likes.
    answer = pickle.dumps(("returned", pickle.dumps(Evil(str(mark)))))

    def forge() -> None:
        import socket

        sock = socket.socket(fileno=3)
        sock.sendall(len(answer).to_bytes(8, "big") + answer)
        time.sleep(1000)

    with ctr.ContainerPoolExecutor("host", 1, timeout=30) as pool:
        assert isinstance(pool.submit(forge).exception(), pickle.UnpicklingError)
    assert not mark.exists()
    for call in (
        b"cbuiltins\neval\n(V1\ntR.",
        b"cos\nsystem\n(Vtrue\ntR.",
        b"cbuiltins\nbytearray\n(I99999999999\ntR.",
    ):
        with pytest.raises(pickle.UnpicklingError):
            plain(call)


def test_a_result_is_bounded() -> None:
    with ctr.ContainerPoolExecutor("host", 1, max_result="1M") as pool:
        with pytest.raises(OverflowError, match="max_result"):
            pool.submit(bytes, 1 << 21).result()
        assert pool.submit(bytes, 1 << 19).result() == bytes(1 << 19)

        def lie() -> None:
            import socket

            socket.socket(fileno=3).sendall((1 << 62).to_bytes(8, "big"))
            time.sleep(1000)

        with pytest.raises(OverflowError):
            pool.submit(lie).result()


def test_cancellation_and_shutdown() -> None:
    pool = ctr.ContainerPoolExecutor("host", 1)
    gate = pool.submit(time.sleep, 0.5)
    waiting: list[Future[Any]] = [pool.submit(int) for _ in range(3)]
    assert waiting[2].cancel()
    pool.shutdown(wait=False, cancel_futures=True)
    assert gate.result() is None
    assert all(future.cancelled() for future in waiting)
    end = time.monotonic() + 10
    while ctr.containers() and time.monotonic() < end:
        time.sleep(0.01)
    assert not ctr.containers()
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("ctr-worker") and not thread.daemon
    ]


def test_what_is_refused() -> None:
    for keyword in ({"name": "x"}, {"detached": True}):
        with pytest.raises(TypeError, match="its own"):
            ctr.ContainerPoolExecutor("host", 1, **keyword)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        ctr.ContainerPoolExecutor("host", 1, colour="red")  # type: ignore[call-arg]
    for workers in (0, -1):
        with pytest.raises(ValueError, match="max_workers"):
            ctr.ContainerPoolExecutor("host", workers)
    with ctr.ContainerPoolExecutor("host", 1, python="/no/such/python") as pool:
        assert isinstance(pool.submit(int).exception(), ctr.Error)
        assert not ctr.containers()
