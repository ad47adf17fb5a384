/* Calls that fail in a running container, or because it runs no more. */
#define _GNU_SOURCE
#include "check.h"

#include <poll.h>
#include <pthread.h>

TEST(an_argv_that_names_nothing_is_refused)
{
	const char *none[] = {NULL}, *empty[] = {"", NULL}, *missing[] = {"/no/such/program", NULL};
	const char *not_in_path[] = {"no-such-program", NULL}, *directory[] = {"/etc", NULL};
	ctr_container *c = new_container();
	ctr_process *p = (ctr_process *)&p;

	FAILS(CTR_ERR_INVALID, "argv", ctr_exec(c, none, NULL, &p));
	CHECK(p == NULL);
	CHECK(ctr_exec(c, empty, NULL, &p) < 0);
	CHECK(ctr_exec(c, missing, NULL, &p) < 0);
	CHECK(ctr_last_errno() == ENOENT && strstr(ctr_last_error(), "/no/such/program"));
	CHECK(ctr_exec(c, not_in_path, NULL, &p) < 0);
	CHECK(ctr_last_errno() == ENOENT && strstr(ctr_last_error(), "no-such-program"));
	CHECK(ctr_exec(c, directory, NULL, &p) < 0);
	CHECK(ctr_last_errno() == EACCES && strstr(ctr_last_error(), "/etc"));
	CHECK(sh(c, "exit 4").code == 4);
	OK(ctr_destroy(c));
}

TEST(a_script_without_its_interpreter_names_the_interpreter)
{
	const char *argv[] = {"/tmp/script", NULL};
	ctr_container *c = new_container();
	ctr_process *p;

	CHECK(sh(c, "printf '#!/no/such/interpreter\\n' >/tmp/script && chmod +x /tmp/script").code == 0);
	CHECK(ctr_exec(c, argv, NULL, &p) < 0);
	CHECK(ctr_last_errno() == ENOENT);
	CHECK(strstr(ctr_last_error(), "/no/such/interpreter"));
	OK(ctr_destroy(c));
}

/* The attack ledger's own-escapes. */
TEST(an_error_is_one_short_line_whatever_the_name)
{
	static char huge[1 << 20];
	const char *hostile = "x\033]0;pwned\a\r\nforged: ok";
	const char *argv[] = {"/tmp/script", NULL}, *program[] = {hostile, NULL};
	ctr_container *c = new_container(), *other;
	ctr_process *p;
	int i;

	CHECK(sh(c, "printf '#!/no/\\033]0;pwned\\a\\n' >/tmp/script && chmod +x /tmp/script").code == 0);
	memset(huge, 'x', sizeof huge - 1);
	for (i = 0; i < 4; i++) {
		const char *at;

		CHECK((i == 0   ? ctr_exec(c, argv, NULL, &p)
		       : i == 1 ? ctr_exec(c, program, NULL, &p)
		       : i == 2 ? ctr_join(hostile, &other)
				: ctr_join(huge, &other)) < 0);
		CHECK(strlen(ctr_last_error()) < 4096);
		CHECK(i == 3 || strstr(ctr_last_error(), "\\x1b]0;pwned\\x07"));
		for (at = ctr_last_error(); *at; at++)
			CHECK((unsigned char)*at >= ' ' && *at != 0x7f);
	}
	OK(ctr_destroy(c));
}

TEST(an_argument_that_is_too_long_is_refused)
{
	static char huge[4 << 20];
	const char *argv[] = {"/bin/true", huge, NULL};
	ctr_container *c = new_container();
	ctr_process *p;

	memset(huge, 'x', sizeof huge - 1);
	CHECK(ctr_exec(c, argv, NULL, &p) < 0);
	CHECK(ctr_last_errno() == E2BIG);
	CHECK(sh(c, "exit 4").code == 4);
	OK(ctr_destroy(c));
}

TEST(a_missing_working_directory_and_user_are_named)
{
	const char *argv[] = {"/bin/true", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;

	OK(ctr_exec_config_set_cwd(config, "/no/such/directory"));
	CHECK(ctr_exec(c, argv, config, &p) < 0);
	CHECK(strstr(ctr_last_error(), "/no/such/directory") && ctr_last_errno() == ENOENT);
	OK(ctr_exec_config_set_cwd(config, "relative"));
	FAILS(CTR_ERR_INVALID, "relative", ctr_exec(c, argv, config, &p));
	OK(ctr_exec_config_set_cwd(config, "/"));
	OK(ctr_exec_config_set_user(config, "no-such-user"));
	FAILS(CTR_ERR_NOT_FOUND, "no-such-user", ctr_exec(c, argv, config, &p));
	OK(ctr_exec_config_set_user(config, "0:no-such-group"));
	FAILS(CTR_ERR_NOT_FOUND, "no-such-group", ctr_exec(c, argv, config, &p));
	ctr_exec_config_free(config);
	OK(ctr_destroy(c));
}

TEST(a_signal_that_is_none_is_refused)
{
	const char *argv[] = {"/bin/sleep", "600", NULL};
	ctr_container *c = new_container();
	ctr_process *p;

	OK(ctr_exec(c, argv, NULL, &p));
	OK(ctr_process_kill(p, 0));
	FAILS(CTR_ERR_INVALID, "99", ctr_process_kill(p, 99));
	FAILS(CTR_ERR_INVALID, "-9", ctr_process_kill(p, -9));
	FAILS(CTR_ERR_INVALID, "99", ctr_process_kill_group(p, 99));
	ANSWERS(CTR_ERR_TIMED_OUT, ctr_process_wait(p, 0, NULL));
	ctr_process_free(p);
	OK(ctr_destroy(c));
}

TEST(bad_descriptors_are_refused)
{
	const char *argv[] = {"/bin/true", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;

	OK(ctr_exec_config_set_stdio_fd(config, 0, 987));
	CHECK(ctr_exec(c, argv, config, &p) < 0);
	CHECK(ctr_last_errno() == EBADF);
	OK(ctr_exec_config_set_stdio(config, 0, CTR_STDIO_STDOUT));
	ANSWERS(CTR_ERR_INVALID, ctr_exec(c, argv, config, &p));
	OK(ctr_exec_config_set_stdio(config, 0, CTR_STDIO_NULL));
	OK(ctr_exec_config_add_fd(config, 987, 5));
	CHECK(ctr_exec(c, argv, config, &p) < 0);
	CHECK(ctr_last_errno() == EBADF);
	ctr_exec_config_free(config);
	OK(ctr_destroy(c));
}

TEST(a_limit_below_what_the_kernel_takes_is_refused)
{
	ctr_config *config = named();
	ctr_container *c = NULL;
	uint64_t limit;

	OK(ctr_config_set_memory(config, 0));
	FAILS(CTR_ERR_INVALID, "memory", ctr_create("host", config, &c));
	OK(ctr_config_set_memory(config, CTR_UNLIMITED));
	OK(ctr_config_set_pids(config, 0));
	FAILS(CTR_ERR_INVALID, "pids", ctr_create("host", config, &c));
	OK(ctr_config_set_pids(config, CTR_UNLIMITED));
	OK(ctr_config_set_memory(config, 64 * MIB));
	ANSWERS(0, ctr_create("host", config, &c));
	FAILS(CTR_ERR_INVALID, "memory", ctr_set_mem_limit(c, 0));
	CHECK(ctr_set_mem_limit(c, 1) < 0);
	CHECK(ctr_set_pids_limit(c, 0) < 0);
	OK(ctr_mem_limit(c, &limit));
	CHECK(limit == 64 * MIB);
	ctr_config_free(config);
	OK(ctr_destroy(c));
}

TEST(other_handles_on_a_destroyed_container_say_so)
{
	const char *argv[] = {"/bin/true", NULL};
	ctr_container *c = new_container(), *other;
	ctr_process *p;
	uint64_t number;

	OK(ctr_join(ctr_name(c), &other));
	ANSWERS(1, ctr_is_running(other));
	OK(ctr_destroy(c));
	ANSWERS(0, ctr_is_running(other));
	FAILS(CTR_ERR_DESTROYED, "ended", ctr_exec(other, argv, NULL, &p));
	ANSWERS(CTR_ERR_DESTROYED, ctr_set_mem_limit(other, 64 * MIB));
	ANSWERS(CTR_ERR_DESTROYED, ctr_mem_usage(other, &number, NULL));
	CHECK(ctr_name(other) != NULL);
	OK(ctr_destroy(other));
}

TEST(a_container_whose_pid_1_was_killed_from_outside_is_destroyed)
{
	const char *argv[] = {"/bin/sleep", "600", NULL};
	ctr_container *c = new_container();
	ctr_process *p, *none;
	ctr_exit end;

	OK(ctr_exec(c, argv, NULL, &p));
	CHECK(kill(ctr_pid(c), SIGKILL) == 0);
	OK(ctr_process_wait(p, 60000, &end));
	CHECK(end.reason == CTR_REASON_DESTROYED);
	CHECK(end.code == 128 + SIGKILL && end.signal == SIGKILL);
	ANSWERS(CTR_ERR_DESTROYED, ctr_exec(c, argv, NULL, &none));
	CHECK(poll(&(struct pollfd){.fd = ctr_pidfd(c), .events = POLLIN}, 1, 60000) == 1);
	ANSWERS(0, ctr_is_running(c));
	ctr_process_free(p);
	OK(ctr_destroy(c));
}

static void *exec_until_destroyed(void *handle)
{
	const char *argv[] = {"/bin/true", NULL};
	ctr_process *p;
	ctr_exit end;
	int answer;

	while ((answer = ctr_exec(handle, argv, NULL, &p)) == 0) {
		answer = ctr_process_wait(p, 60000, &end);
		CHECK(answer == 0);
		CHECK(end.reason == CTR_REASON_EXITED || end.reason == CTR_REASON_DESTROYED);
		ctr_process_free(p);
	}
	/* Destroyed under the call, or released before it. */
	CHECK(answer == CTR_ERR_DESTROYED || answer == CTR_ERR_INVALID);
	return NULL;
}

TEST(exec_while_another_thread_destroys_is_answered)
{
	for (int round = 0; round < 20; round++) {
		ctr_container *c = new_container();
		pthread_t threads[4];

		for (int i = 0; i < 4; i++)
			CHECK(pthread_create(&threads[i], NULL, exec_until_destroyed, c) == 0);
		usleep((useconds_t)(round * 1000));
		OK(ctr_destroy(c));
		for (int i = 0; i < 4; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
	}
}

static void *destroy(void *handle)
{
	return (void *)(intptr_t)ctr_destroy(handle);
}

TEST(of_two_threads_that_destroy_one_succeeds_and_one_is_told)
{
	for (int round = 0; round < 20; round++) {
		ctr_container *c = new_container();
		pthread_t one, two;
		void *first, *second;

		CHECK(pthread_create(&one, NULL, destroy, c) == 0 && pthread_create(&two, NULL, destroy, c) == 0);
		CHECK(pthread_join(one, &first) == 0 && pthread_join(two, &second) == 0);
		CHECK((intptr_t)first + (intptr_t)second == CTR_ERR_INVALID);
	}
}

int main(void)
{
	RUN(an_argv_that_names_nothing_is_refused);
	RUN(a_script_without_its_interpreter_names_the_interpreter);
	RUN(an_error_is_one_short_line_whatever_the_name);
	RUN(an_argument_that_is_too_long_is_refused);
	RUN(a_missing_working_directory_and_user_are_named);
	RUN(a_signal_that_is_none_is_refused);
	RUN(bad_descriptors_are_refused);
	RUN(a_limit_below_what_the_kernel_takes_is_refused);
	RUN(other_handles_on_a_destroyed_container_say_so);
	RUN(a_container_whose_pid_1_was_killed_from_outside_is_destroyed);
	RUN(exec_while_another_thread_destroys_is_answered);
	RUN(of_two_threads_that_destroy_one_succeeds_and_one_is_told);
	return done();
}
