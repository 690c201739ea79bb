/* borrower: the messages that a proxy of a channel has from the other process before it has asked for them. See
 * sync/loan.c; the other side is lender.c. */
#ifndef NEAP_HOST_BORROWER_H
#define NEAP_HOST_BORROWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/message.h"
#include "sync/buffer.h"
#include "sync/loan.h"

struct neap_session;
struct neap_unpacker;

/* Under the proxy's guard. */
struct neap_borrower {
    struct neap_buffer buffer;   /* not taken yet, the oldest first; some may not be ours any more */
    struct neap_loan_slot *slot; /* of the wire */
    uint32_t round;              /* that they were lent in */
    uint32_t next;               /* the number of the oldest */
    bool deaf;                   /* some were missed, or no memory: what else comes in this round is of no use */
    _Atomic bool is_busy;        /* something has come since the lender was last asked: more is likely to. Relaxed */
};

/* NULL: no memory. */
struct neap_borrower *neap_borrower_new(void);
void neap_borrower_free(struct neap_borrower *borrower);

/* Moves the oldest out, if it is ours. `*tell`: the lender wants to know (neap_borrower_tell). */
bool neap_borrower_take(struct neap_borrower *borrower, struct neap_message *message, bool *tell);

/* Any guard but the wire's may be held. */
void neap_borrower_tell(struct neap_session *session, uint32_t id);
/* A frame of type NEAP_FRAME_AHEAD. False: it makes no sense. */
bool neap_borrower_receive(struct neap_session *session, struct neap_unpacker *unpacker);

#endif
