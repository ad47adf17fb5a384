# Closes every descriptor there may be, then opens as many as can be had, in the program and in children of it.
import resource

os.closerange(0, 1 << 16)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
for _ in range(4):
    if os.fork() == 0:
        break
opened = 0
try:
    while opened < 1 << 20:
        os.open("/dev/null", os.O_RDONLY)
        opened += 1
except OSError:
    pass
os._exit(0 if opened > 16 else 1)
