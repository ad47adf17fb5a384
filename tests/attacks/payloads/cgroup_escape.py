# Out of one's own cgroup, by writing to the procs file of another: through whatever is mounted or can be mounted. With an argument
# that is a directory of a hierarchy of the host's, there: a cgroup is made in it, entered and left again.
MOUNT = 165


def move(place):
    with open(place + "/cgroup.procs", "w") as procs:
        procs.write("0")
    return True


if len(sys.argv) > 1:
    own = "%s/ctr-attack-%d" % (sys.argv[1], os.getpid())
    os.mkdir(own)
    move(own)
    attempt("move to the cgroup above", lambda: move(sys.argv[1]))
    os.rmdir(own)
    done()
for kind, option in ((b"cgroup2", b""), (b"cgroup", b"memory"), (b"cgroup", b"pids"), (b"cgroup", b"name=ctr-attack")):
    place = b"/tmp/" + kind + option.replace(b"=", b"-")
    os.makedirs(place, exist_ok=True)
    try:
        call(MOUNT, kind, place, kind, 0, option)
        print("mounted", place)
    except OSError as error:
        print("held: mount", place, error)
places = ["/sys/fs/cgroup"] + [line.split()[1] for line in open("/proc/self/mounts") if line.split()[2].startswith("cgroup")]
own = open("/proc/self/cgroup").read()
for place in places:
    for directory, _, _ in os.walk(place):
        for up in ("", "/..", "/../.."):
            try:
                move(directory + up)
                print("moved to", directory + up)
            except OSError as error:
                print("held:", directory + up, errno.errorcode.get(error.errno))
# Whoever started us looks at which cgroup we are in.
sys.stdout.write("settled\n")
sys.stdout.flush()
sys.stdin.read()
os._exit(0)
