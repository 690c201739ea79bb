#include "host/hub.h"

#include <signal.h>
#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/drain.h"
#include "host/engine.h"
#include "host/launcher.h"
#include "host/signal.h"

/* --- its thread --- */

static bool is_stopping(void *argument) {
    return atomic_load_explicit(&((struct neap_hub *)argument)->stopping, memory_order_relaxed);
}

static bool has_no_watches(void *argument) { return ((struct neap_hub *)argument)->watches == 0; }

static void on_alarm(struct neap_watch *watch) { neap_alarms_ring(&watch->hub->alarms); }

static void on_stopped(struct neap_watch *watch) { (void)watch; }

static void *run(void *argument) {
    struct neap_hub *hub = argument;
    if (neap_watch_start(&hub->alarm_watch, hub, hub->alarms.fd, on_alarm) != 0) neap_alarms_end(&hub->alarms);
    neap_loop_run(&hub->loop, is_stopping, hub);
    neap_loop_drain(&hub->loop);
    if (neap_watch_is_on(&hub->alarm_watch)) neap_watch_stop(&hub->alarm_watch, on_stopped);
    while (!neap_list_is_empty(&hub->drains))
        neap_drain_stop(NEAP_CONTAINER_OF(hub->drains.next, struct neap_drain, node));
    neap_signals_unwatch(hub->engine);
    neap_loop_run(&hub->loop, has_no_watches, hub);
    neap_loop_drain(&hub->loop);
    neap_launcher_end(hub);
    neap_alarms_fini(&hub->alarms);
    neap_loop_fini(&hub->loop);
    return NULL;
}

/* Signals are for the threads that run Lua. */
static int create(struct neap_hub *hub) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    neap_loop_lose_patience();
    int code = pthread_create(&hub->thread, NULL, run, hub);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -code;
}

static int make(struct neap_engine *engine, struct neap_hub **made) {
    struct neap_hub *hub = neap_alloc_zeroed(sizeof *hub);
    if (hub == NULL) return NEAP_NOMEM;
    hub->engine = engine;
    neap_alarms_init(&hub->alarms);
    neap_list_init(&hub->drains);
    atomic_init(&hub->launcher, NULL);
    atomic_init(&hub->stopping, false);
    int code =
        neap_loop_init(&hub->loop, NULL, NULL); /* not counted: it serves the others, and starts nothing by itself */
    if (code != 0) {
        neap_alarms_fini(&hub->alarms);
        neap_free(hub);
        return code;
    }
    hub->loop.parks_at_once = true;
    code = neap_loop_open_uv(&hub->loop);
    if (code == 0) code = create(hub);
    if (code != 0) {
        neap_alarms_fini(&hub->alarms);
        neap_loop_fini(&hub->loop);
        neap_free(hub);
        return code;
    }
    *made = hub;
    return 0;
}

int neap_hub_get(struct neap_engine *engine, struct neap_hub **hub) {
    int code = 0;
    neap_guard_lock(&engine->guard);
    if (engine->hub == NULL) code = make(engine, &engine->hub);
    if (code == 0) *hub = engine->hub;
    neap_guard_unlock(&engine->guard);
    return code;
}

void neap_hub_end(struct neap_engine *engine) {
    struct neap_hub *hub = engine->hub;
    if (hub == NULL) return;
    struct neap_mailbox *mailbox = neap_mailbox_ref(hub->loop.mailbox); /* its loop may end before it is told to */
    atomic_store_explicit(&hub->stopping, true, memory_order_relaxed);
    neap_mailbox_notify(mailbox);
    neap_mailbox_unref(mailbox);
    pthread_join(hub->thread, NULL);
    engine->hub = NULL;
    neap_free(hub);
}

void neap_hub_post(struct neap_hub *hub, struct neap_runnable *runnable) {
    int code = neap_mailbox_post(hub->loop.mailbox, runnable);
    NEAP_ASSERT(code == 0, "the hub outlives those who use it");
    (void)code;
}

/* --- watching --- */

enum { WATCHED = UV_READABLE | UV_DISCONNECT };

/* On an error libuv stops watching: but there may be more to be read than is read now. */
static void on_poll(uv_poll_t *poll, int status, int events) {
    struct neap_watch *watch = (struct neap_watch *)poll;
    (void)events;
    if (status < 0) uv_poll_start(poll, WATCHED, on_poll);
    watch->ready(watch);
}

int neap_watch_start(struct neap_watch *watch, struct neap_hub *hub, int fd, void (*ready)(struct neap_watch *watch)) {
    int code = uv_poll_init(hub->loop.uv, &watch->poll, fd);
    if (code != 0) return code;
    watch->hub = hub;
    watch->ready = ready;
    hub->watches++;
    uv_poll_start(&watch->poll, WATCHED, on_poll);
    return 0;
}

void neap_watch_pause(struct neap_watch *watch) { uv_poll_stop(&watch->poll); }

static void on_close(uv_handle_t *handle) {
    struct neap_watch *watch = (struct neap_watch *)handle;
    watch->hub->watches--;
    watch->hub = NULL;
    watch->stopped(watch);
}

void neap_watch_stop(struct neap_watch *watch, void (*stopped)(struct neap_watch *watch)) {
    watch->stopped = stopped;
    uv_close((uv_handle_t *)&watch->poll, on_close);
}
