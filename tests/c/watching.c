/* What include/ctr.h promises of watchers: events by a descriptor, none lost, none invented. */
#define _GNU_SOURCE
#include "check.h"
#include <poll.h>
#include <time.h>

#define VALUES (CTR_EVENT_VALUE_PRESSURE + 1)

/* What takes 96 MiB at once, twice of what the container has. */
#define HOG "dd if=/dev/zero of=/dev/null bs=96M count=1 2>/dev/null"

static ctr_container *with_48_mib(void)
{
	ctr_config *config = named();
	ctr_container *c;
	int answer;

	OK(ctr_config_set_memory(config, 48 * MIB));
	answer = ctr_create("host", config, &c);
	ctr_config_free(config);
	if (answer == CTR_ERR_UNSUPPORTED)
		skip(ctr_last_error());
	OK(answer);
	return c;
}

static ctr_process *start(ctr_container *c, const char *script)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	ctr_process *p;

	OK(ctr_exec(c, argv, NULL, &p));
	return p;
}

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	CHECK(clock_gettime(clock, &time) == 0);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

TEST(a_loop_is_told_of_kills_for_memory_and_of_ends)
{
	ctr_container *c = with_48_mib();
	uint64_t began = now(CLOCK_MONOTONIC), wall = now(CLOCK_REALTIME), event[VALUES + 2], kills = 0;
	struct pollfd polled = {.events = POLLIN};
	ctr_watcher *w;
	ctr_process *p;
	int kind = 0, pid;

	OK(ctr_watch(c, 0, &w));
	CHECK((ctr_watch_kinds(w) & (CTR_EVENT_OOM_KILL | CTR_EVENT_EXIT | CTR_EVENT_END)) ==
	      (CTR_EVENT_OOM_KILL | CTR_EVENT_EXIT | CTR_EVENT_END));
	polled.fd = ctr_watch_fd(w);
	CHECK(polled.fd > 2);
	FAILS(CTR_ERR_TIMED_OUT, "nothing has happened", ctr_watch_next(w, 0, event, VALUES));
	CHECK(event[CTR_EVENT_VALUE_TIME] == CTR_NOT_COUNTED);
	p = start(c, HOG "; " HOG "; exit 3");
	pid = ctr_process_pid(p);
	ctr_process_free(p);
	while (kind != CTR_EVENT_EXIT) {
		CHECK(poll(&polled, 1, 30000) == 1);
		while ((kind = ctr_watch_next(w, 0, event, VALUES + 2)) > 0) {
			CHECK(event[CTR_EVENT_VALUE_MONOTONIC] >= began && event[CTR_EVENT_VALUE_MONOTONIC] <= now(CLOCK_MONOTONIC));
			CHECK(event[CTR_EVENT_VALUE_TIME] >= wall && event[CTR_EVENT_VALUE_TIME] <= now(CLOCK_REALTIME));
			CHECK(event[VALUES] == CTR_NOT_COUNTED && event[VALUES + 1] == CTR_NOT_COUNTED);
			if (kind == CTR_EVENT_OOM_KILL)
				kills += event[CTR_EVENT_VALUE_COUNT];
			CHECK(kind == CTR_EVENT_EXIT || event[CTR_EVENT_VALUE_PID] == CTR_NOT_COUNTED);
			if (kind == CTR_EVENT_EXIT)
				break;
		}
		CHECK(kind > 0 || kind == CTR_ERR_TIMED_OUT);
	}
	CHECK(kills == 2);
	CHECK(event[CTR_EVENT_VALUE_PID] == (uint64_t)pid && event[CTR_EVENT_VALUE_CODE] == 3);
	CHECK(event[CTR_EVENT_VALUE_SIGNAL] == 0 && event[CTR_EVENT_VALUE_REASON] == CTR_REASON_EXITED);
	CHECK(event[CTR_EVENT_VALUE_PRESSURE] == CTR_NOT_COUNTED && event[CTR_EVENT_VALUE_COUNT] == 1);
	ctr_watch_free(w);
	FAILS(CTR_ERR_INVALID, "watcher", ctr_watch_next(w, 0, event, VALUES));
	OK(ctr_destroy(c));
}

TEST(a_watcher_outlives_its_container_and_tells_what_nobody_has_read)
{
	ctr_container *c = with_48_mib(), *other = new_container();
	ctr_process *early = start(c, "exit 5"), *p, *foreign = start(other, "exit 0");
	uint64_t event[VALUES];
	int kind, exits = 0, kills = 0;
	ctr_watcher *w, *both;

	OK(ctr_watch(c, CTR_EVENT_EXIT | CTR_EVENT_OOM_KILL, &w));
	ANSWERS(CTR_EVENT_EXIT | CTR_EVENT_OOM_KILL | CTR_EVENT_END, ctr_watch_kinds(w));
	OK(ctr_watch(c, CTR_EVENT_END, &both));
	OK(ctr_watch_process(w, early));
	OK(ctr_watch_process(w, early));
	FAILS(CTR_ERR_INVALID, "another container", ctr_watch_process(w, foreign));
	ANSWERS(CTR_EVENT_EXIT, ctr_watch_next(w, 30000, event, VALUES));
	CHECK(event[CTR_EVENT_VALUE_CODE] == 5 && event[CTR_EVENT_VALUE_PID] == (uint64_t)ctr_process_pid(early));
	p = start(c, "exec " HOG);
	OK(ctr_process_wait(p, 30000, NULL));
	ctr_process_free(p);
	ctr_process_free(start(c, "exec sleep 1000"));
	OK(ctr_destroy(c));
	while ((kind = ctr_watch_next(w, 30000, event, VALUES)) != CTR_EVENT_END) {
		CHECK(kind == CTR_EVENT_EXIT || kind == CTR_EVENT_OOM_KILL);
		exits += kind == CTR_EVENT_EXIT;
		kills += kind == CTR_EVENT_OOM_KILL ? (int)event[CTR_EVENT_VALUE_COUNT] : 0;
		CHECK(kind != CTR_EVENT_EXIT || event[CTR_EVENT_VALUE_SIGNAL] == SIGKILL);
		CHECK(kind != CTR_EVENT_EXIT || event[CTR_EVENT_VALUE_REASON] ==
						      (exits == 1 ? CTR_REASON_OUT_OF_MEMORY : CTR_REASON_DESTROYED));
	}
	CHECK(exits == 2 && kills == 1);
	ANSWERS(CTR_ERR_DESTROYED, ctr_watch_next(w, -1, event, VALUES));
	ANSWERS(CTR_EVENT_END, ctr_watch_next(both, -1, NULL, 0));
	ctr_watch_free(both);
	ctr_watch_free(w);
	ctr_watch_free(NULL);
	ctr_process_free(early);
	ctr_process_free(foreign);
	OK(ctr_destroy(other));
}

TEST(what_can_not_be_watched_is_refused_by_name)
{
	ctr_config *config = named();
	ctr_watcher *w = (ctr_watcher *)&w;
	uint64_t event[VALUES];
	ctr_container *c;

	OK(ctr_config_set_cgroup(config, CTR_CGROUP_OFF));
	OK(ctr_create("host", config, &c));
	ctr_config_free(config);
	FAILS(CTR_ERR_UNSUPPORTED, "without a cgroup", ctr_watch(c, CTR_EVENT_OOM_KILL, &w));
	CHECK(!w && !strcmp(ctr_last_step_id(), "watch-container"));
	FAILS(CTR_ERR_INVALID, "kinds", ctr_watch(c, 1 << 20, &w));
	FAILS(CTR_ERR_INVALID, "out", ctr_watch(c, 0, NULL));
	OK(ctr_watch(c, 0, &w));
	ANSWERS(CTR_EVENT_EXIT | CTR_EVENT_END, ctr_watch_kinds(w));
	FAILS(CTR_ERR_UNSUPPORTED, "watch the pressure of", ctr_watch_pressure(w, CTR_PRESSURE_MEMORY, 0, 100, 2000));
	FAILS(CTR_ERR_INVALID, "what", ctr_watch_pressure(w, 3, 0, 100, 2000));
	FAILS(CTR_ERR_INVALID, "stall_ms", ctr_watch_pressure(w, CTR_PRESSURE_CPU, 1, -1, 2000));
	FAILS(CTR_ERR_INVALID, "negative", ctr_watch_next(w, 0, event, -1));
	FAILS(CTR_ERR_INVALID, "NULL", ctr_watch_next(w, 0, NULL, 2));
	FAILS(CTR_ERR_INVALID, "process", ctr_watch_process(w, NULL));
	ctr_watch_free(w);
	OK(ctr_destroy(c));
	FAILS(CTR_ERR_INVALID, "container", ctr_watch(c, 0, &w));
}

TEST(pressure_is_told_where_the_kernel_counts_it_and_refused_elsewhere)
{
	ctr_container *c = with_48_mib();
	uint64_t event[VALUES];
	ctr_process *p;
	ctr_watcher *w;
	char why[512];
	int number;

	OK(ctr_watch(c, 0, &w));
	number = ctr_watch_pressure(w, CTR_PRESSURE_CPU, 0, 100, 2000);
	if (number == CTR_ERR_UNSUPPORTED) {
		CHECK(!(ctr_watch_kinds(w) & CTR_EVENT_PRESSURE));
		ctr_watch_free(w);
		FAILS(CTR_ERR_UNSUPPORTED, "pressure", ctr_watch(c, CTR_EVENT_PRESSURE, &w));
		snprintf(why, sizeof why, "%s", ctr_last_error());
		OK(ctr_destroy(c));
		skip(why);
	}
	ANSWERS(0, number);
	FAILS(CTR_ERR_INVALID, "window", ctr_watch_pressure(w, CTR_PRESSURE_CPU, 0, 100, 200));
	p = start(c, "i=0; while [ $i -lt 9 ]; do while :; do :; done & i=$((i+1)); done; wait");
	ANSWERS(CTR_EVENT_PRESSURE, ctr_watch_next(w, 30000, event, VALUES));
	CHECK(event[CTR_EVENT_VALUE_PRESSURE] == 0);
	ctr_watch_free(w);
	ctr_process_free(p);
	OK(ctr_destroy(c));
}

int main(void)
{
	RUN(a_loop_is_told_of_kills_for_memory_and_of_ends);
	RUN(a_watcher_outlives_its_container_and_tells_what_nobody_has_read);
	RUN(what_can_not_be_watched_is_refused_by_name);
	RUN(pressure_is_told_where_the_kernel_counts_it_and_refused_elsewhere);
	return done();
}
