// See forward.h.
#define _GNU_SOURCE
#include "forward.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

#include "bench.h"
#include "ours.h"

#define BYTES (256u << 20)
#define CHUNK (128u << 10)
#define TURNS 200

static int listening(void) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(s);
    CHECK(bind(s, (struct sockaddr *)&at, sizeof at));
    CHECK(listen(s, 16));
    return s;
}

static int port_of(int s) {
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    CHECK(getsockname(s, (struct sockaddr *)&at, &len));
    return ntohs(at.sin_port);
}

static int connected(int port) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(s);
    CHECK(connect(s, (struct sockaddr *)&at, sizeof at));
    CHECK(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    return s;
}

static int accepted(int listener) {
    int s = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
    CHECK(s);
    CHECK(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    return s;
}

// Takes all that comes, and says so with a byte.
static void *drain(void *socket) {
    static char into[CHUNK];
    int s = *(int *)socket;
    while (read(s, into, sizeof into) > 0) {}
    CHECK(write(s, "x", 1));
    return NULL;
}

static void *echo(void *socket) {
    char byte;
    int s = *(int *)socket;
    while (read(s, &byte, 1) == 1) CHECK(write(s, &byte, 1));
    return NULL;
}

static void carry(int listener, int port, const char *all, const char *turn) {
    static char from[CHUNK];
    pthread_t thread;
    char byte;
    int client = connected(port), server = accepted(listener);
    if (pthread_create(&thread, NULL, drain, &server)) die("pthread_create");
    double start = now_us();
    for (unsigned sent = 0; sent < BYTES;) {
        ssize_t count = write(client, from, sizeof from);
        CHECK((int)count);
        sent += (unsigned)count;
    }
    CHECK(shutdown(client, SHUT_WR));
    CHECK((int)read(client, &byte, 1));
    record(all, now_us() - start);
    pthread_join(thread, NULL);
    close(client);
    close(server);
    client = connected(port), server = accepted(listener);
    if (pthread_create(&thread, NULL, echo, &server)) die("pthread_create");
    for (int i = 0; i < TURNS; i++) {
        start = now_us();
        CHECK((int)write(client, "x", 1));
        CHECK((int)read(client, &byte, 1));
        record(turn, now_us() - start);
    }
    close(client);
    pthread_join(thread, NULL);
    close(server);
}

void bench_forward(ctr_container *c) {
    int outside = listening(), inside = ctr_listen(c, SOCK_STREAM, "127.0.0.1", 0);
    OURS(inside < 0 ? inside : 0);
    int port = ctr_publish(c, "127.0.0.1", 0, "127.0.0.1", (uint16_t)port_of(inside));
    OURS(port < 0 ? port : 0);
    for (int i = 0; i < 200; i++) {
        double start = now_us();
        int client = ctr_connect(c, SOCK_STREAM, "127.0.0.1", (uint16_t)port_of(inside), 1000);
        double end = now_us();
        OURS(client < 0 ? client : 0);
        record("connected", end - start);
        close(accepted(inside));
        close(client);
        start = now_us();
        client = connected(port_of(outside));
        record("connected outside", now_us() - start);
        close(accepted(outside));
        close(client);
    }
    for (int i = 0; i < 8; i++) {
        carry(inside, port, "forwarded", "forwarded turn");
        carry(outside, port_of(outside), "loopback", "loopback turn");
    }
    close(outside);
    close(inside);
    print_row("connect", "connected", "connected outside");
    print_row("forward", "forwarded", "loopback");
    print_row("forward_turn", "forwarded turn", "loopback turn");
}
