/* Wrong handles and arguments of the functions about images and of the report: NULL, rubbish, released, another kind's. */
#define _GNU_SOURCE
#include "check.h"

static const uintptr_t RUBBISH[] = {0, 1, 0x1000, 0x7fffdeadbeef, UINTPTR_MAX};

static void every_options_function_refuses(ctr_image_options *bad)
{
	ctr_image_config *config = ctr_image_config_new();
	ctr_image *image = (ctr_image *)&image;
	ctr_images *images = (ctr_images *)&images;
	ctr_volumes *volumes = (ctr_volumes *)&volumes;
	uint64_t number = 7, bytes = 7;

	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_store_dir(bad, "/tmp"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_name(bad, "x"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_reference(bad, "x"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_platform(bad, "x"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_strip(bad, 1));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_limit(bad, CTR_LIMIT_BYTES, 1));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_compression(bad, CTR_COMPRESSION_GZIP));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_format(bad, CTR_SAVE_OCI));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_epoch(bad, 0));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_config(bad, config));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_keep_owners(bad, true));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_add_file(bad, "/etc/passwd", "/x"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_progress(bad, NULL, NULL));
	ctr_image_options_free(bad);
	if (bad) { /* NULL means the defaults here */
		FAILS(CTR_ERR_INVALID, "options", ctr_image_list(bad, &images));
		CHECK(images == NULL);
		FAILS(CTR_ERR_INVALID, "options", ctr_image_inspect("x", bad, &image));
		CHECK(image == NULL);
		FAILS(CTR_ERR_INVALID, "options", ctr_image_import("x", bad, NULL));
		image = (ctr_image *)&image;
		FAILS(CTR_ERR_INVALID, "options", ctr_image_import_fd(0, bad, &image));
		CHECK(image == NULL);
		image = (ctr_image *)&image;
		FAILS(CTR_ERR_INVALID, "options", ctr_image_build("x", bad, &image));
		CHECK(image == NULL);
		FAILS(CTR_ERR_INVALID, "options", ctr_image_prune(bad, &number, &bytes));
		CHECK(number == 0 && bytes == 0);
		bytes = 7;
		FAILS(CTR_ERR_INVALID, "options", ctr_image_disk_use(bad, &bytes));
		CHECK(bytes == 0);
		FAILS(CTR_ERR_INVALID, "options", ctr_image_tag("x", "y", bad));
		FAILS(CTR_ERR_INVALID, "options", ctr_image_save("x", "/tmp/x", bad));
		FAILS(CTR_ERR_INVALID, "options", ctr_image_save_fd("x", 1, bad));
		FAILS(CTR_ERR_INVALID, "options", ctr_image_remove("x", bad));
		FAILS(CTR_ERR_INVALID, "options", ctr_volume_list(bad, &volumes));
		CHECK(volumes == NULL);
		volumes = (ctr_volumes *)&volumes;
		FAILS(CTR_ERR_INVALID, "options", ctr_volume_create("x", bad, &volumes));
		CHECK(volumes == NULL);
		bytes = 7;
		FAILS(CTR_ERR_INVALID, "options", ctr_volume_size("x", bad, &bytes));
		CHECK(bytes == 0);
		FAILS(CTR_ERR_INVALID, "options", ctr_volume_remove("x", bad));
		number = 7;
		FAILS(CTR_ERR_INVALID, "options", ctr_volume_prune(bad, &number));
		CHECK(number == 0);
	}
	ctr_image_config_free(config);
}

static void every_image_function_refuses(ctr_image *bad)
{
	char *text = (char *)&text;
	uint64_t bytes = 7;

	ANSWERS(CTR_ERR_INVALID, ctr_image_count(bad, CTR_IMAGE_NAME));
	CHECK(ctr_image_text(bad, CTR_IMAGE_DIGEST, 0) == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_image_size(bad, &bytes));
	CHECK(bytes == 0);
	CHECK(ctr_image_created(bad) == CTR_ERR_INVALID);
	ANSWERS(CTR_ERR_INVALID, ctr_image_json(bad, &text));
	CHECK(text == NULL);
	CHECK(ctr_image_config_of(bad) == NULL);
	ctr_image_free(bad);
}

static void every_images_function_refuses(ctr_images *bad)
{
	ctr_image *image = (ctr_image *)&image;

	ANSWERS(CTR_ERR_INVALID, ctr_images_count(bad));
	ANSWERS(CTR_ERR_INVALID, ctr_images_get(bad, 0, &image));
	CHECK(image == NULL);
	ctr_images_free(bad);
}

static void every_volumes_function_refuses(ctr_volumes *bad)
{
	ANSWERS(CTR_ERR_INVALID, ctr_volumes_count(bad));
	CHECK(ctr_volumes_name(bad, 0) == NULL);
	CHECK(ctr_volumes_path(bad, 0) == NULL);
	ctr_volumes_free(bad);
}

static void every_image_config_function_refuses(ctr_image_config *bad)
{
	const char *argv[] = {"x", NULL};
	ctr_image_options *options = ctr_image_options_new();
	char *text = (char *)&text;

	ANSWERS(CTR_ERR_INVALID, ctr_image_config_add_env(bad, "A", "1"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_config_set_entrypoint(bad, argv));
	ANSWERS(CTR_ERR_INVALID, ctr_image_config_set_cmd(bad, argv));
	ANSWERS(CTR_ERR_INVALID, ctr_image_config_set_working_dir(bad, "/"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_config_set_user(bad, "0"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_config_set_stop_signal(bad, "TERM"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_config_add_volume(bad, "/x"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_config_add_label(bad, "a", "b"));
	ANSWERS(CTR_ERR_INVALID, ctr_image_config_json(bad, &text));
	CHECK(text == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_image_options_set_config(options, bad));
	ctr_image_config_free(bad);
	ctr_image_options_free(options);
}

static void every_function_of_a_running_container_refuses(ctr_container *bad)
{
	const char *argv[] = {"true", NULL};
	ctr_differences *differences = (ctr_differences *)&differences;
	ctr_process *p = (ctr_process *)&p;
	ctr_image *image = (ctr_image *)&image;

	ANSWERS(CTR_ERR_INVALID, ctr_export(bad, "/tmp/x.tar", NULL));
	ANSWERS(CTR_ERR_INVALID, ctr_export_fd(bad, 1, NULL));
	ANSWERS(CTR_ERR_INVALID, ctr_diff(bad, &differences));
	CHECK(differences == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_commit(bad, NULL, &image));
	ANSWERS(CTR_ERR_INVALID, ctr_snapshot(bad, NULL, &image));
	CHECK(image == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_exec_image(bad, argv, NULL, &p));
	CHECK(p == NULL);
	CHECK(ctr_container_image(bad) == NULL);
	CHECK(ctr_image_config_of_container(bad) == NULL);
}

static void every_differences_function_refuses(ctr_differences *bad)
{
	ANSWERS(CTR_ERR_INVALID, ctr_differences_count(bad));
	CHECK(ctr_differences_path(bad, 0) == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_differences_change(bad, 0));
	ctr_differences_free(bad);
}

static void every_report_function_refuses(ctr_report *bad)
{
	ANSWERS(CTR_ERR_INVALID, ctr_report_count(bad));
	CHECK(ctr_report_name(bad, 0) == NULL);
	ANSWERS(CTR_ERR_INVALID, ctr_report_ok(bad, 0));
	CHECK(ctr_report_says(bad, 0) == NULL);
	CHECK(ctr_report_hint(bad, 0) == NULL);
	ctr_report_free(bad);
}

TEST(null_and_rubbish_handles_are_answered)
{
	for (size_t i = 0; i < sizeof RUBBISH / sizeof *RUBBISH; i++) {
		void *bad = (void *)RUBBISH[i];
		ctr_exit end = {.code = 7};

		every_options_function_refuses(bad);
		every_image_function_refuses(bad);
		every_images_function_refuses(bad);
		every_volumes_function_refuses(bad);
		every_image_config_function_refuses(bad);
		every_function_of_a_running_container_refuses(bad);
		every_differences_function_refuses(bad);
		every_report_function_refuses(bad);
		ANSWERS(CTR_ERR_INVALID, ctr_process_stop(bad, 0, &end));
		CHECK(end.code == 0);
	}
}

TEST(released_handles_and_those_of_another_kind_are_answered)
{
	ctr_image_options *options = ctr_image_options_new();
	ctr_image_config *config = ctr_image_config_new();
	ctr_report *report;
	ctr_images *images;

	every_image_config_function_refuses((ctr_image_config *)options);
	every_options_function_refuses((ctr_image_options *)config);
	OK(ctr_image_options_set_store_dir(options, scratch()));
	OK(ctr_image_list(options, &images));
	ctr_images_free(images);
	every_images_function_refuses(images);
	every_volumes_function_refuses((ctr_volumes *)images);
	ctr_image_options_free(options);
	every_options_function_refuses(options);
	ctr_image_config_free(config);
	every_image_config_function_refuses(config);
	OK(ctr_probe(&report));
	ctr_report_free(report);
	every_report_function_refuses(report);
}

TEST(null_arguments_are_answered)
{
	ctr_image_options *options = ctr_image_options_new();
	ctr_image_config *config = ctr_image_config_new();
	ctr_container *c = new_container();
	ctr_images *images;
	ctr_image *image;

	OK(ctr_image_options_set_store_dir(options, scratch()));
	FAILS(CTR_ERR_INVALID, "path", ctr_image_import(NULL, options, &image));
	CHECK(image == NULL);
	FAILS(CTR_ERR_INVALID, "out", ctr_image_list(options, NULL));
	FAILS(CTR_ERR_INVALID, "name", ctr_image_inspect(NULL, options, &image));
	FAILS(CTR_ERR_INVALID, "out", ctr_image_inspect("x", options, NULL));
	FAILS(CTR_ERR_INVALID, "image", ctr_image_tag(NULL, "x", options));
	FAILS(CTR_ERR_INVALID, "name", ctr_image_tag("x", NULL, options));
	FAILS(CTR_ERR_INVALID, "name", ctr_image_remove(NULL, options));
	FAILS(CTR_ERR_INVALID, "bytes", ctr_image_disk_use(options, NULL));
	FAILS(CTR_ERR_INVALID, "name", ctr_image_save(NULL, "/tmp/x", options));
	FAILS(CTR_ERR_INVALID, "path", ctr_image_save("x", NULL, options));
	FAILS(CTR_ERR_INVALID, "name", ctr_image_save_fd(NULL, 1, options));
	FAILS(CTR_ERR_INVALID, "path", ctr_image_options_set_store_dir(options, NULL));
	FAILS(CTR_ERR_INVALID, "name", ctr_image_options_set_name(options, NULL));
	FAILS(CTR_ERR_INVALID, "reference", ctr_image_options_set_reference(options, NULL));
	FAILS(CTR_ERR_INVALID, "platform", ctr_image_options_set_platform(options, NULL));
	FAILS(CTR_ERR_INVALID, "from", ctr_image_options_add_file(options, NULL, "/x"));
	FAILS(CTR_ERR_INVALID, "to", ctr_image_options_add_file(options, "/etc/passwd", NULL));
	FAILS(CTR_ERR_INVALID, "name", ctr_image_config_add_env(config, NULL, "1"));
	FAILS(CTR_ERR_INVALID, "value", ctr_image_config_add_env(config, "A", NULL));
	FAILS(CTR_ERR_INVALID, "argv", ctr_image_config_set_entrypoint(config, NULL));
	FAILS(CTR_ERR_INVALID, "argv", ctr_image_config_set_cmd(config, NULL));
	FAILS(CTR_ERR_INVALID, "path", ctr_image_config_set_working_dir(config, NULL));
	FAILS(CTR_ERR_INVALID, "user", ctr_image_config_set_user(config, NULL));
	FAILS(CTR_ERR_INVALID, "signal", ctr_image_config_set_stop_signal(config, NULL));
	FAILS(CTR_ERR_INVALID, "path", ctr_image_config_add_volume(config, NULL));
	FAILS(CTR_ERR_INVALID, "key", ctr_image_config_add_label(config, NULL, "b"));
	FAILS(CTR_ERR_INVALID, "json", ctr_image_config_json(config, NULL));
	FAILS(CTR_ERR_INVALID, "limit", ctr_image_options_set_limit(options, 99, 1));
	FAILS(CTR_ERR_INVALID, "compression", ctr_image_options_set_compression(options, 99));
	FAILS(CTR_ERR_INVALID, "format", ctr_image_options_set_format(options, 99));
	FAILS(CTR_ERR_INVALID, "path", ctr_export(c, NULL, NULL));
	FAILS(CTR_ERR_INVALID, "out", ctr_diff(c, NULL));
	FAILS(CTR_ERR_INVALID, "out", ctr_exec_image(c, NULL, NULL, NULL));
	FAILS(CTR_ERR_INVALID, "out", ctr_probe(NULL));
	OK(ctr_image_list(options, &images));
	ANSWERS(0, ctr_images_count(images));
	FAILS(CTR_ERR_INVALID, "out", ctr_images_get(images, 0, NULL));
	FAILS(CTR_ERR_INVALID, "index", ctr_images_get(images, 0, &image));
	FAILS(CTR_ERR_INVALID, "index", ctr_images_get(images, -1, &image));
	ctr_images_free(images);
	ctr_image_config_free(config);
	ctr_image_options_free(options);
	OK(ctr_destroy(c));
}

TEST(an_error_tells_its_story_in_parts_too)
{
	ctr_container *c;

	FAILS(CTR_ERR_NOT_FOUND, "no container of this name runs", ctr_join("capi-no-such", &c));
	CHECK(strcmp(ctr_last_step_id(), "find-container") == 0);
	CHECK(strcmp(ctr_last_object(), "capi-no-such") == 0);
	CHECK(strstr(ctr_last_hint(), "ctr_list()"));
	CHECK(strstr(ctr_last_error(), ctr_last_step()) && strstr(ctr_last_error(), ctr_last_hint()));
	ANSWERS(CTR_ERR_NOT_FOUND, ctr_image_import("/no/such/file.tar", NULL, NULL));
	CHECK(ctr_last_errno() == ENOENT && strcmp(ctr_last_object(), "/no/such/file.tar") == 0);
	CHECK(strcmp(ctr_last_step_id(), "find-archive") == 0);
}

int main(void)
{
	RUN(null_and_rubbish_handles_are_answered);
	RUN(released_handles_and_those_of_another_kind_are_answered);
	RUN(null_arguments_are_answered);
	RUN(an_error_tells_its_story_in_parts_too);
	return done();
}
