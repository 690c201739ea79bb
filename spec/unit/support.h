/* support: what the unit tests of the engine share: actors that wait, threads that race, messages, seeds. */
#ifndef NEAP_SPEC_SUPPORT_H
#define NEAP_SPEC_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/owner.h"
#include "core/wait.h"

/* As assert_true, for any thread: cmocka's own may fail on the main thread only. */
#define CHECK(condition) ((condition) ? (void)0 : fail_check(__FILE__, __LINE__, #condition))
_Noreturn void fail_check(const char *file, int line, const char *text);

/* --- runs --- */

/* The loop of the main thread, made anew for each test. */
extern struct neap_loop here;
/* Are the objects of this run shared? Tests make theirs with made(). */
extern bool sharing;

int set_up(void **state);    /* makes `here` */
int tear_down(void **state); /* ends it; fails when blocks were leaked */

/* The object, shared if this run is one with shared objects. */
void *made(void *object);

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
/* Runs `tests` with local objects, then with shared ones, under a time limit. Returns the number of failures. */
#define run_local_and_shared(tests) run_twice(#tests, tests, sizeof(tests) / sizeof(tests)[0])
int run_twice(const char *name, const struct CMUnitTest *tests, size_t count);
/* For tests that bring their own threads: runs them once. */
#define run_once(tests) run_shared(#tests, tests, sizeof(tests) / sizeof(tests)[0])
int run_shared(const char *name, const struct CMUnitTest *tests, size_t count);

/* --- actors --- */

enum { ACTOR_LINKS = 4 };

/* An owner that waits: on a loop, or as a host's thread where loop is NULL. */
struct actor {
    struct neap_owner owner;
    struct neap_wait wait;
    struct neap_link links[ACTOR_LINKS];
    int64_t deadline; /* of the last begin */
    int code;         /* of the last begin or end: index of a link, NEAP_PARKED, NEAP_TIMEOUT, NEAP_CANCELLED, ... */
    _Atomic uint32_t claimed; /* no loop: run() was called. A futex */
};

void actor_init(struct actor *actor, struct neap_loop *loop);
/* As a task does at its end: abandons what it holds. */
void actor_end(struct actor *actor);

/* Begins `op` of `object` on the first link, whose operands the caller has set. Returns what outcome() does. */
int start(struct actor *actor, void *object, int op, int64_t deadline);
/* The same for `count` links that are filled in. */
int start_links(struct actor *actor, uint32_t count, int64_t deadline);
/* What became of it: the result of the link that was served, or NEAP_PARKED,
 * NEAP_TIMEOUT, NEAP_CANCELLED, NEAP_NOMEM. */
int outcome(const struct actor *actor);
/* Asks it to look at its cancellations, as the owner's thread does. False when it does not wait any more. */
bool cancel(struct actor *actor);
/* start, and then turns the loop, or sleeps, until it is over. */
int act(struct actor *actor, void *object, int op, int64_t deadline);
int act_links(struct actor *actor, uint32_t count, int64_t deadline);
/* Turns the loop, or sleeps, until it is over. */
int finish(struct actor *actor);
/* The next free link of an actor that will wait on many. */
struct neap_link *add_link(struct actor *actor, uint32_t at, void *object, int op);

/* Runs what is ready on `loop`, and what that makes ready, without parking. */
void settle(struct neap_loop *loop);
/* The deadline `microseconds` from now. */
int64_t soon(int64_t microseconds);
/* A deadline that is past but not 0: begins as a wait and times out in the next turn. */
#define PASSED 1

/* Waits until `count` links stand in `list`, which belongs to `object`. */
void await_waiters(void *object, const struct neap_list *list, size_t count);

/* --- threads --- */

/* Calls body(argument) on a new thread that has a loop of its own (neap_loop_here). */
struct helper {
    void (*body)(void *argument);
    void *argument;
    unsigned long system; /* pthread_t */
};
void helper_start(struct helper *helper, void (*body)(void *argument), void *argument);
void helper_join(struct helper *helper);

/* A race of two threads, repeated: setup on the first; left on the first and right on the second at once, each on a
 * loop of its own; check on the first. */
struct race {
    void (*setup)(void *state, struct neap_loop *left, struct neap_loop *right);
    void (*left)(void *state);
    void (*right)(void *state);
    void (*check)(void *state);
};
void run_race(const struct race *race, void *state, int rounds);

/* `few`, or many times that where NEAP_STRESS asks for it. */
int repeated(int few);

/* --- chance --- */

/* Evenly below `bound`. Each thread has a sequence of its own, all of them from one seed, which is printed by the run
 * and can be given in NEAP_SEED. */
uint32_t chance(uint32_t bound);
/* Idles for a random number of pauses below `bound`. */
void dawdle(uint32_t bound);

/* --- messages --- */

struct neap_message integer(int64_t value);
/* A message that owns memory, so that losing or doubling it shows. */
struct neap_message parcel(int64_t value);
/* The value of a message made by either; drops it. */
int64_t value_of(struct neap_message *message);

#endif
