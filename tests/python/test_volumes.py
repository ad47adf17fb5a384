"""Volumes: from Python and by the command line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ctr


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the test's own, below which are the volumes."""
    monkeypatch.setenv("CTR_STORE_DIR", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store"


def sh(c: ctr.Container, script: str) -> str:
    return c.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout


def test_files_outlive_their_containers_and_are_shared(store: Path) -> None:
    assert ctr.volumes() == []
    data = ctr.volume("data")
    assert data == ctr.Volume("data")
    assert Path(data.path).is_relative_to(store)
    Path(data.path, "host").write_text("of the host\n")
    with ctr.Container(mounts=[(data, "/data"), ctr.Volume("new", "/new", read_only=True)]) as c:
        assert sh(c, "cat /data/host; echo kept > /data/kept") == "of the host\n"
        assert "Read-only" in c.run(["touch", "/new/x"], capture_output=True, text=True).stderr
        with ctr.Container(mounts=["data:/elsewhere:ro"]) as other:
            assert sh(other, "cat /elsewhere/kept") == "kept\n"
        with pytest.raises(ctr.Error, match=f"the container {c.name} uses it") as caught:
            data.remove()
        assert (caught.value.errno, caught.value.step_id) == (errno.EBUSY, "remove-volume")
    assert [each.name for each in ctr.volumes()] == ["data", "new"]
    assert 0 < data.size < 1 << 20
    data.remove()
    with pytest.raises(FileNotFoundError, match="no such volume"):
        data.remove()
    assert ctr.prune_volumes() == ["new"]
    assert ctr.volumes() == []


def test_one_is_mounted_while_a_container_runs(tmp_path: Path) -> None:
    with ctr.Container() as c:
        c.mount(ctr.volume("live"), "/a")
        c.mount(ctr.Volume("live", "/b", read_only=True))
        c.mount("live:/c:ro")
        assert sh(c, "echo x > /a/file; cat /b/file /c/file; ! touch /b/x 2>/dev/null") == "x\nx\n"
        for place in "abc":
            c.unmount(f"/{place}")
        ctr.volume("live").remove()


def test_a_word_without_a_slash_is_a_volume_and_a_path_is_none(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("of the directory\n")
    tmp_path.chmod(0o755)
    with ctr.Container(mounts=["data:/volume", "./data:/dir", ("data", "/tuple"), ctr.Bind("data", "/bind")]) as c:
        assert sh(c, "ls /volume; cat /dir/file /tuple/file /bind/file") == "of the directory\n" * 3
        c.mount("data", "/mounted")
        assert sh(c, "cat /mounted/file") == "of the directory\n"


def test_what_is_no_volume_is_refused() -> None:
    for name in ("", "..", "a/b", "-v", "a b"):
        with pytest.raises(ValueError, match="name a volume"):
            ctr.volume(name)
        with pytest.raises(ValueError, match="name a volume"):
            ctr.Container(mounts=[ctr.Volume(name, "/x")])
    with pytest.raises(ValueError, match="where is the volume data to be"):
        ctr.Container(mounts=[ctr.Volume("data")])
    with pytest.raises(FileNotFoundError):
        _ = ctr.Volume("none").size


def command(*words: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ctr", *words],
        capture_output=True,
        text=True,
        check=False,
        input=input,
        env=os.environ,
    )


def test_the_command_line_has_them() -> None:
    assert command("volume", "create", "one", "two").stdout == "one\ntwo\n"
    ran = command("run", "-v", "three:/three", "host", "sh", "-c", "echo x > /three/file")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert command("run", "-v", "three:/t:ro", "host", "cat", "/t/file").stdout == "x\n"
    listed = command("volume", "ls").stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["NAME", "one", "three", "two"]
    assert command("volume", "ls", "-q").stdout == "one\nthree\ntwo\n"
    with ctr.Container(mounts=["one:/one"]) as c:
        refused = command("volume", "rm", "one", "two", "none")
        assert refused.returncode == 125
        assert c.name in refused.stderr
        assert "no such volume" in refused.stderr
        asked = command("volume", "prune", input="")
        assert asked.returncode == 125
        assert "-f" in asked.stderr
        assert command("volume", "prune", "-f").stdout == "three\n"
        assert command("mount", c.name, "two:/live").returncode == 0
        assert command("volume", "ls", "-q").stdout == "one\ntwo\n"
    for wrong in (["volume"], ["volume", "rm"], ["volume", "ls", "one"], ["volume", "make", "x"]):
        assert command(*wrong).returncode == 125
