/* A container in an object of static life, as hosts in C++ have it: the exit(3) of a forked child runs its destructor too,
 * which ends nothing of the parent's. Prints what each of the two destructors was answered.
 */
#include <ctr.h>

#include <cstdio>
#include <cstdlib>
#include <sys/wait.h>
#include <unistd.h>

static void must(int answer, const char *what)
{
	if (answer == 0)
		return;
	std::printf("%s: %d %s\n", what, answer, ctr_last_error());
	std::fflush(stdout);
	_exit(1);
}

struct Owner {
	ctr_container *container = nullptr;
	ctr_process *process = nullptr;
	pid_t maker = getpid();

	~Owner()
	{
		ctr_process_free(process);
		std::printf("%s: %s\n", getpid() == maker ? "maker" : "child", ctr_error_name(ctr_destroy(container)));
		std::fflush(stdout);
	}
};

static Owner owner;

int main()
{
	const char *const sleep[] = {"/bin/sleep", "600", nullptr}, *const seven[] = {"/bin/sh", "-c", "exit 7", nullptr};
	char name[64];
	int status = -1;
	ctr_exit end;

	std::snprintf(name, sizeof name, "capi-%d-static", static_cast<int>(getpid()));
	ctr_config *config = ctr_config_new();
	must(ctr_config_set_name(config, name), "name");
	must(ctr_create("host", config, &owner.container), "create");
	ctr_config_free(config);
	must(ctr_exec(owner.container, sleep, nullptr, &owner.process), "exec");
	pid_t child = fork();
	if (child == 0)
		std::exit(0);
	must(waitpid(child, &status, 0) != child || status != 0, "the child's end");
	/* What the parent has runs on. */
	must(ctr_is_running(owner.container) != 1, "running");
	must(ctr_process_wait(owner.process, 0, nullptr) != CTR_ERR_TIMED_OUT, "the program of the parent");
	ctr_process *process = nullptr;
	must(ctr_exec(owner.container, seven, nullptr, &process), "exec after the fork");
	must(ctr_process_wait(process, 60000, &end), "wait");
	must(end.code != 7, "the exit code");
	ctr_process_free(process);
	return 0;
}
