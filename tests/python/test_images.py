"""Images in the store, and how a container runs what its image says."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import hashlib
import io
import itertools
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import archives
import ctr
from lanes import FURTHER_IDS
from test_guest import program

pytestmark = pytest.mark.skipif(archives.BUSYBOX is None, reason="no busybox is installed")

CONFIG: dict[str, object] = {
    "Env": ["COLOUR=blue", "EMPTY=", "PATH=/bin"],
    "Entrypoint": ["/bin/echo", "says"],
    "Cmd": ["hello", "world"],
    "WorkingDir": "/work",
    "User": "me",
    "StopSignal": "SIGUSR1",
    "Volumes": {"/data": {}},
    "Labels": {"who": "tests"},
}


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A busybox as a plain root file system."""
    path = tmp_path_factory.mktemp("images") / "busybox.tar"
    path.write_bytes(archives.rootfs())
    return path


@pytest.fixture(scope="module")
def archive(tarball: Path) -> Path:
    """The same in a docker archive of two layers, with a configuration."""
    second = archives.tar({"work/": b"", "work/note": b"from the second layer\n"})
    path = tarball.with_name("box.docker.tar")
    path.write_bytes(archives.docker_archive(CONFIG, tarball.read_bytes(), second))
    return path


@pytest.fixture
def box(archive: Path) -> Iterator[ctr.Image]:
    """That archive as an image."""
    image = ctr.import_image(archive, name="box")
    yield image
    image.remove()


@pytest.fixture(autouse=True)
def no_image_is_left() -> Iterator[None]:
    yield
    # Those that a path was run from have no name.
    ctr.prune()
    assert ctr.images() == []
    assert ctr.disk_use() == 0


def out(done: ctr.CompletedProcess[str]) -> str:
    """What it printed."""
    assert done.returncode == 0, done.stderr
    text: str = done.stdout
    return text.strip()


def test_an_imported_tarball_is_an_image_and_runs(tarball: Path) -> None:
    image = ctr.import_image(tarball, name="busybox")
    assert image.digest == f"sha256:{hashlib.sha256(tarball.read_bytes()).hexdigest()}"
    assert (image.name, image.names) == ("busybox", ("busybox",))
    assert image.size >= os.path.getsize(os.path.realpath(archives.BUSYBOX or ""))
    assert image.config == ctr.ImageConfig()
    assert len(image.layers) == 1
    assert (Path(image.layers[0]) / "bin/busybox").exists()
    assert ctr.images() == [image]
    assert ctr.image("busybox") == ctr.image(image.digest) == image
    assert hash(ctr.image("busybox")) == hash(image)
    assert repr(image) == "<ctr.Image 'busybox'>"
    assert ctr.disk_use() >= image.size
    for named in (image, "busybox", image.digest, tarball):
        assert out(ctr.run(named, ["ls", "/"], capture_output=True, text=True)).split()[0] == "bin"
    image.remove()


def test_names_are_given_and_taken_away(tarball: Path) -> None:
    image = ctr.import_image(tarball, name="a")
    image.tag("registry.example/b:1")
    assert image.names == ("a", "registry.example/b:1")
    image.remove("a")
    assert list(image.names) == ["registry.example/b:1"]
    assert ctr.image("registry.example/b:1").names == image.names
    with pytest.raises(ValueError, match="not a name"):
        image.remove("a")
    with pytest.raises(FileNotFoundError):
        ctr.image("a")
    with pytest.raises(ValueError, match="look like a path"):
        image.tag("../escape")
    image.remove()
    with pytest.raises(FileNotFoundError):
        image.remove()
    with pytest.raises(FileNotFoundError):
        image.tag("late")


def test_prune_takes_what_nobody_names_or_uses(tarball: Path) -> None:
    image = ctr.import_image(tarball)
    assert (image.name, image.names) == (None, ())
    with ctr.Container(image) as c:
        assert ctr.prune() == ctr.Pruned([], 0)
        with pytest.raises(ctr.Error, match="a container uses it") as busy:
            image.remove()
        assert busy.value.hint
        assert c.image_digest == image.digest
    pruned = ctr.prune()
    assert pruned.images == [image.digest]
    assert pruned.bytes > 0


def test_a_store_of_ones_own_is_remembered_by_its_images(tarball: Path, tmp_path: Path) -> None:
    image = ctr.import_image(tarball, name="mine", store_dir=tmp_path / "store")
    assert ctr.images() == []
    assert ctr.images(store_dir=tmp_path / "store") == [image]
    image.tag("yours")
    with ctr.Container(image) as c:
        assert c.run(["true"]).returncode == 0
    assert "bin" in ctr.explain(image) or "overlay" in ctr.explain(image)
    image.remove()
    ctr.prune(store_dir=tmp_path / "store")
    assert ctr.disk_use(store_dir=tmp_path / "store") == 0


def test_what_is_no_image_is_a_type_error() -> None:
    for thing in (5, None, ["host"], object()):
        with pytest.raises(TypeError):
            ctr.Container(thing)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            ctr.explain(thing)  # type: ignore[arg-type]


def test_what_the_image_says_is_read(box: ctr.Image) -> None:
    assert box.config == ctr.ImageConfig(
        env={"COLOUR": "blue", "EMPTY": "", "PATH": "/bin"},
        entrypoint=("/bin/echo", "says"),
        cmd=("hello", "world"),
        working_dir="/work",
        user="me",
        stop_signal="SIGUSR1",
        volumes=("/data",),
        labels={"who": "tests"},
        architecture="amd64",
    )
    assert len(box.layers) == 2
    assert dataclasses.replace(box.config, cmd=("x",)).entrypoint == box.config.entrypoint
    assert copy.copy(box) == box


@FURTHER_IDS
def test_run_is_docker_run(box: ctr.Image) -> None:
    def say(*args: object, **options: object) -> str:
        return out(ctr.run(box, *args, capture_output=True, text=True, **options))  # type: ignore[call-overload]

    assert say() == "says hello world"
    assert say(["bye"]) == "says bye"
    assert say(["bye"], entrypoint=["echo"]) == "bye"
    assert say(["echo", "bye"], entrypoint=[]) == "bye"
    assert say(entrypoint="pwd") == "/work"
    assert say("echo $COLOUR $0", shell=True) == "blue /bin/sh"
    assert say(["-u"], entrypoint="id") == "1000"
    assert say(["-u"], entrypoint="id", user="root") == "0"
    assert say(entrypoint="pwd", cwd="/tmp") == "/tmp"
    assert ctr.run(box, stdout=ctr.DEVNULL).args == ["/bin/echo", "says", "hello", "world"]
    with pytest.raises(ValueError, match="say what to run"):
        say(entrypoint=[])


def test_without_an_entrypoint_the_arguments_are_all_there_is(tarball: Path) -> None:
    args = ["true"]
    assert ctr.run(tarball, args).args is args
    with pytest.raises(ValueError, match="neither Entrypoint nor Cmd"):
        ctr.run(tarball)
    with pytest.raises(ValueError, match="neither Entrypoint nor Cmd"):
        ctr.run("host")


@FURTHER_IDS
def test_a_running_container_runs_what_it_is_told_or_what_its_image_says(box: ctr.Image) -> None:
    with ctr.Container(box) as c:
        assert out(c.run(capture_output=True, text=True)) == "says hello world"
        assert out(c.run(["cat", "note"], capture_output=True, text=True)) == "from the second layer"
        with c.popen(stdout=ctr.PIPE, text=True) as p:
            assert p.communicate()[0] == "says hello world\n"
        assert c.image_command(["x"]) == ["/bin/echo", "says", "x"]
        assert c.image_config == box.config
        assert c.image_digest == box.digest
    with ctr.Container() as c:
        assert c.image_config == ctr.ImageConfig()
        assert c.image_digest is None


@FURTHER_IDS
def test_stop_sends_what_the_image_says_and_kills_what_does_not_heed_it(box: ctr.Image) -> None:
    with ctr.Container(box) as c:
        script = "trap 'exit 3' USR1; echo up; while :; do sleep 0.01; done"
        p = c.popen(["sh", "-c", script], stdout=ctr.PIPE)
        assert p.stdout is not None
        assert p.stdout.readline() == b"up\n"
        assert p.stop() == 3
        p.stdout.close()
        p = c.popen(["sh", "-c", "trap '' USR1; echo up; while :; do sleep 0.01; done"], stdout=ctr.PIPE)
        assert p.stdout is not None
        assert p.stdout.readline() == b"up\n"
        assert p.stop(0.1) == -9
        p.stdout.close()


def test_one_of_several_images_is_chosen_by_its_name(tarball: Path, tmp_path: Path) -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("no skopeo is installed")
    layout = tmp_path / "layout"
    for number in ("1", "2"):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(archives.docker_archive({"Cmd": ["echo", number]}, tarball.read_bytes()))
        copy = ["skopeo", "--insecure-policy", "copy", f"docker-archive:{path}", f"oci:{layout}:box:{number}"]
        subprocess.run(copy, check=True, capture_output=True)
    with pytest.raises(ctr.Error, match="box:1"):
        ctr.import_image(layout)
    first, second = (ctr.import_image(layout, reference=f"box:{number}") for number in "12")
    assert first != second
    assert first.layers == second.layers
    assert out(ctr.run(second, capture_output=True, text=True)) == "2"
    assert out(ctr.run(f"{layout}:box:1", capture_output=True, text=True)) == "1"
    assert ctr.import_image(f"{layout}:box:1") == first
    with pytest.raises(ctr.Error, match="no image box:3"):
        ctr.import_image(layout, reference="box:3")
    # Its configuration says what it is for.
    assert ctr.import_image(layout, reference="box:1", platform="linux/amd64") == first
    with pytest.raises(ctr.Error, match="for linux/amd64, not for linux/arm/v7"):
        ctr.import_image(layout, reference="box:1", platform="arm/v7")
    with pytest.raises(ValueError, match="LINUX/x/y/z"):
        ctr.import_image(layout, platform="LINUX/x/y/z")


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("form", ["oci", "docker"])
def test_a_saved_image_is_the_same_here_and_in_skopeo(
    box: ctr.Image, form: str, compression: str, tmp_path: Path
) -> None:
    path = tmp_path / "saved.tar"
    box.save(path, format=form, compression=compression)  # type: ignore[arg-type]
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()
    assert list(tmp_path.iterdir()) == [path]
    box.save(path, format=form, compression=compression)  # type: ignore[arg-type]
    with tarfile.open(path) as saved:
        assert ("index.json" in saved.getnames()) == (form == "oci")
    again = ctr.import_image(path)
    assert again.config == box.config
    assert tree(again) == tree(box)
    if shutil.which("skopeo"):
        kind = "oci-archive" if form == "oci" else "docker-archive"
        told = subprocess.run(["skopeo", "inspect", "--config", f"{kind}:{path}"], capture_output=True, check=True)
        assert b"COLOUR=blue" in told.stdout
        there = tmp_path / "there"
        copy = ["skopeo", "--insecure-policy", "copy", f"{kind}:{path}", f"oci:{there}:x"]
        subprocess.run(copy, check=True, capture_output=True)
        assert ctr.import_image(there).layers == again.layers


def test_the_same_image_gives_the_same_bytes_wherever_they_go(box: ctr.Image, tmp_path: Path) -> None:
    memory, path = io.BytesIO(), tmp_path / "a.tar"
    box.save(memory)
    box.save(path)
    with open(tmp_path / "b.tar", "wb") as file:
        box.save(file.fileno())
    with gzip.open(tmp_path / "c.tar.gz", "wb") as packed:
        box.save(packed)
    assert memory.getvalue() == path.read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert gzip.decompress((tmp_path / "c.tar.gz").read_bytes()) == memory.getvalue()


def test_no_file_is_younger_than_source_date_epoch(box: ctr.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234567890")
    saved = io.BytesIO()
    box.save(saved, format="docker", compression="none")
    saved.seek(0)
    with tarfile.open(fileobj=saved) as archive:
        layer = archive.extractfile(next(name for name in archive.getnames() if name.endswith("layer.tar")))
        assert layer is not None
        with tarfile.open(fileobj=io.BytesIO(layer.read())) as tree:
            assert max(entry.mtime for entry in tree) == 1234567890
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(ValueError, match="SOURCE_DATE_EPOCH"):
        box.save(io.BytesIO())


def test_a_running_container_is_exported(box: ctr.Image, tmp_path: Path) -> None:
    with ctr.Container(box) as c:
        c.run(["sh", "-c", "echo new > /work/new; rm /work/note; ln -s new /work/link"], user="root", check=True)
        path, memory = tmp_path / "out.tar", io.BytesIO()
        assert c.export(path) == path.stat().st_size
        c.export(memory, compression="gzip")
        assert gzip.decompress(memory.getvalue()) == path.read_bytes()
    with tarfile.open(path) as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
        assert {"work/new", "work/link", "bin/busybox"} <= names
        assert "work/note" not in names
    assert out(ctr.run(path, ["cat", "/work/link"], capture_output=True, text=True)) == "new"


@FURTHER_IDS
def test_what_a_container_has_changed_is_told_and_committed(box: ctr.Image) -> None:
    with ctr.Container(box) as c:
        assert c.diff() == []
        c.run(["sh", "-c", "echo new > /work/new; rm /work/note; echo more >> /etc/passwd"], user="root", check=True)
        assert [line for line in c.diff() if line.change != "changed"] == [
            ctr.Difference("/work/new", "added"),
            ctr.Difference("/work/note", "deleted"),
        ]
        assert ("/etc/passwd", "changed") in c.diff()
        with ctr.join(c.name) as joined:
            assert joined.diff() == c.diff()
        told: list[ctr.Progress] = []
        image = c.commit("changed", config={"cmd": ["bye"], "env": {"NEW": "1"}}, progress=told.append)
        assert told
        again = c.commit()
        snapshot = c.snapshot("snapshot", config={"cmd": ["bye"]}, progress=told.append)
        assert not c.paused
    assert snapshot.names == ("snapshot",)
    assert snapshot.layers[:2] == box.layers
    assert out(ctr.run(snapshot, ["/work"], entrypoint="ls", capture_output=True, text=True)) == "new"
    assert out(ctr.run(snapshot, capture_output=True, text=True)) == "says bye"
    snapshot.remove()
    assert image == ctr.image("changed")
    assert image.layers[:2] == again.layers[:2] == box.layers
    assert image.layers[2] == again.layers[2]
    assert image.config == dataclasses.replace(box.config, cmd=("bye",), env={**box.config.env, "NEW": "1"})
    assert again.config == box.config
    assert out(ctr.run("changed", capture_output=True, text=True)) == "says bye"
    assert out(ctr.run(image, ["/work"], entrypoint="ls", capture_output=True, text=True)) == "new"
    with ctr.Container(box) as c:
        c.run(["touch", "/tmp/x"], user="root", check=True)
        with pytest.raises(EOFError):
            c.commit("never", progress=end_it)
        with pytest.raises(EOFError):
            c.snapshot("never", progress=end_it)
    with pytest.raises(FileNotFoundError):
        ctr.image("never")
    with ctr.Container(box) as c:
        for config in ({"colour": "red"}, {"cmd": "one str"}):
            with pytest.raises(TypeError):
                c.commit(config=config)
        with pytest.raises(ValueError, match="working directory"):
            c.commit(config={"working_dir": "not/absolute"})
    image.remove()


def end_it(progress: ctr.Progress) -> None:
    raise EOFError


def test_an_image_is_built_of_files_of_this_machine(tarball: Path, tmp_path: Path) -> None:
    program = tmp_path / "app"
    program.mkdir()
    (program / "main.sh").write_text("echo runs as $NAME; cat /etc/note\n")
    (tmp_path / "note").write_text("a note\n")
    image = ctr.build_image(
        tarball,
        {program: "/app", tmp_path / "note": "/etc/"},
        name="app",
        config={"cmd": ["sh", "main.sh"], "working_dir": "/app", "env": {"NAME": "app", "PATH": "/bin"}},
    )
    assert out(ctr.run(image, capture_output=True, text=True)) == "runs as app\na note"
    assert image.config.working_dir == "/app"
    same = ctr.build_image(str(tarball), [(program, "/app"), f"{tmp_path}/note:/etc/"], config=image.config)
    assert same == image
    upon = ctr.build_image(image, config={"env": {"NAME": "other"}})
    assert upon.layers == image.layers
    assert out(ctr.run(upon, capture_output=True, text=True)) == "runs as other\na note"
    assert ctr.build_image("app") == ctr.build_image(image.digest) == image
    alone = ctr.build_image(files={program: "/"})
    assert os.listdir(alone.layers[0]) == ["main.sh"]
    assert alone.config == ctr.ImageConfig()
    image.remove()


@pytest.mark.parametrize(
    ("config", "expected", "says"),
    [
        ({"working_dir": "/bin/busybox"}, NotADirectoryError, "change to the working directory /bin/busybox: ENOTDIR"),
        ({"user": "who"}, KeyError, "find the user who: the container's /etc/passwd has no such user"),
        ({"user": "0:which"}, KeyError, "find the group which: the container's /etc/group has no such group"),
        ({"user": "99999999999"}, ValueError, "find the user 99999999999: a number is 0 to 4294967294"),
    ],
)
def test_an_image_that_asks_for_what_is_not_there_is_named_as_the_reason(
    tarball: Path, config: dict[str, str], expected: type[Exception], says: str
) -> None:
    base = ctr.import_image(tarball)
    image = ctr.build_image(base.digest, {}, config={"cmd": ["true"], **config})
    with ctr.Container(image) as c:
        with pytest.raises(expected, match="the image's configuration asks for it") as raised:
            c.run()
        assert says in str(raised.value)
        assert c.run(["true"], user="0", cwd="/").returncode == 0
        with pytest.raises(ctr.Error) as own:
            c.run(["true"], user="nobody-here", cwd="/nowhere-here")
        assert "the image" not in str(own.value)


def test_what_can_not_be_built_says_why(tarball: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        ctr.build_image(tarball, {tmp_path / "missing": "/x"})
    with pytest.raises(ValueError, match="absolute path"):
        ctr.build_image(tarball, {tmp_path: "relative"})
    with pytest.raises(ValueError, match="tree of files"):
        ctr.build_image(tmp_path, {tmp_path: "/x"})
    with pytest.raises(ValueError, match="tree of files"):
        ctr.build_image("host", {tmp_path: "/x"})
    with pytest.raises(ValueError, match="nothing in it"):
        ctr.build_image()
    with pytest.raises(ValueError, match="source:target"):
        ctr.build_image(tarball, ["only-one"])
    for wrong, kind, words in (
        ({"env": {"A=B": "1"}}, ValueError, "illegal environment variable name: 'A=B'"),
        ({"env": ["A=1"]}, TypeError, "env must be a dict, not list"),
        ({"labels": "a"}, TypeError, "labels must be a dict, not str"),
    ):
        with pytest.raises(kind, match=words):
            ctr.build_image(tarball, {tmp_path: "/x"}, config=wrong)
    with pytest.raises(FileNotFoundError):
        ctr.build_image("no-such-image")
    with pytest.raises(EOFError):
        ctr.build_image(tarball, {tmp_path: "/x"}, progress=end_it)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_has_images_of_his_own(tarball: Path) -> None:
    home = tempfile.mkdtemp(prefix="ctr-test-home-")
    mine = Path(home, "box.tar")
    shutil.copy(tarball, mine)
    for path in (home, mine):
        os.chown(path, 1000, 1000)
    try:
        program(f"""
            import ctr, io, os, tarfile
            from ctr import _image, _container, _run, _files
            for name in ("CTR_STORE_DIR", "CTR_STATE_DIR", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
                os.environ.pop(name, None)
            os.environ["HOME"] = {home!r}
            os.chdir("/")
            os.setgroups([])
            os.setgid(1000)
            os.setuid(1000)
            image = ctr.import_image({str(mine)!r}, name="box")
            assert image.layers[0].startswith({home!r} + "/.local/share/ctr/")
            with ctr.Container("box") as c:
                c.run("echo mine > /home/x", shell=True, check=True)
                assert ("/home/x", "added") in c.diff()
                second = c.commit("two", config={{"cmd": ["cat", "/home/x"]}})
                exported = io.BytesIO()
                c.export(exported)
            assert ctr.run(second, capture_output=True).stdout == b"mine\\n"
            exported.seek(0)
            assert {{(entry.uid, entry.gid) for entry in tarfile.open(fileobj=exported)}} == {{(0, 0)}}
            for image in ctr.images():
                image.remove()
            assert ctr.disk_use() == 0
        """)
    finally:
        shutil.rmtree(home)


def test_a_directory_with_two_files_runs_with_the_machines_own_programs(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("one\n")
    (tmp_path / "second").write_text("two\n")
    path = tmp_path / "two.tar.gz"
    subprocess.run(["tar", "czf", path, "-C", tmp_path, "first", "second"], check=True)
    mounts = [
        ctr.Bind(place, place, read_only=True) for place in ("/bin", "/lib", "/lib64", "/usr") if Path(place).exists()
    ]
    done = ctr.run(path, ["cat", "/first", "/second"], mounts=mounts, capture_output=True, text=True)
    assert out(done).split() == ["one", "two"]


def tree(image: ctr.Image) -> list[list[str]]:
    """The files of each layer."""
    return [
        sorted(
            os.path.relpath(os.path.join(place, name), layer)
            for place, *below in os.walk(layer)
            for name in itertools.chain(*below)
        )
        for layer in image.layers
    ]


def umask() -> int:
    """Of this process, from the kernel: to ask by os.umask is to change it."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Umask:")), 8)


def test_a_name_wins_over_a_directory_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "mark").write_text("image")
    ctr.build_image(None, {str(files): "/"}, name="app")
    with monkeypatch.context() as here:
        here.chdir(tmp_path)
        (tmp_path / "app").mkdir()
        for name, digest in (("app", True), ("./app", False), (str(tmp_path / "app"), False)):
            with ctr.Container(name) as c:
                assert (c.image_digest is not None) is digest, name
        ctr.image("app").remove()
        with ctr.Container("app") as c:
            assert c.image_digest is None
            with pytest.raises(
                FileNotFoundError, match=r"no image is called app, so the container is one of the directory"
            ):
                c.run(["program"])
        with pytest.raises(FileNotFoundError, match="the directory app has none") as caught:
            ctr.Container("app:tag")
        assert isinstance(caught.value, ctr.Error)
        with pytest.raises(FileNotFoundError, match=r"no image in .* has this name.*nothing is downloaded"):
            ctr.Container("alpine")
        with pytest.raises(FileNotFoundError, match=r"^find the image \./alpine: ENOENT"):
            ctr.Container("./alpine")
