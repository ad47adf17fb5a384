# Another user of the machine and a container that is not his. Arguments: his uid (his own, where he is one already), the state
# directory, the container's name, and pids: the container's PID 1, its zygote, a program in it, the owner.
import signal
import socket

uid, state, name = int(sys.argv[1]), sys.argv[2], sys.argv[3]
init, zygote, program, owner = map(int, sys.argv[4:8])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
SYS_ptrace, SYS_setns, SYS_process_vm_readv, SYS_pidfd_open, SYS_pidfd_getfd = 101, 308, 310, 434, 438
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17


def dial(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.connect(path)
        return True


def trace(pid):
    call(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0)
    return True


def read_memory(pid):
    buffer = ctypes.create_string_buffer(8)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    start = int(open("/proc/%d/maps" % pid).readline().split("-")[0], 16)
    remote = (ctypes.c_void_p * 2)(start, 8)
    return call(SYS_process_vm_readv, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) > 0


attempt("list the state directory", lambda: os.listdir(state))
attempt("read the record", lambda: open("%s/%s.json" % (state, name)).read())
attempt("connect to the control socket", lambda: dial("%s/%s.sock" % (state, name)))
attempt("make a record", lambda: os.open(state + "/forged.json", os.O_CREAT | os.O_WRONLY) >= 0)
for who, pid in (("PID 1", init), ("the zygote", zygote), ("a program", program), ("the owner", owner)):
    for fd in range(32):
        path = "/proc/%d/fd/%d/%s.sock" % (pid, fd, name)
        attempt("connect through " + path, lambda: dial(path))
        attempt("take descriptor %d of %s" % (fd, who), lambda: call(SYS_pidfd_getfd, call(SYS_pidfd_open, pid, 0), fd, 0) >= 0)
    attempt("signal " + who, lambda: os.kill(pid, 0) is None)
    attempt("enter the root of " + who, lambda: os.listdir("/proc/%d/root/" % pid))
    attempt("read the environment of " + who, lambda: open("/proc/%d/environ" % pid).read())
    attempt("read the memory of " + who, lambda: read_memory(pid))
    if pid != owner:
        attempt("trace " + who, lambda: trace(pid))
    for kind in ("mnt", "pid", "net", "user", "ipc", "uts"):
        attempt("enter the %s namespace of %s" % (kind, who), lambda: os.open("/proc/%d/ns/%s" % (pid, kind), os.O_RDONLY) >= 0)
done()
