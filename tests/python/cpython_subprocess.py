"""Runs CPython's own tests of subprocess with Popen replaced by ctr's: python cpython_subprocess.py [NAME]...

Prints a JSON object of what came of each case: "passes", "skipped: …", or what failed. Only those whose name has a
NAME.

Where subprocess takes what this process has, so does this: the environment and the working directory, which is a
directory of the host that is bound into the container.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from typing import Any, AnyStr

import ctr

place = os.path.realpath(tempfile.mkdtemp(prefix="ctr-cases-"))
os.chmod(place, 0o777)
os.environ["TMPDIR"] = tempfile.tempdir = place
os.chdir(place)
container = ctr.Container("host", mounts=[*ctr.this_python().mounts, (place, place, "rw")])


class Popen(ctr.Popen[AnyStr]):
    """`subprocess.Popen` in the container."""

    def __init__(self, args: Any, *positional: Any, **given: Any) -> None:
        """As subprocess has it, where a session of its own is not the default."""
        names = "bufsize executable stdin stdout stderr preexec_fn close_fds shell cwd env".split()
        given.update(zip(names, positional))
        given.setdefault("start_new_session", False)
        given["cwd"] = os.path.abspath(os.fspath(given["cwd"])) if given.get("cwd") else os.getcwd()
        if given.get("env") is None:
            given["env"] = dict(os.environ)
        super().__init__(container._native, args, **given)


class TooLate(BaseException):
    """A case has taken too long."""


def cases(suite: Any) -> Iterator[unittest.TestCase]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from cases(item)
        else:
            yield item


def outcome(case: unittest.TestCase) -> str:
    def late(*_: object) -> None:
        raise TooLate("it has taken 40 seconds")

    result = unittest.TestResult()
    signal.signal(signal.SIGALRM, late)
    signal.alarm(40)
    try:
        case.run(result)
    except TooLate as error:
        result.errors.append((case, repr(error)))
    finally:
        signal.alarm(0)
        os.chdir(place)
    if result.skipped:
        return f"skipped: {result.skipped[0][1]}"
    failed = result.errors + result.failures
    return failed[0][1].strip().splitlines()[-1] if failed else "passes"


def main() -> None:
    """All of them."""
    subprocess.Popen = Popen  # type: ignore[assignment,misc]
    from test import test_subprocess  # type: ignore[import-not-found]

    out = {}
    suite = unittest.defaultTestLoader.loadTestsFromModule(test_subprocess)
    for case in cases(suite):
        name = case.id().removeprefix("test.test_subprocess.")
        if not sys.argv[1:] or any(word in name for word in sys.argv[1:]):
            out[name] = outcome(case)
    container.destroy()
    print(json.dumps(out))


if __name__ == "__main__":
    main()
