/* Images that can not be run, names that can not be had, machines that do not offer what is asked. */
#define _GNU_SOURCE
#include "check.h"

#include <sched.h>
#include <sys/mount.h>

/* Creating from this image fails so, and nothing of it stays in the store. */
static void image_fails(const char *path, int code, const char *words)
{
	ctr_container *c = (ctr_container *)&c;

	FAILS(code, words, ctr_create(path, NULL, &c));
	CHECK(c == NULL);
	CHECK(ctr_last_errno() > 0);
	CHECK(errno == ctr_last_errno());
}

TEST(a_missing_image_is_named)
{
	image_fails("/no/such/image.tar", CTR_ERR_NOT_FOUND, "/no/such/image.tar");
	CHECK(ctr_last_errno() == ENOENT);
	image_fails("", CTR_ERR_INVALID, "image");
}

TEST(an_empty_image_and_one_that_is_no_archive_are_refused)
{
	const char *dir = scratch();
	char empty[600], text[600], noise[600], bytes[100000];

	snprintf(empty, sizeof empty, "%s/empty.tar", dir);
	snprintf(text, sizeof text, "%s/text.tar", dir);
	snprintf(noise, sizeof noise, "%s/noise.tar.gz", dir);
	write_file(empty, "", 0);
	image_fails(empty, CTR_ERR_BAD_IMAGE, "empty.tar");
	memset(bytes, 'x', sizeof bytes);
	write_file(text, bytes, sizeof bytes);
	image_fails(text, CTR_ERR_BAD_IMAGE, "text.tar");
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
	memcpy(bytes, "\x1f\x8b\x08", 3);
	write_file(noise, bytes, sizeof bytes);
	image_fails(noise, CTR_ERR_BAD_IMAGE, "noise.tar.gz");
}

TEST(an_image_that_is_cut_off_is_refused)
{
	const char *dir = scratch();
	char command[2048], path[600];

	snprintf(command, sizeof command,
		 "cd %s && mkdir t && head -c 300000 /dev/urandom >t/file && tar cf whole.tar -C t . && "
		 "tar czf whole.tgz -C t . && head -c 150000 whole.tar >cut.tar && head -c 150000 whole.tgz >cut.tgz",
		 dir);
	CHECK(system(command) == 0);
	snprintf(path, sizeof path, "%s/cut.tar", dir);
	image_fails(path, CTR_ERR_BAD_IMAGE, "cut.tar");
	snprintf(path, sizeof path, "%s/cut.tgz", dir);
	image_fails(path, CTR_ERR_BAD_IMAGE, "cut.tgz");
}

TEST(an_image_that_may_not_be_read_is_named)
{
	const char *dir = scratch();
	char path[600], own[600];

	snprintf(path, sizeof path, "%s/secret.tar", dir);
	snprintf(own, sizeof own, "%s/own", dir);
	write_file(path, "x", 1);
	CHECK(chmod(path, 0) == 0 && chmod(dir, 0755) == 0 && mkdir(own, 0700) == 0);
	if (getuid() == 0)
		CHECK(chown(own, 65534, 65534) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
	setenv("CTR_STATE_DIR", own, 1);
	setenv("CTR_STORE_DIR", own, 1);
	image_fails(path, CTR_ERR_SYSTEM, "secret.tar");
	CHECK(ctr_last_errno() == EACCES);
}

/* Creating with this name fails so. */
static void name_fails(const char *name, int code)
{
	ctr_config *config = ctr_config_new();
	ctr_container *c;

	OK(ctr_config_set_name(config, name));
	FAILS(code, "name", ctr_create("host", config, &c));
	ctr_config_free(config);
}

TEST(names_that_are_none_are_refused)
{
	char longest[66];

	memset(longest, 'n', 65);
	longest[65] = '\0';
	name_fails("", CTR_ERR_INVALID);
	name_fails("a/b", CTR_ERR_INVALID);
	name_fails("..", CTR_ERR_INVALID);
	name_fails(".hidden", CTR_ERR_INVALID);
	name_fails("-dash", CTR_ERR_INVALID);
	name_fails("new\nline", CTR_ERR_INVALID);
	name_fails("caf\xc3\xa9", CTR_ERR_INVALID);
	name_fails(longest, CTR_ERR_INVALID);
}

TEST(a_name_that_is_not_utf8_is_refused)
{
	ctr_config *config = ctr_config_new();
	ctr_container *c;

	FAILS(CTR_ERR_INVALID, "UTF-8", ctr_config_set_name(config, "\xff"));
	FAILS(CTR_ERR_INVALID, "UTF-8", ctr_join("\xff", &c));
	ctr_config_free(config);
}

TEST(a_name_in_use_is_refused_and_free_again_after_destroy)
{
	ctr_config *config = named();
	ctr_container *first, *second;

	OK(ctr_create("host", config, &first));
	ANSWERS(CTR_ERR_NAME_IN_USE, ctr_create("host", config, &second));
	CHECK(strstr(ctr_last_error(), ctr_name(first)));
	CHECK(sh(first, "exit 3").code == 3);
	OK(ctr_destroy(first));
	OK(ctr_create("host", config, &second));
	OK(ctr_destroy(second));
	ctr_config_free(config);
}

TEST(an_unknown_name_can_not_be_joined)
{
	ctr_container *c;

	FAILS(CTR_ERR_NOT_FOUND, "capi-no-such", ctr_join("capi-no-such", &c));
	CHECK(c == NULL);
	FAILS(CTR_ERR_INVALID, "name", ctr_join("../escape", &c));
}

TEST(a_pid_that_is_none_can_not_be_joined)
{
	ctr_container *c;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	ANSWERS(CTR_ERR_NOT_FOUND, ctr_join_pid(child, &c));
	CHECK(ctr_join_pid(0, &c) < 0);
	CHECK(ctr_join_pid(-1, &c) < 0);
	CHECK(ctr_join_pid(INT32_MAX, &c) < 0);
	FAILS(CTR_ERR_INVALID, "0x1", ctr_join_pid_namespaces(getpid(), CTR_NS_NET | 1, &c));
	CHECK(c == NULL);
}

/* A mount namespace of our own, so that what follows is nobody else's trouble. */
static void own_mounts(void)
{
	if (geteuid() != 0)
		skip("needs root, to make a mount namespace");
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip("no mount namespace can be made here");
}

TEST(without_a_cgroup_the_policy_decides)
{
	ctr_config *config = named();
	ctr_container *c;

	own_mounts();
	if (mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, NULL))
		skip("nothing can be mounted on /sys/fs/cgroup");
	OK(ctr_create("host", config, &c));
	OK(ctr_destroy(c));
	OK(ctr_config_set_memory(config, 64 * MIB));
	FAILS(CTR_ERR_UNSUPPORTED, "cgroup", ctr_create("host", config, &c));
	OK(ctr_config_set_cgroup(config, CTR_CGROUP_OPTIONAL));
	OK(ctr_create("host", config, &c));
	CHECK(sh(c, "exit 5").code == 5);
	OK(ctr_destroy(c));
	OK(ctr_config_set_memory(config, CTR_UNLIMITED));
	OK(ctr_config_set_cgroup(config, CTR_CGROUP_REQUIRED));
	FAILS(CTR_ERR_UNSUPPORTED, "cgroup", ctr_create("host", config, &c));
	ctr_config_free(config);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		skip("no user namespace can be made here");
	close(fd);
}

TEST(where_no_user_namespace_is_allowed_the_error_says_so)
{
	ctr_container *c;
	uid_t uid = getuid();
	char map[64];

	if (unshare(CLONE_NEWUSER))
		skip("no user namespace can be made here");
	snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
	write_text("/proc/self/uid_map", map);
	write_text("/proc/sys/user/max_user_namespaces", "0");
	CHECK(ctr_create("host", NULL, &c) < 0);
	CHECK(strstr(ctr_last_error(), "namespaces") && strstr(ctr_last_hint(), "user.max_"));
	CHECK(c == NULL);
}

TEST(a_full_disk_in_the_store_is_named_and_leaves_nothing)
{
	const char *dir = scratch();
	char command[1024], image[600], store[600];
	ctr_config *config = named();
	ctr_container *c;

	own_mounts();
	snprintf(image, sizeof image, "%s/image.tar", dir);
	snprintf(store, sizeof store, "%s/store", dir);
	snprintf(command, sizeof command, "cd %s && mkdir t store && head -c 4000000 /dev/zero >t/file && tar cf image.tar -C t .", dir);
	CHECK(system(command) == 0);
	CHECK(mount("tmpfs", store, "tmpfs", 0, "size=1m") == 0);
	OK(ctr_config_set_store_dir(config, store));
	ANSWERS(CTR_ERR_SYSTEM, ctr_create(image, config, &c));
	CHECK(ctr_last_errno() == ENOSPC);
	snprintf(command, sizeof command, "test $(du -sk %s | cut -f1) -lt 64", store);
	CHECK(system(command) == 0);
	ctr_config_free(config);
}

int main(void)
{
	RUN(a_missing_image_is_named);
	RUN(an_empty_image_and_one_that_is_no_archive_are_refused);
	RUN(an_image_that_is_cut_off_is_refused);
	RUN(an_image_that_may_not_be_read_is_named);
	RUN(names_that_are_none_are_refused);
	RUN(a_name_that_is_not_utf8_is_refused);
	RUN(a_name_in_use_is_refused_and_free_again_after_destroy);
	RUN(an_unknown_name_can_not_be_joined);
	RUN(a_pid_that_is_none_can_not_be_joined);
	RUN(without_a_cgroup_the_policy_decides);
	RUN(where_no_user_namespace_is_allowed_the_error_says_so);
	RUN(a_full_disk_in_the_store_is_named_and_leaves_nothing);
	return done();
}
