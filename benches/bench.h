// What every benchmark program here needs: a clock, samples with names, and a way to stop with a reason.
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_SERIES 192
#define MAX_SAMPLES 2048

// Samples live in shared memory, so that children in namespaces of their own add to the same series as their parent.
struct series {
    char name[160];
    int count;
    float us[MAX_SAMPLES];
};

void bench_init(void);

// The series of that name, a new one if there is none; and the series number `index`, in the order in which they were
// first named, NULL after the last.
struct series *series(const char *name);
struct series *series_at(int index);

void record(const char *name, double us);

// A quantile of the samples, 0 if there are none. It sorts them: call it when no more are to come.
double quantile(struct series *s, double q);

// Prints a comparison for table.awk: the row's name, then median, minimum and 90th percentile of two series.
void print_row(const char *row, const char *ours, const char *other);

// Ends the process with `what` and errno in words.
__attribute__((noreturn)) void die(const char *what);

static inline double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

// The result of a call that must not be negative.
#define CHECK(call)                   \
    ({                                \
        long checked_ = (long)(call); \
        if (checked_ < 0) die(#call); \
        checked_;                     \
    })

// The same, timed under a name.
#define TIMED(name, call)                  \
    ({                                     \
        double start_ = now_us();          \
        long result_ = (long)(call);       \
        double spent_ = now_us() - start_; \
        if (result_ < 0) die(name);        \
        record(name, spent_);              \
        result_;                           \
    })

#endif
