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


def _further_ids() -> bool:
    with ctr.Container() as c:
        try:
            return c.run(["true"], user=1).returncode == 0
        except (ctr.Error, OSError):
            return False


ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")
CAN_LIMIT = _limits()
FURTHER_IDS = pytest.mark.skipif(not _further_ids(), reason="it needs further ids, and this user has a single one")
LIMITS = pytest.mark.skipif(not CAN_LIMIT, reason="a cgroup is needed, and this user may make none")
