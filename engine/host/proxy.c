/* proxy: waiting on what is elsewhere.
 *
 * MODEL       A proxy is an object like any other: attempt, enlist, withdrawn. Only that its attempt says no, and that
 *             enlisting it asks the other process, which answers when it has claimed the wait by its ticket. So select,
 *             timeouts and cancellation are what they are everywhere.
 * AHEAD       What a channel of the other process has sent ahead (borrower.c) is received at once, without asking:
 *             `quick`, `attempt`.
 * CREDIT      What it has granted to be sent without asking is sent at once (debtor.c), in the same places. Not before
 *             those who wait here.
 * HOLDS       Who holds a lock of another process has its hold here, in the proxy: so a second acquire, levels of an
 *             rlock and releasing what one does not hold need not be asked. Releasing is told, and not waited for: it
 *             comes before whatever is asked of that process next. When an owner ends, its holds are given up one by
 *             one, as any. A rwlock has many readers: their records are in memory of their own.
 *             A free lock of a process that we are linked to is acquired, and released while nobody waits for it,
 *             without asking: in its word (OTHERS in sync/lock.c), or while it is open (OPEN there). What must be seen
 *             over there in order, as a release behind the wait on a condition, is told.
 * LOCKS       The guard of a proxy covers its list. What is asked is sent without it; that it is not wanted any more,
 *             with it: then it cannot overtake the answer's taking of the link. */
#include "host/proxy.h"

#include <stddef.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/acting.h"
#include "host/borrower.h"
#include "host/debtor.h"
#include "host/request.h"
#include "sync/barrier.h"
#include "sync/condition.h"
#include "sync/credit.h"
#include "sync/dict.h"
#include "sync/lock.h"
#include "sync/pipe.h"
#include "sync/queue.h"
#include "sync/rwlock.h"
#include "sync/semaphore.h"
#include "sync/sequence.h"

enum {
    KEPT_SIZE = 4096, /* bytes of a message that may stay over there a little */
    WAITERS_SEEN = 8  /* so many are looked at: see is_awaited */
};

struct reading {
    struct neap_hold hold;    /* in the reader's list */
    struct neap_owner *owner; /* the reader. Constant */
    uint32_t depth;           /* how often it reads; its thread */
};

static uint8_t kind_of(const struct neap_proxy *proxy) { return proxy->object.class->remote->kind; }

static uint8_t op_of(const struct neap_link *link) { return link->op & NEAP_OP_MASK; }

static struct neap_import *import_of(struct neap_object *object) { return &((struct neap_proxy *)object)->import; }

static struct neap_board *board_of(const struct neap_object *object) {
    return ((const struct neap_proxy *)object)->import.session->board;
}

struct neap_proxy *neap_proxy_of(struct neap_object *object) {
    return object->class->board == board_of ? (struct neap_proxy *)object : NULL;
}

/* --- holding --- */

static void tell(struct neap_proxy *proxy, uint8_t method, struct neap_owner *owner, int64_t number) {
    struct neap_call call = {.method = method, .owner = owner, .number = number};
    neap_message_clear(&call.message);
    neap_request_tell(&proxy->import, &call);
}

static void set_holder(struct neap_proxy *proxy, struct neap_owner *owner) {
    atomic_store_explicit(&proxy->holder, owner, memory_order_relaxed);
}

static struct neap_owner *holder_of(const struct neap_proxy *proxy) {
    return atomic_load_explicit(&proxy->holder, memory_order_relaxed);
}

bool neap_proxy_is_held_by(const struct neap_proxy *proxy, const struct neap_owner *owner) {
    return holder_of(proxy) == owner;
}

static struct neap_lock_shared *shared_of(const struct neap_proxy *proxy) { return proxy->word.at; }

/* NULL: there is none. */
static _Atomic uint64_t *word_of(const struct neap_proxy *proxy) {
    return shared_of(proxy) != NULL ? &shared_of(proxy)->word : NULL;
}

/* *word: what it says, if that is not what it was. */
static bool change_word(const struct neap_proxy *proxy, uint64_t *word, uint64_t next) {
    return atomic_compare_exchange_strong_explicit(word_of(proxy), word, next, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* The word of who holds by itself: from `holder` to free; false: somebody waits, and it is not open. */
static bool free_word(const struct neap_proxy *proxy, uint64_t holder, uint8_t method) {
    bool abandons = method == NEAP_LOCK_ABANDON;
    uint64_t word = holder;
    if (change_word(proxy, &word, abandons ? NEAP_LOCK_ABANDONED : 0)) return true;
    return !abandons && word == (holder | NEAP_LOCK_WAITED | NEAP_LOCK_OPEN) &&
           change_word(proxy, &word, NEAP_LOCK_WAITED);
}

/* Over there, in the order of what is asked. */
static void tell_let_go(struct neap_proxy *proxy, uint8_t method) {
    struct neap_owner *owner = holder_of(proxy);
    uint64_t holder = neap_lock_word(proxy->party, owner);
    set_holder(proxy, NULL);
    if (!proxy->by_word)
        tell(proxy, method, owner, neap_clock_now() - proxy->since);
    else
        tell(proxy, method == NEAP_LOCK_ABANDON ? NEAP_LOCK_ABANDON_WORD : NEAP_LOCK_RELEASE_WORD, NULL,
             (int64_t)holder);
}

static void let_go(struct neap_proxy *proxy, uint8_t method) {
    struct neap_owner *owner = holder_of(proxy);
    if (!proxy->by_word) {
        tell_let_go(proxy, method);
        return;
    }
    set_holder(proxy, NULL);
    if (free_word(proxy, neap_lock_word(proxy->party, owner), method)) return;
    set_holder(proxy, owner);
    tell_let_go(proxy, method);
}

/* Locks and rwlocks have the same two methods. */
_Static_assert((int)NEAP_LOCK_RELEASE == (int)NEAP_RWLOCK_RELEASE && (int)NEAP_LOCK_ABANDON == (int)NEAP_RWLOCK_ABANDON,
               "one way to let go");

static void abandon_lock(struct neap_hold *hold) {
    let_go(NEAP_CONTAINER_OF(hold, struct neap_proxy, hold), NEAP_LOCK_ABANDON);
}

uint32_t neap_proxy_release_all(struct neap_proxy *proxy, struct neap_owner *owner) {
    uint32_t depth = proxy->depth;
    NEAP_ASSERT(neap_proxy_is_held_by(proxy, owner), "who releases holds");
    (void)owner;
    neap_hold_unlink(&proxy->hold);
    tell_let_go(proxy, NEAP_LOCK_RELEASE);
    neap_object_unref(&proxy->object); /* the hold's; the caller has one of its own */
    return depth;
}

int neap_proxy_release(struct neap_proxy *proxy, struct neap_owner *owner) {
    if (!neap_proxy_is_held_by(proxy, owner)) return NEAP_NOT_OWNER;
    if (--proxy->depth > 0) return 0;
    neap_hold_unlink(&proxy->hold);
    let_go(proxy, NEAP_LOCK_RELEASE);
    neap_object_unref(&proxy->object); /* the hold's; the caller has one of its own */
    return 0;
}

int neap_proxy_tell_holder(struct neap_proxy *proxy, struct neap_owner *owner) {
    struct neap_call call = {.owner = owner};
    if (!proxy->by_word) return 0;
    neap_message_clear(&call.message);
    call.number = (int64_t)neap_lock_word(proxy->party, owner);
    neap_proxy_call(proxy, NEAP_LOCK_ADOPT, &call);
    neap_message_fini(&call.message);
    if (call.result == 0) proxy->by_word = false;
    return call.result;
}

void neap_proxy_restore(struct neap_proxy *proxy, uint32_t depth) { proxy->depth = depth; }

/* --- readers --- */

static void abandon_reading(struct neap_hold *hold);

static struct reading *find_reading(struct neap_proxy *proxy, struct neap_owner *owner) {
    for (struct neap_hold *hold = owner->held; hold != NULL; hold = hold->next)
        if (hold->object == &proxy->object && hold->abandon == abandon_reading)
            return NEAP_CONTAINER_OF(hold, struct reading, hold);
    return NULL;
}

/* Out of its owner's list. */
static void stop_reading(struct reading *reading, uint8_t method) {
    struct neap_proxy *proxy = (struct neap_proxy *)reading->hold.object;
    tell(proxy, method, reading->owner, 0);
    neap_free(reading);
}

static void abandon_reading(struct neap_hold *hold) {
    stop_reading(NEAP_CONTAINER_OF(hold, struct reading, hold), NEAP_RWLOCK_ABANDON);
}

int neap_proxy_release_rwlock(struct neap_proxy *proxy, struct neap_owner *owner) {
    if (neap_proxy_is_held_by(proxy, owner)) {
        neap_proxy_release_all(proxy, owner);
        return 0;
    }
    struct reading *reading = find_reading(proxy, owner);
    if (reading == NULL) return NEAP_NOT_OWNER;
    if (--reading->depth > 0) return 0;
    neap_hold_unlink(&reading->hold);
    stop_reading(reading, NEAP_RWLOCK_RELEASE);
    neap_object_unref(&proxy->object);
    return 0;
}

/* --- permits --- */

static void give_back(struct neap_hold *hold) {
    tell((struct neap_proxy *)hold->object, NEAP_CALL_GIVE_BACK, NULL, (int64_t)(uintptr_t)hold);
}

void neap_proxy_hold_init(struct neap_hold *hold, struct neap_proxy *proxy) {
    neap_hold_init(hold);
    hold->object = &proxy->object;
    hold->abandon = give_back;
}

/* Does the operation have a hold as its operand? */
static bool is_holding(const struct neap_link *link) {
    uint8_t holding = link->object->class->remote->holding;
    return holding != 0 && op_of(link) == holding - 1;
}

/* --- what has come ahead --- */

static struct neap_borrower *borrower_of(const struct neap_proxy *proxy) {
    return atomic_load_explicit(&proxy->borrower, memory_order_acquire);
}

static bool is_receiving(const struct neap_link *link) {
    return link->object->class->remote->lending == op_of(link) + 1;
}

/* Guard held: does anybody here wait for the same as `link`? Among many it is not looked for. */
static bool is_awaited(const struct neap_proxy *proxy, const struct neap_link *link) {
    unsigned seen = 0;
    for (struct neap_list *node = proxy->waiters.next; node != &proxy->waiters; node = node->next)
        if (op_of(NEAP_CONTAINER_OF(node, struct neap_link, node)) == op_of(link) || ++seen == WAITERS_SEEN)
            return true;
    return false;
}

/* Guard held. Who waits already comes first: not before them. */
static bool take_ahead(struct neap_proxy *proxy, struct neap_link *link) {
    struct neap_borrower *borrower = borrower_of(proxy);
    bool tell;
    if (is_awaited(proxy, link) || !neap_borrower_take(borrower, &link->message, &tell)) return false;
    link->priority = 0;
    if (tell) neap_borrower_tell(proxy->import.session, proxy->import.id);
    return true;
}

static bool take_locked(struct neap_proxy *proxy, struct neap_link *link) {
    neap_object_lock(&proxy->object);
    bool taken = take_ahead(proxy, link);
    neap_object_unlock(&proxy->object);
    return taken;
}

/* While messages come ahead, looking for the next one costs less than asking for it. */
static bool is_coming(const struct neap_link *link) {
    const struct neap_borrower *borrower = borrower_of((const struct neap_proxy *)link->object);
    return borrower != NULL && is_receiving(link) && atomic_load_explicit(&borrower->is_busy, memory_order_relaxed);
}

/* --- what is sent without asking --- */

static struct neap_credit_slot *credit_of(const struct neap_proxy *proxy) {
    return atomic_load_explicit(&proxy->credit, memory_order_acquire);
}

static bool is_sending(const struct neap_link *link) { return link->object->class->remote->sending == op_of(link) + 1; }

static bool has_credit(const struct neap_link *link) {
    return is_sending(link) && credit_of((const struct neap_proxy *)link->object) != NULL &&
           neap_debtor_may_send(&link->message);
}

/* Guard held. Who waits already comes first. */
static bool send_ahead(struct neap_proxy *proxy, struct neap_link *link) {
    if (is_awaited(proxy, link) || !neap_debtor_send(&proxy->import, credit_of(proxy), link)) return false;
    atomic_store_explicit(&proxy->is_sending, true, memory_order_relaxed);
    return true;
}

/* While more is granted all the time, looking for it costs less than asking. */
static enum neap_quick quick_send(struct neap_proxy *proxy, struct neap_link *link) {
    if (!has_credit(link)) return NEAP_QUICK_ASK;
    neap_object_lock(&proxy->object);
    bool sent = send_ahead(proxy, link);
    neap_object_unlock(&proxy->object);
    if (sent) return NEAP_QUICK_DONE;
    bool waits = !(link->op & NEAP_OP_TRY) && atomic_load_explicit(&proxy->is_sending, memory_order_relaxed);
    return waits && !neap_credit_is_left(credit_of(proxy)) ? NEAP_QUICK_LATER : NEAP_QUICK_ASK;
}

/* --- by a word --- */

static void take_lock(struct neap_proxy *proxy, struct neap_link *link, bool by_word);

static bool is_decided(struct neap_proxy *proxy, struct neap_link *link);

/* Acquires the lock here, if it is free. */
static enum neap_quick quick_lock(struct neap_proxy *proxy, struct neap_link *link) {
    struct neap_owner *owner = neap_wait_owner(link->wait);
    uint64_t word = atomic_load_explicit(word_of(proxy), memory_order_relaxed);
    if (is_decided(proxy, link)) return NEAP_QUICK_DONE;
    if (neap_wire_has_ended(proxy->import.session->wire)) return NEAP_QUICK_ASK;
    if (neap_lock_holder_in(word) != 0 ||
        !change_word(proxy, &word, neap_lock_taken(word, neap_lock_word(proxy->party, owner))))
        return link->op & NEAP_OP_TRY ? NEAP_QUICK_ASK : NEAP_QUICK_LATER;
    if (word & NEAP_LOCK_ABANDONED) link->result = NEAP_ABANDONED;
    if (word & NEAP_LOCK_WAITED) atomic_store_explicit(&shared_of(proxy)->taken, 1, memory_order_relaxed);
    take_lock(proxy, link, true);
    return NEAP_QUICK_DONE;
}

/* What was sent ahead woke nobody: the wire has to be looked at. */
static enum neap_quick quick(struct neap_object *object, struct neap_link *link) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    if (word_of(proxy) != NULL) return quick_lock(proxy, link);
    if (is_sending(link)) return quick_send(proxy, link);
    if (borrower_of(proxy) == NULL || !is_receiving(link)) return NEAP_QUICK_ASK;
    if (take_locked(proxy, link)) return NEAP_QUICK_DONE;
    if (neap_wire_glance(proxy->import.session->wire) && take_locked(proxy, link)) return NEAP_QUICK_DONE;
    return is_coming(link) ? NEAP_QUICK_LATER : NEAP_QUICK_ASK;
}

static bool hint(struct neap_object *object, const struct neap_link *link) {
    const struct neap_proxy *proxy = (struct neap_proxy *)object;
    if (word_of(proxy) != NULL)
        return neap_lock_holder_in(atomic_load_explicit(word_of(proxy), memory_order_relaxed)) == 0;
    if (has_credit(link))
        return neap_credit_is_left(credit_of(proxy)) || !atomic_load_explicit(&proxy->is_sending, memory_order_relaxed);
    return !is_coming(link) || neap_wire_has_frames(proxy->import.session->wire);
}

/* Without asking; `ahead`: take_ahead or send_ahead. For another process yet its wait is held, so that it is served, or
 * the message stays where it is. */
static bool serve_ahead(struct neap_proxy *proxy, struct neap_link *link,
                        bool (*ahead)(struct neap_proxy *proxy, struct neap_link *link)) {
    if (link->mode != NEAP_LINK_FOREIGN) return ahead(proxy, link);
    if (link->wait->ticket == NULL || !neap_link_hold(link)) return false;
    bool served = ahead(proxy, link);
    neap_link_settle(link, served);
    return served;
}

/* --- waiting --- */

/* What `owner` holds already is decided here: true, with the result. */
static bool is_decided(struct neap_proxy *proxy, struct neap_link *link) {
    struct neap_owner *owner = neap_wait_owner(link->wait);
    uint8_t kind = kind_of(proxy);
    if (kind == NEAP_KIND_RWLOCK) {
        struct reading *reading = find_reading(proxy, owner);
        if (reading == NULL && !neap_proxy_is_held_by(proxy, owner)) return false;
        if (reading != NULL && op_of(link) == NEAP_RWLOCK_READ && reading->depth < UINT32_MAX)
            reading->depth++;
        else
            link->result = NEAP_HELD;
        return true;
    }
    if ((kind != NEAP_KIND_LOCK && kind != NEAP_KIND_RLOCK) || !neap_proxy_is_held_by(proxy, owner)) return false;
    if (kind == NEAP_KIND_LOCK)
        link->result = NEAP_HELD;
    else if (proxy->depth == UINT32_MAX)
        link->result = NEAP_RANGE;
    else
        proxy->depth++;
    return true;
}

/* Who will read has its record first, so that nothing can go wrong once it does. */
static int make_reading(struct neap_proxy *proxy, struct neap_link *link) {
    if (kind_of(proxy) != NEAP_KIND_RWLOCK || op_of(link) != NEAP_RWLOCK_READ) return 0;
    struct reading *reading = neap_alloc(sizeof *reading);
    if (reading == NULL) return NEAP_NOMEM;
    neap_hold_init(&reading->hold);
    reading->hold.object = &proxy->object;
    reading->hold.abandon = abandon_reading;
    reading->owner = neap_wait_owner(link->wait);
    reading->depth = 1;
    link->hold = &reading->hold;
    return 0;
}

/* What the wait may come to hold. 0 or NEAP_NOMEM. */
static int prepare(struct neap_proxy *proxy, struct neap_link *link) {
    if (!is_holding(link)) link->hold = NULL;
    return kind_of(proxy) == NEAP_KIND_BARRIER ? neap_acting_prepare(link) : make_reading(proxy, link);
}

static void drop_reading(struct neap_link *link) {
    if (kind_of((struct neap_proxy *)link->object) != NEAP_KIND_RWLOCK || op_of(link) != NEAP_RWLOCK_READ) return;
    if (link->hold != NULL) neap_free(NEAP_CONTAINER_OF(link->hold, struct reading, hold));
    link->hold = NULL;
}

/* It does not come to hold it. */
static void drop_held(struct neap_link *link) {
    if (kind_of((struct neap_proxy *)link->object) == NEAP_KIND_BARRIER)
        neap_acting_drop(link);
    else
        drop_reading(link);
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    (void)batch;
    if (is_receiving(link) && borrower_of(proxy) != NULL) return serve_ahead(proxy, link, take_ahead);
    if (has_credit(link)) return serve_ahead(proxy, link, send_ahead);
    return is_decided(proxy, link) && neap_link_commit(link);
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    neap_list_push_back(&proxy->waiters, &link->node);
    link->request = prepare(proxy, link) == 0 ? neap_request_add(proxy->import.session, object, link) : 0;
}

/* The request could not even be noted: the wait ends here. */
static void fail(struct neap_proxy *proxy, struct neap_link *link) {
    struct neap_batch batch = {NULL, NULL};
    bool ended = neap_session_has_ended(proxy->import.session);
    neap_object_lock(&proxy->object);
    if (neap_link_complete(link, false)) {
        link->result = ended ? NEAP_BROKEN : NEAP_NOMEM;
        neap_batch_add(&batch, link->wait);
    }
    neap_object_unlock(&proxy->object);
    neap_batch_flush(&batch);
}

static bool is_owned(const struct neap_proxy *proxy, const struct neap_link *link) {
    switch (kind_of(proxy)) {
        case NEAP_KIND_LOCK:
        case NEAP_KIND_RLOCK:
        case NEAP_KIND_RWLOCK:
        case NEAP_KIND_DICT:
        case NEAP_KIND_LIST:
        case NEAP_KIND_BARRIER: return true;
        default: return is_holding(link);
    }
}

static void enlisted(struct neap_object *object, struct neap_link *link) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    if (link->request == 0) {
        fail(proxy, link);
        return;
    }
    uint64_t id = link->request;
    struct neap_borrower *borrower = borrower_of(proxy);
    if (borrower != NULL && is_receiving(link)) atomic_store_explicit(&borrower->is_busy, false, memory_order_relaxed);
    if (is_sending(link)) atomic_store_explicit(&proxy->is_sending, false, memory_order_relaxed);
    int code = neap_request_send(&proxy->import, link, is_owned(proxy, link));
    if (code != 0 && code != NEAP_BROKEN) neap_request_fail(proxy->import.session, id, code);
}

static void withdrawn(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_session *session = ((struct neap_proxy *)object)->import.session;
    (void)batch;
    drop_held(link);
    if (neap_request_remove(session, link->request)) neap_request_withdraw(session, link->request);
}

static void take_lock(struct neap_proxy *proxy, struct neap_link *link, bool by_word) {
    NEAP_ASSERT(!neap_hold_is_linked(&proxy->hold), "lock 3: the last holder has let go");
    set_holder(proxy, neap_wait_owner(link->wait));
    proxy->depth = 1;
    proxy->by_word = by_word;
    if (!by_word) proxy->since = neap_clock_now();
    neap_owner_enter(neap_wait_owner(link->wait), &proxy->hold);
}

/* It is kept over there until we say so: see GIVEN in serving.c. */
static bool is_worth_telling(const struct neap_message *message) {
    if (message->kind < NEAP_MESSAGE_BYTES) return false;
    return message->kind > NEAP_MESSAGE_PARCEL || message->parcel->size > KEPT_SIZE ||
           message->parcel->object_count > 0;
}

/* The other process has answered: what it has given is held from now on. */
static void resumed(struct neap_object *object, struct neap_link *link) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    uint8_t kind = kind_of(proxy), op = op_of(link);
    if (link->result != 0 && link->result != NEAP_ABANDONED) {
        drop_held(link);
        return;
    }
    if (object->class->remote->taking >> op & 1 && link->mode != NEAP_LINK_FOREIGN && is_worth_telling(&link->message))
        neap_request_received(proxy->import.session, link->request);
    else if (kind == NEAP_KIND_LOCK || kind == NEAP_KIND_RLOCK || (kind == NEAP_KIND_RWLOCK && op == NEAP_RWLOCK_WRITE))
        take_lock(proxy, link, false);
    else if (kind == NEAP_KIND_BARRIER)
        neap_acting_begin(link);
    else if (kind == NEAP_KIND_RWLOCK || is_holding(link))
        neap_owner_enter(neap_wait_owner(link->wait), link->hold);
}

/* --- for other processes yet --- */

static void constants(struct neap_object *object, struct neap_constants *constants_) {
    *constants_ = ((struct neap_proxy *)object)->constants;
}

static void serve_lock(struct neap_object *object, struct neap_call *call) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    if (call->method > NEAP_LOCK_ABANDON) return; /* NEAP_GONE: it is asked over there */
    call->result = NEAP_NOT_OWNER;
    if (!neap_proxy_is_held_by(proxy, call->owner)) return;
    call->result = 0;
    neap_hold_unlink(&proxy->hold);
    let_go(proxy, call->method);
    neap_object_unref(object); /* the hold's */
}

static void serve_rwlock(struct neap_object *object, struct neap_call *call) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    struct reading *reading = find_reading(proxy, call->owner);
    if (reading == NULL || neap_proxy_is_held_by(proxy, call->owner)) {
        serve_lock(object, call);
        return;
    }
    call->result = 0;
    neap_hold_unlink(&reading->hold);
    stop_reading(reading, call->method);
    neap_object_unref(object);
}

static void serve_barrier(struct neap_object *object, struct neap_call *call) {
    if (call->method == NEAP_BARRIER_RELEASE || call->method == NEAP_BARRIER_FAIL)
        neap_acting_pass((struct neap_proxy *)object, call->owner); /* NEAP_GONE: it is done over there */
}

/* --- life --- */

static void destroy(struct neap_object *object) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    NEAP_ASSERT(neap_list_is_empty(&proxy->waiters), "wait 2: who waits keeps the object alive");
    NEAP_ASSERT(holder_of(proxy) == NULL, "who holds keeps the lock alive");
    for (int i = 0; i < NEAP_CONSTANTS; i++)
        if (proxy->constants.parts[i] != NULL) neap_object_unref(proxy->constants.parts[i]);
    neap_borrower_free(borrower_of(proxy));
    if (word_of(proxy) != NULL) neap_cell_free(&proxy->word);
    neap_import_fini(&proxy->import);
    neap_free(proxy);
}

static bool revived(struct neap_object *object) { return neap_import_revived(import_of(object)); }

/* It is for us alone: who gets the proxy from us asks us. */
static void find_word(struct neap_proxy *proxy, struct neap_session *session) {
    if (!neap_session_find_word(session, &proxy->constants, sizeof(struct neap_lock_shared), &proxy->word,
                                &proxy->party))
        proxy->word.at = NULL;
    proxy->constants.numbers[0] = proxy->constants.numbers[1] = 0;
    atomic_store_explicit(&proxy->object.far, word_of(proxy) != NULL, memory_order_relaxed);
}

struct neap_object *neap_proxy_make(struct neap_session *session, uint32_t id, uint8_t kind,
                                    const struct neap_constants *constants_) {
    struct neap_proxy *proxy = neap_alloc(sizeof *proxy);
    if (proxy == NULL) return NULL;
    neap_object_init(&proxy->object, &neap_proxy_classes[kind]);
    neap_import_init(&proxy->import, session, &proxy->object, id);
    proxy->constants = *constants_;
    for (int i = 0; i < NEAP_CONSTANTS; i++)
        if (proxy->constants.parts[i] != NULL) neap_object_ref(proxy->constants.parts[i]);
    neap_list_init(&proxy->waiters);
    atomic_init(&proxy->borrower, NULL);
    atomic_init(&proxy->credit, NULL);
    atomic_init(&proxy->is_sending, false);
    neap_hold_init(&proxy->hold);
    proxy->hold.object = &proxy->object;
    proxy->hold.abandon = abandon_lock;
    atomic_init(&proxy->holder, NULL);
    proxy->depth = 0;
    proxy->by_word = false;
    proxy->since = 0;
    proxy->word.at = NULL;
    if (kind == NEAP_KIND_LOCK || kind == NEAP_KIND_RLOCK) find_word(proxy, session);
    atomic_init(&proxy->closed, false);
    return &proxy->object;
}

void neap_proxy_call(struct neap_proxy *proxy, uint8_t method, struct neap_call *call) {
    call->method = method;
    call->result = 0;
    neap_request_call_now(&proxy->import, call);
}

/* --- classes --- */

static const char *const channel_verbs[] = {"recv", "send", "poll"};
static const char *const queue_verbs[] = {"get", "put", "join"};
static const char *const lock_verbs[] = {"acquire"};
static const char *const rwlock_verbs[] = {"acquire_read", "acquire_write"};
static const char *const semaphore_verbs[] = {"acquire", "hold"};
static const char *const wait_verbs[] = {"wait", "wait"};
static const char *const dict_verbs[] = {"update", "wait", "remove"};
static const char *const list_verbs[] = {"update", "pop"};
static const char *const pool_verbs[] = {"submit", "take", "listen", "join"};

#define PLAIN(kind_, ops_, taking_) \
    [(kind_)] = {.kind = (kind_), .ops = (ops_), .taking = (taking_), .constants = constants}
#define CHANNEL(kind_, ops_)                       \
    [(kind_)] = {.kind = (kind_),                  \
                 .ops = (ops_),                    \
                 .lending = NEAP_CHANNEL_RECV + 1, \
                 .sending = NEAP_CHANNEL_SEND + 1, \
                 .taking = 1 << NEAP_CHANNEL_RECV, \
                 .constants = constants}
#define HOLDING(kind_, ops_, holding_, taking_, serve_) \
    [(kind_)] = {.kind = (kind_),                       \
                 .ops = (ops_),                         \
                 .holding = (holding_),                 \
                 .taking = (taking_),                   \
                 .constants = constants,                \
                 .serve = (serve_),                     \
                 .make_hold = make_hold}

/* Of what is held over there, through us. */
static struct neap_hold *make_hold(struct neap_object *object) {
    struct neap_hold *hold = neap_alloc(sizeof *hold);
    if (hold != NULL) neap_proxy_hold_init(hold, (struct neap_proxy *)object);
    return hold;
}

static const struct neap_remote remotes[NEAP_KIND_COUNT] = {
    CHANNEL(NEAP_KIND_CHANNEL, 2),
    CHANNEL(NEAP_KIND_QUEUE, 3),
    PLAIN(NEAP_KIND_PIPE, 0, 0),
    CHANNEL(NEAP_KIND_STREAM, 3),
    HOLDING(NEAP_KIND_LOCK, 1, 0, 0, serve_lock),
    HOLDING(NEAP_KIND_RLOCK, 1, 0, 0, serve_lock),
    HOLDING(NEAP_KIND_RWLOCK, 2, 0, 0, serve_rwlock),
    PLAIN(NEAP_KIND_CONDITION, 1, 1 << NEAP_CONDITION_WAIT),
    HOLDING(NEAP_KIND_SEMAPHORE, 2, NEAP_SEMAPHORE_HOLD + 1, 1 << NEAP_SEMAPHORE_ACQUIRE, NULL),
    HOLDING(NEAP_KIND_BOUNDED_SEMAPHORE, 2, NEAP_SEMAPHORE_HOLD + 1, 1 << NEAP_SEMAPHORE_ACQUIRE, NULL),
    PLAIN(NEAP_KIND_EVENT, 1, 0),
    PLAIN(NEAP_KIND_SIGNAL, 1, 0),
    HOLDING(NEAP_KIND_BARRIER, 2, 0, 0, serve_barrier),
    PLAIN(NEAP_KIND_POOL, 4, 0),
    PLAIN(NEAP_KIND_MAPPED, 0, 0),
    HOLDING(NEAP_KIND_DICT, NEAP_DICT_REMOVE + 1, NEAP_DICT_UPDATE + 1, 1 << NEAP_DICT_REMOVE, NULL),
    HOLDING(NEAP_KIND_LIST, NEAP_SEQUENCE_POP + 1, NEAP_SEQUENCE_UPDATE + 1, 1 << NEAP_SEQUENCE_POP, NULL),
};

#define CLASS(kind_, name_, verbs_)           \
    [(kind_)] = {.name = (name_),             \
                 .verbs = (verbs_),           \
                 .destroy = destroy,          \
                 .revived = revived,          \
                 .attempt = attempt,          \
                 .quick = quick,              \
                 .hint = hint,                \
                 .enlist = enlist,            \
                 .enlisted = enlisted,        \
                 .withdrawn = withdrawn,      \
                 .resumed = resumed,          \
                 .remote = &remotes[(kind_)], \
                 .import = import_of,         \
                 .board = board_of}

const struct neap_class neap_proxy_classes[NEAP_KIND_COUNT] = {
    CLASS(NEAP_KIND_CHANNEL, "channel", channel_verbs),
    CLASS(NEAP_KIND_QUEUE, "queue", queue_verbs),
    CLASS(NEAP_KIND_PIPE, "pipe", channel_verbs),
    CLASS(NEAP_KIND_STREAM, "pipe", channel_verbs),
    CLASS(NEAP_KIND_LOCK, "lock", lock_verbs),
    CLASS(NEAP_KIND_RLOCK, "rlock", lock_verbs),
    CLASS(NEAP_KIND_RWLOCK, "rwlock", rwlock_verbs),
    CLASS(NEAP_KIND_CONDITION, "condition", wait_verbs),
    CLASS(NEAP_KIND_SEMAPHORE, "semaphore", semaphore_verbs),
    CLASS(NEAP_KIND_BOUNDED_SEMAPHORE, "bounded_semaphore", semaphore_verbs),
    CLASS(NEAP_KIND_EVENT, "event", wait_verbs),
    CLASS(NEAP_KIND_SIGNAL, "signal", wait_verbs),
    CLASS(NEAP_KIND_BARRIER, "barrier", wait_verbs),
    CLASS(NEAP_KIND_POOL, "pool", pool_verbs),
    CLASS(NEAP_KIND_DICT, "dict", dict_verbs),
    CLASS(NEAP_KIND_LIST, "list", list_verbs),
    CLASS(NEAP_KIND_MAPPED, "shared memory", wait_verbs),
};
