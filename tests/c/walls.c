/* What include/ctr.h promises of walls: which stand, why, and what is chosen of them. */
#define _GNU_SOURCE
#include "check.h"

/* The index of a wall; -1 if it is not there. */
static int wall(ctr_walls *walls, const char *name)
{
	for (int i = 0; i < ctr_walls_count(walls); i++)
		if (strcmp(ctr_walls_name(walls, i), name) == 0)
			return i;
	return -1;
}

TEST(every_wall_is_told_with_its_reason)
{
	ctr_config *config = ctr_config_new();
	ctr_container *c, *joined;
	ctr_walls *walls;
	char *json, *text;
	int i;

	OK(ctr_config_set_seccomp(config, CTR_SECCOMP_UNCONFINED));
	OK(ctr_config_set_masked_paths(config, false));
	OK(ctr_config_set_landlock(config, false));
	OK(ctr_explain("host", config, &text));
	CHECK(strstr(text, "asked for: seccomp = unconfined") != NULL);
	ctr_string_free(text);
	OK(ctr_create("host", config, &c));
	OK(ctr_join(ctr_name(c), &joined));
	OK(ctr_walls_of(joined, &walls));
	CHECK(ctr_walls_count(walls) > 20);
	CHECK((i = wall(walls, "seccomp")) >= 0);
	CHECK(ctr_walls_state(walls, i) == CTR_WALL_OFF);
	CHECK(strcmp(ctr_walls_why(walls, i), "asked for: seccomp = unconfined") == 0);
	CHECK((i = wall(walls, "masked paths")) >= 0);
	CHECK(ctr_walls_state(walls, i) == CTR_WALL_OFF);
	CHECK(strcmp(ctr_walls_why(walls, i), "asked for: masked_paths = false") == 0);
	CHECK((i = wall(walls, "Landlock")) >= 0);
	CHECK(ctr_walls_state(walls, i) == CTR_WALL_OFF);
	CHECK((i = wall(walls, "no_new_privs")) >= 0);
	CHECK(ctr_walls_state(walls, i) == CTR_WALL_ON && strlen(ctr_walls_says(walls, i)) > 0);
	FAILS(CTR_ERR_INVALID, "index", ctr_walls_state(walls, ctr_walls_count(walls)));
	CHECK(ctr_walls_name(walls, -1) == NULL);
	ctr_walls_free(walls);
	OK(ctr_inspect(joined, &json));
	CHECK(json[0] == '{' && strstr(json, ctr_name(c)) != NULL && strstr(json, "\"walls\":[{") != NULL);
	ctr_string_free(json);
	OK(ctr_destroy(c));
	FAILS(CTR_ERR_DESTROYED, ctr_name(joined), ctr_inspect(joined, &json));
	CHECK(json == NULL);
	FAILS(CTR_ERR_DESTROYED, ctr_name(joined), ctr_walls_of(joined, &walls));
	CHECK(walls == NULL);
	OK(ctr_close(joined));
	ctr_config_free(config);
}

TEST(explain_prints_the_walls_as_commands)
{
	ctr_config *config = named();
	ctr_container *c;
	ctr_container_list *list;
	char *text;

	OK(ctr_config_set_memory(config, 64 * MIB));
	OK(ctr_explain("host", config, &text));
	CHECK(strstr(text, "unshare") && strstr(text, "mount") && strstr(text, "pivot_root"));
	ctr_string_free(text);
	/* Explaining makes nothing. */
	OK(ctr_list(&list));
	CHECK(ctr_list_count(list) == 0);
	ctr_list_free(list);
	ctr_config_free(config);
	c = new_container();
	OK(ctr_explain_container(c, &text));
	CHECK(strstr(text, "pivot_root"));
	free(text);
	OK(ctr_destroy(c));
}

TEST(the_root_is_not_the_hosts_root)
{
	ctr_container *c = new_container();
	char map[128];

	CHECK(strcmp(output(c, "id -u", NULL), "0") == 0);
	snprintf(map, sizeof map, "%s", output(c, "cat /proc/self/uid_map", NULL));
	CHECK(strstr(map, "4294967295") == NULL);
	CHECK(strcmp(output(c, "echo $$", NULL), "1") != 0);
	CHECK(sh(c, "touch /written-inside").code == 0);
	CHECK(access("/written-inside", F_OK) < 0);
	CHECK(sh(c, "mount -t tmpfs none /mnt 2>/dev/null").code != 0);
	OK(ctr_destroy(c));
}

TEST(a_preset_and_what_is_set_beside_it_count)
{
	ctr_config *config = named();
	ctr_container *c;

	OK(ctr_config_set_preset(config, CTR_PRESET_STRICT));
	OK(ctr_config_set_seccomp_refusal(config, CTR_REFUSAL_ERRNO, ENOTTY));
	OK(ctr_config_add_rlimit(config, "nofile", 40, 50));
	OK(ctr_config_add_sysctl(config, "net.ipv4.ip_unprivileged_port_start", "81"));
	OK(ctr_create("host", config, &c));
	ctr_config_free(config);
	CHECK(sh(c, "echo x >/new 2>/dev/null").code != 0);
	CHECK(strcmp(output(c, "echo $(ulimit -Sn) $(ulimit -Hn)", NULL), "40 50") == 0);
	CHECK(strcmp(output(c, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", NULL), "81") == 0);
	CHECK(strstr(output(c, "unshare -n true 2>&1", NULL), strerror(ENOTTY)));
	OK(ctr_destroy(c));
}

TEST(a_device_is_given_and_a_list_says_which_can_be_opened)
{
	ctr_config *config = named();
	ctr_container *c;

	OK(ctr_config_add_device(config, "/dev/zero:/dev/given/zero:rw"));
	OK(ctr_create("host", config, &c));
	CHECK(strcmp(output(c, "head -c 2 /dev/given/zero | wc -c", NULL), "2") == 0);
	OK(ctr_destroy(c));
	OK(ctr_config_set_device_list(config, CTR_DEVICE_LIST_REQUIRED));
	if (ctr_create("host", config, &c) != 0) {
		CHECK(strstr(ctr_last_error(), "list the devices"));
	} else {
		char *plan = NULL;

		OK(ctr_explain("host", config, &plan));
		CHECK(strstr(plan, "c 136:* rwm") && strstr(plan, "/dev/given/zero"));
		ctr_string_free(plan);
		OK(ctr_destroy(c));
	}
	OK(ctr_config_add_device(config, "/etc/passwd"));
	FAILS(CTR_ERR_INVALID, "no device node", ctr_create("host", config, &c));
	ctr_config_free(config);
}

TEST(a_label_of_a_security_module_that_is_not_there_is_an_error_or_left_out)
{
	ctr_config *config = named();
	ctr_container *c;

	OK(ctr_config_set_selinux(config, "system_u:system_r:container_t:s0"));
	OK(ctr_config_set_selinux_mounts(config, "system_u:object_r:container_file_t:s0"));
	OK(ctr_config_set_apparmor(config, "unconfined"));
	if (access("/sys/fs/selinux", F_OK) == 0)
		skip("SELinux is active");
	FAILS(CTR_ERR_UNSUPPORTED, "SELinux", ctr_create("host", config, &c));
	CHECK(strstr(ctr_last_error(), "lsm="));
	OK(ctr_config_set_labels_optional(config, true));
	OK(ctr_create("host", config, &c));
	CHECK(sh(c, "true").code == 0);
	OK(ctr_destroy(c));
	OK(ctr_config_set_selinux(config, "two\nlines"));
	FAILS(CTR_ERR_INVALID, "one line", ctr_create("host", config, &c));
	FAILS(CTR_ERR_INVALID, "profile", ctr_config_set_apparmor(config, NULL));
	ctr_config_free(config);
}

TEST(capabilities_are_added_and_dropped_by_name)
{
	ctr_config *config = named();
	ctr_container *c;

	OK(ctr_config_drop_capability(config, "ALL"));
	OK(ctr_config_add_capability(config, "CHOWN"));
	OK(ctr_config_add_capability(config, "cap_kill"));
	OK(ctr_create("host", config, &c));
	CHECK(strstr(output(c, "grep CapBnd /proc/self/status", NULL), "0000000000000021"));
	OK(ctr_destroy(c));
	OK(ctr_config_add_capability(config, "FLY"));
	FAILS(CTR_ERR_INVALID, "FLY", ctr_create("host", config, &c));
	ctr_config_free(config);
}

TEST(a_report_says_what_the_machine_allows)
{
	ctr_report *report;
	int count, user_namespaces = 0;

	OK(ctr_probe(&report));
	count = ctr_report_count(report);
	CHECK(count > 10);
	for (int i = 0; i < count; i++) {
		CHECK(*ctr_report_name(report, i));
		CHECK(ctr_report_ok(report, i) == 1 || *ctr_report_says(report, i));
		CHECK(ctr_report_ok(report, i) == 0 || !*ctr_report_hint(report, i));
		user_namespaces += strcmp(ctr_report_name(report, i), "user namespaces") == 0;
	}
	CHECK(user_namespaces == 1);
	CHECK(!ctr_report_name(report, count));
	FAILS(CTR_ERR_INVALID, "checks", ctr_report_ok(report, -1));
	ctr_report_free(report);
	FAILS(CTR_ERR_INVALID, "report", ctr_report_count(report));
	ctr_report_free(NULL);
	FAILS(CTR_ERR_INVALID, "out", ctr_probe(NULL));
}

int main(void)
{
	RUN(every_wall_is_told_with_its_reason);
	RUN(explain_prints_the_walls_as_commands);
	RUN(the_root_is_not_the_hosts_root);
	RUN(a_preset_and_what_is_set_beside_it_count);
	RUN(a_device_is_given_and_a_list_says_which_can_be_opened);
	RUN(a_label_of_a_security_module_that_is_not_there_is_an_error_or_left_out);
	RUN(capabilities_are_added_and_dropped_by_name);
	RUN(a_report_says_what_the_machine_allows);
	return done();
}
