// One container put together by hand, every step timed on its own, in the order and in the namespaces in which ctr
// takes them, with the alternatives to a step right beside it.
#define _GNU_SOURCE
#include "kernel.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HOST_ROOT_OF_CONTAINER 0x40000000u

static const char *rootfs;
static int dev_template;
static double *moment; // in shared memory: when the container's PID 1 called _exit

void prepare_container(const char *image) {
    rootfs = image;
    moment = mmap(NULL, sizeof *moment, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (moment == MAP_FAILED) die("mmap");
    int fd = (int)CHECK(fsopen("tmpfs"));
    CHECK(fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    dev_template = (int)CHECK(fsmount(fd, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
    CHECK(mknodat(dev_template, "null", S_IFCHR | 0666, 0x103));
    CHECK(mknodat(dev_template, "zero", S_IFCHR | 0666, 0x105));
    close(fd);
}

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
    if (as_tree) // level by level: node i of `width` has its children `width + i - 1` further on and next to it
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
        int device = (int)TIMED("/dev node: open_tree(CLONE) of the host's",
                                open_tree(AT_FDCWD, path, OPEN_TREE_CLONE));
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
    snprintf(options, sizeof options,
             "userxattr,lowerdir=/proc/self/fd/%d,upperdir=/mnt/upper2,workdir=/mnt/work2", lower);
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
void time_container(int round) {
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
