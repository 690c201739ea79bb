/* lender: sends messages of a channel to a process that keeps receiving from it, before it asks. The essays:
 * sync/loan.c, and sync/channel_loan.c. The other side is borrower.c. */
#ifndef NEAP_HOST_LENDER_H
#define NEAP_HOST_LENDER_H

#include <stdbool.h>
#include <stdint.h>

struct neap_lender;
struct neap_loan;
struct neap_object;
struct neap_session;

/* Any thread: of `object`, a channel of this process that is exported as `id`, for the other one, which wants to
 * receive from it; a new reference. NULL: it does not do that often, or there is no memory. */
struct neap_lender *neap_lender_get(struct neap_session *session, uint32_t id, struct neap_object *object);
void neap_lender_unref(struct neap_lender *lender);
/* Constant. */
struct neap_loan *neap_lender_loan(struct neap_lender *lender);
/* The other process has received a message that it had asked for. The caller keeps the channel alive; no guard held. */
void neap_lender_served(struct neap_lender *lender);

/* A frame of type NEAP_FRAME_TAKEN: u32 id. */
void neap_lender_told(struct neap_session *session, uint32_t id);
/* The export is gone, and with it its reference to the lender; the caller keeps the channel alive. NULL is harmless. */
void neap_lender_end(struct neap_lender *lender);

#endif
