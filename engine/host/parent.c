/* parent: the other end of process.c.
 *
 * ORPHANS    When the wire ends without our doing the parent has gone: the program ends, in order, so that `<close>`
 *            variables run; after a time of grace at once. (It is also sent SIGTERM, by the system: see launcher.c.)
 * BUSY       The engine counts the wire as something that may wake a loop:
 *            a task that waits for ever may be cancelled yet. */
#include "host/parent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "core/error.h"
#include "host/engine.h"
#include "host/launcher.h"
#include "host/session.h"

enum { GRACE_MS = 6000, SIGNAL_STATUS = 128 };

static bool cancel(struct neap_parent *parent, const struct neap_wire_frame *frame) {
    struct neap_message reason = {.kind = NEAP_MESSAGE_EMPTY};
    struct neap_unpacker unpacker;
    neap_unpacker_init(&unpacker, parent->wire, frame);
    neap_unpack_message(&unpacker, &reason);
    if (unpacker.code != 0 && parent->self != NULL)
        return false;           /* before that, it may mention what is not there yet */
    if (parent->self == NULL) { /* it has not begun yet */
        neap_message_fini(&parent->reason);
        neap_message_move(&parent->reason, &reason);
        parent->is_cancelled = true;
        return true;
    }
    if (!neap_job_cancel(&parent->self->job, &reason)) neap_message_fini(&reason);
    return true;
}

static bool receive(struct neap_wire *wire, const struct neap_wire_frame *frame) {
    struct neap_parent *parent = wire->context;
    struct neap_unpacker unpacker;
    switch (frame->type) {
        case NEAP_FRAME_START:
            neap_unpacker_init(&unpacker, wire, frame);
            return parent->engine == NULL && parent->read_start(&unpacker, parent->argument);
        case NEAP_FRAME_CANCEL: return cancel(parent, frame);
        default: return frame->type >= NEAP_FRAME_BOARD && neap_session_receive(parent->session, frame);
    }
}

static void out_of_patience(uv_timer_t *timer) {
    (void)timer;
    _exit(1);
}

static void start_timer(struct neap_runnable *runnable) {
    struct neap_parent *parent = NEAP_CONTAINER_OF(runnable, struct neap_parent, leaving);
    if (!parent->is_detached) uv_timer_start(&parent->patience, out_of_patience, GRACE_MS, 0);
}

/* By whoever reads the wire. */
static void ended(struct neap_wire *wire, int code) {
    struct neap_parent *parent = wire->context;
    parent->is_gone = true;
    neap_session_end(parent->session, "the parent process has ended");
    if (code == NEAP_CLOSED || parent->engine == NULL) return;
    neap_engine_exit(parent->engine, SIGNAL_STATUS + SIGHUP);
    parent->leaving.run = start_timer;
    neap_hub_post(parent->hub, &parent->leaving);
}

static void passed(struct neap_wire *wire) {
    const struct neap_parent *parent = wire->context;
    neap_session_passed(parent->session);
}

static const struct neap_wire_user user = {.receive = receive, .ended = ended, .passed = passed};

int neap_parent_open(struct neap_parent *parent, const struct neap_makers *makers,
                     const struct neap_class *const *classes,
                     bool (*read_start)(struct neap_unpacker *unpacker, void *argument), void *argument) {
    *parent = (struct neap_parent){.read_start = read_start, .argument = argument};
    int code = neap_wire_open(NEAP_LAUNCH_SOCKET, NEAP_LAUNCH_SEGMENT, &parent->wire);
    if (code != 0) return code;
    neap_wire_start(parent->wire, &user, parent, classes);
    parent->session = neap_session_new(parent->wire, NULL, makers);
    return parent->session != NULL ? 0 : NEAP_NOMEM;
}

bool neap_parent_await_start(struct neap_parent *parent) {
    bool goes_on = neap_wire_glance(parent->wire);
    if (goes_on) return !parent->is_gone;
    struct pollfd polled = {.fd = parent->wire->bell.socket, .events = POLLIN};
    while (poll(&polled, 1, -1) < 0 && errno == EINTR) {}
    return neap_wire_pump(parent->wire);
}

/* --- the hub's thread --- */

static void on_ready(struct neap_watch *watch) {
    struct neap_parent *parent = NEAP_CONTAINER_OF(watch, struct neap_parent, watch);
    if (!neap_wire_pump(parent->wire)) neap_watch_pause(watch);
}

static void start_watching(struct neap_runnable *runnable) {
    struct neap_parent *parent = NEAP_CONTAINER_OF(runnable, struct neap_parent, attaching);
    uv_timer_init(parent->hub->loop.uv, &parent->patience);
    uv_unref((uv_handle_t *)&parent->patience);
    if (neap_watch_start(&parent->watch, parent->hub, parent->wire->bell.socket, on_ready) != 0)
        neap_engine_exit(parent->engine, 1);
}

static void on_stopped(struct neap_watch *watch) { (void)watch; }

static void stop_watching(struct neap_runnable *runnable) {
    struct neap_parent *parent = NEAP_CONTAINER_OF(runnable, struct neap_parent, detaching);
    neap_session_end(parent->session, "this process is ending");
    parent->is_detached = true;
    uv_close((uv_handle_t *)&parent->patience, NULL);
    if (neap_watch_is_on(&parent->watch)) neap_watch_stop(&parent->watch, on_stopped);
}

int neap_parent_attach(struct neap_parent *parent, struct neap_engine *engine, struct neap_mailbox *mailbox,
                       uint64_t id) {
    int code = neap_hub_get(engine, &parent->hub);
    if (code != 0) return code;
    parent->self = neap_process_new_self(engine, mailbox, parent->wire, id);
    if (parent->self == NULL) return NEAP_NOMEM;
    neap_session_set_child(parent->session, &parent->self->job.future.object);
    parent->engine = engine;
    parent->session->cells = neap_engine_cells(engine);
    parent->session->alarms = &parent->hub->alarms;
    neap_job_watch(&parent->self->job, neap_wire_flag(parent->wire));
    atomic_store_explicit(&engine->board, parent->session->board, memory_order_release);
    if (parent->is_cancelled && !neap_job_cancel(&parent->self->job, &parent->reason))
        neap_message_fini(&parent->reason);
    atomic_fetch_add_explicit(&engine->busy, 1, memory_order_acq_rel); /* see BUSY */
    neap_lookout_add(&engine->lookout, parent->wire);
    parent->attaching.run = start_watching;
    neap_hub_post(parent->hub, &parent->attaching);
    return 0;
}

int neap_parent_report(struct neap_parent *parent, const struct neap_report *report) {
    struct neap_packer packer;
    neap_packer_init(&packer, parent->wire);
    neap_process_pack_outcome(&packer, report);
    int code = neap_packer_send(&packer, NEAP_FRAME_OUTCOME);
    neap_packer_fini(&packer);
    return code;
}

void neap_parent_detach(struct neap_parent *parent) {
    if (parent->engine == NULL) return;
    neap_lookout_remove(&parent->engine->lookout, parent->wire);
    parent->detaching.run = stop_watching;
    neap_hub_post(parent->hub, &parent->detaching);
}

void neap_parent_fini(struct neap_parent *parent) {
    if (parent->self != NULL) neap_job_watch(&parent->self->job, NULL);
    neap_session_set_child(parent->session, NULL);
    if (parent->self != NULL) neap_object_unref(&parent->self->job.future.object);
    neap_message_fini(&parent->reason);
    neap_session_unref(parent->session);
    neap_wire_unref(parent->wire);
}
