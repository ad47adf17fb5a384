# kernel CVE-2022-0492: a cgroup v1 hierarchy is mounted from inside, and its release_agent names a program that the kernel then runs
# as the host's root. And what is mounted already is written to, unless an argument says that this is the host's.
MOUNT = 165
for controller in (b"rdma", b"memory", b"pids", b"devices", b"cpu", b"freezer", b"name=ctr-attack"):
    attempt("mount " + controller.decode(), lambda: call(MOUNT, b"cgroup", b"/tmp", b"cgroup", 0, controller) + 1)
attempt("mount cgroup2", lambda: call(MOUNT, b"cgroup2", b"/tmp", b"cgroup2", 0, b"") + 1)
if len(sys.argv) > 1:
    done()
mounts = [line.split()[1] for line in open("/proc/self/mounts") if line.split()[2].startswith("cgroup")]
for place in mounts + ["/sys/fs/cgroup"]:
    for directory, _, files in os.walk(place):
        for name in files:
            path = os.path.join(directory, name)
            attempt("open %s for writing" % path, lambda: os.close(os.open(path, os.O_WRONLY)) or True)
        attempt("make a cgroup in " + directory, lambda: os.mkdir(directory + "/ctr-attack") or True)
done()
