/* acting: who runs the action of a barrier of another process. It holds the run there, and here: so that the end of its
 * task, or of the process that it asks for, is told. */
#ifndef NEAP_HOST_ACTING_H
#define NEAP_HOST_ACTING_H

#include <stdbool.h>
#include <stdint.h>

struct neap_call;
struct neap_link;
struct neap_owner;
struct neap_proxy;

/* For the proxy of a barrier. `link` is going to wait there: what it may hold is made, as its hold. Guard held.
 * 0 or NEAP_NOMEM. */
int neap_acting_prepare(struct neap_link *link);
/* It will not, or has been let go by another's action: drops that. */
void neap_acting_drop(struct neap_link *link);
/* It has been served, and holds the run, if it is to run the action. The owner's thread. */
void neap_acting_begin(struct neap_link *link);

/* Says how the action went that call->owner has run, by `method`: NEAP_BARRIER_RELEASE or NEAP_BARRIER_FAIL;
 * call->result is the answer. Blocks this thread for the time of a round trip. */
void neap_acting_end(struct neap_proxy *proxy, uint8_t method, struct neap_call *call);
/* Somebody who asks through us says so: is passed on by the caller. */
void neap_acting_pass(struct neap_proxy *proxy, struct neap_owner *owner);

#endif
