// A port of the host that leads into a container, beside loopback: how fast it carries many bytes, and one.
#ifndef FORWARD_H
#define FORWARD_H

#include <ctr.h>

void bench_forward(ctr_container *c);

#endif
