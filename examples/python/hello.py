"""The smallest program: one command in a container of its own."""

import ctr

done = ctr.run(
    "host", ["sh", "-c", "echo hello from the inside of $(hostname)"], hostname="box", capture_output=True, text=True
)
print(done.stdout, end="")
