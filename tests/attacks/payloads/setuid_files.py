# Makes files of /shared setuid or setgid, or gives them capabilities, in every way there is.
import struct

CREATE = os.O_CREAT | os.O_WRONLY
HERE = -100
ALL_CAPABILITIES = struct.pack("<IIIII", 0x02000001, 0xFFFFFFFF, 0, 0x1FF, 0)


def plain():
    """A file to be changed."""
    with open("/shared/plain", "w"):
        os.chmod("/shared/plain", 0o1755)
    return b"/shared/plain"


def made(fd):
    """The special bits of what was opened; elsewhere a file that was not made is an OSError."""
    return os.fstat(fd).st_mode & 0o6000


def changed(result):
    return result == 0 and os.stat("/shared/plain").st_mode & 0o6000


attempt("chmod", lambda: changed(call(90, plain(), 0o4755)))
attempt("fchmod", lambda: changed(call(91, os.open(plain(), os.O_RDONLY), 0o2755)))
attempt("fchmodat", lambda: changed(call(268, HERE, plain(), 0o6755)))
attempt("fchmodat2", lambda: changed(call(452, HERE, plain(), 0o4755, 0)))
attempt("open", lambda: made(call(2, b"/shared/open", CREATE, 0o4755)))
attempt("openat", lambda: made(call(257, HERE, b"/shared/openat", CREATE, 0o2755)))
attempt("openat2", lambda: made(call(437, HERE, b"/shared/openat2", struct.pack("QQQ", CREATE, 0o4755, 0), 24)))
attempt("creat", lambda: made(call(85, b"/shared/creat", 0o4755)))
attempt("O_TMPFILE", lambda: made(call(257, HERE, b"/shared", os.O_TMPFILE | os.O_RDWR, 0o4755)))
attempt("mknod", lambda: call(133, b"/shared/mknod", 0o104755, 0) == 0)
attempt("capabilities", lambda: call(188, plain(), b"security.capability", ALL_CAPABILITIES, 20, 0) == 0)
done()
