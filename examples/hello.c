/* The smallest program: one container, one command, its exit code.
 *
 *     cc hello.c $(pkg-config --cflags --libs ctr) && ./a.out
 */
#include <ctr.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *image = argc > 1 ? argv[1] : "host";
	const char *command[] = {"/bin/sh", "-c", "echo \"hello from $(hostname), I am pid $$ and uid $(id -u)\"", NULL};
	ctr_container *c;
	ctr_process *p;
	ctr_exit end = {0};

	if (ctr_create(image, NULL, &c) || ctr_exec(c, command, NULL, &p) || ctr_process_wait(p, -1, &end)) {
		fprintf(stderr, "hello: %s\n", ctr_last_error());
		return 1;
	}
	ctr_process_free(p);
	ctr_destroy(c);
	return end.code;
}
