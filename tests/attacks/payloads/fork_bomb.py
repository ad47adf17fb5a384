# As many processes as can be had, all of which stay; then one line with their number.
import signal

count = 0
while count < 20000:
    try:
        pid = os.fork()
    except OSError as error:
        print("stopped by", errno.errorcode[error.errno])
        break
    if pid == 0:
        # Each child goes on forking, as a bomb does.
        try:
            while True:
                if os.fork():
                    signal.pause()
        except OSError:
            signal.pause()
    count += 1
print("children", count, flush=True)
signal.pause()
