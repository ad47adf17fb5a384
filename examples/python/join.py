"""Two handles on one container: one process makes it, another joins it by its name."""

import os
import subprocess
import sys

import ctr

if len(sys.argv) > 1:
    # The second process.
    with ctr.join(sys.argv[1]) as joined:
        print(joined.run(["cat", "/tmp/note"], capture_output=True, text=True).stdout, end="", flush=True)
        joined.run(["sh", "-c", "echo written by the second > /tmp/note"], check=True)
else:
    with ctr.Container(name=f"shared-{os.getpid()}") as c:
        c.run(["sh", "-c", "echo written by the first > /tmp/note"], check=True)
        subprocess.run([sys.executable, __file__, c.name], check=True)
        print(c.run(["cat", "/tmp/note"], capture_output=True, text=True).stdout, end="")
