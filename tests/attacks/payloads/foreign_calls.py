# System calls of other calling conventions, made from a 64-bit program: int 0x80 reaches the table of 32-bit x86, and numbers
# with bit 30 set mean x32. Argument: whether int 0x80 is let in at all.
import mmap

CODE = bytes.fromhex(
    "53"  # push rbx
    "89f8"  # mov eax, edi
    "89f3"  # mov ebx, esi
    "89d1"  # mov ecx, edx
    "cd80"  # int 0x80
    "4898"  # cdqe
    "5b"  # pop rbx
    "c3"  # ret
)
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(CODE)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
int80 = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_int)(address)


def i386(number, *args):
    result = int80(number, *(list(args) + [0, 0])[:2])
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return True


def x32(number, *args):
    return call(0x40000000 | number, *args) + 1


assert int80(20, 0, 0) in (os.getpid(), -errno.ENOSYS), "getpid by int 0x80"
for name, number, args in (
    ("unshare user", 310, (0x10000000,)),
    ("unshare mount", 310, (0x20000,)),
    ("setns", 346, (0, 0)),
    ("mount", 21, (0, 0)),
    ("umount", 22, (0,)),
    ("bpf", 357, (0, 0)),
    ("io_uring_setup", 425, (8, 0)),
    ("keyctl", 288, (0, -3)),
    ("vm86old", 113, (0,)),
    ("socket AF_ALG", 359, (38, 5)),
    ("ioctl TIOCSTI", 54, (0, 0x5412)),
    ("clone user", 120, (0x10000011, 0)),
    ("personality", 136, (0x0400000,)),
):
    attempt("i386 " + name, lambda: i386(number, *args))
for name, number, args in (("unshare user", 272, (0x10000000,)), ("getpid", 39, ()), ("mount", 165, (0, 0, 0, 0, 0))):
    attempt("x32 " + name, lambda: x32(number, *args))
done()
