"""A server with a container for each client, for some seconds; `make soak` lets it run for minutes."""

from __future__ import annotations

import ctr
import server_load


def test_each_client_has_a_container_and_nothing_is_left() -> None:
    assert server_load.run(20, 3)
    assert not ctr.containers()
