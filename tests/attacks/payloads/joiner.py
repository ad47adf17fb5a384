# runc CVE-2016-9962, bubblewrap CVE-2016-8659: a process that joins the container is caught before it has become its program.
# Watches for new processes for as long as standard input is open.
import select

SYS_ptrace, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 101, 0x4206, 0x4207, 17, 0x40000000
own = os.readlink("/proc/self/exe")
known = {pid for pid in os.listdir("/proc") if pid.isdigit()}
seen = 0
loot = set()


def trace(pid, path):
    """Caught in the act: what it was before it became its program. Then let go again: who is traced is not reaped."""
    try:
        call(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0)
    except OSError:
        return
    try:
        if "memfd" in os.readlink(path + "/exe"):
            loot.add("traced before its program began")
    except OSError:
        pass
    for step in (
        lambda: call(SYS_ptrace, PTRACE_INTERRUPT, pid, 0, 0),
        lambda: os.waitpid(pid, WALL),
        lambda: call(SYS_ptrace, PTRACE_DETACH, pid, 0, 0),
    ):
        try:
            step()
        except OSError:
            pass


print("watching", flush=True)
while not select.select([0], [], [], 0)[0]:
    for pid in [pid for pid in os.listdir("/proc") if pid.isdigit() and pid not in known]:
        seen += 1
        path = "/proc/" + pid
        try:
            program = os.readlink(path + "/exe")
            if "memfd" in program:
                loot.add("program " + program)
            for fd in os.listdir(path + "/fd"):
                target = os.readlink(path + "/fd/" + fd)
                if not target.startswith(("/dev/null", "pipe:", "/usr/", "/lib", "/etc/")):
                    loot.add("descriptor %s %s" % (fd, target))
        except OSError:
            pass
        trace(int(pid), path)
print("saw", seen, *sorted(loot))
attempt("loot", lambda: loot)
done()
