// What the kernel charges for each wall: where the time of a lifecycle must go, whoever writes it, and what the
// alternatives would cost.
//
//   kernel ROOTFS [ROUNDS]       ROOTFS: a directory with busybox, /proc, /dev, /sys; it is only read
//
// Needs root and a kernel >= 6.15 (overlay layers by descriptor). Leaves nothing: all mounts are in private namespaces,
// the cgroups are named ctr-bench-kernel and removed.
#define _GNU_SOURCE
#include "kernel.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char memory_cgroup[64] = "/sys/fs/cgroup/memory/ctr-bench-kernel";
static char pids_cgroup[64] = "/sys/fs/cgroup/pids/ctr-bench-kernel";

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
    struct msghdr message = plain;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
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

int main(int argc, char **argv) {
    char busybox[512];
    if (argc < 2) {
        fprintf(stderr, "usage: kernel ROOTFS [ROUNDS]\n");
        return 2;
    }
    bench_init();
    const char *rootfs = realpath(argv[1], NULL);
    if (!rootfs) die(argv[1]);
    int rounds = argc > 2 ? atoi(argv[2]) : 200;
    snprintf(busybox, sizeof busybox, "%s/bin/busybox", rootfs);
    prepare_container(rootfs);

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
    struct series *s;
    for (int i = 0; (s = series_at(i)); i++)
        printf("%-78s %9.1f %9.1f %9.1f %6d\n", s->name, quantile(s, 0.5), quantile(s, 0), quantile(s, 0.9), s->count);
    return 0;
}