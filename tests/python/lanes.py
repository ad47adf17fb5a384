"""What only some users may do: a test that needs it says so by name where it can't be had."""

from __future__ import annotations

import os

import pytest

import ctr


def _limits() -> bool:
    try:
        ctr.Container(memory="64M", pids=100).destroy()
    except PermissionError:
        return False
    return True


ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")
CAN_LIMIT = _limits()
LIMITS = pytest.mark.skipif(not CAN_LIMIT, reason="a cgroup is needed, and this user may make none")
