/* A host with one container, which lives until stdin ends. Prints the container's name. */
#include <ctr.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	ctr_config *config = ctr_config_new();
	ctr_container *c;
	char byte, name[32];

	snprintf(name, sizeof name, "capi-%d-waits", (int)getpid());
	if (ctr_config_set_name(config, name) || ctr_create("host", config, &c)) {
		fprintf(stderr, "%s\n", ctr_last_error());
		return 1;
	}
	ctr_config_free(config);
	puts(ctr_name(c));
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return ctr_destroy(c) != 0;
}
