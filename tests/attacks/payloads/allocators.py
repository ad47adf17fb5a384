# Has the kernel allocate, by one of its doors, until it refuses, kills us, or so many bytes are had. Says how many, keeps them, and
# waits for a line. Bounded in bytes, in objects and in time.
import fcntl
import mmap
import select
import signal
import socket
import struct
import threading
import time

MIB = 1 << 20
NAME, BOUND = sys.argv[1], int(sys.argv[2])
END = time.monotonic() + 20
keep = []


def fork_each(work, most=400):
    """Processes that do `work`, which answers how many bytes it took, and hold on to it."""
    taken = 0
    while taken < BOUND and len(keep) < most and time.monotonic() < END:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            keep.clear()
            try:
                got = work()
            except OSError:
                got = 0
            os.write(writer, b"%d" % got)
            signal.pause()
        os.close(writer)
        got = int(os.read(reader, 32) or 0)
        keep.append(reader)
        if not got:
            break
        taken += got
    return taken


def until(step, size, most=1 << 20):
    """As many of `step`, each of `size` bytes, as the kernel gives."""
    taken = 0
    for _ in range(most):
        if taken >= BOUND or time.monotonic() > END:
            break
        try:
            made = step()
        except OSError as error:
            print("refused:", errno.errorcode.get(error.errno, error.errno))
            break
        if made is not None:
            keep.append(made)
        taken += size
    return taken


def files():
    """As many descriptors as one may have."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1 << 16),) * 2)


def fill(fd, piece=b"x" * 65536):
    """Writes until it would block."""
    os.set_blocking(fd, False)
    taken = 0
    while True:
        try:
            taken += os.write(fd, piece)
        except BlockingIOError:
            return taken


def stretched(sock):
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, 4 * MIB)
    return sock


def anonymous():
    def step():
        piece = mmap.mmap(-1, MIB)
        piece[::4096] = b"x" * 256
        return piece

    return until(step, MIB)


def file_in(directory):
    fd = os.open(directory + "/big", os.O_CREAT | os.O_RDWR, 0o600)
    return until(lambda: os.write(fd, b"x" * MIB) and None, MIB)


def memfd():
    fd = os.memfd_create("big")
    return until(lambda: os.write(fd, b"x" * MIB) and None, MIB)


def memfd_secret():
    fd = call(447, 0)
    os.ftruncate(fd, BOUND)
    piece = mmap.mmap(fd, BOUND)
    taken = 0
    for at in range(0, BOUND, MIB):
        piece[at : at + MIB : 4096] = b"x" * 256
        taken += MIB
    keep.append(piece)
    return taken


def sysv_shm():
    LIBC.shmat.restype = ctypes.c_void_p

    def step():
        segment = call(29, 0, MIB, 0o1600)
        at = LIBC.shmat(segment, None, 0)
        ctypes.memset(at, 1, MIB)

    return until(step, MIB)


def sysv_msg():
    def step():
        queue = call(68, 0, 0o1600)
        for _ in range(2):
            call(69, queue, struct.pack("l", 1) + b"x" * 8000, 8000, 0o4000)

    return until(step, 16000)


def sysv_sem():
    return until(lambda: call(64, 0, 32000, 0o1600) and None, 32000 * 64)


def posix_mq():
    LIBC.mq_open.restype = ctypes.c_int
    attr = struct.pack("llll4l", 0, 10, 8192, 0, 0, 0, 0, 0)
    count = [0]

    def step():
        count[0] += 1
        queue = LIBC.mq_open(b"/q%d" % count[0], os.O_CREAT | os.O_RDWR | os.O_NONBLOCK, 0o600, attr)
        if queue < 0:
            raise OSError(ctypes.get_errno(), "mq_open")
        for _ in range(10):
            LIBC.mq_send(queue, b"x" * 8192, 8192, 1)

    return until(step, 81920)


def pipes():
    def work():
        files()
        taken = 0
        for _ in range(1000):
            reader, writer = os.pipe()
            keep.append(reader)
            try:
                fcntl.fcntl(writer, 1031, MIB)
            except OSError:
                pass
            taken += fill(writer)
            if taken > BOUND:
                break
        return taken

    return fork_each(work, 8)


def unix_sockets():
    files()

    def step():
        one, other = socket.socketpair()
        stretched(one)
        keep.append(other)
        step.taken += fill(one.fileno())
        return one

    step.taken = 0
    until(step, 200 << 10, 8000)
    return step.taken


def tcp():
    files()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4000)
    taken = 0
    while taken < BOUND and time.monotonic() < END:
        try:
            one = stretched(socket.create_connection(listener.getsockname(), 2))
            other = stretched(listener.accept()[0])
        except OSError:
            break
        got = fill(one.fileno())
        keep.extend((one, other))
        taken += got
        if got < 4096 and len(keep) > 200:
            break
    return taken


def udp():
    files()
    taken = 0
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while taken < BOUND and len(keep) < 8000 and time.monotonic() < END:
        try:
            one = stretched(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        except OSError:
            break
        one.bind(("127.0.0.1", 0))
        for _ in range(100):
            sender.sendto(b"x" * 60000, one.getsockname())
        size = 0
        # Sent is not queued: what has no room is dropped. SO_MEMINFO says what is there.
        size = struct.unpack("9I", one.getsockopt(socket.SOL_SOCKET, 55, 36))[0]
        keep.append(one)
        taken += size
        if not size:
            break
    return taken


def netlink():
    files()

    def step():
        one = stretched(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        one.bind((0, 0))
        other = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        other.setblocking(False)
        for _ in range(100):
            try:
                step.taken += other.sendto(b"x" * 60000, one.getsockname())
            except OSError:
                break
        keep.append(other)
        return one

    step.taken = 0
    until(step, 200 << 10, 4000)
    return step.taken


def packet_rings():
    def step():
        one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        one.setsockopt(263, 5, struct.pack("IIII", MIB, 16, 2048, 16 * MIB // 2048))
        return one

    return until(step, 16 * MIB)


def in_flight():
    """Descriptors in messages that nobody receives, each the only way to a full pipe."""
    files()

    def step():
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        one.setblocking(False)
        for _ in range(8):
            reader, writer = os.pipe()
            step.taken += fill(writer)
            try:
                socket.send_fds(one, [b"x"], [reader, writer])
            except OSError:
                step.taken = step.taken
            os.close(reader)
            os.close(writer)
        keep.append(other)
        return one

    step.taken = 0
    until(step, 8 * 65536, 3000)
    return step.taken


def seccomp_filters():
    """4096 instructions each, and the most that one process may have is 32768."""
    code = struct.pack("HBBI", 6, 0, 0, 0x7FFF0000)
    nothing = struct.pack("HBBI", 0, 0, 0, 0)
    program = ctypes.create_string_buffer(nothing * 4090 + code)

    class Record(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_void_p))

    def work():
        taken = 0
        for _ in range(7):
            record = Record(4091, ctypes.addressof(program))
            call(317, 1, 0, ctypes.byref(record))
            taken += 4091 * 24
        return taken

    LIBC.prctl(38, 1, 0, 0, 0)
    return fork_each(work)


def landlock():
    paths = ["/tmp/rules/%d" % number for number in range(500)]
    for path in paths:
        os.makedirs(path, exist_ok=True)

    def step():
        # The kernel looks through all rules for each that is added, so not too many.
        ruleset = call(444, struct.pack("QQQ", 1 << 3, 0, 0), 8, 0)
        for path in paths:
            fd = os.open(path, os.O_PATH)
            call(445, ruleset, 1, struct.pack("=Qi", 1 << 3, fd), 0)
            os.close(fd)
        return ruleset

    files()
    return until(step, 500 * 64, 1000)


def inotify():
    files()
    os.makedirs("/tmp/watched", exist_ok=True)
    count = [0]

    def step():
        fd = call(294, 0)
        for _ in range(1000):
            count[0] += 1
            path = "/tmp/watched/%d" % count[0]
            os.mkdir(path)
            call(254, fd, path.encode(), 0xFFF)
        return fd

    return until(step, 1000 * 1500)


def inotify_events():
    os.makedirs("/tmp/watched", exist_ok=True)

    def step():
        fd = call(294, 0)
        call(254, fd, b"/tmp/watched", 0xFFF)
        return fd

    taken = until(step, 1000, 100)
    for number in range(20000):
        if time.monotonic() > END:
            break
        path = "/tmp/watched/" + "n" * 200 + str(number % 2)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR))
        os.unlink(path)
    return taken * 16384 // 1000 * 256


def epolls():
    """Watches of one eventfd, by as many instances as there may be."""
    files()
    event = os.eventfd(0)
    numbers = [os.dup(event) for _ in range(2000)]

    def step():
        poll = select.epoll()
        for number in numbers:
            poll.register(number, select.EPOLLIN)
        return poll

    return until(step, 2000 * 200, 2000)


def descriptors(make):
    def work():
        files()
        taken = 0
        try:
            while len(keep) < 60000:
                keep.append(make())
                taken += 256
        except OSError:
            pass
        return taken

    return fork_each(work, 20)


def posix_timers():
    def work():
        taken = 0
        timer = ctypes.c_int()
        event = ctypes.create_string_buffer(struct.pack("QiiI", 0, 10, 1, 0).ljust(64, b"\0"))
        while taken < 100000:
            try:
                call(222, 1, event, ctypes.byref(timer))
            except OSError:
                break
            taken += 300
        return taken

    return fork_each(work, 200)


def page_tables():
    """A page table, of 4 KiB, for each page that is read, in areas that have no memory of their own."""

    def work():
        area = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=mmap.PROT_READ)
        taken = 0
        for at in range(0, 64 << 30, 2 * MIB):
            _ = area[at]
            taken += 4096
        keep.append(area)
        return taken

    return fork_each(work, 4)


def areas():
    """Mappings, of which each is a record of the kernel's."""

    def work():
        area = mmap.mmap(-1, 1 << 30)
        at = ctypes.addressof(ctypes.c_char.from_buffer(area))
        taken = 0
        for page in range(0, 60000, 2):
            if LIBC.mprotect(ctypes.c_void_p(at + page * 4096), 4096, 1) < 0:
                break
            taken += 400
        keep.append(area)
        return taken

    LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return fork_each(work, 30)


def kernel_stacks():
    return fork_each(lambda: 30000, 6000)


def threads():
    threading.stack_size(64 << 10)
    stop = threading.Event()

    def step():
        threading.Thread(target=stop.wait, daemon=True).start()

    try:
        return until(step, 30000, 4000)
    except RuntimeError:
        return 30000


def ptys():
    files()

    def step():
        master, slave = os.openpty()
        keep.append(slave)
        # The terminal's own buffer: read by nobody.
        try:
            step.taken += fill(slave) + 20000
        except OSError:
            pass
        return master

    step.taken = 0
    until(step, 20000, 4000)
    return step.taken


def inodes():
    os.makedirs("/tmp/many", exist_ok=True)
    count = [0]

    def step():
        for _ in range(1000):
            count[0] += 1
            os.close(os.open("/tmp/many/" + "f" * 200 + str(count[0]), os.O_CREAT | os.O_RDWR))

    return until(step, 1000 * 1400)


def negative_dentries():
    """Names that there are not, which the kernel remembers."""
    count = [0]

    def step():
        for _ in range(1000):
            count[0] += 1
            try:
                os.stat("/usr/" + "n" * 240 + str(count[0]))
            except OSError:
                pass

    return until(step, 1000 * 500)


def xattrs():
    os.makedirs("/tmp/attributes", exist_ok=True)
    count = [0]

    def step():
        count[0] += 1
        path = "/tmp/attributes/%d" % count[0]
        os.close(os.open(path, os.O_CREAT | os.O_RDWR))
        for number in range(16):
            os.setxattr(path, "user.x%d" % number, b"x" * 60000)

    return until(step, 16 * 60000)


def file_locks():
    files()

    def work():
        fd = os.open("/tmp/locked%d" % os.getpid(), os.O_CREAT | os.O_RDWR)
        taken = 0
        # Each an area of its own, and not beside another: a search through all of them, so not too many.
        for at in range(0, 20000, 2):
            fcntl.lockf(fd, fcntl.LOCK_EX, 1, at)
            taken += 200
        keep.append(fd)
        return taken

    return fork_each(work, 20)


def leases():
    files()

    def step():
        fd = os.open("/tmp/leased%d" % len(keep), os.O_CREAT | os.O_RDONLY)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        return fd

    return until(step, 500, 50000)


def signals():
    """Signals that wait, each with its record."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {40})

    def step():
        info = struct.pack("iii", 40, 0, -1).ljust(128, b"\0")
        call(129, os.getpid(), 40, info)

    return until(step, 160)


def aio():
    def step():
        context = ctypes.c_ulong()
        call(206, 1000, ctypes.byref(context))

    return until(step, 64000, 2000)


def mount_objects():
    return until(lambda: call(428, -100, b"/", 1), 400, 50000)


def namespaces():
    return fork_each(lambda: call(272, 0x40000000) + 300000, 500)


def io_uring():
    return until(lambda: call(425, 4096, (ctypes.c_uint32 * 32)()), 400000, 1000)


def bpf_maps():
    return until(lambda: call(321, 0, (ctypes.c_uint32 * 32)(2, 4, 4096, 256), 72), MIB, 1000)


def perf():
    return until(lambda: call(298, (ctypes.c_uint32 * 32)(1, 128), 0, -1, -1, 0), 4096, 1000)


def keys():
    count = [0]

    def step():
        count[0] += 1
        call(248, b"user", b"ctr%d" % count[0], b"x" * 30000, 30000, -3)

    return until(step, 30000)


def userfaultfd():
    return until(lambda: call(323, 1), 400, 1000)


def fanotify():
    return until(lambda: call(300, 0, 0), 400, 1000)


def hugetlb():
    def step():
        return mmap.mmap(-1, 2 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)

    return until(step, 2 * MIB)


def pressure_triggers():
    def step():
        fd = os.open("/proc/pressure/memory", os.O_RDWR | os.O_NONBLOCK)
        os.write(fd, b"some 150000 2000000\0")
        return fd

    files()
    return until(step, 300, 50000)


def sockets_idle():
    files()
    return until(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM), 3000, 50000)


def multicast():
    """Memberships, each a record that the socket's user pays for, up to optmem_max."""
    files()
    count = [0]

    def step():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(19):
            count[0] += 1
            group = struct.pack("!I", 0xEF000000 + count[0]) + socket.inet_aton("127.0.0.1")
            one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        return one

    return until(step, 19 * 200, 30000)


def routes_and_addresses():
    """Only root of a network namespace may; CAP_NET_ADMIN is not had."""

    def step():
        import subprocess

        subprocess.run(["ip", "link", "add", "type", "dummy"], check=True, capture_output=True)

    try:
        return until(step, 10000, 1000)
    except Exception as error:
        print("refused:", error)
        return 0


def setsockopt_filters():
    """Classic BPF on sockets, up to optmem_max each."""
    files()
    code = ctypes.create_string_buffer(struct.pack("HBBI", 0, 0, 0, 0) * 2000 + struct.pack("HBBI", 6, 0, 0, 1))

    def step():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxQ", 2001, ctypes.addressof(code)))
        return one

    return until(step, 2001 * 24, 8000)


DOORS = {
    name: value
    for name, value in globals().items()
    if callable(value) and name not in ("call", "attempt", "done", "fork_each", "until", "files", "fill", "stretched")
}
DOORS["tmpfs"] = lambda: file_in("/tmp")
DOORS["shm"] = lambda: file_in("/dev/shm")
DOORS["eventfd"] = lambda: descriptors(lambda: os.eventfd(0))
DOORS["timerfd"] = lambda: descriptors(lambda: call(283, 1, 0))
DOORS["signalfd"] = lambda: descriptors(lambda: call(289, -1, b"\0" * 8, 8, 0))
DOORS["pidfd"] = lambda: descriptors(lambda: os.pidfd_open(os.getpid()))
DOORS["open_files"] = lambda: descriptors(lambda: os.open("/dev/null", os.O_RDONLY))

try:
    taken = DOORS[NAME]()
except OSError as error:
    print("refused:", errno.errorcode.get(error.errno, error.errno))
    taken = 0
except MemoryError:
    taken = 0
print("took", taken, flush=True)
sys.stdin.readline()
os._exit(0)
