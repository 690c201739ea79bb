/* event: a flag that many may wait for. */
#ifndef NEAP_SYNC_EVENT_H
#define NEAP_SYNC_EVENT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/object.h"
#include "core/wait.h"

/* Operations of a link. WAIT waits until it is set. */
enum neap_event_op { NEAP_EVENT_WAIT };

/* Calls of other processes. IS_SET: number. */
enum neap_event_call { NEAP_EVENT_SET, NEAP_EVENT_CLEAR, NEAP_EVENT_IS_SET };

struct neap_event {
    struct neap_object object;
    struct neap_list waiters; /* links with WAIT; empty while it is set. guard */
    _Atomic bool set;         /* written under the guard, release */
};

/* Not set. One reference; NULL: no memory. */
struct neap_event *neap_event_new(void);

/* Any thread. Everyone who waits is woken, even if it is cleared at once. */
void neap_event_set(struct neap_event *event);
void neap_event_clear(struct neap_event *event);
bool neap_event_is_set(const struct neap_event *event);

extern const struct neap_class neap_event_class;

#endif
