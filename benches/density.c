// Many containers at once: whether the last is made as fast as the first, what each takes, and how fast all are listed and removed.
//
//   density IMAGE COUNT          rows for table.awk, as lifecycle.c prints them
//
// Every container has a limit of memory and of processes, and sleeps: its PID 1 serves and no program runs in it.
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/resource.h>

#include "bench.h"
#include "ours.h"

#define MEMORY_LIMIT (64u << 20)
#define PIDS_LIMIT 64
#define THREADS 16
#define AT_ONCE 200
#define HUNDRED 100
#define MAX_CONTAINERS 4096

static const char *image;
static ctr_config *limited;
static ctr_container *all[MAX_CONTAINERS];

static ctr_container *create(void) {
    ctr_container *c;
    OURS(ctr_create(image, limited, &c));
    return c;
}

// Half of the pages that the containers share with the zygote is what each has of them where there are few; of many it is less.
static long pss_of(int pid) {
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "re");
    if (!file) die(path);
    while (kib < 0 && fgets(line, sizeof line, file))
        if (!strncmp(line, "Pss:", 4)) kib = atol(line + 4);
    fclose(file);
    return kib;
}

// How long a process has been on a processor, in microseconds: the first number of /proc/PID/schedstat.
static double ran_us(int pid) {
    char path[64], text[64] = {0};
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    int fd = (int)CHECK(open(path, O_RDONLY | O_CLOEXEC));
    CHECK(read(fd, text, sizeof text - 1));
    close(fd);
    return atof(text) / 1e3;
}

static int parent_of(int pid) {
    char path[64], line[256];
    int parent = -1;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    if (!file) die(path);
    while (parent < 0 && fgets(line, sizeof line, file))
        if (!strncmp(line, "PPid:", 5)) parent = atoi(line + 5);
    fclose(file);
    return parent;
}

// A hundred containers, from number `first` on, and what all processes of ours have spent on each.
static void a_hundred(int first, const char *clock, const char *processor) {
    int zygote = 0;
    double spent = 0;
    for (int i = 0; i < HUNDRED; i++) {
        double start = now_us();
        all[first + i] = create();
        record(clock, now_us() - start);
        if (i) continue;
        // The zygote is known from here on.
        zygote = parent_of(ctr_pid(all[first]));
        spent = -ran_us(getpid()) - ran_us(zygote);
    }
    spent += ran_us(getpid()) + ran_us(zygote);
    for (int i = 1; i < HUNDRED; i++) spent += ran_us(ctr_pid(all[first + i]));
    record(processor, spent / (HUNDRED - 1));
}

static void one_after_another(int count) {
    char name[32];
    for (int i = 0; i < count; i += HUNDRED) {
        const char *which = i == 0 ? "first" : i == count - HUNDRED ? "last" : "other";
        char clock[32], processor[32];
        snprintf(clock, sizeof clock, "%s creates", which);
        snprintf(processor, sizeof processor, "%s creates, cpu", which);
        a_hundred(i, clock, processor);
    }
    print_row("density_create", "last creates", "first creates");
    print_row("density_create_cpu", "last creates, cpu", "first creates, cpu");
    for (int i = 0; i < 20; i++) {
        ctr_container_list *list;
        double start = now_us();
        OURS(ctr_list(&list));
        record("list", now_us() - start);
        if (ctr_list_count(list) < count) {
            fprintf(stderr, "bench: %d of %d containers are listed\n", ctr_list_count(list), count);
            _exit(122);
        }
        ctr_list_free(list);
    }
    print_row("density_list", "list", "list");
    for (int i = 0; i < count; i++) record("pss", (double)pss_of(ctr_pid(all[i])));
    print_row("density_memory", "pss", "pss");
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s destroys", i < HUNDRED ? "first" : i >= count - HUNDRED ? "last" : "other");
        double start = now_us();
        OURS(ctr_destroy(all[i]));
        record(name, now_us() - start);
        record("destroy", now_us() - start);
    }
    print_row("density_destroy", "destroy", "last destroys");
    print_row("density_destroy_first", "first destroys", "last destroys");
}

static pthread_barrier_t barrier;
static int next;

static void *some(void *unused) {
    pthread_barrier_wait(&barrier);
    for (int i; (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < AT_ONCE;) all[i] = create();
    return unused;
}

static void at_once(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        if ((errno = pthread_create(&threads[i], NULL, some, NULL))) die("pthread_create");
    pthread_barrier_wait(&barrier);
    double start = now_us();
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    record("at once", (now_us() - start) / AT_ONCE);
    for (int i = 0; i < AT_ONCE; i++) OURS(ctr_destroy(all[i]));
    next = 0;
    for (int i = 0; i < AT_ONCE; i++) {
        start = now_us();
        all[i] = create();
        record("alone", now_us() - start);
    }
    for (int i = 0; i < AT_ONCE; i++) OURS(ctr_destroy(all[i]));
    print_row("density_at_once", "at once", "alone");
}

int main(int argc, char **argv) {
    int count = argc == 3 ? atoi(argv[2]) : 0;
    if (count < 2 * HUNDRED || count > MAX_CONTAINERS || count % HUNDRED) {
        fprintf(stderr, "usage: density IMAGE COUNT\n");
        return 2;
    }
    image = argv[1];
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files));
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files));
    bench_init();
    if (!(limited = ctr_config_new())) die("ctr_config_new");
    OURS(ctr_config_set_memory(limited, MEMORY_LIMIT));
    OURS(ctr_config_set_pids(limited, PIDS_LIMIT));
    for (int i = 0; i < 20; i++) OURS(ctr_destroy(create()));
    one_after_another(count);
    at_once();
    ctr_config_free(limited);
    return 0;
}
