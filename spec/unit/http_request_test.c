#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "io/http_request.h"

enum { HEAD_MAX = 200, BODY_MAX = 20 };

static struct neap_http_request request;
static struct neap_inbox inbox, body;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    neap_http_request_init(&request, HEAD_MAX, BODY_MAX);
    return 0;
}

static int drop(void **state) {
    neap_http_request_fini(&request);
    neap_inbox_fini(&inbox);
    neap_inbox_fini(&body);
    return tear_down(state);
}

#define PARSING(function) cmocka_unit_test_setup_teardown(function, make, drop)

/* More has come. */
static void come(const char *bytes, size_t size) {
    while (size > 0) {
        size_t room;
        char *at = neap_inbox_room(&inbox, size, &room);
        assert_non_null(at);
        if (room > size) room = size;
        memcpy(at, bytes, room);
        neap_inbox_put(&inbox, room);
        bytes += room;
        size -= room;
    }
}

static int parse(const char *bytes) {
    come(bytes, strlen(bytes));
    return neap_http_request_parse_head(&request, &inbox);
}

static int parse_body(void) { return neap_http_request_parse_body(&request, &inbox, &body); }

static void assert_span(struct neap_http_span span, const char *text) {
    assert_int_equal(span.size, strlen(text));
    assert_memory_equal(neap_inbox_peek(&inbox) + span.start, text, span.size);
}

static void assert_body(const char *text) {
    assert_int_equal(neap_inbox_size(&body), strlen(text));
    if (text[0] != '\0') assert_memory_equal(neap_inbox_peek(&body), text, strlen(text));
}

static const char get[] = "GET /a?b HTTP/1.1\r\nHost: here\r\nX-Empty:\r\nX-Two: a b\r\n\r\n";
static const char chunks[] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "3\r\nabc\r\n8;x=y\r\n01234567\r\n0\r\nX-Trailer: t\r\n\r\n";

static void assert_is_get(void) {
    assert_int_equal(request.parser.method, HTTP_GET);
    assert_span(request.target, "/a?b");
    assert_int_equal(request.count, 3);
    assert_span(request.fields[0].name, "Host");
    assert_span(request.fields[0].value, "here");
    assert_span(request.fields[1].name, "X-Empty");
    assert_int_equal(request.fields[1].value.size, 0);
    assert_span(request.fields[2].name, "X-Two");
    assert_span(request.fields[2].value, "a b");
    assert_true(request.keeps_alive);
    assert_false(neap_http_request_has_body(&request));
}

static void a_head_is_found_in_whatever_pieces_it_comes(void **state) {
    (void)state;
    for (size_t first = 1; first < sizeof get - 1; first++) {
        come(get, first);
        assert_int_equal(neap_http_request_parse_head(&request, &inbox), UV_EAGAIN);
        assert_int_equal(neap_http_request_parse_head(&request, &inbox), UV_EAGAIN);
        come(get + first, sizeof get - 1 - first);
        assert_int_equal(neap_http_request_parse_head(&request, &inbox), 0);
        assert_is_get();
        neap_http_request_take_head(&request, &inbox);
        assert_int_equal(request.phase, NEAP_HTTP_DONE);
        assert_int_equal(neap_inbox_size(&inbox), 0);
        neap_http_request_next(&request);
    }
}

static void the_next_request_stays_in_the_inbox(void **state) {
    (void)state;
    come(get, sizeof get - 1);
    come(chunks, sizeof chunks - 1);
    assert_int_equal(parse(get), 0);
    neap_http_request_take_head(&request, &inbox);
    neap_http_request_next(&request);
    assert_int_equal(neap_http_request_parse_head(&request, &inbox), 0);
    assert_true(neap_http_request_has_body(&request));
    neap_http_request_take_head(&request, &inbox);
    assert_int_equal(parse_body(), 0);
    assert_body("abc01234567");
    neap_http_request_next(&request);
    assert_int_equal(neap_http_request_parse_head(&request, &inbox), 0);
    assert_is_get();
}

static void a_body_is_found_in_whatever_pieces_it_comes(void **state) {
    (void)state;
    size_t head = (size_t)(strstr(chunks, "\r\n\r\n") - chunks) + 4;
    for (size_t first = head; first < sizeof chunks - 1; first++) {
        come(chunks, first);
        assert_int_equal(neap_http_request_parse_head(&request, &inbox), 0);
        neap_http_request_take_head(&request, &inbox);
        assert_int_equal(parse_body(), UV_EAGAIN);
        come(chunks + first, sizeof chunks - 1 - first);
        assert_int_equal(parse_body(), 0);
        assert_body("abc01234567");
        neap_inbox_take(&body, neap_inbox_size(&body));
        assert_int_equal(neap_inbox_size(&inbox), 0);
        neap_http_request_next(&request);
    }
}

static void a_body_of_a_length_ends_there(void **state) {
    (void)state;
    assert_int_equal(parse("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n12345GET"), 0);
    assert_false(request.keeps_alive);
    neap_http_request_take_head(&request, &inbox);
    assert_int_equal(parse_body(), 0);
    assert_body("12345");
    assert_int_equal(neap_inbox_size(&inbox), 3);
    assert_int_equal(parse_body(), 0);
    assert_body("12345");
}

static int refusal_of(const char *bytes) {
    neap_inbox_take(&inbox, neap_inbox_size(&inbox));
    neap_http_request_fini(&request);
    neap_http_request_init(&request, HEAD_MAX, BODY_MAX);
    int status = parse(bytes);
    if (status != 0) return status;
    neap_http_request_take_head(&request, &inbox);
    return parse_body();
}

static void limits_are_kept(void **state) {
    char bytes[2 * HEAD_MAX];
    (void)state;
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, "GET /", 5);
    bytes[sizeof bytes - 1] = '\0';
    assert_int_equal(refusal_of(bytes), HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_int_equal(refusal_of("PUT / HTTP/1.0\r\nContent-Length: 21\r\n\r\n"), HTTP_STATUS_PAYLOAD_TOO_LARGE);
    assert_int_equal(refusal_of("PUT / HTTP/1.0\r\nContent-Length: 20\r\n\r\n"), UV_EAGAIN);
    assert_int_equal(refusal_of("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "a\r\n0123456789\r\nb\r\n01234567890\r\n"),
                     HTTP_STATUS_PAYLOAD_TOO_LARGE);
    assert_int_equal(neap_inbox_size(&body), 10);
}

static void what_can_be_read_in_two_ways_is_refused(void **state) {
    (void)state;
    assert_int_equal(refusal_of("GET / HTTP/1.1\r\n\r\n"), HTTP_STATUS_BAD_REQUEST);
    assert_int_equal(refusal_of("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n"), HTTP_STATUS_BAD_REQUEST);
    assert_int_equal(refusal_of("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
                     HTTP_STATUS_BAD_REQUEST);
    assert_int_equal(refusal_of("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"),
                     HTTP_STATUS_NOT_IMPLEMENTED);
    assert_int_equal(refusal_of("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nq"),
                     HTTP_STATUS_BAD_REQUEST);
    assert_int_equal(refusal_of("GET / HTTP/2.0\r\n\r\n"), HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED);
}

static void a_line_of_a_head_ends_where_everybody_sees_it(void **state) {
    (void)state;
    assert_int_equal(refusal_of("GET / HTTP/1.1\nHost: x\nX:\nY: y\n\n"), 0);
    assert_int_equal(refusal_of("GET / HTTP/1.1\r\nHost: x\r\n\rxGET / HTTP/1.1\r\n\r\n"), HTTP_STATUS_BAD_REQUEST);
    assert_int_equal(refusal_of("GET / HTTP/1.1\r\nX:\rxHost: x\r\n\r\n"), HTTP_STATUS_BAD_REQUEST);
    assert_int_equal(refusal_of("GET / HTTP/1.1\r\nHost: x\r\nX:\r\n y\r\n\r\n"), HTTP_STATUS_BAD_REQUEST);
    assert_int_equal(refusal_of("GET / HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n"), 0);
}

static int refusal_of_chunks(const char *bytes) {
    char all[500];
    snprintf(all, sizeof all, "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%s", bytes);
    neap_inbox_take(&body, neap_inbox_size(&body));
    return refusal_of(all);
}

static void chunks_are_read_to_the_letter(void **state) {
    static const char *const bad[] = {
        "3\rXabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3;x\nabc\r\n0\r\n\r\n",
        "3;x\rXabc\r\n0\r\n\r\n",
        "3\r\nabcXX0\r\n\r\n",
        "3\r\nabc\rX0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3 3\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "0\r\n\rX",
        "0\r\n\n",
        "0\r\nX: y\rX\r\n\r\n",
        "0\r\nX y: z\r\n\r\n",
        "0\r\nX: y\r\n z\r\n\r\n",
        "0\r\n: z\r\n\r\n",
        "0\r\nX\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (refusal_of_chunks(bad[i]) != HTTP_STATUS_BAD_REQUEST) fail_msg("not refused: %s", bad[i]);
    assert_int_equal(refusal_of_chunks("003 \t;x=\"y\"\r\nabc\r\n00;\r\nX:\r\nY: \xe4\tz\r\n\r\n"), 0);
    assert_body("abc");
    assert_int_equal(refusal_of_chunks("15\r\n"), HTTP_STATUS_PAYLOAD_TOO_LARGE); /* when it is said */
    assert_int_equal(refusal_of_chunks("ffffffffffffffffffffff\r\n"), HTTP_STATUS_PAYLOAD_TOO_LARGE);
}

static void what_stands_between_chunks_is_limited(void **state) {
    char text[HEAD_MAX], bytes[2 * HEAD_MAX];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    snprintf(bytes, sizeof bytes, "3;%s", text);
    assert_int_equal(refusal_of_chunks(bytes), HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
    snprintf(bytes, sizeof bytes, "0\r\n%s", text);
    assert_int_equal(refusal_of_chunks(bytes), HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
}

static void what_was_refused_stays_refused(void **state) {
    (void)state;
    assert_int_equal(refusal_of_chunks("q\r\n3\r\nabc\r\n0\r\n\r\n"), HTTP_STATUS_BAD_REQUEST);
    for (int i = 0; i < 10; i++) assert_int_equal(parse_body(), HTTP_STATUS_BAD_REQUEST);
    assert_int_equal(refusal_of_chunks("fff\r\nabc"), HTTP_STATUS_PAYLOAD_TOO_LARGE);
    for (int i = 0; i < 10; i++) assert_int_equal(parse_body(), HTTP_STATUS_PAYLOAD_TOO_LARGE);
    assert_body("");
}

static void memory_that_is_refused_is_told(void **state) {
    (void)state;
    come(get, sizeof get - 1);
    neap_memory_fail_after(0);
    assert_int_equal(neap_http_request_parse_head(&request, &inbox), NEAP_NOMEM);
    neap_memory_fail_after(-1);
}

static void no_part_of_a_body_comes_twice_when_memory_was_refused(void **state) {
    enum { SIZE = 600 * 1000 };
    char *bytes = calloc(1, SIZE);
    (void)state;
    neap_http_request_init(&request, HEAD_MAX, SIZE);
    assert_int_equal(parse("PUT / HTTP/1.0\r\nContent-Length: 600000\r\n\r\n"), 0);
    neap_http_request_take_head(&request, &inbox);
    come(bytes, SIZE);
    neap_memory_fail_after(1);
    assert_int_equal(parse_body(), NEAP_NOMEM);
    neap_memory_fail_after(-1);
    assert_int_equal(parse_body(), 0);
    assert_int_equal(neap_inbox_size(&body), SIZE);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        PARSING(a_head_is_found_in_whatever_pieces_it_comes),
        PARSING(the_next_request_stays_in_the_inbox),
        PARSING(a_body_is_found_in_whatever_pieces_it_comes),
        PARSING(a_body_of_a_length_ends_there),
        PARSING(limits_are_kept),
        PARSING(what_can_be_read_in_two_ways_is_refused),
        PARSING(a_line_of_a_head_ends_where_everybody_sees_it),
        PARSING(chunks_are_read_to_the_letter),
        PARSING(what_stands_between_chunks_is_limited),
        PARSING(what_was_refused_stays_refused),
        PARSING(memory_that_is_refused_is_told),
        PARSING(no_part_of_a_body_comes_twice_when_memory_was_refused),
    };
    return run_once(tests);
}
