// Files of a container from outside: one that is read, beside cat inside; one and many that are copied in, beside cp and tar; a create
// with a scratch mount of 20,000, beside one of a single one.
//
//   files IMAGE TMPFS
//
// Both sides take turns, and write to a tmpfs. Output as of lifecycle.c.
#define _GNU_SOURCE
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>

#include "bench.h"
#include "ours.h"

extern char **environ;

static void shell(const char *text) {
    char *argv[] = {"sh", "-c", (char *)text, NULL};
    pid_t pid;
    int status;
    errno = posix_spawnp(&pid, "sh", NULL, NULL, argv, environ);
    if (errno) die("sh");
    CHECK(waitpid(pid, &status, 0));
    if (status) die(text);
}

static void cat_inside(ctr_container *c, const ctr_exec_config *config) {
    static const char *const argv[] = {"/bin/cat", "/tmp/small", NULL};
    ctr_process *p;
    ctr_exit end;
    OURS(ctr_exec(c, argv, config, &p));
    OURS(ctr_process_wait(p, -1, &end));
    if (end.code) die("cat inside");
    ctr_process_free(p);
}

static void read_outside(ctr_container *c) {
    char text[256];
    int fd = ctr_open(c, "/tmp/small", O_RDONLY, 0, NULL);
    if (fd < 0) OURS(fd);
    if (read(fd, text, sizeof text) != 6) die("the small file");
    close(fd);
}

/* A create with a scratch mount of a directory. */
static double with_scratch(const char *image, const char *tmpfs, const char *name) {
    char source[PATH_MAX];
    ctr_config *config = ctr_config_new();
    ctr_container *c;
    snprintf(source, sizeof source, "%s/files/%s", tmpfs, name);
    OURS(ctr_config_add_scratch(config, source, "/src"));
    double start = now_us();
    OURS(ctr_create(image, config, &c));
    double end = now_us();
    OURS(ctr_destroy(c));
    ctr_config_free(config);
    return end - start;
}

int main(int argc, char **argv) {
    char source[PATH_MAX];
    ctr_exec_config *quiet = ctr_exec_config_new();
    ctr_container *c;
    int fd;
    if (argc != 3 || chdir(argv[2])) die("usage: files IMAGE TMPFS");
    bench_init();
    OURS(ctr_exec_config_set_stdio(quiet, 1, CTR_STDIO_NULL));
    OURS(ctr_create(argv[1], NULL, &c));
    if ((fd = ctr_open(c, "/tmp/small", O_WRONLY | O_CREAT, 0644, NULL)) < 0) OURS(fd);
    if (write(fd, "small\n", 6) != 6) die("the small file");
    close(fd);
    for (int i = 0; i < 420; i++) {
        double start = now_us();
        read_outside(c);
        double ours = now_us();
        cat_inside(c, quiet);
        double end = now_us();
        if (i < 20) continue;
        record("read", ours - start);
        record("cat", end - ours);
    }
    print_row("file_read", "read", "cat");

    shell("mkdir -p files/many && dd if=/dev/urandom of=files/large bs=1M count=100 status=none && cd files/many &&"
          "for d in $(seq 100); do mkdir $d; for f in $(seq 100); do echo a small file >$d/$f; done; done");
    for (int i = 0; i < 8; i++) {
        snprintf(source, sizeof source, "%s/files/large", argv[2]);
        double start = now_us();
        OURS(ctr_copy_in(c, source, "/tmp/large", false));
        double ours = now_us();
        shell("exec cp files/large files/copy");
        double end = now_us();
        shell("rm files/copy");
        if (i) record("copy large", ours - start), record("cp", end - ours);
    }
    print_row("copy_large", "copy large", "cp");
    for (int i = 0; i < 8; i++) {
        char target[32];
        snprintf(source, sizeof source, "%s/files/many", argv[2]);
        snprintf(target, sizeof target, "/tmp/many%d", i);
        double start = now_us();
        OURS(ctr_copy_in(c, source, target, false));
        double ours = now_us();
        shell("mkdir files/copies && tar -C files/many -cf - . | tar -C files/copies -xf -");
        double end = now_us();
        shell("rm -r files/copies");
        if (i) record("copy many", ours - start), record("tar", end - ours);
    }
    print_row("copy_many", "copy many", "tar");
    shell("mkdir -p files/few files/many/more && echo one >files/few/one && cp -r files/many/[0-9]* files/many/more");
    for (int i = 0; i < 120; i++) {
        double few = with_scratch(argv[1], argv[2], "few"), many = with_scratch(argv[1], argv[2], "many");
        if (i < 20) continue;
        record("scratch of many", many);
        record("scratch of few", few);
    }
    print_row("scratch", "scratch of many", "scratch of few");
    ctr_exec_config_free(quiet);
    OURS(ctr_destroy(c));
    shell("rm -r files");
    return 0;
}
