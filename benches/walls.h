// The walls that a container of ctr's default has and the floor lacks, put up by hand, each in the cheapest way we know.
// What a container has besides is left out here too: ids for more than root, an image that is mapped to them, a PID 1
// that reaps, a record by which others find it.
#ifndef WALLS_H
#define WALLS_H

// Which masked and read-only places this machine has; once, before the first container.
void walls_look(void);

// In the root to be, before the pivot, with /proc there: /dev, /sys, the loopback device, masks. `empty` is a directory
// with nothing in it.
void walls_put_up(const char *empty);

// Just before the program: hostname, keyring, no core files, capabilities, no_new_privs, Landlock, seccomp.
void walls_put_up_last(void);

#endif
