/* wait: one blocking operation of one owner. The essay is in wait.c. */
#ifndef NEAP_CORE_WAIT_H
#define NEAP_CORE_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/list.h"
#include "core/message.h"
#include "core/object.h"
#include "core/owner.h"

struct neap_hold;
struct neap_loan;
struct neap_loop;
struct neap_returned;
struct neap_ticket;

/* Something that a loop will run once. `next` belongs to the queue that it is in. */
struct neap_runnable {
    struct neap_runnable *next;
    void (*run)(struct neap_runnable *runnable);
};

enum neap_wait_state {
    NEAP_WAIT_IDLE,        /* not waiting; the owner may do with the record what it likes */
    NEAP_WAIT_OPEN,        /* waiting: whoever moves it on has claimed it */
    NEAP_WAIT_TIMEDOUT,    /* its deadline came first */
    NEAP_WAIT_INTERRUPTED, /* its owner is asked to look at its cancellations */
    NEAP_WAIT_WOKEN        /* served through its first link; WOKEN + i: through links[i] */
};

enum neap_link_mode {
    NEAP_LINK_PLAIN,
    NEAP_LINK_FOREIGN, /* served for another process: to be committed, see neap_link_commit */
    NEAP_LINK_TRYING,  /* enlisted for another process, though it is not to wait: see neap_class.awaits */
    NEAP_LINK_LOOKING  /* quick has said NEAP_QUICK_SOON: for the class */
};

/* One object that a wait waits on. The waiting side fills in object, op and the operands;
 * results come back in place. */
struct neap_link {
    struct neap_list node;       /* in a list of the object; under its guard */
    struct neap_wait *wait;      /* set by neap_wait_* */
    struct neap_object *object;  /* kept alive by the caller for as long as the wait lasts */
    struct neap_message message; /* operand (what to send) or result (what was received) */
    union {
        double priority; /* operand and result of queues */
        int64_t number;  /* result (arrival index) */
    };
    union {
        struct neap_hold *hold; /* operand and result of what is held; see the classes */
        /* Foreign, of who receives: for what comes back; owned by who serves it. See sync/returned.h. */
        struct neap_returned *room;
    };
    union {
        uint64_t turn;          /* result of what takes something out: when it left; see sync/returned.h, sync/dict.h */
        uint64_t request;       /* of a proxy: what it has asked for the link; see host/request.h */
        struct neap_loan *loan; /* foreign: what is lent to whom it is served for; NULL: nothing. See sync/loan.c */
    };
    int result;   /* 0 or a code: how the operation ended */
    uint8_t op;   /* the class's own number of the operation */
    bool guarded; /* neap_wait_begin holds the object's guard through this link */
    uint8_t mode; /* enum neap_link_mode, PLAIN at first. Owner's thread */
    uint8_t mark; /* free for who embeds it */
};

struct neap_wait {
    struct neap_runnable runnable; /* queued on the loop by whoever claimed it; run() is the owner's */
    _Atomic uint32_t state;        /* enum neap_wait_state, or more; see CLAIMING in wait.c */
    uint32_t timer;                /* place in the loop's timers, or NEAP_NO_TIMER; owner's thread */
    uint32_t since;                /* when it parked, see neap_wait_age; owner's thread */
    uint32_t link_count : 31;      /* of links */
    uint32_t acts : 1;             /* in the name of another owner. Constant */
    struct neap_loop *loop; /* constant; NULL: run() is called at once, by the waker's thread (a host's C thread) */
    union {                 /* in whose name locks are taken: */
        struct neap_owner own;
        struct neap_owner *other; /* if it acts. Constant */
    };
    struct neap_link *links; /* of the open wait; NULL while sleeping */
    /* How other processes claim it, and then everyone does; NULL: none can. While it is open. */
    struct neap_ticket *ticket;
};

#define NEAP_NO_TIMER UINT32_MAX

static inline struct neap_owner *neap_wait_owner(const struct neap_wait *wait) {
    return wait->acts ? wait->other : (struct neap_owner *)&wait->own;
}

/* Waits to be queued on their loops once a guard has been let go. */
struct neap_batch {
    struct neap_runnable *first, *last;
};

/* `owner`: in whose name it waits; NULL: in its own. `run` is called on `loop`'s thread when the wait has been claimed
 * (NULL loop: on the claimer's). */
void neap_wait_init(struct neap_wait *wait, struct neap_loop *loop, struct neap_owner *owner,
                    void (*run)(struct neap_runnable *runnable));

/* Tries the operation of `link` now, without waiting: true when it was carried out (link->result says how).
 * Owner's thread. */
bool neap_wait_attempt(struct neap_wait *wait, struct neap_link *link);

/* Tries the operation of each link, all in one moment and in fair order; if none can be carried out and `deadline` has
 * not passed, leaves the wait open on all of them. Returns the index of the link that was served, NEAP_TIMEOUT, or
 * NEAP_PARKED: then run() follows exactly once, and neap_wait_end must be called before the wait or a link is used
 * again. `links` must stay where they are until then. count 0 only sleeps. Owner's thread; no guard held. */
int neap_wait_begin(struct neap_wait *wait, struct neap_link *links, uint32_t count, int64_t deadline);

/* Begins with no link at all, and only sleeps. */
int neap_wait_sleep(struct neap_wait *wait, int64_t deadline);

/* The rest of begin for one link of a local object, which neap_wait_attempt has just refused or would refuse. */
int neap_wait_park(struct neap_wait *wait, struct neap_link *link, int64_t deadline);

enum { NEAP_PARKED = 1 << 30 };

/* After run(): withdraws from the objects that did not serve. Returns the index of the link that was served,
 * NEAP_TIMEOUT, or NEAP_CANCELLED when it was interrupted. Owner's thread. */
int neap_wait_end(struct neap_wait *wait);

/* The same where the wait was served, through its only link, by an object that has nothing to do about it: true, and it
 * has ended. Else false, and neap_wait_end is to be called. */
static inline bool neap_wait_end_served(struct neap_wait *wait) {
    if (atomic_load_explicit(&wait->state, memory_order_acquire) != NEAP_WAIT_WOKEN || wait->link_count != 1 ||
        wait->timer != NEAP_NO_TIMER || wait->ticket != 0 || wait->links->object->class->resumed != 0)
        return false;
    atomic_store_explicit(&wait->state, NEAP_WAIT_IDLE, memory_order_relaxed);
    wait->link_count = 0;
    return true;
}

/* Claims an open wait for `outcome` and queues it. False when it was not open, or somebody else was faster.
 * Owner's thread. */
bool neap_wait_interrupt(struct neap_wait *wait, enum neap_wait_state outcome);

/* The same, for its loop, when the deadline has passed. */
bool neap_wait_expire(struct neap_wait *wait);

/* Claims an open wait and ends it at once: run() does not follow. False when it was not open, or somebody else was
 * faster: then run() comes. Owner's thread. */
bool neap_wait_abandon(struct neap_wait *wait);

/* On behalf of a wait of another process, whose ticket is `wait`'s (loop NULL): tries the operation of `link`, and
 * leaves the wait open on it; `once`: only as long as something is under way that may serve it (neap_class.awaits).
 * Returns 0: served, run() does not follow; NEAP_TIMEOUT: not now; NEAP_GONE: that wait has been claimed already;
 * NEAP_PARKED: run() follows if it is served, or nothing is under way any more, and then neap_wait_end must be called,
 * which says so (NEAP_TIMEOUT); or neap_wait_withdraw before. Any thread, no guard held. */
int neap_wait_serve(struct neap_wait *wait, struct neap_link *link, bool once);
/* What neap_wait_serve has left open is to be served no more: false when it has been,
 * and run() has been or will be called. */
bool neap_wait_withdraw(struct neap_wait *wait);

/* For how long an open wait has been parked, in nanoseconds, to 17 ms; right for two years. Owner's thread. */
int64_t neap_wait_age(const struct neap_wait *wait, int64_t now);

/* --- for the classes of objects that are waited on; guard held --- */

/* Claims the first wait in `waiters` that is still to be had, takes its link out of the list and returns it; NULL when
 * there is none. The caller fills in the link's results and adds link->wait to its batch. */
struct neap_link *neap_waiters_claim(struct neap_list *waiters);
/* Claims `link`'s wait, wherever it stands in its list; false when somebody else has. */
bool neap_link_claim(struct neap_link *link);
/* The same for attempt, which serves `link` itself in exchange: claims the first that is still to be had together with
 * `link`, when that needs it. NULL when there is none, or NEAP_GONE is link->result. */
struct neap_link *neap_waiters_exchange_foreign(struct neap_list *waiters, struct neap_link *link);
static inline struct neap_link *neap_waiters_exchange(struct neap_list *waiters, struct neap_link *link) {
    if (neap_list_is_empty(waiters)) return 0;
    return link->mode == NEAP_LINK_FOREIGN ? neap_waiters_exchange_foreign(waiters, link) : neap_waiters_claim(waiters);
}
/* For attempt, when nothing can come between any more and nothing has been changed yet: may `link` be served? False:
 * whoever it was tried for has been served elsewhere; attempt returns false. */
bool neap_link_commit_foreign(struct neap_link *link);
static inline bool neap_link_commit(struct neap_link *link) {
    return link->mode != NEAP_LINK_FOREIGN || neap_link_commit_foreign(link);
}
/* For attempt, where what is to be served may slip away: nobody else can claim the wait of `link`, which is foreign,
 * until it is settled: served, or as before. False: it has been, and link->result is NEAP_GONE. Not for one without a
 * ticket. Nothing is waited for in between. */
bool neap_link_hold(struct neap_link *link);
void neap_link_settle(struct neap_link *link, bool served);
/* For proxies: the process that was asked says that it has claimed `link`'s wait, or could not serve it; `unread`: it
 * may have claimed it, but what it gave for that is not to be had (it is dead, or there is no memory). False when it
 * was claimed elsewhere. Takes the link out of its list; the caller fills in the results. */
bool neap_link_complete(struct neap_link *link, bool unread);
/* For proxies: the process that was asked whether `link` can be served now has said no. True: so have all, and the wait
 * is to be completed with NEAP_TIMEOUT; false: the link has been taken out of its list, and dismissed if it stands for
 * another process. */
bool neap_link_refuse(struct neap_link *link, struct neap_batch *batch);
/* Those in `waiters` that are not to wait (NEAP_LINK_TRYING) do so no longer: they leave the list unserved. Their
 * tickets are left alone. */
void neap_waiters_dismiss(struct neap_list *waiters, struct neap_batch *batch);
/* Claims all, gives each `result`, and adds them to `batch`. */
void neap_waiters_claim_all(struct neap_list *waiters, int result, struct neap_batch *batch);

static inline void neap_batch_add(struct neap_batch *batch, struct neap_wait *wait) {
    wait->runnable.next = 0;
    if (batch->first == 0)
        batch->first = &wait->runnable;
    else
        batch->last->next = &wait->runnable;
    batch->last = &wait->runnable;
}

/* Moves the waits of `more` to the end of `batch`. */
static inline void neap_batch_join(struct neap_batch *batch, struct neap_batch *more) {
    if (more->first == 0) return;
    if (batch->first == 0)
        batch->first = more->first;
    else
        batch->last->next = more->first;
    batch->last = more->last;
}

/* No guard held: queues every wait of the batch on its loop. */
void neap_batch_flush(struct neap_batch *batch);

#endif
