// See floor.h. The child shares our memory and stops us until its exec, as vfork(2) does, so the size of the caller
// never counts; it maps its own ids and joins its cgroup by itself, which are the cheapest ways: writing "0" into
// `tasks` of cgroup v1 spares the wait for an RCU grace period that `cgroup.procs` takes, and in v2 the child is cloned
// inside.
#define _GNU_SOURCE
#include "floor.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "bench.h"
#include "walls.h"

#define NAMESPACES \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWNET)
#define LIMIT "67108864"

static void path_in(char *path, const char *directory, const char *name) {
    if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        die(directory);
    }
}

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) die(path);
    close(fd);
}

void floor_open(struct floor *f, const char *rootfs, const char *program, const char *tmpfs, int has_all_walls) {
    static const struct {
        const char *root, *limit;
        int v2;
    } hierarchies[] = {
        {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", 0},
        {"/sys/fs/cgroup", "memory.max", 1},
        {"/sys/fs/cgroup/unified", "memory.max", 1},
    };
    char name[64], limit[PATH_MAX];
    snprintf(name, sizeof name, "ctr-floor-%d-%lx", getpid(), (unsigned long)f);
    f->rootfs = rootfs;
    f->program = program;
    f->has_all_walls = has_all_walls;
    path_in(f->scratch, tmpfs, name);
    CHECK(mkdir(f->scratch, 0755));
    path_in(limit, f->scratch, "empty");
    CHECK(mkdir(limit, 0555));
    walls_look();
    for (int i = 0; i < 3; i++) {
        path_in(f->cgroup, hierarchies[i].root, name);
        path_in(limit, f->cgroup, hierarchies[i].limit);
        f->cgroup_v2 = hierarchies[i].v2;
        if (mkdir(f->cgroup, 0755)) continue;
        int usable = !access(limit, W_OK);
        CHECK(rmdir(f->cgroup));
        if (usable) return;
    }
    f->cgroup[0] = 0;
}

void floor_close(struct floor *f) {
    char path[PATH_MAX];
    path_in(path, f->scratch, "empty");
    CHECK(rmdir(path));
    CHECK(rmdir(f->scratch));
}

// Runs on a copy of nothing: our own memory, deeper in our own stack. It never returns.
static __attribute__((noreturn, noinline)) void child(const struct floor *f) {
    char path[PATH_MAX], options[3 * PATH_MAX];
    char *argv[] = {(char *)f->program, NULL}, *environment[] = {"PATH=/bin", NULL};
    if (f->cgroup[0] && !f->cgroup_v2) {
        path_in(path, f->cgroup, "tasks");
        write_file(path, "0");
    }
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", "0 0 1");
    write_file("/proc/self/gid_map", "0 0 1");
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    snprintf(options, sizeof options, "userxattr,lowerdir=%s,upperdir=%s/upper,workdir=%s/work", f->rootfs, f->scratch,
             f->scratch);
    path_in(path, f->scratch, "root");
    CHECK(mount("overlay", path, "overlay", 0, options));
    CHECK(chdir(path));
    CHECK(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    if (f->has_all_walls) {
        path_in(path, f->scratch, "empty");
        walls_put_up(path);
    }
    CHECK(syscall(SYS_pivot_root, ".", "."));
    CHECK(umount2(".", MNT_DETACH));
    CHECK(chdir("/"));
    if (f->has_all_walls) walls_put_up_last();
    execve(f->program, argv, environment);
    die(f->program);
    _exit(121);
}

// clone3(2) as vfork(2): inlined, so that no return address lies where the child's calls would overwrite it.
static inline __attribute__((always_inline)) long clone3(struct clone_args *args) {
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(SYS_clone3), "D"(args), "S"(sizeof *args)
                     : "rcx", "r11", "memory");
    return result;
}

void floor_lifecycle(struct floor *f) {
    static const char *const directories[] = {"upper", "work", "root"};
    static const char *const leftovers[] = {"upper", "work/work", "work", "root"};
    char path[PATH_MAX];
    struct clone_args args = {.flags = NAMESPACES | CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    int status, group = -1;

    for (int i = 0; i < 3; i++) {
        path_in(path, f->scratch, directories[i]);
        CHECK(mkdir(path, 0755));
    }
    if (f->cgroup[0]) {
        CHECK(mkdir(f->cgroup, 0755));
        path_in(path, f->cgroup, f->cgroup_v2 ? "memory.max" : "memory.limit_in_bytes");
        write_file(path, LIMIT);
        if (f->cgroup_v2) {
            args.flags |= CLONE_INTO_CGROUP;
            args.cgroup = (uint64_t)(group = (int)CHECK(open(f->cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC)));
        }
    }
    long pid = clone3(&args);
    if (pid == 0) child(f);
    if (pid < 0) {
        errno = (int)-pid;
        die("clone3");
    }
    CHECK(waitpid((pid_t)pid, &status, 0));
    if (status) {
        errno = ECHILD;
        die(f->program);
    }
    // Nothing was written, so the overlay leaves no more than its own empty directories.
    for (int i = 0; i < 4; i++) {
        path_in(path, f->scratch, leftovers[i]);
        CHECK(rmdir(path));
    }
    if (group >= 0) close(group);
    if (f->cgroup[0]) CHECK(rmdir(f->cgroup));
}
