// What the kernel charges for each wall: one container is put together by hand again and again, every step timed on its
// own, in the order and in the namespaces in which ctr takes them. It says where the time of a lifecycle must go, whoever
// writes it, and what the alternatives would cost.
//
//   kernel ROOTFS [ROUNDS]       ROOTFS: a directory with busybox, /proc, /dev, /sys; it is only read
//
// Needs root, a kernel >= 6.15 (overlay layers and mounts by descriptor). Leaves nothing: all mounts are in private
// namespaces, the cgroups are named ctr-bench-kernel and removed.
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "bench.h"

// sys/mount.h of glibc collides with linux/mount.h; these are all that is needed of it.
int mount(const char *, const char *, const char *, unsigned long, const void *);
int umount2(const char *, int);
#define MNT_DETACH 2

#define ALL_NAMESPACES \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP)
#define HOST_ROOT_OF_CONTAINER 0x40000000u

static const char *rootfs;
static char memory_cgroup[64] = "/sys/fs/cgroup/memory/ctr-bench-kernel";
static char pids_cgroup[64] = "/sys/fs/cgroup/pids/ctr-bench-kernel";
static int dev_template = -1;
static double *moment; // in shared memory: when a child did what its parent waits for

static int fsopen(const char *type) { return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC); }
static int fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux) {
    return (int)syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}
static int fsmount(int fd, unsigned attributes) { return (int)syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes); }
static int open_tree(int dir, const char *path, unsigned flags) {
    return (int)syscall(SYS_open_tree, dir, path, flags | OPEN_TREE_CLOEXEC);
}
static int move_mount(int from, int to, const char *path) {
    return (int)syscall(SYS_move_mount, from, "", to, path, MOVE_MOUNT_F_EMPTY_PATH);
}
static int mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *attr) {
    return (int)syscall(SYS_mount_setattr, dir, path, flags, attr, sizeof *attr);
}

// clone(2) as fork uses it: the child returns here, on a copy of this stack.
static pid_t clone_like_fork(unsigned long flags) { return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0); }

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    long written = write(fd, text, strlen(text));
    close(fd);
    return written < 0 ? -1 : 0;
}

// A detached mount of `type`, its three system calls timed under the type's name.
static int timed_mount(const char *type, unsigned attributes, void (*options)(int)) {
    char name[160];
    double start = now_us();
    int fd = (int)CHECK(fsopen(type));
    double opened = now_us();
    if (options) options(fd);
    if (fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        die(type);
    }
    double created = now_us();
    int mounted = (int)CHECK(fsmount(fd, attributes));
    double end = now_us();
    close(fd);
    snprintf(name, sizeof name, "%s: fsopen", type);
    record(name, opened - start);
    snprintf(name, sizeof name, "%s: fsconfig options + create", type);
    record(name, created - opened);
    snprintf(name, sizeof name, "%s: fsmount", type);
    record(name, end - created);
    snprintf(name, sizeof name, "%s: all three", type);
    record(name, end - start);
    return mounted;
}

static void tmpfs_options(int fd) { CHECK(fsconfig(fd, FSCONFIG_SET_STRING, "mode", "0755", 0)); }
static void devpts_options(int fd) {
    CHECK(fsconfig(fd, FSCONFIG_SET_STRING, "ptmxmode", "0666", 0));
    CHECK(fsconfig(fd, FSCONFIG_SET_STRING, "mode", "0620", 0));
}
static int overlay_lower, overlay_upper, overlay_work;
static void overlay_options(int fd) {
    CHECK(fsconfig(fd, FSCONFIG_SET_FLAG, "userxattr", NULL, 0));
    CHECK(fsconfig(fd, FSCONFIG_SET_FD, "lowerdir+", NULL, overlay_lower));
    CHECK(fsconfig(fd, FSCONFIG_SET_FD, "upperdir", NULL, overlay_upper));
    CHECK(fsconfig(fd, FSCONFIG_SET_FD, "workdir", NULL, overlay_work));
}

// mount(2) of a file system on /mnt and off again, for comparison with the calls by descriptor.
static void timed_old_mount(const char *name, const char *type, const char *options) {
    TIMED(name, mount(type, "/mnt", type, MS_NOSUID, options));
    TIMED("umount2(MNT_DETACH) of one mount", umount2("/mnt", MNT_DETACH));
}

static int lo_up_by_ioctl(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int result = ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return result;
}

static int lo_up_by_netlink(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {
        .header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .link = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP},
    };
    char answer[256];
    if (send(fd, &request, sizeof request, 0) < 0 || recv(fd, answer, sizeof answer, 0) < 0) return -1;
    struct nlmsgerr *error = NLMSG_DATA((struct nlmsghdr *)answer);
    close(fd);
    errno = -error->error;
    return error->error;
}

// A filter that lets everything through, after it has compared the call's number with `leaves` others in a row or has
// found it by halving. The kernel runs a new filter once for every call there is (seccomp_cache_prepare), so its shape
// and length are its price.
static int install_filter(unsigned leaves, int as_tree) {
    static struct sock_filter code[1024];
    unsigned short n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    if (as_tree) // level by level: node i of a level of `width` nodes has its children at `width + i - 1` and one further
        for (unsigned width = 1; width < leaves; width *= 2)
            for (unsigned i = 0; i < width; i++)
                code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 512 / width * i + 256 / width,
                                                         (unsigned char)(width + i), (unsigned char)(width + i - 1));
    else
        for (unsigned i = 0; i < leaves; i++)
            code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 10000 + i, 0, 0);
    for (unsigned i = 0; i < (as_tree ? leaves : 1); i++)
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, code};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static void time_device_binds(int dev) {
    static const char *devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
    double start = now_us();
    for (int i = 0; i < 6; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/%s", devices[i]);
        int file = (int)TIMED("/dev node: openat(O_CREAT) of the target on tmpfs",
                              openat(dev, devices[i], O_CREAT | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0666));
        close(file);
        int device = (int)TIMED("/dev node: open_tree(CLONE) of the host's", open_tree(AT_FDCWD, path, OPEN_TREE_CLONE));
        TIMED("/dev node: move_mount into place", move_mount(device, dev, devices[i]));
        close(device);
    }
    record("/dev nodes: all six, with creat and close", now_us() - start);
    start = now_us();
    static const char *links[][2] = {{"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"},
                                     {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"},
                                     {"pts/ptmx", "ptmx"},          {"/proc/kcore", "core"}};
    for (int i = 0; i < 6; i++) CHECK(symlinkat(links[i][0], dev, links[i][1]));
    for (int i = 0; i < 3; i++) CHECK(mkdirat(dev, ((const char *[]){"pts", "shm", "mqueue"})[i], 0755));
    record("/dev: six symlinks and three directories", now_us() - start);
}

// PID 1 of the container: everything from the map of its ids to the last wall, in order.
static int container(int go, int lower, int round) {
    char c;
    CHECK(read(go, &c, 1));
    CHECK(setresgid(0, 0, 0));
    CHECK(setresuid(0, 0, 0));
    TIMED("mount(MS_REC|MS_PRIVATE) on /", mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));

    timed_old_mount("tmpfs: mount(2)", "tmpfs", "mode=0755");
    timed_old_mount("proc: mount(2)", "proc", NULL);
    timed_old_mount("mqueue: mount(2)", "mqueue", NULL);
    timed_old_mount("devpts: mount(2)", "devpts", "ptmxmode=0666,mode=0620");

    int writable = timed_mount("tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, tmpfs_options);
    TIMED("mkdirat on tmpfs", mkdirat(writable, "upper", 0755));
    TIMED("mkdirat on tmpfs", mkdirat(writable, "work", 0755));
    // A detached mount that the host made belongs to the host's user namespace, and overlayfs takes no layer from there
    // (EPERM from clone_private_mount): it has to be attached here first, anywhere.
    TIMED("image: move_mount of the id-mapped lower layer", move_mount(lower, AT_FDCWD, "/srv"));
    overlay_lower = lower;
    overlay_upper = (int)CHECK(openat(writable, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC));
    overlay_work = (int)CHECK(openat(writable, "work", O_PATH | O_DIRECTORY | O_CLOEXEC));
    int root = timed_mount("overlay", MOUNT_ATTR_NOSUID, overlay_options);

    // The same overlay by mount(2), whose layers have to be reachable by a path.
    CHECK(move_mount(writable, AT_FDCWD, "/mnt"));
    CHECK(mkdir("/mnt/upper2", 0755));
    CHECK(mkdir("/mnt/work2", 0755));
    CHECK(mkdir("/mnt/root2", 0755));
    char options[512];
    snprintf(options, sizeof options, "userxattr,lowerdir=/proc/self/fd/%d,upperdir=/mnt/upper2,workdir=/mnt/work2", lower);
    TIMED("overlay: mount(2) with option string", mount("overlay", "/mnt/root2", "overlay", MS_NOSUID, options));
    CHECK(umount2("/mnt", MNT_DETACH));

    TIMED("overlay: move_mount into the tree", move_mount(root, AT_FDCWD, "/mnt"));
    CHECK(fchdir(root));

    int proc = timed_mount("proc", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, NULL);
    TIMED("proc: move_mount", move_mount(proc, root, "proc"));
    int sys = timed_mount("sysfs", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, NULL);
    TIMED("sysfs: move_mount", move_mount(sys, root, "sys"));
    int dev = timed_mount("tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, tmpfs_options);
    CHECK(move_mount(dev, root, "dev"));
    time_device_binds(dev);
    int pts = timed_mount("devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, devpts_options);
    CHECK(move_mount(pts, dev, "pts"));
    int queue = timed_mount("mqueue", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, NULL);
    CHECK(move_mount(queue, dev, "mqueue"));
    int shm = timed_mount("tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, tmpfs_options);
    CHECK(move_mount(shm, dev, "shm"));

    // /dev in one stroke: a tree that the host made once, device nodes and all.
    double start = now_us();
    int tree = (int)CHECK(open_tree(dev_template, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | AT_RECURSIVE));
    CHECK(move_mount(tree, root, "tmp"));
    record("/dev as a clone of a ready tree with nodes: open_tree + move_mount", now_us() - start);
    CHECK(umount2("tmp", MNT_DETACH));

    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    TIMED("mount_setattr(RDONLY) of one mount", mount_setattr(root, "sys", 0, &read_only));

    TIMED("pivot_root(., .)", syscall(SYS_pivot_root, ".", "."));
    TIMED("umount2(., MNT_DETACH) of the host's tree", umount2(".", MNT_DETACH));
    CHECK(chdir("/"));

    if (round % 2)
        TIMED("lo up by ioctl, with socket and close", lo_up_by_ioctl());
    else
        TIMED("lo up by netlink, with socket, answer and close", lo_up_by_netlink());
    TIMED("sethostname", sethostname("bench", 5));
    TIMED("unshare(CLONE_NEWCGROUP)", unshare(CLONE_NEWCGROUP));
    TIMED("unshare(CLONE_NEWUTS)", unshare(CLONE_NEWUTS));
    TIMED("unshare(CLONE_NEWIPC)", unshare(CLONE_NEWIPC));
    TIMED("unshare(CLONE_NEWNS), container's own 9 mounts", unshare(CLONE_NEWNS));
    TIMED("unshare(CLONE_NEWNET)", unshare(CLONE_NEWNET));
    TIMED("prctl(PR_SET_NO_NEW_PRIVS)", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    start = now_us();
    for (int capability = 0; capability < 41; capability++) CHECK(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
    record("prctl(PR_CAPBSET_DROP), 41 of them", now_us() - start);
    switch (round % 4) {
    case 0: TIMED("seccomp: a filter of 300 comparisons in a row", install_filter(300, 0)); break;
    case 1: TIMED("seccomp: a filter of 256 leaves as a tree", install_filter(256, 1)); break;
    case 2: TIMED("seccomp: a filter of 64 leaves as a tree", install_filter(64, 1)); break;
    case 3: TIMED("seccomp: a filter of 32 leaves as a tree", install_filter(32, 1)); break;
    }
    TIMED("close_range(3, ~0)", syscall(SYS_close_range, 3, ~0U, 0));
    *moment = now_us();
    _exit(0);
}

// The host's part of one container: what only the caller's own rights allow.
static void time_container(int round) {
    int sync[2];
    char path[64], map[64];
    CHECK(pipe2(sync, O_CLOEXEC));

    int lower = (int)TIMED("open_tree(CLONE) of the image", open_tree(AT_FDCWD, rootfs, OPEN_TREE_CLONE));
    double start = now_us();
    pid_t pid = clone_like_fork(ALL_NAMESPACES);
    double cloned = now_us();
    CHECK(pid);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        container(sync[0], lower, round);
    }
    record("clone with all seven namespaces (fork-like)", cloned - start);
    snprintf(map, sizeof map, "0 %u 65536", HOST_ROOT_OF_CONTAINER);
    snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
    TIMED("open+write+close of uid_map, 65536 ids", write_file(path, map));
    snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
    CHECK(write_file(path, map));
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    int user = (int)TIMED("open of /proc/PID/ns/user", open(path, O_RDONLY | O_CLOEXEC));
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)user};
    TIMED("mount_setattr(IDMAP) of the image", mount_setattr(lower, "", AT_EMPTY_PATH, &attr));
    CHECK(write(sync[1], "x", 1));
    int status;
    CHECK(waitpid(pid, &status, 0));
    record("_exit of PID 1 to waitpid, container as above", now_us() - *moment);
    if (status) exit(1);
    close(lower), close(user), close(sync[0]), close(sync[1]);
}

// The kernel takes a dead network namespace down in a worker thread that competes with whatever is measured next: wait
// until it has most likely finished, then warm the cpu up again.
static void settle(void) {
    usleep(4000);
    for (double start = now_us(); now_us() - start < 300;) {}
}

// clone + _exit + waitpid with each namespace on its own: what it costs beside the others, made and unmade.
static void time_clones(void) {
    static const struct {
        const char *name;
        unsigned long flags;
    } kinds[] = {
        {"clone+exit+wait: nothing new (fork-like)", 0},
        {"clone+exit+wait: CLONE_NEWUSER", CLONE_NEWUSER},
        {"clone+exit+wait: CLONE_NEWNS, host's mounts", CLONE_NEWNS},
        {"clone+exit+wait: CLONE_NEWPID", CLONE_NEWPID},
        {"clone+exit+wait: CLONE_NEWUTS", CLONE_NEWUTS},
        {"clone+exit+wait: CLONE_NEWIPC", CLONE_NEWIPC},
        {"clone+exit+wait: CLONE_NEWCGROUP", CLONE_NEWCGROUP},
        {"clone+exit+wait: CLONE_NEWNET", CLONE_NEWNET},
        {"clone+exit+wait: all but NEWNET", ALL_NAMESPACES & ~(unsigned long)CLONE_NEWNET},
        {"clone+exit+wait: all seven", ALL_NAMESPACES},
    };
    char name[160];
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        double start = now_us();
        pid_t pid = clone_like_fork(kinds[i].flags);
        CHECK(pid);
        if (pid == 0) _exit(0);
        double cloned = now_us();
        CHECK(waitpid(pid, NULL, 0));
        record(kinds[i].name, now_us() - start);
        snprintf(name, sizeof name, "   of which the clone call%s", kinds[i].name + strlen("clone+exit+wait"));
        record(name, cloned - start);
    }
    double start = now_us();
    pid_t pid = vfork();
    if (pid == 0) _exit(0);
    CHECK(waitpid(pid, NULL, 0));
    record("clone+exit+wait: CLONE_VM|CLONE_VFORK, nothing new", now_us() - start);
}

// A network namespace that stands ready, entered; and the same with its user namespace.
static void time_ready_network(void) {
    int up[2], down[2];
    char c, path[64];
    CHECK(pipe2(up, O_CLOEXEC));
    CHECK(pipe2(down, O_CLOEXEC));
    pid_t holder = clone_like_fork(CLONE_NEWUSER | CLONE_NEWNET);
    CHECK(holder);
    if (holder == 0) {
        close(down[1]);
        CHECK(write(up[1], "x", 1));
        CHECK(read(down[0], &c, 1));
        _exit(0);
    }
    CHECK(read(up[0], &c, 1));
    CHECK((snprintf(path, sizeof path, "/proc/%d/uid_map", holder), write_file(path, "0 1073741824 65536")));
    int pidfd = (int)TIMED("pidfd_open", syscall(SYS_pidfd_open, holder, 0));
    snprintf(path, sizeof path, "/proc/%d/ns/net", holder);
    int net = (int)CHECK(open(path, O_RDONLY | O_CLOEXEC));
    pid_t pid = clone_like_fork(0);
    CHECK(pid);
    if (pid == 0) {
        TIMED("setns(net) into a ready one, by namespace fd", setns(net, CLONE_NEWNET));
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0));
    pid = clone_like_fork(0);
    CHECK(pid);
    if (pid == 0) {
        TIMED("setns(user|net) into a ready pair, by pidfd", setns(pidfd, CLONE_NEWUSER | CLONE_NEWNET));
        TIMED("unshare(mnt|uts|ipc|cgroup|pid) after that", unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
                                                                   CLONE_NEWCGROUP | CLONE_NEWPID));
        _exit(0);
    }
    CHECK(waitpid(pid, NULL, 0));
    close(down[1]);
    CHECK(waitpid(holder, NULL, 0));
    close(up[0]), close(up[1]), close(down[0]), close(net), close(pidfd);
}

// How long PID 1 takes to end, by the number and kind of its mounts beside the host's tree it was born with.
static void time_teardown(int mounts, const char *type, int drop_host_tree) {
    char name[160];
    int up[2];
    char c;
    CHECK(pipe2(up, O_CLOEXEC));
    pid_t pid = clone_like_fork(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC);
    CHECK(pid);
    if (pid == 0) {
        CHECK(write_file("/proc/self/uid_map", "0 0 1"));
        CHECK(write_file("/proc/self/setgroups", "deny"));
        CHECK(write_file("/proc/self/gid_map", "0 0 1"));
        CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
        CHECK(mount("tmpfs", "/mnt", "tmpfs", 0, NULL));
        CHECK(chdir("/mnt"));
        for (int i = 0; i < mounts; i++) {
            char target[16];
            snprintf(target, sizeof target, "%d", i);
            CHECK(mkdir(target, 0755));
            if (*type == 'b')
                CHECK(mount("/usr", target, NULL, MS_BIND, NULL));
            else
                CHECK(mount(type, target, type, 0, NULL));
        }
        if (drop_host_tree) {
            CHECK(syscall(SYS_pivot_root, ".", "."));
            CHECK(umount2(".", MNT_DETACH));
        }
        CHECK(write(up[1], "x", 1));
        for (;;) pause();
    }
    CHECK(read(up[0], &c, 1));
    double start = now_us();
    CHECK(kill(pid, SIGKILL));
    CHECK(waitpid(pid, NULL, 0));
    snprintf(name, sizeof name, "SIGKILL of PID 1 to waitpid: %d %s mounts, host's tree %s", mounts, type,
             drop_host_tree ? "gone" : "there");
    record(name, now_us() - start);
    close(up[0]), close(up[1]);
}

// CLONE_NEWNS by the number of mounts it has to copy. `parent` runs in a mount namespace of its own.
static void time_copied_mounts(int rounds) {
    pid_t helper = clone_like_fork(CLONE_NEWNS);
    CHECK(helper);
    if (helper) {
        CHECK(waitpid(helper, NULL, 0));
        return;
    }
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    CHECK(mount("tmpfs", "/mnt", "tmpfs", 0, NULL));
    CHECK(chdir("/mnt"));
    static const char *names[] = {"clone+exit+wait: CLONE_NEWNS in a row, host's mounts",
                                  "clone+exit+wait: CLONE_NEWNS in a row, host's mounts and 64 binds",
                                  "clone+exit+wait: CLONE_NEWNS in a row, a single mount"};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; k == 1 && i < 64; i++) {
            char target[16];
            snprintf(target, sizeof target, "%d", i);
            CHECK(mkdir(target, 0755));
            CHECK(mount("/usr", target, NULL, MS_BIND, NULL));
        }
        if (k == 2) { // as for a zygote that lives on an empty tmpfs
            CHECK(mount("tmpfs", "/mnt", "tmpfs", 0, NULL));
            CHECK(chdir("/mnt"));
            CHECK(syscall(SYS_pivot_root, ".", "."));
            CHECK(umount2(".", MNT_DETACH));
        }
        for (int i = 0; i < rounds; i++) {
            double start = now_us();
            pid_t pid = clone_like_fork(CLONE_NEWNS);
            CHECK(pid);
            if (pid == 0) _exit(0);
            CHECK(waitpid(pid, NULL, 0));
            record(names[k], now_us() - start);
        }
    }
    _exit(0);
}

// What host, zygote and PID 1 say to each other.
static void time_messages(void) {
    int pair[2], got;
    TIMED("socketpair(SEQPACKET)", socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
    TIMED("pipe2", pipe2((int[2]){0}, O_CLOEXEC));
    char data[64] = {0}, control[CMSG_SPACE(3 * sizeof(int))] = {0};
    struct iovec vector = {data, sizeof data};
    struct msghdr plain = {.msg_iov = &vector, .msg_iovlen = 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(header), (int[]){0, 1, 2}, 3 * sizeof(int));
    TIMED("sendmsg of 64 bytes", sendmsg(pair[0], &plain, 0));
    TIMED("recvmsg of 64 bytes", recvmsg(pair[1], &plain, 0));
    TIMED("sendmsg of 64 bytes and three fds", sendmsg(pair[0], &message, 0));
    TIMED("recvmsg of 64 bytes and three fds", recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC));
    for (int i = 0; i < 3; i++) {
        memcpy(&got, CMSG_DATA(header) + (unsigned)i * sizeof got, sizeof got);
        close(got);
    }
    int file = (int)TIMED("memfd_create", memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    char page[4096] = {1};
    TIMED("write of one page to a memfd", write(file, page, sizeof page));
    TIMED("fcntl(F_ADD_SEALS)", fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
    void *mapped = (void *)TIMED("mmap of one page of it", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0));
    munmap(mapped, 4096);
    TIMED("close of a memfd with a page", close(file));
    close(pair[0]), close(pair[1]);
}

static void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu >= 0)
        CPU_SET(cpu, &set);
    else
        for (int i = 0; i < CPU_SETSIZE; i++) CPU_SET(i, &set);
    sched_setaffinity(0, sizeof set, &set);
}

// There and back between two processes that sleep in between.
static void time_round_trips(int count, int mine, int theirs, const char *name, int with_pause) {
    int pair[2];
    char data[64] = {0};
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
    pid_t pid = clone_like_fork(0);
    CHECK(pid);
    if (pid == 0) {
        close(pair[0]);
        pin(theirs);
        while (recv(pair[1], data, sizeof data, 0) > 0) CHECK(send(pair[1], data, sizeof data, 0));
        _exit(0);
    }
    close(pair[1]);
    pin(mine);
    for (int i = 0; i < count; i++) {
        if (with_pause) usleep(5000);
        double start = now_us();
        CHECK(send(pair[0], data, sizeof data, 0));
        CHECK(recv(pair[0], data, sizeof data, 0));
        record(name, now_us() - start);
    }
    pin(-1);
    close(pair[0]);
    CHECK(waitpid(pid, NULL, 0));
}

// A cgroup's life, the way in by tasks (a task moves itself) and by cgroup.procs.
static void time_cgroup(int with_pause) {
    if (access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK)) return;
    char path[96];
    const char *when = with_pause ? ", after 20 ms of idleness" : "";
    char name[160];
    for (int way = 0; way < 2; way++) {
        if (with_pause) usleep(20000);
        snprintf(name, sizeof name, "cgroup v1 memory: mkdir%s", when);
        TIMED(name, mkdir(memory_cgroup, 0755));
        snprintf(path, sizeof path, "%s/memory.limit_in_bytes", memory_cgroup);
        snprintf(name, sizeof name, "cgroup v1 memory: write of the limit%s", when);
        TIMED(name, write_file(path, "67108864"));
        snprintf(path, sizeof path, "%s/%s", memory_cgroup, way ? "cgroup.procs" : "tasks");
        snprintf(name, sizeof name, "cgroup v1 memory: a task joins by %s%s", way ? "cgroup.procs" : "tasks", when);
        pid_t pid = clone_like_fork(0);
        CHECK(pid);
        if (pid == 0) {
            TIMED(name, write_file(path, "0"));
            _exit(0);
        }
        CHECK(waitpid(pid, NULL, 0));
        snprintf(name, sizeof name, "cgroup v1 memory: rmdir%s", when);
        TIMED(name, rmdir(memory_cgroup));
    }
    snprintf(name, sizeof name, "cgroup v1 pids: mkdir%s", when);
    TIMED(name, mkdir(pids_cgroup, 0755));
    snprintf(name, sizeof name, "cgroup v1 pids: rmdir%s", when);
    TIMED(name, rmdir(pids_cgroup));
}

static int spawn_and_wait(const char *path, char *const argv[]) {
    pid_t pid = vfork();
    if (pid == 0) {
        execve(path, argv, (char *[]){NULL});
        _exit(127);
    }
    int status;
    CHECK(waitpid(pid, &status, 0));
    return status ? -1 : 0;
}

static void prepare_dev_template(void) {
    int fd = (int)CHECK(fsopen("tmpfs"));
    CHECK(fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    dev_template = (int)CHECK(fsmount(fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
    CHECK(mknodat(dev_template, "null", S_IFCHR | 0666, 0x103));
    CHECK(mknodat(dev_template, "zero", S_IFCHR | 0666, 0x105));
    close(fd);
}

int main(int argc, char **argv) {
    char busybox[512];
    if (argc < 2) {
        fprintf(stderr, "usage: kernel ROOTFS [ROUNDS]\n");
        return 2;
    }
    bench_init();
    moment = mmap(NULL, sizeof *moment, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!(rootfs = realpath(argv[1], NULL))) die(argv[1]);
    int rounds = argc > 2 ? atoi(argv[2]) : 200;
    snprintf(busybox, sizeof busybox, "%s/bin/busybox", rootfs);
    prepare_dev_template();

    for (int i = 0; i < rounds; i++) {
        time_container(i);
        settle();
    }
    for (int i = 0; i < rounds; i++) {
        time_clones();
        settle();
        if (i % 4 == 0) time_ready_network(), settle();
    }
    for (int i = 0; i < rounds; i++) {
        time_messages();
        time_cgroup(0);
    }
    for (int i = 0; i < rounds; i++) {
        TIMED("vfork+exec+wait: busybox true", spawn_and_wait(busybox, (char *[]){"true", NULL}));
        TIMED("vfork+exec+wait: the host's /bin/true", spawn_and_wait("/bin/true", (char *[]){"true", NULL}));
    }
    for (int i = 0; i < rounds / 4; i++) {
        for (int gone = 0; gone < 2; gone++) {
            time_teardown(0, "bind", gone);
            time_teardown(16, "bind", gone);
            time_teardown(64, "bind", gone);
            time_teardown(16, "tmpfs", gone);
        }
        time_teardown(1, "proc", 1);
        time_teardown(1, "mqueue", 1);
        time_teardown(1, "devpts", 1);
    }
    for (int i = 0; i < 40; i++) time_cgroup(1);
    time_copied_mounts(rounds);
    time_round_trips(500, 0, 0, "round trip by SEQPACKET: same cpu", 0);
    time_round_trips(500, 0, 1, "round trip by SEQPACKET: other cpu", 0);
    time_round_trips(500, -1, -1, "round trip by SEQPACKET: as the scheduler likes", 0);
    time_round_trips(100, 0, 1, "round trip by SEQPACKET: other cpu, after 5 ms of idleness", 1);
    time_round_trips(100, 0, 0, "round trip by SEQPACKET: same cpu, after 5 ms of idleness", 1);

    printf("%-78s %9s %9s %9s %6s\n", "microseconds", "median", "min", "p90", "n");
    for (int i = 0; i < *series_used; i++) {
        struct series *s = &all_series[i];
        printf("%-78s %9.1f %9.1f %9.1f %6d\n", s->name, quantile(s, 0.5), quantile(s, 0), quantile(s, 0.9), s->count);
    }
    return 0;
}
