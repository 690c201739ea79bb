/* pulse: a signal that beats while a thread computes. For whoever has to interrupt a thread that does not look
 * around: what the beat does is up to the loop that runs on the thread (loop->beat), called by the signal handler
 * there. The essay is in pulse.c. */
#ifndef NEAP_CORE_PULSE_H
#define NEAP_CORE_PULSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "core/guard.h"

struct neap_pulse {
    struct neap_guard guard;
    int signal;           /* 0: not attached, nobody is interrupted. Under guard */
    pid_t thread;         /* the system's number of the attached thread; under guard */
    clockid_t clock;      /* the processor time that it has used; under guard */
    int64_t interval_ns;  /* of that time, between two beats; under guard */
    _Atomic bool beating; /* `timer` exists; written under guard, read without by those who would start it. Relaxed */
    timer_t timer;        /* under guard */
};

/* Does nobody in this process but pulses use the signal? Then it can be claimed without taking it from anybody. */
bool neap_pulse_is_free(int signal);

/* Not attached. Needs no fini. */
void neap_pulse_init(struct neap_pulse *pulse);

/* Own thread: from now until neap_pulse_detach it may be interrupted by `signal`, every `interval_ns` of the processor
 * time that it uses. Claims the signal for the process if that has not happened. 0, or what the system said. */
int neap_pulse_attach(struct neap_pulse *pulse, int signal, int64_t interval_ns);
/* Own thread, the one that attached it: no beat comes any more once this has returned.
 * Does nothing when not attached. */
void neap_pulse_detach(struct neap_pulse *pulse);

/* Any thread: lets an attached pulse beat; does nothing for one that is not, and so for a thread that has ended. Where
 * the system has no timer to give, the thread stays without; the next start tries again. */
void neap_pulse_start(struct neap_pulse *pulse);
/* Own thread: changes the interval, also of one that beats. */
void neap_pulse_set_interval(struct neap_pulse *pulse, int64_t interval_ns);

#endif
