"""JupyterLab in a real browser, as a person sees it: tables, the monitor's drawing, the magic, a kernel in a container.

`make test-lab` sets it up: JupyterLab, playwright, a Chromium. Screenshots are left in $CTR_LAB_SHOTS.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ctr

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("jupyterlab")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no chromium", allow_module_level=True)

ROOT = Path(__file__).parents[2]
# So that it looks for nobody in the network.
QUIET = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync""".split()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server shows."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def state() -> Iterator[str]:
    """Where the server's containers are recorded, beside those of others. A socket's path has to be short."""
    with tempfile.TemporaryDirectory(prefix="ctr-lab-") as path:
        yield path
        assert not ctr.containers(state_dir=path)


@pytest.fixture(scope="session")
def server(folder: Path, state: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab with a kernel in a container; its address."""
    home = tmp_path_factory.mktemp("home")
    env = {**os.environ, "HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / "config")}
    env["JUPYTER_DATA_DIR"] = str(home / "data")
    env["JUPYTER_RUNTIME_DIR"], env["CTR_STATE_DIR"] = str(home / "run"), state
    install = ["kernel", "install", "--image", "host", "--kernel-name", "ctr-lab", "--memory", "192M"]
    subprocess.run([sys.executable, "-m", "ctr", *install, "--prefix", str(home)], check=True, env=env)
    env["JUPYTER_PATH"] = str(home / "share" / "jupyter")
    log = home / "log"
    options = ["--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root", "--expose-app-in-browser"]
    options += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with open(log, "wb") as errors:
        process = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], env=env, stdout=errors, stderr=errors)
    end = time.monotonic() + 60
    while not (found := re.search(r"http://127\.0\.0\.1:\d+/lab", log.read_text())):
        assert time.monotonic() < end, log.read_text()
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    yield found[0]
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1100, "height": 1600})
    yield page
    shots = os.environ.get("CTR_LAB_SHOTS")
    if shots:
        page.screenshot(path=f"{shots}/{request.node.name}.png")
    page.close()


def written(folder: Path, name: str, cells: list[str], kernel: str = "python3") -> str:
    """A notebook in the folder."""
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "execution_count": None, "id": f"c{at}", "metadata": {}, "outputs": [], "source": text}
        for at, text in enumerate(cells)
    ]
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    (folder / name).write_text(
        json.dumps({"cells": made, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5})
    )
    return name


def opened(page: Any, server: str, name: str) -> None:
    """Shows a notebook, whose kernel is ready."""
    page.goto(f"{server}/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook", timeout=60_000)
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'", timeout=60_000
    )


def run_all(page: Any) -> None:
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")


def has(page: Any, selector: str, text: str, timeout: float = 60_000) -> None:
    page.wait_for_selector(f"{selector}:has-text({json.dumps(text)})", timeout=timeout)


def test_what_ctr_answers_is_a_table_and_the_monitor_moves(page: Any, server: str, folder: Path) -> None:
    cells = [
        "import ctr\nc = ctr.Container('host', memory='64M', cgroup='optional', name='seen-in-the-lab')\nc",
        "c.walls()",
        "p = c.popen('while :; do :; done', shell=True)\nc.monitor(interval=0.2)",
        "[info.name for info in ctr.containers()]",
    ]
    opened(page, server, written(folder, "tables.ipynb", cells))
    run_all(page)
    has(page, ".jp-OutputArea table", "Container seen-in-the-lab")
    has(page, ".jp-OutputArea table", "seccomp")
    line = page.wait_for_selector(".jp-OutputArea svg polyline", timeout=60_000)
    before = line.get_attribute("points")
    page.wait_for_function(
        "points => document.querySelector('.jp-OutputArea svg polyline').getAttribute('points') !== points", arg=before
    )
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()")


def test_a_cell_runs_in_a_container(page: Any, server: str, folder: Path) -> None:
    cells = [
        "%load_ext ctr\nx = 20",
        "%%ctr --hostname inside host\nuname -n",
        "%%ctr --python --in x --out y host\ny = x * 2 + 2",
        "print('y is', y)",
        "%%ctr --memory 32M host\ntail /dev/zero",
    ]
    opened(page, server, written(folder, "magic.ipynb", cells))
    run_all(page)
    has(page, ".jp-OutputArea", "inside")
    has(page, ".jp-OutputArea", "y is 42")
    has(page, ".jp-OutputArea", "out of memory")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()")


def test_a_kernel_beyond_its_memory_dies_alone_and_starts_again(
    page: Any, server: str, folder: Path, state: str
) -> None:
    cells = ["import os\nprint('pid', os.getpid() < 100, os.path.exists('/sys/fs'))", "b = bytearray(1 << 30)"]
    opened(page, server, written(folder, "kernel.ipynb", cells, "ctr-lab"))
    assert len(ctr.containers(state_dir=state)) == 1
    run_all(page)
    has(page, ".jp-OutputArea", "pid True")
    has(page, ".jp-Dialog", "appears to have died")
    if shots := os.environ.get("CTR_LAB_SHOTS"):
        page.screenshot(path=f"{shots}/died.png")
    page.click(".jp-Dialog button")
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs') }")
    page.evaluate(
        "() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0;"
        " window.jupyterapp.commands.execute('notebook:run-cell') }"
    )
    has(page, ".jp-OutputArea", "pid True")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()")
    end = time.monotonic() + 30
    while ctr.containers(state_dir=state):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("lesson", ["first", "limits"])
def test_a_lesson_of_the_tour_runs(lesson: str, page: Any, server: str, folder: Path) -> None:
    shutil.copy(ROOT / "docs" / "tour" / f"{lesson}.ipynb", folder)
    opened(page, server, f"{lesson}.ipynb")
    run_all(page)
    page.wait_for_function(
        """() => window.jupyterapp.shell.currentWidget.content.widgets
            .filter(cell => cell.model.type === 'code').every(cell => cell.model.executionCount > 0)""",
        timeout=120_000,
    )
    assert not page.query_selector(".jp-OutputArea [data-mime-type='application/vnd.jupyter.error']")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()")
