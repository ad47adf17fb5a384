// The floor: the least that the kernel can be asked for to get a container's walls, and nothing else. What ctr takes
// beyond it is what ctr costs.
#ifndef FLOOR_H
#define FLOOR_H

#include <limits.h>

struct floor {
    const char *rootfs;     // lower layer of the overlay, only read
    const char *program;    // run inside, without arguments; must succeed
    char scratch[PATH_MAX]; // a directory on a tmpfs, where upper, work and mount point come and go
    char cgroup[PATH_MAX];  // a memory cgroup, made and removed each time; empty where the machine has none
    int cgroup_v2;
    int has_all_walls; // those of walls.h too
};

// `tmpfs` is a directory on a tmpfs; every thread and process needs a floor of its own.
void floor_open(struct floor *f, const char *rootfs, const char *program, const char *tmpfs, int has_all_walls);
void floor_close(struct floor *f);

// One lifecycle: user, mount, pid, uts, ipc, cgroup and net namespaces, a fresh overlay, a memory cgroup with a limit
// of 64 MiB, /proc, pivot_root, exec, reap, remove. Ends the process with a message where a step fails.
void floor_lifecycle(struct floor *f);

#endif
