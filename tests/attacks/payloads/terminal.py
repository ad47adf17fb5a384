# bubblewrap CVE-2017-5226: the terminal on stdin is typed into, with the ioctl's number as it is and with upper bits set,
# after it was made our controlling terminal if it could be.
import fcntl
import termios

SYS_ioctl = 16
TIOCSTI, TIOCLINUX, TIOCSCTTY = 0x5412, 0x541C, 0x540E
try:
    os.setsid()
except OSError:
    pass
try:
    fcntl.ioctl(0, TIOCSCTTY, 1)
except OSError:
    pass
key = ctypes.create_string_buffer(b"x")
selection = ctypes.create_string_buffer(b"\x02" + bytes(15))
for upper in (0, 1 << 32, 1 << 63, 0xFFFFFFFF << 32):
    for request, argument in ((TIOCSTI, key), (TIOCLINUX, selection)):
        request |= upper
        request = request - (1 << 64) if request >= 1 << 63 else request
        attempt("ioctl %#x" % request, lambda: call(SYS_ioctl, 0, request, argument) + 1)
done()
