# Every file of /proc and /sys that root inside can open for writing, and every one that is masked but can be read. Processes are
# represented by this one and by PID 1, numbers in names by N.
import re
import stat

masked = sys.argv[1:]
found = set()


def generic(path):
    path = re.sub(r"^/proc/(%d|self|thread-self)\b" % os.getpid(), "/proc/SELF", path)
    path = re.sub(r"/task/\d+", "/task/N", path)
    return re.sub(r"\d+", "N", path)


def look(top):
    for directory, directories, files in os.walk(top):
        if directory == "/proc":
            directories[:] = [name for name in directories if not name.isdigit() or int(name) in (1, os.getpid())]
        # What a process makes of itself is no secret to itself.
        directories[:] = [name for name in directories if name not in ("fd", "map_files", "cwd", "root", "task")]
        for name in files:
            path = os.path.join(directory, name)
            try:
                mode = os.lstat(path).st_mode
                # Root opens what has no write bit, too, but there is nothing behind it that takes a write.
                if stat.S_ISLNK(mode) or not mode & 0o222:
                    continue
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                found.add(generic(path))
            except OSError:
                pass


look("/proc")
look("/sys")
for path in sorted(found):
    print("writable", path)
for path in masked:
    if os.path.isdir(path):
        if os.listdir(path):
            print("visible", path)
    elif os.path.exists(path):
        try:
            if open(path, "rb").read(1):
                print("visible", path)
        except OSError:
            pass
done()
