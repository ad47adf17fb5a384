# PID 1: reads, writes, traces, stops and robs the process that its argument names, or PID 1.
import signal

victim = int(sys.argv[1]) if len(sys.argv) > 1 else 1
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev = 101, 310, 311
SYS_pidfd_open, SYS_pidfd_getfd, SYS_kcmp, SYS_process_madvise = 434, 438, 312, 440


def proc(name):
    return "/proc/%d/%s" % (victim, name)


def opened(name, flags):
    return lambda: os.close(os.open(proc(name), flags)) or True


def readable(name):
    def read():
        with open(proc(name), "rb") as file:
            return len(file.read(4096)) > 0

    return read


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def move_memory(number):
    def attack():
        buffer = ctypes.create_string_buffer(8)
        local = Iovec(ctypes.cast(buffer, ctypes.c_void_p), 8)
        remote = Iovec(ctypes.c_void_p(somewhere()), 8)
        return call(number, victim, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) == 8

    return attack


def somewhere():
    """An address that is mapped in the victim: as maps tells, or where our own program is linked to."""
    try:
        with open(proc("maps")) as maps:
            for line in maps:
                if " rw-p " in line:
                    return int(line.split("-")[0], 16)
    except OSError:
        pass
    return 0x400000


def steal_descriptors():
    pidfd = call(SYS_pidfd_open, victim, 0)
    last = None
    for number in range(16):
        try:
            return os.readlink("/proc/self/fd/%d" % call(SYS_pidfd_getfd, pidfd, number, 0)) + " stolen"
        except OSError as error:
            last = error
    raise last


def trace(request):
    def attack():
        call(SYS_ptrace, request, victim, 0, 0)
        call(SYS_ptrace, 17, victim, 0, 0)  # PTRACE_DETACH, where it needs no stop
        return True

    return attack


def seized():
    call(SYS_ptrace, PTRACE_SEIZE, victim, 0, 0)
    return True


def state():
    with open(proc("stat")) as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


def stopped():
    import time

    os.kill(victim, signal.SIGSTOP)
    for _ in range(50):
        if state() in "tT":
            os.kill(victim, signal.SIGCONT)
            return "stopped"
        time.sleep(0.002)
    return None


for name in ("mem", "maps", "environ", "auxv", "stack", "syscall", "pagemap", "smaps", "io", "personality"):
    if os.path.exists(proc(name)):
        attempt("open " + name, opened(name, os.O_RDONLY))
attempt("open mem for writing", opened("mem", os.O_RDWR))
attempt("read environ", readable("environ"))
for name in ("exe", "cwd", "root"):
    attempt("follow " + name, lambda name=name: os.readlink(proc(name)))
    attempt("open " + name, opened(name, os.O_RDONLY))
attempt("open exe for writing", opened("exe", os.O_WRONLY))
attempt("list fd", lambda: os.listdir(proc("fd")))
for number in range(16):
    attempt("open fd/%d" % number, opened("fd/%d" % number, os.O_RDONLY))
    attempt("follow fd/%d" % number, lambda number=number: os.readlink(proc("fd/%d" % number)))
attempt("list map_files", lambda: os.listdir(proc("map_files")))
attempt("process_vm_readv", move_memory(SYS_process_vm_readv))
attempt("process_vm_writev", move_memory(SYS_process_vm_writev))
attempt("pidfd_getfd", steal_descriptors)
attempt("kcmp", lambda: call(SYS_kcmp, victim, os.getpid(), 0, 0, 0) + 1)
attempt("SIGSTOP", stopped)
attempt("ptrace attach", trace(PTRACE_ATTACH))
attempt("ptrace seize", seized)


def changed(name, value):
    def attack():
        with open(proc(name), "rb", 0) as file:
            before = file.read()
        with open(proc(name), "wb", 0) as file:
            file.write(value)
        with open(proc(name), "rb", 0) as file:
            return file.read() != before

    return attack


# What a capability stands for is no break: CAP_SYS_NICE is for the timer slack of others.
status = open("/proc/self/status").read()
nice = int(status.split("CapEff:")[1].split()[0], 16) >> 23 & 1
settings = [("oom_score_adj", b"999"), ("coredump_filter", b"1ff"), ("uid_map", b"0 0 1"), ("setgroups", b"deny")]
settings += [("attr/current", b"unconfined"), ("loginuid", b"1"), ("comm", b"attacker"), ("clear_refs", b"1")]
settings += [] if nice else [("timerslack_ns", b"1000000000")]
for name, value in settings if victim == 1 else []:
    if os.path.exists(proc(name)):
        attempt("change " + name, changed(name, value))
done()
