# What is mounted of the container's cgroup, at the place that is the first argument, by default where programs look: written to, changed,
# remounted, uncovered, mounted once more; and whether there is anything to be seen of the host's tree.
MOUNT, UMOUNT2, MOUNT_SETATTR, UNSHARE = 165, 166, 442, 272
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_MOVE, MNT_DETACH = 1, 32, 4096, 8192, 2
AT_FDCWD = -100
place = sys.argv[1] if len(sys.argv) > 1 else "/sys/fs/cgroup"


def tree():
    return [(directory, files) for directory, _, files in os.walk(place)]


def write(when):
    for directory, files in tree():
        for name in files:
            path = os.path.join(directory, name)
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
                attempt("%s: open %s" % (when, path), lambda: os.close(os.open(path, flags)) or True)
        new = directory + "/ctr-attack"
        attempt("%s: make %s" % (when, new), lambda: os.mkdir(new) or os.rmdir(new) or True)


def change():
    for directory, files in tree():
        for path in [directory] + [os.path.join(directory, name) for name in files]:
            attempt("chmod " + path, lambda: os.chmod(path, 0o777) or True)
            attempt("chown " + path, lambda: os.chown(path, os.getuid(), os.getgid()) or True)
            attempt("label " + path, lambda: os.setxattr(path, "user.x", b"x") or True)
            attempt("touch " + path, lambda: os.utime(path) or True)


def mounts():
    lines = [line.split() for line in open("/proc/self/mountinfo")]
    return sorted({line[4] for line in lines if line[4].startswith(place)})


def remount(when):
    for path in mounts():
        name = path.encode()
        attempt("%s: remount %s" % (when, path), lambda: call(MOUNT, None, name, None, MS_REMOUNT | MS_BIND, None) + 1)
        attempt("%s: remount all of %s" % (when, path), lambda: call(MOUNT, None, name, None, MS_REMOUNT, None) + 1)
        clear = (ctypes.c_uint64 * 4)(0, MS_RDONLY, 0, 0)
        attempt("%s: set attributes of %s" % (when, path), lambda: call(MOUNT_SETATTR, AT_FDCWD, name, 0x8000, clear, 32) + 1)
    write(when + ", remounted")
    for path in mounts():
        attempt("%s: bind %s" % (when, path), lambda: call(MOUNT, path.encode(), b"/tmp", None, MS_BIND, None) + 1)
        attempt("%s: move %s" % (when, path), lambda: call(MOUNT, path.encode(), b"/tmp", None, MS_MOVE, None) + 1)
    for path in reversed(mounts()):
        attempt("%s: uncover %s" % (when, path), lambda: call(UMOUNT2, path.encode(), MNT_DETACH) + 1)


def anew(when):
    options = {line.split(":")[1] for line in open("/proc/self/cgroup")} | {"memory", "pids", "rdma"}
    for option in sorted(options):
        kind = b"cgroup" if option else b"cgroup2"
        attempt("%s: mount %s" % (when, option), lambda: call(MOUNT, kind, b"/tmp", kind, 0, option.encode()) + 1)


def others():
    processes = {name for name in os.listdir("/proc") if name.isdigit()}
    for directory, files in tree():
        attempt("a cgroup of another in " + directory, lambda: "ctr-" in directory or ".service" in directory)
        for name in ("cgroup.procs", "tasks"):
            if name in files:
                listed = set(open(os.path.join(directory, name)).read().split())
                attempt("processes of others in " + directory, lambda: listed - processes)
        attempt("the root of a hierarchy in " + directory, lambda: "release_agent" in files)
    for line in open("/proc/self/cgroup"):
        attempt("a path of the host's: " + line.strip(), lambda: not line.strip().endswith(":/"))


others()
write("at first")
change()
remount("as it is")
anew("as it is")
write("uncovered")
for name, flags in (("user and mount", 0x10020000), ("mount", 0x20000), ("cgroup", 0x2000000)):
    # No harm by itself, and it may bring the rights for some.
    try:
        print("unshared:", name, call(UNSHARE, flags))
    except OSError as error:
        print("held: unshare", name, errno.errorcode.get(error.errno))
remount("in other namespaces")
anew("in other namespaces")
write("in other namespaces")
others()
done()
