# Takes memory until it is killed, and writes to each page of it.
import mmap

taken = []
for _ in range(4096):
    piece = mmap.mmap(-1, 1 << 20)
    for at in range(0, 1 << 20, 4096):
        piece[at] = 1
    taken.append(piece)
print("took 4 GiB", flush=True)
