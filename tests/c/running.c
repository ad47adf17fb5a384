/* What include/ctr.h promises of containers that run: how they are paused, what they use, what is mounted into them,
 * which sockets the caller has in their network, and their files. */
#define _GNU_SOURCE
#include "check.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

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

TEST(what_a_container_uses_is_told_as_far_as_it_is_counted)
{
	uint64_t all[1000], few[2] = {7, 7};
	ctr_container *c = new_container();
	int known = ctr_stats(c, all, 1000);

	if (known == CTR_ERR_UNSUPPORTED)
		skip(ctr_last_error());
	CHECK(known > CTR_STAT_PRESSURE_IO_FULL_TOTAL);
	CHECK(all[CTR_STAT_MEMORY_CURRENT] > 1000 && all[CTR_STAT_MEMORY_CURRENT] < 64 * MIB);
	CHECK(all[CTR_STAT_MEMORY_ANON] <= all[CTR_STAT_MEMORY_CURRENT]);
	CHECK(all[CTR_STAT_PIDS_CURRENT] == 1 && all[CTR_STAT_OOM_KILLS] == 0);
	CHECK(all[CTR_STAT_CPU_USER] < 60000000 && all[CTR_STAT_CPU_SYSTEM] < 60000000);
	CHECK(all[CTR_STAT_CPU_THROTTLED] == CTR_NOT_COUNTED || all[CTR_STAT_CPU_THROTTLED] == 0);
	for (int i = known; i < 1000; i++)
		CHECK(all[i] == CTR_NOT_COUNTED);
	ANSWERS(known, ctr_stats(c, few, 1));
	CHECK(few[0] != 7 && few[0] != CTR_NOT_COUNTED && few[1] == 7);
	ANSWERS(known, ctr_stats(c, few, 0));
	FAILS(CTR_ERR_INVALID, "negative", ctr_stats(c, few, -1));
	FAILS(CTR_ERR_INVALID, "NULL", ctr_stats(c, NULL, 2));
	OK(ctr_destroy(c));
	FAILS(CTR_ERR_INVALID, "container", ctr_stats(c, few, 2));
	CHECK(few[0] == CTR_NOT_COUNTED && few[1] == CTR_NOT_COUNTED);
}

/* Whether a shell inside says that a command is true. */
static bool holds(ctr_container *c, const char *command)
{
	const char *argv[] = {"/bin/sh", "-c", command, NULL};
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_exit end = {0};
	ctr_process *p;

	OK(ctr_exec_config_set_stdio(config, 2, CTR_STDIO_NULL));
	OK(ctr_exec(c, argv, config, &p));
	OK(ctr_process_wait(p, -1, &end));
	ctr_process_free(p);
	ctr_exec_config_free(config);
	return end.code == 0;
}

TEST(mounts_come_and_go_while_programs_run)
{
	const char *argv[] = {"/bin/sh", "-c", "read x; cat /mnt/data/file", NULL};
	char path[] = "/tmp/ctr-test-XXXXXX", file[64], heard[16] = "";
	ctr_exec_config *config = ctr_exec_config_new();
	ctr_container *c = new_container(), *joined;
	ctr_process *p;
	ctr_exit end;
	int in, out;

	CHECK(mkdtemp(path) != NULL);
	snprintf(file, sizeof file, "%s/file", path);
	write_file(file, "of the host", 11);
	OK(ctr_exec_config_set_stdio(config, 0, CTR_STDIO_PIPE));
	OK(ctr_exec_config_set_stdio(config, 1, CTR_STDIO_PIPE));
	OK(ctr_exec(c, argv, config, &p));
	ctr_exec_config_free(config);
	in = ctr_process_stdin(p);
	out = ctr_process_stdout(p);
	OK(ctr_mount(c, path, "/mnt/data", true));
	CHECK(write(in, "x\n", 2) == 2);
	CHECK(read(out, heard, sizeof heard) == 11 && !strcmp(heard, "of the host"));
	close(in);
	close(out);
	/* It has the file open until it ends. */
	OK(ctr_process_wait(p, 20000, &end));
	ctr_process_free(p);
	CHECK(!holds(c, "echo x > /mnt/data/file"));
	FAILS(CTR_ERR_SYSTEM, "mounted there already (unmount that first", ctr_mount(c, path, "/mnt/data", false));
	CHECK(errno == EBUSY && !strcmp(ctr_last_step_id(), "mount-at"));
	OK(ctr_join(ctr_name(c), &joined));
	OK(ctr_unmount(joined, "/mnt/data", false));
	CHECK(holds(c, "[ -z \"$(ls /mnt/data)\" ]"));
	FAILS(CTR_ERR_NOT_FOUND, "nothing was mounted there", ctr_unmount(c, "/mnt/data", false));
	OK(ctr_mount(joined, file, "/mnt/file", false));
	CHECK(holds(c, "echo -n more >> /mnt/file && grep -q 'of the hostmore' /mnt/file"));
	OK(ctr_mount_tmpfs(c, "/mnt/tmp", 4096, 0700));
	CHECK(holds(c, "[ $(stat -c %a /mnt/tmp) = 700 ] && ! dd if=/dev/zero of=/mnt/tmp/x bs=8k count=1"));
	OK(ctr_unmount(c, "/mnt/tmp", true));
	FAILS(CTR_ERR_SYSTEM, "bind ", ctr_mount(c, "/nowhere", "/mnt/x", true));
	CHECK(errno == ENOENT);
	FAILS(CTR_ERR_INVALID, "/proc or /sys", ctr_mount(c, path, "/proc/x", true));
	FAILS(CTR_ERR_INVALID, "holds nothing", ctr_mount_tmpfs(c, "/mnt/x", 0, 0));
	FAILS(CTR_ERR_INVALID, "source", ctr_mount(c, NULL, "/mnt/x", true));
	FAILS(CTR_ERR_INVALID, "target", ctr_mount(c, path, NULL, true));
	FAILS(CTR_ERR_INVALID, "target", ctr_mount_tmpfs(c, NULL, 1, 0));
	FAILS(CTR_ERR_INVALID, "target", ctr_unmount(c, NULL, true));
	OK(ctr_close(joined));
	OK(ctr_destroy(c));
	FAILS(CTR_ERR_INVALID, "container", ctr_mount(c, path, "/mnt/x", true));
	unlink(file);
	rmdir(path);
}

/* The lines of a list, as "A path\n". */
static const char *lines_of(ctr_differences *list)
{
	static char text[256];
	char *end = text;
	int count = ctr_differences_count(list), i;

	*text = 0;
	for (i = 0; i < count; i++)
		end += snprintf(end, text + sizeof text - end, "%c %s\n", "ACD"[ctr_differences_change(list, i)],
		                ctr_differences_path(list, i));
	ctr_differences_free(list);
	return text;
}

TEST(a_scratch_mount_is_applied_or_discarded)
{
	ctr_config *config = ctr_config_new();
	ctr_differences *list, *conflicts, *left_out;
	ctr_container *c;
	char path[] = "/tmp/ctr-scratch-XXXXXX", file[64];

	CHECK(mkdtemp(path) && chmod(path, 0755) == 0);
	snprintf(file, sizeof file, "%s/file", path);
	write_file(file, "of the host", 11);
	OK(ctr_config_add_scratch(config, path, "/mnt/src"));
	OK(ctr_create("host", config, &c));
	ctr_config_free(config);
	CHECK(holds(c, "rm /mnt/src/file; mkdir /mnt/src/d"));
	OK(ctr_diff_scratch(c, "/mnt/src", &list));
	CHECK(!strcmp(lines_of(list), "A /mnt/src/d\nD /mnt/src/file\n"));
	CHECK(!access(file, F_OK));
	OK(ctr_apply_scratch(c, "/mnt/src", CTR_CONFLICTS_REFUSE, &list, &conflicts, &left_out));
	CHECK(!strcmp(lines_of(list), "A /mnt/src/d\nD /mnt/src/file\n"));
	CHECK(!*lines_of(conflicts));
	CHECK(!*lines_of(left_out));
	CHECK(access(file, F_OK) && errno == ENOENT);
	CHECK(holds(c, "echo inside > /mnt/src/file"));
	usleep(30000);
	write_file(file, "outside", 7);
	FAILS(CTR_ERR_SYSTEM, "/mnt/src/file; nothing was applied",
	      ctr_apply_scratch(c, "/mnt/src", CTR_CONFLICTS_REFUSE, NULL, NULL, NULL));
	CHECK(errno == EEXIST && !strcmp(ctr_last_step_id(), "apply-scratch"));
	FAILS(CTR_ERR_INVALID, "ctr_conflicts", ctr_apply_scratch(c, "/mnt/src", 3, NULL, NULL, NULL));
	OK(ctr_discard_scratch(c, "/mnt/src"));
	CHECK(holds(c, "grep -q outside /mnt/src/file"));
	FAILS(CTR_ERR_NOT_FOUND, "no scratch mount", ctr_diff_scratch(c, "/mnt", &list));
	OK(ctr_unmount(c, "/mnt/src", false));
	OK(ctr_mount_scratch(c, path, "/mnt/src"));
	CHECK(holds(c, "rm -r /mnt/src/d"));
	OK(ctr_destroy(c));
	unlink(file);
	strcat(path, "/d");
	CHECK(rmdir(path) == 0);
	path[strlen(path) - 2] = 0;
	CHECK(rmdir(path) == 0);
}

TEST(a_socket_inside_is_held_outside)
{
	ctr_container *c = new_container(), *joined;
	struct sockaddr_in at = {0};
	socklen_t length = sizeof at;
	int listener, client, server, port;
	char heard[8] = "", script[128];

	OK(ctr_join(ctr_name(c), &joined));
	listener = ctr_listen(c, SOCK_STREAM, "127.0.0.1", 0);
	CHECK(listener >= 3 && fcntl(listener, F_GETFD) == FD_CLOEXEC);
	CHECK(!getsockname(listener, (struct sockaddr *)&at, &length) && at.sin_family == AF_INET);
	port = ntohs(at.sin_port);
	snprintf(script, sizeof script, "grep -q ' 0100007F:%04X 00000000:0000 0A ' /proc/net/tcp", port);
	CHECK(holds(c, script));
	OK(ctr_wait_for_port(joined, "localhost", port, 20000));
	close(accept(listener, NULL, NULL));
	client = ctr_connect(joined, SOCK_STREAM, "127.0.0.1", port, 20000);
	CHECK(client >= 3 && fcntl(client, F_GETFD) == FD_CLOEXEC && !(fcntl(client, F_GETFL) & O_NONBLOCK));
	server = accept(listener, NULL, NULL);
	CHECK(write(server, "hello", 5) == 5 && read(client, heard, sizeof heard) == 5 && !strcmp(heard, "hello"));
	FAILS(CTR_ERR_SYSTEM, "listen at 127.0.0.1:", ctr_listen(c, SOCK_STREAM, "127.0.0.1", port));
	CHECK(errno == EADDRINUSE && !strcmp(ctr_last_step_id(), "listen-at"));
	close(listener);
	FAILS(CTR_ERR_SYSTEM, "connect to 127.0.0.1:1 of container", ctr_connect(c, SOCK_STREAM, "127.0.0.1", 1, -1));
	CHECK(errno == ECONNREFUSED && !strcmp(ctr_last_step_id(), "connect-to"));
	FAILS(CTR_ERR_TIMED_OUT, "127.0.0.1:1 of container", ctr_wait_for_port(c, "127.0.0.1", 1, 50));
	CHECK(errno == ETIMEDOUT);
	FAILS(CTR_ERR_SYSTEM, "/no/socket", ctr_connect(c, SOCK_STREAM, "/no/socket", 0, -1));
	CHECK(errno == ENOENT);
	FAILS(CTR_ERR_INVALID, "names are not looked up", ctr_connect(c, SOCK_STREAM, "db.example", 1, -1));
	FAILS(CTR_ERR_INVALID, "kind", ctr_connect(c, SOCK_RAW, "127.0.0.1", 1, -1));
	FAILS(CTR_ERR_INVALID, "address", ctr_connect(c, SOCK_STREAM, NULL, 1, -1));
	FAILS(CTR_ERR_INVALID, "address", ctr_listen(c, SOCK_STREAM, NULL, 1));
	FAILS(CTR_ERR_INVALID, "address", ctr_wait_for_port(c, NULL, 1, -1));
	listener = ctr_listen(c, SOCK_DGRAM, "127.0.0.1", 53);
	close(client);
	client = ctr_connect(c, SOCK_DGRAM, "127.0.0.1", 53, -1);
	CHECK(send(client, "who?", 4, 0) == 4 && recv(listener, heard, sizeof heard, 0) == 4);
	close(client);
	close(server);
	close(listener);
	OK(ctr_close(joined));
	OK(ctr_destroy(c));
}

TEST(files_inside_are_opened_looked_at_and_listed_from_outside)
{
	ctr_container *c = new_container(), *joined;
	ctr_names *names;
	struct stat stat;
	char text[16] = "";
	int fd, i, found = 0;

	OK(ctr_join(ctr_name(c), &joined));
	fd = ctr_open(c, "/tmp/x", O_WRONLY | O_CREAT | O_EXCL, 0640, NULL);
	CHECK(fd >= 3 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(write(fd, "hello", 5) == 5 && !close(fd));
	CHECK(holds(c, "test \"$(cat /tmp/x)\" = hello && test $(stat -c %u:%a /tmp/x) = 0:640"));
	fd = ctr_open(joined, "tmp/x", O_RDONLY, 0, "0:0");
	CHECK(fd >= 3 && read(fd, text, sizeof text) == 5 && !strcmp(text, "hello"));
	close(fd);
	OK(ctr_stat_file(joined, "/tmp/x", true, &stat));
	CHECK(S_ISREG(stat.st_mode) && (stat.st_mode & 07777) == 0640 && stat.st_size == 5 && stat.st_uid == 0);
	CHECK(holds(c, "ln -s x /tmp/link; mkfifo /tmp/fifo"));
	OK(ctr_stat_file(c, "/tmp/link", false, &stat));
	CHECK(S_ISLNK(stat.st_mode));
	OK(ctr_list_dir(c, "/tmp", &names));
	for (i = 0; i < ctr_names_count(names); i++)
		found += !strcmp(ctr_names_get(names, i), "x") || !strcmp(ctr_names_get(names, i), "fifo");
	CHECK(found == 2);
	FAILS(CTR_ERR_INVALID, "is not one of", ctr_names_get(names, i) ? 0 : CTR_ERR_INVALID);
	ctr_names_free(names);
	FAILS(CTR_ERR_UNSUPPORTED, "it is a FIFO", ctr_open(c, "/tmp/fifo", O_RDONLY, 0, NULL));
	CHECK(errno == EOPNOTSUPP && !strcmp(ctr_last_step_id(), "open-inside"));
	FAILS(CTR_ERR_UNSUPPORTED, "the kernel's", ctr_open(c, "/proc/version", O_RDONLY, 0, NULL));
	FAILS(CTR_ERR_SYSTEM, "open /no of container", ctr_open(c, "/no", O_RDONLY, 0, NULL));
	CHECK(errno == ENOENT);
	FAILS(CTR_ERR_SYSTEM, "look at /no of container", ctr_stat_file(c, "/no", true, &stat));
	CHECK(stat.st_mode == 0);
	FAILS(CTR_ERR_SYSTEM, "list /tmp/x of container", ctr_list_dir(c, "/tmp/x", &names));
	CHECK(errno == ENOTDIR && !names);
	FAILS(CTR_ERR_NOT_FOUND, "find the user nobody-here", ctr_open(c, "/tmp/x", O_RDONLY, 0, "nobody-here"));
	FAILS(CTR_ERR_INVALID, "path", ctr_open(c, NULL, O_RDONLY, 0, NULL));
	FAILS(CTR_ERR_INVALID, "path", ctr_stat_file(c, NULL, true, &stat));
	FAILS(CTR_ERR_INVALID, "out", ctr_stat_file(c, "/", true, NULL));
	FAILS(CTR_ERR_INVALID, "path", ctr_list_dir(c, NULL, &names));
	FAILS(CTR_ERR_INVALID, "out", ctr_list_dir(c, "/", NULL));
	OK(ctr_close(joined));
	OK(ctr_destroy(c));
}

TEST(trees_are_copied_in_and_out)
{
	ctr_container *c = new_container();
	char path[] = "/tmp/ctr-test-XXXXXX", file[64], back[64], tar[64], command[160];
	int fd;

	CHECK(mkdtemp(path) != NULL);
	snprintf(file, sizeof file, "%s/file", path);
	snprintf(back, sizeof back, "%s/back", path);
	snprintf(tar, sizeof tar, "%s/tar", path);
	write_file(file, "of the host", 11);
	OK(ctr_copy_in(c, path, "/tmp/copy", false));
	CHECK(holds(c, "test \"$(cat /tmp/copy/file)\" = 'of the host' && test $(stat -c %u /tmp/copy/file) = 0"));
	OK(ctr_copy_out(c, "/tmp/copy", back, false));
	fd = open(tar, O_RDWR | O_CREAT, 0600);
	OK(ctr_copy_out_tar(c, "/tmp/copy/.", fd));
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK(holds(c, "rm /tmp/copy/file"));
	OK(ctr_copy_in_tar(c, fd, "/tmp/copy", true));
	CHECK(holds(c, "test -s /tmp/copy/file"));
	snprintf(command, sizeof command, "cmp -s %s %s/file", file, back);
	CHECK(system(command) == 0);
	FAILS(CTR_ERR_BAD_IMAGE, "cut off", (lseek(fd, 700, SEEK_SET), ftruncate(fd, 900), lseek(fd, 0, SEEK_SET), ctr_copy_in_tar(c, fd, "/tmp/copy", false)));
	close(fd);
	FAILS(CTR_ERR_SYSTEM, "copy /no of container", ctr_copy_out(c, "/no", back, false));
	CHECK(errno == ENOENT && !strcmp(ctr_last_step_id(), "copy-from"));
	FAILS(CTR_ERR_UNSUPPORTED, "it is a device", ctr_copy_out(c, "/dev/null", back, false));
	FAILS(CTR_ERR_INVALID, "source", ctr_copy_in(c, NULL, "/tmp", false));
	FAILS(CTR_ERR_INVALID, "target", ctr_copy_in(c, path, NULL, false));
	FAILS(CTR_ERR_INVALID, "source", ctr_copy_out(c, NULL, back, false));
	FAILS(CTR_ERR_INVALID, "target", ctr_copy_out(c, "/tmp", NULL, false));
	FAILS(CTR_ERR_INVALID, "fd", ctr_copy_in_tar(c, -1, "/tmp", false));
	FAILS(CTR_ERR_INVALID, "fd", ctr_copy_out_tar(c, "/tmp", -1));
	snprintf(command, sizeof command, "rm -r %s", path);
	CHECK(system(command) == 0);
	OK(ctr_destroy(c));
}

/* Connects to this port of the host and hears what a server inside says. */
static int hears_hello(int port, int listener)
{
	struct sockaddr_in at = {0};
	char heard[8] = "";
	int client = socket(AF_INET, SOCK_STREAM, 0), server, ok;

	at.sin_family = AF_INET;
	at.sin_port = htons(port);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(!connect(client, (struct sockaddr *)&at, sizeof at));
	server = accept(listener, NULL, NULL);
	ok = write(server, "hello", 5) == 5 && read(client, heard, sizeof heard) == 5 && !strcmp(heard, "hello");
	close(server);
	close(client);
	return ok;
}

TEST(a_port_of_the_host_leads_into_a_container)
{
	ctr_container *c, *joined, *other;
	ctr_config *config = ctr_config_new();
	char *text, expected[128];
	int listener, port, second;

	OK(ctr_config_add_port(config, "127.0.0.1", 0, "localhost", 80));
	FAILS(CTR_ERR_INVALID, "names are not looked up", ctr_config_add_port(config, "web", 1, "127.0.0.1", 80));
	FAILS(CTR_ERR_INVALID, "address", ctr_config_add_port(config, NULL, 1, "127.0.0.1", 80));
	FAILS(CTR_ERR_INVALID, "to", ctr_config_add_port(config, "127.0.0.1", 1, NULL, 80));
	OK(ctr_create("host", config, &c));
	listener = ctr_listen(c, SOCK_STREAM, "127.0.0.1", 80);
	OK(ctr_inspect(c, &text));
	CHECK(sscanf(strstr(text, "\"ports\":[{\"address\":\"127.0.0.1:"), "\"ports\":[{\"address\":\"127.0.0.1:%d", &port) == 1);
	snprintf(expected, sizeof expected, ":%d\",\"to\":\"127.0.0.1:80\",\"running\":true}]", port);
	CHECK(strstr(text, expected) != NULL);
	ctr_string_free(text);
	CHECK(hears_hello(port, listener));
	OK(ctr_join(ctr_name(c), &joined));
	second = ctr_publish(joined, "127.0.0.1", 0, "127.0.0.1", 80);
	CHECK(second > 0 && second != port);
	CHECK(hears_hello(second, listener));
	FAILS(CTR_ERR_SYSTEM, "EADDRINUSE", ctr_publish(c, "127.0.0.1", second, "127.0.0.1", 80));
	CHECK(errno == EADDRINUSE && !strcmp(ctr_last_step_id(), "publish-port"));
	/* One that somebody has is told when a container is made. */
	config = (ctr_config_free(config), ctr_config_new());
	OK(ctr_config_add_port(config, "127.0.0.1", second, "127.0.0.1", 80));
	FAILS(CTR_ERR_SYSTEM, "EADDRINUSE", ctr_create("host", config, &other));
	CHECK(other == NULL && errno == EADDRINUSE);
	OK(ctr_unpublish(c, "127.0.0.1", second));
	FAILS(CTR_ERR_NOT_FOUND, "no port published there", ctr_unpublish(c, "127.0.0.1", second));
	OK(ctr_create("host", config, &other));
	OK(ctr_destroy(other));
	OK(ctr_unpublish(joined, "localhost", port));
	FAILS(CTR_ERR_INVALID, "address", ctr_publish(c, NULL, 0, "127.0.0.1", 80));
	FAILS(CTR_ERR_INVALID, "to", ctr_publish(c, "127.0.0.1", 0, NULL, 80));
	FAILS(CTR_ERR_INVALID, "port 0", ctr_publish(c, "127.0.0.1", 0, "127.0.0.1", 0));
	FAILS(CTR_ERR_INVALID, "address", ctr_unpublish(c, NULL, 1));
	close(listener);
	ctr_config_free(config);
	OK(ctr_close(joined));
	OK(ctr_destroy(c));
	FAILS(CTR_ERR_INVALID, "container", ctr_publish(c, "127.0.0.1", 0, "127.0.0.1", 80));
}

TEST(a_disk_is_mounted_when_a_container_is_made_and_while_it_runs)
{
	char image[600], command[4096];
	const char *dir = scratch();
	ctr_config *config = named();
	ctr_container *c = NULL;

	snprintf(image, sizeof image, "%s/image", dir);
	write_file(image, "", 0);
	if (geteuid() != 0) {
		OK(ctr_config_add_disk(config, image, "/mnt/disk", NULL, 0, true, false));
		FAILS(CTR_ERR_UNSUPPORTED, "only root", ctr_create("host", config, &c));
		skip("only root mounts disks");
	}
	snprintf(command, sizeof command, "PATH=$PATH:/usr/sbin:/sbin; mkdir %s/t && echo hi >%s/t/hello && truncate -s 4M %s && "
	         "mke2fs -q -F -t ext4 -d %s/t %s", dir, dir, image, dir, image);
	if (access("/dev/loop-control", R_OK | W_OK) || system(command))
		skip("no loop devices, or no mke2fs");
	OK(ctr_config_add_disk(config, image, "/mnt/disk", "ext4", 0, false, true));
	OK(ctr_create("host", config, &c));
	CHECK(holds(c, "grep -q hi /mnt/disk/hello && echo more >/mnt/disk/new"));
	FAILS(CTR_ERR_SYSTEM, "EBUSY, it is in use", ctr_mount_disk(c, image, "/mnt/live", NULL, 0, true, false));
	CHECK(errno == EBUSY && !strcmp(ctr_last_step_id(), "open-disk"));
	OK(ctr_destroy(c));
	c = new_container();
	OK(ctr_mount_disk(c, image, "/mnt/live", NULL, 0, true, false));
	CHECK(holds(c, "grep -q more /mnt/live/new && ! touch /mnt/live/x"));
	OK(ctr_unmount(c, "/mnt/live", false));
	FAILS(CTR_ERR_INVALID, "no table of partitions", ctr_mount_disk(c, image, "/mnt/live", NULL, 1, true, false));
	FAILS(CTR_ERR_INVALID, "source", ctr_mount_disk(c, NULL, "/mnt/live", NULL, 0, true, false));
	OK(ctr_destroy(c));
	ctr_config_free(config);
}

int main(void)
{
	RUN(a_disk_is_mounted_when_a_container_is_made_and_while_it_runs);
	RUN(trees_are_copied_in_and_out);
	RUN(files_inside_are_opened_looked_at_and_listed_from_outside);
	RUN(a_port_of_the_host_leads_into_a_container);
	RUN(a_socket_inside_is_held_outside);
	RUN(mounts_come_and_go_while_programs_run);
	RUN(a_scratch_mount_is_applied_or_discarded);
	RUN(what_a_container_uses_is_told_as_far_as_it_is_counted);
	RUN(a_container_stands_still_and_goes_on);
	RUN(what_has_no_cgroup_can_not_be_paused);
	return done();
}
