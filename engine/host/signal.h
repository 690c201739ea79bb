/* signal: one of the system's, as tasks wait for it. The essay is in signal.c. */
#ifndef NEAP_HOST_SIGNAL_H
#define NEAP_HOST_SIGNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/object.h"
#include "core/wait.h"

struct neap_engine;
struct neap_hub;
struct neap_signals;

/* Operations of a link. WAIT: the signal has come; its result is 0, or NEAP_CLOSED. */
enum neap_signal_op { NEAP_SIGNAL_WAIT };

/* Calls of other processes. Their result is in `number`. */
enum neap_signal_call { NEAP_SIGNAL_CLOSE, NEAP_SIGNAL_IS_CLOSED };

struct neap_signal {
    struct neap_object object;    /* first; shared from the beginning, since the hub raises it */
    struct neap_list waiters;     /* links; empty while it is pending or closed. guard */
    struct neap_list node;        /* in signals->open; its guard */
    struct neap_signals *signals; /* one reference. Constant */
    int number;                   /* constant */
    _Atomic bool pending;         /* it came while nobody waited; written under guard. Relaxed */
    _Atomic bool closed;          /* written under guard. Relaxed */
    bool counted;                 /* in engine->busy, while there are waiters; guard */
};

/* Any thread: opens what waits for signal `number`, which neap_trap_can allows. One reference. 0, NEAP_NOMEM,
 * NEAP_CLOSED (the engine is stopping), or what the system said. */
int neap_signal_open(struct neap_engine *engine, int number, struct neap_signal **result);
/* Any thread: who waits is answered NEAP_CLOSED. If it was the last one open in the process, the signal does again what
 * it did before. False when it had been closed. */
bool neap_signal_close(struct neap_signal *signal);
bool neap_signal_is_closed(const struct neap_signal *signal);

/* Any thread: closes all of the engine, and opens no more. */
void neap_signals_stop(struct neap_engine *engine);
/* The hub's thread, at its end. */
void neap_signals_unwatch(struct neap_engine *engine);
/* No hub, and nobody else, uses the engine any more. */
void neap_signals_end(struct neap_engine *engine);

extern const struct neap_class neap_signal_class;

#endif
