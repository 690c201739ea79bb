/* The reading of HTTP requests under a fuzzer: arbitrary bytes, in pieces of a size that the first byte tells. Whatever
 * they are, each request is read to its end or refused, its parts lie within its head, and its body within the limit;
 * what was refused stays so; and it is all the same in whatever pieces it comes.
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

/* What was read. */
struct account {
    size_t heads, ends; /* of requests */
    size_t body_size;   /* bytes of all bodies */
    uint32_t body_sum;  /* made of them */
    bool refused;
};

static const char *const seeds[] = {
    "\377GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\nHEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "\007POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n12345GET / HTTP/1.0\r\n\r\n",
    "\003PUT http://localhost/y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
    "\002PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n00a \t;b\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
    "\004PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1ff\r\n",
    "\005PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n001\r\na\r\n10000000000000000\r\n",
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

static void take_body(struct neap_inbox *body, struct account *account) {
    size_t size = neap_inbox_size(body);
    if (size == 0) return;
    const char *bytes = neap_inbox_peek(body);
    for (size_t i = 0; i < size; i++) account->body_sum = account->body_sum * 31 + (unsigned char)bytes[i];
    account->body_size += size;
    neap_inbox_take(body, size);
}

/* 0, UV_EAGAIN, or the status it was refused with. */
static int read_some(struct neap_http_request *request, struct neap_inbox *inbox, struct neap_inbox *body,
                     struct account *account) {
    if (request->phase == NEAP_HTTP_HEAD) {
        int code = neap_inbox_size(inbox) > 0 ? neap_http_request_parse_head(request, inbox) : UV_EAGAIN;
        if (code != 0) return code;
        check_head(request, inbox);
        neap_http_request_take_head(request, inbox);
        account->heads++;
        return 0;
    }
    int code = neap_http_request_parse_body(request, inbox, body);
    if (neap_inbox_size(body) > BODY_MAX) abort();
    if (code > 0 && neap_http_request_parse_body(request, inbox, body) != code) abort();
    return code;
}

/* Reads what is there. */
static void read_requests(struct neap_http_request *request, struct neap_inbox *inbox, struct neap_inbox *body,
                          struct account *account) {
    for (;;) {
        int code = read_some(request, inbox, body, account);
        if (code == UV_EAGAIN) return;
        account->refused = code != 0;
        if (code != 0 && (code < 400 || code > 599)) abort();
        if (code != 0 || request->phase == NEAP_HTTP_DONE) take_body(body, account);
        if (code != 0) return;
        if (request->phase != NEAP_HTTP_DONE) continue;
        account->ends++;
        neap_http_request_next(request);
    }
}

static struct account read_all(const uint8_t *data, size_t size, size_t piece) {
    struct neap_http_request request;
    struct neap_inbox inbox = {NULL, 0, 0, 0}, body = {NULL, 0, 0, 0};
    struct account account = {0, 0, 0, 0, false};
    neap_http_request_init(&request, HEAD_MAX, BODY_MAX);
    for (size_t at = 0; at < size && !account.refused; at += piece) {
        size_t left = size - at < piece ? size - at : piece, room;
        char *bytes = neap_inbox_room(&inbox, left, &room);
        if (bytes == NULL || room < left) abort();
        memcpy(bytes, data + at, left);
        neap_inbox_put(&inbox, left);
        read_requests(&request, &inbox, &body, &account);
    }
    take_body(&body, &account);
    neap_http_request_fini(&request);
    neap_inbox_fini(&inbox);
    neap_inbox_fini(&body);
    return account;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    struct account cut = read_all(data + 1, size - 1, (size_t)data[0] + 1);
    struct account whole = read_all(data + 1, size - 1, size);
    if (cut.heads != whole.heads || cut.ends != whole.ends || cut.refused != whole.refused) abort();
    if (cut.body_size != whole.body_size || cut.body_sum != whole.body_sum) abort();
    return 0;
}
