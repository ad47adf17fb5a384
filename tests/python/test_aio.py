"""`ctr.aio`: the same containers for asyncio and trio. Each test runs under both but for those that name one."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import archives
import ctr
from ctr import PIPE

anyio = pytest.importorskip("anyio")

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"], autouse=True)
def anyio_backend(request: Any) -> str:
    if request.param == "trio":
        pytest.importorskip("trio")
    return str(request.param)


@pytest.fixture
async def a() -> AsyncIterator[ctr.aio.Container]:
    async with ctr.aio.Container() as container:
        yield container


def running(c: ctr.aio.Container, program: str) -> bool:
    """Whether a program of these arguments runs inside."""
    shown = c.container.run(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], capture_output=True, text=True)
    return program in shown.stdout


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.01)


async def test_files_are_read_written_and_copied(a: ctr.aio.Container, tmp_path: Path) -> None:
    assert await a.write_bytes("/tmp/x", b"data") == 4
    assert await a.read_bytes("/tmp/x") == b"data"
    assert "x" in await a.listdir("/tmp")
    await a.copy_out("/tmp/x", tmp_path / "x")
    await a.copy_in(tmp_path / "x", "/tmp/y")
    assert await a.read_bytes("/tmp/y") == b"data"


async def test_run_is_that_of_ctr() -> None:
    done = await ctr.aio.run(
        "host", ["sh", "-c", "cat; echo bad >&2; exit 3"], input="ü\r\n", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "ü\n", "bad\n")
    assert done.exit.reason == "exited"
    assert not ctr.containers()
    with pytest.raises(subprocess.CalledProcessError):
        await ctr.aio.run("host", ["false"], check=True)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        await ctr.aio.run("host", ["true"], colour="red")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="detached"):
        await ctr.aio.run("host", ["true"], detached=True)  # type: ignore[call-overload]
    with pytest.raises(ctr.Error, match="no-such-program"):
        await ctr.aio.run("host", ["no-such-program"])
    assert not ctr.containers()


if TYPE_CHECKING:
    from typing_extensions import assert_type

    async def what_a_type_checker_knows(c: ctr.aio.Container) -> None:
        assert_type(await c.run(["true"], text=True), ctr.CompletedProcess[str])
        assert_type(await c.run(["true"], encoding="latin-1"), ctr.CompletedProcess[str])
        assert_type(await c.run(["true"]), ctr.CompletedProcess[bytes])
        assert_type(await ctr.aio.run("host", ["true"], universal_newlines=True), ctr.CompletedProcess[str])
        assert_type(await ctr.aio.run("host", ["true"], capture_output=True), ctr.CompletedProcess[bytes])


async def test_a_container_ends_with_its_block() -> None:
    async with ctr.aio.Container(hostname="fern", memory=None) as c:
        assert c.running
        assert [info.pid for info in ctr.containers()] == [c.pid]
        assert (await c.run(["hostname"], capture_output=True)).stdout == b"fern\n"
        joined = await ctr.aio.join(c.name)
        async with joined:
            assert (await joined.run(["hostname"], capture_output=True)).stdout == b"fern\n"
        assert c.running
    assert not c.running
    assert not ctr.containers()


async def test_a_container_without_a_block_ends_by_destroy() -> None:
    c = await ctr.aio.Container()
    with pytest.raises(RuntimeError, match="made already"):
        await c
    async with anyio.create_task_group() as group:
        group.start_soon(c.wait)
        await anyio.sleep(0.05)
        await c.destroy()
    assert not c.running


async def test_streams_are_those_of_asyncio(a: ctr.aio.Container) -> None:
    p = await a.popen(["cat"], stdin=PIPE, stdout=PIPE)
    assert p.stdin is not None
    assert p.stdout is not None
    p.stdin.writelines([b"one\ntwo\n", b"three"])
    await p.stdin.drain()
    assert await p.stdout.readline() == b"one\n"
    assert await p.stdout.readexactly(4) == b"two\n"
    assert p.returncode is None
    p.stdin.close()
    assert p.stdin.is_closing()
    assert [line async for line in p.stdout] == [b"three"]
    assert p.stdout.at_eof()
    with pytest.raises(EOFError):
        await p.stdout.readexactly(1)
    assert await p.wait() == 0
    assert p.exit is not None
    assert p.exit.reason == "exited"


async def test_a_line_is_bounded(a: ctr.aio.Container) -> None:
    async with await a.popen(["sh", "-c", "tr '\\0' x < /dev/zero"], stdout=PIPE) as p:
        assert p.stdout is not None
        with pytest.raises(ValueError, match="65536"):
            await p.stdout.readline()
    assert p.returncode == 128 + signal.SIGPIPE


async def test_communicate_neither_blocks_nor_loses(a: ctr.aio.Container) -> None:
    much = os.urandom(1 << 20) * 4
    p = await a.popen(["tee", "/dev/stderr"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert await p.communicate(much) == (much, much)
    assert p.returncode == 0
    # A program that doesn't read its input is no error.
    p = await a.popen(["true"], stdin=PIPE, stdout=PIPE)
    assert await p.communicate(much) == (b"", None)


async def test_any_number_of_tasks_wait(a: ctr.aio.Container) -> None:
    p = await a.popen(["cat"], stdin=PIPE)
    ends: list[int] = []

    async def wait() -> None:
        ends.append(await p.wait())

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(wait)
        with anyio.move_on_after(0.05):
            await p.wait()
        assert p.stdin is not None
        p.stdin.close()
    assert ends == [0, 0, 0]


async def test_a_terminal(a: ctr.aio.Container) -> None:
    done = await a.run(["sh", "-c", "stty size; read x; echo got $x"], pty=(11, 22), input="word\n", text=True)
    assert done.stdout.endswith("got word\n")
    assert "11 22\n" in done.stdout


async def test_a_time_out_kills_and_tells_what_came(a: ctr.aio.Container) -> None:
    with pytest.raises(subprocess.TimeoutExpired, match="0.3 seconds") as caught:
        await a.run(["sh", "-c", "echo first; sleep 4321"], capture_output=True, text=True, timeout=0.3)
    assert caught.value.output == b"first\n"
    await until(lambda: not running(a, "sleep 4321"))


async def test_a_time_limit_is_not_outwaited(a: ctr.aio.Container) -> None:
    begun = time.monotonic()
    done = await a.run(["sh", "-c", "echo x; setsid sleep 4322 & wait"], capture_output=True, time_limit=0.3)
    assert (done.exit.reason, done.stdout) == ("timed out", b"x\n")
    assert time.monotonic() - begun < 60
    await until(lambda: not running(a, "sleep 4322"))


async def test_a_cancelled_run_kills_what_it_started(a: ctr.aio.Container) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(a.run, ["sh", "-c", "sleep 4323 & sleep 4323"])
        await until(lambda: running(a, "sleep 4323"))
        group.cancel_scope.cancel()
    await until(lambda: not running(a, "sleep 4323"))
    assert a.running


async def test_a_cancelled_block_leaves_no_container() -> None:
    with anyio.move_on_after(0.2):
        await ctr.aio.run("host", ["sh", "-c", "setsid sleep 4324 & sleep 4324"])
    assert not ctr.containers()


async def test_cancelled_at_any_moment_nothing_is_left() -> None:
    begun = time.monotonic()
    await ctr.aio.run("host", ["true"])
    life = time.monotonic() - begun
    for step in range(40):
        with anyio.move_on_after(life * step / 40):
            await ctr.aio.run("host", ["true"])
    await until(lambda: not ctr.containers())


class Endless:
    """An archive of a file that never ends."""

    def __init__(self) -> None:
        entry = tarfile.TarInfo("big")
        entry.size = 1 << 32
        self.header = entry.tobuf()

    def read(self, size: int, /) -> bytes:
        data, self.header = self.header, b""
        time.sleep(0.01)
        return data or bytes(min(size, 4096))


async def test_a_cancelled_import_leaves_nothing() -> None:
    told = threading.Event()
    async with anyio.create_task_group() as group:

        async def make() -> None:
            await ctr.aio.import_image(Endless(), name="cancelled", progress=lambda state: told.set())

        group.start_soon(make)
        await until(told.is_set)
        group.cancel_scope.cancel()
    await until(lambda: not list(Path(os.environ["CTR_STORE_DIR"]).glob("tmp/*")))
    assert "cancelled" not in [name for image in ctr.images() for name in image.names]


async def test_work_on_files(tmp_path: Path) -> None:
    (tmp_path / "box.tar").write_bytes(archives.rootfs())
    told: list[Any] = []
    image = await ctr.aio.import_image(tmp_path / "box.tar", name="aio", progress=told.append)
    async with ctr.aio.Container(image) as c:
        await c.run(["touch", "/home/made"])
        assert "/home/made" in [difference.path for difference in await c.diff()]
        assert await c.export(tmp_path / "out.tar", progress=told.append) == (tmp_path / "out.tar").stat().st_size
        made = await c.commit("aio-made")
        snapshot = await c.snapshot("aio-snapshot")
        assert len(snapshot.layers) == len(made.layers)
        snapshot.remove()
        await c.kill_all()
        await c.stop(1.0)
        assert not c.running
    assert (await ctr.aio.run(made, ["ls", "/home"], capture_output=True)).stdout == b"made\n"
    assert told
    made.remove()
    image.remove()


async def test_what_is_refused(a: ctr.aio.Container) -> None:
    refused: dict[str, Any] = {"text": True, "encoding": "utf-8", "bufsize": 1}
    for key, value in refused.items():
        with pytest.raises(ValueError, match=key):
            await a.popen(["true"], **{key: value})
    with pytest.raises(ValueError, match="may not both be used"):
        await a.run(["true"], input=b"", stdin=PIPE)
    with pytest.raises(TypeError, match="input must be str"):
        await a.run(["true"], input=b"", text=True)


async def test_no_thread_for_a_process(a: ctr.aio.Container) -> None:
    await a.run(["true"])
    before = threading.active_count()
    processes = [await a.popen(["sleep", "4325"]) for _ in range(30)]
    async with anyio.create_task_group() as group:
        for p in processes:
            group.start_soon(p.wait)
        await anyio.sleep(0.1)
        assert threading.active_count() <= before + 1
        for p in processes:
            p.kill()


async def test_asyncio_cancels_by_itself(a: ctr.aio.Container, anyio_backend: str) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("of asyncio alone")
    # A task's own cancel() reaches it also where anyio would shield it.
    tasks = []
    for step in range(30):
        task = asyncio.ensure_future(ctr.aio.run("host", ["sleep", "4326"]))
        tasks.append(task)
        await asyncio.sleep(0.001 * (step % 10))
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    await until(lambda: [info.name for info in ctr.containers()] == [a.name])
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(a.run(["sleep", "4327"]), 0.2)
    await until(lambda: not running(a, "sleep 4327"))


async def test_what_is_always_readable_leaves_the_loop_its_turns() -> None:
    from ctr._aio_process import StreamReader

    # As the output of a program that writes faster than we read.
    reader = StreamReader(open("/dev/zero", "rb", buffering=0))
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.sleep(0)

    async with anyio.create_task_group() as group:
        group.start_soon(turn)
        await reader.readexactly(1 << 22)
        group.cancel_scope.cancel()
    assert turns > 10
    reader.close()


async def test_much_output_is_not_copied_for_each_piece_of_it(a: ctr.aio.Container) -> None:
    size, begun = 64 << 20, time.monotonic()
    done = await a.run(["head", "-c", str(size), "/dev/zero"], capture_output=True)
    assert len(done.stdout) == size
    assert time.monotonic() - begun < 10


async def test_what_is_left_in_a_pipe_is_bounded(tmp_path: Path) -> None:
    from ctr._aio_process import StreamReader

    # As a pipe that another program goes on filling.
    (tmp_path / "pipe").write_bytes(bytes(4 << 20))
    reader = StreamReader((tmp_path / "pipe").open("rb", buffering=0))
    assert 1 << 16 <= len(reader.read_what_is_there()) <= 1 << 21
    assert reader.at_eof()


async def test_nobody_waits_for_the_end_of_what_was_killed_in_a_paused_container(a: ctr.aio.Container) -> None:
    p = await a.popen(["sleep", "4328"])
    try:
        await a.pause()
    except ctr.Error as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        pytest.skip(str(error))
    p.kill()
    try:
        with anyio.fail_after(20), pytest.raises(ctr.Error, match="it is paused"):
            await p.wait()
    finally:
        await a.resume()
    assert await p.wait() == -9


async def test_what_is_mounted_comes_and_goes(a: ctr.aio.Container) -> None:
    await a.mount(ctr.Tmpfs("/mnt/live", mode=0o700))
    assert (await a.run(["stat", "-c", "%a", "/mnt/live"], capture_output=True, text=True)).stdout == "700\n"
    assert [(it.target, it.live) for it in await a.mounts()] == [("/mnt/live", True)]
    await a.unmount("/mnt/live")
    with pytest.raises(FileNotFoundError):
        await a.unmount("/mnt/live", lazy=True)
