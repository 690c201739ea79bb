/* The reading of HTTP requests under a fuzzer: arbitrary bytes, in pieces of a size that the first byte tells. Whatever
 * they are, each request is read to its end or refused, its parts lie within its head, and its body within the limit.
 *
 * With DECODE_FUZZ_SEEDS=folder in the environment it writes a first corpus into that folder. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "io/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { HEAD_MAX = 1024, BODY_MAX = 512 };

static const char *const seeds[] = {
    "\377GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\nHEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "\007POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n12345GET / HTTP/1.0\r\n\r\n",
    "\003PUT http://localhost/y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
    "\001CONNECT x:1 HTTP/1.1\r\nHost: x\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n"};

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *folder = getenv("DECODE_FUZZ_SEEDS");
    (void)argc;
    (void)argv;
    for (size_t i = 0; folder != NULL && i < sizeof seeds / sizeof *seeds; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/request%zu", folder, i);
        FILE *file = fopen(path, "wb");
        if (file == NULL || fputs(seeds[i], file) < 0 || fclose(file) != 0) abort();
    }
    return 0;
}

static void check_span(struct neap_http_span span, size_t head) {
    if (span.size > head || span.start > head - span.size) abort();
}

static void check_head(const struct neap_http_request *request, const struct neap_inbox *inbox) {
    if (request->parsed > HEAD_MAX || request->parsed > neap_inbox_size(inbox)) abort();
    check_span(request->target, request->parsed);
    for (uint32_t i = 0; i < request->count; i++) {
        check_span(request->fields[i].name, request->parsed);
        check_span(request->fields[i].value, request->parsed);
    }
}

/* Reads what is there. False: it was refused. */
static bool read_requests(struct neap_http_request *request, struct neap_inbox *inbox, struct neap_inbox *body) {
    for (;;) {
        int code = 0;
        if (request->phase == NEAP_HTTP_HEAD) {
            if (neap_inbox_size(inbox) == 0) return true;
            code = neap_http_request_parse_head(request, inbox);
            if (code == 0) {
                check_head(request, inbox);
                neap_http_request_take_head(request, inbox);
            }
        } else {
            code = neap_http_request_parse_body(request, inbox, body);
            if (neap_inbox_size(body) > BODY_MAX) abort();
        }
        if (code == UV_EAGAIN) return true;
        if (code != 0 && (code < 400 || code > 599)) abort();
        if (code != 0) return false;
        if (request->phase != NEAP_HTTP_DONE) continue;
        neap_inbox_take(body, neap_inbox_size(body));
        neap_http_request_next(request);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct neap_http_request request;
    struct neap_inbox inbox = {NULL, 0, 0, 0}, body = {NULL, 0, 0, 0};
    size_t piece = size > 0 ? (size_t)data[0] + 1 : 1;
    bool goes_on = true;
    neap_http_request_init(&request, HEAD_MAX, BODY_MAX);
    for (size_t at = 1; at < size && goes_on; at += piece) {
        size_t left = size - at < piece ? size - at : piece, room;
        char *bytes = neap_inbox_room(&inbox, left, &room);
        if (bytes == NULL || room < left) abort();
        memcpy(bytes, data + at, left);
        neap_inbox_put(&inbox, left);
        goes_on = read_requests(&request, &inbox, &body);
    }
    neap_http_request_fini(&request);
    neap_inbox_fini(&inbox);
    neap_inbox_fini(&body);
    return 0;
}
