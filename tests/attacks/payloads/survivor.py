# Processes that do all they can to outlive their container's end: new ones all the time, in sessions of their own, orphaned, deaf to
# every signal that one can be deaf to. The argument is what they are known by.
import signal

for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
print("begun", flush=True)
while True:
    try:
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                continue
            os._exit(0)
    except OSError:
        pass
