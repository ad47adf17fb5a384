// Many containers at once: whether the last is made as fast as the first, what each takes, and how fast all are listed and removed.
//
//   density many IMAGE COUNT [COMMAND...]       COMMAND lists them, as `libctr ps` does; it is measured as a whole process
//   density beside IMAGE COUNT START REMOVE     as many of another engine: commands without a shell, in which @ is the number
//
// Every container has a limit of memory and of processes, and sleeps: its PID 1 serves and no program runs in it. Rows are for
// table.awk, as lifecycle.c prints them. Processor time is told beside the clock's: it is what a busy machine blurs least.
#define _GNU_SOURCE
#include <pthread.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench.h"
#include "ours.h"

#define MEMORY_LIMIT (64u << 20)
#define PIDS_LIMIT 64
#define THREADS 16
#define AT_ONCE 200
#define HUNDRED 100
#define MAX_CONTAINERS 4096

extern char **environ;

static const char *image;
static ctr_config *limited;
static ctr_container *all[MAX_CONTAINERS];

static ctr_container *create(void) {
    ctr_container *c;
    OURS(ctr_create(image, limited, &c));
    return c;
}

// Proportional: of the pages that all of them share each has its part.
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

// Runs a command to its end, with nothing to say.
static void command(char *const argv[]) {
    posix_spawn_file_actions_t quiet;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&quiet);
    for (int fd = 0; fd < 3; fd++) posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_RDWR, 0);
    errno = posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ);
    if (errno) die(argv[0]);
    CHECK(waitpid(pid, &status, 0));
    if (status) {
        errno = ECHILD;
        die(argv[0]);
    }
    posix_spawn_file_actions_destroy(&quiet);
}

static void one_after_another(int count, char **ps) {
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
    for (int i = 0; *ps && i < 20; i++) {
        double start = now_us();
        command(ps);
        record("ps", now_us() - start);
    }
    if (*ps) print_row("density_ps", "ps", "list");
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

// A command line for container number `number`.
static void numbered(const char *line, int number) {
    char text[4096], *argv[64];
    size_t length = 0;
    for (const char *at = line; *at && length < sizeof text - 16; at++) {
        if (*at == '@') length += (size_t)sprintf(text + length, "%d", number);
        else text[length++] = *at;
    }
    text[length] = 0;
    int words = 0;
    for (char *word = strtok(text, " "); word && words < 63; word = strtok(NULL, " ")) argv[words++] = word;
    argv[words] = NULL;
    command(argv);
}

// All are started, then all are removed; microseconds for the whole of it.
static void beside(int count, const char *start_other, const char *remove_other) {
    for (int round = 0; round < 3; round++) {
        double start = now_us();
        for (int i = 0; i < count; i++) all[i] = create();
        double started = now_us();
        for (int i = 0; i < count; i++) OURS(ctr_destroy(all[i]));
        double removed = now_us();
        for (int i = 0; i < count; i++) numbered(start_other, i);
        double other_started = now_us();
        for (int i = 0; i < count; i++) numbered(remove_other, i);
        record("start", started - start);
        record("remove", removed - started);
        record("start of the other", other_started - removed);
        record("removal of the other", now_us() - other_started);
    }
    print_row("density_start_other", "start", "start of the other");
    print_row("density_remove_other", "remove", "removal of the other");
}

int main(int argc, char **argv) {
    int is_many = argc >= 4 && !strcmp(argv[1], "many"), is_beside = argc == 6 && !strcmp(argv[1], "beside");
    int count = is_many || is_beside ? atoi(argv[3]) : 0;
    if (count < 2 * HUNDRED || count > MAX_CONTAINERS || count % HUNDRED) {
        fprintf(stderr, "usage: density many IMAGE COUNT [COMMAND...] | beside IMAGE COUNT START REMOVE\n");
        return 2;
    }
    image = argv[2];
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files));
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files));
    bench_init();
    if (!(limited = ctr_config_new())) die("ctr_config_new");
    OURS(ctr_config_set_memory(limited, MEMORY_LIMIT));
    OURS(ctr_config_set_pids(limited, PIDS_LIMIT));
    for (int i = 0; i < 20; i++) OURS(ctr_destroy(create()));
    if (is_many) {
        one_after_another(count, argv + 4);
        at_once();
    } else {
        beside(count, argv[4], argv[5]);
    }
    ctr_config_free(limited);
    return 0;
}
