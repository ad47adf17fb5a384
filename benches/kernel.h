// System calls that glibc lacks or hides, for the two parts of benches/kernel.
#ifndef KERNEL_H
#define KERNEL_H

#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>

#include "bench.h"

// glibc's sys/mount.h collides with linux/mount.h; these are all that is needed of it.
int mount(const char *, const char *, const char *, unsigned long, const void *);
int umount2(const char *, int);
#define MNT_DETACH 2

#define ALL_NAMESPACES \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP)

static inline int fsopen(const char *type) { return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC); }
static inline int fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux) {
    return (int)syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}
static inline int fsmount(int fd, unsigned attributes) {
    return (int)syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes);
}
static inline int open_tree(int dir, const char *path, unsigned flags) {
    return (int)syscall(SYS_open_tree, dir, path, flags | OPEN_TREE_CLOEXEC);
}
static inline int move_mount(int from, int to, const char *path) {
    return (int)syscall(SYS_move_mount, from, "", to, path, MOVE_MOUNT_F_EMPTY_PATH);
}
static inline int mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *attr) {
    return (int)syscall(SYS_mount_setattr, dir, path, flags, attr, sizeof *attr);
}

// clone(2) as fork uses it: the child returns here, on a copy of this stack.
static inline pid_t clone_like_fork(unsigned long flags) {
    return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static inline int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    long written = write(fd, text, strlen(text));
    close(fd);
    return written < 0 ? -1 : 0;
}

// kernel_container.c: once before all else, then one container, timed step by step, each time.
void prepare_container(const char *rootfs);
void time_container(int round);

#endif
