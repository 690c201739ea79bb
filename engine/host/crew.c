/* crew: OS threads that rest.
 *
 * MODEL      An OS thread that is made for a body becomes a member. When the body has returned it rests, unless enough
 *            others do: it sleeps until it is given the next one, for a moment at most, and then ends. It is joined
 *            when the next body comes (without waiting) or by neap_crew_leave (waiting).
 * WORD       RESTING is written under the guard. Who takes a member out of `resting`, under the guard, is the only
 *            one to write the word after that: GIVEN or DISMISSED, once he has let go of the guard. A member whose
 *            moment is over takes itself out.
 * LEFT OVER  The next body sees what the last one has left in the OS thread. So a body puts back what it changed in
 *            thread-local variables; the signal mask is set for each, and while a member rests it blocks all signals.
 *            What the system lets a new thread have from its maker otherwise, its priority and the processors that it
 *            may use, stays as it was when the OS thread was made.
 * LOCKS      The guard is taken with no other held, and nothing is called under it. */
#include "host/crew.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/futex.h"
#include "core/memory.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_SIZE = 8 << 20 }; /* sanitizers make frames several times as large */
#else
enum {
    STACK_SIZE = 1 << 20
}; /* 200 nested C calls of Lua with its largest frames take a half; small ones are cached */
#endif

enum { REST_NS = 100 * 1000 * 1000 };

enum word { GIVEN, DISMISSED, RESTING };

struct member {
    struct neap_list node; /* in a list of the crew; its guard */
    struct neap_crew *crew;
    pthread_t system;           /* its own; read by who joins it */
    void (*body)(void *);       /* what it runs; written by who gives it, before `word` */
    void *argument;             /* of the body; likewise */
    sigset_t mask;              /* of signals, for what it is given while it rests; likewise */
    bool resting;               /* it is in that list; guard */
    _Atomic uint32_t word;      /* enum word. GIVEN and DISMISSED release, the member acquires */
    struct neap_guard creating; /* held by who makes it, until the system has */
};

static struct member *member_of(struct neap_list *node) { return NEAP_CONTAINER_OF(node, struct member, node); }

void neap_crew_init(struct neap_crew *crew) {
    neap_guard_init(&crew->guard);
    neap_list_init(&crew->busy);
    neap_list_init(&crew->resting);
    neap_list_init(&crew->ended);
    crew->rest_count = 0;
    crew->leaving = false;
    crew->rest_ns = REST_NS;
}

/* The guard is held. */
static void move(struct member *member, struct neap_list *list, bool resting) {
    neap_list_remove(&member->node);
    neap_list_push_front(list, &member->node);
    member->crew->rest_count += resting;
    member->crew->rest_count -= member->resting;
    member->resting = resting;
}

/* --- the OS thread --- */

/* False: it is to end. */
static bool lie_down(struct member *member) {
    struct neap_crew *crew = member->crew;
    neap_guard_lock(&crew->guard);
    bool may = !crew->leaving && crew->rest_count < NEAP_CREW_RESTING;
    if (may) atomic_store_explicit(&member->word, RESTING, memory_order_relaxed);
    if (!crew->leaving)
        move(member, may ? &crew->resting : &crew->ended, may); /* else the list is not the crew's any more */
    neap_guard_unlock(&crew->guard);
    return may;
}

/* Its moment is over. False: somebody has just taken it out. */
static bool get_up(struct member *member) {
    struct neap_crew *crew = member->crew;
    neap_guard_lock(&crew->guard);
    bool was_resting = member->resting;
    if (was_resting) move(member, &crew->ended, false);
    neap_guard_unlock(&crew->guard);
    return was_resting;
}

/* True: it has been given something. Signals are for threads that run something. */
static bool rest(struct member *member) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (!lie_down(member)) return false;
    int64_t deadline = neap_clock_now() + member->crew->rest_ns;
    uint32_t word;
    while ((word = atomic_load_explicit(&member->word, memory_order_acquire)) == RESTING) {
        neap_futex_wait(&member->word, RESTING, deadline);
        if (deadline != NEAP_FOREVER && neap_clock_now() >= deadline) {
            if (get_up(member)) return false;
            deadline = NEAP_FOREVER; /* the word is about to change */
        }
    }
    if (word == GIVEN) pthread_sigmask(SIG_SETMASK, &member->mask, NULL);
    return word == GIVEN;
}

static void *run(void *argument) {
    struct member *member = argument;
    neap_guard_lock(&member->creating);
    neap_guard_unlock(&member->creating);
    do member->body(member->argument);
    while (rest(member));
    return NULL;
}

/* --- whoever has something to be run --- */

static void rouse(struct member *member, enum word word) {
    atomic_store_explicit(&member->word, word, memory_order_release);
    neap_futex_wake(&member->word); /* it may have ended by now: then nobody is woken */
}

/* Joins those that have ended, but for those whose last instructions still run. */
static void reap(struct neap_crew *crew) {
    struct neap_list ended;
    neap_list_init(&ended);
    neap_guard_lock(&crew->guard);
    neap_list_splice(&ended, &crew->ended);
    neap_guard_unlock(&crew->guard);
    struct neap_list *node, later;
    neap_list_init(&later);
    while ((node = neap_list_pop_front(&ended)) != NULL) {
        if (pthread_tryjoin_np(member_of(node)->system, NULL) == EBUSY)
            neap_list_push_back(&later, node);
        else
            neap_free(member_of(node));
    }
    if (neap_list_is_empty(&later)) return;
    neap_guard_lock(&crew->guard);
    neap_list_splice(&crew->ended, &later);
    neap_guard_unlock(&crew->guard);
}

/* False: nobody rests. */
static bool give(struct neap_crew *crew, void (*body)(void *), void *argument) {
    neap_guard_lock(&crew->guard);
    bool found = !neap_list_is_empty(&crew->resting);
    struct member *member = found ? member_of(crew->resting.next) : NULL;
    if (found) move(member, &crew->busy, false);
    neap_guard_unlock(&crew->guard);
    if (!found) return false;
    member->body = body;
    member->argument = argument;
    pthread_sigmask(SIG_SETMASK, NULL, &member->mask);
    rouse(member, GIVEN);
    return true;
}

/* Not under the crew's guard: it takes longer than anybody should wait,
 * the OS thread itself and one that ends among them. */
static int create(struct member *member) {
    pthread_attr_t attributes;
    int code = pthread_attr_init(&attributes);
    if (code != 0) return -code;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    neap_guard_lock(&member->creating); /* it is not to be done, and join the ended, before `system` is there */
    code = pthread_create(&member->system, &attributes, run, member);
    neap_guard_unlock(&member->creating);
    pthread_attr_destroy(&attributes);
    return -code;
}

static int make(struct neap_crew *crew, void (*body)(void *), void *argument) {
    struct member *member = neap_alloc_from(NULL, sizeof *member); /* in nobody's quota: it outlives the body */
    if (member == NULL) return NEAP_NOMEM;
    *member = (struct member){.crew = crew, .body = body, .argument = argument};
    neap_guard_init(&member->creating);
    neap_guard_lock(&crew->guard);
    neap_list_push_back(&crew->busy, &member->node);
    neap_guard_unlock(&crew->guard);
    int code = create(member);
    if (code == 0) return 0;
    neap_guard_lock(&crew->guard);
    neap_list_remove(&member->node);
    neap_guard_unlock(&crew->guard);
    neap_free(member);
    return code;
}

int neap_crew_run(struct neap_crew *crew, void (*body)(void *), void *argument) {
    reap(crew);
    return give(crew, body, argument) ? 0 : make(crew, body, argument);
}

void neap_crew_leave(struct neap_crew *crew) {
    struct neap_list all, resting, *node;
    neap_list_init(&all);
    neap_list_init(&resting);
    neap_guard_lock(&crew->guard);
    crew->leaving = true;
    neap_list_splice(&all, &crew->busy);
    neap_list_splice(&all, &crew->ended);
    neap_list_splice(&resting, &crew->resting);
    for (node = resting.next; node != &resting; node = node->next) member_of(node)->resting = false;
    crew->rest_count = 0;
    neap_guard_unlock(&crew->guard);
    for (node = resting.next; node != &resting; node = node->next) rouse(member_of(node), DISMISSED);
    neap_list_splice(&all, &resting);
    while ((node = neap_list_pop_front(&all)) != NULL) {
        pthread_join(member_of(node)->system, NULL);
        neap_free(member_of(node));
    }
    neap_guard_lock(&crew->guard);
    crew->leaving = false;
    neap_guard_unlock(&crew->guard);
}
