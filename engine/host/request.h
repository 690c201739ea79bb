/* request: what a process has asked of another one: waits on its objects, and calls. */
#ifndef NEAP_HOST_REQUEST_H
#define NEAP_HOST_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/remote.h"
#include "core/wait.h"
#include "host/packer.h"

struct neap_import;
struct neap_session;

/* A call that is under way. */
struct neap_pending {
    struct neap_call call;                      /* its result and message are filled in, and number, before `done` */
    void (*done)(struct neap_pending *pending); /* by whoever pumps, or ends the session; once */
    /* In `done`: what the class has added (neap_remote.put_more); NULL: the session has ended, or no memory. */
    struct neap_unpacker *more;
    uint64_t id; /* of the request; set before it is sent */
};

/* One place of session->requests. */
struct neap_request {
    struct neap_object *proxy;    /* of a wait: one reference; NULL: a call, or free */
    struct neap_link *link;       /* of a wait; valid under the proxy's guard while the request stands */
    struct neap_pending *pending; /* of a call */
    uint32_t round;               /* the upper half of its id: so that a late answer finds nothing */
    uint32_t next;                /* free: the next free place plus 1 */
};

/* `link`, which waits on `proxy`: the request's id; 0: no memory, or the session has ended. The proxy's guard is
 * held. */
uint64_t neap_request_add(struct neap_session *session, struct neap_object *proxy, struct neap_link *link);
/* It is not waited for any more. Harmless when it is over already. True: it was not. The proxy's guard is held; the
 * caller keeps the proxy alive. */
bool neap_request_remove(struct neap_session *session, uint64_t id);

/* Sends pending->call to the object of `import`; `done` follows when 0 is returned. The operand stays the caller's
 * until then, and is replaced by the result. 0; NEAP_BROKEN, NEAP_NOMEM or what the system said. */
int neap_request_call(struct neap_import *import, struct neap_pending *pending);
/* Waits for operation `op` of it, for everyone here: no ticket, no owner, no operand. As neap_request_call. */
int neap_request_watch(struct neap_import *import, uint8_t op, struct neap_pending *pending);
/* Not any more: true when `done` will not be called. */
bool neap_request_unwatch(struct neap_import *import, struct neap_pending *pending);
/* Sends the request of `link`, which is open on a proxy and whose link->request stands. 0, or why not. */
int neap_request_send(struct neap_import *import, const struct neap_link *link, bool owned);
/* What was sent is not to be served any more. */
void neap_request_withdraw(struct neap_session *session, uint64_t id);
/* The answer has been received, and what was in it need not be kept over there any longer. */
void neap_request_received(struct neap_session *session, uint64_t id);
/* A message of the channel of `import`, which was sent ahead, and taken here for a process that has not received it. */
void neap_request_return(struct neap_import *import, const struct neap_message *message);
/* Could not be sent: the wait ends with `code`, if the request stands. No guard held. */
void neap_request_fail(struct neap_session *session, uint64_t id, int code);
/* The same, and blocks this thread until it is over: a call is short. Fills in the results; call->result is NEAP_BROKEN
 * when the other side has gone. */
void neap_request_call_now(struct neap_import *import, struct neap_call *call);
/* Sends it, and that is all: there is no answer. Never blocks; for finalisers and ends. The message is dropped. */
void neap_request_tell(struct neap_import *import, struct neap_call *call);

/* --- for the session --- */

bool neap_request_reply(struct neap_session *session, struct neap_unpacker *unpacker);
/* Everything that was asked fails with NEAP_BROKEN. The session has ended. */
void neap_requests_end(struct neap_session *session);

#endif
