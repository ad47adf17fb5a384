/* What the C tests share. A test is a function whose name is a sentence; each runs in a process of its own, so that one
 * that crashes, hangs or changes its process does not take the others along.
 *
 * Output, one line a test: "ok SENTENCE", "not ok SENTENCE: where: what", "SKIPPED SENTENCE: why".
 */
#ifndef CHECK_H
#define CHECK_H

#include <ctr.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST(sentence) static void sentence(void)
#define RUN(sentence) run_test(#sentence, sentence)

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			fail(__FILE__, __LINE__, "%s is not so (last error: %s)", #condition, ctr_last_error()); \
	} while (0)

/* The call answers this number. */
#define ANSWERS(code, call) \
	do { \
		int answer_ = (call); \
		if (answer_ != (code)) \
			fail(__FILE__, __LINE__, "%s answers %d %s instead of %s (last error: %s)", #call, answer_, \
			     ctr_error_name(answer_), #code, ctr_last_error()); \
	} while (0)

/* The call answers this number, and the last error has these words in it. */
#define FAILS(code, words, call) \
	do { \
		ANSWERS(code, call); \
		if (!strstr(ctr_last_error(), words)) \
			fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", ctr_last_error(), words); \
	} while (0)

#define OK(call) ANSWERS(0, call)

#define MIB (UINT64_C(1) << 20)

static int failures_;
static int report_ = -1; /* where the process of a test says what was wrong */

static void end_test(int status, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
static void fail(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4), unused));
static void skip(const char *why) __attribute__((noreturn, unused));

static void end_test(int status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vdprintf(report_, format, arguments);
	va_end(arguments);
	_exit(status);
}

static void fail(const char *file, int line, const char *format, ...)
{
	char text[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	end_test(1, "%s:%d: %s", file, line, text);
}

static void skip(const char *why)
{
	end_test(77, "%s", why);
}

static void run_test(const char *sentence, void (*test)(void))
{
	const char *only = getenv("ONLY"), *verdict;
	char why[4096] = "";
	size_t length = 0;
	ssize_t n;
	int fds[2], status;
	pid_t pid;

	if (only && !strstr(sentence, only))
		return;
	if (getenv("NO_FORK")) { /* for valgrind, which sees into one process */
		report_ = STDOUT_FILENO;
		test();
		printf("ok %s\n", sentence), fflush(stdout);
		return;
	}
	fflush(stdout);
	if (pipe(fds) || fcntl(fds[0], F_SETFD, FD_CLOEXEC) || fcntl(fds[1], F_SETFD, FD_CLOEXEC) || (pid = fork()) < 0) {
		perror("check.h");
		exit(2);
	}
	if (pid == 0) {
		report_ = fds[1];
		close(fds[0]);
		setpgid(0, 0);
		alarm(300);
		test();
		exit(0);
	}
	close(fds[1]);
	waitpid(pid, &status, 0);
	kill(-pid, SIGKILL); /* what a test that failed left running holds the pipe open */
	while (length < sizeof why - 1 && (n = read(fds[0], why + length, sizeof why - 1 - length)) > 0)
		length += (size_t)n;
	close(fds[0]);
	if (WIFSIGNALED(status))
		snprintf(why, sizeof why, "signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
	verdict = WIFEXITED(status) && WEXITSTATUS(status) == 77 ? "SKIPPED" : status == 0 ? "ok" : "not ok";
	failures_ += strcmp(verdict, "not ok") == 0;
	if (*verdict == 'n' && *why == '\0')
		snprintf(why, sizeof why, "status %d", WEXITSTATUS(status));
	printf("%s %s%s%s\n", verdict, sentence, *why ? ": " : "", why);
}

static int done(void)
{
	return failures_ != 0;
}

/* A name that no other test has and that says whose it is. */
static const char *new_name(void) __attribute__((unused));
static const char *new_name(void)
{
	static char name[64];
	static int count;

	snprintf(name, sizeof name, "capi-%d-%d", (int)getpid(), ++count);
	return name;
}

static ctr_config *named(void) __attribute__((unused));
static ctr_config *named(void)
{
	ctr_config *config = ctr_config_new();

	OK(ctr_config_set_name(config, new_name()));
	return config;
}

/* A container of the host's own files with a name of ours. */
static ctr_container *new_container(void) __attribute__((unused));
static ctr_container *new_container(void)
{
	ctr_config *config = named();
	ctr_container *c = NULL;

	OK(ctr_create("host", config, &c));
	CHECK(c != NULL);
	ctr_config_free(config);
	return c;
}

/* Runs a shell script inside. */
static ctr_exit sh(ctr_container *c, const char *script) __attribute__((unused));
static ctr_exit sh(ctr_container *c, const char *script)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	ctr_process *p = NULL;
	ctr_exit end;

	OK(ctr_exec(c, argv, NULL, &p));
	OK(ctr_process_wait(p, 60000, &end));
	ctr_process_free(p);
	return end;
}

/* All of a descriptor, as a string; closes it. */
static const char *slurp(int fd) __attribute__((unused));
static const char *slurp(int fd)
{
	static char text[65536];
	size_t length = 0;
	ssize_t n;

	CHECK(fd >= 0);
	while (length < sizeof text - 1 && (n = read(fd, text + length, sizeof text - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	close(fd);
	return text;
}

/* What a shell script prints inside, without the last newline. */
static const char *output(ctr_container *c, const char *script, ctr_exec_config *given) __attribute__((unused));
static const char *output(ctr_container *c, const char *script, ctr_exec_config *given)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	ctr_exec_config *config = given ? given : ctr_exec_config_new();
	ctr_process *p = NULL;
	char *text;

	OK(ctr_exec_config_set_stdio(config, 1, CTR_STDIO_PIPE));
	OK(ctr_exec(c, argv, config, &p));
	text = (char *)slurp(ctr_process_stdout(p));
	OK(ctr_process_wait(p, 60000, NULL));
	ctr_process_free(p);
	ctr_exec_config_free(config);
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* A fresh directory below $SCRATCH, which whoever runs the tests removes. */
static const char *scratch(void) __attribute__((unused));
static const char *scratch(void)
{
	static char path[512];

	snprintf(path, sizeof path, "%s/XXXXXX", getenv("SCRATCH") ? getenv("SCRATCH") : "/tmp");
	CHECK(mkdtemp(path) != NULL);
	return path;
}

static void write_file(const char *path, const void *bytes, size_t length) __attribute__((unused));
static void write_file(const char *path, const void *bytes, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, bytes, length) == (ssize_t)length);
	close(fd);
}

static int count_fds(void) __attribute__((unused));
static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

#endif
