/* The HTTP client's engine half, against a server of a few lines in a thread. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/transfer.h"
#include "support.h"

enum { BIG = 4 * 1024 * 1024 };

/* Answers each connection once: the head, then `fill` bytes of body; with `holds` it keeps the connection
 * open until the other side closes. */
static struct server {
    int listener;
    int port;
    const char *head;
    size_t fill;
    bool holds;
    atomic_bool ends; /* with the next connection */
    struct helper helper;
} server;

static void send_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t count = send(fd, bytes, size, MSG_NOSIGNAL);
        if (count <= 0) return;
        bytes += count;
        size -= (size_t)count;
    }
}

static void serve(void *argument) {
    static char block[64 * 1024];
    char request[4096];
    (void)argument;
    memset(block, 'x', sizeof block);
    for (;;) {
        int fd = accept(server.listener, NULL, NULL);
        ssize_t got = recv(fd, request, sizeof request, 0);
        if (got > 0) {
            send_all(fd, server.head, strlen(server.head));
            for (size_t left = server.fill; left > 0;) {
                size_t size = left < sizeof block ? left : sizeof block;
                send_all(fd, block, size);
                left -= size;
            }
            while (server.holds && recv(fd, request, sizeof request, 0) > 0) {}
        }
        close(fd);
        if (atomic_load(&server.ends)) return;
    }
}

static int listen_somewhere(int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void start_server(const char *head, size_t fill, bool holds) {
    server.head = head;
    server.fill = fill;
    server.holds = holds;
    atomic_store(&server.ends, false);
    server.listener = listen_somewhere(&server.port);
    helper_start(&server.helper, serve, NULL);
}

static void stop_server(void) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)server.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    atomic_store(&server.ends, true);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
    helper_join(&server.helper);
    close(server.listener);
}

/* --- the client --- */

static const char *const no_headers[] = {NULL};

static struct neap_transfer_plan plan_for(int port, bool streams) {
    static char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
    return (struct neap_transfer_plan){.url = url,
                                       .method = "GET",
                                       .headers = no_headers,
                                       .body_size = -1,
                                       .streams = streams,
                                       .body_limit = UINT64_MAX,
                                       .proxy = ""};
}

static struct neap_agent *new_agent(void) {
    struct neap_agent *agent = NULL;
    assert_int_equal(neap_agent_new(&here, &agent), 0);
    return agent;
}

static struct neap_transfer *begin(struct neap_agent *agent, int port, bool streams) {
    struct neap_transfer *transfer = NULL;
    struct neap_transfer_plan plan = plan_for(port, streams);
    assert_int_equal(neap_transfer_new(agent, &plan, &transfer), 0);
    return transfer;
}

/* Handles of libuv go in a later turn. */
static bool has_no_handles(void *loop) { return !uv_loop_alive(((struct neap_loop *)loop)->uv); }

static void end(struct neap_agent *agent, struct neap_transfer *transfer) {
    neap_object_unref(&transfer->object);
    neap_object_unref(&agent->object);
    neap_loop_run(&here, has_no_handles, &here);
}

static void an_answer_is_kept_until_it_is_all_there(void **state) {
    struct actor actor;
    (void)state;
    start_server("HTTP/1.1 201 Made\r\nContent-Length: 100000\r\n\r\n", 100000, false);
    struct neap_agent *agent = new_agent();
    struct neap_transfer *transfer = begin(agent, server.port, false);
    actor_init(&actor, &here);
    assert_int_equal(act(&actor, transfer, NEAP_TRANSFER_NEWS, NEAP_FOREVER), 0);
    assert_int_equal(neap_transfer_news(transfer), NEAP_TRANSFER_ENDED);
    assert_int_equal(transfer->code, 0);
    assert_int_equal(neap_transfer_status(transfer), 201);
    assert_int_equal(neap_inbox_size(&transfer->body), 100000);
    end(agent, transfer);
    actor_end(&actor);
    stop_server();
}

static void what_streams_stops_where_nobody_takes_it(void **state) {
    struct actor actor;
    size_t taken = 0, most = 0;
    (void)state;
    start_server("HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n", BIG, false);
    struct neap_agent *agent = new_agent();
    struct neap_transfer *transfer = begin(agent, server.port, true);
    actor_init(&actor, &here);
    for (;;) {
        assert_int_equal(act(&actor, transfer, NEAP_TRANSFER_NEWS, NEAP_FOREVER), 0);
        if (neap_transfer_news(transfer) != NEAP_TRANSFER_SOME) break;
        start_links(&actor, 0, soon(1000)); /* meanwhile more comes */
        assert_int_equal(finish(&actor), NEAP_TIMEOUT);
        size_t size = neap_inbox_size(&transfer->body);
        if (size > most) most = size;
        taken += size;
        neap_transfer_take(transfer);
    }
    assert_int_equal(transfer->code, 0);
    assert_int_equal(taken, BIG);
    assert_in_range(most, 1, 512 * 1024);
    end(agent, transfer);
    actor_end(&actor);
    stop_server();
}

static void closing_answers_who_waits_and_lets_go_of_the_connection(void **state) {
    struct actor actor;
    (void)state;
    start_server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 50, true);
    struct neap_agent *agent = new_agent();
    struct neap_transfer *transfer = begin(agent, server.port, false);
    actor_init(&actor, &here);
    start(&actor, transfer, NEAP_TRANSFER_NEWS, NEAP_FOREVER);
    while (transfer->received < 50) {
        struct actor sleeper;
        actor_init(&sleeper, &here);
        start_links(&sleeper, 0, soon(500));
        finish(&sleeper);
        actor_end(&sleeper);
    }
    neap_transfer_close(transfer);
    neap_transfer_close(transfer);
    assert_int_equal(finish(&actor), 0);
    assert_int_equal(transfer->code, NEAP_CLOSED);
    end(agent, transfer);
    actor_end(&actor);
    stop_server(); /* which waits until the other side has closed */
}

static void nobody_listens(void **state) {
    struct actor actor;
    int port;
    (void)state;
    close(listen_somewhere(&port));
    struct neap_agent *agent = new_agent();
    struct neap_transfer *transfer = begin(agent, port, false);
    actor_init(&actor, &here);
    assert_int_equal(act(&actor, transfer, NEAP_TRANSFER_NEWS, NEAP_FOREVER), 0);
    assert_int_equal(transfer->code, UV_ECONNREFUSED);
    assert_true(transfer->problem[0] != '\0');
    end(agent, transfer);
    actor_end(&actor);
}

/* Every allocation of ours, one after the other: the transfer does not begin, or fails, and nothing is lost. */
static void out_of_memory_is_an_answer(void **state) {
    struct actor actor;
    (void)state;
    start_server("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 100000, false);
    struct neap_agent *agent = new_agent();
    actor_init(&actor, &here);
    bool whole = false;
    for (long n = 0; !whole; n++) {
        struct neap_transfer *transfer = NULL;
        struct neap_transfer_plan plan = plan_for(server.port, false);
        neap_memory_fail_after(n);
        int code = neap_transfer_new(agent, &plan, &transfer);
        if (code == 0) code = act(&actor, transfer, NEAP_TRANSFER_NEWS, NEAP_FOREVER);
        neap_memory_fail_after(-1);
        if (code == 0) code = transfer->code;
        assert_true(code == 0 || code == NEAP_NOMEM);
        whole = code == 0;
        if (transfer != NULL) neap_object_unref(&transfer->object);
    }
    neap_object_unref(&agent->object);
    neap_loop_run(&here, has_no_handles, &here);
    actor_end(&actor);
    stop_server();
}

int main(void) {
    const struct CMUnitTest transfer_tests[] = {
        TEST(an_answer_is_kept_until_it_is_all_there),
        TEST(what_streams_stops_where_nobody_takes_it),
        TEST(closing_answers_who_waits_and_lets_go_of_the_connection),
        TEST(nobody_listens),
        TEST(out_of_memory_is_an_answer),
    };
    return run_once(transfer_tests);
}
