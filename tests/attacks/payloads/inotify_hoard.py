# All inotify instances that there are to have, inotify(7), held until standard input ends.
held = []
try:
    while len(held) < 100000:
        held.append(call(294, 0))  # inotify_init1
except OSError as error:
    print("stopped after", len(held), "by", errno.errorcode.get(error.errno))
sys.stdout.flush()
sys.stdin.read()
os._exit(0)
