/* Memory limits, live: what fits, what does not, and who is told.
 *
 *     ./limits
 */
#include <ctr.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MIB (UINT64_C(1) << 20)

static int check(int answer, const char *what)
{
	if (answer >= 0)
		return answer;
	fprintf(stderr, "limits: %s: %s\n", what, ctr_last_error());
	exit(1);
}

/* Runs a program that takes so many MiB, and says how that ended. */
static const char *take(ctr_container *c, int mib)
{
	char size[32];
	const char *command[] = {"dd", "if=/dev/zero", "of=/dev/null", "count=1", size, NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_process *p;
	ctr_exit end;

	snprintf(size, sizeof size, "bs=%dM", mib);
	ctr_exec_config_set_stdio(config, 2, CTR_STDIO_NULL); /* dd tells how fast it was */
	check(ctr_exec(c, command, config, &p), "start");
	check(ctr_process_wait(p, -1, &end), "wait");
	ctr_process_free(p);
	ctr_exec_config_free(config);
	return end.reason == CTR_REASON_OUT_OF_MEMORY ? "out of memory" : end.code == 0 ? "fits" : "failed";
}

static void show(ctr_container *c)
{
	uint64_t limit, now, peak;

	check(ctr_mem_limit(c, &limit), "read the limit");
	check(ctr_mem_usage(c, &now, &peak), "read the usage");
	printf("limit %" PRIu64 " MiB, in use %" PRIu64 " KiB, peak %" PRIu64 " KiB\n", limit / MIB, now / 1024, peak / 1024);
}

int main(void)
{
	ctr_config *config = ctr_config_new();
	ctr_container *c;

	check(ctr_config_set_memory(config, 64 * MIB), "set the limit");
	check(ctr_config_set_pids(config, 32), "set the limit");
	check(ctr_create("host", config, &c), "create");
	ctr_config_free(config);

	show(c);
	printf("a program that takes 20 MiB: %s\n", take(c, 20));
	printf("a program that takes 200 MiB: %s\n", take(c, 200));
	check(ctr_set_mem_limit(c, 512 * MIB), "raise the limit");
	show(c);
	printf("a program that takes 200 MiB: %s\n", take(c, 200));
	check(ctr_destroy(c), "destroy");
	return 0;
}
