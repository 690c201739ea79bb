/* http_chunks: what stands between the data of a body in chunks: sizes, line ends, trailers. Nothing here waits, reads
 * or keeps bytes: they are given. The essay is in http_chunks.c. */
#ifndef NEAP_IO_HTTP_CHUNKS_H
#define NEAP_IO_HTTP_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

/* What comes next. */
enum neap_http_chunks_place {
    NEAP_HTTP_CHUNKS_SIZE,      /* the first digit of a chunk's size */
    NEAP_HTTP_CHUNKS_DIGITS,    /* more of them */
    NEAP_HTTP_CHUNKS_BLANKS,    /* behind them */
    NEAP_HTTP_CHUNKS_EXTENSION, /* what nobody needs to understand, up to the end of the line */
    NEAP_HTTP_CHUNKS_SIZE_LF,
    NEAP_HTTP_CHUNKS_DATA, /* of the chunk */
    NEAP_HTTP_CHUNKS_DATA_CR,
    NEAP_HTTP_CHUNKS_DATA_LF,
    NEAP_HTTP_CHUNKS_TRAILER, /* the first byte of one, or the empty line */
    NEAP_HTTP_CHUNKS_NAME,
    NEAP_HTTP_CHUNKS_VALUE,
    NEAP_HTTP_CHUNKS_VALUE_LF,
    NEAP_HTTP_CHUNKS_LAST_LF,
    NEAP_HTTP_CHUNKS_END /* nothing: the body is whole */
};

struct neap_http_chunks {
    enum neap_http_chunks_place place;
    uint64_t size;      /* of the data that come next, in bytes */
    uint64_t body_left; /* how many bytes the body may have, beside those of the chunks before */
    uint32_t line_left; /* how many bytes the size's line, or the trailers, may still have */
    uint32_t line_max;  /* constant */
};

void neap_http_chunks_init(struct neap_http_chunks *chunks, uint64_t body_max, uint32_t line_max);

/* Looks at bytes up to the next chunk's data; whoever calls again has taken these. *used: how many have been looked at.
 * 0: the data come next, or the place is END. UV_EAGAIN: more is needed. Positive: the status to refuse it with. */
int neap_http_chunks_next(struct neap_http_chunks *chunks, const char *bytes, size_t size, size_t *used);

#endif
