/* Both sides of TLS in one thread: what one has to send is carried over to the other by hand. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "io/tls.h"

enum { ROOM = 32 * 1024 };

static char folder[] = P_tmpdir "/neap-tls-XXXXXX";
static char cert[64], key[64];
static struct neap_tls_context *server_context, *client_context;
static struct neap_tls *server, *client;
static char problem[NEAP_TLS_PROBLEM_MAX];

static int make_certificate(void **state) {
    char command[512];
    (void)state;
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(cert, sizeof cert, "%s/cert", folder);
    snprintf(key, sizeof key, "%s/key", folder);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
             " -addext subjectAltName=DNS:localhost -keyout %s -out %s >%s/log 2>&1",
             key, cert, folder);
    return system(command);
}

static int remove_certificate(void **state) {
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "%s/log", folder);
    unlink(path);
    unlink(cert);
    unlink(key);
    return rmdir(folder);
}

static struct neap_tls_context *context_of(struct neap_tls_options options) {
    struct neap_tls_context *context = NULL;
    assert_int_equal(neap_tls_context_new(&options, &context, problem), 0);
    return context;
}

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    server_context = context_of((struct neap_tls_options){.server = true, .cert = cert, .key = key});
    client_context = context_of((struct neap_tls_options){.verify = true, .ca = cert});
    return neap_tls_new(server_context, NULL, &server) != 0 || neap_tls_new(client_context, "localhost", &client) != 0;
}

static int drop(void **state) {
    neap_tls_free(server);
    neap_tls_free(client);
    neap_object_unref(neap_tls_context_object(server_context));
    neap_object_unref(neap_tls_context_object(client_context));
    return tear_down(state);
}

#define BETWEEN(function) cmocka_unit_test_setup_teardown(function, make, drop)

static void put(struct neap_inbox *inbox, const char *bytes, size_t size) {
    size_t room;
    char *at = neap_inbox_room(inbox, size, &room);
    assert_non_null(at);
    assert_true(room >= size);
    memcpy(at, bytes, size);
    neap_inbox_put(inbox, size);
}

/* Carries over at most `most` bytes of what `from` has to send. */
static bool carry(struct neap_tls *from, struct neap_tls *to, size_t most) {
    size_t held = neap_inbox_size(&from->out);
    if (held > most) held = most;
    if (held == 0) return false;
    put(&to->in, neap_inbox_peek(&from->out), held);
    neap_inbox_take(&from->out, held);
    return true;
}

/* Until neither has anything to say. */
static void shake_hands(size_t piece) {
    do {
        neap_tls_handshake(client);
        neap_tls_handshake(server);
    } while (carry(client, server, piece) | carry(server, client, piece));
}

static int read_from(struct neap_tls *tls, char *bytes, size_t *count) {
    *count = 0;
    for (;;) {
        size_t more;
        int code = neap_tls_read(tls, bytes + *count, ROOM - *count, &more);
        *count += more;
        if (code != 0) return code;
    }
}

static void bytes_go_both_ways_in_whatever_pieces(void **state) {
    static char sent[ROOM / 2], got[ROOM];
    size_t count, pieces[] = {1, 7, ROOM};
    (void)state;
    shake_hands(pieces[0]);
    assert_true(client->established && server->established);
    memset(sent, 'x', sizeof sent);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(neap_tls_write(client, sent, sizeof sent, &count), 0);
        assert_int_equal(count, sizeof sent);
        size_t total = 0;
        while (carry(client, server, pieces[i])) {
            assert_int_equal(read_from(server, got + total, &count), UV_EAGAIN);
            total += count;
        }
        assert_int_equal(total, sizeof sent);
        assert_memory_equal(got, sent, total);
    }
    assert_int_equal(neap_tls_write(server, "back", 4, &count), 0);
    carry(server, client, ROOM);
    assert_int_equal(read_from(client, got, &count), UV_EAGAIN);
    assert_int_equal(count, 4);
    assert_int_equal(neap_inbox_size(&client->in), 0);
}

static void an_end_that_is_announced_is_one_and_another_is_none(void **state) {
    char bytes[8];
    size_t count;
    (void)state;
    shake_hands(ROOM);
    neap_tls_end(client);
    neap_tls_end(client);
    carry(client, server, ROOM);
    assert_int_equal(neap_tls_read(server, bytes, sizeof bytes, &count), UV_EOF);
    assert_int_equal(neap_tls_write(server, "still", 5, &count), 0);
    assert_int_equal(neap_tls_cut_off(client), UV_ECONNRESET);
    assert_int_equal(neap_tls_read(client, bytes, sizeof bytes, &count), UV_ECONNRESET);
    assert_non_null(strstr(client->problem, "cut off"));
}

static void garbage_fails_and_stays_failed(void **state) {
    char bytes[8];
    size_t count;
    (void)state;
    put(&server->in, "GET / HTTP/1.1\r\n\r\n", 18);
    assert_int_equal(neap_tls_handshake(server), NEAP_TLS);
    assert_int_equal(neap_tls_read(server, bytes, sizeof bytes, &count), NEAP_TLS);
    assert_int_equal(neap_tls_write(server, bytes, sizeof bytes, &count), NEAP_TLS);
    assert_true(server->problem[0] != '\0');
}

static void a_name_that_the_certificate_has_not_is_not_trusted(void **state) {
    (void)state;
    neap_tls_free(client);
    assert_int_equal(neap_tls_new(client_context, "elsewhere.test", &client), 0);
    shake_hands(ROOM);
    assert_int_equal(neap_tls_handshake(client), NEAP_UNTRUSTED);
    assert_int_equal(neap_tls_handshake(server), NEAP_TLS);
    assert_false(client->established);
}

static void memory_that_is_refused_is_told_at_whatever_allocation(void **state) {
    struct neap_tls_options options = {.server = true, .cert = cert, .key = key, .alpn = "\2h2", .alpn_size = 3};
    struct neap_tls_context *context = NULL;
    struct neap_tls *tls = NULL;
    int code = NEAP_NOMEM;
    (void)state;
    for (long after = 0; code == NEAP_NOMEM; after++) {
        neap_memory_fail_after(after);
        code = neap_tls_context_new(&options, &context, problem);
        neap_memory_fail_after(-1);
    }
    assert_int_equal(code, 0);
    neap_memory_fail_after(0);
    assert_int_equal(neap_tls_new(context, NULL, &tls), NEAP_NOMEM);
    neap_memory_fail_after(-1);
    neap_object_unref(neap_tls_context_object(context));
    neap_memory_fail_after(0);
    assert_true(neap_tls_handshake(client) != 0); /* there is no room for what it says */
    neap_memory_fail_after(-1);
}

static void files_that_are_of_no_use_are_named(void **state) {
    struct neap_tls_options options = {.server = true, .cert = key, .key = key};
    struct neap_tls_context *context;
    (void)state;
    assert_int_equal(neap_tls_context_new(&options, &context, problem), NEAP_UNTRUSTED);
    assert_non_null(strstr(problem, key));
    options.cert = "no-such-file";
    assert_int_equal(neap_tls_context_new(&options, &context, problem), NEAP_UNTRUSTED);
    assert_string_equal(problem, "cannot use the certificate no-such-file: no such file or directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        BETWEEN(bytes_go_both_ways_in_whatever_pieces),
        BETWEEN(an_end_that_is_announced_is_one_and_another_is_none),
        BETWEEN(garbage_fails_and_stays_failed),
        BETWEEN(a_name_that_the_certificate_has_not_is_not_trusted),
        BETWEEN(memory_that_is_refused_is_told_at_whatever_allocation),
        BETWEEN(files_that_are_of_no_use_are_named),
    };
    void *none = NULL;
    if (make_certificate(&none) != 0) return 1;
    int failures = run_once(tests);
    return remove_certificate(&none) != 0 ? 1 : failures;
}
