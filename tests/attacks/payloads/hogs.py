# A hog of the kind that is named: it takes until it is stopped, by an error, which it tells with how much it had, or by its death.
# None takes more than MOST bytes, or what has a number a thousand times.
import mmap
import socket
import threading
import time

MOST = 512 << 20
MIB = 1 << 20


def touched(piece):
    for at in range(0, MIB, 4096):
        piece[at] = 1
    return piece


def anonymous():
    taken = [touched(mmap.mmap(-1, MIB)) for _ in range(MOST // MIB)]
    return len(taken)


def shared():
    file = os.memfd_create("hog")
    return sum(os.write(file, b"x" * MIB) for _ in range(MOST // MIB))


def fill(path):
    """Bytes that could be written."""
    had = 0
    with open(path, "wb", buffering=0) as file:
        try:
            while had < MOST:
                had += file.write(b"x" * 65536)
        except OSError as error:
            return had, errno.errorcode[error.errno]
    return had, "nothing"


def inodes():
    had = 0
    try:
        os.mkdir("/hog")
        while had < 100_000:
            os.close(os.open(f"/hog/{had}", os.O_CREAT | os.O_WRONLY))
            had += 1
    except OSError as error:
        return had, errno.errorcode[error.errno]
    return had, "nothing"


def descriptors():
    had = 0
    try:
        while had < 100_000:
            os.dup(0)
            had += 1
    except OSError as error:
        return had, errno.errorcode[error.errno]
    return had, "nothing"


def forks():
    had = 0
    try:
        while had < 1000:
            if os.fork() == 0:
                # Or who reads what we say would wait for them.
                os.closerange(0, 3)
                time.sleep(1000)
                os._exit(0)
            had += 1
    except OSError as error:
        return had, errno.errorcode[error.errno]
    return had, "nothing"


def sockets():
    """What lies in them, as long as nobody reads."""
    had, kept = 0, []
    try:
        while had < MOST:
            one, other = socket.socketpair()
            kept += [one, other]
            one.setblocking(False)
            try:
                while True:
                    had += one.send(b"x" * 65536)
            except BlockingIOError:
                pass
    except OSError as error:
        return had, errno.errorcode[error.errno]
    return had, "nothing"


def cached():
    """Reads what the machine has in files: three times what there is room for."""
    had, enough = 0, 192 * MIB
    for directory, _, names in os.walk("/usr"):
        for name in names:
            path = os.path.join(directory, name)
            if had >= enough or os.path.islink(path):
                continue
            try:
                with open(path, "rb", buffering=0) as file:
                    while piece := file.read(MIB):
                        had += len(piece)
            except OSError:
                pass
    return had, "nothing"


def threads():
    """Eight of them and a process, busy for a second."""
    end = time.monotonic() + 1

    def busy():
        while time.monotonic() < end:
            sum(range(1000))

    # Threads of one Python have a processor together, so there is another one.
    if os.fork() == 0:
        busy()
        os._exit(0)
    started = [threading.Thread(target=busy) for _ in range(8)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return len(started), "nothing"


kind, *where = sys.argv[1:]
had = fill(*where) if kind == "fill" else globals()[kind]()
print(*had if isinstance(had, tuple) else (had, "nothing"), flush=True)
