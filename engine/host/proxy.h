/* proxy: an object of another process, as it is used here: waited on, called, held. The essay is in proxy.c. */
#ifndef NEAP_HOST_PROXY_H
#define NEAP_HOST_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/cell.h"
#include "core/object.h"
#include "core/owner.h"
#include "core/remote.h"
#include "core/wait.h"
#include "host/session.h"

struct neap_borrower;
struct neap_credit_slot;

/* A link's op is that of the class it stands for, perhaps with NEAP_OP_TRY; its operands and results too. Any wait may
 * end with NEAP_BROKEN: the other process has gone; one with NEAP_OP_TRY with the result NEAP_TIMEOUT. */
struct neap_proxy {
    struct neap_object object;
    struct neap_import import;
    struct neap_constants constants; /* parts: a reference each. Constant */
    struct neap_list waiters;        /* links. guard */
    _Atomic(struct neap_borrower *)
        borrower; /* of a channel: what has come ahead. Owned; NULL until something has. Set once */
    _Atomic(struct neap_credit_slot *)
        credit; /* of a channel: where it grants us to send without asking; NULL: nowhere. Release, acquire */
    _Atomic bool is_sending; /* the last message was sent so: more is likely to be granted. Relaxed */
    /* A lock that is held by somebody here. */
    struct neap_hold hold;               /* in the holder's list, on its thread */
    _Atomic(struct neap_owner *) holder; /* NULL: nobody here holds it. Exact for the holder's own thread; relaxed */
    uint32_t depth;                      /* levels; holder's thread */
    bool by_word;                        /* it has acquired it by itself; holder's thread */
    int64_t since;                       /* else: when it learnt that it holds; holder's thread */
    uint32_t party;                      /* as what: see OTHERS in sync/lock.c. Constant */
    struct neap_cell word;               /* which we may change ourselves; word.at is NULL: there is none. Constant */
    _Atomic bool closed;                 /* a pipe's end: it has been closed by this process. Relaxed */
};

/* For the tables of makers: all kinds that have a class below. */
struct neap_object *neap_proxy_make(struct neap_session *session, uint32_t id, uint8_t kind,
                                    const struct neap_constants *constants);

/* NULL unless `object` is a proxy of this file. */
struct neap_proxy *neap_proxy_of(struct neap_object *object);

/* Calls `method` of what it stands for; blocks this thread for the time of a round trip. call->owner, number and
 * message are the operands. */
void neap_proxy_call(struct neap_proxy *proxy, uint8_t method, struct neap_call *call);

/* --- locks, by the owner's thread --- */

/* Gives up one level. 0 or NEAP_NOT_OWNER. */
int neap_proxy_release(struct neap_proxy *proxy, struct neap_owner *owner);
/* All levels, at least one; returns how many. What was asked over there before has arrived when the lock is free.
 * RESTORE: it has just been acquired, and is to be held so deep. */
uint32_t neap_proxy_release_all(struct neap_proxy *proxy, struct neap_owner *owner);
void neap_proxy_restore(struct neap_proxy *proxy, uint32_t depth);
/* The process that it belongs to is to know that `owner`, who holds it, does. Blocks this thread for the time of a
 * round trip, unless it knows. 0, NEAP_NOMEM or NEAP_BROKEN. */
int neap_proxy_tell_holder(struct neap_proxy *proxy, struct neap_owner *owner);
bool neap_proxy_is_held_by(const struct neap_proxy *proxy, const struct neap_owner *owner);
/* Of a rwlock: writes, or one of its reads. 0 or NEAP_NOT_OWNER. */
int neap_proxy_release_rwlock(struct neap_proxy *proxy, struct neap_owner *owner);

/* Makes `hold`, which is not held, one of `proxy`, for an operation that holds. It is given back by
 * neap_hold_give_back. */
void neap_proxy_hold_init(struct neap_hold *hold, struct neap_proxy *proxy);

/* By kind; without a name where proxies are made elsewhere, or the kind travels as itself. */
extern const struct neap_class neap_proxy_classes[NEAP_KIND_COUNT];

#endif
