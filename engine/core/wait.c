/* wait: every blocking operation is one of these.
 *
 * PURPOSE     A task (or a host's thread) waits on some objects until one of them serves it, its deadline passes, or it
 *             is asked to look at its cancellations; exactly one of these happens, and no value is lost or doubled.
 *
 * MODEL       A wait has one link per object. A link says what is wanted (its op and operands) and takes the result.
 *             The core knows neither tasks nor Lua: when a wait has been claimed its run() is queued on its loop, or
 *             called at once where there is no loop.
 *
 * STATES      IDLE -> OPEN -> WOKEN + i | TIMEDOUT | INTERRUPTED -> IDLE
 *             The owner's thread makes the first and the last step (neap_wait_begin, neap_wait_end); the middle one is
 *             the claim.
 *
 * CLAIMING    A claim is one compare-and-swap from OPEN. WOKEN is claimed by any thread, holding the guard of
 *             the object that serves, and the value is handed over under the same guard. TIMEDOUT and
 *             INTERRUPTED are claimed by the owner's own thread only: a canceller elsewhere posts to the
 *             owner's loop and the claim is made there.
 *
 *             A wait on one object that is local is claimed without the compare-and-swap: all who could claim it run on
 *             the owner's thread. sync/meeting.h does so where two tasks of one thread meet at a channel.
 *
 *             A wait that has a link on an object of another process is claimed by its ticket instead, by everybody
 *             (ticket.c). Who claims it there cannot write here: `state` follows when its word comes back
 *             (neap_link_complete). When such a request is served, a wait here stands for the one over there, under
 *             the same ticket. That one is open already when its operation is tried, so attempt commits: it claims it
 *             just before it changes anything. If that one is not to wait, the wait here is TIMEDOUT when there is
 *             nothing left to serve it, under the guard; the ticket, under which others may be tried, is left alone.
 *
 * INVARIANTS  1. A wait is claimed exactly once between begin and end; who claims it queues it, nobody else.
 *             2. A link that stands in an object's list belongs to a wait that has not ended.
 *             3. A claimer fills in the winner's results before it queues the wait; the owner reads them after.
 *             4. Values are moved only by who claimed: a loser leaves both sides as they were.
 *             5. A link is linked and unlinked under its object's guard only.
 *
 * WHY A VALUE IS NEVER LOST   Sender: under the guard, claims the receiver, then moves the
 *                             message into its link (4). If the
 *             claim fails the message has not been touched and the next receiver is tried. Receiver timing out: its
 *             own claim fails if the sender was first, and then it has the value; if it succeeds no sender can claim
 *             it any more, and it unlinks (5).
 *
 * SELECT      Waits on several links at once: see links.h.
 *
 * SPINNING    Before it parks it may look for a while: see spin.c.
 *
 * LOCKS       The guards of objects, in the order of addresses. Nothing is called while one is held but the class's own
 *             functions; waking is put off to after (neap_batch).
 *
 * REJECTED    Claiming timeouts from a timer thread (two threads touch the timers); a lock per wait
 *             (two locks per hand-over, and an order between them); a separate queue record allocated
 *             per park (an allocation per wait). */
#include "core/wait.h"

#include <stddef.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/links.h"
#include "core/loop.h"
#include "core/remote.h"
#include "core/spin.h"
#include "core/ticket.h"

enum { SINCE_SHIFT = 24 }; /* the unit of `since`: 2^24 ns */

void neap_wait_init(struct neap_wait *wait, struct neap_loop *loop, struct neap_owner *owner,
                    void (*run)(struct neap_runnable *runnable)) {
    wait->runnable.next = NULL;
    wait->runnable.run = run;
    atomic_init(&wait->state, NEAP_WAIT_IDLE);
    wait->timer = NEAP_NO_TIMER;
    wait->since = 0;
    wait->loop = loop;
    wait->acts = owner != NULL;
    if (owner != NULL)
        wait->other = owner;
    else
        neap_owner_init(&wait->own);
    wait->links = NULL;
    wait->link_count = 0;
    wait->ticket = NULL;
}

int64_t neap_wait_age(const struct neap_wait *wait, int64_t now) {
    return (int64_t)((uint32_t)(now >> SINCE_SHIFT) - wait->since) << SINCE_SHIFT;
}

/* By its ticket, as `by`. */
static bool claim_ticket(struct neap_wait *wait, uint32_t outcome, uint32_t by) {
    if (atomic_load_explicit(&wait->state, memory_order_relaxed) != NEAP_WAIT_OPEN ||
        !neap_ticket_claim(wait->ticket, by))
        return false;
    atomic_store_explicit(&wait->state, outcome, memory_order_release);
    return true;
}

static inline bool claim(struct neap_wait *wait, uint32_t outcome) {
    uint32_t expected = NEAP_WAIT_OPEN;
    if (wait->ticket != NULL) return claim_ticket(wait, outcome, NEAP_TICKET_SELF);
    return atomic_compare_exchange_strong_explicit(&wait->state, &expected, outcome, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* Queues a claimed wait. */
static void wake(struct neap_wait *wait) {
    struct neap_loop *loop = wait->loop;
    if (loop == NULL) {
        wait->runnable.run(&wait->runnable);
    } else if (loop == neap_loop_here) {
        neap_loop_push(loop, &wait->runnable);
    } else {
        int code = neap_mailbox_post(loop->mailbox, &wait->runnable);
        NEAP_ASSERT(code == 0, "a loop outlives its open waits");
        (void)code;
    }
}

void neap_batch_flush(struct neap_batch *batch) {
    struct neap_runnable *runnable = batch->first;
    while (runnable != NULL) {
        struct neap_runnable *next = runnable->next;
        wake(NEAP_CONTAINER_OF(runnable, struct neap_wait, runnable));
        runnable = next;
    }
}

/* --- for classes --- */

/* A wait on nothing but one local object can be claimed by no other thread: see CLAIMING. */
static bool claim_local(struct neap_wait *wait) {
    if (atomic_load_explicit(&wait->state, memory_order_relaxed) != NEAP_WAIT_OPEN) return false;
    atomic_store_explicit(&wait->state, NEAP_WAIT_WOKEN, memory_order_relaxed);
    return true;
}

static uint32_t index_of(const struct neap_link *link) { return (uint32_t)(link - link->wait->links); }

static uint32_t by_of(const struct neap_link *link) { return link->wait->ticket->by + index_of(link); }

static bool claim_for(struct neap_link *link) {
    struct neap_wait *wait = link->wait;
    if (wait->ticket != NULL) return claim_ticket(wait, NEAP_WAIT_WOKEN + index_of(link), by_of(link));
    if (!link->object->shared && wait->link_count == 1) return claim_local(wait);
    return claim(wait, NEAP_WAIT_WOKEN + index_of(link));
}

/* Its wait has been claimed for `link`. */
static void win(struct neap_link *link) {
    neap_list_remove(&link->node);
    link->result = 0;
}

/* Its ticket is taken: `state` follows. */
static void win_by_ticket(struct neap_link *link) {
    atomic_store_explicit(&link->wait->state, NEAP_WAIT_WOKEN + index_of(link), memory_order_release);
    win(link);
}

bool neap_link_claim(struct neap_link *link) {
    if (!claim_for(link)) return false;
    win(link);
    return true;
}

struct neap_link *neap_waiters_claim(struct neap_list *waiters) {
    while (!neap_list_is_empty(waiters)) {
        struct neap_link *link = NEAP_CONTAINER_OF(waiters->next, struct neap_link, node);
        if (neap_link_claim(link)) return link;
        neap_list_remove(&link->node); /* claimed elsewhere; its owner finds it unlinked */
    }
    return NULL;
}

void neap_waiters_claim_all(struct neap_list *waiters, int result, struct neap_batch *batch) {
    struct neap_link *link;
    while ((link = neap_waiters_claim(waiters)) != NULL) {
        link->result = result;
        neap_batch_add(batch, link->wait);
    }
}

/* --- tickets --- */

bool neap_link_commit_foreign(struct neap_link *link) {
    if (atomic_load_explicit(&link->wait->state, memory_order_relaxed) >= NEAP_WAIT_WOKEN)
        return true; /* by exchange */
    if (neap_link_claim(link)) return true;
    link->result = NEAP_GONE;
    return false;
}

bool neap_link_hold(struct neap_link *link) {
    if (neap_ticket_hold(link->wait->ticket)) return true;
    link->result = NEAP_GONE;
    return false;
}

void neap_link_settle(struct neap_link *link, bool served) {
    if (!served) {
        neap_ticket_let_go(link->wait->ticket);
        return;
    }
    neap_ticket_take(link->wait->ticket, by_of(link));
    win_by_ticket(link);
}

enum exchange { BOTH, OWN_GONE, OTHER_GONE };

/* Claims both waits or neither; `own` has a ticket, and they are not one wait. See PAIRS in ticket.c. */
static enum exchange claim_both(struct neap_link *own, struct neap_link *other) {
    const struct neap_ticket *ticket = own->wait->ticket, *second = other->wait->ticket;
    if (second == NULL || ticket->place < second->place) {
        if (!neap_ticket_hold(ticket)) return OWN_GONE;
        if (!neap_link_claim(other)) {
            neap_ticket_let_go(ticket);
            return OTHER_GONE;
        }
        neap_ticket_take(ticket, by_of(own));
    } else {
        if (!neap_ticket_hold(second)) return OTHER_GONE;
        if (!neap_ticket_claim(ticket, by_of(own))) {
            neap_ticket_let_go(second);
            return OWN_GONE;
        }
        neap_ticket_take(second, by_of(other));
        win_by_ticket(other);
    }
    win_by_ticket(own);
    return BOTH;
}

/* A select of another process on both sides of one channel. */
static bool is_same_wait(const struct neap_link *a, const struct neap_link *b) {
    return b->wait->ticket != NULL && a->wait->ticket->place == b->wait->ticket->place;
}

struct neap_link *neap_waiters_exchange_foreign(struct neap_list *waiters, struct neap_link *link) {
    for (struct neap_list *node = waiters->next, *next; node != waiters; node = next) {
        struct neap_link *other = NEAP_CONTAINER_OF(node, struct neap_link, node);
        next = node->next;
        if (is_same_wait(link, other)) continue;
        enum exchange done = claim_both(link, other);
        if (done == BOTH) return other;
        if (done == OWN_GONE) {
            link->result = NEAP_GONE;
            return NULL;
        }
        neap_list_remove(node); /* claimed elsewhere; its owner finds it unlinked */
    }
    return NULL;
}

bool neap_link_complete(struct neap_link *link, bool unread) {
    struct neap_wait *wait = link->wait;
    if (wait->ticket == NULL) return neap_link_claim(link);
    if (atomic_load_explicit(&wait->state, memory_order_relaxed) != NEAP_WAIT_OPEN ||
        !neap_ticket_settle(wait->ticket, by_of(link), unread))
        return false;
    win_by_ticket(link);
    return true;
}

/* A ticket for a wait on objects of other processes. False: no memory, or there are too many links. */
static bool take_ticket(struct neap_wait *wait, const struct neap_link *links, uint32_t count) {
    if (wait->ticket != NULL) return true; /* stands for one of another process */
    const struct neap_object *remote = NULL;
    uint32_t tries = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (links[i].object->class->board == NULL) continue;
        remote = links[i].object;
        if (links[i].op & NEAP_OP_TRY) tries++;
    }
    if (remote == NULL) return true;
    if (count > NEAP_TICKET_LINKS) return false;
    wait->ticket = neap_ticket_open(remote->class->board(remote), tries);
    return wait->ticket != NULL;
}

/* Guard held. */
static void unlist(struct neap_link *link, struct neap_batch *batch) {
    const struct neap_class *class = link->object->class;
    if (!neap_list_is_linked(&link->node)) return;
    neap_list_remove(&link->node);
    if (class->withdrawn != NULL) class->withdrawn(link->object, link, batch);
}

/* Guard held: the wait, which stands for one of another process, ends here; that one goes on. */
static void dismiss(struct neap_link *link, struct neap_batch *batch) {
    unlist(link, batch);
    atomic_store_explicit(&link->wait->state, NEAP_WAIT_TIMEDOUT, memory_order_release);
    neap_batch_add(batch, link->wait);
}

void neap_waiters_dismiss(struct neap_list *waiters, struct neap_batch *batch) {
    for (struct neap_list *node = waiters->next, *next; node != waiters; node = next) {
        struct neap_link *link = NEAP_CONTAINER_OF(node, struct neap_link, node);
        next = node->next;
        if (link->mode == NEAP_LINK_TRYING) dismiss(link, batch);
    }
}

/* The last one ends the wait; but one that stands for another does not know whether it is the last. */
bool neap_link_refuse(struct neap_link *link, struct neap_batch *batch) {
    struct neap_ticket *ticket = link->wait->ticket;
    if (link->mode == NEAP_LINK_TRYING) {
        dismiss(link, batch);
        return false;
    }
    if (ticket == NULL || atomic_fetch_sub_explicit(&ticket->tries, 1, memory_order_relaxed) <= 1) return true;
    neap_list_remove(&link->node);
    return false;
}

/* False: who has served the wait has taken back what he gave. */
static bool drop_ticket(struct neap_wait *wait) {
    if (wait->ticket == NULL) return true;
    bool received = neap_ticket_close(wait->ticket);
    wait->ticket = NULL;
    return received;
}

/* Both sides have given up on each other: see RECEIPT in ticket.c. */
static void lose(struct neap_link *link) {
    if (link->result != 0) return;
    neap_message_fini(&link->message);
    link->result = NEAP_BROKEN;
}

/* --- trying --- */

/* All but the node: for a link that is enlisted at once. */
static void prepare_to_enlist(struct neap_wait *wait, struct neap_link *link) {
    NEAP_ASSERT(atomic_load(&wait->state) == NEAP_WAIT_IDLE, "wait 1: a wait ends before it begins again");
    link->wait = wait;
    link->result = 0;
    link->mode = NEAP_LINK_PLAIN;
}

static void prepare(struct neap_wait *wait, struct neap_link *link) {
    prepare_to_enlist(wait, link);
    neap_list_init(&link->node);
}

static bool attempt_local(struct neap_wait *wait, struct neap_link *link) {
    struct neap_batch batch = {NULL, NULL};
    prepare(wait, link);
    neap_object_check_home(link->object);
    bool done = link->object->class->attempt(link->object, link, &batch);
    if (batch.first != NULL) neap_batch_flush(&batch);
    return done;
}

bool neap_wait_attempt(struct neap_wait *wait, struct neap_link *link) {
    if (!link->object->shared) return attempt_local(wait, link);
    struct neap_batch batch = {NULL, NULL};
    prepare(wait, link);
    enum neap_quick quick = neap_link_try_quick(link);
    if (quick == NEAP_QUICK_DONE || quick == NEAP_QUICK_LATER) return quick == NEAP_QUICK_DONE;
    neap_object_lock(link->object);
    bool done = link->object->class->attempt(link->object, link, &batch);
    neap_object_unlock(link->object);
    neap_batch_flush(&batch);
    return done;
}

/* --- opening --- */

static int open_timer(struct neap_wait *wait, int64_t deadline) {
    if (deadline == NEAP_FOREVER || wait->loop == NULL) return 0;
    return neap_timers_add(&wait->loop->timers, wait, deadline);
}

static void close_timer(struct neap_wait *wait) {
    if (wait->timer != NEAP_NO_TIMER) neap_timers_remove(&wait->loop->timers, wait);
}

/* What must be there before a wait can be opened: 0 or NEAP_NOMEM. */
static int prepare_open(struct neap_wait *wait, struct neap_link *links, uint32_t count, int64_t deadline) {
    if (!take_ticket(wait, links, count)) return NEAP_NOMEM;
    int code = open_timer(wait, deadline);
    if (code != 0) drop_ticket(wait);
    return code;
}

static void open_wait(struct neap_wait *wait, struct neap_link *links, uint32_t count) {
    wait->links = links;
    wait->link_count = count & INT32_MAX;
    wait->since = (uint32_t)((wait->loop != NULL ? wait->loop->now : neap_clock_now()) >> SINCE_SHIFT);
    atomic_store_explicit(&wait->state, NEAP_WAIT_OPEN, memory_order_release);
}

/* Guard held where there is one: attempt has refused. */
static int open_one(struct neap_wait *wait, struct neap_link *link, int64_t deadline) {
    if (deadline <= 0) return NEAP_TIMEOUT;
    int code = prepare_open(wait, link, 1, deadline);
    if (code != 0) return code;
    open_wait(wait, link, 1);
    link->object->class->enlist(link->object, link);
    return NEAP_PARKED;
}

/* No guard held. */
static int opened(struct neap_link *link, int code) {
    const struct neap_class *class = link->object->class;
    if (code == NEAP_PARKED && class->enlisted != NULL) class->enlisted(link->object, link);
    return code;
}

static __attribute__((noinline)) int park_slowly(struct neap_wait *wait, struct neap_link *link, int64_t deadline) {
    return opened(link, open_one(wait, link, deadline));
}

int neap_wait_park(struct neap_wait *wait, struct neap_link *link, int64_t deadline) {
    struct neap_object *object = link->object;
    const struct neap_class *class = object->class;
    prepare_to_enlist(wait, link);
    if (deadline != NEAP_FOREVER || wait->loop == NULL || class->board != NULL || class->enlisted != NULL)
        return park_slowly(wait, link, deadline);
    open_wait(wait, link, 1);
    class->enlist(object, link);
    return NEAP_PARKED;
}

static int begin_shared(struct neap_wait *wait, struct neap_link *link, int64_t deadline) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_object *object = link->object;
    prepare(wait, link);
    enum neap_quick quick = neap_link_try_quick(link);
    bool waits = quick != NEAP_QUICK_DONE && deadline > 0 && wait->loop != NULL;
    if (waits && quick == NEAP_QUICK_SOON)
        quick = neap_spin_watch(wait->loop, link);
    else if (waits && neap_spin_is_worth_it(wait->loop, link))
        quick = neap_spin_look(wait->loop, link, quick);
    if (quick == NEAP_QUICK_DONE) return 0;
    if (quick == NEAP_QUICK_LATER && deadline <= 0) return NEAP_TIMEOUT;
    neap_object_lock(object);
    bool done = object->class->attempt(object, link, &batch);
    int code = done ? 0 : open_one(wait, link, deadline);
    neap_object_unlock(object);
    neap_batch_flush(&batch);
    return opened(link, code);
}

static int begin_one(struct neap_wait *wait, struct neap_link *link, int64_t deadline) {
    if (link->object->shared) return begin_shared(wait, link, deadline);
    return attempt_local(wait, link) ? 0 : neap_wait_park(wait, link, deadline);
}

static int begin_many(struct neap_wait *wait, struct neap_link *links, uint32_t count, int64_t deadline) {
    struct neap_batch batch = {NULL, NULL};
    int code = 0;
    for (uint32_t i = 0; i < count; i++) prepare(wait, &links[i]);
    neap_links_look(links, count);
    neap_links_lock(links, count);
    int served = neap_links_attempt(links, count, &batch);
    if (served < 0 && deadline > 0) {
        code = prepare_open(wait, links, count, deadline);
        if (code == 0) {
            open_wait(wait, links, count);
            for (uint32_t i = 0; i < count; i++) links[i].object->class->enlist(links[i].object, &links[i]);
            served = NEAP_PARKED;
        }
    }
    neap_links_unlock(links, count);
    neap_batch_flush(&batch);
    if (code != 0) return code;
    for (uint32_t i = 0; served == NEAP_PARKED && i < count; i++)
        if (links[i].object->class->enlisted != NULL) links[i].object->class->enlisted(links[i].object, &links[i]);
    return served;
}

int neap_wait_sleep(struct neap_wait *wait, int64_t deadline) {
    if (deadline <= 0) return NEAP_TIMEOUT;
    int code = open_timer(wait, deadline);
    if (code != 0) return code;
    open_wait(wait, NULL, 0);
    return NEAP_PARKED;
}

/* Guard held: attempt has refused a link of another process that is not to wait. */
static bool is_awaiting(const struct neap_link *link) {
    return link->object->class->awaits != NULL && link->object->class->awaits(link->object, link);
}

int neap_wait_serve(struct neap_wait *wait, struct neap_link *link, bool once) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_object *object = link->object;
    prepare(wait, link);
    link->mode = NEAP_LINK_FOREIGN;
    open_wait(wait, link, 1);
    neap_object_lock(object);
    bool done = object->class->attempt(object, link, &batch);
    bool gone = !done && link->result == NEAP_GONE, parked = !done && !gone && (!once || is_awaiting(link));
    link->mode = once ? NEAP_LINK_TRYING : NEAP_LINK_PLAIN;
    if (parked) object->class->enlist(object, link);
    neap_object_unlock(object);
    if (batch.first != NULL) neap_batch_flush(&batch);
    if (parked && object->class->enlisted != NULL) object->class->enlisted(object, link);
    if (parked) return NEAP_PARKED;
    atomic_store_explicit(&wait->state, NEAP_WAIT_IDLE, memory_order_relaxed);
    if (done) return 0;
    return gone ? NEAP_GONE : NEAP_TIMEOUT;
}

int neap_wait_begin(struct neap_wait *wait, struct neap_link *links, uint32_t count, int64_t deadline) {
    if (count == 1) return begin_one(wait, links, deadline);
    return count == 0 ? neap_wait_sleep(wait, deadline) : begin_many(wait, links, count, deadline);
}

/* --- ending --- */

bool neap_wait_interrupt(struct neap_wait *wait, enum neap_wait_state outcome) {
    if (!claim(wait, (uint32_t)outcome)) return false;
    wake(wait);
    return true;
}

/* Claims for the owner's thread a wait on nothing, which nobody else can claim: without holding the processor up until
 * it has the record of a long sleeper. */
static bool claim_sleeping(struct neap_wait *wait, enum neap_wait_state outcome) {
    if (atomic_load_explicit(&wait->state, memory_order_relaxed) != NEAP_WAIT_OPEN) return false;
    atomic_store_explicit(&wait->state, outcome, memory_order_relaxed);
    return true;
}

bool neap_wait_expire(struct neap_wait *wait) {
    bool claimed = wait->link_count == 0 ? claim_sleeping(wait, NEAP_WAIT_TIMEDOUT) : claim(wait, NEAP_WAIT_TIMEDOUT);
    if (!claimed) return false;
    neap_loop_push_due(wait->loop, &wait->runnable);
    return true;
}

static void withdraw(struct neap_link *link) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(link->object);
    unlist(link, &batch);
    neap_object_unlock(link->object);
    neap_batch_flush(&batch);
}

/* Who serves it claims it under the guard, and takes the link out of its list there. */
bool neap_wait_withdraw(struct neap_wait *wait) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_link *link = wait->links;
    neap_object_lock(link->object);
    bool open = atomic_load_explicit(&wait->state, memory_order_relaxed) == NEAP_WAIT_OPEN;
    if (open) {
        unlist(link, &batch);
        atomic_store_explicit(&wait->state, NEAP_WAIT_IDLE, memory_order_relaxed);
    }
    neap_object_unlock(link->object);
    neap_batch_flush(&batch);
    return open;
}

/* `winner`: an index; of no link, when none served. */
static void withdraw_others(struct neap_wait *wait, uint32_t winner) {
    for (uint32_t i = 0; i < wait->link_count; i++)
        if (i != winner) withdraw(&wait->links[i]);
}

bool neap_wait_abandon(struct neap_wait *wait) {
    if (!claim(wait, NEAP_WAIT_INTERRUPTED)) return false;
    neap_wait_end(wait);
    return true;
}

int neap_wait_end(struct neap_wait *wait) {
    uint32_t outcome = atomic_load_explicit(&wait->state, memory_order_acquire);
    NEAP_ASSERT(outcome > NEAP_WAIT_OPEN, "wait 1: a wait ends after it was claimed");
    close_timer(wait);
    if (outcome < NEAP_WAIT_WOKEN)
        withdraw_others(wait, UINT32_MAX);
    else if (wait->link_count > 1)
        withdraw_others(wait, outcome - NEAP_WAIT_WOKEN);
    bool received = drop_ticket(wait);
    atomic_store_explicit(&wait->state, NEAP_WAIT_IDLE, memory_order_relaxed);
    wait->link_count = 0;
    if (outcome < NEAP_WAIT_WOKEN) return outcome == NEAP_WAIT_TIMEDOUT ? NEAP_TIMEOUT : NEAP_CANCELLED;
    struct neap_link *winner = &wait->links[outcome - NEAP_WAIT_WOKEN];
    const struct neap_class *class = winner->object->class;
    if (!received) lose(winner);
    if (class->resumed != NULL) class->resumed(winner->object, winner);
    return (int)(outcome - NEAP_WAIT_WOKEN);
}
