/* A program by somebody who knows the header only: 50 lifecycles beside a thread that reaps whatever it can get. */
#include <ctr.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t children, over;

static void on_child(int signal)
{
	(void)signal;
	children++;
}

static void *reap(void *taken)
{
	while (!over) {
		if (waitpid(-1, NULL, 0) > 0)
			++*(int *)taken;
		else
			usleep(50);
	}
	return NULL;
}

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, ctr_last_error());
	exit(1);
}

int main(void)
{
	int taken = 0;
	pthread_t reaper;

	signal(SIGCHLD, on_child);
	if (pthread_create(&reaper, NULL, reap, &taken))
		return 1;
	for (int i = 0; i < 50; i++) {
		const char *argv[] = {"sh", "-c", "exit 7", NULL};
		ctr_container *c;
		ctr_process *p;
		ctr_exit end;

		if (ctr_create("host", NULL, &c))
			die("create");
		if (ctr_exec(c, argv, NULL, &p))
			die("exec");
		if (ctr_process_wait(p, -1, &end))
			die("wait");
		if (end.code != 7 || end.reason != CTR_REASON_EXITED)
			return 2;
		ctr_process_free(p);
		if (ctr_destroy(c))
			die("destroy");
	}
	over = 1;
	pthread_join(reaper, NULL);
	if (taken || children) {
		fprintf(stderr, "the reaper took %d children, %d signals came\n", taken, (int)children);
		return 3;
	}
	puts("50 lifecycles, nothing seen");
	return 0;
}
