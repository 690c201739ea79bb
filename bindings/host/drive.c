/* drive: who turns the loop of an engine.
 *
 * CALLS       The host's thread, inside neap_engine_run and its kin: nothing to do here.
 * THREAD      The engine is made, used and freed by a thread of its own, which turns the loop until neap_engine_free
 *             has asked it to end, and says how that went: `talk` is where the two meet. An engine that was stopped
 *             ends what runs in it by itself.
 * UV          The loop is a guest in the host's (core/guest.c).
 * STEPS       The loop has libuv from the beginning, whose backend is the descriptor; between steps it is retired, so
 *             that whoever posts makes the descriptor readable.
 *
 * After each call of the host into an engine of the last two kinds the loop is put to rest again (neap_drive_settle):
 * the call may have queued something. */
#include "bindings/host/drive.h"

#include <uv.h>

#include "bindings/task/ending.h"
#include "core/clock.h"
#include "core/futex.h"
#include "core/guest.h"
#include "core/memory.h"

static bool is_stopped(const struct neap_host *host) {
    return atomic_load_explicit(&host->engine.exit_status, memory_order_acquire) >= 0;
}

static bool is_busy(struct neap_host *host) { return host->vm->needed > 0 || neap_engine_is_needed(&host->engine); }

/* --- in the host's libuv loop --- */

static bool after_turn(struct neap_loop *loop) {
    const struct neap_vm *vm = loop->context;
    return is_busy(neap_host_of(vm->engine));
}

/* --- steps --- */

bool neap_engine_is_busy(const struct neap_engine *engine) {
    if (engine == NULL) return false;
    NEAP_CONTRACT_THREAD(engine, false);
    return is_busy((struct neap_host *)engine); /* counting changes nothing that a host could see */
}

int neap_engine_descriptor(const struct neap_engine *engine) {
    NEAP_CONTRACT_ENGINE(engine);
    const struct neap_host *host = (const struct neap_host *)engine;
    NEAP_CONTRACT(host->embedding.config.drive == NEAP_DRIVE_STEPS, NEAP_INVALID,
                  "neap.h: a descriptor is for NEAP_DRIVE_STEPS");
    return uv_backend_fd(host->vm->loop.uv);
}

double neap_engine_timeout(const struct neap_engine *engine) {
    if (engine == NULL) return NEAP_NO_TIMEOUT;
    NEAP_CONTRACT_THREAD(engine, NEAP_NO_TIMEOUT);
    const struct neap_host *host = (const struct neap_host *)engine;
    const struct neap_loop *loop = &host->vm->loop;
    int64_t next = neap_loop_next(loop);
    double seconds = NEAP_NO_TIMEOUT;
    if (is_stopped(host)) return 0;
    if (next != NEAP_FOREVER) {
        int64_t left = next == 0 ? 0 : next - neap_clock_now();
        seconds = left <= 0 ? 0 : (double)left / (double)NEAP_SECOND;
    }
    int uv = loop->uv != NULL && uv_loop_alive(loop->uv) ? uv_backend_timeout(loop->uv) : -1;
    return uv >= 0 && uv / 1000.0 < seconds ? uv / 1000.0 : seconds;
}

int neap_engine_step(struct neap_engine *engine) {
    NEAP_CONTRACT_ENGINE(engine);
    struct neap_host *host = neap_host_of(engine);
    struct neap_visit visit;
    NEAP_CONTRACT(host->embedding.config.drive == NEAP_DRIVE_STEPS, NEAP_INVALID,
                  "neap.h: a step is for NEAP_DRIVE_STEPS");
    NEAP_CONTRACT(host->depth == 0, NEAP_INVALID, "neap.h: an engine is not stepped from inside");
    int code = neap_host_enter(host, &visit);
    if (code != 0) return code;
    neap_loop_here = visit.loop; /* the step sets it itself */
    bool more = !is_stopped(host) && neap_loop_step(&host->vm->loop);
    neap_host_leave(host, &visit);
    if (!is_stopped(host)) return more;
    neap_host_note_text(host, "the engine was stopped");
    return NEAP_CANCELLED;
}

int neap_drive_open(struct neap_host *host) {
    const struct neap_config *config = &host->embedding.config;
    struct neap_loop *loop = &host->vm->loop;
    if (config->drive == NEAP_DRIVE_UV) {
        host->vm->host_turns = true;
        return neap_guest_open(loop, config->uv_loop, after_turn);
    }
    if (config->drive != NEAP_DRIVE_STEPS) return 0;
    int code = neap_loop_open_uv(loop);
    if (code == 0) neap_loop_rest(loop);
    return code;
}

void neap_drive_settle(struct neap_host *host) {
    struct neap_loop *loop = &host->vm->loop;
    if (host->embedding.config.drive == NEAP_DRIVE_UV)
        neap_guest_touch(loop);
    else if (host->embedding.config.drive == NEAP_DRIVE_STEPS)
        neap_loop_rest(loop);
}

/* --- a thread of its own --- */

enum { STACK_SIZE = 1 << 20 };

static void set_word(_Atomic uint32_t *word, uint32_t value) {
    atomic_store_explicit(word, value, memory_order_release);
    neap_futex_wake(word);
}

static void await_word(_Atomic uint32_t *word, uint32_t value) {
    uint32_t seen;
    while ((seen = atomic_load_explicit(word, memory_order_acquire)) != value)
        neap_futex_wait(word, seen, NEAP_FOREVER);
}

static bool is_asked_to_end(void *argument) {
    const struct neap_host *host = argument;
    return atomic_load_explicit(&host->talk, memory_order_acquire) == NEAP_TALK_END;
}

static bool is_to_look(void *argument) { return is_asked_to_end(argument) || is_stopped(argument); }

/* The engine was stopped. */
static void wind_down(struct neap_host *host) {
    struct neap_visit visit;
    if (neap_host_enter(host, &visit) != 0) return;
    neap_ending_run(host->vm);
    neap_host_leave(host, &visit);
}

static void *run(void *argument) {
    struct neap_host *host = argument;
    int code = host->open(host);
    host->code = code;
    set_word(&host->talk, NEAP_TALK_DONE);
    if (code != 0) return NULL;
    neap_loop_run(&host->vm->loop, is_to_look, host);
    if (is_stopped(host)) wind_down(host);
    for (;;) {
        neap_loop_run(&host->vm->loop, is_asked_to_end, host);
        host->code = host->close(host);
        code = host->code;
        set_word(&host->talk, NEAP_TALK_DONE); /* from here on the host may free what is left of it */
        if (code == 0) return NULL;
    }
}

int neap_drive_start(struct neap_host *host) {
    pthread_attr_t attributes;
    int code = -pthread_attr_init(&attributes);
    if (code != 0) return code;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    code = -pthread_create(&host->thread, &attributes, run, host);
    pthread_attr_destroy(&attributes);
    if (code != 0) return code;
    await_word(&host->talk, NEAP_TALK_DONE);
    if (host->code != 0) pthread_join(host->thread, NULL);
    return host->code;
}

int neap_drive_end(struct neap_host *host) {
    struct neap_mailbox *mailbox = neap_mailbox_ref(host->engine.main);
    atomic_store_explicit(&host->talk, NEAP_TALK_END, memory_order_release);
    neap_mailbox_notify(mailbox);
    neap_mailbox_unref(mailbox);
    await_word(&host->talk, NEAP_TALK_DONE);
    if (host->code == 0) pthread_join(host->thread, NULL);
    return host->code;
}

/* --- asking --- */

struct question {
    void (*function)(struct neap_engine *engine, void *argument);
    void *argument;
    _Atomic uint32_t answered; /* a futex */
};

static void answer(struct neap_engine *engine, void *argument) {
    struct question *question = argument;
    question->function(engine, question->argument);
    set_word(&question->answered, 1);
}

int neap_ask(struct neap_engine *engine, void (*function)(struct neap_engine *engine, void *argument), void *argument) {
    NEAP_CONTRACT_POINTER(engine);
    NEAP_CONTRACT_POINTER(function);
    struct question question = {.function = function, .argument = argument};
    if (pthread_equal(neap_host_of(engine)->thread, pthread_self())) {
        function(engine, argument);
        return 0;
    }
    NEAP_CONTRACT(neap_loop_here == NULL, NEAP_FOREIGN, "neap.h: a thread that is inside an engine does not block");
    int code = neap_post(engine, answer, &question);
    if (code == 0) await_word(&question.answered, 1);
    return code;
}
