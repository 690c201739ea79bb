/* holding: locks and rwlocks of other processes, as they are held here. The essay is in holding.c. */
#ifndef NEAP_HOST_HOLDING_H
#define NEAP_HOST_HOLDING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cell.h"
#include "core/object.h"
#include "core/owner.h"

struct neap_call;
struct neap_link;
struct neap_proxy;

/* Of a proxy: who holds it here. Of what is neither lock nor rwlock: nobody. */
struct neap_holding {
    struct neap_hold hold;               /* in the holder's list, on its thread */
    _Atomic(struct neap_owner *) holder; /* NULL: nobody here holds it. Exact for the holder's own thread; relaxed */
    uint32_t depth;                      /* levels; holder's thread */
    bool by_word;                        /* it has acquired it by itself; holder's thread */
    int64_t since;                       /* else: when it learnt that it holds; holder's thread */
    uint32_t party;                      /* as what: see OTHERS in sync/lock.c. Constant */
    struct neap_cell word;               /* which we may change ourselves; word.at is NULL: there is none. Constant */
};

/* --- by the owner's thread --- */

/* Gives up one level. 0 or NEAP_NOT_OWNER. */
int neap_holding_release(struct neap_proxy *proxy, struct neap_owner *owner);
/* All levels, at least one; returns how many. What was asked over there before has arrived when the lock is free.
 * RESTORE: it has just been acquired, and is to be held so deep. */
uint32_t neap_holding_release_all(struct neap_proxy *proxy, struct neap_owner *owner);
void neap_holding_restore(struct neap_proxy *proxy, uint32_t depth);
/* The process that it belongs to is to know that `owner`, who holds it, does. Blocks this thread for the time of a
 * round trip, unless it knows. 0, NEAP_NOMEM or NEAP_BROKEN. */
int neap_holding_tell(struct neap_proxy *proxy, struct neap_owner *owner);
bool neap_holding_is_by(const struct neap_proxy *proxy, const struct neap_owner *owner);
/* Of a rwlock: writes, or one of its reads. 0 or NEAP_NOT_OWNER. */
int neap_holding_release_rwlock(struct neap_proxy *proxy, struct neap_owner *owner);

/* --- for the proxy --- */

/* Its import and constants are there. */
void neap_holding_init(struct neap_proxy *proxy, uint8_t kind);
void neap_holding_fini(struct neap_holding *holding);

/* Can it be acquired without asking? Then QUICK and HINT are as the class's functions of these names. */
static inline bool neap_holding_has_word(const struct neap_holding *holding) { return holding->word.at != NULL; }
enum neap_quick neap_holding_quick(struct neap_proxy *proxy, struct neap_link *link);
bool neap_holding_hint(const struct neap_proxy *proxy);

/* What the owner of `link` holds already is decided here: true, with the result. Of any proxy. */
bool neap_holding_decide(struct neap_proxy *proxy, struct neap_link *link);

/* `link` is going to wait: what it needs to hold is made. Guard held. 0 or NEAP_NOMEM. Of any proxy but a barrier's. */
int neap_holding_prepare(struct neap_link *link);
/* It does not come to hold it: drops that. */
void neap_holding_drop(struct neap_link *link);
/* It has been served, and holds the lock or rwlock from now on. The owner's thread. */
void neap_holding_begin(struct neap_link *link);

/* Somebody who asks through us releases or abandons it. */
void neap_holding_serve_lock(struct neap_object *object, struct neap_call *call);
void neap_holding_serve_rwlock(struct neap_object *object, struct neap_call *call);

#endif
