"""The programs in examples/python and the lessons in docs/tour work as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import archives
import ctr
from lanes import LIMITS

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
    "server.py": "containers left: 0",
}


LESSONS = sorted((ROOT / "docs" / "tour").glob("*.ipynb"))
# The lessons in their order, and what they show.
TAUGHT = {
    "first": ("pid", "hostname", "mount", "uid_map", "cgroup", "lo"),
    "chroot": (
        "files here: ['the-only-file']",
        "the room from outside: ['deeper', 'the-only-file']",
        "this room False",
    ),
    "processes": ("my pid is 1", "/proc/1 is sh", "still there: ctr-init", "zombies: 0", "-9 destroyed"),
    "joining": ("host name: inside", "written by who came later", "Permission denied", "a wall"),
    "mounts": ("cannot touch '/shared/x': Read-only file system", "found: from outside", "No space left on device"),
    "networks": (
        "lo ",
        "answered with 200",
        "[(1, 'lo')]",
        "Network is unreachable",
        "HTTP/1.0 200 OK",
        "the only one that you reach",
        "through a port: 200",
        "published: []",
        "the neighbour heard 200",
    ),
    "limits": ("because of: out of memory", "still here", "Cannot fork", "timed out"),
    "images": ("welcome to a Linux of one's own", "deleted", "starting on Linux", "has ended: -9"),
}


# With a memory limit.
LIMITED = ("explain.py", "judge.py", "limits.py", "server.py")


@pytest.mark.parametrize(
    "example",
    [pytest.param(path, marks=LIMITS if path.name in LIMITED else (), id=path.name) for path in EXAMPLES],
)
def test_an_example_runs(example: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", example], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert SAYS[example.name] in done.stdout


def test_every_example_is_known() -> None:
    assert {example.name for example in EXAMPLES} == set(SAYS)


@pytest.mark.parametrize("lesson", [pytest.param(path, id=path.stem) for path in LESSONS])
def test_a_lesson_runs_from_the_first_cell_to_the_last(lesson: Path, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    if lesson.stem == "images" and archives.BUSYBOX is None:
        pytest.skip("no busybox is installed")
    notebook = nbformat.read(lesson, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "the outputs are committed stripped"
    before = ctr.containers()
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    shown = "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    says = TAUGHT[lesson.stem]
    if lesson.stem == "limits" and "limits can be had here: False" in shown:
        says = ("timed out",)
    for words in says:
        assert words in shown, shown
    assert ctr.containers() == before


def test_every_lesson_is_known_and_leads_to_the_next() -> None:
    assert {lesson.stem for lesson in LESSONS} == set(TAUGHT)
    names = list(TAUGHT)
    for name, following in zip(names, [*names[1:], "first"]):
        assert f"({following}.ipynb)" in (ROOT / "docs" / "tour" / f"{name}.ipynb").read_text()


def test_a_notebook_is_shown_output_and_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = pytest.importorskip("jupyter_client.manager")
    # With it, ipykernel does not show what is written to descriptors 1 and 2.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    kernel, client = manager.start_new_kernel(kernel_name="python3")
    written: list[tuple[str, str]] = []

    def cell(code: str, interrupt: bool = False) -> list[tuple[str, str]]:
        """What comes of a cell; where it is to be interrupted, as soon as its program says that it runs."""
        request, shown = client.execute(code, allow_stdin=False), []
        while True:
            message = client.get_iopub_msg(timeout=60)
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                # A moment later, maybe in the next cell.
                written.append((content["name"], content["text"]))
                if interrupt and "running" in content["text"]:
                    kernel.interrupt_kernel()
            if message["parent_header"].get("msg_id") != request:
                continue
            if kind == "execute_result":
                shown.append(("result", content["data"]["text/plain"]))
            elif kind == "error":
                shown.append(("error", content["ename"]))
            elif kind == "status" and content["execution_state"] == "idle":
                return shown

    try:
        assert cell("import ctr; c = ctr.Container(name='cell'); c") == [("result", "<ctr.Container 'cell'>")]
        cell("c.run(['echo', 'out'])")
        cell("c.run('echo err >&2', shell=True)")
        # Nothing can be typed in a notebook: who reads finds the end.
        assert cell("c.run(['cat']).returncode") == [("result", "0")]
        for options in ("", ", stderr=ctr.PIPE", ", timeout=1000"):
            waiting = f"c.run('echo running; exec sleep 1000', shell=True{options})"
            assert ("error", "KeyboardInterrupt") in cell(waiting, interrupt=True)
        assert cell("c.run('! grep -q sleep /proc/[0-9]*/comm', shell=True).returncode") == [("result", "0")]
        assert cell("c.destroy(); c") == [("result", "<ctr.Container 'cell' (ended)>")]
        assert ("stdout", "out\n") in written
        assert ("stderr", "err\n") in written
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
