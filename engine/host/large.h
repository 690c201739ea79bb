/* large: what is too large for the rings of a wire lies in memory that both processes have mapped, beside them. One for
 * each wire. The essay is in large.c. */
#ifndef NEAP_HOST_LARGE_H
#define NEAP_HOST_LARGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/message.h"
#include "core/segment.h"

enum {
    NEAP_LARGE_PLACES = 5,      /* that are used again, in each direction */
    NEAP_LARGE_LENT = 3,        /* of which the user may keep the first ones: see LENT in large.c */
    NEAP_LARGE_MAX = 0x7FFFFFFF /* bytes */
};

/* Which places are in use, of either direction: shared memory, zeroed to begin with. */
typedef _Atomic uint32_t neap_large_flags[NEAP_LARGE_PLACES];

/* What is said of it in the ring. */
struct neap_large_note {
    uint64_t size;   /* bytes, from the beginning of the segment */
    uint64_t at;     /* the user's: where in the frame it belongs */
    uint32_t place;  /* its number; NEAP_LARGE_PLACES: it is used once */
    uint32_t passes; /* 1: the segment's descriptor is the first one of the frame; 0: it has been passed before */
};

/* Where something large is written, again and again. Of the thread that has claimed it. */
struct neap_large_place {
    struct neap_segment *segment; /* a reference; NULL: there is none yet */
    bool is_known;                /* the other side has it */
    _Atomic bool is_claimed;      /* acquire, release */
};

struct neap_large {
    struct neap_segment *shared;     /* in which the flags lie; a reference */
    _Atomic uint32_t *ours, *theirs; /* flags: of what is sent, of what is received. Constant */
    struct neap_large_place sent[NEAP_LARGE_PLACES];
    struct neap_segment *received[NEAP_LARGE_PLACES]; /* references; NULL. The reader's */
};

/* Something on its way out. */
struct neap_large_outgoing {
    struct neap_large_note note;  /* to be sent */
    struct neap_segment *segment; /* whose descriptor goes along, if the note says so; a reference */
};

/* Something that has come. */
struct neap_large_incoming {
    const char *bytes; /* may change at any time: look at each but once */
    size_t size;
    size_t at;                    /* as in the note */
    struct neap_large *large;     /* that it came through */
    struct neap_segment *segment; /* in which it lies; a reference */
    _Atomic uint32_t *flag;       /* of its place; NULL: it is used once */
    bool can_be_lent;             /* still */
};

/* Refers to `shared`, in which both flags lie. */
void neap_large_init(struct neap_large *large, struct neap_segment *shared, neap_large_flags *ours,
                     neap_large_flags *theirs);
void neap_large_fini(struct neap_large *large);

/* Any thread: writes the bytes of `pieces`, `size` in all, at least 1 and at most NEAP_LARGE_MAX. On success
 * neap_large_settle is owed. 0, NEAP_NOMEM, or what the system said. */
int neap_large_write(struct neap_large *large, const struct iovec *pieces, unsigned count, size_t size,
                     struct neap_large_outgoing *outgoing);
/* It has been sent; or nobody will ever hear of it. */
void neap_large_settle(struct neap_large *large, struct neap_large_outgoing *outgoing, bool sent);

/* One reader at a time. What a note is about that came with so many descriptors, of which one is taken, and -1 then, if
 * the note says so. On success neap_large_close is owed. 0; UV_EPROTO: it makes no sense; UV_EMFILE: we had no room for
 * the descriptor; NEAP_NOMEM. */
int neap_large_open(struct neap_large *large, const struct neap_large_note *note, int *fds, unsigned fd_count,
                    struct neap_large_incoming *incoming);
/* Keeps the bytes beyond the call, and beyond the wire. NULL: they have to be copied. */
struct neap_store *neap_large_lend(struct neap_large_incoming *incoming);
void neap_large_close(struct neap_large_incoming *incoming);

#endif
