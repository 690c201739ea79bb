/* proxy: an object of another process, as it is used here: waited on, called, held. The essay is in proxy.c. */
#ifndef NEAP_HOST_PROXY_H
#define NEAP_HOST_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/object.h"
#include "core/owner.h"
#include "core/remote.h"
#include "core/wait.h"
#include "host/ahead.h"
#include "host/holding.h"
#include "host/reference.h"
#include "host/session.h"

/* A link's op is that of the class it stands for, perhaps with NEAP_OP_TRY; its operands and results too. Any wait may
 * end with NEAP_BROKEN: the other process has gone; one with NEAP_OP_TRY with the result NEAP_TIMEOUT. */
struct neap_proxy {
    struct neap_object object;
    struct neap_import import;
    struct neap_constants constants; /* parts: a reference each. Constant */
    struct neap_list waiters;        /* links. guard */
    struct neap_ahead ahead;         /* of a channel */
    struct neap_holding holding;     /* of a lock that is held by somebody here */
    _Atomic bool closed;             /* a pipe's end: it has been closed by this process. Relaxed */
};

/* For the tables of makers: all kinds that have a class below. */
struct neap_object *neap_proxy_make(struct neap_session *session, uint32_t id, uint8_t kind,
                                    const struct neap_constants *constants);

/* NULL unless `object` is a proxy of this file. */
struct neap_proxy *neap_proxy_of(struct neap_object *object);

/* Calls `method` of what it stands for; blocks this thread for the time of a round trip. call->owner, number and
 * message are the operands. */
void neap_proxy_call(struct neap_proxy *proxy, uint8_t method, struct neap_call *call);

/* The same, and waits for no answer: see neap_request_tell. */
void neap_proxy_tell(struct neap_proxy *proxy, uint8_t method, struct neap_owner *owner, int64_t number);

/* Makes `hold`, which is not held, one of `proxy`, for an operation that holds. It is given back by
 * neap_hold_give_back. */
void neap_proxy_hold_init(struct neap_hold *hold, struct neap_proxy *proxy);

static inline uint8_t neap_proxy_kind(const struct neap_proxy *proxy) { return proxy->object.class->remote->kind; }

/* The operation of a link, whether it is only tried or not. */
static inline uint8_t neap_proxy_op(const struct neap_link *link) { return link->op & NEAP_OP_MASK; }

/* By kind; without a name where proxies are made elsewhere, or the kind travels as itself. */
extern const struct neap_class neap_proxy_classes[NEAP_KIND_COUNT];

#endif
