"""The programs in examples/python and the lesson in docs/tour work as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ctr

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "python").glob("*.py"))
SAYS = {
    "hello.py": "hello from the inside",
    "limits.py": "out of memory",
    "judge.py": "too slow",
    "join.py": "written by the first",
    "event_loop.py": "all done",
    "explain.py": "pivot_root",
    "images.py": "it is the same image: True",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", example], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert SAYS[example.name] in done.stdout


def test_every_example_is_known() -> None:
    assert {example.name for example in EXAMPLES} == set(SAYS)


def test_the_lesson_runs_from_the_first_cell_to_the_last(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    lesson = nbformat.read(ROOT / "docs" / "tour" / "first.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in lesson.cells), "the outputs are committed stripped"
    before = ctr.containers()
    client = nbclient.NotebookClient(
        lesson, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    shown = "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in lesson.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    for wall in ("pid", "hostname", "mount", "uid_map", "cgroup", "lo"):
        assert wall in shown
    assert ctr.containers() == before
