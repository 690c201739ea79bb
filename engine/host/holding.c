/* holding: who holds a lock of another process has its hold here, in the proxy.
 *
 * MODEL       So a second acquire, levels of an rlock and releasing what one does not hold need not be asked. Releasing
 *             is told, and not waited for: it comes before whatever is asked of that process next. When an owner ends,
 *             its holds are given up one by one, as any.
 * READERS     A rwlock has many: their records are in memory of their own.
 * WORD        A free lock of a process that we are linked to is acquired, and released while nobody waits for it,
 *             without asking: in its word (OTHERS in sync/lock.c), or while it is open (OPEN there). What must be seen
 *             over there in order, as a release behind the wait on a condition, is told. */
#include "host/holding.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/proxy.h"
#include "host/reference.h"
#include "host/wire.h"
#include "sync/lock.h"
#include "sync/rwlock.h"

struct reading {
    struct neap_hold hold;    /* in the reader's list */
    struct neap_owner *owner; /* the reader. Constant */
    uint32_t depth;           /* how often it reads; its thread */
};

static void set_holder(struct neap_proxy *proxy, struct neap_owner *owner) {
    atomic_store_explicit(&proxy->holding.holder, owner, memory_order_relaxed);
}

static struct neap_owner *holder_of(const struct neap_proxy *proxy) {
    return atomic_load_explicit(&proxy->holding.holder, memory_order_relaxed);
}

bool neap_holding_is_by(const struct neap_proxy *proxy, const struct neap_owner *owner) {
    return holder_of(proxy) == owner;
}

static struct neap_lock_shared *shared_of(const struct neap_proxy *proxy) { return proxy->holding.word.at; }

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
    bool by_word = proxy->holding.by_word;
    int64_t number =
        by_word ? (int64_t)neap_lock_word(proxy->holding.party, owner) : neap_clock_now() - proxy->holding.since;
    if (by_word) method = method == NEAP_LOCK_ABANDON ? NEAP_LOCK_ABANDON_WORD : NEAP_LOCK_RELEASE_WORD;
    set_holder(proxy, NULL);
    if (word_of(proxy) != NULL) NEAP_SENT(word_of(proxy)); /* where another thread of ours may find that it is free */
    neap_proxy_tell(proxy, method, by_word ? NULL : owner, number);
}

static void let_go(struct neap_proxy *proxy, uint8_t method) {
    struct neap_owner *owner = holder_of(proxy);
    if (!proxy->holding.by_word) {
        tell_let_go(proxy, method);
        return;
    }
    set_holder(proxy, NULL);
    if (free_word(proxy, neap_lock_word(proxy->holding.party, owner), method)) return;
    set_holder(proxy, owner);
    tell_let_go(proxy, method);
}

/* Locks and rwlocks have the same two methods. */
_Static_assert((int)NEAP_LOCK_RELEASE == (int)NEAP_RWLOCK_RELEASE && (int)NEAP_LOCK_ABANDON == (int)NEAP_RWLOCK_ABANDON,
               "one way to let go");

static void abandon_lock(struct neap_hold *hold) {
    let_go(NEAP_CONTAINER_OF(hold, struct neap_proxy, holding.hold), NEAP_LOCK_ABANDON);
}

uint32_t neap_holding_release_all(struct neap_proxy *proxy, struct neap_owner *owner) {
    uint32_t depth = proxy->holding.depth;
    NEAP_ASSERT(neap_holding_is_by(proxy, owner), "who releases holds");
    (void)owner;
    neap_hold_unlink(&proxy->holding.hold);
    tell_let_go(proxy, NEAP_LOCK_RELEASE);
    neap_object_unref(&proxy->object); /* the hold's; the caller has one of its own */
    return depth;
}

int neap_holding_release(struct neap_proxy *proxy, struct neap_owner *owner) {
    if (!neap_holding_is_by(proxy, owner)) return NEAP_NOT_OWNER;
    if (--proxy->holding.depth > 0) return 0;
    neap_hold_unlink(&proxy->holding.hold);
    let_go(proxy, NEAP_LOCK_RELEASE);
    neap_object_unref(&proxy->object); /* the hold's; the caller has one of its own */
    return 0;
}

int neap_holding_tell(struct neap_proxy *proxy, struct neap_owner *owner) {
    struct neap_call call = {.owner = owner};
    if (!proxy->holding.by_word) return 0;
    neap_message_clear(&call.message);
    call.number = (int64_t)neap_lock_word(proxy->holding.party, owner);
    neap_proxy_call(proxy, NEAP_LOCK_ADOPT, &call);
    neap_message_fini(&call.message);
    if (call.result == 0) proxy->holding.by_word = false;
    return call.result;
}

void neap_holding_restore(struct neap_proxy *proxy, uint32_t depth) { proxy->holding.depth = depth; }

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
    neap_proxy_tell(proxy, method, reading->owner, 0);
    neap_free(reading);
}

static void abandon_reading(struct neap_hold *hold) {
    stop_reading(NEAP_CONTAINER_OF(hold, struct reading, hold), NEAP_RWLOCK_ABANDON);
}

int neap_holding_release_rwlock(struct neap_proxy *proxy, struct neap_owner *owner) {
    if (neap_holding_is_by(proxy, owner)) {
        neap_holding_release_all(proxy, owner);
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

/* --- waiting --- */

bool neap_holding_decide(struct neap_proxy *proxy, struct neap_link *link) {
    struct neap_owner *owner = neap_wait_owner(link->wait);
    uint8_t kind = neap_proxy_kind(proxy);
    if (kind == NEAP_KIND_RWLOCK) {
        struct reading *reading = find_reading(proxy, owner);
        if (reading == NULL && !neap_holding_is_by(proxy, owner)) return false;
        if (reading != NULL && neap_proxy_op(link) == NEAP_RWLOCK_READ && reading->depth < UINT32_MAX)
            reading->depth++;
        else
            link->result = NEAP_HELD;
        return true;
    }
    if ((kind != NEAP_KIND_LOCK && kind != NEAP_KIND_RLOCK) || !neap_holding_is_by(proxy, owner)) return false;
    if (kind == NEAP_KIND_LOCK)
        link->result = NEAP_HELD;
    else if (proxy->holding.depth == UINT32_MAX)
        link->result = NEAP_RANGE;
    else
        proxy->holding.depth++;
    return true;
}

static bool is_reading(const struct neap_link *link) {
    return link->object->class->remote->kind == NEAP_KIND_RWLOCK && neap_proxy_op(link) == NEAP_RWLOCK_READ;
}

/* Who will read has its record first, so that nothing can go wrong once it does. */
int neap_holding_prepare(struct neap_link *link) {
    if (!is_reading(link)) return 0;
    struct reading *reading = neap_alloc(sizeof *reading);
    if (reading == NULL) return NEAP_NOMEM;
    neap_hold_init(&reading->hold);
    reading->hold.object = link->object;
    reading->hold.abandon = abandon_reading;
    reading->owner = neap_wait_owner(link->wait);
    reading->depth = 1;
    link->hold = &reading->hold;
    return 0;
}

void neap_holding_drop(struct neap_link *link) {
    if (!is_reading(link)) return;
    if (link->hold != NULL) neap_free(NEAP_CONTAINER_OF(link->hold, struct reading, hold));
    link->hold = NULL;
}

static void take_lock(struct neap_proxy *proxy, struct neap_link *link, bool by_word) {
    NEAP_ASSERT(!neap_hold_is_linked(&proxy->holding.hold), "lock 3: the last holder has let go");
    set_holder(proxy, neap_wait_owner(link->wait));
    proxy->holding.depth = 1;
    proxy->holding.by_word = by_word;
    if (!by_word) proxy->holding.since = neap_clock_now();
    neap_owner_enter(neap_wait_owner(link->wait), &proxy->holding.hold);
}

/* Over there it may have been found free, in its word: as another thread of ours had left it. */
static void take_given(struct neap_proxy *proxy, struct neap_link *link) {
    if (word_of(proxy) != NULL) NEAP_ANSWERED(word_of(proxy));
    take_lock(proxy, link, false);
}

void neap_holding_begin(struct neap_link *link) {
    if (is_reading(link))
        neap_owner_enter(neap_wait_owner(link->wait), link->hold);
    else
        take_given((struct neap_proxy *)link->object, link);
}

/* --- by a word --- */

enum neap_quick neap_holding_quick(struct neap_proxy *proxy, struct neap_link *link) {
    struct neap_owner *owner = neap_wait_owner(link->wait);
    uint64_t word = atomic_load_explicit(word_of(proxy), memory_order_relaxed);
    if (neap_holding_decide(proxy, link)) return NEAP_QUICK_DONE;
    if (neap_wire_has_ended(proxy->import.session->wire)) return NEAP_QUICK_ASK;
    if (neap_lock_holder_in(word) != 0 ||
        !change_word(proxy, &word, neap_lock_taken(word, neap_lock_word(proxy->holding.party, owner))))
        return link->op & NEAP_OP_TRY ? NEAP_QUICK_ASK : NEAP_QUICK_LATER;
    if (word & NEAP_LOCK_ABANDONED) link->result = NEAP_ABANDONED;
    if (word & NEAP_LOCK_WAITED) atomic_store_explicit(&shared_of(proxy)->taken, 1, memory_order_relaxed);
    take_lock(proxy, link, true);
    return NEAP_QUICK_DONE;
}

bool neap_holding_hint(const struct neap_proxy *proxy) {
    return neap_lock_holder_in(atomic_load_explicit(word_of(proxy), memory_order_relaxed)) == 0;
}

/* --- for other processes yet --- */

void neap_holding_serve_lock(struct neap_object *object, struct neap_call *call) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    if (call->method > NEAP_LOCK_ABANDON) return; /* NEAP_GONE: it is asked over there */
    call->result = NEAP_NOT_OWNER;
    if (!neap_holding_is_by(proxy, call->owner)) return;
    call->result = 0;
    neap_hold_unlink(&proxy->holding.hold);
    let_go(proxy, call->method);
    neap_object_unref(object); /* the hold's */
}

void neap_holding_serve_rwlock(struct neap_object *object, struct neap_call *call) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    struct reading *reading = find_reading(proxy, call->owner);
    if (reading == NULL || neap_holding_is_by(proxy, call->owner)) {
        neap_holding_serve_lock(object, call);
        return;
    }
    call->result = 0;
    neap_hold_unlink(&reading->hold);
    stop_reading(reading, call->method);
    neap_object_unref(object);
}

/* --- life --- */

/* It is for us alone: who gets the proxy from us asks us. */
static void find_word(struct neap_proxy *proxy) {
    if (!neap_reference_find_word(proxy->import.session, &proxy->constants, sizeof(struct neap_lock_shared),
                                  &proxy->holding.word, &proxy->holding.party))
        proxy->holding.word.at = NULL;
    proxy->constants.numbers[0] = proxy->constants.numbers[1] = 0;
    atomic_store_explicit(&proxy->object.far, word_of(proxy) != NULL, memory_order_relaxed);
}

void neap_holding_init(struct neap_proxy *proxy, uint8_t kind) {
    struct neap_holding *holding = &proxy->holding;
    neap_hold_init(&holding->hold);
    holding->hold.object = &proxy->object;
    holding->hold.abandon = abandon_lock;
    atomic_init(&holding->holder, NULL);
    holding->depth = 0;
    holding->by_word = false;
    holding->since = 0;
    holding->party = 0;
    holding->word.at = NULL;
    if (kind == NEAP_KIND_LOCK || kind == NEAP_KIND_RLOCK) find_word(proxy);
}

void neap_holding_fini(struct neap_holding *holding) {
    NEAP_ASSERT(atomic_load_explicit(&holding->holder, memory_order_relaxed) == NULL, "who holds keeps the lock alive");
    if (neap_holding_has_word(holding)) neap_cell_free(&holding->word);
}
