/* alarm: calls back a little later, by the microsecond, on the thread that looks after a descriptor. For what happens
 * in a moment unless somebody else is faster; where time is counted in milliseconds, a loop's timers are there. */
#ifndef NEAP_CORE_ALARM_H
#define NEAP_CORE_ALARM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/guard.h"
#include "core/list.h"

struct neap_alarm {
    struct neap_list node; /* in alarms->waiting. alarms->guard */
    int64_t at;            /* when it is due. alarms->guard, while it waits */
    /* Called once for each time that it was set, no guard held. It may set it again. Constant */
    void (*ring)(struct neap_alarm *alarm);
};

struct neap_alarms {
    struct neap_guard guard;  /* taken last of all */
    struct neap_list waiting; /* of neap_alarm, by time. guard */
    bool closed;              /* none is set any more. guard */
    int fd;                   /* owned; readable when the first is due; -1: the system has no such thing. Constant */
};

void neap_alarms_init(struct neap_alarms *alarms);
/* Rings all that wait, early as it is; none is set any more. Idempotent. */
void neap_alarms_end(struct neap_alarms *alarms);
/* The same, and closes the descriptor, which nobody polls any more. */
void neap_alarms_fini(struct neap_alarms *alarms);

static inline void neap_alarm_init(struct neap_alarm *alarm, void (*ring)(struct neap_alarm *alarm)) {
    neap_list_init(&alarm->node);
    alarm->ring = ring;
}

/* Any thread: `alarm`, which does not wait, is to ring at `at`. False: it will not, and has not been touched. */
bool neap_alarms_set(struct neap_alarms *alarms, struct neap_alarm *alarm, int64_t at);

/* By the one thread that polls the descriptor, when that can be read: rings what is due. */
void neap_alarms_ring(struct neap_alarms *alarms);

#endif
