/* lookout: a loop that spins reads the wires of its engine meanwhile: what comes for it is there without a wake-up, and
 * what other processes ask is answered by it, and not by the hub's thread. */
#ifndef NEAP_HOST_LOOKOUT_H
#define NEAP_HOST_LOOKOUT_H

#include "core/guard.h"
#include "core/loop.h"
#include "host/wire.h"

enum { NEAP_LOOKOUT_WIRES = 8 }; /* there is no looking at more: then one might as well be woken */

/* The wires of an engine. */
struct neap_lookout {
    struct neap_guard guard;
    struct neap_wire *wires[NEAP_LOOKOUT_WIRES]; /* a reference each; guard */
    _Atomic uint32_t count;                      /* of all wires, also those without a place. Written under the guard */
};

void neap_lookout_init(struct neap_lookout *lookout);
/* Any thread: a wire that has been started. REMOVE: the same, before its last reference goes. */
void neap_lookout_add(struct neap_lookout *lookout, struct neap_wire *wire);
void neap_lookout_remove(struct neap_lookout *lookout, struct neap_wire *wire);

/* neap_loop.watch of the loops of an engine, whose context is `lookout`. */
extern const struct neap_loop_watch neap_lookout_watch;

#endif
