# The place of a mount is a directory one moment and a link the next, to where nothing is to be mounted.
import os
import sys

RENAME_EXCHANGE, AT_FDCWD, RENAMEAT2 = 2, -100, 316
os.makedirs("/tmp/w/place/in")
os.chdir("/tmp/w")
others = []
for number, target in enumerate(sys.argv[1:]):
    os.symlink(target, f"link{number}")
    others.append(f"link{number}".encode())
print("swapping", flush=True)
while True:
    for other in others:
        # There and back.
        for _ in range(2):
            call(RENAMEAT2, AT_FDCWD, b"place", AT_FDCWD, other, RENAME_EXCHANGE)
