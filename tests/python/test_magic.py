"""`%%ctr`: a cell of a notebook in a container."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ctr
from lanes import LIMITS

pytest.importorskip("IPython")

Cell = Callable[[str, str], None]


@pytest.fixture
def shell() -> Iterator[Any]:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()  # type: ignore[no-untyped-call]
    shell.run_line_magic("load_ext", "ctr")
    yield shell
    assert not ctr.containers()


@pytest.fixture
def cell(shell: Any) -> Cell:
    def run(line: str, text: str) -> None:
        shell.run_cell_magic("ctr", line, text)

    return run


def test_a_cell_is_a_script_of_the_shell(cell: Cell, capfd: pytest.CaptureFixture[str]) -> None:
    cell("--hostname fern host", "uname -n; echo bad >&2\necho ü")
    shown = capfd.readouterr()
    assert shown.out == "fern\nü\n"
    assert shown.err == "bad\n"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        cell("host", "exit 3")
    assert caught.value.returncode == 3


def test_a_cell_is_the_input_of_a_program(cell: Cell, shell: Any) -> None:
    cell("-o text host tr a-z A-Z", "hello\nthere\n" * 100_000)
    assert shell.user_ns["text"] == "HELLO\nTHERE\n" * 100_000
    cell("-o text host -- true", "x" * 1_000_000)
    assert shell.user_ns["text"] == ""


def test_variables_go_in_and_out(cell: Cell, shell: Any, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cloudpickle")
    shell.user_ns.update(a=5, f=lambda x: x + 1)
    cell("--python --in a,f --out b,c host", "import os\nb = [f(a)]\nc = os.uname().nodename\nf(1)")
    assert shell.user_ns["b"] == [6]
    assert shell.user_ns["c"] != __import__("os").uname().nodename
    assert capfd.readouterr().out == "2\n"
    cell("--in a host", "echo $a")
    assert capfd.readouterr().out == "5\n"
    with pytest.raises(subprocess.CalledProcessError):
        cell("--python --out missing host", "pass")
    assert "KeyError" in capfd.readouterr().err


def test_a_variable_out_can_run_nothing_here(cell: Cell, shell: Any) -> None:
    import pickle

    with pytest.raises(pickle.UnpicklingError):
        cell("--python --out b host", "import os\nb = os.getpid")
    assert "b" not in shell.user_ns


@LIMITS
def test_out_of_memory_of_a_part_is_said(cell: Cell) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="a process of it was killed: out of memory") as caught:
        cell("-m 32M host", "tail /dev/zero\nexit 7")
    assert caught.value.returncode == 7
    # A notebook shows that alone, in a line.
    failed: Any = caught.value
    (line,) = failed._render_traceback_()
    assert line == f"CellFailed: {failed}"


@LIMITS
def test_out_of_memory_is_said(cell: Cell) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="out of memory"):
        cell("--python -m 64M host", "x = bytearray(1 << 28)")


def test_a_time_limit_ends_the_cell(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    begun = time.monotonic()
    with pytest.raises(subprocess.CalledProcessError, match="timed out"):
        cell("--timeout 0.3 host", "echo first; setsid sleep 4341 & sleep 4341")
    assert capsys.readouterr().out == "first\n"
    assert time.monotonic() - begun < 60


def test_a_container_of_the_notebook_goes_on(cell: Cell, shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with ctr.Container(mounts=ctr.this_python().mounts) as c:
        shell.user_ns["box"] = c
        cell("box", "echo kept > /tmp/x")
        cell("box", "cat /tmp/x")
        assert capsys.readouterr().out == "kept\n"
        cell("--python box", "open('/tmp/x').read()")
        assert capsys.readouterr().out == "'kept\\n'\n"
        with pytest.raises(ValueError, match="too late: memory"):
            cell("-m 1G box", "true")
    with ctr.Container() as c:
        shell.user_ns["box"] = c
        with pytest.raises(ValueError, match="this_python"):
            cell("--python box", "1")


def test_what_is_wrong_is_said_and_the_kernel_lives(cell: Cell, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"required: IMAGE \("):
        cell("", "true")
    with pytest.raises(ValueError, match="--colour"):
        cell("--colour red host", "true")
    with pytest.raises(NameError, match="nope"):
        cell("--in nope host", "true")
    with pytest.raises(ValueError, match="--out"):
        cell("--out x host", "true")
    with pytest.raises(ctr.Error, match="no-such-image"):
        cell("no-such-image", "true")
    cell("--help", "true")
    assert "IMAGE" in capsys.readouterr().out


def test_help_needs_no_body(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_line_magic("ctr", "--help")
    assert "IMAGE" in capsys.readouterr().out
    with pytest.raises(ValueError, match="a cell that begins with %%ctr"):
        shell.run_line_magic("ctr", "host true")


def test_in_a_real_notebook() -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    cells = ["%load_ext ctr", "%%ctr --hostname fern host\nuname -n", "%%ctr -o out host cat\nword"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in [*cells, "out"]])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [cell.outputs for cell in notebook.cells]
    assert outputs[1][0].text == "fern\n"
    assert outputs[3][0].data["text/plain"] == "'word\\n'"
