/* Many processes, one thread: poll(2) on pipes and on the descriptors that say when a process has ended.
 *
 *     ./eventloop
 */
#include <ctr.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define JOBS 4

static int fail(const char *what)
{
	fprintf(stderr, "eventloop: %s: %s\n", what, ctr_last_error());
	return 1;
}

static int start(ctr_container *c, ctr_exec_config *config, int number, ctr_process **p)
{
	char script[96];
	const char *command[] = {"/bin/sh", "-c", script, NULL};

	snprintf(script, sizeof script, "sleep 0.%d; echo job %d was here; exit %d", JOBS - number, number, number);
	return ctr_exec(c, command, config, p);
}

int main(void)
{
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c;
	ctr_process *jobs[JOBS];
	struct pollfd fds[2 * JOBS]; /* of job i: 2 i its output, 2 i + 1 its end */
	int open = 0;

	if (ctr_create("host", NULL, &c))
		return fail("create");
	ctr_exec_config_set_stdio(config, STDIN_FILENO, CTR_STDIO_NULL);
	ctr_exec_config_set_stdio(config, STDOUT_FILENO, CTR_STDIO_PIPE);
	for (int i = 0; i < JOBS; i++) {
		if (start(c, config, i, &jobs[i]))
			return fail("start");
		fds[2 * i] = (struct pollfd){.fd = ctr_process_stdout(jobs[i]), .events = POLLIN};
		fds[2 * i + 1] = (struct pollfd){.fd = ctr_process_wait_fd(jobs[i]), .events = POLLIN};
		open += 2;
	}
	ctr_exec_config_free(config);

	while (open > 0 && poll(fds, 2 * JOBS, -1) >= 0) {
		for (int i = 0; i < 2 * JOBS; i++) {
			ctr_process *job = jobs[i / 2];
			char text[256];
			ctr_exit end;
			ssize_t length;

			if (fds[i].fd < 0 || fds[i].revents == 0)
				continue;
			if (i % 2 == 0) {
				length = read(fds[i].fd, text, sizeof text);
				if (length > 0) {
					printf("job %d says: %.*s", i / 2, (int)length, text);
					continue;
				}
				close(fds[i].fd);
			} else {
				if (ctr_process_wait(job, 0, &end))
					return fail("wait");
				printf("job %d ended with code %d\n", i / 2, end.code);
			}
			fds[i].fd = -1; /* poll(2) leaves negative ones out */
			open--;
		}
	}
	for (int i = 0; i < JOBS; i++)
		ctr_process_free(jobs[i]);
	return ctr_destroy(c) ? fail("destroy") : 0;
}
