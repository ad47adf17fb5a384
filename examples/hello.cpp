// The same header from C++: handles in unique_ptr, failures as exceptions.
//
//     c++ -std=c++17 hello.cpp $(pkg-config --cflags --libs ctr) && ./a.out
#include <ctr.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {

struct Release {
	void operator()(ctr_container *c) const { ctr_destroy(c); }
	void operator()(ctr_process *p) const { ctr_process_free(p); }
};

using Container = std::unique_ptr<ctr_container, Release>;
using Process = std::unique_ptr<ctr_process, Release>;

void check(int answer)
{
	if (answer < 0)
		throw std::runtime_error(std::string(ctr_error_name(answer)) + ": " + ctr_last_error());
}

Container create(const char *image)
{
	ctr_container *c = nullptr;
	check(ctr_create(image, nullptr, &c));
	return Container(c);
}

int run(const Container &c, std::vector<const char *> argv)
{
	ctr_process *p = nullptr;
	ctr_exit end{};
	argv.push_back(nullptr);
	check(ctr_exec(c.get(), argv.data(), nullptr, &p));
	Process owned(p);
	check(ctr_process_wait(p, -1, &end));
	return end.code;
}

} // namespace

int main(int argc, char **argv)
{
	try {
		Container c = create(argc > 1 ? argv[1] : "host");
		return run(c, {"/bin/echo", "hello from C++"});
	} catch (const std::exception &error) {
		std::cerr << "hello: " << error.what() << '\n';
		return 1;
	}
}
