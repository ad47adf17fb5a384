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
