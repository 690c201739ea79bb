/* http_chunks: RFC 9112, 7.1, to the letter. The parser of the package http-parser is built for speed: it takes any
 * byte for the end of a line that has begun to end, passes over whatever stands behind a chunk, and over line ends in
 * an extension. A proxy that reads the same bytes otherwise finds a request where we see a body.
 *
 * LIMITS     A chunk that would be too much is refused when it says its size. Extensions and trailers are not kept, and
 *            may be as long as a head. */
#include "io/http_chunks.h"

#include <http_parser.h>
#include <stdbool.h>
#include <uv.h>

void neap_http_chunks_init(struct neap_http_chunks *chunks, uint64_t body_max, uint32_t line_max) {
    *chunks = (struct neap_http_chunks){.body_left = body_max, .line_left = line_max, .line_max = line_max};
}

static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static bool is_control(char c) { return ((unsigned char)c < ' ' && c != '\t') || c == 127; }

/* The byte must be `expected`. */
static int pass(struct neap_http_chunks *chunks, char c, char expected, enum neap_http_chunks_place next) {
    chunks->place = next;
    return c == expected ? 0 : HTTP_STATUS_BAD_REQUEST;
}

static int add_digit(struct neap_http_chunks *chunks, int value) {
    if (value < 0) return HTTP_STATUS_BAD_REQUEST;
    if (chunks->size > UINT64_MAX >> 4) return HTTP_STATUS_PAYLOAD_TOO_LARGE;
    chunks->size = chunks->size << 4 | (unsigned)value;
    chunks->place = NEAP_HTTP_CHUNKS_DIGITS;
    return chunks->size > chunks->body_left ? HTTP_STATUS_PAYLOAD_TOO_LARGE : 0;
}

/* A byte behind the digits of a size. */
static int leave_digits(struct neap_http_chunks *chunks, char c) {
    if (is_blank(c)) return pass(chunks, c, c, NEAP_HTTP_CHUNKS_BLANKS);
    if (c == ';') return pass(chunks, c, c, NEAP_HTTP_CHUNKS_EXTENSION);
    return pass(chunks, c, '\r', NEAP_HTTP_CHUNKS_SIZE_LF);
}

/* A byte of what goes on to the end of its line. */
static int pass_text(struct neap_http_chunks *chunks, char c, enum neap_http_chunks_place next) {
    return is_control(c) ? pass(chunks, c, '\r', next) : 0;
}

static int pass_name(struct neap_http_chunks *chunks, char c) {
    if (c == ':') return pass(chunks, c, ':', NEAP_HTTP_CHUNKS_VALUE);
    return is_blank(c) || is_control(c) ? HTTP_STATUS_BAD_REQUEST : 0;
}

static int begin_trailer(struct neap_http_chunks *chunks, char c) {
    if (c == '\r') return pass(chunks, c, '\r', NEAP_HTTP_CHUNKS_LAST_LF);
    chunks->place = NEAP_HTTP_CHUNKS_NAME;
    return c == ':' ? HTTP_STATUS_BAD_REQUEST : pass_name(chunks, c);
}

/* 0, or the status to refuse the byte with. */
static int step(struct neap_http_chunks *chunks, char c) {
    switch (chunks->place) {
        case NEAP_HTTP_CHUNKS_SIZE: return add_digit(chunks, digit(c));
        case NEAP_HTTP_CHUNKS_DIGITS: return digit(c) >= 0 ? add_digit(chunks, digit(c)) : leave_digits(chunks, c);
        case NEAP_HTTP_CHUNKS_BLANKS: return leave_digits(chunks, c);
        case NEAP_HTTP_CHUNKS_EXTENSION: return pass_text(chunks, c, NEAP_HTTP_CHUNKS_SIZE_LF);
        case NEAP_HTTP_CHUNKS_SIZE_LF:
            return pass(chunks, c, '\n', chunks->size > 0 ? NEAP_HTTP_CHUNKS_DATA : NEAP_HTTP_CHUNKS_TRAILER);
        case NEAP_HTTP_CHUNKS_DATA_CR: return pass(chunks, c, '\r', NEAP_HTTP_CHUNKS_DATA_LF);
        case NEAP_HTTP_CHUNKS_DATA_LF: return pass(chunks, c, '\n', NEAP_HTTP_CHUNKS_SIZE);
        case NEAP_HTTP_CHUNKS_TRAILER: return begin_trailer(chunks, c);
        case NEAP_HTTP_CHUNKS_NAME: return pass_name(chunks, c);
        case NEAP_HTTP_CHUNKS_VALUE: return pass_text(chunks, c, NEAP_HTTP_CHUNKS_VALUE_LF);
        case NEAP_HTTP_CHUNKS_VALUE_LF: return pass(chunks, c, '\n', NEAP_HTTP_CHUNKS_TRAILER);
        default: return pass(chunks, c, '\n', NEAP_HTTP_CHUNKS_END); /* LAST_LF */
    }
}

/* The data of the chunk before have been taken. */
static void leave_data(struct neap_http_chunks *chunks) {
    chunks->body_left -= chunks->size;
    chunks->size = 0;
    chunks->line_left = chunks->line_max;
    chunks->place = NEAP_HTTP_CHUNKS_DATA_CR;
}

int neap_http_chunks_next(struct neap_http_chunks *chunks, const char *bytes, size_t size, size_t *used) {
    if (chunks->place == NEAP_HTTP_CHUNKS_DATA) leave_data(chunks);
    for (*used = 0; *used < size;) {
        if (chunks->line_left-- == 0) return HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE;
        int status = step(chunks, bytes[(*used)++]);
        if (status != 0) return status;
        if (chunks->place == NEAP_HTTP_CHUNKS_DATA || chunks->place == NEAP_HTTP_CHUNKS_END) return 0;
    }
    return UV_EAGAIN;
}
