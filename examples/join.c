/* Runs a command in a container that another process made, or in the namespaces of any process, as nsenter does.
 *
 *     ./join NAME|PID [COMMAND [ARGUMENT...]]
 *     ./join                                     lists what runs
 */
#include <ctr.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char *what)
{
	fprintf(stderr, "join: %s: %s\n", what, ctr_last_error());
	return 1;
}

static int list(void)
{
	ctr_container_list *all;

	if (ctr_list(&all))
		return fail("list");
	for (int i = 0; i < ctr_list_count(all); i++)
		printf("%-24s pid %-8d %s%s\n", ctr_list_name(all, i), ctr_list_pid(all, i), ctr_list_image(all, i),
		       ctr_list_detached(all, i) == 1 ? " (detached)" : "");
	ctr_list_free(all);
	return 0;
}

int main(int argc, char **argv)
{
	const char *shell[] = {"/bin/sh", NULL};
	ctr_container *c;
	ctr_process *p;
	ctr_exit end;
	char *rest;
	long pid;

	if (argc < 2)
		return list();
	pid = strtol(argv[1], &rest, 10);
	if (*rest == '\0' ? ctr_join_pid((int32_t)pid, &c) : ctr_join(argv[1], &c))
		return fail(argv[1]);
	if (ctr_exec(c, argc > 2 ? (const char *const *)(argv + 2) : shell, NULL, &p))
		return fail("start");
	if (ctr_process_wait(p, -1, &end))
		return fail("wait");
	ctr_process_free(p);
	ctr_close(c); /* and not ctr_destroy: the container is somebody else's */
	return end.code;
}
