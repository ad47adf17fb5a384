/* What include/ctr.h promises of processes. */
#define _GNU_SOURCE
#include "check.h"

#include <poll.h>

TEST(exit_codes_and_signals_are_told_apart)
{
	ctr_container *c = new_container();
	ctr_exit end = sh(c, "exit 42");

	CHECK(end.code == 42 && end.signal == 0 && end.reason == CTR_REASON_EXITED);
	end = sh(c, "kill -TERM $$");
	CHECK(end.code == 128 + SIGTERM && end.signal == SIGTERM && end.reason == CTR_REASON_SIGNALED);
	CHECK(end.reserved_int == 0 && end.reserved[0] == 0 && end.reserved[10] == 0);
	end = sh(c, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
	CHECK(end.user_us + end.system_us > 0 && end.max_rss > 0);
	OK(ctr_destroy(c));
}

TEST(every_wait_after_the_end_answers_the_same)
{
	const char *argv[] = {"/bin/sh", "-c", "read x; exit 7", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;
	ctr_exit one, two;
	int in;

	OK(ctr_exec_config_set_stdio(config, 0, CTR_STDIO_PIPE));
	OK(ctr_exec(c, argv, config, &p));
	memset(&one, 0xff, sizeof one);
	FAILS(CTR_ERR_TIMED_OUT, "still runs", ctr_process_wait(p, 0, &one));
	CHECK(one.code == 0 && one.reserved[10] == 0);
	ANSWERS(CTR_ERR_TIMED_OUT, ctr_process_wait(p, 20, NULL));
	CHECK(ctr_last_errno() == ETIMEDOUT);
	in = ctr_process_stdin(p);
	CHECK(in >= 0 && (fcntl(in, F_GETFD) & FD_CLOEXEC));
	CHECK(ctr_process_stdin(p) == CTR_ERR_INVALID);
	CHECK(ctr_process_stdout(p) == CTR_ERR_INVALID);
	close(in);
	OK(ctr_process_wait(p, -1, &one));
	OK(ctr_process_wait(p, 0, &two));
	CHECK(memcmp(&one, &two, sizeof one) == 0 && one.code == 7);
	OK(ctr_process_kill(p, SIGKILL));
	CHECK(ctr_process_host_pid(p) > 1);
	ctr_process_free(p);
	ctr_exec_config_free(config);
	OK(ctr_destroy(c));
}

TEST(standard_streams_lead_where_they_are_set)
{
	const char *cat[] = {"/bin/cat", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;
	int in, fds[2];

	OK(ctr_exec_config_set_stdio(config, 0, CTR_STDIO_PIPE));
	OK(ctr_exec_config_set_stdio(config, 1, CTR_STDIO_PIPE));
	OK(ctr_exec(c, cat, config, &p));
	in = ctr_process_stdin(p);
	CHECK(write(in, "through", 7) == 7);
	close(in);
	CHECK(strcmp(slurp(ctr_process_stdout(p)), "through") == 0);
	OK(ctr_process_wait(p, -1, NULL));
	ctr_process_free(p);
	ctr_exec_config_free(config);

	config = ctr_exec_config_new();
	OK(ctr_exec_config_set_stdio(config, 2, CTR_STDIO_STDOUT));
	CHECK(strcmp(output(c, "echo to stderr >&2", config), "to stderr") == 0);

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	config = ctr_exec_config_new();
	OK(ctr_exec_config_add_fd(config, fds[1], 7));
	CHECK(strcmp(output(c, "echo by number >&7; ls /proc/self/fd | tr '\\n' ' '", config), "0 1 2 3 7 ") == 0);
	close(fds[1]);
	CHECK(strcmp(slurp(fds[0]), "by number\n") == 0);

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	config = ctr_exec_config_new();
	OK(ctr_exec_config_set_stdio_fd(config, 2, fds[1]));
	output(c, "echo to the pipe >&2", config);
	CHECK(fcntl(fds[1], F_GETFD) >= 0);
	close(fds[1]);
	CHECK(strcmp(slurp(fds[0]), "to the pipe\n") == 0);

	config = ctr_exec_config_new();
	OK(ctr_exec_config_set_stdio(config, 0, CTR_STDIO_NULL));
	CHECK(strcmp(output(c, "readlink /proc/self/fd/0", config), "/dev/null") == 0);
	OK(ctr_destroy(c));
}

TEST(environment_directory_and_user_are_as_set)
{
	ctr_config *config = named();
	ctr_exec_config *exec_config = ctr_exec_config_new();
	ctr_container *c;

	OK(ctr_config_add_env(config, "COLOUR", "green"));
	OK(ctr_config_set_hostname(config, "a-host"));
	OK(ctr_create("host", config, &c));
	CHECK(strcmp(output(c, "hostname", NULL), "a-host") == 0);
	CHECK(strcmp(output(c, "echo $COLOUR ${SCRATCH-unset}", NULL), "green unset") == 0);
	OK(ctr_exec_config_add_env(exec_config, "COLOUR", "blue"));
	OK(ctr_exec_config_set_cwd(exec_config, "/usr"));
	OK(ctr_exec_config_set_user(exec_config, "12:34"));
	CHECK(strcmp(output(c, "echo $COLOUR $PWD $(id -u):$(id -g)", exec_config), "blue /usr 12:34") == 0);
	exec_config = ctr_exec_config_new();
	OK(ctr_exec_config_set_clear_env(exec_config, true));
	CHECK(strcmp(output(c, "echo ${COLOUR-unset}", exec_config), "unset") == 0);
	OK(ctr_destroy(c));
	ctr_config_free(config);
}

TEST(program_groups_and_umask_are_as_set)
{
	const char *argv[] = {"called", "-c", "echo $0 $(id -G) $(umask)", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;

	OK(ctr_exec_config_set_stdio(config, 1, CTR_STDIO_PIPE));
	OK(ctr_exec_config_set_program(config, "sh"));
	OK(ctr_exec_config_add_group(config, "daemon"));
	OK(ctr_exec_config_add_group(config, "77"));
	OK(ctr_exec_config_set_umask(config, 077));
	OK(ctr_exec(c, argv, config, &p));
	CHECK(strcmp(slurp(ctr_process_stdout(p)), "called 0 1 77 0077\n") == 0);
	OK(ctr_process_wait(p, -1, NULL));
	ctr_process_free(p);
	OK(ctr_exec_config_set_umask(config, 01000));
	FAILS(CTR_ERR_INVALID, "umask", ctr_exec(c, argv, config, &p));
	OK(ctr_exec_config_set_umask(config, 0));
	OK(ctr_exec_config_add_group(config, "no-such-group"));
	FAILS(CTR_ERR_NOT_FOUND, "no-such-group", ctr_exec(c, argv, config, &p));
	ctr_exec_config_free(config);
	OK(ctr_destroy(c));
}

TEST(a_pty_is_a_terminal_with_a_size)
{
	const char *argv[] = {"/bin/sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size; read x; stty size; tty", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;
	ctr_exit end;
	char text[1024];
	size_t length = 0;
	ssize_t n;
	bool answered = false;

	OK(ctr_exec_config_set_pty(config, 33, 99));
	OK(ctr_exec(c, argv, config, &p));
	while ((n = read(ctr_process_pty(p), text + length, sizeof text - 1 - length)) > 0) {
		length += (size_t)n;
		text[length] = '\0';
		if (!answered && strstr(text, "33 99")) {
			OK(ctr_process_resize(p, 44, 111));
			CHECK(write(ctr_process_pty(p), "\n", 1) == 1);
			answered = true;
		}
	}
	OK(ctr_process_wait(p, 60000, &end));
	CHECK(end.code == 0);
	CHECK(strstr(text, "44 111") && strstr(text, "/dev/pts/"));
	ctr_process_free(p);
	ctr_exec_config_free(config);
	CHECK(sh(c, "exit 0").code == 0);
	OK(ctr_destroy(c));
}

TEST(a_time_limit_kills_and_says_so)
{
	const char *argv[] = {"/bin/sleep", "600", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;
	ctr_exit end;

	OK(ctr_exec_config_set_time_limit(config, 50));
	OK(ctr_exec(c, argv, config, &p));
	OK(ctr_process_wait(p, -1, &end));
	CHECK(end.reason == CTR_REASON_TIMED_OUT && end.signal == SIGKILL);
	ctr_process_free(p);
	ctr_exec_config_free(config);
	OK(ctr_destroy(c));
}

TEST(a_budget_of_cpu_time_kills_all_and_says_so)
{
	const char *argv[] = {"/bin/sh", "-c", "(setsid sh -c 'while :; do :; done' &); setsid sleep 600 & sleep 600", NULL};
	const char *idle[] = {"/bin/true", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;
	ctr_exit end;

	OK(ctr_exec_config_set_cpu_time_limit(config, 100));
	OK(ctr_exec(c, argv, config, &p));
	OK(ctr_process_wait(p, 60000, &end));
	CHECK(end.reason == CTR_REASON_OUT_OF_CPU_TIME && end.signal == SIGKILL);
	ctr_process_free(p);
	OK(ctr_exec_config_set_cpu_time_limit(config, -1));
	OK(ctr_exec(c, idle, config, &p));
	OK(ctr_process_wait(p, 60000, &end));
	CHECK(end.reason == CTR_REASON_EXITED);
	ctr_process_free(p);
	ctr_exec_config_free(config);
	OK(ctr_destroy(c));
}

TEST(a_container_whose_time_is_over_ends_and_says_why)
{
	const char *busy[] = {"/bin/sh", "-c", "(setsid sh -c 'while :; do :; done' &); sleep 600", NULL};
	const int reasons[] = {CTR_REASON_TIMED_OUT, CTR_REASON_OUT_OF_CPU_TIME};
	int i;

	for (i = 0; i < 2; i++) {
		ctr_config *config = named();
		uint64_t values[CTR_EVENT_VALUE_PRESSURE + 1];
		ctr_container *c;
		ctr_process *p;
		ctr_watcher *w;
		ctr_exit end;

		OK(i ? ctr_config_set_cpu_time(config, 500) : ctr_config_set_lifetime(config, 3000));
		OK(ctr_create("host", config, &c));
		OK(ctr_watch(c, CTR_EVENT_END, &w));
		CHECK(ctr_end_reason(c) == CTR_ERR_TIMED_OUT);
		OK(ctr_exec(c, busy, NULL, &p));
		OK(ctr_process_wait(p, 60000, &end));
		CHECK(end.reason == reasons[i] && end.signal == SIGKILL);
		CHECK(ctr_watch_next(w, 60000, values, CTR_EVENT_VALUE_PRESSURE + 1) == CTR_EVENT_END);
		CHECK(values[CTR_EVENT_VALUE_REASON] == (uint64_t)reasons[i]);
		CHECK(ctr_end_reason(c) == reasons[i]);
		ctr_watch_free(w);
		ctr_process_free(p);
		OK(ctr_destroy(c));
		OK(i ? ctr_config_set_cpu_time(config, -1) : ctr_config_set_lifetime(config, 0));
		if (i == 0)
			FAILS(CTR_ERR_INVALID, "0 is no time", ctr_create("host", config, &c));
		ctr_config_free(config);
	}
}

TEST(a_time_limit_ends_what_was_left_behind)
{
	const char *argv[] = {"/bin/sh", "-c", "setsid sleep 600 & (setsid sleep 600 &); echo ready", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;
	ctr_exit end;
	char text[16];
	size_t all = 0;
	ssize_t got;
	int out;

	OK(ctr_exec_config_set_stdio(config, 1, CTR_STDIO_PIPE));
	OK(ctr_exec_config_set_time_limit(config, 1000));
	OK(ctr_exec_config_set_start_timeout(config, 9000));
	OK(ctr_exec(c, argv, config, &p));
	out = ctr_process_stdout(p);
	CHECK(out >= 0);
	/* They hold the pipe, which comes to its end at the limit. */
	while ((got = read(out, text + all, sizeof text - all)) > 0)
		all += (size_t)got;
	CHECK(got == 0 && all == 6);
	OK(ctr_process_wait(p, 60000, &end));
	CHECK(end.reason == CTR_REASON_EXITED && end.code == 0);
	close(out);
	ctr_process_free(p);
	ctr_exec_config_free(config);
	CHECK(sh(c, "exit 3").code == 3);
	OK(ctr_destroy(c));
}

TEST(all_programs_are_killed_and_the_container_lives_on)
{
	const char *argv[] = {"/bin/sh", "-c", "setsid sleep 600 & sleep 600", NULL};
	ctr_container *c = new_container();
	ctr_process *p[3];
	ctr_exit end;
	int i;

	OK(ctr_kill_all(c, SIGKILL));
	for (i = 0; i < 3; i++)
		OK(ctr_exec(c, argv, NULL, &p[i]));
	OK(ctr_kill_all(c, 0));
	CHECK(ctr_process_wait(p[0], 0, NULL) == CTR_ERR_TIMED_OUT);
	OK(ctr_kill_all(c, SIGKILL));
	for (i = 0; i < 3; i++) {
		OK(ctr_process_wait(p[i], 60000, &end));
		CHECK(end.signal == SIGKILL && end.reason == CTR_REASON_SIGNALED);
		ctr_process_free(p[i]);
	}
	CHECK(sh(c, "! grep -q '^sleep.600' /proc/[0-9]*/cmdline").code == 0);
	CHECK(ctr_kill_all(c, 1000) == CTR_ERR_INVALID);
	CHECK(ctr_is_running(c) == 1);
	OK(ctr_destroy(c));
	CHECK(ctr_kill_all(c, SIGKILL) == CTR_ERR_INVALID);
}

TEST(stopped_programs_may_end_by_themselves_before_the_container_does)
{
	const char *argv[] = {"/bin/sh", "-c", "trap 'exit 3' TERM; echo; while :; do sleep 0.01; done", NULL};
	const char *stubborn[] = {"/bin/sh", "-c", "trap '' TERM; echo; while :; do sleep 0.01; done", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;
	ctr_exit end;
	char byte;

	OK(ctr_exec_config_set_stdio(config, 1, CTR_STDIO_PIPE));
	OK(ctr_exec(c, argv, config, &p));
	CHECK(read(ctr_process_stdout(p), &byte, 1) == 1);
	OK(ctr_stop(c, -1));
	CHECK(ctr_is_running(c) == CTR_ERR_INVALID);
	CHECK(ctr_stop(c, 0) == CTR_ERR_INVALID);
	OK(ctr_process_wait(p, -1, &end));
	CHECK(end.reason == CTR_REASON_EXITED && end.code == 3);
	ctr_process_free(p);

	c = new_container();
	OK(ctr_exec(c, stubborn, config, &p));
	CHECK(read(ctr_process_stdout(p), &byte, 1) == 1);
	OK(ctr_stop(c, 100));
	OK(ctr_process_wait(p, -1, &end));
	CHECK(end.reason == CTR_REASON_DESTROYED && end.signal == SIGKILL);
	ctr_process_free(p);
	ctr_exec_config_free(config);

	OK(ctr_stop(new_container(), -1));
	CHECK(ctr_stop(NULL, 0) == CTR_ERR_INVALID);
}

TEST(a_group_is_killed_as_one)
{
	const char *argv[] = {"/bin/sh", "-c", "sleep 600 & sleep 600 & echo ready; wait", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;
	char line[16];
	int out;

	OK(ctr_exec_config_set_stdio(config, 1, CTR_STDIO_PIPE));
	OK(ctr_exec(c, argv, config, &p));
	out = ctr_process_stdout(p);
	CHECK(read(out, line, sizeof line) == 6);
	CHECK(ctr_process_pid(p) > 1 && ctr_process_host_pid(p) > 1);
	OK(ctr_process_kill_group(p, SIGTERM));
	/* The pipe ends when the last of the group has gone. */
	CHECK(read(out, line, sizeof line) == 0);
	close(out);
	OK(ctr_process_wait(p, 60000, NULL));
	ctr_process_free(p);
	ctr_exec_config_free(config);
	OK(ctr_destroy(c));
}

TEST(pidfds_tell_the_end_to_poll)
{
	const char *argv[] = {"/bin/sh", "-c", "read x", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container(), *other;
	ctr_process *p;
	struct pollfd fds[3];

	OK(ctr_exec_config_set_stdio(config, 0, CTR_STDIO_PIPE));
	OK(ctr_exec(c, argv, config, &p));
	OK(ctr_join(ctr_name(c), &other));
	fds[0] = (struct pollfd){.fd = ctr_process_pidfd(p), .events = POLLIN};
	fds[1] = (struct pollfd){.fd = ctr_process_wait_fd(p), .events = POLLIN};
	fds[2] = (struct pollfd){.fd = ctr_pidfd(other), .events = POLLIN};
	for (int i = 0; i < 3; i++)
		CHECK(fds[i].fd >= 0 && (fcntl(fds[i].fd, F_GETFD) & FD_CLOEXEC));
	CHECK(poll(fds, 3, 20) == 0);
	close(ctr_process_stdin(p));
	CHECK(poll(&fds[0], 1, 60000) == 1);
	CHECK(poll(&fds[1], 1, 60000) == 1);
	OK(ctr_process_wait(p, 0, NULL));
	CHECK(poll(&fds[2], 1, 0) == 0);
	OK(ctr_destroy(c));
	CHECK(poll(&fds[2], 1, 60000) == 1);
	OK(ctr_close(other));
	ctr_process_free(p);
	ctr_exec_config_free(config);
}

int main(void)
{
	RUN(exit_codes_and_signals_are_told_apart);
	RUN(every_wait_after_the_end_answers_the_same);
	RUN(standard_streams_lead_where_they_are_set);
	RUN(environment_directory_and_user_are_as_set);
	RUN(program_groups_and_umask_are_as_set);
	RUN(a_pty_is_a_terminal_with_a_size);
	RUN(a_time_limit_kills_and_says_so);
	RUN(a_budget_of_cpu_time_kills_all_and_says_so);
	RUN(a_container_whose_time_is_over_ends_and_says_why);
	RUN(a_time_limit_ends_what_was_left_behind);
	RUN(all_programs_are_killed_and_the_container_lives_on);
	RUN(stopped_programs_may_end_by_themselves_before_the_container_does);
	RUN(a_group_is_killed_as_one);
	RUN(pidfds_tell_the_end_to_poll);
	return done();
}
