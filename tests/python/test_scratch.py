"""Scratch mounts from Python and by the command line: a directory of the host as copy-on-write."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ctr
import ctr.aio


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("of the host\n")
    (tmp_path / "gone").write_text("x\n")
    return tmp_path


def command(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ctr", *argv], capture_output=True, text=True, check=False)


def test_changes_are_listed_applied_and_discarded(tree: Path) -> None:
    with ctr.Container(mounts=[ctr.Scratch(tree, "/mnt/src")]) as c:
        c.run(["sh", "-c", "cd /mnt/src; echo mine > file; rm gone; mkdir new; echo n > new/n"], check=True)
        changes = [
            ("/mnt/src/file", "changed"),
            ("/mnt/src/gone", "deleted"),
            ("/mnt/src/new", "added"),
            ("/mnt/src/new/n", "added"),
        ]
        assert c.diff("/mnt/src") == changes
        assert (tree / "file").read_text() == "of the host\n"
        applied = c.apply(Path("/mnt/src"))
        assert isinstance(applied, ctr.Applied)
        assert applied == (changes, [], [])
        assert (tree / "file").read_text() == "mine\n"
        assert not (tree / "gone").exists()
        assert c.diff(b"/mnt/src") == []
        c.run(["rm", "-r", "/mnt/src/new"], check=True)
        c.discard("/mnt/src")
        assert c.diff("/mnt/src") == []
        assert (tree / "new/n").read_text() == "n\n"
        assert [mount[:3] for mount in c.mounts()] == [("/mnt/src", str(tree), "scratch")]
    assert (tree / "file").read_text() == "mine\n"


def test_a_conflict_is_told_by_name_and_nothing_is_lost(tree: Path) -> None:
    with ctr.Container(mounts=[ctr.Scratch(tree, "/mnt/src")]) as c:
        c.run(["sh", "-c", "cd /mnt/src; echo inside > file; echo inside > new"], check=True)
        time.sleep(0.03)
        (tree / "file").write_text("outside\n")
        with pytest.raises(
            FileExistsError, match="changed on the host as well: /mnt/src/file; nothing was applied"
        ) as caught:
            c.apply("/mnt/src")
        assert isinstance(caught.value, ctr.Error)
        assert (caught.value.errno, caught.value.step_id) == (errno.EEXIST, "apply-scratch")
        assert not (tree / "new").exists()
        kept = c.apply("/mnt/src", conflicts="keep")
        assert [path for path, _ in kept.changes] == ["/mnt/src/new"]
        assert [path for path, _ in kept.conflicts] == ["/mnt/src/file"]
        assert (tree / "file").read_text() == "outside\n"
        with pytest.raises(ValueError, match="unknown conflicts"):
            c.apply("/mnt/src", conflicts="none")  # type: ignore[arg-type]
        c.apply("/mnt/src", conflicts="overwrite")
        assert (tree / "file").read_text() == "inside\n"
        with pytest.raises(FileNotFoundError, match="no scratch mount is there"):
            c.diff("/mnt/other")


def test_the_command_line_does_the_same(tree: Path) -> None:
    with ctr.Container("host", name=f"scratch-{tree.name[:20]}", mounts=[ctr.Scratch(tree, "/mnt/src")]) as c:
        c.run(["sh", "-c", "cd /mnt/src; echo inside > file; rm gone; echo inside > new"], check=True)
        assert command("diff", c.name, "/mnt/src").stdout == "C /mnt/src/file\nD /mnt/src/gone\nA /mnt/src/new\n"
        time.sleep(0.03)
        (tree / "file").write_text("outside\n")
        refused = command("apply", c.name, "/mnt/src")
        assert (refused.returncode, refused.stdout) == (125, "")
        assert "/mnt/src/file; nothing was applied" in refused.stderr
        kept = command("apply", c.name, "/mnt/src", "--conflicts", "keep")
        assert (kept.returncode, kept.stdout) == (125, "D /mnt/src/gone\nA /mnt/src/new\n")
        assert kept.stderr == "libctr: changed on the host as well, and left alone: /mnt/src/file\n"
        assert command("discard", c.name, "/mnt/src").returncode == 0
        assert c.read_bytes("/mnt/src/file") == b"outside\n"
    ran = command(
        "run", "--scratch", f"{tree}:/mnt/src", "host", "--", "sh", "-c", "echo in > /mnt/src/file; cat /mnt/src/file"
    )
    assert (ran.returncode, ran.stdout) == (0, "in\n")
    assert (tree / "file").read_text() == "outside\n"


def test_asyncio_does_the_same(tree: Path) -> None:
    async def play() -> ctr.Applied:
        async with ctr.aio.Container(mounts=[ctr.Scratch(tree, "/mnt/src")]) as c:
            await c.run(["sh", "-c", "echo inside > /mnt/src/file"], check=True)
            assert await c.diff("/mnt/src") == [("/mnt/src/file", "changed")]
            applied = await c.apply("/mnt/src")
            await c.run(["rm", "/mnt/src/file"], check=True)
            await c.discard("/mnt/src")
            return applied

    assert [path for path, _ in asyncio.run(play()).changes] == ["/mnt/src/file"]
    assert (tree / "file").read_text() == "inside\n"
