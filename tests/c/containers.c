/* What include/ctr.h promises of containers. */
#define _GNU_SOURCE
#include "check.h"

#include <sched.h>
#include <time.h>

TEST(mounts_are_where_they_were_asked_for)
{
	const char *dir = scratch();
	char path[600];
	ctr_config *config = named();
	ctr_mounts *mounts;
	ctr_container *c;

	snprintf(path, sizeof path, "%s/note", dir);
	write_file(path, "from the host\n", 14);
	CHECK(chmod(dir, 0777) == 0);
	OK(ctr_config_add_mount_bind(config, dir, "/data", true));
	OK(ctr_config_add_mount_bind(config, dir, "/shared", false));
	OK(ctr_config_add_tmpfs(config, "/fast", MIB, 0700));
	OK(ctr_config_set_read_only(config, true));
	OK(ctr_create("host", config, &c));
	ctr_config_free(config);
	CHECK(strcmp(output(c, "cat /data/note", NULL), "from the host") == 0);
	CHECK(sh(c, "echo x >/data/new").code != 0);
	CHECK(sh(c, "echo x >/new").code != 0);
	CHECK(sh(c, "echo x >/shared/new").code == 0);
	CHECK(strcmp(output(c, "stat -c %a /fast", NULL), "700") == 0);
	CHECK(sh(c, "head -c 4000000 /dev/zero >/fast/x").code != 0);
	snprintf(path, sizeof path, "%s/new", dir);
	CHECK(access(path, F_OK) == 0);
	OK(ctr_mount(c, "/usr", "/fast/usr", true));
	OK(ctr_mounts_of(c, &mounts));
	CHECK(ctr_mounts_count(mounts) == 4);
	CHECK(strcmp(ctr_mounts_target(mounts, 0), "/data") == 0 && strcmp(ctr_mounts_source(mounts, 0), dir) == 0);
	CHECK(strcmp(ctr_mounts_kind(mounts, 0), "bind") == 0);
	CHECK(ctr_mounts_read_only(mounts, 0) == 1 && ctr_mounts_read_only(mounts, 1) == 0);
	CHECK(strcmp(ctr_mounts_kind(mounts, 2), "tmpfs") == 0 && ctr_mounts_source(mounts, 2) == NULL);
	CHECK(ctr_mounts_live(mounts, 2) == 0 && ctr_mounts_live(mounts, 3) == 1);
	FAILS(CTR_ERR_INVALID, "index", ctr_mounts_live(mounts, 4));
	CHECK(ctr_mounts_target(mounts, -1) == NULL);
	ctr_mounts_free(mounts);
	OK(ctr_unmount(c, "/data", false));
	CHECK(sh(c, "test -e /data/note").code != 0);
	FAILS(CTR_ERR_INVALID, "/dev", ctr_unmount(c, "/dev", false));
	OK(ctr_destroy(c));
}

TEST(another_containers_files_and_an_owner_of_its_own_are_mounted)
{
	const char *dir = scratch();
	ctr_config *config = named();
	ctr_mounts *mounts;
	ctr_container *web, *c;
	char source[300];

	OK(ctr_create("host", config, &web));
	ctr_config_free(config);
	CHECK(sh(web, "echo of web >/srv/file").code == 0);
	config = named();
	OK(ctr_config_add_mount_from(config, ctr_name(web), "/srv", "/mnt/srv", true));
	OK(ctr_config_add_mount_owned(config, dir, "/mnt/own", false, 0, 0));
	OK(ctr_create("host", config, &c));
	ctr_config_free(config);
	CHECK(strcmp(output(c, "cat /mnt/srv/file", NULL), "of web") == 0);
	CHECK(strcmp(output(c, "stat -c %u /mnt/own", NULL), "0") == 0);
	OK(ctr_mount_from(c, ctr_name(web), "/srv/file", "/mnt/file", true));
	OK(ctr_mount_owned(c, dir, "/mnt/inside", true, CTR_INSIDE, 0));
	CHECK(strcmp(output(c, "cat /mnt/file", NULL), "of web") == 0);
	OK(ctr_mounts_of(c, &mounts));
	snprintf(source, sizeof source, "%s:/srv", ctr_name(web));
	CHECK(ctr_mounts_count(mounts) == 4 && strcmp(ctr_mounts_source(mounts, 0), source) == 0);
	ctr_mounts_free(mounts);
	FAILS(CTR_ERR_NOT_FOUND, "no-such", ctr_mount_from(c, "no-such", "/srv", "/mnt/x", true));
	FAILS(CTR_ERR_NOT_FOUND, "no-such", ctr_mount_image(c, "no-such", "/mnt/x"));
	OK(ctr_destroy(c));
	OK(ctr_destroy(web));
}

TEST(a_namespace_is_shared_with_the_host_on_its_own)
{
	const int kinds[] = {CTR_NS_NET, CTR_NS_UTS, CTR_NS_IPC, CTR_NS_CGROUP, CTR_NS_PID};
	const char *names[] = {"net", "uts", "ipc", "cgroup", "pid"};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		ctr_config *config = named();
		ctr_container *c;
		char mine[128], path[64], script[256];
		ssize_t length;

		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		length = readlink(path, mine, sizeof mine - 1);
		CHECK(length > 0);
		mine[length] = '\0';
		OK(ctr_config_set_namespace(config, kinds[i], CTR_NS_HOST));
		OK(ctr_create("host", config, &c));
		ctr_config_free(config);
		snprintf(script, sizeof script, "readlink /proc/self/ns/%s", names[i]);
		CHECK(strcmp(output(c, script, NULL), mine) == 0);
		snprintf(script, sizeof script, "readlink /proc/self/ns/%s", names[(i + 1) % 5]);
		CHECK(strcmp(output(c, script, NULL), mine) != 0);
		OK(ctr_destroy(c));
	}
}

TEST(a_namespace_is_joined_from_a_container_and_from_a_path)
{
	ctr_config *config;
	ctr_container *c, *other;
	char path[64], theirs[128];

	c = new_container();
	snprintf(theirs, sizeof theirs, "%s", output(c, "readlink /proc/self/ns/ipc", NULL));
	config = named();
	OK(ctr_config_set_namespace_container(config, CTR_NS_IPC, ctr_name(c)));
	OK(ctr_create("host", config, &other));
	CHECK(strcmp(output(other, "readlink /proc/self/ns/ipc", NULL), theirs) == 0);
	OK(ctr_destroy(other));
	ctr_config_free(config);

	config = named();
	snprintf(path, sizeof path, "/proc/%d/ns/ipc", ctr_pid(c));
	OK(ctr_config_set_namespace_path(config, CLONE_NEWIPC, path));
	OK(ctr_create("host", config, &other));
	CHECK(strcmp(output(other, "readlink /proc/self/ns/ipc", NULL), theirs) == 0);
	OK(ctr_destroy(other));
	ctr_config_free(config);
	OK(ctr_destroy(c));
}

TEST(memory_limits_are_set_read_and_enforced)
{
	const char *hog[] = {"dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1", NULL};
	ctr_config *config = named();
	ctr_exec_config *quiet = ctr_exec_config_new();
	ctr_container *c;
	ctr_process *p;
	ctr_exit end;
	uint64_t limit, now, peak, kills;

	OK(ctr_exec_config_set_stdio(quiet, 2, CTR_STDIO_NULL));
	OK(ctr_config_set_memory(config, 64 * MIB));
	if (ctr_create("host", config, &c) == CTR_ERR_UNSUPPORTED)
		skip(ctr_last_error());
	ctr_config_free(config);
	OK(ctr_mem_limit(c, &limit));
	CHECK(limit == 64 * MIB);
	OK(ctr_oom_kills(c, &kills));
	CHECK(kills == 0);
	OK(ctr_exec(c, hog, quiet, &p));
	OK(ctr_process_wait(p, 60000, &end));
	CHECK(end.reason == CTR_REASON_OUT_OF_MEMORY && end.signal == SIGKILL);
	ctr_process_free(p);
	OK(ctr_oom_kills(c, &kills));
	CHECK(kills == 1);
	/* Where the program is not the one that is killed, the number alone tells. */
	CHECK(sh(c, "dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null; exit 0").code == 0);
	OK(ctr_oom_kills(c, &kills));
	CHECK(kills == 2);
	OK(ctr_mem_usage(c, &now, &peak));
	CHECK(now <= peak && peak <= 64 * MIB && peak > 32 * MIB);
	OK(ctr_set_mem_limit(c, 512 * MIB));
	OK(ctr_exec(c, hog, quiet, &p));
	OK(ctr_process_wait(p, 60000, &end));
	CHECK(end.reason == CTR_REASON_EXITED && end.code == 0);
	ctr_process_free(p);
	OK(ctr_set_mem_limit(c, CTR_UNLIMITED));
	OK(ctr_mem_limit(c, &limit));
	CHECK(limit == CTR_UNLIMITED);
	ctr_exec_config_free(quiet);
	OK(ctr_destroy(c));
}

/* Where the memory controller is mounted: its hierarchy on v1, the only one on v2. */
static const char *memory_cgroups(void)
{
	if (access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0)
		return "/sys/fs/cgroup/memory";
	return access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "/sys/fs/cgroup" : NULL;
}

TEST(a_containers_cgroup_is_below_the_one_that_was_chosen)
{
	ctr_config *config = named();
	ctr_container *c = NULL;
	char parent[64], path[256];
	char *facts;

	if (geteuid() != 0 || !memory_cgroups())
		skip("only root makes cgroups wherever it likes, and memory has to be mounted");
	snprintf(parent, sizeof parent, "/ctr-capi-%d", (int)getpid());
	snprintf(path, sizeof path, "%s%s", memory_cgroups(), parent);
	OK(ctr_config_set_memory(config, 64 * MIB));
	OK(ctr_config_set_cgroup_parent(config, parent));
	FAILS(CTR_ERR_UNSUPPORTED, parent, ctr_create("host", config, &c));
	CHECK(c == NULL);
	if (mkdir(path, 0755))
		skip("no cgroup can be made here");
	/* Made, as the error has said, it is found. */
	if (ctr_create("host", config, &c) != 0)
		rmdir(path);
	CHECK(c != NULL);
	ctr_config_free(config);
	CHECK(rmdir(path) != 0); /* the container's is in it */
	OK(ctr_inspect(c, &facts));
	CHECK(strstr(facts, parent) && strstr(facts, "as chosen"));
	ctr_string_free(facts);
	OK(ctr_destroy(c));
	CHECK(rmdir(path) == 0);
}

TEST(files_of_etc_are_the_containers_own_or_those_of_the_image)
{
	const char *script = "grep -cE ' /etc/(hosts|hostname|resolv.conf) ' /proc/self/mounts";

	for (int wanted = 0; wanted < 2; wanted++) {
		ctr_config *config = named();
		ctr_container *c;

		OK(ctr_config_set_etc_files(config, wanted));
		OK(ctr_create("host", config, &c));
		ctr_config_free(config);
		CHECK((strcmp(output(c, script, NULL), "0") == 0) == !wanted);
		OK(ctr_destroy(c));
	}
}

TEST(a_fork_bomb_stops_at_the_pids_limit)
{
	ctr_config *config = named();
	ctr_container *c;
	uint64_t limit;

	OK(ctr_config_set_pids(config, 16));
	if (ctr_create("host", config, &c) == CTR_ERR_UNSUPPORTED)
		skip(ctr_last_error());
	ctr_config_free(config);
	CHECK(sh(c, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 5 & done 2>/dev/null").code != 0);
	OK(ctr_pids_limit(c, &limit));
	CHECK(limit == 16);
	OK(ctr_set_pids_limit(c, CTR_UNLIMITED));
	OK(ctr_limit(c, CTR_LIMIT_PIDS, &limit));
	CHECK(limit == CTR_UNLIMITED);
	OK(ctr_pids_limit(c, &limit));
	CHECK(limit == CTR_UNLIMITED);
	CHECK(sh(c, "exit 9").code == 9);
	OK(ctr_destroy(c));
}

TEST(limits_of_every_kind_are_set_at_create_and_live)
{
	ctr_config *config = named();
	ctr_container *c;
	uint64_t limit;
	char *list;

	OK(ctr_config_set_memory(config, 64 * MIB));
	OK(ctr_config_set_memory_low(config, 16 * MIB));
	OK(ctr_config_set_swap(config, 8 * MIB));
	OK(ctr_config_set_cpu_weight(config, 50));
	OK(ctr_config_set_cpuset(config, "0"));
	OK(ctr_config_set_cpuset_mems(config, NULL));
	OK(ctr_config_set_upper_inodes(config, 2000));
	CHECK(ctr_config_add_io(config, "/dev/sda speed=1") == CTR_ERR_INVALID);
	CHECK(ctr_config_add_hugetlb(config, "2MB") == CTR_ERR_INVALID);
	if (ctr_create("host", config, &c) == CTR_ERR_UNSUPPORTED)
		skip(ctr_last_error());
	ctr_config_free(config);
	OK(ctr_limit(c, CTR_LIMIT_MEMORY_LOW, &limit));
	CHECK(limit == 16 * MIB);
	OK(ctr_limit(c, CTR_LIMIT_SWAP, &limit));
	CHECK(limit == 8 * MIB);
	OK(ctr_set_limit(c, CTR_LIMIT_SWAP, 0));
	OK(ctr_limit(c, CTR_LIMIT_SWAP, &limit));
	CHECK(limit == 0);
	OK(ctr_set_limit(c, CTR_LIMIT_CPU_WEIGHT, 200));
	OK(ctr_effective_limit(c, CTR_LIMIT_CPU_WEIGHT, &limit));
	CHECK(limit == 200);
	OK(ctr_limit(c, CTR_LIMIT_UPPER_INODES, &limit));
	CHECK(limit == 2000);
	OK(ctr_set_limit(c, CTR_LIMIT_UPPER_INODES, 3000));
	OK(ctr_set_limit(c, CTR_LIMIT_UPPER_SIZE, 8 * MIB));
	OK(ctr_effective_limit(c, CTR_LIMIT_UPPER_INODES, &limit));
	CHECK(limit == 3000);
	CHECK(sh(c, "dd if=/dev/zero of=/tmp/file bs=1M count=12 2>/dev/null || exit 3").code == 3);
	FAILS(CTR_ERR_SYSTEM, "EBUSY", ctr_set_limit(c, CTR_LIMIT_UPPER_SIZE, 2 * MIB));
	FAILS(CTR_ERR_INVALID, "1048576", ctr_set_limit(c, CTR_LIMIT_UPPER_SIZE, 1));
	OK(ctr_set_limit(c, CTR_LIMIT_UPPER_SIZE, CTR_UNLIMITED));
	OK(ctr_limit(c, CTR_LIMIT_UPPER_SIZE, &limit));
	CHECK(limit == 32 * MIB);
	CHECK(ctr_set_limit(c, CTR_LIMIT_IO_WEIGHT, 0) == CTR_ERR_INVALID);
	CHECK(ctr_set_limit(c, CTR_LIMIT_CPUSET, 0) == CTR_ERR_INVALID);
	OK(ctr_limit_list(c, CTR_LIMIT_CPUSET, &list));
	CHECK(!strcmp(list, "0"));
	ctr_string_free(list);
	OK(ctr_effective_limit_list(c, CTR_LIMIT_CPUSET, &list));
	CHECK(!strcmp(list, "0"));
	ctr_string_free(list);
	CHECK(sh(c, "exit $(nproc)").code == 1);
	OK(ctr_set_limit_list(c, CTR_LIMIT_CPUSET, NULL));
	CHECK(ctr_set_limit_list(c, CTR_LIMIT_CPUSET, "60000") == CTR_ERR_INVALID);
	CHECK(ctr_set_limit_list(c, CTR_LIMIT_MEMORY, "0") == CTR_ERR_INVALID);
	CHECK(ctr_limit_list(c, CTR_LIMIT_CPUS, &list) == CTR_ERR_INVALID && !list);
	OK(ctr_limit_list(c, CTR_LIMIT_IO, &list));
	CHECK(!*list);
	ctr_string_free(list);
	OK(ctr_destroy(c));
}

TEST(the_processor_limit_is_told_and_changed_by_its_kind)
{
	ctr_config *config = named();
	ctr_container *c;
	uint64_t limit;

	OK(ctr_config_set_cpus(config, 500));
	if (ctr_create("host", config, &c) == CTR_ERR_UNSUPPORTED)
		skip(ctr_last_error());
	ctr_config_free(config);
	OK(ctr_limit(c, CTR_LIMIT_CPUS, &limit));
	CHECK(limit == 500);
	OK(ctr_set_limit(c, CTR_LIMIT_CPUS, 1500));
	OK(ctr_limit(c, CTR_LIMIT_CPUS, &limit));
	CHECK(limit == 1500);
	OK(ctr_effective_limit(c, CTR_LIMIT_CPUS, &limit));
	CHECK(limit <= 1500);
	CHECK(ctr_effective_limit(c, 99, &limit) == CTR_ERR_INVALID && limit == 0);
	OK(ctr_set_limit(c, CTR_LIMIT_CPUS, CTR_UNLIMITED));
	OK(ctr_limit(c, CTR_LIMIT_CPUS, &limit));
	CHECK(limit == CTR_UNLIMITED);
	OK(ctr_set_limit(c, CTR_LIMIT_MEMORY, 64 * MIB));
	OK(ctr_mem_limit(c, &limit));
	CHECK(limit == 64 * MIB);
	CHECK(ctr_set_limit(c, CTR_LIMIT_CPUS, 9) == CTR_ERR_INVALID);
	CHECK(ctr_set_limit(c, 99, 500) == CTR_ERR_INVALID);
	CHECK(ctr_limit(c, -1, &limit) == CTR_ERR_INVALID);
	CHECK(ctr_limit(c, CTR_LIMIT_CPUS, NULL) == CTR_ERR_INVALID);
	OK(ctr_destroy(c));
}

/* The index of a name in what runs; -1 if it is not there. */
static int find(ctr_container_list *list, const char *name)
{
	for (int i = 0; i < ctr_list_count(list); i++)
		if (strcmp(ctr_list_name(list, i), name) == 0)
			return i;
	return -1;
}

TEST(a_running_container_is_listed_with_its_facts)
{
	ctr_container *c = new_container();
	ctr_container_list *list;
	char name[80];
	int i;

	snprintf(name, sizeof name, "%s", ctr_name(c));
	OK(ctr_list(&list));
	i = find(list, name);
	CHECK(i >= 0);
	CHECK(strcmp(ctr_list_image(list, i), "host") == 0);
	CHECK(ctr_list_pid(list, i) == ctr_pid(c) && ctr_list_owner(list, i) == getpid());
	CHECK(ctr_list_detached(list, i) == 0 && ctr_list_created(list, i) > 1600000000000);
	FAILS(CTR_ERR_INVALID, "index", ctr_list_pid(list, ctr_list_count(list)));
	CHECK(ctr_list_name(list, -1) == NULL);
	OK(ctr_destroy(c));
	CHECK(strcmp(ctr_list_name(list, i), name) == 0);
	ctr_list_free(list);
	OK(ctr_list(&list));
	CHECK(find(list, name) < 0);
	ctr_list_free(list);
}

TEST(another_process_joins_by_name)
{
	ctr_container *c = new_container(), *joined;
	const char *name = ctr_name(c);
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (ctr_join(name, &joined))
			_exit(100);
		OK(ctr_set_pids_limit(joined, 100));
		status = sh(joined, "exit 6").code;
		OK(ctr_close(joined));
		_exit(status);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 6);
	ANSWERS(1, ctr_is_running(c));
	OK(ctr_destroy(c));
}

TEST(a_process_that_ctr_did_not_make_is_joined_by_its_pid)
{
	ctr_container *joined;
	int ready[2];
	char byte;
	pid_t child;

	CHECK(pipe2(ready, O_CLOEXEC) == 0);
	child = fork();
	if (child == 0) {
		if (unshare(CLONE_NEWUTS) || sethostname("somebody-else", 13))
			_exit(1);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		skip("needs root, to make a UTS namespace");
	OK(ctr_join_pid_namespaces(child, CTR_NS_UTS, &joined));
	CHECK(ctr_pid(joined) > 1 && ctr_pid(joined) != child && strcmp(ctr_name(joined), "") == 0);
	CHECK(strcmp(output(joined, "hostname", NULL), "somebody-else") == 0);
	OK(ctr_close(joined));
	OK(ctr_join_pid(child, &joined));
	CHECK(strcmp(output(joined, "hostname", NULL), "somebody-else") == 0);
	OK(ctr_close(joined));
	CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

TEST(a_detached_container_outlives_its_maker_and_others_do_not)
{
	const char *argv[] = {"/bin/sleep", "600", NULL};
	ctr_config *detached = named(), *bound = named();
	char kept[80], gone[80];
	ctr_container *c;
	ctr_container_list *list;
	ctr_process *p;
	pid_t child;
	int status;

	snprintf(kept, sizeof kept, "capi-%d-kept", (int)getpid());
	snprintf(gone, sizeof gone, "capi-%d-gone", (int)getpid());
	OK(ctr_config_set_name(detached, kept));
	OK(ctr_config_set_detached(detached, true));
	OK(ctr_config_set_name(bound, gone));
	child = fork();
	if (child == 0) {
		OK(ctr_create("host", detached, &c));
		OK(ctr_create("host", bound, &c));
		OK(ctr_exec(c, argv, NULL, &p));
		raise(SIGKILL);
	}
	CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
	/* The kernel needs a moment to end the one; the other stays. */
	for (int i = 0; i < 1000; i++) {
		OK(ctr_list(&list));
		status = find(list, gone);
		CHECK(find(list, kept) >= 0);
		ctr_list_free(list);
		if (status < 0)
			break;
		usleep(10000);
	}
	CHECK(status < 0);
	OK(ctr_join(kept, &c));
	OK(ctr_close(c));
	OK(ctr_join(kept, &c));
	CHECK(sh(c, "exit 8").code == 8);
	OK(ctr_destroy(c));
	ctr_config_free(detached);
	ctr_config_free(bound);
}

TEST(a_container_whose_record_is_damaged_is_ended_by_its_name)
{
	ctr_config *config = named();
	ctr_container *c, *joined;
	char name[80], dir[4000], record[4200];
	FILE *file;

	snprintf(dir, sizeof dir, "%s/damaged", getenv("SCRATCH"));
	OK(ctr_config_set_state_dir(config, dir));
	OK(ctr_config_set_detached(config, true));
	OK(ctr_create("host", config, &c));
	snprintf(name, sizeof name, "%s", ctr_name(c));
	snprintf(record, sizeof record, "%s/%s.json", dir, name);
	file = fopen(record, "w");
	CHECK(file != NULL && fputs("garbage", file) >= 0 && fclose(file) == 0);
	FAILS(CTR_ERR_UNSUPPORTED, "its record is damaged", ctr_join_in(dir, name, &joined));
	FAILS(CTR_ERR_NOT_FOUND, name, ctr_destroy_named(name, NULL));
	OK(ctr_destroy_named(name, dir));
	CHECK(ctr_is_running(c) == 0);
	ANSWERS(CTR_ERR_NOT_FOUND, ctr_destroy_named(name, dir));
	CHECK(access(record, F_OK) != 0);
	OK(ctr_close(c));
	ctr_config_free(config);
}

TEST(closing_the_only_handle_ends_a_container_that_is_not_detached)
{
	ctr_container *c = new_container(), *none;
	char name[80];

	snprintf(name, sizeof name, "%s", ctr_name(c));
	OK(ctr_close(c));
	ANSWERS(CTR_ERR_NOT_FOUND, ctr_join(name, &none));
}

TEST(a_clock_is_set_off_in_a_time_namespace)
{
	ctr_config *config = named();
	ctr_container *c;
	struct timespec before;
	double inside;

	OK(ctr_config_set_time_offset(config, CLOCK_BOOTTIME, 86400, 500000000));
	FAILS(CTR_ERR_INVALID, "time namespace", ctr_create("host", config, &c));
	OK(ctr_config_set_namespace(config, CTR_NS_TIME, CTR_NS_NEW));
	CHECK(clock_gettime(CLOCK_BOOTTIME, &before) == 0);
	OK(ctr_create("host", config, &c));
	inside = strtod(output(c, "cat /proc/uptime", NULL), NULL);
	CHECK(inside > (double)before.tv_sec + 86400);
	OK(ctr_destroy(c));
	OK(ctr_config_set_time_offset(config, CLOCK_BOOTTIME, -(int64_t)before.tv_sec - 3600, 0));
	FAILS(CTR_ERR_INVALID, "boottime", ctr_create("host", config, &c));
	ctr_config_free(config);
}

TEST(the_version_of_the_header_is_that_of_the_library)
{
	char numbers[64];

	snprintf(numbers, sizeof numbers, "%d.%d.%d", CTR_VERSION_MAJOR, CTR_VERSION_MINOR, CTR_VERSION_PATCH);
	CHECK(strcmp(ctr_version(), CTR_VERSION) == 0);
	CHECK(strcmp(ctr_version(), numbers) == 0);
	CHECK(sizeof(ctr_exit) == 128);
}

TEST(a_domain_name_and_a_network_are_chosen)
{
	ctr_config *config = named();
	ctr_container *c;

	OK(ctr_config_set_domainname(config, "nis.example"));
	OK(ctr_config_set_network(config, "none"));
	OK(ctr_create("host", config, &c));
	CHECK(sh(c, "test $(cat /proc/sys/kernel/domainname) = nis.example").code == 0);
	CHECK(sh(c, "test $(grep -c : /proc/net/dev) = 1").code == 0);
	OK(ctr_destroy(c));
	FAILS(CTR_ERR_INVALID, "network", ctr_config_set_network(config, "some/path"));
	ctr_config_free(config);
}

TEST(a_network_has_members_that_know_each_other)
{
	ctr_config *config;
	ctr_container *web, *c;
	char *text, grep[200];

	if (geteuid())
		skip("named networks take root");
	/* It plays the host: no interface is made in the machine's own network. */
	CHECK(unshare(CLONE_NEWNET) == 0);
	OK(ctr_network("c-network", "10.201.7.0/24", "auto", NULL));
	FAILS(CTR_ERR_INVALID, "c-network", ctr_network("c-network", "10.201.8.0/24", NULL, NULL));
	config = named();
	OK(ctr_config_set_network(config, "c-network"));
	OK(ctr_create("host", config, &web));
	ctr_config_free(config);
	config = named();
	OK(ctr_config_set_network(config, "c-network"));
	OK(ctr_config_set_ip(config, "10.201.7.9"));
	OK(ctr_create("host", config, &c));
	ctr_config_free(config);
	OK(ctr_addresses(c, &text));
	CHECK(strstr(text, "\"c-network\":[\"10.201.7.9\",\"fd"));
	ctr_string_free(text);
	snprintf(grep, sizeof grep, "grep -q '^10.201.7.9.*%s' /etc/hosts", ctr_name(c));
	CHECK(sh(web, grep).code == 0);
	OK(ctr_networks(NULL, &text));
	CHECK(strstr(text, "c-network") && strstr(text, ctr_name(web)) && strstr(text, ctr_name(c)));
	ctr_string_free(text);
	FAILS(CTR_ERR_SYSTEM, "c-network", ctr_network_remove("c-network", NULL));
	CHECK(ctr_last_errno() == EBUSY);
	OK(ctr_destroy(c));
	OK(ctr_destroy(web));
	OK(ctr_network_remove("c-network", NULL));
	FAILS(CTR_ERR_NOT_FOUND, "c-network", ctr_network_remove("c-network", NULL));
}

int main(void)
{
	RUN(mounts_are_where_they_were_asked_for);
	RUN(a_namespace_is_shared_with_the_host_on_its_own);
	RUN(a_namespace_is_joined_from_a_container_and_from_a_path);
	RUN(memory_limits_are_set_read_and_enforced);
	RUN(a_containers_cgroup_is_below_the_one_that_was_chosen);
	RUN(files_of_etc_are_the_containers_own_or_those_of_the_image);
	RUN(a_fork_bomb_stops_at_the_pids_limit);
	RUN(a_running_container_is_listed_with_its_facts);
	RUN(limits_of_every_kind_are_set_at_create_and_live);
	RUN(the_processor_limit_is_told_and_changed_by_its_kind);
	RUN(a_container_whose_record_is_damaged_is_ended_by_its_name);
	RUN(a_domain_name_and_a_network_are_chosen);
	RUN(a_network_has_members_that_know_each_other);
	RUN(another_containers_files_and_an_owner_of_its_own_are_mounted);
	RUN(another_process_joins_by_name);
	RUN(a_process_that_ctr_did_not_make_is_joined_by_its_pid);
	RUN(a_detached_container_outlives_its_maker_and_others_do_not);
	RUN(closing_the_only_handle_ends_a_container_that_is_not_detached);
	RUN(a_clock_is_set_off_in_a_time_namespace);
	RUN(the_version_of_the_header_is_that_of_the_library);
	return done();
}
