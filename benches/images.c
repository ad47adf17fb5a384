// Images in and out, beside the tools that do the same. Output as lifecycle.c's.
//
//   images import PLACE [ROUNDS]             ROW<TAB>ARCHIVE<TAB>COMMAND lines on stdin; @ in a command is a new directory
//   images export PLACE IMAGE                ctr_export against tar of the same root
//   images create IMAGE OTHER                ctr_create of two images that are known
//   images peak PLACE ARCHIVE...             the most memory that a process ever had that imported one
//   images layout ARCHIVE OUTPUT             saves it for others to import
//
// PLACE is a directory: each import and each unpacking gets a fresh one in it, and what came of the one before is gone.
#define _GNU_SOURCE
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bench.h"
#include "ours.h"

enum { WORDS = 32, ROUNDS = 9 };

extern char **environ;

static char fresh[4096];

static void shell(const char *command) {
    char line[2 * sizeof fresh];
    snprintf(line, sizeof line, command, fresh, fresh);
    if (system(line)) die(line);
}

static double spent_on(char *words[]) {
    posix_spawn_file_actions_t quiet;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&quiet);
    for (int fd = 0; fd < 3; fd++) posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_RDWR, 0);
    double start = now_us();
    errno = posix_spawnp(&pid, words[0], &quiet, NULL, words, environ);
    if (errno) die(words[0]);
    CHECK(waitpid(pid, &status, 0));
    double spent = now_us() - start;
    posix_spawn_file_actions_destroy(&quiet);
    if (status) die(words[0]);
    return spent;
}

static double import(const char *archive) {
    ctr_image_options *options = ctr_image_options_new();
    ctr_image *image;
    OURS(ctr_image_options_set_store_dir(options, fresh));
    double start = now_us();
    OURS(ctr_image_import(archive, options, &image));
    double spent = now_us() - start;
    ctr_image_free(image);
    ctr_image_options_free(options);
    return spent;
}

// What podman mounts in its directory is in the way of removing it.
static void begin(void) { shell("rm -rf '%s' && mkdir -m 0700 '%s'"); }
static void end(void) { shell("umount -l '%s'/root/overlay 2>/dev/null; rm -rf '%s'"); }

static double import_afresh(const char *archive) {
    begin();
    double spent = import(archive);
    end();
    return spent;
}

static double command_afresh(char *words[]) {
    begin();
    double spent = spent_on(words);
    end();
    return spent;
}

static void compare(const char *row, const char *archive, char *words[], int rounds) {
    char ours[160], other[160];
    snprintf(ours, sizeof ours, "%s ours", row);
    snprintf(other, sizeof other, "%s other", row);
    for (int round = -1; round < rounds; round++)
        for (int turn = 0; turn < 2; turn++) {
            int is_ours = (round & 1) ^ turn;
            double spent = is_ours ? import_afresh(archive) : command_afresh(words);
            if (round >= 0) record(is_ours ? ours : other, spent);
        }
    print_row(row, ours, other);
}

static void mode_import(int rounds) {
    static char line[8192];
    while (fgets(line, sizeof line, stdin)) {
        char *words[WORDS] = {0}, *row = strtok(line, "\t"), *archive = strtok(NULL, "\t");
        int count = 0;
        for (char *word; count < WORDS - 1 && (word = strtok(NULL, " \n")); count++) {
            char *at = strchr(word, '@');
            words[count] = word;
            if (!at) continue;
            CHECK(asprintf(&words[count], "%.*s%s%s", (int)(at - word), word, fresh, at + 1));
        }
        if (count) compare(row, archive, words, rounds);
    }
}

static void mode_export(const char *image) {
    char root[64], archive[sizeof fresh + 8];
    ctr_container *c;
    OURS(ctr_create(image, NULL, &c));
    snprintf(root, sizeof root, "/proc/%d/root", ctr_pid(c));
    char *words[] = {"tar", "-C", root, "--one-file-system", "-cf", archive, ".", NULL};
    snprintf(archive, sizeof archive, "%s.tar", fresh);
    for (int round = -1; round < ROUNDS; round++)
        for (int turn = 0; turn < 2; turn++) {
            int is_ours = (round & 1) ^ turn;
            double spent = now_us();
            if (is_ours) OURS(ctr_export(c, archive, NULL));
            spent = is_ours ? now_us() - spent : spent_on(words);
            CHECK(unlink(archive));
            if (round >= 0) record(is_ours ? "ours" : "other", spent);
        }
    OURS(ctr_destroy(c));
    print_row("image_export", "ours", "other");
}

static void mode_create(const char *image, const char *other) {
    const char *images[] = {image, other}, *names[] = {"ours", "other"};
    for (int i = -10; i < 150; i++)
        for (int turn = 0; turn < 2; turn++) {
            int which = (i & 1) ^ turn;
            ctr_container *c;
            double start = now_us();
            OURS(ctr_create(images[which], NULL, &c));
            double spent = now_us() - start;
            OURS(ctr_destroy(c));
            if (i >= 0) record(names[which], spent);
        }
    print_row("image_layers", "ours", "other");
}

// The most of all archives, in KiB, beside the least.
static void mode_peak(char **archives) {
    long most = 0, least = 0;
    int count = 0;
    for (; archives[count]; count++) {
        struct rusage usage;
        int status;
        begin();
        pid_t pid = fork();
        CHECK(pid);
        if (!pid) {
            import(archives[count]);
            _exit(0);
        }
        CHECK(wait4(pid, &status, 0, &usage));
        if (status) die(archives[count]);
        end();
        if (usage.ru_maxrss > most) most = usage.ru_maxrss;
        if (!least || usage.ru_maxrss < least) least = usage.ru_maxrss;
    }
    printf("image_peak\t%ld\t%ld\t%ld\t%ld\t%ld\t%ld\t%d\n", most, most, most, least, least, least, count);
}

static void mode_layout(const char *archive, const char *output) {
    ctr_image_options *options = ctr_image_options_new();
    ctr_image *image;
    OURS(ctr_image_options_set_name(options, "ctr-bench"));
    OURS(ctr_image_options_set_compression(options, CTR_COMPRESSION_GZIP));
    OURS(ctr_image_import(archive, options, &image));
    OURS(ctr_image_save("ctr-bench", output, options));
    ctr_image_free(image);
    ctr_image_options_free(options);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: images MODE ...\n");
        return 2;
    }
    bench_init();
    snprintf(fresh, sizeof fresh, "%s/images-%d", argv[2], (int)getpid());
    if (!strcmp(argv[1], "import")) mode_import(argc > 3 ? atoi(argv[3]) : ROUNDS);
    else if (!strcmp(argv[1], "export") && argc > 3) mode_export(argv[3]);
    else if (!strcmp(argv[1], "create") && argc > 3) mode_create(argv[2], argv[3]);
    else if (!strcmp(argv[1], "peak") && argc > 3) mode_peak(argv + 3);
    else if (!strcmp(argv[1], "layout") && argc > 3) mode_layout(argv[2], argv[3]);
    else return 2;
    return 0;
}
