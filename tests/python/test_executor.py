"""`ctr.ContainerPoolExecutor`, and `ctr.this_python`, which shows it this interpreter."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
from collections import Counter, OrderedDict, deque
from concurrent.futures import BrokenExecutor, Future, as_completed
from pathlib import Path
from typing import Any, Literal

import pytest

import ctr
from ctr._plain import plain
from ctr._worker import dumps
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


@pytest.mark.parametrize("words", [["script/show.py"], ["-m", "show"]])
def test_this_python_has_not_the_scripts_directory_where_that_is_not_first(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "script").mkdir()
    script = tmp_path / "script" / "show.py"
    script.write_text("import ctr, sys; sys.path.insert(0, '/opt'); print(ctr.this_python())")
    where = tmp_path / "script" if "-m" in words else tmp_path
    shown = subprocess.run([sys.executable, *words], cwd=where, capture_output=True, text=True, check=True).stdout
    assert sys.prefix in shown
    assert str(tmp_path) not in shown


def test_this_python_shows_nothing_more_where_the_interpreter_has_no_path(tmp_path: Path) -> None:
    code = "import ctr, sys; sys.executable = ''; print(ctr.this_python())"
    words = [sys.executable, "-c", code]
    (tmp_path / "here").mkdir()
    shown = subprocess.run(words, cwd=tmp_path / "here", capture_output=True, text=True, check=True).stdout
    assert sys.prefix in shown
    assert str(tmp_path) not in shown


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
        plain(pickle.dumps(Evil(str(mark))), 1 << 20)
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
            plain(call, 1 << 20)


def test_every_plain_value_comes_as_it_was() -> None:
    import datetime
    import decimal
    import uuid

    pair = (1, 2)
    zone = datetime.timezone(datetime.timedelta(hours=2), "x")
    values: list[Any] = [
        *(0, -1, 255, 65535, -(1 << 31), 1 << 31, -(1 << 100), 1 << 5000, 1.5, float("inf"), -2.5j, True, None),
        *("", "ü", "\udc80", "x" * 300, "ü" * 70000, b"", b"b" * 300, b"c" * 70000, bytearray(b"z")),
        *(
            [],
            [1],
            [[1, 2.5, None, True] * 3000],
            (),
            (1,),
            pair,
            (1, 2, 3),
            (1, 2, 3, 4),
            ((pair, pair), pair),
            [pair] * 3,
        ),
        *({}, {n: str(n) for n in range(3000)}, {(n, n + 1): n for n in range(3000)}, {1.5: 1, None: 2, True: 3}),
        *({1, 2}, {pair, (3, 4)}, frozenset({1, (2, 3)}), {frozenset({pair}): 1}),
        *(Counter("hello"), OrderedDict(a=1, b=2), deque([1, 2]), deque([1, 2], maxlen=5)),
        *(datetime.date(2026, 1, 2), datetime.time(1, 2, fold=1), datetime.datetime(2026, 1, 2, 3, 4, 5, 6, zone)),
        *(datetime.timedelta(-3, 5), zone, decimal.Decimal("1.50"), {uuid.UUID(int=7): uuid.uuid4()}),
    ]
    for value in values:
        for data in (dumps(value, False), pickle.dumps(value, 5)):
            read = plain(data, 1 << 30)
            assert type(read) is type(value)
            assert read == value
    deque_read = plain(dumps(deque([1], maxlen=5), False), 1 << 20)
    assert deque_read.maxlen == 5
    loop: list[Any] = []
    loop.append((loop,))
    read = plain(pickle.dumps(loop), 1 << 20)
    assert read[0][0] is read


def nested(depth: int) -> bytes:
    """A set of a tuple that holds another twice, which holds another twice, and so on."""
    return b"\x80\x04\x8f()" + b"".join(b"\x94h%c\x86" % n for n in range(depth)) + b"\x90."


def colliding(count: int) -> bytes:
    """A set of numbers of one hash."""
    numbers = (pickle.dumps(n * sys.hash_info.modulus, 2)[2:-1] for n in range(count))
    return b"\x80\x04\x8f(" + b"".join(numbers) + b"\x90."


COUNTER = b"\x8c\x0bcollections\x8c\x07Counter\x93"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        # To hash the first would take 2**64 steps, and the second all of the stack.
        (nested(64), "never be done"),
        (b"\x80\x04\x8f()" + b"\x85" * 300_000 + b"\x90.", "never be done"),
        (colliding(900), "the same hash"),
        # Sets of a byte each, and copies of one dict.
        (b"\x80\x04(" + b"\x8f" * 100_000 + b"l.", "memory"),
        (b"\x80\x04" + COUNTER + b"\x94}\x94(" + b"K\x00N" * 9 + b"u0(" + b"h\x00h\x01\x85R" * 9000 + b"t.", "memory"),
        # An attribute of a class.
        (b"\x80\x04" + COUNTER + b"N}\x8c\x0bmost_common\x8c\x05owned\x73\x86b.", "attributes"),
        # What is refused has no name, or one whose text never ends.
        (b"\x80\x04])\x93.", "no name"),
        (b"\x80\x04\x8c\x01x", "index"),
        (b"\x80\x04\x8c\xffx", "in the middle"),
    ],
)
def test_no_result_keeps_its_reader_or_takes_more_than_it_may(data: bytes, why: str) -> None:
    begun = time.monotonic()
    with pytest.raises(pickle.UnpicklingError, match=why):
        plain(data, 1 << 20)
    assert time.monotonic() - begun < 10
    assert callable(Counter.most_common)


def test_a_result_is_read_within_the_time_of_its_task() -> None:
    with pytest.raises(TimeoutError):
        plain(pickle.dumps([str(n) for n in range(1 << 16)]), 1 << 30, time.monotonic() + 0.01)


def test_an_array_is_numbers_and_no_more_than_came() -> None:
    numpy = pytest.importorskip("numpy")
    arrays = [
        *(
            numpy.eye(3),
            numpy.zeros((0, 5)),
            numpy.array(["ab", "c"]),
            numpy.float32(2),
            numpy.datetime64("2026-01-01"),
        ),
        *(numpy.zeros(3, [("a", "i4"), ("ü", "f8", (2,))]), numpy.asfortranarray(numpy.arange(6).reshape(2, 3))),
    ]
    for array in arrays:
        read = plain(dumps(array, False), 1 << 20)
        assert (type(read), read.dtype, read.shape) == (type(array), array.dtype, array.shape)
        assert (read == array).all()
    archive = io.BytesIO()
    numpy.savez_compressed(archive, x=numpy.zeros(1 << 20))
    header = b"{'descr': '%s', 'fortran_order': False, 'shape': (1000000000,)}".ljust(120)
    huge = [
        b"\x93NUMPY\x01\x00" + len(header % kind).to_bytes(2, "little") + header % kind for kind in (b"<f8", b"|V0")
    ]
    for data in (archive.getvalue(), *huge):
        with pytest.raises(pickle.UnpicklingError):
            plain(pickle.dumps(("array", data), 4)[:-1] + b"Q.", 1 << 30)


def test_an_exception_is_told_in_words() -> None:
    def forge(data: bytes) -> None:
        import socket

        socket.socket(fileno=3).sendall(len(data).to_bytes(8, "big") + data)
        time.sleep(1000)

    endless: list[Any] = []
    for _ in range(64):
        endless = [endless, endless]
    with ctr.ContainerPoolExecutor("host", 1, timeout=30, max_tasks_per_child=1) as pool:
        for told in (
            ("raised", endless, "Error", (), "text", "traceback", None),
            ("raised", "module", "Error", (), endless, "traceback", None),
            endless,
        ):
            assert isinstance(pool.submit(forge, pickle.dumps(told)).exception(), pickle.UnpicklingError)
        one: Any = ("raised", "builtins", "ValueError", (endless,), "text", "traceback", None)
        assert str(pool.submit(forge, pickle.dumps(one)).exception()) == "text"
        one = ("raised", "builtins", "UnicodeDecodeError", ("a", b"", 1 << 99, 1, ""), "text", "traceback", None)
        assert str(pool.submit(forge, pickle.dumps(one)).exception()) == "text"


def test_a_worker_whose_answer_can_not_be_read_answers_no_other_task() -> None:
    def forge() -> None:
        import socket

        sock = socket.socket(fileno=3)
        while True:
            sock.sendall(bytes(8))

    with ctr.ContainerPoolExecutor("host", 1, timeout=30) as pool:
        assert isinstance(pool.submit(forge).exception(), pickle.UnpicklingError)
        assert pool.submit(int, "1").result() == 1


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


def test_killed_workers_end_at_once_and_take_no_more() -> None:
    import time
    from concurrent.futures import CancelledError

    pool = ctr.ContainerPoolExecutor(max_workers=2)
    begun = [pool.submit(time.sleep, 1000) for _ in range(2)]
    waits = [pool.submit(time.sleep, 1000) for _ in range(2)]
    while len(ctr.containers()) < 2 or not all(future.running() for future in begun):
        time.sleep(0.01)
    pool.kill_workers()
    for future in begun:
        assert isinstance(future.exception(), ctr.WorkerLost)
    for future in waits:
        with pytest.raises(CancelledError):
            future.result()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(time.sleep, 0)
    assert not ctr.containers()
