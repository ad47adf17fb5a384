"""What all payloads begin with. A payload attacks, prints what held and what did not, and ends with 0 where everything held and
with 42 where something did not; any other end is a mistake in the payload."""

import ctypes
import errno
import os
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
broken = []


def call(number, *args):
    """A raw system call; raises OSError."""
    converted = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    result = LIBC.syscall(ctypes.c_long(number), *converted)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def attempt(name, attack):
    """Carries out an attack. It is broken in where the attack returns a truth; a refusal is an OSError or a false value."""
    try:
        result = attack()
    except OSError as error:
        print("held:", name, errno.errorcode.get(error.errno, error.errno))
        return
    if result:
        broken.append(name)
        print("BROKEN:", name, repr(result)[:200])
    else:
        print("held:", name)


def done():
    sys.stdout.flush()
    os._exit(42 if broken else 0)
