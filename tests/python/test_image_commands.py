"""`python -m ctr`: the commands about images."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest

import archives
import ctr
from test_command_line import COMMAND, command

pytestmark = pytest.mark.skipif(archives.BUSYBOX is None, reason="no busybox is installed")


@pytest.fixture
def tarball(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image that says what it runs, in a store of its own."""
    monkeypatch.setenv("CTR_STORE_DIR", str(tmp_path / "store"))
    path = tmp_path / "box.tar"
    path.write_bytes(archives.docker_archive({"Entrypoint": ["echo"], "Cmd": ["hello"]}, archives.rootfs()))
    return path


@pytest.fixture
def box(tarball: Path) -> str:
    """That image by its name."""
    ctr.import_image(tarball, name="box")
    return "box"


def ok(*words: str, **options: object) -> str:
    """What a command prints that has to succeed."""
    done = command(*words, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_an_image_is_imported_listed_named_shown_and_removed(tarball: Path) -> None:
    digest = ok("import", str(tarball), "box").strip()
    assert digest == ctr.image("box").digest
    assert ok("tag", "box", "other:1") == ""
    heading, *rows = ok("images").splitlines()
    assert heading.split() == ["NAME", "DIGEST", "AGE", "SIZE", "LAYERS"]
    assert [row.split()[:2] for row in rows] == [[name, digest[7:19]] for name in ("box", "other:1")]
    assert ok("images", "-q") == digest + "\n"
    (shown,) = json.loads(ok("inspect", "box"))
    assert shown["digest"] == digest
    assert shown["names"] == ["box", "other:1"]
    assert shown["config"] == {"entrypoint": ["echo"], "cmd": ["hello"], "architecture": "amd64"}
    assert ok("rmi", "box") == ""
    assert ctr.images()[0].names == ("other:1",)
    assert ok("rmi", digest) == ""
    assert ok("images", "-q") == ""


def test_an_archive_comes_from_stdin_and_goes_to_stdout(tarball: Path) -> None:
    with open(tarball, "rb") as file:
        done = subprocess.run([*COMMAND, "import", "-", "box"], stdin=file, capture_output=True, check=True)
    saved = subprocess.run([*COMMAND, "save", "--format", "docker", "box"], capture_output=True, check=True).stdout
    assert done.stdout.decode().strip() == ctr.image("box").digest
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        assert "manifest.json" in archive.getnames()
    assert ok("save", "box", "-o", f"{tarball}.saved", "--compression", "zstd") == ""
    assert ctr.import_image(f"{tarball}.saved").config == ctr.image("box").config


def test_prune_says_what_it_removed(tarball: Path) -> None:
    digest = ok("import", str(tarball)).strip()
    pruned, freed = ok("prune").splitlines()
    assert pruned == digest
    assert freed.endswith(" freed")
    assert ctr.images() == []


def test_run_runs_what_the_image_says(box: str, tmp_path: Path) -> None:
    assert ok("run", box) == "hello\n"
    assert ok("run", box, "bye") == "bye\n"
    assert ok("run", "--entrypoint", "cat", box, "/etc/passwd").startswith("root:")
    assert ok("run", "--entrypoint", "", box, "pwd") == "/\n"
    assert ok("run", "--entrypoint", "", box, input="echo a shell") == "a shell\n"
    plain = tmp_path / "plain.tar"
    plain.write_bytes(archives.rootfs())
    assert ok("run", str(plain), input="echo a shell") == "a shell\n"


def test_a_running_container_becomes_an_archive_and_an_image(box: str, tmp_path: Path) -> None:
    name = f"t-{uuid.uuid4().hex[:8]}"
    with ctr.Container(box, name=name) as c:
        c.run(["touch", "/new"], check=True)
        assert ok("diff", name) == "A /new\n"
        digest = ok("commit", name, "made", "-c", "cmd=ls -d /new", "-c", "entrypoint=", "-c", "env=A=1").strip()
        assert ctr.image("made").digest == digest
        assert command("commit", name, "-c", "colour=red").returncode == 125
        taken = ok("snapshot", name, "taken", "-c", "cmd=ls -d /new", "-c", "entrypoint=").strip()
        assert ctr.image("taken").digest == taken != digest
        assert command("snapshot", "no-such-container", "x").returncode == 125
        assert ok("export", name, "-o", str(tmp_path / "out.tar")) == ""
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert "new" in [name.removeprefix("./") for name in archive.getnames()]
    assert ok("run", "made") == ok("run", "taken") == "/new\n"


def test_a_name_in_a_listing_forges_no_line_and_obeys_no_terminal(box: str) -> None:
    """own-escapes: names of files are the container's."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    forged = b"g\nD passwd"
    names = [
        forged,
        b"b\\n",
        b"e\x1b]0;pwned\a",
        b"c\xc2\x9b2J",
        b"r\xe2\x80\xae",
        b"l\xff",
        "ü".encode(),
        b"two words",
    ]
    with ctr.Container(box, name=name) as c:
        for each in names:
            c.run([b"touch", b"/" + each], check=True)
        lines = ok("diff", name).splitlines()
        null = subprocess.run([*COMMAND, "diff", "-z", name], capture_output=True, check=True).stdout
    shown = [
        r"g\nD passwd",
        r"b\\n",
        r"e\033]0;pwned\a",
        r"c\302\2332J",
        r"r\342\200\256",
        r"l\377",
        "ü",
        "two words",
    ]
    assert sorted(lines) == sorted(f"A /{each}" for each in shown)
    assert sorted(null.split(b"\0")) == sorted([b"", *(b"A /" + each for each in names)])


def test_failures_are_one_line_of_words(tarball: Path) -> None:
    for words in (
        ("import", f"{tarball}.missing"),
        ("import", str(tarball), "-name"),
        ("import", "--limit", "bytes=1k", str(tarball)),
        ("import", "--limit", "colour=1", str(tarball)),
        ("import", "--limit", "bytes=much", str(tarball)),
        ("import", "--limit", "bytes", str(tarball)),
        ("import", "--limit", "entries=many", str(tarball)),
        ("import", "--strip", "-1", str(tarball)),
        ("import", "--platform", "arm/v7/x", str(tarball)),
        ("import", str(tarball), "--strip", "0", "name", "more"),
        ("build", "no pair"),
        ("build", "--from", "missing", "/etc/passwd:/x"),
        ("inspect", "missing"),
        ("tag", "missing", "name"),
        ("rmi", "missing"),
        ("save", "missing"),
        ("export", "missing"),
        ("diff", "missing"),
        ("commit", "missing"),
    ):
        done = command(*words)
        assert done.returncode == 125, words
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("libctr")


def test_names_may_come_behind_options(box: str, tmp_path: Path) -> None:
    digest = ok("import", str(tmp_path / "box.tar"), "--strip", "0", "late").strip()
    assert ctr.image("late").digest == digest
    name = f"t-{uuid.uuid4().hex[:8]}"
    with ctr.Container(box, name=name):
        ok("commit", name, "-c", "env=A=1", "committed")
    assert ctr.image("committed").config.env == {"A": "1"}


def test_an_image_is_built_of_files(box: str, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page").write_text("content")
    site = f"{tmp_path}/site:/www"
    digest = ok("build", "--from", box, site, "-t", "site", "-c", "entrypoint=", "-c", "cmd=cat /www/page", f"{site}2")
    assert ctr.image("site").digest == digest.strip()
    assert ok("run", "site") == "content"
    assert ok("run", "site", "cat", "/www2/page") == "content"
    assert ok("build", site).strip() in [image.digest for image in ctr.images()]


def test_images_are_removed_by_what_lists_show(tarball: Path) -> None:
    digest = ok("import", str(tarball)).strip()
    assert ok("df") == "0B\n" or ok("df").endswith("K\n") or ok("df").endswith("M\n")
    short = ok("images").splitlines()[1].split()[1]
    done = command("rmi", "missing", short)
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert "missing" in done.stderr
    assert digest.startswith(f"sha256:{short}")
    assert ok("images", "-q") == ""
    assert ok("df") == "0B\n"


def test_a_terminal_sees_how_far_it_is_and_gets_no_archive(tarball: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen([*COMMAND, "import", str(tarball), "box"], stdout=subprocess.PIPE, stderr=theirs) as process:
        shown = read_until_end(ours, process)
    assert process.returncode == 0
    # The bar, and then an empty line in its place.
    assert "importing box.tar" in shown
    assert "100%" in shown
    assert shown.endswith("\r\x1b[K")
    with subprocess.Popen([*COMMAND, "save", "box"], stdout=theirs, stderr=theirs) as process:
        shown = read_until_end(ours, process)
    assert process.returncode == 125
    assert "give -o FILE" in shown
    os.close(ours)
    os.close(theirs)


def read_until_end(fd: int, process: subprocess.Popen[bytes]) -> str:
    """What a terminal shows until its program has ended."""
    shown = b""
    while process.poll() is None or select.select([fd], [], [], 0)[0]:
        if select.select([fd], [], [], 0.01)[0]:
            shown += os.read(fd, 4096)
    return shown.decode()


def test_a_directory_with_two_files_runs_with_the_machines_own_programs(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("one\n")
    (tmp_path / "second").write_text("two\n")
    subprocess.run(["tar", "czf", tmp_path / "two.tar.gz", "-C", tmp_path, "first", "second"], check=True)
    environment = {**os.environ, "CTR_STORE_DIR": str(tmp_path / "store")}
    volumes = [f"-v={place}:{place}:ro" for place in ("/bin", "/lib", "/lib64", "/usr") if Path(place).exists()]
    words = [*COMMAND, "run", *volumes, str(tmp_path / "two.tar.gz"), "cat", "/first", "/second"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\ntwo\n", "")
