/* http_request: the requests of HTTP/1.0 and 1.1, one after the other, taken from the bytes that come over a
 * connection. Nothing here waits or reads: bytes are given. The essay is in http_request.c. */
#ifndef NEAP_IO_HTTP_REQUEST_H
#define NEAP_IO_HTTP_REQUEST_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/http_chunks.h"
#include "io/inbox.h"

enum { NEAP_HTTP_HEAD_MAX = 64 * 1024 /* bytes of a head at most, whatever limit is set */ };

/* What of a head is where: bytes from its beginning. */
struct neap_http_span {
    uint32_t start, size;
};

struct neap_http_field {
    struct neap_http_span name, value;
};

enum neap_http_phase {
    NEAP_HTTP_HEAD, /* the head is not whole yet */
    NEAP_HTTP_BODY, /* it is; the body is not */
    NEAP_HTTP_DONE  /* the request is whole */
};

struct neap_http_request {
    http_parser parser;             /* of the package http-parser */
    enum neap_http_phase phase;     /* how far it has come */
    uint32_t head_max;              /* constant; bytes of request line and headers */
    uint64_t body_max;              /* constant; bytes */
    uint64_t left;                  /* bytes of the body, or of its chunk, that have not come */
    struct neap_http_chunks chunks; /* where in them it stands, if the body comes in chunks */
    size_t parsed;                  /* HEAD: bytes of the inbox that were looked at. Then: bytes of the head */
    struct neap_http_span target;   /* as it stands in the request line */
    struct neap_http_field *fields; /* of the head; NULL: none. Owned */
    uint32_t count, room;           /* of fields: used, allocated */
    bool in_value;                  /* the bytes looked at last were of a value */
    bool keeps_alive;               /* the client wants the connection for more requests */
    const char *base;               /* where the head begins; while the parser runs on it */
    int code;                       /* why it goes on no more: a status; in a head also NEAP_NOMEM; 0 */
};

/* Ready for the first request. Takes no memory. */
void neap_http_request_init(struct neap_http_request *request, uint32_t head_max, uint64_t body_max);
void neap_http_request_fini(struct neap_http_request *request);
/* Ready for the next one, whose bytes follow. The last one is DONE. */
void neap_http_request_next(struct neap_http_request *request);

/* Looks at what is new in `inbox`, which holds the request from its first byte. 0: the head is whole; target and fields
 * say where its parts are, until they are forgotten. UV_EAGAIN: more is needed. Positive: the status to refuse it with;
 * the connection is of no use then. NEAP_NOMEM. */
int neap_http_request_parse_head(struct neap_http_request *request, const struct neap_inbox *inbox);
/* Takes the head out of the inbox, and forgets its parts. A request without a body is DONE. */
void neap_http_request_take_head(struct neap_http_request *request, struct neap_inbox *inbox);
/* Moves what `inbox` has of the body to `body`, without its chunks' sizes. 0: the
 * request is DONE. Else as parse_head. */
int neap_http_request_parse_body(struct neap_http_request *request, struct neap_inbox *inbox, struct neap_inbox *body);

/* Of a whole head: does a body follow? */
bool neap_http_request_has_body(const struct neap_http_request *request);

#endif
