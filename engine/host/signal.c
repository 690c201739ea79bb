/* signal: from the system's handler to the tasks that wait.
 *
 * MODEL      An engine has one trap (core/trap.h), which its hub reads. When a signal has come, every signal
 *            of that number that is open gets it: all that wait go on; where nobody does it is pending,
 *            once, for the next one who waits.
 * COUNTING   While somebody waits here something may still happen by itself, so the engine is no deadlock: `busy`
 *            counts each signal with waiters as a loop that is not idle (COUNTING in core/mailbox.c). It is counted out
 *            after those that it has woken were queued, and so counted in.
 * LIFETIME   The list of those that are open has no references. Who lets go of the last one takes it out of the list
 *            first (`revived`): so what is found in the list, under its guard, is whole.
 * LOCKS      The guard of the list, then that of a signal. */
#include "host/signal.h"

#include <stddef.h>
#include <stdint.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/remote.h"
#include "core/trap.h"
#include "host/engine.h"
#include "host/hub.h"

struct neap_signals {
    struct neap_watch watch;       /* first; of the trap. The hub's thread */
    struct neap_runnable starting; /* posted to the hub once: starts the watch */
    struct neap_engine *engine;    /* constant; it stays while anybody waits */
    struct neap_trap trap;
    struct neap_list open;   /* neap_signal.node; guard */
    struct neap_guard guard; /* of the list */
    atomic_uint refs;        /* the engine's, one for each signal. Increments relaxed, decrements acquire-release */
    bool stopped;            /* guard */
};

static void unref(struct neap_signals *signals) {
    if (atomic_fetch_sub_explicit(&signals->refs, 1, memory_order_acq_rel) == 1) neap_free(signals);
}

/* --- waiting; the signal's guard held --- */

static bool is_set(const _Atomic bool *flag) { return atomic_load_explicit(flag, memory_order_relaxed); }

static void set(_Atomic bool *flag, bool value) { atomic_store_explicit(flag, value, memory_order_relaxed); }

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_signal *signal = (struct neap_signal *)object;
    (void)batch;
    if (!is_set(&signal->closed) && !is_set(&signal->pending)) return false;
    if (!neap_link_commit(link)) return false;
    link->result = is_set(&signal->closed) ? NEAP_CLOSED : 0;
    set(&signal->pending, false);
    return true;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    struct neap_signal *signal = (struct neap_signal *)object;
    neap_list_push_back(&signal->waiters, &link->node);
    if (!signal->counted) neap_engine_count_in(signal->signals->engine);
    signal->counted = true;
}

static void withdrawn(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_signal *signal = (struct neap_signal *)object;
    (void)link;
    (void)batch;
    if (!signal->counted || !neap_list_is_empty(&signal->waiters)) return;
    signal->counted = false;
    neap_engine_count_out(signal->signals->engine);
}

static bool hint(struct neap_object *object, const struct neap_link *link) {
    (void)link;
    return is_set(&((const struct neap_signal *)object)->pending);
}

/* Who was answered, and is to be queued: see COUNTING. */
struct answers {
    struct neap_batch batch;
    int counted; /* signals that had waiters */
};

/* Answers all that wait; the signal's guard is free, that of the list need not be. */
static void answer(struct neap_signal *signal, int result, struct answers *answers) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&signal->object);
    neap_waiters_claim_all(&signal->waiters, result, &batch);
    if (result != 0) set(&signal->closed, true);
    set(&signal->pending, result == 0 && batch.first == NULL);
    if (signal->counted) answers->counted++;
    signal->counted = false;
    neap_object_unlock(&signal->object);
    neap_batch_join(&answers->batch, &batch);
}

/* No guard held. */
static void flush(struct neap_engine *engine, struct answers *answers) {
    neap_batch_flush(&answers->batch);
    while (answers->counted-- > 0) neap_engine_count_out(engine);
}

/* --- raising: the hub's thread --- */

static void on_ready(struct neap_watch *watch) {
    struct neap_signals *signals = (struct neap_signals *)watch;
    struct answers answers = {{NULL, NULL}, 0};
    uint64_t came = neap_trap_take(&signals->trap);
    neap_guard_lock(&signals->guard);
    for (struct neap_list *node = signals->open.next; node != &signals->open; node = node->next) {
        struct neap_signal *signal = NEAP_CONTAINER_OF(node, struct neap_signal, node);
        if (came >> (signal->number - 1) & 1) answer(signal, 0, &answers);
    }
    neap_guard_unlock(&signals->guard);
    flush(signals->engine, &answers);
}

static void start_watch(struct neap_runnable *runnable) {
    struct neap_signals *signals = NEAP_CONTAINER_OF(runnable, struct neap_signals, starting);
    int code = neap_watch_start(&signals->watch, signals->engine->hub, signals->trap.fd, on_ready);
    NEAP_ASSERT(code == 0, "the hub can watch an eventfd");
    (void)code;
}

static void stopped(struct neap_watch *watch) { (void)watch; }

void neap_signals_unwatch(struct neap_engine *engine) {
    struct neap_signals *signals = engine->signals;
    if (signals != NULL && neap_watch_is_on(&signals->watch)) neap_watch_stop(&signals->watch, stopped);
}

/* --- opening and closing --- */

static int make(struct neap_engine *engine, struct neap_signals **made) {
    struct neap_signals *signals = neap_alloc_zeroed(sizeof *signals);
    int code = signals == NULL ? NEAP_NOMEM : neap_trap_init(&signals->trap);
    if (code != 0) {
        neap_free(signals);
        return code;
    }
    signals->engine = engine;
    signals->starting.run = start_watch;
    neap_list_init(&signals->open);
    neap_guard_init(&signals->guard);
    atomic_init(&signals->refs, 1);
    neap_hub_post(engine->hub, &signals->starting);
    *made = signals;
    return 0;
}

static int get(struct neap_engine *engine, struct neap_signals **signals) {
    struct neap_hub *hub;
    int code = neap_hub_get(engine, &hub);
    if (code != 0) return code;
    neap_guard_lock(&engine->guard);
    if (engine->signals == NULL) code = make(engine, &engine->signals);
    if (code == 0) *signals = engine->signals;
    neap_guard_unlock(&engine->guard);
    return code;
}

/* Guard held: takes it out of the list. False when it was not there. */
static bool unlist(struct neap_signal *signal) {
    if (!neap_list_is_linked(&signal->node)) return false;
    neap_list_remove(&signal->node);
    neap_trap_unwant(&signal->signals->trap, signal->number);
    return true;
}

int neap_signal_open(struct neap_engine *engine, int number, struct neap_signal **result) {
    struct neap_signals *signals;
    int code = get(engine, &signals);
    if (code != 0) return code;
    struct neap_signal *signal = neap_alloc_zeroed(sizeof *signal);
    if (signal == NULL) return NEAP_NOMEM;
    neap_object_init(&signal->object, &neap_signal_class);
    neap_list_init(&signal->waiters);
    neap_list_init(&signal->node);
    signal->signals = signals;
    signal->number = number;
    atomic_fetch_add_explicit(&signals->refs, 1, memory_order_relaxed);
    neap_object_share(&signal->object);
    neap_guard_lock(&signals->guard);
    code = signals->stopped ? NEAP_CLOSED : neap_trap_want(&signals->trap, number);
    if (code == 0) neap_list_push_back(&signals->open, &signal->node);
    neap_guard_unlock(&signals->guard);
    if (code != 0)
        neap_object_unref(&signal->object);
    else
        *result = signal;
    return code;
}

bool neap_signal_close(struct neap_signal *signal) {
    neap_guard_lock(&signal->signals->guard);
    bool was_open = unlist(signal);
    neap_guard_unlock(&signal->signals->guard);
    if (!was_open) return false;
    struct answers answers = {{NULL, NULL}, 0};
    answer(signal, NEAP_CLOSED, &answers);
    flush(signal->signals->engine, &answers);
    return true;
}

bool neap_signal_is_closed(const struct neap_signal *signal) { return is_set(&signal->closed); }

void neap_signals_stop(struct neap_engine *engine) {
    neap_guard_lock(&engine->guard);
    struct neap_signals *signals = engine->signals;
    neap_guard_unlock(&engine->guard);
    if (signals == NULL) return;
    struct answers answers = {{NULL, NULL}, 0};
    neap_guard_lock(&signals->guard);
    signals->stopped = true;
    while (!neap_list_is_empty(&signals->open)) {
        struct neap_signal *signal = NEAP_CONTAINER_OF(signals->open.next, struct neap_signal, node);
        unlist(signal);
        answer(signal, NEAP_CLOSED, &answers);
    }
    neap_guard_unlock(&signals->guard);
    flush(engine, &answers);
}

void neap_signals_end(struct neap_engine *engine) {
    if (engine->signals == NULL) return;
    neap_signals_stop(engine);
    neap_trap_fini(&engine->signals->trap);
    unref(engine->signals);
    engine->signals = NULL;
}

/* --- the class --- */

/* The last reference is gone, and none is ever made from the list: see LIFETIME. */
static bool revived(struct neap_object *object) {
    struct neap_signal *signal = (struct neap_signal *)object;
    neap_guard_lock(&signal->signals->guard);
    unlist(signal);
    neap_guard_unlock(&signal->signals->guard);
    return false;
}

static void destroy(struct neap_object *object) {
    struct neap_signal *signal = (struct neap_signal *)object;
    NEAP_ASSERT(neap_list_is_empty(&signal->waiters), "wait 2: who waits keeps the object alive");
    unref(signal->signals);
    neap_free(signal);
}

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_signal *signal = (struct neap_signal *)object;
    switch (call->method) {
        case NEAP_SIGNAL_CLOSE: call->number = neap_signal_close(signal); return;
        case NEAP_SIGNAL_IS_CLOSED: call->number = neap_signal_is_closed(signal); return;
        default: call->result = NEAP_RANGE;
    }
}

static const struct neap_remote remote = {.kind = NEAP_KIND_SIGNAL, .ops = NEAP_SIGNAL_WAIT + 1, .serve = serve};

static const char *const verbs[] = {"wait"};

const struct neap_class neap_signal_class = {
    .name = "signal",
    .verbs = verbs,
    .destroy = destroy,
    .revived = revived,
    .attempt = attempt,
    .enlist = enlist,
    .withdrawn = withdrawn,
    .hint = hint,
    .remote = &remote,
};
