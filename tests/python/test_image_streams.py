"""Archives on their way in and out: any file, progress, cancellation, errors; and nothing is left of what fails."""

from __future__ import annotations

import errno
import gzip
import io
import os
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import archives
import ctr
from test_guest import program

SMALL = archives.tar({"etc/": b"", "etc/name": b"a name\n"})


class Endless:
    """An archive that never ends."""

    def __init__(self) -> None:
        self.number = 0

    def read(self, size: int) -> bytes:
        self.number += 1
        return archives.tar({str(self.number): b"x" * 100})[:1024]


@pytest.fixture(autouse=True)
def nothing_is_left(fds: set[int]) -> Iterator[None]:
    """No image, no half of one, no thread, no descriptor."""
    threads = len(os.listdir("/proc/self/task"))
    yield
    for image in ctr.images():
        image.remove()
    ctr.prune()
    assert ctr.disk_use() == 0
    assert os.listdir(Path(os.environ["CTR_STORE_DIR"]) / "tmp") == []
    # A thread that has been joined may still be on its way out of the kernel.
    end = time.monotonic() + 10
    while len(os.listdir("/proc/self/task")) != threads and time.monotonic() < end:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/task")) == threads


def nothing_in_the_store() -> None:
    store = Path(os.environ["CTR_STORE_DIR"])
    assert {name: os.listdir(store / name) for name in ("images", "layers", "tmp")} == {
        "images": [],
        "layers": [],
        "tmp": [],
    }


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.tar"
    path.write_bytes(SMALL)
    return path


def test_whatever_can_be_read_is_an_archive(small: Path, tmp_path: Path) -> None:
    class OnlyReads:
        def __init__(self) -> None:
            self.file = io.BytesIO(SMALL)

        def read(self, size: int) -> bytes:
            return self.file.read(min(size, 100))

    packed = tmp_path / "named.zip"
    packed.write_bytes(gzip.compress(SMALL))
    known = ctr.import_image(small)
    assert ctr.import_image(str(small)) == known
    assert ctr.import_image(bytes(small)) == known
    assert ctr.import_image(packed) == known
    assert ctr.import_image(io.BytesIO(SMALL)) == known
    assert ctr.import_image(OnlyReads()) == known
    with open(small, "rb") as file:
        assert ctr.import_image(file) == known
        assert not file.closed
        assert file.read() == b""
    with open(small, "rb", buffering=0) as raw:
        assert ctr.import_image(raw.fileno()) == known
        os.fstat(raw.fileno())
    with gzip.open(packed) as unpacked:
        assert ctr.import_image(unpacked) == known
    with open(tmp_path / "later", "wb+") as late:
        late.write(b"something else " + SMALL)
        late.seek(15)
        assert ctr.import_image(late) == known


def test_a_pipe_and_a_socket_are_read_to_their_end(small: Path) -> None:
    known = ctr.import_image(small)
    reading, writing = os.pipe()
    os.write(writing, SMALL)
    os.close(writing)
    assert ctr.import_image(reading) == known
    os.close(reading)
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.makefile("rb") as file:
        ours.sendall(SMALL)
        ours.shutdown(socket.SHUT_WR)
        assert ctr.import_image(file) == known


def test_progress_is_told_on_the_calling_thread(small: Path) -> None:
    told: list[ctr.Progress] = []
    where = set()

    def hear(progress: ctr.Progress) -> None:
        told.append(progress)
        where.add(threading.get_ident())

    ctr.import_image(small, progress=hear)
    assert told[-1] == ctr.Progress(len(SMALL), len(SMALL), 2)
    assert told == sorted(told)
    ctr.import_image(io.BytesIO(SMALL), progress=hear)
    assert told[-1] == ctr.Progress(len(SMALL), len(SMALL), 2)
    reading, writing = os.pipe()
    os.write(writing, SMALL)
    os.close(writing)
    image = ctr.import_image(reading, progress=hear)
    os.close(reading)
    assert told[-1] == ctr.Progress(len(SMALL), None, 2)
    image.save(io.BytesIO(), progress=hear)
    assert told[-1].bytes == told[-1].total == image.size
    assert told[-1].entries >= 2
    assert where == {threading.get_ident()}


def test_a_container_tells_of_its_image_once(small: Path) -> None:
    told: list[list[ctr.Progress]] = [[], []]
    for hears in told:
        with pytest.raises(ctr.Error, match="nothing-here"):
            ctr.run(small, ["/nothing-here"], progress=hears.append)
    # How often depends on how long it takes; the second time it is there.
    assert {progress.total for progress in told[0]} == {len(SMALL)}
    assert told[1] == []


@pytest.mark.parametrize("kind", ["path", "file", "endless", "container"])
def test_what_a_callback_raises_ends_the_import(kind: str, small: Path) -> None:
    problem = RuntimeError("I have seen enough")

    def enough(progress: ctr.Progress) -> None:
        raise problem

    work: dict[str, Callable[[], object]] = {
        "path": lambda: ctr.import_image(small, progress=enough, name="never"),
        "file": lambda: ctr.import_image(io.BytesIO(SMALL), progress=enough, name="never"),
        "endless": lambda: ctr.import_image(Endless(), progress=enough),
        "container": lambda: ctr.Container(small, progress=enough),
    }
    with pytest.raises(RuntimeError) as raised:
        work[kind]()
    assert raised.value is problem
    nothing_in_the_store()


def test_no_layer_is_left_where_a_later_one_fails(tmp_path: Path) -> None:
    other = archives.tar({"other": b"y" * 100_000})
    path = tmp_path / "two.tar"
    path.write_bytes(archives.docker_archive({}, SMALL, other).replace(b"y" * 100_000, b"z" * 100_000))
    with pytest.raises(ctr.Error, match="another digest"):
        ctr.import_image(path)
    nothing_in_the_store()


def test_what_a_file_raises_is_raised(small: Path) -> None:
    class Breaks(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 0:
                raise ConnectionResetError("gone")
            return super().read1(512)

    with pytest.raises(ConnectionResetError, match="gone"):
        ctr.import_image(Breaks(SMALL))
    with open(small, encoding="latin-1") as text, pytest.raises(TypeError, match="binary mode"):
        ctr.import_image(text)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="descriptor") as closed:
        ctr.import_image(1234)
    assert closed.value.errno == errno.EBADF
    nothing_in_the_store()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"this is no archive " * 100, "unpack"),
        (SMALL[:700], "cut off"),
        (gzip.compress(SMALL)[:-20], "cut off"),
    ],
)
def test_what_is_no_archive_is_an_error_that_names_it(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    path.write_bytes(content)
    with pytest.raises(ctr.Error, match=words) as bad:
        ctr.import_image(path)
    assert str(path) in str(bad.value)
    with pytest.raises(ctr.Error, match=words):
        ctr.import_image(io.BytesIO(content))
    with pytest.raises(FileNotFoundError):
        ctr.import_image(tmp_path / "missing")
    with pytest.raises(ctr.Error, match="no OCI image layout"):
        ctr.import_image(tmp_path)
    nothing_in_the_store()


def test_limits_are_kept_and_named(small: Path) -> None:
    too_small: dict[str, str | int] = {"bytes": "1k", "entries": 1, "file": 3, "walks": 0}
    for name, most in too_small.items():
        limits = {name: most}
        with pytest.raises(ctr.Error, match=f'limit "{name}"') as over:
            ctr.import_image(small, limits=limits)
        assert over.value.errno == errno.E2BIG
    with pytest.raises(TypeError, match="unknown limit"):
        ctr.import_image(small, limits={"colour": 1})
    for wrong in ({"entries": -1}, {"depth": 1 << 64}):
        with pytest.raises(ValueError, match="out of range"):
            ctr.import_image(small, limits=wrong)
    with pytest.raises(TypeError, match="limit ratio must be an int"):
        ctr.import_image(small, limits={"ratio": "much"})
    nothing_in_the_store()
    assert ctr.import_image(small, limits={"bytes": "1M", "entries": 2})


def test_leading_components_are_stripped(tmp_path: Path) -> None:
    path = tmp_path / "wrapped.tar"
    path.write_bytes(archives.tar({"wrapper-1.0/": b"", "wrapper-1.0/etc/": b"", "wrapper-1.0/etc/name": b"x"}))
    image = ctr.import_image(path, strip=1)
    assert os.listdir(image.layers[0]) == ["etc"]
    with pytest.raises(ctr.Error, match="more components than the 4 to strip"):
        ctr.import_image(path, strip=4)
    with pytest.raises(ValueError, match="strip -1: out of range"):
        ctr.import_image(path, strip=-1)


def test_other_threads_run_on_while_one_imports() -> None:
    imported, counted = threading.Event(), 0

    def count(progress: ctr.Progress) -> None:
        if counted > 50:
            raise EOFError

    def others() -> None:
        nonlocal counted
        while not imported.wait(0.001):
            counted += 1

    thread = threading.Thread(target=others)
    thread.start()
    reading, writing = os.pipe()
    try:
        # The pipe keeps silent until it has been seen that someone else could run.
        def feed() -> None:
            while counted <= 50:
                imported.wait(0.001)
            os.write(writing, SMALL)
            os.close(writing)

        feeder = threading.Thread(target=feed)
        feeder.start()
        ctr.import_image(reading)
        feeder.join()
        with pytest.raises(EOFError):
            ctr.import_image(Endless(), progress=count)
    finally:
        imported.set()
        thread.join()
        os.close(reading)


def test_threads_may_import_the_same_file_at_once(small: Path) -> None:
    found: list[ctr.Image] = []
    threads = [threading.Thread(target=lambda: found.append(ctr.import_image(small, name="one"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [image.names for image in ctr.images()] == [("one",)]


@pytest.mark.parametrize(
    "work",
    [
        "ctr.import_image(big)",
        "ctr.Container(big)",
        "ctr.explain(big)",
        "ctr.import_image(os.pipe()[0])",
        "ctr.import_image(open(os.pipe()[0], 'rb'))",
        "ctr.import_image(open('/dev/zero', 'rb'), limits={'bytes': '1T', 'file': '1T'})",
        "ctr.import_image(Slow())",
        "ctr.import_image(small).save(os.pipe()[1], compression='none')",
        "ctr.Container(small).export(os.pipe()[1])",
    ],
)
def test_ctrl_c_ends_it_and_nothing_is_left(work: str, tmp_path: Path) -> None:
    big, small = tmp_path / "big.tar", tmp_path / "small.tar"
    with tarfile.open(small, "w") as archive:
        entry = tarfile.TarInfo("big")
        entry.size = 1 << 20
        archive.addfile(entry, io.BytesIO(os.urandom(1 << 20)))
    # A sparse file on the disk, but for tar one of zeros: more than anyone can read in a moment.
    with open(big, "wb") as file:
        entry.size = 16 << 30
        file.write(entry.tobuf(tarfile.GNU_FORMAT))
        file.truncate(entry.size + 2048)
    program(f"""
        import ctr, os, signal, sys, threading, time
        big, small, store = {str(big)!r}, {str(small)!r}, {str(tmp_path / "store")!r}
        os.environ["CTR_STORE_DIR"] = store
        class Slow:
            def read(self, size):
                time.sleep(1000)
        known = set(ctr.import_image(small, name="known").layers)
        threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            {work}
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("not interrupted")
        assert [image.name for image in ctr.images()] == ["known"]
        assert {{os.path.join(store, "layers", name, "fs") for name in os.listdir(store + "/layers")}} == known
        assert os.listdir(store + "/tmp") == [], os.listdir(store + "/tmp")
        assert threading.active_count() == 1
    """)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.tar", "small.tar", "store"]


@pytest.mark.parametrize("there", [False, True])
def test_a_save_that_ends_early_leaves_the_path_as_it_was(there: bool, small: Path, tmp_path: Path) -> None:
    image = ctr.import_image(small)
    place = tmp_path / "place"
    place.mkdir()
    path = place / "saved.tar"
    if there:
        path.write_text("before")

    def enough(progress: ctr.Progress) -> None:
        raise EOFError

    with pytest.raises(EOFError):
        image.save(path, progress=enough)
    with pytest.raises(TypeError, match="unknown format"):
        image.save(path, format="zip")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unknown compression"):
        image.save(path, compression="rot13")  # type: ignore[arg-type]
    assert [name.read_text() for name in place.iterdir()] == (["before"] if there else [])
    with pytest.raises(FileNotFoundError):
        image.save(place / "no" / "such" / "directory")


def test_what_a_file_raises_when_it_is_written_is_raised(small: Path) -> None:
    image = ctr.import_image(small)

    class Breaks:
        def write(self, data: bytes) -> int:
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        image.save(Breaks())
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        image.save(writing)
    os.close(writing)


def test_a_path_that_is_no_file_is_written_to_as_it_is(small: Path, tmp_path: Path) -> None:
    image = ctr.import_image(small)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    image.save(fifo)
    reader.join()
    whole = io.BytesIO()
    image.save(whole)
    assert got == [whole.getvalue()]
    with pytest.raises(ctr.Error, match="/dev/full") as full:
        image.save("/dev/full")
    assert full.value.errno == errno.ENOSPC


def test_objects_that_take_little_at_a_time_get_all(small: Path) -> None:
    image = ctr.import_image(small)

    class Sips(io.BytesIO):
        def write(self, data: bytes, /) -> int:  # type: ignore[override]
            return super().write(data[:1000])

    class SaysNothing:
        def __init__(self) -> None:
            self.taken = io.BytesIO()

        def write(self, data: bytes) -> None:
            self.taken.write(data)

    whole, sips, silent = io.BytesIO(), Sips(), SaysNothing()
    for target in (whole, sips, silent):
        image.save(target)
    assert whole.getvalue() == sips.getvalue() == silent.taken.getvalue()
