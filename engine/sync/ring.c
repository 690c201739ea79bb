/* ring: finding deadlocks between holders of locks while the rest of the program goes on.
 *
 * MODEL       An arrow goes from each owner that waits for a lock to whoever holds it. A ring of arrows never opens
 *             again by itself: each member would have to run to release what it holds, and none does.
 * WHO COUNTS  Only an owner that holds something can be waited for. So whoever parks on a lock holding nothing is not
 *             entered, and costs nothing. Neither does one with a deadline count: it will go on. The last one to park
 *             closes the ring, so it is enough to walk from there, once, when it has parked.
 * RWLOCKS     A writer waits for the one who writes or for all who read; a reader for the one who writes. A
 *             reader that is only queued behind a writer that waits is not followed: such a ring is seen when
 *             the whole program stands still.
 *
 * WHY WHAT IS FOUND IS TRUE
 *             1. A waiter is entered by its owner's thread after the wait was opened and leaves before that
 *                thread ends the wait, both under the guard. While the guard is held nobody who is entered runs
 *                on: what it holds stays as it is.
 *             2. A holder is only compared with the owners that are entered, never followed
 *                as a pointer: it may have ended.
 *             3. A wait is opened once and claimed once. If every wait of a ring is still open when the walk is over,
 *                all of them were during the walk (1), so every arrow stood at the same time.
 * LOCKS       The guard of the rings is taken last and only reads follow; the holders of locks are atomic. So it may be
 *             taken anywhere, and nobody waits for more than a walk. A walk is cut off at a number of steps.
 *
 * REJECTED    Looking for rings periodically (polling); walking from lock to holder to lock through pointers (the
 *             holder of a lock may end at any moment); walking against the arrows, from what one holds to who waits for
 *             it (its cost is that of the crowd that waits, and several guards would be held at once). */
#include "sync/ring.h"

#include "core/clock.h"
#include "core/owner.h"
#include "sync/lock.h"
#include "sync/rwlock.h"

enum { STEPS_MAX = 20000 };

static struct neap_list *bucket_of(struct neap_rings *rings, const struct neap_owner *owner) {
    uintptr_t address = (uintptr_t)owner;
    return &rings->buckets[(address >> 6 ^ address >> 12 ^ address >> 20) % NEAP_RING_BUCKETS];
}

void neap_rings_init(struct neap_rings *rings) {
    neap_guard_init(&rings->guard);
    for (int i = 0; i < NEAP_RING_BUCKETS; i++) neap_list_init(&rings->buckets[i]);
    rings->walk = 0;
    rings->count = 0;
}

static bool is_lock(const struct neap_object *object) {
    return object->class == &neap_lock_class || object->class == &neap_rlock_class;
}

bool neap_rings_concern(const struct neap_wait *wait) {
    if (wait->link_count != 1 || wait->timer != NEAP_NO_TIMER || neap_wait_owner(wait)->held == NULL) return false;
    const struct neap_object *object = wait->links[0].object;
    return is_lock(object) || object->class == &neap_rwlock_class;
}

/* --- walking; guard held --- */

struct walk {
    struct neap_rings *rings;
    const struct neap_ring_waiter *start;
    struct neap_ring_waiter *last; /* of the queue of those that are still to be looked at */
    struct neap_ring_waiter *end;  /* the member that waits for `start`, once it is found */
    int steps;
};

static bool is_open(const struct neap_ring_waiter *waiter) {
    return atomic_load_explicit(&waiter->wait->state, memory_order_acquire) == NEAP_WAIT_OPEN;
}

/* `waiter` waits for `holder`. */
static void follow(struct walk *walk, struct neap_ring_waiter *waiter, struct neap_ring_waiter *holder) {
    if (holder == walk->start) {
        walk->end = waiter;
    } else if (holder->walk != walk->rings->walk && is_open(holder)) {
        holder->walk = walk->rings->walk;
        holder->from = waiter;
        holder->next = NULL;
        walk->last->next = holder;
        walk->last = holder;
    }
}

static void follow_owner(struct walk *walk, struct neap_ring_waiter *waiter, const struct neap_owner *holder) {
    const struct neap_list *bucket = bucket_of(walk->rings, holder);
    for (struct neap_list *node = bucket->next; node != bucket; node = node->next) {
        struct neap_ring_waiter *other = NEAP_CONTAINER_OF(node, struct neap_ring_waiter, node);
        walk->steps++;
        if (neap_wait_owner(other->wait) == holder) follow(walk, waiter, other);
    }
}

static bool holds(struct walk *walk, const struct neap_ring_waiter *waiter, const struct neap_object *object) {
    for (const struct neap_hold *hold = neap_wait_owner(waiter->wait)->held; hold != NULL; hold = hold->next) {
        walk->steps++;
        if (hold->object == object) return true;
    }
    return false;
}

/* All who read `object`, as far as they are entered. */
static void follow_readers(struct walk *walk, struct neap_ring_waiter *waiter, const struct neap_object *object) {
    for (int i = 0; i < NEAP_RING_BUCKETS; i++) {
        const struct neap_list *bucket = &walk->rings->buckets[i];
        for (struct neap_list *node = bucket->next; node != bucket && walk->steps < STEPS_MAX; node = node->next) {
            struct neap_ring_waiter *other = NEAP_CONTAINER_OF(node, struct neap_ring_waiter, node);
            if (holds(walk, other, object)) follow(walk, waiter, other);
        }
    }
}

static void look_at(struct walk *walk, struct neap_ring_waiter *waiter) {
    const struct neap_link *link = &waiter->wait->links[0];
    if (is_lock(link->object)) {
        follow_owner(walk, waiter, neap_lock_holder((const struct neap_lock *)link->object));
        return;
    }
    const struct neap_rwlock *rwlock = (const struct neap_rwlock *)link->object;
    const struct neap_owner *writer = atomic_load_explicit(&rwlock->writer, memory_order_relaxed);
    if (writer != NULL)
        follow_owner(walk, waiter, writer);
    else if (link->op == NEAP_RWLOCK_WRITE)
        follow_readers(walk, waiter, link->object);
}

/* Turns the arrows from the end back to the start, so that they can be followed forwards;
 * false when a wait is over (3). */
static bool turn_round(struct neap_ring_waiter *end) {
    struct neap_ring_waiter *next = NULL, *member = end;
    bool open = true;
    while (member != NULL) {
        struct neap_ring_waiter *before = member->from;
        open = open && is_open(member);
        member->next = next;
        next = member;
        member = before;
    }
    return open;
}

static bool find_ring(struct neap_rings *rings, struct neap_ring_waiter *start) {
    struct walk walk = {.rings = rings, .start = start, .last = start};
    start->walk = ++rings->walk;
    start->from = start->next = NULL;
    for (struct neap_ring_waiter *each = start; each != NULL && walk.end == NULL; each = each->next) {
        look_at(&walk, each);
        if (walk.steps >= STEPS_MAX && walk.end == NULL) return false;
    }
    return walk.end != NULL && turn_round(walk.end);
}

/* --- entering and leaving --- */

bool neap_rings_enter(struct neap_rings *rings, struct neap_ring_waiter *waiter, neap_ring_visitor visit,
                      void *argument) {
    neap_guard_lock(&rings->guard);
    neap_list_push_back(bucket_of(rings, neap_wait_owner(waiter->wait)), &waiter->node);
    waiter->walk = 0;
    waiter->told = false;
    bool found = ++rings->count > 1 && find_ring(rings, waiter);
    for (struct neap_ring_waiter *member = waiter; found && member != NULL; member = member->next) {
        member->told = true;
        visit(member, argument);
    }
    neap_guard_unlock(&rings->guard);
    return found;
}

/* The waiter of `wait`; NULL: it is not entered. Guard held. */
static struct neap_ring_waiter *find_waiter(struct neap_rings *rings, const struct neap_wait *wait) {
    const struct neap_list *bucket = bucket_of(rings, neap_wait_owner(wait));
    for (struct neap_list *node = bucket->next; node != bucket; node = node->next) {
        struct neap_ring_waiter *waiter = NEAP_CONTAINER_OF(node, struct neap_ring_waiter, node);
        if (waiter->wait == wait) return waiter;
    }
    return NULL;
}

bool neap_rings_have_told(struct neap_rings *rings, const struct neap_wait *wait) {
    neap_guard_lock(&rings->guard);
    const struct neap_ring_waiter *waiter = find_waiter(rings, wait);
    bool told = waiter != NULL && waiter->told;
    neap_guard_unlock(&rings->guard);
    return told;
}

struct neap_ring_waiter *neap_rings_leave(struct neap_rings *rings, const struct neap_wait *wait) {
    neap_guard_lock(&rings->guard);
    struct neap_ring_waiter *waiter = find_waiter(rings, wait);
    if (waiter != NULL) {
        neap_list_remove(&waiter->node);
        rings->count--;
    }
    neap_guard_unlock(&rings->guard);
    return waiter;
}
