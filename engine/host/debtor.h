/* debtor: sends to a channel of another process that has granted credit for it, without asking. See sync/credit.c; the
 * other side is creditor.c. */
#ifndef NEAP_HOST_DEBTOR_H
#define NEAP_HOST_DEBTOR_H

#include <stdbool.h>

struct neap_credit_slot;
struct neap_import;
struct neap_link;
struct neap_message;
struct neap_session;
struct neap_unpacker;

/* Can such a message be sent so? */
bool neap_debtor_may_send(const struct neap_message *message);
/* Sends the operand of `link`, which may be sent so, and is gone then. False: it has to be asked for. Any guard but the
 * wire's may be held. */
bool neap_debtor_send(const struct neap_import *import, struct neap_credit_slot *slot, struct neap_link *link);

/* A frame of type NEAP_FRAME_CREDIT. False: it makes no sense. */
bool neap_debtor_told(struct neap_session *session, struct neap_unpacker *unpacker);

#endif
