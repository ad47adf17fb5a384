// A container's life through libctr, beside the floor of the same walls and beside other engines.
//
//   lifecycle MODE IMAGE ROOTFS TMPFS [...]     see `modes` at the end for what each one measures
//
// The two sides of a comparison take turns within one run, in small batches and in an order that changes each time, so
// that a noisy neighbour meets both. Every line of output is one comparison, for table.awk: the row's name, then
// median, minimum and 90th percentile of ours and of the other side (microseconds unless the row says otherwise), then
// the number of samples; tabs in between.
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bench.h"
#include "floor.h"
#include "forward.h"
#include "ours.h"

#define MEMORY_LIMIT (64u << 20)
#define CROWD 16
#define CROWD_LIFECYCLES 15

extern char **environ;

static const char *image, *rootfs, *tmpfs;
static char **rest; // what follows the arguments that every mode has
static ctr_config *limited;
static struct floor the_floor, the_walled_floor;

static ctr_container *create(const char *from) {
    ctr_container *c;
    OURS(ctr_create(from, limited, &c));
    return c;
}

static void run_true(ctr_container *c) {
    static const char *const argv[] = {"/bin/true", NULL};
    ctr_process *p;
    ctr_exit end;
    OURS(ctr_exec(c, argv, NULL, &p));
    OURS(ctr_process_wait(p, -1, &end));
    if (end.code != 0) {
        fprintf(stderr, "bench: /bin/true inside ended with %d\n", end.code);
        _exit(122);
    }
    ctr_process_free(p);
}

static void lifecycle(void) {
    ctr_container *c = create(image);
    run_true(c);
    OURS(ctr_destroy(c));
}

static void spawn_true(void) {
    char program[PATH_MAX], *argv[] = {"true", NULL};
    pid_t pid;
    int status;
    snprintf(program, sizeof program, "%s/bin/true", rootfs);
    errno = posix_spawn(&pid, program, NULL, NULL, argv, environ);
    if (errno) die(program);
    CHECK(waitpid(pid, &status, 0));
    if (status) die(program);
}

static void floor_once(void) { floor_lifecycle(&the_floor); }
static void walled_floor_once(void) { floor_lifecycle(&the_walled_floor); }

static void timed(const char *name, void (*side)(void), int count, int warm, int pause_ms) {
    for (int i = 0; i < warm + count; i++) {
        double start = now_us();
        side();
        double spent = now_us() - start;
        if (i >= warm) record(name, spent);
        if (pause_ms) usleep((useconds_t)pause_ms * 1000);
    }
}

// Batches of both sides in turn. The first ones of each batch don't count: they pay for what the other side left
// behind, above all for its network namespaces, which a kernel thread takes down.
static void compare(const char *row, void (*ours)(void), void (*other)(void), int batches, int count, int pause_ms) {
    int warm = pause_ms ? 0 : 3;
    for (int i = 0; i < batches; i++) {
        if (i % 2) timed("ours", ours, count, warm, pause_ms);
        timed("other", other, count, warm, pause_ms);
        if (i % 2 == 0) timed("ours", ours, count, warm, pause_ms);
    }
    print_row(row, "ours", "other");
}

static void mode_back_to_back(void) {
    lifecycle();
    compare("back_to_back", lifecycle, floor_once, 60, 10, 0);
}

static void mode_back_to_back_walls(void) {
    lifecycle();
    compare("back_to_back_walls", lifecycle, walled_floor_once, 60, 10, 0);
}

static void mode_pauses(void) {
    lifecycle();
    compare("pauses", lifecycle, floor_once, 120, 1, 20);
}

static void mode_pauses_walls(void) {
    lifecycle();
    compare("pauses_walls", lifecycle, walled_floor_once, 120, 1, 20);
}

// Where our own time goes, with the floor before each round so that the kernel is in the state it has in the others.
static void mode_phases(void) {
    for (int i = 0; i < 300; i++) {
        double start = now_us();
        ctr_container *c = create(image);
        double created = now_us();
        run_true(c);
        double ran = now_us();
        OURS(ctr_destroy(c));
        double end = now_us();
        if (i < 20) continue;
        record("phase_create", created - start);
        record("phase_exec_wait", ran - created);
        record("phase_destroy", end - ran);
        record("whole", end - start);
    }
    print_row("phase_create", "phase_create", "whole");
    print_row("phase_exec_wait", "phase_exec_wait", "whole");
    print_row("phase_destroy", "phase_destroy", "whole");
}

// A command of util-linux, as a person or a script uses it.
static void command(const char *first, const char *second, const char *third, const char *fourth) {
    char *argv[] = {(char *)first, (char *)second, (char *)third, (char *)fourth, NULL};
    pid_t pid;
    int status;
    errno = posix_spawnp(&pid, first, NULL, NULL, argv, environ);
    if (errno) die(first);
    CHECK(waitpid(pid, &status, 0));
    if (status) die(first);
}

// Into a container that runs, beside the same by hand in a mount namespace that one is in already.
static void mode_live_mount(void) {
    char source[PATH_MAX], target[PATH_MAX];
    snprintf(source, sizeof source, "%s/live-source", tmpfs);
    snprintf(target, sizeof target, "%s/live-target", tmpfs);
    CHECK(mkdir(source, 0755));
    CHECK(mkdir(target, 0755));
    ctr_container *c = create(image);
    for (int i = 0; i < 220; i++) {
        double start = now_us();
        OURS(ctr_mount(c, source, "/mnt/live", false));
        double mounted = now_us();
        OURS(ctr_unmount(c, "/mnt/live", false));
        double ours = now_us();
        command("mount", "--bind", source, target);
        double by_hand = now_us();
        command("umount", target, NULL, NULL);
        double end = now_us();
        if (i < 20) continue;
        record("mount", mounted - start);
        record("unmount", ours - mounted);
        record("mount by hand", by_hand - ours);
        record("unmount by hand", end - by_hand);
    }
    OURS(ctr_destroy(c));
    print_row("live_mount", "mount", "mount by hand");
    print_row("live_unmount", "unmount", "unmount by hand");
}

// Ten directories that are bound from the first moment on, beside none. Both go on: what a lifecycle ends with is not measured.
static void mode_binds(void) {
    char source[PATH_MAX], target[32];
    snprintf(source, sizeof source, "%s/bind-source", tmpfs);
    CHECK(mkdir(source, 0755));
    ctr_config *binds = ctr_config_new();
    OURS(ctr_config_set_memory(binds, MEMORY_LIMIT));
    for (int i = 0; i < 10; i++) {
        snprintf(target, sizeof target, "/mnt/%d", i);
        OURS(ctr_config_add_mount_bind(binds, source, target, false));
    }
    for (int i = 0; i < 220; i++) {
        ctr_container *with, *without;
        double start = now_us();
        OURS(ctr_create(image, binds, &with));
        double ours = now_us();
        OURS(ctr_create(image, limited, &without));
        double end = now_us();
        OURS(ctr_destroy(with));
        OURS(ctr_destroy(without));
        if (i < 20) continue;
        record("ten binds", ours - start);
        record("no binds", end - ours);
    }
    ctr_config_free(binds);
    print_row("create_binds", "ten binds", "no binds");
}

static void mode_forward(void) {
    ctr_container *c = create(image);
    bench_forward(c);
    OURS(ctr_destroy(c));
}

static ctr_container *running;
static void exec_in_running(void) { run_true(running); }

static void compare_exec(const char *row) {
    running = create(image);
    compare(row, exec_in_running, spawn_true, 80, 10, 0);
    OURS(ctr_destroy(running));
}

static void mode_exec(void) { compare_exec("exec"); }

// Nobody has to wake a cpu that sleeps, which costs more than a message where the machine is a virtual one.
static void mode_exec_one_cpu(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(CHECK(sched_getcpu()), &one);
    CHECK(sched_setaffinity(0, sizeof one, &one));
    compare_exec("exec_one_cpu");
}

// The crowd: threads of this one process against as many processes, each with a floor of its own.
static pthread_barrier_t barrier;

static void *crowd_thread(void *unused) {
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < CROWD_LIFECYCLES; i++) lifecycle();
    return unused;
}

static double crowd_of_threads(void) {
    pthread_t threads[CROWD];
    pthread_barrier_init(&barrier, NULL, CROWD + 1);
    for (int i = 0; i < CROWD; i++)
        if ((errno = pthread_create(&threads[i], NULL, crowd_thread, NULL))) die("pthread_create");
    pthread_barrier_wait(&barrier);
    double start = now_us();
    for (int i = 0; i < CROWD; i++) pthread_join(threads[i], NULL);
    double spent = now_us() - start;
    pthread_barrier_destroy(&barrier);
    return CROWD * CROWD_LIFECYCLES / spent * 1e6;
}

static double crowd_of_floors(int have_all_walls) {
    pid_t pids[CROWD];
    int gate[2], status;
    char byte;
    CHECK(pipe2(gate, O_CLOEXEC));
    for (int i = 0; i < CROWD; i++) {
        CHECK(pids[i] = fork());
        if (pids[i]) continue;
        struct floor mine;
        close(gate[1]);
        floor_open(&mine, rootfs, "/bin/true", tmpfs, have_all_walls);
        CHECK(read(gate[0], &byte, 1)); // until the gate is closed for all
        for (int k = 0; k < CROWD_LIFECYCLES; k++) floor_lifecycle(&mine);
        floor_close(&mine);
        _exit(0);
    }
    usleep(50000);
    double start = now_us();
    close(gate[1]);
    for (int i = 0; i < CROWD; i++) {
        CHECK(waitpid(pids[i], &status, 0));
        if (status) die("a process of the crowd");
    }
    double spent = now_us() - start;
    close(gate[0]);
    return CROWD * CROWD_LIFECYCLES / spent * 1e6;
}

static void compare_crowds(const char *row, int have_all_walls) {
    lifecycle();
    crowd_of_threads();
    for (int i = 0; i < 9; i++) {
        if (i % 2) record("ours", crowd_of_threads());
        record("other", crowd_of_floors(have_all_walls));
        if (i % 2 == 0) record("ours", crowd_of_threads());
    }
    print_row(row, "ours", "other");
}

static void mode_crowd(void) { compare_crowds("crowd", 0); }
static void mode_crowd_walls(void) { compare_crowds("crowd_walls", 1); }

// A process with a large heap and one without take turns at each other's word.
struct worker {
    pid_t pid;
    int orders, answers;
};

static struct worker start_worker(size_t heap, const char *name) {
    int orders[2], answers[2];
    char byte;
    CHECK(pipe2(orders, O_CLOEXEC));
    CHECK(pipe2(answers, O_CLOEXEC));
    pid_t pid = fork();
    CHECK(pid);
    if (pid) {
        close(orders[0]);
        close(answers[1]);
        CHECK(read(answers[0], &byte, 1));
        return (struct worker){pid, orders[1], answers[0]};
    }
    close(orders[1]);
    close(answers[0]);
    char *memory = heap ? malloc(heap) : NULL;
    if (heap && !memory) die("malloc");
    for (size_t i = 0; i < heap; i += 4096) memory[i] = (char)i;
    lifecycle();
    do {
        CHECK(write(answers[1], "x", 1));
        if (read(orders[0], &byte, 1) != 1) _exit(0);
        timed(name, lifecycle, 10, 3, 0);
    } while (1);
}

static void take_turn(struct worker *w) {
    char byte;
    CHECK(write(w->orders, "x", 1));
    if (read(w->answers, &byte, 1) != 1) die("a worker");
}

static void mode_heap(void) {
    struct worker large = start_worker((size_t)1 << 30, "ours"), small = start_worker(0, "other");
    for (int i = 0; i < 40; i++) {
        take_turn(i % 2 ? &large : &small);
        take_turn(i % 2 ? &small : &large);
    }
    close(large.orders);
    close(small.orders);
    waitpid(large.pid, NULL, 0);
    waitpid(small.pid, NULL, 0);
    print_row("heap", "ours", "other");
}

// Creates alone, from a large image and from a small one that both were unpacked before.
static void mode_large_image(void) {
    const char *images[] = {rest[0], image}, *names[] = {"ours", "other"};
    for (int i = -10; i < 250; i++) {
        if (i == -10) OURS(ctr_destroy(create(images[0])));
        for (int k = 0; k < 2; k++) {
            int which = (i & 1) ^ k;
            double start = now_us();
            ctr_container *c = create(images[which]);
            double spent = now_us() - start;
            OURS(ctr_destroy(c));
            if (i >= 0) record(names[which], spent);
        }
    }
    print_row("large_image", "ours", "other");
}

// The first create of a process, many processes one after another, each followed by a lifecycle of the floor and by the
// time that the kernel takes to clear that away.
static void mode_first(void) {
    char *argv[] = {"lifecycle", "first_one", (char *)image, (char *)rootfs, (char *)tmpfs, NULL};
    for (int i = -3; i < 60; i++) {
        int out[2], status;
        char text[64] = {0};
        pid_t pid;
        posix_spawn_file_actions_t actions;
        CHECK(pipe2(out, O_CLOEXEC));
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        errno = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
        if (errno) die("posix_spawn of ourselves");
        close(out[1]);
        long length = read(out[0], text, sizeof text - 1);
        CHECK(waitpid(pid, &status, 0));
        if (length <= 0 || status) die("a fresh process");
        if (i >= 0) record("ours", atof(text));
        close(out[0]);
        posix_spawn_file_actions_destroy(&actions);
        timed("other", floor_once, i >= 0, i < 0, 5);
    }
    print_row("first", "ours", "other");
}

static void mode_first_one(void) {
    double start = now_us();
    ctr_container *c = create(image);
    printf("%.3f\n", now_us() - start);
    fflush(stdout);
    OURS(ctr_destroy(c));
}

static long number_in(const char *path, const char *key) {
    char line[256];
    long number = -1;
    FILE *file = fopen(path, "re");
    if (!file) die(path);
    while (number < 0 && fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key))) number = atol(line + strlen(key));
    fclose(file);
    return number;
}

static int parent_of(int pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    return (int)number_in(path, "PPid:");
}

static int children_of(int pid) {
    int found = 0;
    char path[64];
    DIR *proc = opendir("/proc");
    if (!proc) die("/proc");
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "/proc/%.20s/status", entry->d_name);
        if (!access(path, R_OK) && parent_of(atoi(entry->d_name)) == pid) found++;
    }
    closedir(proc);
    return found;
}

// Memory in KiB: PSS is a process's own pages and its share of those it has in common with others.
static void print_memory(const char *row, int pid, int processes) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    long pss = number_in(path, "Pss:"), rss = number_in(path, "Rss:");
    printf("%s\t%ld\t%ld\t%ld\t%ld\t%ld\t%ld\t%d\n", row, pss, pss, pss, rss, rss, rss, processes);
}

// A container at rest. What was made ahead of time for the next one is given up when nobody wants it for some seconds.
// What one of three limits uses, beside one with a memory limit alone: with the third call the handle has its files open.
static ctr_container *looked_at[2];

static void look(int at) {
    uint64_t numbers[CTR_STAT_OOM_KILLS + 1];
    if (ctr_stats(looked_at[at], numbers, CTR_STAT_OOM_KILLS + 1) < 0) {
        fprintf(stderr, "bench: ctr_stats: %s\n", ctr_last_error());
        _exit(122);
    }
}

static void look_at_three_limits(void) { look(0); }
static void look_at_one_limit(void) { look(1); }

static void mode_stats(void) {
    looked_at[1] = create(image);
    OURS(ctr_config_set_pids(limited, 100));
    OURS(ctr_config_set_cpus(limited, 1000));
    looked_at[0] = create(image);
    compare("stats", look_at_three_limits, look_at_one_limit, 40, 20, 0);
    for (int i = 0; i < 2; i++) OURS(ctr_destroy(looked_at[i]));
}

static void mode_memory(void) {
    ctr_container *c = create(image);
    run_true(c);
    int pid = ctr_pid(c), zygote = parent_of(pid);
    for (int seconds = 0; seconds < 15 && children_of(zygote) > 1; seconds++) sleep(1);
    print_memory("memory_container", pid, children_of(zygote));
    print_memory("memory_zygote", zygote, 1);
    OURS(ctr_destroy(c));
}

// Processor time, which a busy machine blurs less than it does wall time: what the caller spends on a lifecycle, what
// the zygote does, and what all processes inside do (of the floor: its only child).
static double self_us(int whose) {
    struct rusage usage;
    CHECK(getrusage(whose, &usage));
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// Of a process itself, and of those it has reaped; fields 14 to 17 of /proc/PID/stat, proc_pid_stat(5).
static void processor_time(int pid, double *own, double *reaped) {
    char path[64], text[1024] = {0};
    unsigned long user, system;
    long children_user, children_system;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = (int)CHECK(open(path, O_RDONLY | O_CLOEXEC));
    CHECK(read(fd, text, sizeof text - 1));
    close(fd);
    char *after_name = strrchr(text, ')');
    if (!after_name || sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &user,
                              &system, &children_user, &children_system) != 4)
        die(path);
    double tick = 1e6 / (double)sysconf(_SC_CLK_TCK);
    *own = (double)(user + system) * tick;
    *reaped = (double)(children_user + children_system) * tick;
}

static void print_time(const char *row, double ours, double other, int count) {
    ours /= count;
    other /= count;
    printf("%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%d\n", row, ours, ours, ours, other, other, other, count);
}

static void mode_processor(void) {
    enum { COUNT = 500 };
    double floor_self, floor_child, self, own, reaped, own_before, reaped_before;
    ctr_container *c = create(image); // stays, so that its parent does
    int zygote = parent_of(ctr_pid(c));
    for (int i = 0; i < 20; i++) lifecycle();
    processor_time(zygote, &own_before, &reaped_before);
    self = self_us(RUSAGE_SELF);
    for (int i = 0; i < COUNT; i++) lifecycle();
    self = self_us(RUSAGE_SELF) - self;
    processor_time(zygote, &own, &reaped);
    floor_self = self_us(RUSAGE_SELF);
    floor_child = self_us(RUSAGE_CHILDREN);
    for (int i = 0; i < COUNT; i++) floor_once();
    floor_self = self_us(RUSAGE_SELF) - floor_self;
    floor_child = self_us(RUSAGE_CHILDREN) - floor_child;
    OURS(ctr_destroy(c));
    print_time("cpu_caller", self, floor_self, COUNT);
    print_time("cpu_zygote", own - own_before, 0, COUNT);
    print_time("cpu_inside", reaped - reaped_before, floor_child, COUNT);
}

// Whole commands of other engines, given as LABEL<TAB>COMMAND lines on stdin, each run once a round between lifecycles
// of ours and of the floor. A command is split at blanks; there is no shell.
static void mode_commands(void) {
    enum { MAX = 16, WORDS = 64 };
    static char lines[MAX][4096], *words[MAX][WORDS];
    char *labels[MAX];
    int commands = 0, failed[MAX] = {0}, rounds = rest[0] ? atoi(rest[0]) : 20;
    while (commands < MAX && fgets(lines[commands], sizeof lines[0], stdin)) {
        int count = 0;
        labels[commands] = strtok(lines[commands], "\t");
        for (char *word; count < WORDS - 1 && (word = strtok(NULL, " \n"));) words[commands][count++] = word;
        if (count) commands++;
    }
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    for (int fd = 0; fd < 3; fd++) posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_RDWR, 0);
    lifecycle();
    for (int round = -1; round < rounds; round++)
        for (int k = 0; k < commands; k++) {
            int which = (k + round + 1) % commands, status;
            pid_t pid;
            timed("ours", lifecycle, round >= 0 ? 3 : 0, 2, 0);
            timed("floor", floor_once, round >= 0 ? 3 : 0, 2, 0);
            double start = now_us();
            errno = posix_spawnp(&pid, words[which][0], &quiet, NULL, words[which], environ);
            if (errno) die(words[which][0]);
            CHECK(waitpid(pid, &status, 0));
            if (status) failed[which]++;
            if (round >= 0) record(labels[which], now_us() - start);
        }
    for (int k = 0; k < commands; k++) {
        char row[128];
        snprintf(row, sizeof row, "%s%s", labels[k], failed[k] ? " (FAILED)" : "");
        print_row(row, "ours", labels[k]);
    }
}

// What each wall costs: containers that have it take turns with containers that are the same but for it. It is taken away
// from the default, put on top of the default where it is no part of that, or put up alone around the least there is: the
// preset privileged, which has nothing but namespaces and the memory limit.
static int no_seccomp(ctr_config *c) { return ctr_config_set_seccomp(c, CTR_SECCOMP_UNCONFINED); }
static int seccomp(ctr_config *c) { return ctr_config_set_seccomp(c, CTR_SECCOMP_DEFAULT); }
static int no_landlock(ctr_config *c) { return ctr_config_set_landlock(c, false); }
static int no_masks(ctr_config *c) { return ctr_config_set_masked_paths(c, false); }
static int masks(ctr_config *c) { return ctr_config_set_masked_paths(c, true); }
static int no_no_new_privs(ctr_config *c) { return ctr_config_set_new_privileges(c, true); }
static int no_memory(ctr_config *c) { return ctr_config_set_memory(c, CTR_UNLIMITED); }
static int pids(ctr_config *c) { return ctr_config_set_pids(c, 128); }
static int no_etc_files(ctr_config *c) { return ctr_config_set_etc_files(c, false); }
static int read_only(ctr_config *c) { return ctr_config_set_read_only(c, true); }
static int privileged(ctr_config *c) { return ctr_config_set_preset(c, CTR_PRESET_PRIVILEGED); }
static int strict(ctr_config *c) { return ctr_config_set_preset(c, CTR_PRESET_STRICT); }
static int host(ctr_config *c, int kind) { return ctr_config_set_namespace(c, kind, CTR_NS_HOST); }
static int host_user(ctr_config *c) { return host(c, CTR_NS_USER); }
static int host_net(ctr_config *c) { return host(c, CTR_NS_NET); }
static int host_pid(ctr_config *c) { return host(c, CTR_NS_PID); }
static int host_ipc(ctr_config *c) { return host(c, CTR_NS_IPC); }
static int host_uts(ctr_config *c) { return host(c, CTR_NS_UTS); }
static int host_cgroup(ctr_config *c) { return host(c, CTR_NS_CGROUP); }
static int new_time(ctr_config *c) { return ctr_config_set_namespace(c, CTR_NS_TIME, CTR_NS_NEW); }
static int as_it_is(ctr_config *c) { return c ? 0 : -1; }
// The bounding set without those of docker's; CAP_SYS_ADMIN is dropped in both, for it changes other walls too.
static int all_capabilities(ctr_config *c) { return ctr_config_set_capabilities(c, ~(UINT64_C(1) << 21)); }
static int least_capabilities(ctr_config *c) {
    return privileged(c) ? -1 : ctr_config_set_capabilities(c, UINT64_C(0xa80405fb));
}
static int least_seccomp(ctr_config *c) { return privileged(c) ? -1 : seccomp(c); }
static int least_masks(ctr_config *c) { return privileged(c) ? -1 : masks(c); }

static const struct {
    const char *row;
    int (*with)(ctr_config *), (*without)(ctr_config *);
} wall_prices[] = {
    {"walls_all", as_it_is, privileged},
    {"walls_strict", strict, privileged},
    {"wall_seccomp", as_it_is, no_seccomp},
    {"wall_landlock", as_it_is, no_landlock},
    {"wall_masks", as_it_is, no_masks},
    {"wall_capabilities", as_it_is, all_capabilities},
    {"wall_no_new_privs", as_it_is, no_no_new_privs},
    {"wall_memory", as_it_is, no_memory},
    {"wall_user", as_it_is, host_user},
    {"wall_net", as_it_is, host_net},
    {"wall_pid", as_it_is, host_pid},
    {"wall_ipc", as_it_is, host_ipc},
    {"wall_uts", as_it_is, host_uts},
    {"wall_cgroup", as_it_is, host_cgroup},
    {"wall_time", new_time, as_it_is},
    {"wall_pids", pids, as_it_is},
    {"wall_read_only", read_only, as_it_is},
    {"etc_files", as_it_is, no_etc_files},
    {"least_seccomp", least_seccomp, privileged},
    {"least_masks", least_masks, privileged},
    {"least_capabilities", least_capabilities, privileged},
};

static ctr_config *walled(int (*change)(ctr_config *)) {
    ctr_config *config = ctr_config_new();
    if (!config) die("ctr_config_new");
    OURS(ctr_config_set_memory(config, MEMORY_LIMIT));
    OURS(change(config));
    return config;
}

static ctr_config *with, *without;
static void lifecycle_of(ctr_config *config) {
    ctr_container *c;
    OURS(ctr_create(image, config, &c));
    run_true(c);
    OURS(ctr_destroy(c));
}
static void lifecycle_with(void) { lifecycle_of(with); }
static void lifecycle_without(void) { lifecycle_of(without); }

static void mode_prices(void) {
    for (size_t i = 0; i < sizeof wall_prices / sizeof *wall_prices; i++) {
        with = walled(wall_prices[i].with);
        without = walled(wall_prices[i].without);
        compare(wall_prices[i].row, lifecycle_with, lifecycle_without, rest[0] ? atoi(rest[0]) : 40, 8, 0);
        series("ours")->count = series("other")->count = 0;
        ctr_config_free(with);
        ctr_config_free(without);
    }
}

// Lifecycles of one side only, for a profiler to watch.
static void mode_only_ours(void) {
    for (int i = rest[0] ? atoi(rest[0]) : 200; i > 0; i--) lifecycle();
}

static void mode_only_floor(void) {
    for (int i = rest[0] ? atoi(rest[0]) : 200; i > 0; i--) floor_once();
}

static const struct {
    const char *name;
    void (*run)(void);
} modes[] = {
    {"stats", mode_stats},
    {"back_to_back", mode_back_to_back},
    {"back_to_back_walls", mode_back_to_back_walls},
    {"pauses", mode_pauses},
    {"pauses_walls", mode_pauses_walls},
    {"phases", mode_phases},
    {"processor", mode_processor},
    {"crowd", mode_crowd},
    {"crowd_walls", mode_crowd_walls},
    {"exec", mode_exec},
    {"exec_one_cpu", mode_exec_one_cpu},
    {"live_mount", mode_live_mount},
    {"binds", mode_binds},
    {"forward", mode_forward},
    {"heap", mode_heap},
    {"large_image", mode_large_image},
    {"first", mode_first},
    {"first_one", mode_first_one},
    {"memory", mode_memory},
    {"commands", mode_commands},
    {"prices", mode_prices},
    {"only_ours", mode_only_ours},
    {"only_floor", mode_only_floor},
};

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: lifecycle MODE IMAGE ROOTFS TMPFS [...]\n");
        return 2;
    }
    image = argv[2];
    rootfs = argv[3];
    tmpfs = argv[4];
    rest = argv + 5;
    bench_init();
    if (!(limited = ctr_config_new())) die("ctr_config_new");
    OURS(ctr_config_set_memory(limited, MEMORY_LIMIT));
    floor_open(&the_floor, rootfs, "/bin/true", tmpfs, 0);
    floor_open(&the_walled_floor, rootfs, "/bin/true", tmpfs, 1);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(modes[i].name, argv[1])) {
            modes[i].run();
            floor_close(&the_floor);
            floor_close(&the_walled_floor);
            ctr_config_free(limited);
            return 0;
        }
    fprintf(stderr, "bench: no mode %s\n", argv[1]);
    return 2;
}
