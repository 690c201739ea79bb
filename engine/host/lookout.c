#include "host/lookout.h"

#include <stddef.h>

#include "core/check.h"

/* What this thread looks at while it spins. */
static _Thread_local struct neap_wire *looked_at[NEAP_LOOKOUT_WIRES];
static _Thread_local uint32_t looked_count;

void neap_lookout_init(struct neap_lookout *lookout) {
    neap_guard_init(&lookout->guard);
    for (int i = 0; i < NEAP_LOOKOUT_WIRES; i++) lookout->wires[i] = NULL;
    atomic_init(&lookout->count, 0);
}

/* Where `wire` stands, or NULL a free place; NULL: nowhere. The guard is held. */
static struct neap_wire **place_of(struct neap_lookout *lookout, const struct neap_wire *wire) {
    for (int i = 0; i < NEAP_LOOKOUT_WIRES; i++)
        if (lookout->wires[i] == wire) return &lookout->wires[i];
    return NULL;
}

void neap_lookout_add(struct neap_lookout *lookout, struct neap_wire *wire) {
    neap_guard_lock(&lookout->guard);
    struct neap_wire **place = place_of(lookout, NULL);
    if (place != NULL) *place = neap_wire_ref(wire);
    atomic_fetch_add_explicit(&lookout->count, 1, memory_order_relaxed);
    neap_guard_unlock(&lookout->guard);
}

void neap_lookout_remove(struct neap_lookout *lookout, struct neap_wire *wire) {
    neap_guard_lock(&lookout->guard);
    struct neap_wire **place = place_of(lookout, wire);
    if (place != NULL) *place = NULL;
    atomic_fetch_sub_explicit(&lookout->count, 1, memory_order_relaxed);
    neap_guard_unlock(&lookout->guard);
    if (place != NULL) neap_wire_unref(wire);
}

/* --- for the loop --- */

static bool begin(void *context) {
    struct neap_lookout *lookout = context;
    uint32_t count = atomic_load_explicit(&lookout->count, memory_order_relaxed);
    if (count == 0 || count > NEAP_LOOKOUT_WIRES) return false;
    neap_guard_lock(&lookout->guard);
    looked_count = 0;
    for (int i = 0; i < NEAP_LOOKOUT_WIRES; i++)
        if (lookout->wires[i] != NULL) looked_at[looked_count++] = neap_wire_ref(lookout->wires[i]);
    neap_guard_unlock(&lookout->guard);
    for (uint32_t i = 0; i < looked_count; i++) neap_wire_attend(looked_at[i]);
    return looked_count > 0;
}

static void look(void *context) {
    (void)context;
    for (uint32_t i = 0; i < looked_count; i++)
        if (neap_wire_has_frames(looked_at[i])) neap_wire_glance(looked_at[i]);
}

static void end(void *context) {
    (void)context;
    for (uint32_t i = 0; i < looked_count; i++) {
        neap_wire_leave(looked_at[i]);
        neap_wire_unref(looked_at[i]);
    }
    looked_count = 0;
}

const struct neap_loop_watch neap_lookout_watch = {.begin = begin, .look = look, .end = end};
