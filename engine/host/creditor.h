/* creditor: lets a process that keeps sending to a channel of this one do so without asking. The essays: sync/credit.c,
 * and sync/channel_credit.c. The other side is debtor.c. */
#ifndef NEAP_HOST_CREDITOR_H
#define NEAP_HOST_CREDITOR_H

#include <stdbool.h>
#include <stdint.h>

struct neap_creditor;
struct neap_object;
struct neap_session;
struct neap_unpacker;

/* Any thread: of `object`, a channel of this process that is exported as `id`, for the other one, which wants to send
 * to it; a new reference. NULL: it does not do that often, or there is no memory. */
struct neap_creditor *neap_creditor_get(struct neap_session *session, uint32_t id, struct neap_object *object);
void neap_creditor_unref(struct neap_creditor *creditor);
/* What the other process had asked to send has been taken, and it knows. The caller keeps the channel alive; no guard
 * held. */
void neap_creditor_served(struct neap_creditor *creditor);

/* By who receives: a frame of type NEAP_FRAME_SENT, as debtor.c writes it. False: it makes no sense. */
bool neap_creditor_receive(struct neap_session *session, struct neap_unpacker *unpacker);
/* All that had come has been received: grants more to those that have sent some of it. */
void neap_creditors_passed(struct neap_session *session);
/* The export is gone, and with it its reference to the creditor; the caller keeps the channel alive. NULL is
 * harmless. */
void neap_creditor_end(struct neap_creditor *creditor);

#endif
