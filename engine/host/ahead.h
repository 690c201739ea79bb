/* ahead: what crosses to and from a channel of another process without being asked for. See ahead.c. */
#ifndef NEAP_HOST_AHEAD_H
#define NEAP_HOST_AHEAD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/object.h"

struct neap_borrower;
struct neap_credit_slot;
struct neap_link;
struct neap_proxy;

/* Of a proxy; of what is no channel: empty. */
struct neap_ahead {
    _Atomic(struct neap_borrower *) borrower;  /* what has come ahead. Owned; NULL until something has. Set once */
    _Atomic(struct neap_credit_slot *) credit; /* where we are granted to send so; NULL: nowhere. Release, acquire */
    _Atomic bool is_sending;                   /* the last message was sent so: more is likely to be granted. Relaxed */
};

void neap_ahead_init(struct neap_ahead *ahead);
void neap_ahead_fini(struct neap_ahead *ahead);

/* As the class's functions of these names, of any proxy; without asking. ATTEMPT: also for another process. */
enum neap_quick neap_ahead_quick(struct neap_proxy *proxy, struct neap_link *link);
bool neap_ahead_hint(const struct neap_proxy *proxy, const struct neap_link *link);
bool neap_ahead_attempt(struct neap_proxy *proxy, struct neap_link *link);

/* `link` is about to be asked for: what is answered does not come ahead. */
void neap_ahead_asks(struct neap_proxy *proxy, const struct neap_link *link);

#endif
