// Calls of libctr that must not fail.
#ifndef OURS_H
#define OURS_H

#include <ctr.h>
#include <stdio.h>
#include <unistd.h>

#define OURS(call)                                                         \
    do {                                                                   \
        if ((call) != 0) {                                                 \
            fprintf(stderr, "bench: %s: %s\n", #call, ctr_last_error());   \
            _exit(122);                                                    \
        }                                                                  \
    } while (0)

#endif
