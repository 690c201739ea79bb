/* spin: looking for a while before parking.
 *
 * WHY         Being handed a value costs more than seeing it arrive. Where an object is shared, nothing else is ready
 *             on this loop and the class can tell cheaply (hint), begin looks for some microseconds before it parks.
 *             Nobody who waits is overtaken: attempt and quick refuse while others wait.
 * LOOK        It does not look all the time, so that whoever keeps it waiting has the memory to itself and gets
 *             something done between two looks.
 * WATCH       Where what it waits for is a matter of moments and nobody is held up by that (NEAP_QUICK_SOON: the next
 *             work of a pool, and what comes out of it) it does look all the time, until something else is ready here.
 * HOW LONG    Where it was in vain it looks half as long the next time, and after many times once as long as at first.
 *             What another process lets go of is looked for four times as long: that much longer it takes to be handed
 *             it. */
#include "core/spin.h"

#include "core/guard.h"

/* About 30 ns each, on the machine that this was measured on. */
enum { LOOK_PAUSES_MIN = 64, FIRST_PAUSES = 128, PAUSES_MAX = 256, LOOKS_IN_A_ROW = 4 };

enum { FAR_SHIFT = 2, LOOKS_PER_PROBE = 32 }; /* see HOW LONG */

static enum neap_quick look_closely(struct neap_link *link) {
    for (int i = 0; i < LOOKS_IN_A_ROW; i++) {
        enum neap_quick quick = NEAP_QUICK_LATER;
        if (link->object->class->hint(link->object, link)) quick = neap_link_try_quick(link);
        if (quick != NEAP_QUICK_LATER) return quick;
        neap_relax();
    }
    return NEAP_QUICK_LATER;
}

/* It did not pay off. */
static void look_less(struct neap_loop *loop) {
    if (loop->look_pauses > LOOK_PAUSES_MIN) {
        loop->look_pauses /= 2;
    } else if (++loop->looks_in_vain == LOOKS_PER_PROBE) {
        loop->looks_in_vain = 0;
        loop->look_pauses = NEAP_LOOK_PAUSES_MAX;
    }
}

enum neap_quick neap_spin_look(struct neap_loop *loop, struct neap_link *link, enum neap_quick quick) {
    bool far = atomic_load_explicit(&link->object->far, memory_order_relaxed);
    uint32_t limit = loop->look_pauses << (far ? FAR_SHIFT : 0);
    for (uint32_t total = 0, pauses = FIRST_PAUSES; total < limit; total += pauses) {
        for (uint32_t i = 0; quick == NEAP_QUICK_LATER && i < pauses; i++) neap_relax();
        if (total > 0 && pauses < PAUSES_MAX) pauses *= 2;
        quick = look_closely(link);
        if (quick == NEAP_QUICK_LATER) continue;
        loop->look_pauses = NEAP_LOOK_PAUSES_MAX;
        return quick;
    }
    look_less(loop);
    return quick;
}

enum neap_quick neap_spin_watch(struct neap_loop *loop, struct neap_link *link) {
    if (neap_loop_is_alone(loop) || loop->parks_at_once) return NEAP_QUICK_SOON;
    for (uint32_t i = 0; i < loop->look_pauses && !neap_loop_has_ready(loop); i++) {
        enum neap_quick quick = neap_link_try_quick(link);
        if (quick != NEAP_QUICK_SOON) {
            loop->look_pauses = NEAP_LOOK_PAUSES_MAX;
            return quick;
        }
        neap_relax();
    }
    look_less(loop);
    return NEAP_QUICK_SOON;
}
