/* crew: OS threads that rest.
 *
 * MODEL      An OS thread that is made for a body becomes a member. When the body has returned it rests, unless enough
 *            others do: it sleeps until it is given the next one, for a moment at most, and then ends. It is joined
 *            when the next body comes (without waiting) or by neap_crew_leave (waiting).
 * LOOKING    Waking who sleeps on another processor takes longer than all else that starting a thread takes. Whoever
 *            starts one after the other is back within microseconds. So a member looks for the next body before it
 *            sleeps, for as long as a wake-up takes: who joins its last one may have to wake up first. It does so only
 *            if no body is run, no other looks and there is a processor beside the starter's; and where looking has
 *            not been paying off it is tried now and then only. Who takes it out of `resting` ends the look, be it that
 *            it has not seen that yet. As the last to rest it is the first to be given something, but for whom a
 *            starter was just making when it came to rest: that one may come to rest while it looks.
 * FINISHING  A starter may come back even before the member rests, whose state is still being closed. A body says when
 *            it is about to return; then the starter waits, for less than a wake-up would take, before it has another
 *            member sleep no longer, or makes one. That also keeps their number down.
 * WORD       RESTING is written under the guard. Who takes a member out of `resting`, under the guard, is the only one
 *            to write the word after that: GIVEN or DISMISSED, once he has let go of the guard, and wakes it if it was
 *            ASLEEP; into that the member itself changes RESTING before it sleeps, be it taken out by then or not. A
 *            member whose moment is over takes itself out.
 * LEFT OVER  The next body sees what the last one has left in the OS thread. So a body puts back what it changed in
 *            thread-local variables; the signal mask is set for each, and while a member rests it blocks all signals.
 *            What the system lets a new thread have from its maker otherwise, its priority and the processors that it
 *            may use, stays as it was when the OS thread was made.
 * LOCKS      The guard is taken with no other held, and nothing is called under it. */
#include "host/crew.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/futex.h"
#include "core/loop.h"
#include "core/memory.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STACK_SIZE = 8 << 20 }; /* sanitizers make frames several times as large */
#else
enum {
    STACK_SIZE = 1 << 20
}; /* 200 nested C calls of Lua with its largest frames take a half; small ones are cached */
#endif

enum {
    REST_NS = 100 * 1000 * 1000,
    LOOK_NS = 60 * 1000, /* outlasts a wake-up */
    WAIT_NS = 10 * 1000,
    PAUSES = 16,            /* between two glances at the clock */
    TRUST_MAX = 4,          /* looks in vain before there are no more; see LOOKING */
    UNLOOKED_PER_PROBE = 32 /* then, look again after so many rests without */
};

enum word { GIVEN, DISMISSED, RESTING, ASLEEP };

struct member {
    struct neap_list node; /* in a list of the crew; its guard */
    struct neap_crew *crew;
    pthread_t system;           /* its own; read by who joins it */
    void (*body)(void *);       /* what it runs; written by who gives it, before `word` */
    void *argument;             /* of the body; likewise */
    sigset_t mask;              /* of signals, for what it is given while it rests; likewise */
    bool resting;               /* it is in that list; guard */
    bool looks;                 /* before it sleeps: crew->looking is about it; guard */
    bool finishing;             /* counts in crew->finishing. Own thread */
    _Atomic uint32_t word;      /* enum word; see WORD. GIVEN and DISMISSED release, the member acquires */
    struct neap_guard creating; /* held by who makes it, until the system has */
};

static struct member *member_of(struct neap_list *node) { return NEAP_CONTAINER_OF(node, struct member, node); }

static _Thread_local struct member *self; /* on whose OS thread we are; NULL: on nobody's */

/* Those that this process may use. */
static uint32_t count_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

void neap_crew_init(struct neap_crew *crew) {
    neap_guard_init(&crew->guard);
    neap_list_init(&crew->busy);
    neap_list_init(&crew->resting);
    neap_list_init(&crew->ended);
    crew->rest_count = 0;
    crew->leaving = false;
    crew->looking = false;
    crew->trust = TRUST_MAX;
    crew->unlooked = 0;
    atomic_init(&crew->finishing, 0);
    crew->has_processors = count_processors() > 1;
    crew->rest_ns = REST_NS;
    crew->look_ns = LOOK_NS;
    crew->wait_ns = WAIT_NS;
}

/* The guard is held. See LOOKING. Nothing if it does not look. */
static void end_look(struct member *member, bool in_vain) {
    struct neap_crew *crew = member->crew;
    if (!member->looks) return;
    member->looks = false;
    crew->looking = false;
    if (!in_vain)
        crew->trust = TRUST_MAX;
    else if (crew->trust > 0)
        crew->trust--;
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

void neap_crew_finish(void) {
    self->finishing = true;
    atomic_fetch_add_explicit(&self->crew->finishing, 1, memory_order_relaxed);
}

/* The guard is held. See LOOKING. */
static bool may_look(struct neap_crew *crew) {
    if (crew->looking || !crew->has_processors || !neap_list_is_empty(&crew->busy)) return false;
    if (crew->trust == 0 && ++crew->unlooked < UNLOOKED_PER_PROBE) return false;
    crew->unlooked = 0;
    return true;
}

/* The guard is held. */
static void join_resting(struct member *member) {
    struct neap_crew *crew = member->crew;
    atomic_store_explicit(&member->word, RESTING, memory_order_relaxed);
    move(member, &crew->resting, true);
    member->looks = may_look(crew);
    if (member->looks) crew->looking = true;
}

/* False: it is to end. `looks`: it is to look first. */
static bool lie_down(struct member *member, bool *looks) {
    struct neap_crew *crew = member->crew;
    neap_guard_lock(&crew->guard);
    bool may = !crew->leaving && crew->rest_count < NEAP_CREW_RESTING;
    if (may)
        join_resting(member);
    else if (!crew->leaving) /* else the list is not the crew's any more */
        move(member, &crew->ended, false);
    if (member->finishing) atomic_fetch_sub_explicit(&crew->finishing, 1, memory_order_relaxed);
    member->finishing = false;
    *looks = member->looks;
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

/* Returns the word: RESTING if that was in vain. */
static enum word look(struct member *member, int64_t until) {
    uint32_t word = RESTING;
    do {
        for (int i = 0; word == RESTING && i < PAUSES; i++) {
            neap_relax();
            word = atomic_load_explicit(&member->word, memory_order_acquire);
        }
    } while (word == RESTING && neap_clock_now() < until);
    if (word != RESTING) return word;
    neap_guard_lock(&member->crew->guard);
    end_look(member, true);
    neap_guard_unlock(&member->crew->guard);
    return RESTING;
}

/* Returns the word; DISMISSED, too, when its moment is over. */
static enum word sleep_until(struct member *member, int64_t deadline) {
    uint32_t word = RESTING;
    if (!atomic_compare_exchange_strong_explicit(&member->word, &word, ASLEEP, memory_order_acquire,
                                                 memory_order_acquire))
        return word;
    while ((word = atomic_load_explicit(&member->word, memory_order_acquire)) == ASLEEP) {
        neap_futex_wait(&member->word, ASLEEP, deadline);
        if (deadline != NEAP_FOREVER && neap_clock_now() >= deadline) {
            if (get_up(member)) return DISMISSED;
            deadline = NEAP_FOREVER; /* the word is about to change */
        }
    }
    return word;
}

/* True: it has been given something. Signals are for threads that run something. */
static bool rest(struct member *member) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    bool looks;
    if (!lie_down(member, &looks)) return false;
    int64_t now = neap_clock_now();
    enum word word = looks ? look(member, now + member->crew->look_ns) : RESTING;
    if (word == RESTING) word = sleep_until(member, now + member->crew->rest_ns);
    if (word == GIVEN) pthread_sigmask(SIG_SETMASK, &member->mask, NULL);
    return word == GIVEN;
}

static void *run(void *argument) {
    struct member *member = argument;
    neap_guard_lock(&member->creating);
    neap_guard_unlock(&member->creating);
    self = member;
    do member->body(member->argument);
    while (rest(member));
    return NULL;
}

/* --- whoever has something to be run --- */

static void rouse(struct member *member, enum word word) {
    uint32_t before = atomic_exchange_explicit(&member->word, word, memory_order_release);
    if (before == ASLEEP) neap_futex_wake(&member->word); /* it may have ended by now: then nobody is woken */
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

/* Until fewer than `count` are finishing, or it has been long enough. */
static void await_finishing(struct neap_crew *crew, uint32_t count) {
    int64_t until = neap_clock_now() + crew->wait_ns;
    do {
        for (int i = 0; i < PAUSES; i++) {
            if (atomic_load_explicit(&crew->finishing, memory_order_relaxed) < count) return;
            neap_relax();
        }
    } while (neap_clock_now() < until);
}

/* The guard is held. So many are finishing; 0, too, if waiting for them is no better than waking one that sleeps. */
static uint32_t count_awaited(const struct neap_crew *crew) {
    bool is_worth_it = !crew->looking && crew->has_processors;
    return is_worth_it ? atomic_load_explicit(&crew->finishing, memory_order_relaxed) : 0;
}

/* False: nobody rests. */
static bool give(struct neap_crew *crew, void (*body)(void *), void *argument) {
    neap_guard_lock(&crew->guard);
    uint32_t awaited = count_awaited(crew);
    if (awaited > 0) {
        neap_guard_unlock(&crew->guard);
        await_finishing(crew, awaited);
        neap_guard_lock(&crew->guard);
    }
    bool found = !neap_list_is_empty(&crew->resting);
    struct member *member = found ? member_of(crew->resting.next) : NULL;
    if (found) {
        end_look(member, false);
        move(member, &crew->busy, false);
    }
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
    neap_loop_lose_patience();
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
    for (node = resting.next; node != &resting; node = node->next) {
        member_of(node)->resting = member_of(node)->looks = false;
    }
    crew->looking = false;
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
