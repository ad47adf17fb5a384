# kernel CVE-2022-0185, CVE-2022-0492, nftables, overlay and others: what leads to the parts of the kernel in which bugs were found
# that only need a new namespace or a mount.
import socket

CLONE = {"user": 0x10000000, "mount": 0x20000, "net": 0x40000000, "pid": 0x20000000, "uts": 0x4000000, "ipc": 0x8000000}
CLONE |= {"cgroup": 0x2000000, "time": 0x80}
SYS = dict(mount=165, umount2=166, pivot_root=155, unshare=272, setns=308, bpf=321, perf_event_open=298, userfaultfd=323)
SYS |= dict(io_uring_setup=425, open_tree=428, move_mount=429, fsopen=430, keyctl=250, add_key=248, kexec_load=246)
SYS |= dict(init_module=175, open_by_handle_at=304, quotactl=179, clone3=435, clone=56, swapon=167, reboot=169, acct=163)
SYS |= dict(fsconfig=431, mount_setattr=442, syslog=103, settimeofday=164, iopl=172)

for name, flag in CLONE.items():
    attempt("unshare " + name, lambda: call(SYS["unshare"], flag) + 1)


def clone(flag):
    pid = call(SYS["clone"], flag | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


def clone3(flag):
    record = (ctypes.c_uint64 * 8)(flag, 0, 0, 0, 17, 0, 0, 0)
    pid = call(SYS["clone3"], ctypes.byref(record), 64)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


for name in ("user", "mount", "net"):
    attempt("clone " + name, lambda: clone(CLONE[name]))
    attempt("clone3 " + name, lambda: clone3(CLONE[name]))
for kind in (b"tmpfs", b"proc", b"overlay", b"cgroup", b"cgroup2", b"fuse", b"ext4", b"bpf"):
    attempt("mount " + kind.decode(), lambda: call(SYS["mount"], kind, b"/tmp", kind, 0, b"") + 1)
    attempt("fsopen " + kind.decode(), lambda: call(SYS["fsopen"], kind, 0) + 1)
attempt("remount / writable", lambda: call(SYS["mount"], b"", b"/", b"", 32 | 4096, b"") + 1)
attempt("umount /proc/sys", lambda: call(SYS["umount2"], b"/proc/sys", 2) + 1)
attempt("open_tree", lambda: call(SYS["open_tree"], -100, b"/", 1) + 1)
attempt("bpf", lambda: call(SYS["bpf"], 0, (ctypes.c_uint32 * 32)(2, 4, 4, 1), 72) + 1)
attempt("perf_event_open", lambda: call(SYS["perf_event_open"], (ctypes.c_uint32 * 32)(1, 128), 0, -1, -1, 0) + 1)
attempt("userfaultfd", lambda: call(SYS["userfaultfd"], 0) + 1)
attempt("io_uring", lambda: call(SYS["io_uring_setup"], 8, (ctypes.c_uint32 * 32)()) + 1)
attempt("add_key", lambda: call(SYS["add_key"], b"user", b"ctr", b"x", 1, -3) + 1)
attempt("keyctl", lambda: call(SYS["keyctl"], 0, -3, 0) + 1)
attempt("syslog", lambda: call(SYS["syslog"], 10, 0, 0) + 1)
attempt("init_module", lambda: call(SYS["init_module"], b"x", 1, b"") + 1)
attempt("kexec_load", lambda: call(SYS["kexec_load"], 0, 0, 0, 0) + 1)
attempt("iopl", lambda: call(SYS["iopl"], 3) + 1)
for name, family, kind, protocol in (
    ("netfilter", 16, 3, 12),
    ("xfrm", 16, 3, 6),
    ("AF_ALG", 38, 5, 0),
    ("AF_VSOCK", 40, 1, 0),
    ("AF_TIPC", 30, 1, 0),
    ("AF_CAN", 29, 3, 1),
    ("AF_RDS", 21, 5, 0),
    ("AF_KEY", 15, 3, 2),
    ("AF_BLUETOOTH", 31, 5, 0),
    ("AF_X25", 9, 5, 0),
    ("AF_PACKET", 17, 3, 0),
    ("raw", 2, 3, 255),
    ("UDP-Lite", 2, 2, 136),
    ("MPTCP", 2, 1, 262),
    ("SMC", 2, 1, 256),
    ("SCTP", 2, 5, 132),
    ("SCTP without a protocol", 2, 5, 0),
    ("DCCP", 2, 6, 33),
    ("L2TP", 2, 2, 115),
):
    attempt("socket " + name, lambda: socket.socket(family, kind, protocol))
done()
