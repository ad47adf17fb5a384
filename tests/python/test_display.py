"""What a notebook shows of what ctr tells."""

from __future__ import annotations

import copy
import pickle
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import ctr
from archives import rootfs
from ctr import _display, _drawing, _progress
from lanes import LIMITS


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "box.tar"
    path.write_bytes(rootfs())
    return path


class Tree(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.cells: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cells and data != "\n":
            self.cells[-1] += data


def shown(thing: Any) -> Tree:
    page: str = thing._repr_html_()
    page.encode()
    return Tree(page)


def test_lists_are_tables_and_lists_all_the_same() -> None:
    with ctr.Container(name="ctr-display") as c:
        found = ctr.containers()
        assert isinstance(found, list)
        assert found == list(found)
        assert pickle.loads(pickle.dumps(found)) == copy.copy(found) == found
        page = shown(found)
        assert "ctr-display" in page.cells
        assert page.tags.count("tr") == len(found) + 1
        walls = shown(c.walls())
        assert walls.cells[:4] == ["name", "state", "says", "why"]
        assert walls.tags.count("tr") == len(c.walls()) + 1
    assert shown(ctr.containers()).text == "none"
    checks = ctr.probe()
    assert [cell for cell in shown(checks).cells if cell in ("yes", "no")] == [
        "yes" if check.ok else "no" for check in checks
    ]


def test_names_of_a_container_are_text(source: Path) -> None:
    with ctr.Container(source) as c:
        for name in ("<script>alert(1)<script>", "a\nb", "\x1b[31m", "\u202egnp", "&amp;"):
            c.run(["/bin/busybox", "touch", f"/{name}"], check=True)
        page = shown(c.diff())
    assert "script" not in page.tags
    assert "/<script>alert(1)<script>" in page.cells
    assert "/a\\nb" in page.cells
    assert "/&amp;" in page.cells
    assert not any(char in page.text for char in "\x1b\u202e")


def test_a_long_list_is_cut_and_says_so() -> None:
    rows = [ctr.Difference(f"/{number}", "added") for number in range(_display._MOST + 7)]
    page = Tree(_display.rows(rows))
    assert page.tags.count("tr") == _display._MOST + 1
    assert page.text.endswith("and 7 more")


def test_an_explanation_is_a_script() -> None:
    text = ctr.explain("host", hostname="fern")
    assert isinstance(text, str)
    page = shown(text)
    assert page.tags[0] == "pre"
    assert page.text == text
    with ctr.Container() as c:
        text = c.explain()
        assert shown(text).text == text


def test_a_container_and_an_image_describe_themselves(source: Path) -> None:
    image = ctr.import_image(source, name="ctr-display")
    page = shown(image)
    assert page.cells[page.cells.index("digest") + 1] == image.digest
    assert "ctr-display" in shown(ctr.images()).text
    with ctr.Container(image, name="ctr-shown") as c:
        page = shown(c)
        assert "Container ctr-shown" in page.text
        assert page.cells[page.cells.index("pid") + 1] == str(c.pid)
        assert page.cells[page.cells.index("state") + 1] == "running"
    page = shown(c)
    assert page.cells == ["state", "ended"]


@LIMITS
def test_limits_and_what_is_used_have_their_numbers() -> None:
    with ctr.Container(memory="64M") as c:
        told = c.stats()
        page = shown(told)
        current = page.cells[page.cells.index("memory.current") + 1]
        assert f"({told.memory.current})" in current
        if told.pressure.memory is None:
            assert "pressure" not in page.text
        page = shown(c.limits())
        at = page.cells.index("memory")
        assert page.cells[at + 1] == "64.0M"
        assert "of 64.0M" in shown(c).text


@LIMITS
def test_a_drawing_has_what_was_measured() -> None:
    with ctr.Container() as c:
        blank = c.monitor(interval=0.05, count=1)
        (sample,) = list(blank)
    samples = [
        sample._replace(elapsed=float(at), cpu=cpu, memory=memory)
        for at, (cpu, memory) in enumerate([(0.0, 1 << 20), (1.0, 2 << 20), (0.5, None)])
    ]
    page = _drawing.page("a<b", samples, (2.0, 4 << 20), "ended")
    tree = Tree(page)
    assert "a<b" in tree.text
    assert "processors: 0.50 of 2.00" in tree.text
    assert "memory: 2.0M of 4.0M" in tree.text
    assert tree.tags.count("polyline") == 2
    nothing = Tree(_drawing.page("x", [sample._replace(cpu=None, memory=None)], None, ""))
    assert nothing.text.count("not counted") == 2
    assert "polyline" not in nothing.tags


class Shell:
    """What a notebook's kernel gives to display."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import IPython
        import IPython.display

        self.pages: list[str] = []
        self.kernel = object()
        self.drawn = threading.Event()
        monkeypatch.setattr(IPython, "get_ipython", lambda: self)
        monkeypatch.setattr(IPython.display, "display", self.display)

    def display(self, page: Any, display_id: bool) -> Shell:
        assert display_id
        self.update(page)
        return self

    def update(self, page: Any) -> None:
        self.pages.append(page.data)
        if "</b> ended" in page.data or "</b> done" in page.data:
            self.drawn.set()


def test_progress_is_a_bar_in_the_notebook(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython")
    shell = Shell(monkeypatch)
    ctr.import_image(source, name="ctr-bar", progress=True)
    assert not shell.pages or shell.pages[-1].startswith(f"importing {Path(source).name} done:")
    bar = _progress.bar("importing", "/tmp/<b>")
    show = bar.__enter__()
    assert show is not None
    show(ctr.Progress(10, 100, 3))
    assert '<progress max="100" value="10">' in shell.pages[-1]
    assert not bar.__exit__(RuntimeError, RuntimeError(), None)
    assert shell.pages[-1] == "importing &lt;b&gt; stopped: 10B of 100B, 3 entries"


def test_progress_is_a_function_or_a_bool(source: Path) -> None:
    ctr.import_image(source, progress=False)
    # No terminal and no notebook: nothing is shown.
    ctr.import_image(source, progress=True)
    with pytest.raises(TypeError, match="progress must be a function or a bool, not str"):
        ctr.import_image(source, progress="yes")  # type: ignore[arg-type]


@LIMITS
def test_a_monitor_draws_itself_until_the_container_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("IPython")
    shell = Shell(monkeypatch)
    with ctr.Container(name="ctr-drawn") as c:
        monitor = c.monitor(interval=0.05)
        monitor._ipython_display_()
        # Its samples are still all there.
        next(monitor)
        # Drawn anew, the first drawing ends.
        c.monitor(interval=0.05)._ipython_display_()
        next(monitor)
    assert shell.drawn.wait(10)
    assert "ctr-drawn" in shell.pages[-1]
    assert sum("</b> ended" in page for page in shell.pages) == 1
    assert "<svg" in shell.pages[-1]
