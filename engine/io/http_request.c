/* http_request: the parser of the package http-parser, fitted to bytes that stay where they have come.
 *
 * HEAD       stays in the inbox until it is whole. The parser sees each byte once, and tells where names and values
 *            are; that is noted as an offset, since the inbox may move when more comes. It is paused at the head's last
 *            byte, and is not given it: any would do for it, and only a line end will do for us.
 * BODY       is copied out of the inbox, however it was cut; a handler may answer before it has come. The parser has
 *            no part in that: see http_chunks.c.
 * PIPELINE   Nothing behind a request is taken, so that the next one stays in the inbox.
 * LIMITS     are looked at while bytes come: what is too much is never kept.
 * STRICT     What may be read in two ways is refused, since a proxy may have read it in the other: a length and chunks,
 *            chunks in HTTP/1.0, a space in a header's name, a line that goes on in the next, a CR that ends no line,
 *            an HTTP/1.1 without a host, any with two or with what is none, a CONNECT with a body, which has none.
 *            Of codings we know chunks alone, once; another is answered with 501, as RFC 9112 wants it from whoever
 *            does not understand one. */
#include "io/http_request.h"

#include <string.h>
#include <strings.h>
#include <uv.h>

#include "core/error.h"
#include "core/memory.h"

enum { FIELDS_MIN = 8, FIELDS_MAX = 256 };

/* For the parser, which is stopped by whatever is not 0. */
static int stop(struct neap_http_request *request, int code) {
    request->code = code;
    return -1;
}

/* --- the head --- */

/* `span` goes on with `size` bytes at `at`. */
static int extend(struct neap_http_request *request, struct neap_http_span *span, const char *at, size_t size) {
    uint32_t start = (uint32_t)(at - request->base);
    if (span->start + span->size != start) return stop(request, HTTP_STATUS_BAD_REQUEST);
    span->size += (uint32_t)size;
    return 0;
}

static int on_url(http_parser *parser, const char *at, size_t size) {
    struct neap_http_request *request = parser->data;
    if (request->target.size == 0) request->target.start = (uint32_t)(at - request->base);
    return extend(request, &request->target, at, size);
}

static int add_field(struct neap_http_request *request, const char *at) {
    if (request->count == request->room) {
        uint32_t room = request->room == 0 ? FIELDS_MIN : request->room * 2;
        if (room > FIELDS_MAX) return stop(request, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
        struct neap_http_field *fields = neap_realloc(request->fields, room * sizeof *fields);
        if (fields == NULL) return stop(request, NEAP_NOMEM);
        request->fields = fields;
        request->room = room;
    }
    request->in_value = false;
    request->fields[request->count++] = (struct neap_http_field){.name = {(uint32_t)(at - request->base), 0}};
    return 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t size) {
    struct neap_http_request *request = parser->data;
    if ((request->count == 0 || request->in_value) && add_field(request, at) != 0) return -1;
    return extend(request, &request->fields[request->count - 1].name, at, size);
}

static int on_header_value(http_parser *parser, const char *at, size_t size) {
    struct neap_http_request *request = parser->data;
    struct neap_http_span *value = &request->fields[request->count - 1].value;
    if (!request->in_value) value->start = (uint32_t)(at - request->base);
    request->in_value = true;
    return extend(request, value, at, size);
}

static int on_headers_complete(http_parser *parser) {
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings head_settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
};

static void forget_fields(struct neap_http_request *request) {
    neap_free(request->fields);
    request->fields = NULL;
    request->count = request->room = 0;
}

void neap_http_request_init(struct neap_http_request *request, uint32_t head_max, uint64_t body_max) {
    memset(request, 0, sizeof *request);
    request->head_max = head_max < NEAP_HTTP_HEAD_MAX ? head_max : NEAP_HTTP_HEAD_MAX;
    request->body_max = body_max;
    neap_http_request_next(request);
}

void neap_http_request_fini(struct neap_http_request *request) { forget_fields(request); }

void neap_http_request_next(struct neap_http_request *request) {
    http_parser_init(&request->parser, HTTP_REQUEST);
    request->parser.data = request;
    request->phase = NEAP_HTTP_HEAD;
    request->parsed = 0;
    request->left = 0;
    request->target = (struct neap_http_span){0, 0};
    request->in_value = false;
}

/* The status to refuse with what has stopped the parser. */
static int refusal(const struct neap_http_request *request) {
    if (request->code != 0) return request->code;
    bool too_large = HTTP_PARSER_ERRNO(&request->parser) == HPE_HEADER_OVERFLOW;
    return too_large ? HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE : HTTP_STATUS_BAD_REQUEST;
}

static bool says_body(const http_parser *parser) {
    return parser->flags & F_CHUNKED || (parser->content_length > 0 && parser->content_length != UINT64_MAX);
}

bool neap_http_request_has_body(const struct neap_http_request *request) {
    return request->parser.method != HTTP_CONNECT && says_body(&request->parser);
}

/* The parser leaves blanks behind a value with it. */
static bool is_word(const char *base, struct neap_http_span span, const char *word) {
    while (span.size > 0 && strchr(" \t", base[span.start + span.size - 1]) != NULL) span.size--;
    return span.size == strlen(word) && strncasecmp(base + span.start, word, span.size) == 0;
}

/* How many headers have that name. `last` is set to the last one's value. */
static uint32_t count_fields(const struct neap_http_request *request, const char *base, const char *name,
                             struct neap_http_span *last) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        if (!is_word(base, request->fields[i].name, name)) continue;
        *last = request->fields[i].value;
        count++;
    }
    return count;
}

/* Is it one line? The parser lets a space pass in a name, as one of which it knows nothing; and it finds a value also
 * in the next line, or takes for the end of an empty one whatever stands behind a CR. */
static bool is_plain(const struct neap_http_field *field, const char *base) {
    const char *name = base + field->name.start, *place = name + field->name.size + 1; /* behind the colon */
    const char *value = base + field->value.start;
    if (memchr(name, ' ', field->name.size) != NULL) return false;
    while (place < value && (*place == ' ' || *place == '\t')) place++;
    if (place == value) return true;
    if (*place == '\r') place++;
    return field->value.size == 0 && place + 1 == value && *place == '\n';
}

static bool are_plain(const struct neap_http_request *request, const char *base) {
    for (uint32_t i = 0; i < request->count; i++)
        if (!is_plain(&request->fields[i], base)) return false;
    return true;
}

/* May it be a host, with or without a port? Two that a proxy has joined are none. */
static bool is_host(const char *base, struct neap_http_span span) {
    static const char others[] = "!$%&'()*+-.:;=[]_~";
    while (span.size > 0 && strchr(" \t", base[span.start + span.size - 1]) != NULL) span.size--;
    for (uint32_t i = 0; i < span.size; i++) {
        char c = base[span.start + i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c > 127;
        bool plain = letter || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || strchr(others, c) == NULL)) return false;
    }
    return true;
}

/* 0, or the status to refuse a head with that can be read. */
static int judge(const struct neap_http_request *request, const char *base) {
    const http_parser *parser = &request->parser;
    if (parser->http_major != 1) return HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED;
    struct neap_http_span value = {0, 0};
    if (base[request->parsed] != '\n' || !are_plain(request, base)) return HTTP_STATUS_BAD_REQUEST;
    uint32_t hosts = count_fields(request, base, "host", &value);
    if (hosts > 1 || (hosts == 0 && parser->http_minor > 0)) return HTTP_STATUS_BAD_REQUEST;
    if (hosts == 1 && !is_host(base, value)) return HTTP_STATUS_BAD_REQUEST;
    if (parser->method == HTTP_CONNECT && says_body(parser)) return HTTP_STATUS_BAD_REQUEST;
    uint32_t codings = count_fields(request, base, "transfer-encoding", &value);
    if (codings > 0 && parser->http_minor == 0) return HTTP_STATUS_BAD_REQUEST;
    bool chunked = codings == 1 && is_word(base, value, "chunked") && parser->flags & F_CHUNKED;
    if (codings > 0 && !chunked) return HTTP_STATUS_NOT_IMPLEMENTED;
    if (neap_http_request_has_body(request) && !(parser->flags & F_CHUNKED) &&
        parser->content_length > request->body_max)
        return HTTP_STATUS_PAYLOAD_TOO_LARGE;
    return 0;
}

int neap_http_request_parse_head(struct neap_http_request *request, const struct neap_inbox *inbox) {
    size_t size = neap_inbox_size(inbox);
    if (size == request->parsed) return UV_EAGAIN;
    request->base = neap_inbox_peek(inbox);
    request->code = 0;
    request->parsed +=
        http_parser_execute(&request->parser, &head_settings, request->base + request->parsed, size - request->parsed);
    enum http_errno problem = HTTP_PARSER_ERRNO(&request->parser);
    if (problem != HPE_OK && problem != HPE_PAUSED) return refusal(request);
    if (request->parsed > request->head_max) return HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE;
    if (problem == HPE_OK) return UV_EAGAIN;
    request->phase = NEAP_HTTP_BODY;
    request->keeps_alive = http_should_keep_alive(&request->parser) != 0;
    return judge(request, request->base);
}

void neap_http_request_take_head(struct neap_http_request *request, struct neap_inbox *inbox) {
    bool has_body = neap_http_request_has_body(request), chunked = (request->parser.flags & F_CHUNKED) != 0;
    neap_inbox_take(inbox, request->parsed + 1); /* see HEAD */
    forget_fields(request);
    request->phase = has_body ? NEAP_HTTP_BODY : NEAP_HTTP_DONE;
    if (has_body && !chunked) request->left = request->parser.content_length;
    if (has_body && chunked) neap_http_chunks_init(&request->chunks, request->body_max, request->head_max);
}

/* --- the body --- */

/* Moves data, of which there are some. */
static int take_data(struct neap_http_request *request, struct neap_inbox *inbox, struct neap_inbox *body) {
    size_t room, size = neap_inbox_size(inbox);
    if (size > request->left) size = (size_t)request->left;
    char *bytes = neap_inbox_room(body, size, &room);
    if (bytes == NULL) return NEAP_NOMEM;
    if (size > room) size = room;
    memcpy(bytes, neap_inbox_peek(inbox), size);
    neap_inbox_put(body, size);
    neap_inbox_take(inbox, size);
    request->left -= size;
    if (request->left == 0 && !(request->parser.flags & F_CHUNKED)) request->phase = NEAP_HTTP_DONE;
    return 0;
}

static int take_framing(struct neap_http_request *request, struct neap_inbox *inbox) {
    size_t used;
    int code = neap_http_chunks_next(&request->chunks, neap_inbox_peek(inbox), neap_inbox_size(inbox), &used);
    neap_inbox_take(inbox, used);
    if (code > 0) request->code = code; /* what stands behind it is nothing any more */
    if (code != 0) return code;
    request->left = request->chunks.size;
    if (request->chunks.place == NEAP_HTTP_CHUNKS_END) request->phase = NEAP_HTTP_DONE;
    return 0;
}

int neap_http_request_parse_body(struct neap_http_request *request, struct neap_inbox *inbox, struct neap_inbox *body) {
    if (request->code != 0) return request->code;
    while (request->phase != NEAP_HTTP_DONE) {
        if (neap_inbox_size(inbox) == 0) return UV_EAGAIN;
        int code = request->left > 0 ? take_data(request, inbox, body) : take_framing(request, inbox);
        if (code != 0) return code;
    }
    return 0;
}
