"""A server that holds a container for each client: each line is run by a shell in it and answered with one of JSON.

server.py SOCKET      serves until it gets SIGTERM, at a Unix socket
server.py             serves two clients of its own, and ends
"""

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import ctr

# A client's container lives as long as the connection, and its files from one line to the next.
OPTIONS: dict[str, Any] = {
    "preset": "strict",
    "memory": "64M",
    "pids": 32,
    "cgroup": "optional",
    "upper_size": "16M",
}

serving: dict[Any, asyncio.StreamWriter] = {}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client, from its first line to its last."""
    serving[asyncio.current_task()] = writer
    with contextlib.suppress(ConnectionError):
        async with ctr.aio.Container("host", **OPTIONS) as c:
            while line := await reader.readline():
                done = await c.run(["sh", "-c", line.decode()], cwd="/tmp", capture_output=True, time_limit=10)
                answer = {"code": done.returncode, "why": done.exit.reason, "out": done.stdout.decode(errors="replace")}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
    writer.close()
    del serving[asyncio.current_task()]


async def client(path: str, name: str) -> None:
    """Says a few lines and prints what comes back."""
    reader, writer = await asyncio.open_unix_connection(path)
    for line in (f"echo {name} > mine; ls", "cat mine", "exit 7"):
        writer.write(line.encode() + b"\n")
        print(name, json.loads(await reader.readline()))
    writer.close()
    await writer.wait_closed()


async def main(path: str, clients: int) -> None:
    """Serves; in the end no container is left."""
    # As many may come at once: a Unix socket refuses who finds its queue full, unix(7).
    server = await asyncio.start_unix_server(serve, path, backlog=1024)
    if clients:
        await asyncio.gather(*(client(path, f"client {n}") for n in range(clients)))
    else:
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
        await asked.wait()
    server.close()
    for writer in serving.values():
        # Its task reads the end, and ends its container.
        writer.close()
    if serving:
        await asyncio.wait(list(serving))
    print("containers left:", len(ctr.containers()))


if len(sys.argv) > 1:
    asyncio.run(main(sys.argv[1], 0))
else:
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(main(str(Path(place, "socket")), 2))
