/* The caller's descriptors are the caller's: none of ours is ever a standard stream, none but the caller's is handed to a
 * program, and none that the caller has put in the place of one of ours is used or closed. And what a forked child may do. */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* Which of the three streams are open, as a mask. */
static int open_streams(void)
{
	int mask = 0;

	for (int fd = 0; fd < 3; fd++)
		mask |= (fcntl(fd, F_GETFD) >= 0) << fd;
	return mask;
}

/* Runs a script with the three streams as they are; its exit code. A stream that is closed is /dev/null inside. */
static int inherits(ctr_container *c, int closed)
{
	static const char *script =
		"for fd in 0 1 2; do case $(readlink /proc/$$/fd/$fd) in"
		" /dev/null) n=$((n + (1 << fd)));; *) ;; esac; done;"
		/* Nothing but the three, once the directory is listed. */
		" for fd in /proc/$$/fd/*; do case ${fd##*/} in 0|1|2) ;; *) test -h $fd && exit 99;; esac; done;"
		" exit ${n:-0}";
	ctr_exit end = sh(c, script);

	CHECK(open_streams() == (7 & ~closed));
	return end.code;
}

static void lives_with_closed(int closed)
{
	char name[64];
	ctr_container *c, *joined, *by_pid;
	ctr_config *config;
	ctr_exec_config *piped = ctr_exec_config_new();
	const char *argv[] = {"/bin/sh", "-c", "cat; echo said >&2", NULL};
	ctr_process *p;
	int fds[2], in, out, err;

	/* What is open is a pipe, so that it isn't taken for the /dev/null of what is closed. */
	CHECK(pipe(fds) == 0 && fds[0] > 2);
	for (int fd = 0; fd < 3; fd++) {
		CHECK(dup2(fds[fd != 0], fd) == fd);
		if (closed >> fd & 1)
			close(fd);
	}
	config = named();
	OK(ctr_create("host", config, &c)); /* the first use: the zygote starts */
	CHECK(open_streams() == (7 & ~closed));
	CHECK(inherits(c, closed) == closed);
	snprintf(name, sizeof name, "%s", ctr_name(c));
	OK(ctr_join(name, &joined));
	CHECK(inherits(joined, closed) == closed);
	OK(ctr_join_pid(ctr_pid(c), &by_pid));
	CHECK(open_streams() == (7 & ~closed));
	OK(ctr_close(by_pid));
	OK(ctr_join_pid(getpid(), &by_pid));
	OK(ctr_close(by_pid));
	OK(ctr_close(joined));
	/* What is given to the caller is above as well. */
	for (int stream = 0; stream < 3; stream++)
		OK(ctr_exec_config_set_stdio(piped, stream, CTR_STDIO_PIPE));
	OK(ctr_exec(c, argv, piped, &p));
	in = ctr_process_stdin(p), out = ctr_process_stdout(p), err = ctr_process_stderr(p);
	CHECK(in > 2 && out > 2 && err > 2 && ctr_process_pidfd(p) > 2 && ctr_process_wait_fd(p) > 2);
	CHECK(write(in, "x", 1) == 1);
	close(in);
	CHECK(strcmp(slurp(out), "x") == 0);
	CHECK(strcmp(slurp(err), "said\n") == 0);
	OK(ctr_process_wait(p, 60000, NULL));
	ctr_process_free(p);
	OK(ctr_exec_config_set_pty(piped, 24, 80));
	OK(ctr_exec(c, argv, piped, &p));
	CHECK(ctr_process_pty(p) > 2);
	ctr_process_free(p);
	ctr_exec_config_free(piped);
	/* A later use. */
	OK(ctr_destroy(c));
	OK(ctr_config_set_name(config, new_name()));
	OK(ctr_create("host", config, &c));
	ctr_config_free(config);
	CHECK(inherits(c, closed) == closed);
	/* And of a forked child. */
	pid_t child = fork();
	if (child == 0) {
		ANSWERS(CTR_ERR_NOT_FOUND, ctr_join(name, &joined));
		c = new_container();
		CHECK(inherits(c, closed) == closed);
		OK(ctr_destroy(c));
		_exit(0);
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	OK(ctr_destroy(c));
	CHECK(open_streams() == (7 & ~closed));
}

TEST(own_stdio_no_descriptor_of_ours_is_a_standard_stream)
{
	for (int closed = 0; closed < 8; closed++) {
		pid_t pid = fork();
		int status;

		CHECK(pid >= 0);
		if (pid == 0) {
			lives_with_closed(closed);
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid);
		if (status != 0)
			end_test(1, " (with the streams of mask %d closed)", closed);
	}
}

TEST(own_stdio_what_is_close_on_exec_is_not_inherited)
{
	ctr_container *c = new_container();
	int directory = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	/* As it would be if one of ours landed there all the same. */
	CHECK(dup3(directory, 0, O_CLOEXEC) == 0);
	CHECK(sh(c, "test \"$(readlink /proc/self/fd/0)\" = /dev/null").code == 0);
	/* What a host opens for its programs is passed on, whatever it is: as by exec. */
	CHECK(dup2(directory, 0) == 0);
	CHECK(sh(c, "test \"$(readlink /proc/self/fd/0)\" != /dev/null").code == 0);
	OK(ctr_destroy(c));
}

/* Descriptors of the host's own, of every kind that we have too. */
#define MINE 60
static struct stat mine[MINE];
static int numbers[MINE];

static void open_mine(void)
{
	for (int i = 0; i < MINE; i++) {
		int pair[2];

		switch (i % 5) {
		case 0:
			numbers[i] = open("/dev/null", O_RDWR);
			break;
		case 1:
			CHECK(pipe(pair) == 0);
			numbers[i] = pair[0];
			break;
		case 2:
			numbers[i] = memfd_create("mine", 0);
			break;
		case 3:
			numbers[i] = open("/tmp", O_RDONLY | O_DIRECTORY);
			break;
		case 4:
			numbers[i] = (int)syscall(SYS_pidfd_open, getpid(), 0);
			break;
		}
		CHECK(numbers[i] >= 0 && fstat(numbers[i], &mine[i]) == 0);
	}
}

static void mine_are_whole(void)
{
	for (int i = 0; i < MINE; i++) {
		struct stat now;

		CHECK(fstat(numbers[i], &now) == 0);
		CHECK(now.st_dev == mine[i].st_dev && now.st_ino == mine[i].st_ino && now.st_size == mine[i].st_size);
	}
}

static int report_high(void)
{
	/* The report of this test is not to go with the rest. */
	int high = fcntl(report_, F_DUPFD_CLOEXEC, 1000);

	CHECK(high >= 1000);
	return high;
}

static void close_all(void)
{
	report_ = report_high();
	CHECK(syscall(SYS_close_range, 3, 999, 0) == 0);
}

TEST(own_foreign_fd_a_daemon_that_closes_all_keeps_what_it_opens_next)
{
	OK(ctr_destroy(new_container())); /* no handle lives */
	close_all();
	open_mine();
	ctr_container *c = new_container();
	CHECK(sh(c, "exit 4").code == 4);
	mine_are_whole();
	OK(ctr_destroy(c));
	mine_are_whole();
}

TEST(own_foreign_fd_live_handles_are_answered_and_touch_nothing)
{
	const char *sleeper[] = {"/bin/sleep", "1000", NULL};
	ctr_exec_config *piped = ctr_exec_config_new();
	ctr_container *c = new_container(), *joined;
	ctr_process *p, *q;
	ctr_exit end;
	int32_t pid;

	OK(ctr_join(ctr_name(c), &joined));
	for (int stream = 0; stream < 3; stream++)
		OK(ctr_exec_config_set_stdio(piped, stream, CTR_STDIO_PIPE));
	OK(ctr_exec(c, sleeper, piped, &p));
	OK(ctr_exec(joined, sleeper, NULL, &q));
	ctr_exec_config_free(piped);
	pid = ctr_pid(c);
	close_all();
	open_mine();
	FAILS(CTR_ERR_INVALID, "closed descriptors of ctr", ctr_exec(c, sleeper, NULL, &(ctr_process *){0}));
	FAILS(CTR_ERR_INVALID, "closed descriptors of ctr", ctr_exec(joined, sleeper, NULL, &(ctr_process *){0}));
	FAILS(CTR_ERR_INVALID, "closed descriptors of ctr", ctr_process_kill(p, SIGKILL));
	FAILS(CTR_ERR_INVALID, "closed descriptors of ctr", ctr_process_kill_group(q, SIGKILL));
	FAILS(CTR_ERR_INVALID, "closed descriptors of ctr", ctr_process_wait(p, -1, &end));
	FAILS(CTR_ERR_INVALID, "closed descriptors of ctr", ctr_process_wait(q, 1000, &end));
	ANSWERS(CTR_ERR_INVALID, ctr_process_stdin(p));
	CHECK(ctr_is_running(c) == 0);
	mine_are_whole();
	ctr_process_free(p);
	ctr_process_free(q);
	mine_are_whole();
	/* The lifeline was closed, so all of it ends; nothing is left. */
	OK(ctr_close(joined));
	OK(ctr_destroy(c));
	mine_are_whole();
	for (int i = 0; kill(pid, 0) == 0 && i < 1000; i++)
		usleep(10000);
	CHECK(kill(pid, 0) < 0);
	c = new_container();
	CHECK(sh(c, "exit 5").code == 5);
	OK(ctr_destroy(c));
	mine_are_whole();
}

TEST(own_foreign_fd_a_detached_container_can_still_be_destroyed)
{
	ctr_config *config = named();
	ctr_container *c, *again;
	char name[64];

	OK(ctr_config_set_detached(config, true));
	OK(ctr_create("host", config, &c));
	ctr_config_free(config);
	snprintf(name, sizeof name, "%s", ctr_name(c));
	close_all();
	open_mine();
	OK(ctr_join(name, &again));
	CHECK(sh(again, "exit 6").code == 6);
	OK(ctr_destroy(c));
	CHECK(ctr_is_running(again) == 0);
	OK(ctr_close(again));
	mine_are_whole();
	ANSWERS(CTR_ERR_NOT_FOUND, ctr_join(name, &again));
}

static ctr_container *box;

static void destroy_the_box(void)
{
	ctr_destroy(box);
}

TEST(a_forked_child_uses_and_ends_nothing_of_its_parents)
{
	const char *argv[] = {"/bin/sleep", "1000", NULL};
	ctr_process *p, *none;
	ctr_exit end;
	int status;
	pid_t child;

	box = new_container();
	OK(ctr_exec(box, argv, NULL, &p));
	atexit(destroy_the_box); /* as the destructor of a static object in C++ */
	child = fork();
	if (child == 0) {
		ctr_container *own;

		FAILS(CTR_ERR_INVALID, "forked child", ctr_exec(box, argv, NULL, &none));
		FAILS(CTR_ERR_INVALID, "forked child", ctr_is_running(box));
		FAILS(CTR_ERR_INVALID, "forked child", ctr_set_mem_limit(box, CTR_UNLIMITED));
		FAILS(CTR_ERR_INVALID, "forked child", ctr_process_kill(p, SIGKILL));
		FAILS(CTR_ERR_INVALID, "forked child", ctr_process_wait(p, 0, &end));
		FAILS(CTR_ERR_INVALID, "forked child", ctr_process_stdin(p));
		CHECK(ctr_name(box) == NULL);
		ctr_process_free(p);
		own = new_container();
		CHECK(sh(own, "exit 3").code == 3);
		OK(ctr_destroy(own));
		exit(0); /* the handler calls ctr_destroy(box) */
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(ctr_is_running(box) == 1);
	ANSWERS(CTR_ERR_TIMED_OUT, ctr_process_wait(p, 0, NULL));
	/* By its name it is anybody's. */
	char name[64];
	snprintf(name, sizeof name, "%s", ctr_name(box));
	child = fork();
	if (child == 0) {
		ctr_container *joined;

		OK(ctr_join(name, &joined));
		CHECK(sh(joined, "exit 7").code == 7);
		FAILS(CTR_ERR_INVALID, "forked child", ctr_destroy(box));
		ANSWERS(CTR_ERR_INVALID, ctr_destroy(box)); /* the handle is released */
		OK(ctr_close(joined));
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(ctr_is_running(box) == 1);
	ctr_process_free(p);
	OK(ctr_destroy(box));
}

int main(void)
{
	RUN(own_stdio_no_descriptor_of_ours_is_a_standard_stream);
	RUN(own_stdio_what_is_close_on_exec_is_not_inherited);
	RUN(own_foreign_fd_a_daemon_that_closes_all_keeps_what_it_opens_next);
	RUN(own_foreign_fd_live_handles_are_answered_and_touch_nothing);
	RUN(own_foreign_fd_a_detached_container_can_still_be_destroyed);
	RUN(a_forked_child_uses_and_ends_nothing_of_its_parents);
	return done();
}
