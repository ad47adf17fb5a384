"""CPython's own tests of subprocess, with ctr's Popen: what docs/subprocess-cases.md says of each."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def table() -> dict[str, str]:
    """What the table says of each case."""
    text = (ROOT / "docs/subprocess-cases.md").read_text()
    return dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", text, re.MULTILINE))


def test_each_case_passes_but_for_those_with_a_reason() -> None:
    if os.geteuid() != 0:
        pytest.skip("root's lane runs them: there is nothing of users in them")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the table is that of CPython 3.11")
    if importlib.util.find_spec("test.test_subprocess") is None:
        pytest.skip("this Python has no tests of its own")
    script = Path(__file__).with_name("cpython_subprocess.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    said = table()
    # What a patch release of 3.11 adds or takes away is nothing that the table could know.
    assert len(found.keys() & said.keys()) > 300
    wrong = {
        name: (says, found[name])
        for name, says in said.items()
        # Some are left out by CPython itself, by what the machine has.
        if name in found
        and not found[name].startswith("skipped")
        and (says == "passes") != (found[name] == "passes")
        and not says.startswith("left out")
    }
    assert not wrong
