// What every benchmark program here needs: a clock, samples with names, and a way to stop with a reason.
//
// Samples live in shared memory, so that a child in namespaces of its own can add to the same series as its parent.
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MAX_SERIES 192
#define MAX_SAMPLES 2048

struct series {
    char name[160];
    int count;
    float us[MAX_SAMPLES];
};

static struct series *all_series;
static int *series_used;

static inline double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline void bench_init(void) {
    size_t size = sizeof(int) + MAX_SERIES * sizeof(struct series);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap of the samples");
        exit(1);
    }
    all_series = memory;
    series_used = (int *)(all_series + MAX_SERIES);
}

static inline void die(const char *what) {
    dprintf(2, "bench: %s: %s\n", what, strerror(errno));
    _exit(121);
}

#define CHECK(call)                       \
    ({                                    \
        long checked_ = (long)(call);     \
        if (checked_ < 0) die(#call);     \
        checked_;                         \
    })

// Series in the order in which they were first named: that is the order in which they are printed.
static inline struct series *series(const char *name) {
    for (int i = 0; i < *series_used; i++)
        if (!strcmp(all_series[i].name, name)) return &all_series[i];
    if (*series_used == MAX_SERIES) {
        errno = ENOSPC;
        die(name);
    }
    struct series *s = &all_series[(*series_used)++];
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

static inline void record(const char *name, double us) {
    struct series *s = series(name);
    if (s->count < MAX_SAMPLES) s->us[s->count++] = (float)us;
}

// Times one call, which must not fail, under a name.
#define TIMED(name, call)                 \
    ({                                    \
        double start_ = now_us();         \
        long result_ = (long)(call);      \
        double spent_ = now_us() - start_; \
        if (result_ < 0) die(name);       \
        record(name, spent_);             \
        result_;                          \
    })

static inline int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// Sorts the samples; call it when no more are to come.
static inline double quantile(struct series *s, double q) {
    if (!s->count) return 0;
    qsort(s->us, (size_t)s->count, sizeof *s->us, by_value);
    return s->us[(int)((s->count - 1) * q + 0.5)];
}

#endif
