# Keeps PID 1 from its work, for as long as it can, in the way that is named. PID 1's limits must be out of reach under a filter.
import fcntl
import resource
import signal
import struct
import time

way = sys.argv[1]
PRLIMIT64 = 302


def ready():
    print("ready", flush=True)


if way == "prlimit":
    for limit in range(16):
        try:
            call(PRLIMIT64, 1, limit, struct.pack("QQ", 0, 0), 0)
            print("set", limit)
        except OSError as error:
            print("refused", limit, errno.errorcode[error.errno])
    ready()
    time.sleep(1000)
elif way == "stop":
    # All but ourselves; SIGCONT, so that they live on, comes from nobody.
    ready()
    while True:
        try:
            os.kill(-1, signal.SIGSTOP)
        except OSError:
            pass
elif way == "lease":
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    held = [os.open(path, os.O_RDWR | os.O_CREAT, 0o755) for path in ("/tmp/leased", "/tmp/passwd")]
    os.write(held[0], open("/bin/true", "rb").read())
    for fd in held:
        fcntl.fcntl(fd, 1024, fcntl.F_WRLCK)
    ready()
    time.sleep(1000)
elif way == "orphans":
    ready()
    while True:
        try:
            if not os.fork():
                if not os.fork():
                    os._exit(0)
                os._exit(0)
            os.waitpid(-1, os.WNOHANG)
        except OSError:
            pass
elif way == "fuse":
    # A file system that answers until a file is to be read, mounted over /etc, and one that never answers, at /tmp/silent: fuse(4),
    # include/uapi/linux/fuse.h.
    MOUNT, LOOKUP, GETATTR, OPEN, READ, INIT, OPENDIR, STATFS = 165, 1, 3, 14, 15, 26, 27, 17
    os.makedirs("/tmp/silent", exist_ok=True)

    def mount(at):
        fuse = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        call(MOUNT, b"stall", at.encode(), b"fuse", 0, options)
        request = os.read(fuse, 1 << 17)
        _, kind, unique = struct.unpack_from("IIQ", request)
        assert kind == INIT
        answer(fuse, unique, struct.pack("IIIIHHIIHHI28x", 7, 31, 1 << 16, 0, 10, 10, 1 << 16, 1, 0, 0, 0))
        return fuse

    def answer(fuse, unique, data, error=0):
        os.write(fuse, struct.pack("IiQ", 16 + len(data), error, unique) + data)

    def attributes(node):
        mode = 0o40755 if node == 1 else 0o100644
        return struct.pack("QQQQQQIIIIIIIIII", node, 100, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    mount("/tmp/silent")
    fuse = mount("/etc")
    ready()
    while True:
        request = os.read(fuse, 1 << 17)
        _, kind, unique, node = struct.unpack_from("IIQQ", request)
        if kind == LOOKUP:
            answer(fuse, unique, struct.pack("QQQQII", 2, 0, 100, 100, 0, 0) + attributes(2))
        elif kind == GETATTR:
            answer(fuse, unique, struct.pack("QII", 100, 0, 0) + attributes(node))
        elif kind in (OPEN, OPENDIR):
            answer(fuse, unique, struct.pack("QII", 7, 0, 0))
        # Whoever reads, closes or asks for anything else waits.
