/* proxy: waiting on what is elsewhere.
 *
 * MODEL       A proxy is an object like any other: attempt, enlist, withdrawn. Only that its attempt says no, and that
 *             enlisting it asks the other process, which answers when it has claimed the wait by its ticket. So select,
 *             timeouts and cancellation are what they are everywhere.
 * AHEAD       What crosses without being asked for, to and from channels: see ahead.c.
 * HOLDS       Who holds a lock of another process has its hold here: see holding.c. A hold that an operation has as its
 *             operand, as that of a permit, is given back there. Of barriers: see acting.c.
 * LOCKS       The guard of a proxy covers its list. What is asked is sent without it; that it is not wanted any more,
 *             with it: then it cannot overtake the answer's taking of the link. */
#include "host/proxy.h"

#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/acting.h"
#include "host/pool.h"
#include "host/request.h"
#include "sync/barrier.h"
#include "sync/condition.h"
#include "sync/dict.h"
#include "sync/pipe.h"
#include "sync/queue.h"
#include "sync/semaphore.h"
#include "sync/sequence.h"

enum { KEPT_SIZE = 4096 }; /* bytes of a message that may stay over there a little */

static struct neap_import *import_of(struct neap_object *object) { return &((struct neap_proxy *)object)->import; }

static struct neap_board *board_of(const struct neap_object *object) {
    return ((const struct neap_proxy *)object)->import.session->board;
}

struct neap_proxy *neap_proxy_of(struct neap_object *object) {
    return object->class->board == board_of ? (struct neap_proxy *)object : NULL;
}

/* --- permits --- */

static void give_back(struct neap_hold *hold) {
    neap_proxy_tell((struct neap_proxy *)hold->object, NEAP_CALL_GIVE_BACK, NULL, (int64_t)(uintptr_t)hold);
}

void neap_proxy_hold_init(struct neap_hold *hold, struct neap_proxy *proxy) {
    neap_hold_init(hold);
    hold->object = &proxy->object;
    hold->abandon = give_back;
}

/* Does the operation have a hold as its operand? */
static bool is_holding(const struct neap_link *link) {
    uint8_t holding = link->object->class->remote->holding;
    return holding != 0 && neap_proxy_op(link) == holding - 1;
}

/* --- waiting --- */

static enum neap_quick quick(struct neap_object *object, struct neap_link *link) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    return neap_holding_has_word(&proxy->holding) ? neap_holding_quick(proxy, link) : neap_ahead_quick(proxy, link);
}

static bool hint(struct neap_object *object, const struct neap_link *link) {
    const struct neap_proxy *proxy = (struct neap_proxy *)object;
    return neap_holding_has_word(&proxy->holding) ? neap_holding_hint(proxy) : neap_ahead_hint(proxy, link);
}

/* What the wait may come to hold. 0 or NEAP_NOMEM. */
static int prepare(const struct neap_proxy *proxy, struct neap_link *link) {
    if (!is_holding(link)) link->hold = NULL;
    return neap_proxy_kind(proxy) == NEAP_KIND_BARRIER ? neap_acting_prepare(link) : neap_holding_prepare(link);
}

/* It does not come to hold it. */
static void drop_held(struct neap_link *link) {
    if (neap_proxy_kind((struct neap_proxy *)link->object) == NEAP_KIND_BARRIER)
        neap_acting_drop(link);
    else
        neap_holding_drop(link);
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    (void)batch;
    return neap_ahead_attempt(proxy, link) || (neap_holding_decide(proxy, link) && neap_link_commit(link));
}

/* It is asked for over there, whether it is to wait or not. */
static bool awaits(struct neap_object *object, const struct neap_link *link) {
    (void)object;
    (void)link;
    return true;
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

static bool is_lock(const struct neap_proxy *proxy) {
    uint8_t kind = neap_proxy_kind(proxy);
    return kind == NEAP_KIND_LOCK || kind == NEAP_KIND_RLOCK || kind == NEAP_KIND_RWLOCK;
}

/* Permits and series are not: see BY ITSELF in delegate.c. */
static bool is_owned(const struct neap_proxy *proxy) {
    switch (neap_proxy_kind(proxy)) {
        case NEAP_KIND_DICT:
        case NEAP_KIND_LIST:
        case NEAP_KIND_BARRIER: return true;
        default: return is_lock(proxy);
    }
}

static void enlisted(struct neap_object *object, struct neap_link *link) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    if (link->request == 0) {
        fail(proxy, link);
        return;
    }
    uint64_t id = link->request;
    neap_ahead_asks(proxy, link);
    int code = neap_request_send(&proxy->import, link, is_owned(proxy));
    if (code != 0 && code != NEAP_BROKEN) neap_request_fail(proxy->import.session, id, code);
}

static void withdrawn(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_session *session = ((struct neap_proxy *)object)->import.session;
    (void)batch;
    drop_held(link);
    if (neap_request_remove(session, link->request)) neap_request_withdraw(session, link->request);
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
    if (link->result != 0 && link->result != NEAP_ABANDONED) {
        drop_held(link);
        return;
    }
    if (object->class->remote->taking >> neap_proxy_op(link) & 1 && link->mode != NEAP_LINK_FOREIGN &&
        is_worth_telling(&link->message))
        neap_request_received(proxy->import.session, link->request);
    else if (is_lock(proxy))
        neap_holding_begin(link);
    else if (neap_proxy_kind(proxy) == NEAP_KIND_BARRIER)
        neap_acting_begin(link);
    else if (is_holding(link))
        neap_owner_enter(neap_wait_owner(link->wait), link->hold);
}

/* --- for other processes yet --- */

static void constants(struct neap_object *object, struct neap_constants *constants_) {
    *constants_ = ((struct neap_proxy *)object)->constants;
}

static void serve_barrier(struct neap_object *object, struct neap_call *call) {
    if (call->method == NEAP_BARRIER_RELEASE || call->method == NEAP_BARRIER_FAIL)
        neap_acting_pass((struct neap_proxy *)object, call->owner); /* NEAP_GONE: it is done over there */
}

/* --- life --- */

static void destroy(struct neap_object *object) {
    struct neap_proxy *proxy = (struct neap_proxy *)object;
    NEAP_ASSERT(neap_list_is_empty(&proxy->waiters), "wait 2: who waits keeps the object alive");
    for (int i = 0; i < NEAP_CONSTANTS; i++)
        if (proxy->constants.parts[i] != NULL) neap_object_unref(proxy->constants.parts[i]);
    neap_ahead_fini(&proxy->ahead);
    neap_holding_fini(&proxy->holding);
    neap_import_fini(&proxy->import);
    neap_free(proxy);
}

static bool revived(struct neap_object *object) { return neap_import_revived(import_of(object)); }

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
    neap_ahead_init(&proxy->ahead);
    neap_holding_init(proxy, kind);
    atomic_init(&proxy->closed, false);
    return &proxy->object;
}

void neap_proxy_call(struct neap_proxy *proxy, uint8_t method, struct neap_call *call) {
    call->method = method;
    call->result = 0;
    neap_request_call_now(&proxy->import, call);
}

void neap_proxy_tell(struct neap_proxy *proxy, uint8_t method, struct neap_owner *owner, int64_t number) {
    struct neap_call call = {.method = method, .owner = owner, .number = number};
    neap_message_clear(&call.message);
    neap_request_tell(&proxy->import, &call);
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
static const char *const pool_verbs[] = {"submit", "take", "listen", "join", "begin", "wait for haste"};

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
    HOLDING(NEAP_KIND_LOCK, 1, 0, 0, neap_holding_serve_lock),
    HOLDING(NEAP_KIND_RLOCK, 1, 0, 0, neap_holding_serve_lock),
    HOLDING(NEAP_KIND_RWLOCK, 2, 0, 0, neap_holding_serve_rwlock),
    PLAIN(NEAP_KIND_CONDITION, 1, 1 << NEAP_CONDITION_WAIT),
    HOLDING(NEAP_KIND_SEMAPHORE, 2, NEAP_SEMAPHORE_HOLD + 1, 1 << NEAP_SEMAPHORE_ACQUIRE, NULL),
    HOLDING(NEAP_KIND_BOUNDED_SEMAPHORE, 2, NEAP_SEMAPHORE_HOLD + 1, 1 << NEAP_SEMAPHORE_ACQUIRE, NULL),
    PLAIN(NEAP_KIND_EVENT, 1, 0),
    PLAIN(NEAP_KIND_SIGNAL, 1, 0),
    HOLDING(NEAP_KIND_BARRIER, 2, 0, 0, serve_barrier),
    HOLDING(NEAP_KIND_POOL, NEAP_POOL_HASTE + 1, NEAP_POOL_BEGIN + 1, 0, NULL),
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
                 .awaits = awaits,            \
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
