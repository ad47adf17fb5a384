/* An interactive shell in a container: a terminal of its own, job control, the right size, and your terminal as it was
 * afterwards.
 *
 *     ./shell [IMAGE [COMMAND [ARGUMENT...]]]
 */
#define _DEFAULT_SOURCE
#include <ctr.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static int resized[2]; /* a pipe: the signal handler writes, the loop reads */
static struct termios before;

static void on_resize(int signal)
{
	int kept = errno;
	ssize_t ignored = write(resized[1], "", 1);

	(void)signal;
	(void)ignored;
	errno = kept;
}

static void restore(void)
{
	tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

static void raw(void)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &before))
		return;
	atexit(restore);
	t = before;
	cfmakeraw(&t);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

static struct winsize size(void)
{
	struct winsize now = {.ws_row = 24, .ws_col = 80};

	ioctl(STDIN_FILENO, TIOCGWINSZ, &now);
	return now;
}

static bool copy(int from, int to)
{
	char bytes[4096];
	ssize_t length = read(from, bytes, sizeof bytes), done = 0;

	while (done < length) {
		ssize_t n = write(to, bytes + done, (size_t)(length - done));

		if (n < 0 && errno != EINTR)
			return false;
		done += n > 0 ? n : 0;
	}
	/* A terminal whose last user has gone answers EIO. */
	return length > 0 || (length < 0 && errno == EINTR);
}

/* Until the program has ended and all that it wrote has been shown. */
static void talk(ctr_process *p)
{
	int pty = ctr_process_pty(p);
	struct pollfd fds[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = pty, .events = POLLIN},
		{.fd = resized[0], .events = POLLIN},
		{.fd = ctr_process_wait_fd(p), .events = POLLIN},
	};

	for (;;) {
		if (poll(fds, 4, -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (fds[1].revents && !copy(pty, STDOUT_FILENO))
			return;
		if (fds[3].revents && !fds[1].revents)
			return;
		if (fds[0].revents && !copy(STDIN_FILENO, pty)) {
			char end_of_file = 4; /* what Ctrl-D sends */
			ssize_t ignored = write(pty, &end_of_file, 1);

			(void)ignored;
			fds[0].fd = -1;
		}
		if (fds[2].revents) {
			struct winsize now = size();
			char ignored[16];

			if (read(resized[0], ignored, sizeof ignored) > 0)
				ctr_process_resize(p, now.ws_row, now.ws_col);
		}
	}
}

int main(int argc, char **argv)
{
	const char *image = argc > 1 ? argv[1] : "host";
	const char *shell[] = {"/bin/sh", "-i", NULL};
	const char *term = getenv("TERM");
	struct sigaction action = {.sa_handler = on_resize};
	struct winsize now = size();
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c;
	ctr_process *p;
	ctr_exit end = {0};

	ctr_exec_config_set_pty(config, now.ws_row, now.ws_col);
	ctr_exec_config_add_env(config, "TERM", term ? term : "dumb");
	if (ctr_create(image, NULL, &c) || ctr_exec(c, argc > 2 ? (const char *const *)(argv + 2) : shell, config, &p)) {
		fprintf(stderr, "shell: %s\n", ctr_last_error());
		return 1;
	}
	ctr_exec_config_free(config);
	if (pipe(resized)) {
		perror("shell: pipe");
		return 1;
	}
	sigaction(SIGWINCH, &action, NULL);
	raw();
	talk(p);
	if (ctr_process_wait(p, -1, &end))
		fprintf(stderr, "shell: %s\r\n", ctr_last_error());
	ctr_process_free(p);
	ctr_destroy(c);
	return end.code;
}
