/* What a container is: each wall, seen from outside and from inside; with --plan, the commands that would build it by hand.
 *
 *     ./walls [IMAGE [--plan]]
 */
#define _POSIX_C_SOURCE 200809L
#include <ctr.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct wall {
	const char *name, *look;
} WALLS[] = {
	{"the process ids", "echo $(ls /proc | grep -c '^[0-9]') processes to be seen"},
	{"the users", "echo uid $(id -u), which is host uid $(awk '{print $2; exit}' /proc/self/uid_map)"},
	{"the hostname", "hostname"},
	{"the file system", "echo $(wc -l </proc/self/mountinfo) mounts, root on $(awk '$5 == \"/\" {print $9}' /proc/self/mountinfo)"},
	{"the network", "echo network interfaces: $(grep -c : /proc/net/dev)"},
	{"the capabilities", "grep CapBnd /proc/self/status | cut -f 2"},
	{"the descriptors", "echo $(ls /proc/self/fd | wc -l) open, one of them for this ls"},
};

static void die(const char *what)
{
	fprintf(stderr, "walls: %s: %s\n", what, ctr_last_error());
	exit(1);
}

static void first_line(char *text)
{
	text[strcspn(text, "\n")] = '\0';
}

static void outside(const char *script, char *text, int size)
{
	FILE *pipe = popen(script, "r");

	*text = '\0';
	if (!pipe || !fgets(text, size, pipe))
		snprintf(text, (size_t)size, "-");
	if (pipe)
		pclose(pipe);
	first_line(text);
}

static void inside(ctr_container *c, const char *script, char *text, size_t size)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_process *p;
	size_t length = 0;
	ssize_t n;
	int fd;

	ctr_exec_config_set_stdio(config, STDIN_FILENO, CTR_STDIO_NULL);
	ctr_exec_config_set_stdio(config, STDOUT_FILENO, CTR_STDIO_PIPE);
	if (ctr_exec(c, argv, config, &p))
		die("exec");
	ctr_exec_config_free(config);
	fd = ctr_process_stdout(p);
	while (length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	close(fd);
	text[length] = '\0';
	first_line(text);
	ctr_process_wait(p, -1, NULL);
	ctr_process_free(p);
}

int main(int argc, char **argv)
{
	const char *image = argc > 1 ? argv[1] : "host";
	ctr_config *config = ctr_config_new();
	ctr_container *c;
	char one[256], two[256], *plan;
	uint64_t now;

	ctr_config_set_memory(config, UINT64_C(256) << 20);
	ctr_config_set_pids(config, 64);
	ctr_config_set_cgroup(config, CTR_CGROUP_OPTIONAL);
	if (ctr_create(image, config, &c))
		die(image);
	ctr_config_free(config);
	if (argc > 2 && strcmp(argv[2], "--plan") == 0) {
		if (ctr_explain_container(c, &plan))
			die("explain");
		printf("%s\n", plan);
		ctr_string_free(plan);
	}

	printf("%-18s %-44s %s\n", "wall", "outside", "inside");
	for (size_t i = 0; i < sizeof WALLS / sizeof *WALLS; i++) {
		outside(WALLS[i].look, one, sizeof one);
		inside(c, WALLS[i].look, two, sizeof two);
		printf("%-18s %-44s %s\n", WALLS[i].name, one, two);
	}
	if (ctr_mem_usage(c, &now, NULL) == 0)
		printf("%-18s %-44s %" PRIu64 " KiB of 256 MiB in use\n", "the memory", "-", now / 1024);
	if (ctr_destroy(c))
		die("destroy");
	puts("destroyed: no process, mount or cgroup is left");
	return 0;
}
