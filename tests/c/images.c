/* Images from C: archives in, archives out, and what a container changed. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>

#define SH(...) \
	do { \
		char line_[4096]; \
		snprintf(line_, sizeof line_, __VA_ARGS__); \
		if (system(line_)) \
			fail(__FILE__, __LINE__, "%s", line_); \
	} while (0)

/* A small root file system with a shell, as a tarball; what a test wants besides goes into the tree first. */
static const char *busybox(const char *dir, const char *more)
{
	static char path[600];

	snprintf(path, sizeof path, "%s/busybox.tar.gz", dir);
	SH("cd %s && mkdir -p t/bin t/etc && cp $(command -v busybox) t/bin/ && for a in sh cat echo ls rm touch mkdir id sleep; do "
	   "ln -sf busybox t/bin/$a; done && echo root:x:0:0::/root:/bin/sh >t/etc/passwd && (cd t && %s) && "
	   "tar czf %s -C t .", dir, more, path);
	return path;
}

/* Options whose store is a directory of the test's. */
static ctr_image_options *options_in(const char *dir)
{
	ctr_image_options *options = ctr_image_options_new();
	char store[600];

	snprintf(store, sizeof store, "%s/store", dir);
	OK(ctr_image_options_set_store_dir(options, store));
	return options;
}

static ctr_container *container_in(const char *dir, const char *image)
{
	ctr_config *config = named();
	ctr_container *c;
	char store[600];

	snprintf(store, sizeof store, "%s/store", dir);
	OK(ctr_config_set_store_dir(config, store));
	OK(ctr_create(image, config, &c));
	ctr_config_free(config);
	return c;
}

static int is(const char *one, const char *other)
{
	return one && strcmp(one, other) == 0;
}

struct heard {
	int calls, stop_after;
	uint64_t bytes, total, entries;
	pthread_t thread;
};

static int hear(void *data, uint64_t bytes, uint64_t total, uint64_t entries)
{
	struct heard *heard = data;

	heard->calls++;
	heard->bytes = bytes;
	heard->total = total;
	heard->entries = entries;
	heard->thread = pthread_self();
	return heard->stop_after && heard->calls >= heard->stop_after;
}

TEST(an_image_is_imported_listed_named_looked_at_and_removed)
{
	const char *dir = scratch(), *tarball = busybox(dir, "true");
	ctr_image_options *options = options_in(dir);
	ctr_image *image = NULL, *again = NULL;
	ctr_images *all;
	struct heard heard = {0};
	struct stat stat_;
	uint64_t size = 0, disk = 0, removed = 7, freed = 0;
	char *json;

	OK(ctr_image_options_set_name(options, "me/busybox:1"));
	OK(ctr_image_options_set_progress(options, hear, &heard));
	OK(ctr_image_import(tarball, options, &image));
	CHECK(stat(tarball, &stat_) == 0);
	CHECK(heard.calls > 0 && heard.bytes == (uint64_t)stat_.st_size && heard.total == heard.bytes && heard.entries > 10);
	CHECK(pthread_equal(heard.thread, pthread_self()));
	CHECK(strncmp(ctr_image_text(image, CTR_IMAGE_DIGEST, 0), "sha256:", 7) == 0);
	CHECK(ctr_image_count(image, CTR_IMAGE_NAME) == 1);
	CHECK(is(ctr_image_text(image, CTR_IMAGE_NAME, 0), "me/busybox:1"));
	CHECK(ctr_image_count(image, CTR_IMAGE_CMD) == 0);
	CHECK(ctr_image_text(image, CTR_IMAGE_CMD, 0) == NULL);
	CHECK(ctr_image_count(image, 99) == CTR_ERR_INVALID);
	CHECK(ctr_image_created(image) > INT64_C(1600000000000));
	OK(ctr_image_size(image, &size));
	CHECK(size > 100000);
	OK(ctr_image_json(image, &json));
	CHECK(strstr(json, "\"names\":[\"me/busybox:1\"]") && strstr(json, ctr_image_text(image, CTR_IMAGE_DIGEST, 0)));
	ctr_string_free(json);

	OK(ctr_image_tag("me/busybox:1", "other", options));
	OK(ctr_image_inspect("other", options, &again));
	CHECK(is(ctr_image_text(again, CTR_IMAGE_DIGEST, 0), ctr_image_text(image, CTR_IMAGE_DIGEST, 0)));
	CHECK(ctr_image_count(again, CTR_IMAGE_NAME) == 2);
	ctr_image_free(again);
	OK(ctr_image_list(options, &all));
	CHECK(ctr_images_count(all) == 1);
	ANSWERS(CTR_ERR_INVALID, ctr_images_get(all, 1, &again));
	OK(ctr_images_get(all, 0, &again));
	ctr_images_free(all);
	CHECK(ctr_image_count(again, CTR_IMAGE_LAYER) == 1);
	ctr_image_free(again);
	OK(ctr_image_disk_use(options, &disk));
	CHECK(disk >= size);

	ctr_container *c = container_in(dir, "other");
	CHECK(is(ctr_container_image(c), ctr_image_text(image, CTR_IMAGE_DIGEST, 0)));
	OK(ctr_image_remove("other", options));
	FAILS(CTR_ERR_SYSTEM, "uses it", ctr_image_remove("me/busybox:1", options));
	CHECK(errno == EBUSY);
	OK(ctr_destroy(c));
	OK(ctr_image_remove("me/busybox:1", options));
	FAILS(CTR_ERR_NOT_FOUND, "me/busybox:1", ctr_image_inspect("me/busybox:1", options, &again));
	CHECK(again == NULL);
	OK(ctr_image_prune(options, &removed, &freed));
	CHECK(removed == 0);
	OK(ctr_image_disk_use(options, &disk));
	CHECK(disk < 65536);
	ctr_image_free(image);
	ctr_image_options_free(options);
}

TEST(an_import_from_a_pipe_is_the_same_and_one_that_is_stopped_leaves_nothing)
{
	const char *dir = scratch(), *tarball = busybox(dir, "true");
	ctr_image_options *options = options_in(dir);
	ctr_image *image, *again;
	struct heard heard = {0};
	char command[700];
	uint64_t removed;
	FILE *pipe_;

	OK(ctr_image_import(tarball, options, &image));
	snprintf(command, sizeof command, "cat %s", tarball);
	CHECK((pipe_ = popen(command, "re")) != NULL);
	OK(ctr_image_import_fd(fileno(pipe_), options, &again));
	CHECK(pclose(pipe_) == 0);
	CHECK(is(ctr_image_text(again, CTR_IMAGE_DIGEST, 0), ctr_image_text(image, CTR_IMAGE_DIGEST, 0)));
	/* The name is not asked for. */
	OK(ctr_image_import(tarball, options, NULL));
	ctr_image_free(again);
	OK(ctr_image_prune(options, &removed, NULL));
	CHECK(removed == 1);

	/* Nothing more comes, and nobody but the callback ends it. */
	int fds[2];
	CHECK(pipe(fds) == 0 && write(fds[1], "\x1f\x8b\x08", 3) == 3);
	heard.stop_after = 2;
	OK(ctr_image_options_set_progress(options, hear, &heard));
	FAILS(CTR_ERR_INTERRUPTED, "nothing of it is left", ctr_image_import_fd(fds[0], options, &again));
	CHECK(again == NULL && heard.calls >= 2);
	SH("test -z \"$(ls %s/store/layers %s/store/images | grep -v :)\"", dir, dir);
	ANSWERS(CTR_ERR_SYSTEM, ctr_image_import_fd(-1, options, &again));
	CHECK(errno == EBADF);
	ctr_image_free(image);
	ctr_image_options_free(options);
}

TEST(what_is_over_a_limit_or_no_archive_is_refused_by_name)
{
	const char *dir = scratch(), *tarball = busybox(dir, "true");
	ctr_image_options *options = options_in(dir);
	ctr_image *image;
	char path[700];

	OK(ctr_image_options_set_limit(options, CTR_LIMIT_ENTRIES, 3));
	FAILS(CTR_ERR_BAD_IMAGE, "\"entries\"", ctr_image_import(tarball, options, &image));
	CHECK(image == NULL);
	OK(ctr_image_options_set_limit(options, CTR_LIMIT_ENTRIES, 1000));
	OK(ctr_image_options_set_limit(options, CTR_LIMIT_FILE, 10));
	FAILS(CTR_ERR_BAD_IMAGE, "\"file\"", ctr_image_import(tarball, options, &image));
	OK(ctr_image_options_set_limit(options, CTR_LIMIT_FILE, UINT64_MAX));
	OK(ctr_image_options_set_limit(options, CTR_LIMIT_WALKS, 1));
	FAILS(CTR_ERR_BAD_IMAGE, "\"walks\"", ctr_image_import(tarball, options, &image));
	OK(ctr_image_options_set_limit(options, CTR_LIMIT_WALKS, 1000));
	snprintf(path, sizeof path, "%s/noise", dir);
	write_file(path, "no archive", 10);
	FAILS(CTR_ERR_BAD_IMAGE, path, ctr_image_import(path, options, &image));
	FAILS(CTR_ERR_NOT_FOUND, "/no/such", ctr_image_import("/no/such", options, &image));
	CHECK(errno == ENOENT);
	ctr_image_options_free(options);
	options = options_in(dir);
	OK(ctr_image_options_set_platform(options, "arm64"));
	FAILS(CTR_ERR_BAD_IMAGE, "linux/arm64", ctr_image_import(tarball, options, &image));
	OK(ctr_image_options_set_platform(options, "arm64/x/y"));
	FAILS(CTR_ERR_INVALID, "arm64/x/y", ctr_image_import(tarball, options, &image));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_name(options, NULL));
	OK(ctr_image_options_set_name(options, "../up"));
	FAILS(CTR_ERR_INVALID, "../up", ctr_image_import(tarball, options, &image));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_limit(options, 99, 1));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_strip(options, -1));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_compression(options, 77));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_format(options, -1));
	ctr_image_options_free(options);
	ANSWERS(CTR_ERR_INVALID, ctr_image_import(tarball, options, &image));
}

TEST(an_image_is_built_saved_and_runs_as_it_says)
{
	const char *dir = scratch(), *tarball = busybox(dir, "true"), *none[] = {NULL};
	const char *entrypoint[] = {"/bin/echo", "entry", NULL}, *cmd[] = {"cmd", NULL}, *args[] = {"one", "two", NULL};
	ctr_image_options *options = options_in(dir), *elsewhere;
	ctr_image_config *config = ctr_image_config_new(), *copy;
	ctr_image *image, *again;
	ctr_process *p;
	ctr_exit end;
	char path[700], other[700], *json;

	SH("mkdir -p %s/app/sub && echo text >%s/app/sub/file && echo single >%s/single", dir, dir, dir);
	OK(ctr_image_config_set_entrypoint(config, entrypoint));
	OK(ctr_image_config_set_cmd(config, cmd));
	OK(ctr_image_config_add_env(config, "WHO", "first"));
	OK(ctr_image_config_add_env(config, "WHO", "image"));
	OK(ctr_image_config_set_working_dir(config, "/app"));
	OK(ctr_image_config_set_stop_signal(config, "SIGQUIT"));
	OK(ctr_image_config_add_volume(config, "/data"));
	OK(ctr_image_config_add_label(config, "key", "value"));
	OK(ctr_image_options_set_config(options, config));
	OK(ctr_image_options_set_name(options, "app"));
	OK(ctr_image_options_set_epoch(options, 1600000000));
	snprintf(path, sizeof path, "%s/app", dir);
	OK(ctr_image_options_add_file(options, path, "/app"));
	snprintf(path, sizeof path, "%s/single", dir);
	OK(ctr_image_options_add_file(options, path, "/app/sub"));
	OK(ctr_image_build(tarball, options, &image));
	CHECK(ctr_image_count(image, CTR_IMAGE_LAYER) == 2);
	CHECK(is(ctr_image_text(image, CTR_IMAGE_ENV, 0), "WHO=image") && ctr_image_count(image, CTR_IMAGE_ENV) == 1);
	CHECK(is(ctr_image_text(image, CTR_IMAGE_ENTRYPOINT, 1), "entry"));
	CHECK(is(ctr_image_text(image, CTR_IMAGE_STOP_SIGNAL, 0), "SIGQUIT"));
	CHECK(is(ctr_image_text(image, CTR_IMAGE_VOLUME, 0), "/data"));
	CHECK(is(ctr_image_text(image, CTR_IMAGE_LABEL, 0), "key=value"));
	OK(ctr_image_build(tarball, options, &again));
	CHECK(is(ctr_image_text(again, CTR_IMAGE_DIGEST, 0), ctr_image_text(image, CTR_IMAGE_DIGEST, 0)));
	ctr_image_free(again);

	ctr_container *c = container_in(dir, "app");
	ctr_exec_config *captured = ctr_exec_config_new();
	OK(ctr_exec_config_set_stdio(captured, 1, CTR_STDIO_PIPE));
	OK(ctr_exec_image(c, NULL, captured, &p));
	CHECK(is(slurp(ctr_process_stdout(p)), "entry cmd\n"));
	ctr_process_free(p);
	OK(ctr_exec_image(c, args, captured, &p));
	CHECK(is(slurp(ctr_process_stdout(p)), "entry one two\n"));
	ctr_process_free(p);
	OK(ctr_exec(c, none, captured, &p));
	CHECK(is(slurp(ctr_process_stdout(p)), "entry cmd\n"));
	ctr_process_free(p);
	ctr_exec_config_free(captured);
	CHECK(is(output(c, "echo $WHO $(cat sub/file sub/single)", NULL), "image text single"));
	CHECK((copy = ctr_image_config_of_container(c)) != NULL);
	OK(ctr_image_config_json(copy, &json));
	CHECK(strstr(json, "\"StopSignal\":\"SIGQUIT\"") && strstr(json, "\"WorkingDir\":\"/app\""));
	ctr_string_free(json);
	ctr_image_config_free(copy);
	const char *sleeps[] = {"/bin/sleep", "60", NULL};
	OK(ctr_exec(c, sleeps, NULL, &p));
	ANSWERS(CTR_ERR_INVALID, ctr_process_stop(p, -1, &end));
	OK(ctr_process_stop(p, 60000, &end));
	CHECK(end.signal == SIGQUIT);
	ctr_process_free(p);
	OK(ctr_destroy(c));

	/* Out, in each form, and into another store. */
	snprintf(other, sizeof other, "%s/other", dir);
	elsewhere = ctr_image_options_new();
	OK(ctr_image_options_set_store_dir(elsewhere, other));
	for (int format = CTR_SAVE_OCI; format <= CTR_SAVE_DOCKER; format++) {
		for (int compression = CTR_COMPRESSION_NONE; compression <= CTR_COMPRESSION_ZSTD; compression++) {
			OK(ctr_image_options_set_format(options, format));
			OK(ctr_image_options_set_compression(options, compression));
			snprintf(path, sizeof path, "%s/saved-%d-%d.tar", dir, format, compression);
			OK(ctr_image_save("app", path, options));
			OK(ctr_image_import(path, elsewhere, &again));
			CHECK(is(ctr_image_text(again, CTR_IMAGE_LABEL, 0), "key=value"));
			CHECK((copy = ctr_image_config_of(again)) != NULL);
			ctr_image_config_free(copy);
			ctr_image_free(again);
		}
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	OK(ctr_image_save_fd("app", fd, options));
	close(fd);
	OK(ctr_image_import(path, elsewhere, NULL));
	FAILS(CTR_ERR_NOT_FOUND, "nobody", ctr_image_save("nobody", path, options));
	SH("test $(ls %s/other/images | wc -l) = 1", dir);
	ctr_image_free(image);
	ctr_image_config_free(config);
	ctr_image_options_free(elsewhere);
	ctr_image_options_free(options);
}

TEST(what_can_not_be_built_is_named_and_leaves_nothing)
{
	const char *dir = scratch();
	ctr_image_options *options = options_in(dir);
	ctr_image_config *config = ctr_image_config_new();
	ctr_image *image;
	char path[700];

	FAILS(CTR_ERR_INVALID, "nothing in it", ctr_image_build(NULL, options, &image));
	ANSWERS(CTR_ERR_NOT_FOUND, ctr_image_build("nobody", options, &image));
	ANSWERS(CTR_ERR_INVALID, ctr_image_build("host", options, &image));
	CHECK(image == NULL);
	OK(ctr_image_config_set_working_dir(config, "relative"));
	OK(ctr_image_options_set_config(options, config));
	snprintf(path, sizeof path, "%s/file", dir);
	write_file(path, "x", 1);
	OK(ctr_image_options_add_file(options, path, "/x"));
	FAILS(CTR_ERR_INVALID, "relative", ctr_image_build(NULL, options, &image));
	OK(ctr_image_options_add_file(options, "/no/such", "/x"));
	OK(ctr_image_config_set_working_dir(config, ""));
	OK(ctr_image_options_set_config(options, config));
	FAILS(CTR_ERR_SYSTEM, "/no/such", ctr_image_build(NULL, options, &image));
	CHECK(errno == ENOENT);
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_add_file(options, NULL, "/x"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_config(options, NULL));
	ANSWERS(CTR_ERR_INVALID, ctr_image_config_set_user(config, "\xff"));
	ctr_image_config_free(config);
	ANSWERS(CTR_ERR_INVALID, ctr_image_config_set_user(config, "x"));
	CHECK(ctr_image_config_of(NULL) == NULL && ctr_image_config_of_container(NULL) == NULL);
	ctr_image_options_free(options);
	SH("test -z \"$(ls %s/store/layers %s/store/images 2>/dev/null | grep -v :)\"", dir, dir);
}

TEST(a_container_is_exported_compared_and_committed)
{
	const char *dir = scratch(), *tarball = busybox(dir, "mkdir d && echo 1 >d/gone && echo 2 >d/changed");
	ctr_image_options *options = options_in(dir);
	ctr_container *c = container_in(dir, tarball), *new_;
	ctr_differences *all;
	ctr_image *image;
	struct heard heard = {0};
	char path[700];
	int status, fds[2], seen = 0;

	OK(ctr_diff(c, &all));
	CHECK(ctr_differences_count(all) == 0);
	CHECK(ctr_differences_path(all, 0) == NULL);
	ctr_differences_free(all);
	CHECK(sh(c, "rm /d/gone; echo 3 >>/d/changed; echo new >/new").code == 0);
	OK(ctr_diff(c, &all));
	for (int i = 0; i < ctr_differences_count(all); i++) {
		const char *at = ctr_differences_path(all, i);
		int change = ctr_differences_change(all, i);
		seen += (is(at, "/d/gone") && change == CTR_CHANGE_DELETED) || (is(at, "/d/changed") && change == CTR_CHANGE_CHANGED) ||
			(is(at, "/new") && change == CTR_CHANGE_ADDED) || (is(at, "/d") && change == CTR_CHANGE_CHANGED);
	}
	CHECK(seen == 4 && ctr_differences_count(all) == 4);
	CHECK(ctr_differences_change(all, 4) == CTR_ERR_INVALID);
	ctr_differences_free(all);
	CHECK(ctr_differences_count(all) == CTR_ERR_INVALID);

	snprintf(path, sizeof path, "%s/out.tar.zst", dir);
	OK(ctr_image_options_set_compression(options, CTR_COMPRESSION_ZSTD));
	OK(ctr_image_options_set_progress(options, hear, &heard));
	OK(ctr_export(c, path, options));
	CHECK(heard.entries > 10 && heard.total == 0);
	SH("cd %s && tar --zstd -tf out.tar.zst >list && grep -qx new list && ! grep -q d/gone list", dir);
	/* Nobody reads: an error, and this program lives. */
	CHECK(pipe(fds) == 0 && close(fds[0]) == 0);
	ANSWERS(CTR_ERR_SYSTEM, ctr_export_fd(c, fds[1], NULL));
	CHECK(errno == EPIPE);
	heard = (struct heard){.stop_after = 1};
	snprintf(path, sizeof path, "%s/stopped.tar", dir);
	FAILS(CTR_ERR_INTERRUPTED, "nothing of it is left", ctr_export(c, path, options));
	CHECK(access(path, F_OK) != 0);
	ANSWERS(CTR_ERR_INTERRUPTED, ctr_commit(c, options, &image));
	CHECK(image == NULL);
	OK(ctr_image_options_set_progress(options, NULL, NULL));

	OK(ctr_image_options_set_name(options, "committed"));
	OK(ctr_commit(c, options, &image));
	CHECK(ctr_image_count(image, CTR_IMAGE_LAYER) == 2);
	ctr_image_free(image);
	new_ = container_in(dir, "committed");
	CHECK(is(output(new_, "cat /new && ls /d", NULL), "new"));
	status = sh(new_, "test ! -e /d/gone").code;
	CHECK(status == 0);
	OK(ctr_destroy(new_));
	OK(ctr_destroy(c));
	ANSWERS(CTR_ERR_INVALID, ctr_export(c, path, NULL));
	ctr_image_options_free(options);

	c = new_container();
	FAILS(CTR_ERR_UNSUPPORTED, "no image below", ctr_diff(c, &all));
	CHECK(all == NULL);
	ANSWERS(CTR_ERR_UNSUPPORTED, ctr_commit(c, NULL, &image));
	ANSWERS(CTR_ERR_UNSUPPORTED, ctr_snapshot(c, NULL, &image));
	CHECK(ctr_container_image(c) == NULL);
	const char *none[] = {NULL};
	ctr_process *p;
	FAILS(CTR_ERR_INVALID, "neither Entrypoint nor Cmd", ctr_exec(c, none, NULL, &p));
	FAILS(CTR_ERR_INVALID, "neither Entrypoint nor Cmd", ctr_exec_image(c, NULL, NULL, &p));
	OK(ctr_destroy(c));
}

TEST(the_same_input_gives_the_same_bytes_when_the_variable_says_so)
{
	const char *dir = scratch(), *tarball = busybox(dir, "true");
	ctr_container *c = container_in(dir, tarball);
	ctr_image_options *options = options_in(dir);
	ctr_image *one, *two, *snapshot;
	char path[700];

	CHECK(setenv("SOURCE_DATE_EPOCH", "1600000000", 1) == 0);
	CHECK(sh(c, "echo x >/x").code == 0);
	OK(ctr_commit(c, NULL, &one));
	CHECK(sh(c, "sleep 0.02; touch /x").code == 0);
	OK(ctr_commit(c, NULL, &two));
	OK(ctr_snapshot(c, NULL, &snapshot));
	CHECK(ctr_image_count(snapshot, CTR_IMAGE_LAYER) == ctr_image_count(two, CTR_IMAGE_LAYER));
	CHECK(!is(ctr_image_text(snapshot, CTR_IMAGE_DIGEST, 0), ctr_image_text(two, CTR_IMAGE_DIGEST, 0)));
	ctr_image_free(snapshot);
	CHECK(is(ctr_image_text(one, CTR_IMAGE_DIGEST, 0), ctr_image_text(two, CTR_IMAGE_DIGEST, 0)));
	snprintf(path, sizeof path, "%s/out.tar", dir);
	OK(ctr_export(c, path, NULL));
	SH("test $(TZ=UTC tar -tvf %s | grep -c ' 20[2-9][1-9]-') = 0", path);
	CHECK(setenv("SOURCE_DATE_EPOCH", "yesterday", 1) == 0);
	FAILS(CTR_ERR_INVALID, "SOURCE_DATE_EPOCH", ctr_export(c, path, NULL));
	/* What is said by options counts. */
	OK(ctr_image_options_set_epoch(options, 5));
	OK(ctr_export(c, path, options));
	ctr_image_free(one);
	ctr_image_free(two);
	ctr_image_options_free(options);
	OK(ctr_destroy(c));
}

TEST(a_directory_with_two_files_runs_with_the_machines_own_programs)
{
	const char *const places[] = {"/bin", "/lib", "/lib64", "/usr"};
	const char *dir = scratch();
	char path[700], store[600];
	ctr_config *config = named();
	ctr_container *c;

	SH("cd %s && mkdir two && echo one >two/first && echo two >two/second && tar czf two.tar.gz -C two first second", dir);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (access(places[i], F_OK) == 0)
			OK(ctr_config_add_mount_bind(config, places[i], places[i], true));
	snprintf(store, sizeof store, "%s/store", dir);
	OK(ctr_config_set_store_dir(config, store));
	snprintf(path, sizeof path, "%s/two.tar.gz", dir);
	OK(ctr_create(path, config, &c));
	ctr_config_free(config);
	CHECK(is(output(c, "echo $(cat /first /second)", NULL), "one two"));
	CHECK(sh(c, "echo more >>/first && ! touch /usr/x").code == 0);
	SH("test $(tar xzOf %s first) = one", path);
	OK(ctr_destroy(c));
}

TEST(a_volume_outlives_its_containers)
{
	const char *dir = scratch();
	char store[600], words[128];
	ctr_config *config = named();
	ctr_image_options *options = ctr_image_options_new();
	ctr_volumes *volumes;
	ctr_container *c;
	uint64_t bytes = 0, count = 7;

	snprintf(store, sizeof store, "%s/store", dir);
	OK(ctr_config_set_store_dir(config, store));
	OK(ctr_image_options_set_store_dir(options, store));
	OK(ctr_volume_list(options, &volumes));
	CHECK(ctr_volumes_count(volumes) == 0);
	ctr_volumes_free(volumes);
	OK(ctr_volume_create("made", options, &volumes));
	CHECK(ctr_volumes_count(volumes) == 1 && is(ctr_volumes_name(volumes, 0), "made"));
	SH("echo of the host >%s/file", ctr_volumes_path(volumes, 0));
	CHECK(ctr_volumes_name(volumes, 1) == NULL && ctr_volumes_path(volumes, -1) == NULL);
	ctr_volumes_free(volumes);
	OK(ctr_config_add_volume(config, "made", "/made", true));
	OK(ctr_config_add_volume(config, "new", "/new", false));
	OK(ctr_create("host", config, &c));
	CHECK(is(output(c, "cat /made/file; echo kept >/new/file", NULL), "of the host"));
	CHECK(sh(c, "echo x >/made/x").code != 0);
	snprintf(words, sizeof words, "the container %s uses it", ctr_name(c));
	FAILS(CTR_ERR_SYSTEM, words, ctr_volume_remove("new", options));
	CHECK(errno == EBUSY && is(ctr_last_step_id(), "remove-volume"));
	OK(ctr_mount_volume(c, "live", "/live", false));
	CHECK(sh(c, "echo x >/live/x").code == 0);
	FAILS(CTR_ERR_INVALID, "a name is made of", ctr_mount_volume(c, "../x", "/x", false));
	FAILS(CTR_ERR_INVALID, "name", ctr_mount_volume(c, NULL, "/x", false));
	OK(ctr_unmount(c, "/live", false));
	OK(ctr_destroy(c));
	OK(ctr_create("host", config, &c));
	CHECK(is(output(c, "cat /new/file", NULL), "kept"));
	OK(ctr_destroy(c));
	OK(ctr_volume_size("new", options, &bytes));
	CHECK(bytes > 0);
	OK(ctr_volume_remove("new", options));
	FAILS(CTR_ERR_NOT_FOUND, "no such volume", ctr_volume_remove("new", options));
	FAILS(CTR_ERR_NOT_FOUND, "no such volume", ctr_volume_size("new", options, &bytes));
	FAILS(CTR_ERR_INVALID, "a name is made of", ctr_volume_create("a/b", options, NULL));
	FAILS(CTR_ERR_INVALID, "name", ctr_volume_create(NULL, options, NULL));
	FAILS(CTR_ERR_INVALID, "out", ctr_volume_list(options, NULL));
	OK(ctr_volume_prune(options, &count));
	CHECK(count == 2);
	ctr_image_options_free(options);
	ctr_config_free(config);
}

int main(void)
{
	RUN(an_image_is_imported_listed_named_looked_at_and_removed);
	RUN(an_import_from_a_pipe_is_the_same_and_one_that_is_stopped_leaves_nothing);
	RUN(what_is_over_a_limit_or_no_archive_is_refused_by_name);
	RUN(an_image_is_built_saved_and_runs_as_it_says);
	RUN(what_can_not_be_built_is_named_and_leaves_nothing);
	RUN(a_container_is_exported_compared_and_committed);
	RUN(the_same_input_gives_the_same_bytes_when_the_variable_says_so);
	RUN(a_directory_with_two_files_runs_with_the_machines_own_programs);
	RUN(a_volume_outlives_its_containers);
	return done();
}
