/* What include/ctr.h promises of containers that run: how they are paused. */
#define _GNU_SOURCE
#include "check.h"

TEST(a_container_stands_still_and_goes_on)
{
	const char *argv[] = {"/bin/sh", "-c", "while read x; do echo $x; done", NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container(), *joined;
	ctr_container_list *list;
	ctr_process *p;
	char *json, heard[8];
	int i, answer, in, out;

	answer = ctr_pause(c, 20000);
	if (answer == CTR_ERR_UNSUPPORTED)
		skip(ctr_last_error());
	OK(answer);
	OK(ctr_resume(c));
	ANSWERS(0, ctr_paused(c));
	OK(ctr_exec_config_set_stdio(config, 0, CTR_STDIO_PIPE));
	OK(ctr_exec_config_set_stdio(config, 1, CTR_STDIO_PIPE));
	OK(ctr_exec(c, argv, config, &p));
	in = ctr_process_stdin(p);
	out = ctr_process_stdout(p);
	CHECK(in >= 0 && out >= 0);
	OK(ctr_pause(c, -1));
	OK(ctr_pause(c, 0));
	ANSWERS(1, ctr_paused(c));
	CHECK(write(in, "x\n", 2) == 2);
	FAILS(CTR_ERR_SYSTEM, "it is paused (resume it first)", ctr_exec(c, argv, config, &p));
	CHECK(errno == EBUSY && !p);
	FAILS(CTR_ERR_SYSTEM, "paused", ctr_kill_all(c, SIGKILL));
	OK(ctr_join(ctr_name(c), &joined));
	ANSWERS(1, ctr_paused(joined));
	OK(ctr_list(&list));
	for (i = 0; strcmp(ctr_list_name(list, i), ctr_name(c)); i++)
		CHECK(i < ctr_list_count(list));
	ANSWERS(1, ctr_list_paused(list, i));
	CHECK(ctr_list_pid(list, i) == ctr_pid(c));
	ctr_list_free(list);
	OK(ctr_inspect(joined, &json));
	CHECK(strstr(json, "\"paused\":true"));
	ctr_string_free(json);
	OK(ctr_resume(joined));
	OK(ctr_resume(joined));
	OK(ctr_close(joined));
	CHECK(read(out, heard, sizeof heard) == 2);
	OK(ctr_list(&list));
	for (i = 0; strcmp(ctr_list_name(list, i), ctr_name(c)); i++)
		CHECK(i < ctr_list_count(list));
	ANSWERS(0, ctr_list_paused(list, i));
	FAILS(CTR_ERR_INVALID, "index", ctr_list_paused(list, -1));
	ctr_list_free(list);
	ctr_exec_config_free(config);
	OK(ctr_pause(c, 20000));
	OK(ctr_destroy(c));
	FAILS(CTR_ERR_INVALID, "container", ctr_pause(c, 0));
}

TEST(what_has_no_cgroup_can_not_be_paused)
{
	ctr_config *config = named();
	ctr_container *c;

	OK(ctr_config_set_cgroup(config, CTR_CGROUP_OFF));
	OK(ctr_create("host", config, &c));
	ctr_config_free(config);
	FAILS(CTR_ERR_UNSUPPORTED, "pause container", ctr_pause(c, 100));
	FAILS(CTR_ERR_UNSUPPORTED, "resume container", ctr_resume(c));
	ANSWERS(0, ctr_paused(c));
	OK(ctr_destroy(c));
}

int main(void)
{
	RUN(a_container_stands_still_and_goes_on);
	RUN(what_has_no_cgroup_can_not_be_paused);
	return done();
}
