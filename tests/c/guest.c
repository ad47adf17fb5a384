/* We are a guest in the caller's process: nothing of it is changed, seen or taken, whatever else goes on in it. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static atomic_bool stop;
static atomic_int reaped, signals;

static void on_child(int signal)
{
	(void)signal;
	signals++;
}

/* What a program with a hand-made process supervisor does all day. */
static void *reap_everything(void *flags)
{
	while (!stop) {
		pid_t pid = waitpid(-1, NULL, *(int *)flags);

		if (pid > 0)
			reaped++;
		else
			usleep(100);
	}
	return NULL;
}

static void lives_beside_reapers(int flags)
{
	struct sigaction action = {.sa_handler = on_child}, after;
	pthread_t reapers[2];
	sigset_t mask;

	CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&reapers[i], NULL, reap_everything, &flags) == 0);
	for (int i = 0; i < 50; i++) {
		ctr_container *c = new_container();
		char script[32];

		snprintf(script, sizeof script, "exit %d", i + 1);
		CHECK(sh(c, script).code == i + 1);
		OK(ctr_destroy(c));
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(reapers[i], NULL) == 0);
	CHECK(signals == 0);
	CHECK(sigaction(SIGCHLD, NULL, &after) == 0 && after.sa_handler == on_child);
	CHECK(sigprocmask(SIG_SETMASK, NULL, &mask) == 0 && !sigismember(&mask, SIGCHLD));
}

TEST(a_host_that_reaps_everything_sees_nothing_of_us_and_takes_nothing)
{
	lives_beside_reapers(0);
	CHECK(reaped == 0);
}

TEST(a_host_that_reaps_children_without_a_signal_too_takes_nothing_that_we_need)
{
	lives_beside_reapers(__WALL);
}

TEST(a_host_that_ignores_its_children_gets_every_exit_status)
{
	CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	for (int i = 0; i < 10; i++) {
		ctr_container *c = new_container();

		CHECK(sh(c, "exit 5").code == 5);
		OK(ctr_destroy(c));
	}
	CHECK(signal(SIGCHLD, SIG_DFL) == SIG_IGN);
}

TEST(signals_mask_directory_umask_environment_and_limits_stay_as_they_were)
{
	struct sigaction before[NSIG], now;
	sigset_t blocked, mask;
	struct rlimit files, files_now;
	char cwd[4096], cwd_now[4096];
	ctr_container *c;

	CHECK(sigemptyset(&blocked) == 0 && sigaddset(&blocked, SIGUSR1) == 0);
	CHECK(sigprocmask(SIG_SETMASK, &blocked, NULL) == 0);
	for (int s = 1; s < NSIG; s++)
		memset(&before[s], 0, sizeof before[s]), sigaction(s, NULL, &before[s]);
	umask(0137);
	CHECK(getcwd(cwd, sizeof cwd) && getrlimit(RLIMIT_NOFILE, &files) == 0);
	c = new_container();
	CHECK(sh(c, "exit 1").code == 1);
	OK(ctr_destroy(c));
	for (int s = 1; s < NSIG; s++) {
		memset(&now, 0, sizeof now);
		sigaction(s, NULL, &now);
		CHECK(now.sa_handler == before[s].sa_handler && now.sa_flags == before[s].sa_flags);
	}
	CHECK(sigprocmask(SIG_SETMASK, NULL, &mask) == 0 && sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGTERM));
	CHECK(umask(0) == 0137);
	CHECK(getcwd(cwd_now, sizeof cwd_now) && strcmp(cwd, cwd_now) == 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &files_now) == 0 && memcmp(&files, &files_now, sizeof files) == 0);
	CHECK(getenv("container") == NULL);
}

TEST(errno_stays_on_success_and_tells_on_failure)
{
	ctr_container *c, *none;

	errno = EXDEV;
	c = new_container();
	CHECK(errno == EXDEV);
	ANSWERS(1, ctr_is_running(c));
	CHECK(errno == EXDEV);
	CHECK(ctr_join("capi-no-such", &none) < 0);
	CHECK(errno == ctr_last_errno() && errno > 0);
	OK(ctr_destroy(c));
}

TEST(lifecycles_leave_no_descriptor)
{
	ctr_container *c = new_container(); /* whatever the process keeps for good is there after this */
	int before;

	OK(ctr_destroy(c));
	before = count_fds();
	for (int i = 0; i < 100; i++) {
		c = new_container();
		CHECK(sh(c, "exit 0").code == 0);
		OK(ctr_destroy(c));
	}
	CHECK(count_fds() == before);
}

static void *lifecycles(void *count)
{
	for (int i = 0; i < *(int *)count; i++) {
		ctr_container *c;
		const char *argv[] = {"/bin/sh", "-c", "exit 11", NULL};
		ctr_process *p;
		ctr_exit end;

		OK(ctr_create("host", NULL, &c));
		OK(ctr_exec(c, argv, NULL, &p));
		OK(ctr_process_wait(p, -1, &end));
		CHECK(end.code == 11);
		ctr_process_free(p);
		OK(ctr_destroy(c));
	}
	return NULL;
}

static long resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long size, resident = -1;

	CHECK(file && fscanf(file, "%ld %ld", &size, &resident) == 2);
	fclose(file);
	return resident;
}

TEST(lifecycles_leave_no_memory)
{
	int count = 50;
	long before;

	lifecycles(&count);
	before = resident_pages();
	count = 300;
	lifecycles(&count);
	CHECK(resident_pages() - before < 64);
}

TEST(every_descriptor_is_close_on_exec)
{
	bool there[4096];
	ctr_container *c;

	for (int fd = 0; fd < 4096; fd++)
		there[fd] = fcntl(fd, F_GETFD) >= 0;
	c = new_container();
	for (int fd = 0; fd < 4096; fd++) {
		int flags = fcntl(fd, F_GETFD);

		CHECK(there[fd] || flags < 0 || flags & FD_CLOEXEC);
	}
	OK(ctr_destroy(c));
}

TEST(sixteen_threads_live_their_lifecycles_side_by_side)
{
	int count = 100, before;
	pthread_t threads[16];
	ctr_container *c = new_container();

	OK(ctr_destroy(c));
	before = count_fds();
	for (int i = 0; i < 16; i++)
		CHECK(pthread_create(&threads[i], NULL, lifecycles, &count) == 0);
	for (int i = 0; i < 16; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(count_fds() == before);
}

struct shared {
	ctr_container *c;
	int code;
};

static void *use_shared(void *argument)
{
	struct shared *shared = argument;
	char script[64];

	for (int i = 0; i < 10; i++) {
		ctr_container *c = shared->c;
		const char *argv[] = {"/bin/sh", "-c", script, NULL};
		ctr_process *p;
		ctr_exit end;

		snprintf(script, sizeof script, "exit %d", shared->code);
		OK(ctr_exec(c, argv, NULL, &p));
		OK(ctr_process_wait(p, -1, &end));
		CHECK(end.code == shared->code);
		ctr_process_free(p);
	}
	return NULL;
}

TEST(one_handle_serves_many_threads)
{
	ctr_container *c = new_container();
	struct shared shared[8];
	pthread_t threads[8];

	for (int i = 0; i < 8; i++) {
		shared[i] = (struct shared){.c = c, .code = 20 + i};
		CHECK(pthread_create(&threads[i], NULL, use_shared, &shared[i]) == 0);
	}
	for (int i = 0; i < 8; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	OK(ctr_destroy(c));
}

static void *wait_for(void *p)
{
	ctr_exit end;

	OK(ctr_process_wait(p, -1, &end));
	return (void *)(intptr_t)end.code;
}

TEST(every_thread_that_waits_is_told)
{
	const char *argv[] = {"/bin/sh", "-c", "read x; exit 13", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	pthread_t threads[4];
	ctr_process *p;

	OK(ctr_exec_config_set_stdio(config, 0, CTR_STDIO_PIPE));
	OK(ctr_exec(c, argv, config, &p));
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, wait_for, p) == 0);
	usleep(20000);
	close(ctr_process_stdin(p));
	for (int i = 0; i < 4; i++) {
		void *code;

		CHECK(pthread_join(threads[i], &code) == 0 && (intptr_t)code == 13);
	}
	ctr_process_free(p);
	ctr_exec_config_free(config);
	OK(ctr_destroy(c));
}

TEST(a_handle_freed_during_a_wait_stays_until_the_wait_is_over)
{
	const char *argv[] = {"/bin/sh", "-c", "read x; exit 14", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container();
	ctr_process *p;
	pthread_t thread;
	void *code;
	int in;

	OK(ctr_exec_config_set_stdio(config, 0, CTR_STDIO_PIPE));
	OK(ctr_exec(c, argv, config, &p));
	in = ctr_process_stdin(p);
	CHECK(pthread_create(&thread, NULL, wait_for, p) == 0);
	usleep(50000);
	ctr_process_free(p);
	close(in);
	CHECK(pthread_join(thread, &code) == 0 && (intptr_t)code == 14);
	ctr_exec_config_free(config);
	OK(ctr_destroy(c));
}

TEST(a_forked_child_makes_its_own_and_leaves_the_parents_alone)
{
	ctr_container *c = new_container();
	pid_t child;
	int status;

	CHECK(sh(c, "exit 1").code == 1);
	child = fork();
	if (child == 0) {
		ctr_container *own = new_container();

		status = sh(own, "exit 15").code;
		OK(ctr_destroy(own));
		exit(status); /* runs the exit handlers too */
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 15);
	ANSWERS(1, ctr_is_running(c));
	CHECK(sh(c, "exit 16").code == 16);
	OK(ctr_destroy(c));
}

static void *fork_all_day(void *unused)
{
	(void)unused;
	while (!stop) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		if (child > 0)
			waitpid(child, NULL, 0);
	}
	return NULL;
}

TEST(a_thread_that_forks_all_the_time_disturbs_nothing)
{
	pthread_t thread;
	int count = 10;

	CHECK(pthread_create(&thread, NULL, fork_all_day, NULL) == 0);
	lifecycles(&count);
	stop = true;
	CHECK(pthread_join(thread, NULL) == 0);
}

TEST(a_container_ends_with_its_maker_while_forked_children_live)
{
	ctr_container *c;
	int names[2], status;
	char name[80] = "";
	pid_t maker, grandchild = 0;

	CHECK(pipe2(names, O_CLOEXEC) == 0);
	maker = fork();
	if (maker == 0) {
		c = new_container();
		grandchild = fork();
		if (grandchild == 0) {
			close(names[1]);
			pause();
			_exit(0);
		}
		dprintf(names[1], "%d %s", (int)grandchild, ctr_name(c));
		raise(SIGKILL);
	}
	CHECK(waitpid(maker, &status, 0) == maker);
	close(names[1]);
	CHECK(sscanf(slurp(names[0]), "%d %79s", &grandchild, name) == 2);
	for (int i = 0; i < 1000 && (status = ctr_join(name, &c)) == 0; i++) {
		OK(ctr_close(c));
		usleep(10000);
	}
	CHECK(kill(grandchild, SIGKILL) == 0);
	CHECK(status == CTR_ERR_NOT_FOUND || status == CTR_ERR_DESTROYED);
}

TEST(what_the_container_does_to_all_processes_stays_inside)
{
	ctr_container *c = new_container();

	sh(c, "kill -9 -1");
	CHECK(sh(c, "exit 17").code == 17);
	OK(ctr_destroy(c));
}

/* For PID 1 of a PID namespace it is so by itself; tests/capi.rs runs this there, too. */
TEST(a_host_whose_children_orphans_are_has_one_more_child_that_does_not_end)
{
	pid_t child;
	int status;

	if (getpid() != 1)
		CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
	for (int i = 0; i < 5; i++) {
		ctr_container *c = new_container();

		CHECK(sh(c, "exit 18").code == 18);
		/* Neither the container nor its program is one that waits for whatever ends could take. */
		CHECK(waitpid(-1, NULL, WNOHANG) == 0);
		OK(ctr_destroy(c));
		CHECK(waitpid(-1, NULL, WNOHANG) == 0);
	}
	/* Nor do they come between the host and a child of its own. */
	child = fork();
	if (child == 0)
		_exit(19);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 19);
}

int main(void)
{
	RUN(a_host_that_reaps_everything_sees_nothing_of_us_and_takes_nothing);
	RUN(a_host_that_reaps_children_without_a_signal_too_takes_nothing_that_we_need);
	RUN(a_host_that_ignores_its_children_gets_every_exit_status);
	RUN(signals_mask_directory_umask_environment_and_limits_stay_as_they_were);
	RUN(errno_stays_on_success_and_tells_on_failure);
	RUN(lifecycles_leave_no_descriptor);
	RUN(lifecycles_leave_no_memory);
	RUN(every_descriptor_is_close_on_exec);
	RUN(sixteen_threads_live_their_lifecycles_side_by_side);
	RUN(one_handle_serves_many_threads);
	RUN(every_thread_that_waits_is_told);
	RUN(a_handle_freed_during_a_wait_stays_until_the_wait_is_over);
	RUN(a_forked_child_makes_its_own_and_leaves_the_parents_alone);
	RUN(a_thread_that_forks_all_the_time_disturbs_nothing);
	RUN(a_container_ends_with_its_maker_while_forked_children_live);
	RUN(what_the_container_does_to_all_processes_stays_inside);
	RUN(a_host_whose_children_orphans_are_has_one_more_child_that_does_not_end);
	return done();
}
