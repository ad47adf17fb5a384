// What a named network costs a create, beside one with loopback only; and the last of a hundred members beside the first ones.
//
//   networks IMAGE [BATCHES]      in a network namespace that plays the host; rows as lifecycle.c prints them
#define _GNU_SOURCE
#include "bench.h"
#include "ours.h"

#define COUNT 10
#define WARM 3
#define MEMBERS 100
#define FEW 10

static ctr_container *create(const char *image, const ctr_config *config, const char *name) {
    ctr_container *c;
    double start = now_us();
    OURS(ctr_create(image, config, &c));
    if (name) record(name, now_us() - start);
    return c;
}

static void creates(const char *image, const ctr_config *config, const char *name, const char *end) {
    for (int i = 0; i < WARM + COUNT; i++) {
        ctr_container *c = create(image, config, i < WARM ? NULL : name);
        double start = now_us();
        OURS(ctr_destroy(c));
        if (i >= WARM) record(end, now_us() - start);
    }
}

int main(int argc, char **argv) {
    int batches = argc > 2 ? atoi(argv[2]) : 20;
    if (argc < 2) {
        fprintf(stderr, "usage: networks IMAGE [BATCHES]\n");
        return 2;
    }
    bench_init();
    ctr_config *none = ctr_config_new(), *member = ctr_config_new();
    if (!none || !member) die("ctr_config_new");
    OURS(ctr_network("ctr-bench", NULL, NULL, NULL));
    OURS(ctr_config_set_network(member, "ctr-bench"));
    // One that stays: the bridge is there already, as it is for all but the first member.
    ctr_container *first = create(argv[1], member, NULL);
    for (int i = 0; i < batches; i++) {
        creates(argv[1], none, "none", "destroy none");
        creates(argv[1], member, "member", "destroy member");
    }
    OURS(ctr_destroy(first));
    for (int i = 0; i < batches / 4; i++) {
        ctr_container *all[MEMBERS];
        for (int m = 0; m < MEMBERS; m++)
            all[m] = create(argv[1], member, m < FEW ? "first" : m >= MEMBERS - FEW ? "last" : NULL);
        for (int m = 0; m < MEMBERS; m++) OURS(ctr_destroy(all[m]));
    }
    OURS(ctr_network_remove("ctr-bench", NULL));
    print_row("network_create", "member", "none");
    print_row("network_destroy", "destroy member", "destroy none");
    print_row("network_last", "last", "first");
    return 0;
}
