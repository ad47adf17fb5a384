// What one limit more costs a create: containers that have it take turns with containers that have a limit of memory alone.
//
//   limits IMAGE DISK [BATCHES]      DISK is a block device that is given a rate, "-" for none; rows as lifecycle.c prints them
//
// Creates only: a program runs in between, as it does in use, and each container is destroyed before the next.
#define _GNU_SOURCE
#include "bench.h"
#include "ours.h"

#define MEMORY_LIMIT (64u << 20)
#define COUNT 10
#define WARM 3

static const char *image, *disk;

static int memory(ctr_config *c) { return ctr_config_set_memory(c, MEMORY_LIMIT); }
static int none(ctr_config *c) { return ctr_config_set_memory(c, CTR_UNLIMITED); }
static int pids(ctr_config *c) { return ctr_config_set_pids(c, 64); }
static int cpus(ctr_config *c) { return ctr_config_set_cpus(c, 1000); }
static int cpuset(ctr_config *c) { return ctr_config_set_cpuset(c, "0"); }
static int io(ctr_config *c) {
    char line[256];
    snprintf(line, sizeof line, "%s rbps=1073741824", disk);
    return ctr_config_add_io(c, line);
}

static const struct {
    const char *row;
    int (*with)(ctr_config *), (*without)(ctr_config *);
} limits[] = {{"limit_memory", memory, none},   {"limit_pids", pids, memory}, {"limit_cpus", cpus, memory},
              {"limit_cpuset", cpuset, memory}, {"limit_io", io, memory}};

static void creates(const ctr_config *config, const char *name) {
    static const char *const argv[] = {"/bin/true", NULL};
    for (int i = 0; i < WARM + COUNT; i++) {
        ctr_container *c;
        ctr_process *p;
        ctr_exit end;
        double start = now_us();
        OURS(ctr_create(image, config, &c));
        double spent = now_us() - start;
        OURS(ctr_exec(c, argv, NULL, &p));
        OURS(ctr_process_wait(p, -1, &end));
        ctr_process_free(p);
        OURS(ctr_destroy(c));
        if (i >= WARM) record(name, spent);
    }
}

static ctr_config *limited(int (*set)(ctr_config *)) {
    ctr_config *config = ctr_config_new();
    if (!config) die("ctr_config_new");
    OURS(memory(config));
    OURS(set(config));
    return config;
}

int main(int argc, char **argv) {
    int batches = argc > 3 ? atoi(argv[3]) : 40;
    if (argc < 3) {
        fprintf(stderr, "usage: limits IMAGE DISK [BATCHES]\n");
        return 2;
    }
    image = argv[1];
    disk = argv[2];
    bench_init();
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (limits[i].with == io && !strcmp(disk, "-")) continue;
        ctr_config *with = limited(limits[i].with), *without = limited(limits[i].without);
        for (int batch = 0; batch < batches; batch++) {
            if (batch % 2) creates(with, "with");
            creates(without, "without");
            if (batch % 2 == 0) creates(with, "with");
        }
        print_row(limits[i].row, "with", "without");
        series("with")->count = series("without")->count = 0;
        ctr_config_free(with);
        ctr_config_free(without);
    }
    return 0;
}
