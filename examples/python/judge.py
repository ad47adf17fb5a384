"""A judge: programs of strangers, each with its input, a time-out, little memory and no network."""

import subprocess

import ctr

SUBMISSIONS = {
    "right": "read n; echo $((n * n))",
    "wrong": "read n; echo $((n + n))",
    "endless": "while :; do :; done",
    "curious": "cat /proc/1/environ && echo 49",
    "hungry": "x=x; while :; do x=$x$x$x$x; done",
}


def verdict(container: ctr.Container, script: str) -> str:
    """What the judge says of one program, which should square its input."""
    try:
        done = container.run(
            ["sh", "-c", script], input="7\n", capture_output=True, text=True, timeout=1, user="nobody"
        )
    except subprocess.TimeoutExpired:
        return "too slow"
    if done.exit.reason != "exited":
        return done.exit.reason
    if done.returncode:
        return f"failed with {done.returncode}: {done.stderr.strip()}"
    return "right" if done.stdout == "49\n" else f"wrong: {done.stdout.strip()}"


for name, script in SUBMISSIONS.items():
    with ctr.Container(memory="64M", pids=20, read_only=True) as c:
        print(f"{name}: {verdict(c, script)}")
