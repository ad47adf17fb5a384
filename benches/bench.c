// See bench.h.
#define _GNU_SOURCE
#include "bench.h"

#include <sys/mman.h>

static struct shared {
    int used;
    struct series all[MAX_SERIES];
} *shared;

void die(const char *what) {
    dprintf(2, "bench: %s: %s\n", what, strerror(errno));
    _exit(121);
}

void bench_init(void) {
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("mmap of the samples");
}

struct series *series_at(int index) { return index < shared->used ? &shared->all[index] : NULL; }

struct series *series(const char *name) {
    struct series *s;
    for (int i = 0; (s = series_at(i)); i++)
        if (!strcmp(s->name, name)) return s;
    if (shared->used == MAX_SERIES) {
        errno = ENOSPC;
        die(name);
    }
    s = &shared->all[shared->used++];
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

void record(const char *name, double us) {
    struct series *s = series(name);
    if (s->count < MAX_SAMPLES) s->us[s->count++] = (float)us;
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

double quantile(struct series *s, double q) {
    if (!s->count) return 0;
    qsort(s->us, (size_t)s->count, sizeof *s->us, by_value);
    return s->us[(int)((s->count - 1) * q + 0.5)];
}

static void print_side(struct series *s) {
    printf("\t%.3f\t%.3f\t%.3f", quantile(s, 0.5), quantile(s, 0), quantile(s, 0.9));
}

void print_row(const char *row, const char *ours, const char *other) {
    printf("%s", row);
    print_side(series(ours));
    print_side(series(other));
    printf("\t%d\n", series(ours)->count);
    fflush(stdout);
}
