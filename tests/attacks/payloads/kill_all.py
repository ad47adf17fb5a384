# kill -9 -1: everything that may be signalled is; PID 1 is told separately.
import signal

for number in range(1, 65):
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError as error:
        print("signal", number, "to PID 1:", errno.errorcode[error.errno])
print("still here", flush=True)
os.kill(-1, signal.SIGKILL)
print("and still", flush=True)
done()
