/* Wrong arguments that can be told by looking at them: NULL, handles that are none, numbers of no enum. */
#define _GNU_SOURCE
#include "check.h"
#include <sys/socket.h>

#include <time.h>

/* Handles that never were any: small numbers, an address, all ones. */
static const uintptr_t RUBBISH[] = {1, 0x13, 0x1000, 0x7fffdeadbeef, UINTPTR_MAX, UINTPTR_MAX - 12};

/* Calls every function that takes this kind of handle, with a bad one, and expects to be told. */
static void every_config_function_refuses(ctr_config *bad)
{
	ctr_container *c = (ctr_container *)&c;
	char *text = (char *)&text;

	ANSWERS(CTR_ERR_INVALID, ctr_config_set_name(bad, "x"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_hostname(bad, "x"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_domainname(bad, "x"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_network(bad, "none"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_env(bad, "x", "y"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_mount_bind(bad, "/tmp", "/mnt", true));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_tmpfs(bad, "/mnt", CTR_UNLIMITED, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_volume(bad, "v", "/mnt", false));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_disk(bad, "/dev/null", "/mnt", NULL, 0, true, false));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_mount_owned(bad, "/tmp", "/mnt", true, 1, 1));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_mount_from(bad, "web", "/tmp", "/mnt", true));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_mount_image(bad, "image", "/mnt"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_scratch(bad, "/tmp", "/mnt"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_memory(bad, MIB));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_pids(bad, 1));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_cpus(bad, 500));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_memory_high(bad, 1 << 30));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_memory_low(bad, 1 << 30));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_swap(bad, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_cpu_weight(bad, 50));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_lifetime(bad, 1000));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_cpu_time(bad, 1000));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_cpuset(bad, "0"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_cpuset_mems(bad, "0"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_io(bad, "8:0 rbps=1"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_io_weight(bad, 50));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_hugetlb(bad, "2MB=0"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_upper_inodes(bad, 1000));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_cgroup(bad, CTR_CGROUP_OFF));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_cgroup_parent(bad, "/"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_namespace(bad, CTR_NS_NET, CTR_NS_HOST));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_namespace_pid(bad, CTR_NS_NET, 1));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_namespace_path(bad, CTR_NS_NET, "/proc/self/ns/net"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_namespace_container(bad, CTR_NS_NET, "x"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_read_only(bad, true));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_upper(bad, CTR_UPPER_DISK));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_directory(bad, CTR_DIRECTORY_DIRECT));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_detached(bad, true));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_capabilities(bad, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_capability(bad, "CHOWN"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_drop_capability(bad, "CHOWN"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_new_privileges(bad, true));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_masked_paths(bad, false));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_landlock(bad, false));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_etc_files(bad, false));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_upper_size(bad, 1 << 20));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_preset(bad, CTR_PRESET_STRICT));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_seccomp(bad, CTR_SECCOMP_STRICT));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_seccomp_file(bad, "/tmp/x"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_seccomp_json(bad, "{}"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_seccomp_refusal(bad, CTR_REFUSAL_LOG, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_rlimit(bad, "core", 0, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_sysctl(bad, "x", "y"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_device(bad, "/dev/null"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_port(bad, "127.0.0.1", 0, "127.0.0.1", 80));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_ip(bad, "10.0.3.2"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_add_alias(bad, "db"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_device_list(bad, CTR_DEVICE_LIST_OFF));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_apparmor(bad, "x"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_selinux(bad, "x"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_selinux_mounts(bad, "x"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_labels_optional(bad, true));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_time_offset(bad, CLOCK_BOOTTIME, 1, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_state_dir(bad, "/tmp"));
	ANSWERS(CTR_ERR_INVALID, ctr_config_set_store_dir(bad, "/tmp"));
	ctr_config_free(bad);
	if (bad) { /* NULL means the defaults here */
		FAILS(CTR_ERR_INVALID, "config", ctr_create("host", bad, &c));
		CHECK(c == NULL);
		FAILS(CTR_ERR_INVALID, "config", ctr_explain("host", bad, &text));
		CHECK(text == NULL);
	}
}

static void every_exec_config_function_refuses(ctr_exec_config *bad)
{
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_add_env(bad, "x", "y"));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_clear_env(bad, true));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_cwd(bad, "/"));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_user(bad, "0"));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_program(bad, "sh"));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_add_group(bad, "0"));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_umask(bad, 022));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_stdio(bad, 0, CTR_STDIO_NULL));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_stdio_fd(bad, 0, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_add_fd(bad, 0, 3));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_pty(bad, 24, 80));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_session(bad, CTR_SESSION_GROUP));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_process_group(bad, 2));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_time_limit(bad, 1000));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_cpu_time_limit(bad, 1000));
	ANSWERS(CTR_ERR_INVALID, ctr_exec_config_set_start_timeout(bad, 1000));
	ctr_exec_config_free(bad);
}

static void every_container_function_refuses(ctr_container *bad)
{
	const char *argv[] = {"/bin/true", NULL};
	ctr_process *p = (ctr_process *)&p;
	ctr_watcher *w = (ctr_watcher *)&w;
	ctr_walls *walls = (ctr_walls *)&walls;
	ctr_mounts *mounts = (ctr_mounts *)&mounts;
	ctr_differences *differences = (ctr_differences *)&differences;
	ctr_names *names = (ctr_names *)&names;
	struct stat stat;
	uint64_t number = 7, other = 7;
	char *text = (char *)&text;

	ANSWERS(CTR_ERR_INVALID, ctr_exec(bad, argv, NULL, &p));
	CHECK(p == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_set_mem_limit(bad, MIB));
	ANSWERS(CTR_ERR_INVALID, ctr_mem_limit(bad, &number));
	CHECK(number == 0);
	ANSWERS(CTR_ERR_INVALID, ctr_mem_usage(bad, &number, &other));
	ANSWERS(CTR_ERR_INVALID, ctr_oom_kills(bad, &number));
	CHECK(other == 0);
	ANSWERS(CTR_ERR_INVALID, ctr_set_pids_limit(bad, 1));
	ANSWERS(CTR_ERR_INVALID, ctr_set_limit(bad, CTR_LIMIT_CPUS, 500));
	number = 7;
	ANSWERS(CTR_ERR_INVALID, ctr_limit(bad, CTR_LIMIT_CPUS, &number));
	CHECK(number == 0);
	ANSWERS(CTR_ERR_INVALID, ctr_effective_limit(bad, CTR_LIMIT_CPUS, &number));
	ANSWERS(CTR_ERR_INVALID, ctr_set_limit_list(bad, CTR_LIMIT_CPUSET, "0"));
	ANSWERS(CTR_ERR_INVALID, ctr_limit_list(bad, CTR_LIMIT_CPUSET, &text));
	ANSWERS(CTR_ERR_INVALID, ctr_effective_limit_list(bad, CTR_LIMIT_CPUSET, &text));
	ANSWERS(CTR_ERR_INVALID, ctr_pids_limit(bad, &number));
	CHECK(ctr_name(bad) == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_pid(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_pidfd(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_is_running(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_kill_all(bad, SIGKILL));
	ANSWERS(CTR_ERR_INVALID, ctr_stop(bad, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_pause(bad, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_resume(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_mount(bad, "/usr", "/mnt", true));
	ANSWERS(CTR_ERR_INVALID, ctr_mount_tmpfs(bad, "/mnt", CTR_UNLIMITED, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_mount_volume(bad, "v", "/mnt", false));
	ANSWERS(CTR_ERR_INVALID, ctr_mount_disk(bad, "/dev/null", "/mnt", NULL, 0, true, false));
	ANSWERS(CTR_ERR_INVALID, ctr_mount_owned(bad, "/usr", "/mnt", true, CTR_INSIDE, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_mount_from(bad, "web", "/usr", "/mnt", true));
	ANSWERS(CTR_ERR_INVALID, ctr_mount_image(bad, "image", "/mnt"));
	ANSWERS(CTR_ERR_INVALID, ctr_mount_scratch(bad, "/tmp", "/mnt"));
	ANSWERS(CTR_ERR_INVALID, ctr_diff_scratch(bad, "/mnt", &differences));
	ANSWERS(CTR_ERR_INVALID, ctr_apply_scratch(bad, "/mnt", CTR_CONFLICTS_REFUSE, &differences, NULL, NULL));
	ANSWERS(CTR_ERR_INVALID, ctr_discard_scratch(bad, "/mnt"));
	ANSWERS(CTR_ERR_INVALID, ctr_unmount(bad, "/mnt", true));
	ANSWERS(CTR_ERR_INVALID, ctr_connect(bad, SOCK_STREAM, "127.0.0.1", 1, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_listen(bad, SOCK_STREAM, "127.0.0.1", 1));
	ANSWERS(CTR_ERR_INVALID, ctr_wait_for_port(bad, "127.0.0.1", 1, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_open(bad, "/", O_RDONLY, 0, NULL));
	ANSWERS(CTR_ERR_INVALID, ctr_stat_file(bad, "/", true, &stat));
	ANSWERS(CTR_ERR_INVALID, ctr_copy_in(bad, "/usr/bin/true", "/tmp", false));
	ANSWERS(CTR_ERR_INVALID, ctr_copy_out(bad, "/etc", "/tmp/ctr-none", false));
	ANSWERS(CTR_ERR_INVALID, ctr_copy_in_tar(bad, 0, "/tmp", false));
	ANSWERS(CTR_ERR_INVALID, ctr_copy_out_tar(bad, "/etc", 1));
	ANSWERS(CTR_ERR_INVALID, ctr_list_dir(bad, "/", &names));
	CHECK(names == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_publish(bad, "127.0.0.1", 0, "127.0.0.1", 80));
	ANSWERS(CTR_ERR_INVALID, ctr_unpublish(bad, "127.0.0.1", 1));
	ANSWERS(CTR_ERR_INVALID, ctr_addresses(bad, &text));
	CHECK(text == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_watch(bad, 0, &w));
	CHECK(w == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_stats(bad, &number, 1));
	CHECK(number == CTR_NOT_COUNTED);
	ANSWERS(CTR_ERR_INVALID, ctr_paused(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_end_reason(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_explain_container(bad, &text));
	CHECK(text == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_walls_of(bad, &walls));
	CHECK(walls == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_mounts_of(bad, &mounts));
	CHECK(mounts == NULL);
	text = (char *)&text;
	ANSWERS(CTR_ERR_INVALID, ctr_inspect(bad, &text));
	CHECK(text == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_close(bad));
	FAILS(CTR_ERR_INVALID, "container", ctr_destroy(bad));
}

static void every_process_function_refuses(ctr_process *bad)
{
	ctr_exit end = {.code = 7};

	ANSWERS(CTR_ERR_INVALID, ctr_process_wait(bad, -1, &end));
	CHECK(end.code == 0);
	ANSWERS(CTR_ERR_INVALID, ctr_process_wait(bad, 0, NULL));
	ANSWERS(CTR_ERR_INVALID, ctr_process_kill(bad, SIGKILL));
	ANSWERS(CTR_ERR_INVALID, ctr_process_kill_group(bad, SIGKILL));
	ANSWERS(CTR_ERR_INVALID, ctr_process_pid(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_process_host_pid(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_process_pidfd(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_process_wait_fd(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_process_stdin(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_process_stdout(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_process_stderr(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_process_pty(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_process_resize(bad, 24, 80));
	ctr_process_free(bad);
}

static void every_watcher_function_refuses(ctr_watcher *bad)
{
	uint64_t number = 7;

	ANSWERS(CTR_ERR_INVALID, ctr_watch_kinds(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_watch_fd(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_watch_next(bad, 0, &number, 1));
	CHECK(number == CTR_NOT_COUNTED);
	ANSWERS(CTR_ERR_INVALID, ctr_watch_process(bad, NULL));
	ANSWERS(CTR_ERR_INVALID, ctr_watch_pressure(bad, CTR_PRESSURE_MEMORY, 0, 100, 2000));
	if (bad)
		ctr_watch_free(bad);
}

static void every_list_function_refuses(ctr_container_list *bad)
{
	ANSWERS(CTR_ERR_INVALID, ctr_list_count(bad));
	CHECK(ctr_list_name(bad, 0) == NULL);
	CHECK(ctr_list_image(bad, 0) == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_list_pid(bad, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_list_owner(bad, 0));
	CHECK(ctr_list_created(bad, 0) == CTR_ERR_INVALID);
	ANSWERS(CTR_ERR_INVALID, ctr_list_detached(bad, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_list_paused(bad, 0));
	ctr_list_free(bad);
}

static void every_walls_function_refuses(ctr_walls *bad)
{
	ANSWERS(CTR_ERR_INVALID, ctr_walls_count(bad));
	CHECK(ctr_walls_name(bad, 0) == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_walls_state(bad, 0));
	CHECK(ctr_walls_says(bad, 0) == NULL);
	CHECK(ctr_walls_why(bad, 0) == NULL);
	ctr_walls_free(bad);
}

static void every_mounts_function_refuses(ctr_mounts *bad)
{
	ANSWERS(CTR_ERR_INVALID, ctr_mounts_count(bad));
	CHECK(ctr_mounts_target(bad, 0) == NULL);
	CHECK(ctr_mounts_source(bad, 0) == NULL);
	CHECK(ctr_mounts_kind(bad, 0) == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_mounts_read_only(bad, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_mounts_live(bad, 0));
	ctr_mounts_free(bad);
}

static void every_names_function_refuses(ctr_names *bad)
{
	ANSWERS(CTR_ERR_INVALID, ctr_names_count(bad));
	CHECK(ctr_names_get(bad, 0) == NULL);
	ctr_names_free(bad);
}

TEST(null_handles_are_answered)
{
	every_config_function_refuses(NULL);
	every_exec_config_function_refuses(NULL);
	every_container_function_refuses(NULL);
	every_process_function_refuses(NULL);
	every_watcher_function_refuses(NULL);
	every_list_function_refuses(NULL);
	every_walls_function_refuses(NULL);
	every_mounts_function_refuses(NULL);
	every_names_function_refuses(NULL);
	CHECK(strstr(ctr_last_error(), "NULL"));
	CHECK(ctr_last_errno() == EINVAL);
	ctr_string_free(NULL);
}

TEST(rubbish_handles_are_answered)
{
	for (size_t i = 0; i < sizeof RUBBISH / sizeof *RUBBISH; i++) {
		every_config_function_refuses((ctr_config *)RUBBISH[i]);
		every_exec_config_function_refuses((ctr_exec_config *)RUBBISH[i]);
		every_container_function_refuses((ctr_container *)RUBBISH[i]);
		every_process_function_refuses((ctr_process *)RUBBISH[i]);
		every_watcher_function_refuses((ctr_watcher *)RUBBISH[i]);
		every_list_function_refuses((ctr_container_list *)RUBBISH[i]);
		every_walls_function_refuses((ctr_walls *)RUBBISH[i]);
		every_mounts_function_refuses((ctr_mounts *)RUBBISH[i]);
		every_names_function_refuses((ctr_names *)RUBBISH[i]);
	}
}

TEST(a_handle_of_another_kind_is_answered)
{
	ctr_config *config = ctr_config_new();
	ctr_exec_config *exec_config = ctr_exec_config_new();

	every_exec_config_function_refuses((ctr_exec_config *)config);
	every_container_function_refuses((ctr_container *)config);
	every_process_function_refuses((ctr_process *)exec_config);
	every_config_function_refuses((ctr_config *)exec_config);
	OK(ctr_config_set_name(config, "still-good"));
	OK(ctr_exec_config_set_cwd(exec_config, "/"));
	ctr_config_free(config);
	ctr_exec_config_free(exec_config);
}

TEST(released_configs_are_answered)
{
	ctr_config *config = ctr_config_new(), *next;
	ctr_exec_config *exec_config = ctr_exec_config_new(), *next_exec;

	ctr_config_free(config);
	ctr_exec_config_free(exec_config);
	next = ctr_config_new();
	next_exec = ctr_exec_config_new();
	CHECK(next != config && next_exec != exec_config);
	every_config_function_refuses(config);
	FAILS(CTR_ERR_INVALID, "released", ctr_config_set_name(config, "x"));
	every_exec_config_function_refuses(exec_config);
	OK(ctr_config_set_name(next, "x"));
	ctr_config_free(next);
	ctr_exec_config_free(next_exec);
}

TEST(released_containers_processes_and_lists_are_answered)
{
	const char *argv[] = {"/bin/true", NULL};
	ctr_container *c = new_container();
	ctr_container_list *list;
	ctr_process *p;

	OK(ctr_exec(c, argv, NULL, &p));
	OK(ctr_process_wait(p, 60000, NULL));
	ctr_process_free(p);
	every_process_function_refuses(p);
	OK(ctr_list(&list));
	CHECK(ctr_list_count(list) >= 1);
	ctr_list_free(list);
	every_list_function_refuses(list);
	OK(ctr_destroy(c));
	every_container_function_refuses(c);
	FAILS(CTR_ERR_INVALID, "released", ctr_destroy(c));
}

TEST(null_arguments_are_answered)
{
	ctr_config *config = ctr_config_new();
	ctr_exec_config *exec_config = ctr_exec_config_new();
	const char *argv[] = {"/bin/true", NULL};
	ctr_container *c = (ctr_container *)&c, *good = new_container();
	ctr_process *p = (ctr_process *)&p;
	ctr_container_list *list;
	char *text;
	uint64_t now;

	FAILS(CTR_ERR_INVALID, "image", ctr_create(NULL, NULL, &c));
	CHECK(c == NULL);
	FAILS(CTR_ERR_INVALID, "out", ctr_create("host", NULL, NULL));
	FAILS(CTR_ERR_INVALID, "name", ctr_join(NULL, &c));
	FAILS(CTR_ERR_INVALID, "out", ctr_join("x", NULL));
	FAILS(CTR_ERR_INVALID, "state_dir", ctr_join_in(NULL, "x", &c));
	FAILS(CTR_ERR_INVALID, "name", ctr_destroy_named(NULL, NULL));
	FAILS(CTR_ERR_INVALID, "out", ctr_join_pid(1, NULL));
	FAILS(CTR_ERR_INVALID, "argv", ctr_exec(good, NULL, NULL, &p));
	CHECK(p == NULL);
	FAILS(CTR_ERR_INVALID, "out", ctr_exec(good, argv, NULL, NULL));
	FAILS(CTR_ERR_INVALID, "bytes", ctr_mem_limit(good, NULL));
	FAILS(CTR_ERR_INVALID, "now", ctr_mem_usage(good, NULL, NULL));
	FAILS(CTR_ERR_INVALID, "count", ctr_oom_kills(good, NULL));
	OK(ctr_mem_usage(good, &now, NULL));
	FAILS(CTR_ERR_INVALID, "count", ctr_pids_limit(good, NULL));
	FAILS(CTR_ERR_INVALID, "image", ctr_explain(NULL, NULL, &text));
	FAILS(CTR_ERR_INVALID, "text", ctr_explain("host", NULL, NULL));
	FAILS(CTR_ERR_INVALID, "text", ctr_explain_container(good, NULL));
	FAILS(CTR_ERR_INVALID, "out", ctr_walls_of(good, NULL));
	FAILS(CTR_ERR_INVALID, "out", ctr_mounts_of(good, NULL));
	FAILS(CTR_ERR_INVALID, "json", ctr_inspect(good, NULL));
	FAILS(CTR_ERR_INVALID, "out", ctr_list(NULL));
	FAILS(CTR_ERR_INVALID, "state_dir", ctr_list_in(NULL, &list));
	FAILS(CTR_ERR_INVALID, "name", ctr_config_set_name(config, NULL));
	FAILS(CTR_ERR_INVALID, "hostname", ctr_config_set_hostname(config, NULL));
	FAILS(CTR_ERR_INVALID, "name", ctr_config_add_env(config, NULL, "x"));
	FAILS(CTR_ERR_INVALID, "value", ctr_config_add_env(config, "x", NULL));
	FAILS(CTR_ERR_INVALID, "source", ctr_config_add_mount_bind(config, NULL, "/x", false));
	FAILS(CTR_ERR_INVALID, "target", ctr_config_add_mount_bind(config, "/x", NULL, false));
	FAILS(CTR_ERR_INVALID, "target", ctr_config_add_tmpfs(config, NULL, MIB, 0));
	FAILS(CTR_ERR_INVALID, "name", ctr_config_add_volume(config, NULL, "/x", false));
	FAILS(CTR_ERR_INVALID, "target", ctr_config_add_volume(config, "v", NULL, false));
	FAILS(CTR_ERR_INVALID, "source", ctr_config_add_disk(config, NULL, "/x", NULL, 0, true, false));
	FAILS(CTR_ERR_INVALID, "target", ctr_config_add_disk(config, "/x", NULL, NULL, 0, true, false));
	FAILS(CTR_ERR_INVALID, "no file system of disks", ctr_config_add_disk(config, "/x", "/y", "ntfs", 0, true, false));
	FAILS(CTR_ERR_INVALID, "source", ctr_config_add_scratch(config, NULL, "/mnt"));
	FAILS(CTR_ERR_INVALID, "path", ctr_config_set_namespace_path(config, CTR_NS_NET, NULL));
	FAILS(CTR_ERR_INVALID, "name", ctr_config_set_namespace_container(config, CTR_NS_NET, NULL));
	FAILS(CTR_ERR_INVALID, "path", ctr_config_set_state_dir(config, NULL));
	FAILS(CTR_ERR_INVALID, "path", ctr_config_set_store_dir(config, NULL));
	FAILS(CTR_ERR_INVALID, "name", ctr_exec_config_add_env(exec_config, NULL, "x"));
	FAILS(CTR_ERR_INVALID, "value", ctr_exec_config_add_env(exec_config, "x", NULL));
	FAILS(CTR_ERR_INVALID, "cwd", ctr_exec_config_set_cwd(exec_config, NULL));
	FAILS(CTR_ERR_INVALID, "user", ctr_exec_config_set_user(exec_config, NULL));
	ctr_config_free(config);
	ctr_exec_config_free(exec_config);
	OK(ctr_destroy(good));
}

TEST(numbers_that_are_none_of_an_enum_are_answered)
{
	ctr_config *config = ctr_config_new();
	ctr_exec_config *exec_config = ctr_exec_config_new();

	FAILS(CTR_ERR_INVALID, "policy", ctr_config_set_cgroup(config, 4));
	FAILS(CTR_ERR_INVALID, "preset", ctr_config_set_preset(config, 3));
	FAILS(CTR_ERR_INVALID, "profile", ctr_config_set_seccomp(config, 3));
	FAILS(CTR_ERR_INVALID, "refusal", ctr_config_set_seccomp_refusal(config, 6, 0));
	FAILS(CTR_ERR_INVALID, "nonsense", ctr_config_add_rlimit(config, "nonsense", 1, 1));
	FAILS(CTR_ERR_INVALID, "above", ctr_config_add_rlimit(config, "nofile", 2, 1));
	FAILS(CTR_ERR_INVALID, "list", ctr_config_set_device_list(config, 3));
	FAILS(CTR_ERR_INVALID, "c 1:3 x", ctr_config_add_device(config, "c 1:3 x"));
	FAILS(CTR_ERR_INVALID, "device", ctr_config_add_device(config, NULL));
	FAILS(CTR_ERR_INVALID, "clock", ctr_config_set_time_offset(config, CLOCK_REALTIME, 1, 0));
	FAILS(CTR_ERR_INVALID, "kind", ctr_config_set_namespace(config, 3, CTR_NS_NEW));
	FAILS(CTR_ERR_INVALID, "source", ctr_config_set_namespace(config, CTR_NS_NET, 2));
	FAILS(CTR_ERR_INVALID, "place", ctr_config_set_upper(config, -1));
	FAILS(CTR_ERR_INVALID, "how", ctr_config_set_directory(config, 2));
	FAILS(CTR_ERR_INVALID, "stream", ctr_exec_config_set_stdio(exec_config, 3, CTR_STDIO_NULL));
	FAILS(CTR_ERR_INVALID, "how", ctr_exec_config_set_stdio(exec_config, 0, 9));
	FAILS(CTR_ERR_INVALID, "session", ctr_exec_config_set_session(exec_config, 2));
	CHECK(strcmp(ctr_error_name(CTR_ERR_INVALID), "CTR_ERR_INVALID") == 0);
	CHECK(strcmp(ctr_error_name(-99), "CTR_ERR_UNKNOWN") == 0);
	ctr_config_free(config);
	ctr_exec_config_free(exec_config);
}

int main(void)
{
	RUN(null_handles_are_answered);
	RUN(rubbish_handles_are_answered);
	RUN(a_handle_of_another_kind_is_answered);
	RUN(released_configs_are_answered);
	RUN(released_containers_processes_and_lists_are_answered);
	RUN(null_arguments_are_answered);
	RUN(numbers_that_are_none_of_an_enum_are_answered);
	return done();
}
