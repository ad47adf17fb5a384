"""Clients of examples/python/server.py, each with a container: how long a call takes, and whether the server grows.

server_load.py CLIENTS SECONDS      what `make soak` runs

Ends with 0 where every answer was right, the server's memory and descriptors were in the end what they were after its
first quarter, and nothing is left of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ctr

SERVER = Path(__file__).parents[2] / "examples" / "python" / "server.py"
# Of memory, per client: what arenas and caches of an interpreter go up and down by.
SLACK = 64 << 10


async def client(path: str, number: int, end: float, times: list[float]) -> None:
    """Says something every now and then, and checks what comes back."""
    reader, writer = await asyncio.open_unix_connection(path)
    says = random.Random(number)
    count = 0
    while time.monotonic() < end:
        count += 1
        line = f"echo {count} >> counted; wc -l < counted; exit {count % 100}\n"
        start = time.perf_counter()
        writer.write(line.encode())
        answer = json.loads(await reader.readline())
        times.append(time.perf_counter() - start)
        right = {"code": count % 100, "why": "exited", "out": f"{count}\n"}
        if answer != right:
            raise AssertionError(f"client {number}: {answer}, not {right}")
        await asyncio.sleep(says.uniform(0.5, 1.5))
    writer.close()
    await writer.wait_closed()


def size(pid: int) -> tuple[int, int]:
    """Memory that is only a process's own, and its descriptors."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = sum(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Private_"))
    return own, len(os.listdir(f"/proc/{pid}/fd"))


async def load(server: subprocess.Popen[str], path: str, clients: int, seconds: float) -> list[str]:
    """Lets the clients come and go; answers with what there is to print."""
    times: list[float] = []
    end = time.monotonic() + seconds
    tasks = [asyncio.create_task(client(path, number, end, times)) for number in range(clients)]
    await asyncio.sleep(seconds / 4)
    early, held = size(server.pid), len(ctr.containers())
    if held != clients:
        raise AssertionError(f"{held} containers for {clients} clients")
    # All have come, whose first calls waited for their containers.
    times.clear()
    await asyncio.sleep(max(0.0, end - time.monotonic() - 0.5))
    late = size(server.pid)
    await asyncio.gather(*tasks)
    if late[0] > early[0] + SLACK * clients or late[1] > early[1] + clients:
        raise AssertionError(f"it has grown: {early} bytes and descriptors, then {late}")
    times.sort()
    p50, p99 = (times[len(times) * part // 100] * 1e3 for part in (50, 99))
    return [
        f"{len(times)} calls of {clients} clients in {seconds * 3 / 4:.0f} s",
        f"a call: median {p50:.1f} ms, p99 {p99:.1f} ms, worst {times[-1] * 1e3:.1f} ms",
        f"memory of the server: {early[0] >> 10} KiB, later {late[0] >> 10} KiB; descriptors {early[1]}, {late[1]}",
    ]


def run(clients: int, seconds: float) -> list[str]:
    """From the server's start to its end."""
    with tempfile.TemporaryDirectory() as place:
        path = str(Path(place, "socket"))
        with subprocess.Popen([sys.executable, SERVER, path], stdout=subprocess.PIPE, text=True) as server:
            try:
                while not Path(path).exists() and server.poll() is None:
                    time.sleep(0.01)
                found = asyncio.run(load(server, path, clients, seconds))
            finally:
                server.send_signal(signal.SIGTERM)
                said, _ = server.communicate()
        if (said, server.returncode) != ("containers left: 0\n", 0) or ctr.containers():
            raise AssertionError(f"{said!r}, {server.returncode}, {ctr.containers()}")
    return found


if __name__ == "__main__":
    print(*run(int(sys.argv[1]), float(sys.argv[2])), sep="\n")
