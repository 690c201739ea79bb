#include "core/timer.h"

#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"

enum { ARITY = 4, FIRST_CAPACITY = 16 };

static void place(struct neap_timers *timers, uint32_t at, struct neap_timer timer) {
    timers->heap[at] = timer;
    timer.wait->timer = at;
}

static void sift_up(struct neap_timers *timers, uint32_t at, struct neap_timer timer) {
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;
        if (timers->heap[parent].deadline <= timer.deadline) break;
        place(timers, at, timers->heap[parent]);
        at = parent;
    }
    place(timers, at, timer);
}

static uint32_t nearest_child(const struct neap_timers *timers, uint32_t at) {
    uint32_t first = at * ARITY + 1, end = first + ARITY, best = first;
    if (end > timers->count) end = timers->count;
    for (uint32_t child = first + 1; child < end; child++)
        if (timers->heap[child].deadline < timers->heap[best].deadline) best = child;
    return best;
}

static void sift_down(struct neap_timers *timers, uint32_t at, struct neap_timer timer) {
    for (;;) {
        uint32_t child = nearest_child(timers, at);
        if (child >= timers->count || timers->heap[child].deadline >= timer.deadline) break;
        place(timers, at, timers->heap[child]);
        at = child;
    }
    place(timers, at, timer);
}

void neap_timers_init(struct neap_timers *timers) { *timers = (struct neap_timers){NULL, 0, 0}; }

void neap_timers_fini(struct neap_timers *timers) { neap_free(timers->heap); }

int neap_timers_add(struct neap_timers *timers, struct neap_wait *wait, int64_t deadline) {
    if (timers->count == timers->capacity) {
        uint32_t capacity = timers->capacity == 0 ? FIRST_CAPACITY : timers->capacity * 2;
        struct neap_timer *heap = neap_realloc(timers->heap, capacity * sizeof *heap);
        if (heap == NULL) return NEAP_NOMEM;
        timers->heap = heap;
        timers->capacity = capacity;
    }
    timers->count++;
    sift_up(timers, timers->count - 1, (struct neap_timer){deadline, wait});
    return 0;
}

void neap_timers_remove(struct neap_timers *timers, struct neap_wait *wait) {
    uint32_t at = wait->timer;
    NEAP_ASSERT(at < timers->count && timers->heap[at].wait == wait, "a wait knows its place among the timers");
    wait->timer = NEAP_NO_TIMER;
    struct neap_timer last = timers->heap[--timers->count];
    if (at == timers->count) return;
    if (at > 0 && timers->heap[(at - 1) / ARITY].deadline > last.deadline)
        sift_up(timers, at, last);
    else
        sift_down(timers, at, last);
}

int64_t neap_timers_next(const struct neap_timers *timers) {
    return timers->count == 0 ? NEAP_FOREVER : timers->heap[0].deadline;
}

struct neap_wait *neap_timers_pop(struct neap_timers *timers, int64_t now) {
    if (timers->count == 0 || timers->heap[0].deadline > now) return NULL;
    struct neap_wait *wait = timers->heap[0].wait;
    struct neap_timer last = timers->heap[--timers->count];
    wait->timer = NEAP_NO_TIMER; /* not looked at first: it may be on its way here */
    if (timers->count > 0) sift_down(timers, 0, last);
    /* One of these is next but one, and may have slept for long: they are fetched meanwhile. */
    for (uint32_t at = 1; at <= ARITY && at < timers->count; at++) __builtin_prefetch(timers->heap[at].wait);
    return wait;
}
