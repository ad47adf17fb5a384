"""Limits: a program that wants too much memory, and a second try after the limit was raised, live."""

import ctr

HUNGRY = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); echo held ${#x} bytes"

with ctr.Container(memory="16M", pids=50) as c:
    first = c.run(HUNGRY, shell=True, capture_output=True, text=True)
    print(f"with {c.memory_limit} bytes: {first.exit.reason}, {first.returncode}")

    c.memory_limit = "256M"
    second = c.run(HUNGRY, shell=True, capture_output=True, text=True)
    print(f"with {c.memory_limit} bytes: {second.stdout.strip()}")

    fork_bomb = c.run("for i in $(seq 100); do sleep 1 & done", shell=True, capture_output=True, text=True)
    print(f"100 processes under a limit of {c.pids_limit}: {fork_bomb.stderr.strip().splitlines()[-1]}")
