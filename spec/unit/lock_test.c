#include "support.h"

#include <poll.h>

#include "core/cell.h"
#include "core/remote.h"
#include "sync/lock.h"

static struct neap_lock *lock, *rlock;
static struct actor a, b, c;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    lock = made(neap_lock_new(&neap_lock_class));
    rlock = made(neap_lock_new(&neap_rlock_class));
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    return 0;
}

static int drop(void **state) {
    neap_object_unref(&lock->object);
    neap_object_unref(&rlock->object);
    return tear_down(state);
}

static int acquire(struct actor *actor, struct neap_lock *which, int64_t deadline) {
    return start(actor, which, NEAP_LOCK_ACQUIRE, deadline);
}

static void acquires_a_free_lock_at_once(void **state) {
    (void)state;
    assert_int_equal(acquire(&a, lock, NEAP_FOREVER), 0);
    assert_true(neap_lock_is_held_by(lock, &a.owner));
    assert_int_equal(neap_lock_release(lock, &a.owner), 0);
    assert_null(neap_lock_holder(lock));
    assert_int_equal(acquire(&b, lock, 0), 0);
    assert_int_equal(neap_lock_release(lock, &b.owner), 0);
}

static void is_handed_to_waiters_in_order_of_arrival(void **state) {
    (void)state;
    acquire(&a, lock, NEAP_FOREVER);
    assert_int_equal(acquire(&b, lock, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(acquire(&c, lock, NEAP_FOREVER), NEAP_PARKED);
    neap_lock_release(lock, &a.owner);
    assert_true(neap_lock_is_held_by(lock, &b.owner)); /* already, so nobody can come in between */
    assert_int_equal(acquire(&a, lock, 0), NEAP_TIMEOUT);
    settle(&here);
    assert_int_equal(outcome(&b), 0);
    assert_int_equal(outcome(&c), NEAP_PARKED);
    neap_lock_release(lock, &b.owner);
    assert_int_equal(finish(&c), 0);
    neap_lock_release(lock, &c.owner);
}

static void a_wait_times_out(void **state) {
    (void)state;
    acquire(&a, lock, NEAP_FOREVER);
    assert_int_equal(acquire(&b, lock, 0), NEAP_TIMEOUT);
    acquire(&b, lock, PASSED);
    assert_int_equal(finish(&b), NEAP_TIMEOUT);
    assert_int_equal(act(&b, lock, NEAP_LOCK_ACQUIRE, soon(500)), NEAP_TIMEOUT);
    neap_lock_release(lock, &a.owner);
    assert_null(neap_lock_holder(lock));
}

static void a_cancelled_wait_is_passed_over(void **state) {
    (void)state;
    acquire(&a, lock, NEAP_FOREVER);
    acquire(&b, lock, NEAP_FOREVER);
    acquire(&c, lock, NEAP_FOREVER);
    assert_true(cancel(&b)); /* still in the list */
    neap_lock_release(lock, &a.owner);
    assert_true(neap_lock_is_held_by(lock, &c.owner));
    assert_int_equal(finish(&b), NEAP_CANCELLED);
    assert_int_equal(finish(&c), 0);
    neap_lock_release(lock, &c.owner);
}

static void a_wait_that_was_served_can_not_be_cancelled(void **state) {
    (void)state;
    acquire(&a, lock, NEAP_FOREVER);
    acquire(&b, lock, NEAP_FOREVER);
    neap_lock_release(lock, &a.owner);
    assert_false(cancel(&b));
    assert_int_equal(finish(&b), 0);
    neap_lock_release(lock, &b.owner);
}

static void acquiring_twice_is_refused(void **state) {
    (void)state;
    acquire(&a, lock, NEAP_FOREVER);
    assert_int_equal(acquire(&a, lock, NEAP_FOREVER), NEAP_HELD);
    neap_lock_release(lock, &a.owner);
    assert_null(neap_lock_holder(lock));
}

static void only_the_holder_releases(void **state) {
    (void)state;
    assert_int_equal(neap_lock_release(lock, &a.owner), NEAP_NOT_OWNER);
    acquire(&a, lock, NEAP_FOREVER);
    assert_int_equal(neap_lock_release(lock, &b.owner), NEAP_NOT_OWNER);
    neap_lock_release(lock, &a.owner);
    assert_int_equal(neap_lock_release(lock, &a.owner), NEAP_NOT_OWNER);
}

/* It can only say so of one of its own. */
static void another_process_cannot_release_for_a_holder_of_this_one(void **state) {
    (void)state;
    acquire(&a, lock, NEAP_FOREVER);
    struct neap_call call = {.method = NEAP_LOCK_RELEASE_WORD, .number = (int64_t)neap_lock_word(0, &a.owner)};
    lock->object.class->remote->serve(&lock->object, &call);
    assert_int_equal(call.result, NEAP_NOT_OWNER);
    assert_true(neap_lock_is_held_by(lock, &a.owner));
    neap_lock_release(lock, &a.owner);
}

static void an_ended_holder_leaves_it_abandoned(void **state) {
    (void)state;
    acquire(&a, lock, NEAP_FOREVER);
    actor_end(&a);
    assert_null(neap_lock_holder(lock));
    assert_int_equal(acquire(&b, lock, NEAP_FOREVER), NEAP_ABANDONED);
    neap_lock_release(lock, &b.owner);
    assert_int_equal(acquire(&b, lock, NEAP_FOREVER), 0); /* told once */
    neap_lock_release(lock, &b.owner);
}

static void an_ended_holder_hands_it_to_who_waits(void **state) {
    (void)state;
    acquire(&a, lock, NEAP_FOREVER);
    acquire(&b, lock, NEAP_FOREVER);
    acquire(&c, lock, NEAP_FOREVER);
    actor_end(&a);
    assert_int_equal(finish(&b), NEAP_ABANDONED);
    neap_lock_release(lock, &b.owner);
    assert_int_equal(finish(&c), 0);
    neap_lock_release(lock, &c.owner);
}

static void who_was_handed_it_can_end_too(void **state) {
    (void)state;
    acquire(&a, lock, NEAP_FOREVER);
    acquire(&b, lock, NEAP_FOREVER);
    neap_lock_release(lock, &a.owner);
    settle(&here);
    actor_end(&b);
    assert_int_equal(acquire(&a, lock, 0), NEAP_ABANDONED);
    neap_lock_release(lock, &a.owner);
}

static void a_holder_keeps_it_alive(void **state) {
    (void)state;
    struct neap_lock *forgotten = made(neap_lock_new(&neap_lock_class));
    acquire(&a, forgotten, NEAP_FOREVER);
    neap_object_unref(&forgotten->object);
    actor_end(&a); /* leak and use after free are found by tear_down and the sanitizer */
}

static void an_rlock_counts(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) assert_int_equal(acquire(&a, rlock, NEAP_FOREVER), 0);
    acquire(&b, rlock, NEAP_FOREVER);
    neap_lock_release(rlock, &a.owner);
    neap_lock_release(rlock, &a.owner);
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_PARKED);
    neap_lock_release(rlock, &a.owner);
    assert_int_equal(finish(&b), 0);
    assert_int_equal(neap_lock_release(rlock, &a.owner), NEAP_NOT_OWNER);
    neap_lock_release(rlock, &b.owner);
    assert_null(neap_lock_holder(rlock));
}

static void an_rlock_is_abandoned_with_all_its_levels(void **state) {
    (void)state;
    acquire(&a, rlock, NEAP_FOREVER);
    acquire(&a, rlock, NEAP_FOREVER);
    actor_end(&a);
    assert_int_equal(acquire(&b, rlock, 0), NEAP_ABANDONED);
    neap_lock_release(rlock, &b.owner);
    assert_null(neap_lock_holder(rlock));
}

static void all_levels_are_given_up_and_restored(void **state) {
    (void)state;
    acquire(&a, rlock, NEAP_FOREVER);
    acquire(&a, rlock, NEAP_FOREVER);
    uint32_t depth = neap_lock_release_all(rlock, &a.owner);
    assert_int_equal(depth, 2);
    assert_null(neap_lock_holder(rlock));
    acquire(&a, rlock, NEAP_FOREVER);
    neap_lock_restore(rlock, depth);
    neap_lock_release(rlock, &a.owner);
    assert_non_null(neap_lock_holder(rlock));
    neap_lock_release(rlock, &a.owner);
    assert_null(neap_lock_holder(rlock));
}

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_lock_new(&neap_lock_class));
    acquire(&a, lock, NEAP_FOREVER);
    neap_memory_fail_after(0);
    assert_int_equal(acquire(&b, lock, soon(1000)), NEAP_NOMEM); /* no room for its deadline */
    neap_memory_fail_after(-1);
    neap_lock_release(lock, &a.owner);
    assert_null(neap_lock_holder(lock));
}

/* --- threads --- */

struct counting {
    struct neap_lock *lock;
    int64_t counter; /* under the lock */
    int rounds;
    bool hosts; /* no loop */
};

static void count_up(void *argument) {
    struct counting *counting = argument;
    struct actor actor;
    actor_init(&actor, counting->hosts ? NULL : neap_loop_here);
    for (int i = 0; i < counting->rounds; i++) {
        CHECK(act(&actor, counting->lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER) == 0);
        counting->counter++;
        CHECK(neap_lock_release(counting->lock, &actor.owner) == 0);
    }
}

static void count_from_threads(bool hosts) {
    struct counting counting = {neap_lock_new(&neap_lock_class), 0, repeated(20000), hosts};
    struct helper helpers[3];
    neap_object_share(&counting.lock->object);
    for (int i = 0; i < 3; i++) helper_start(&helpers[i], count_up, &counting);
    for (int i = 0; i < 3; i++) helper_join(&helpers[i]);
    assert_int_equal(counting.counter, 3 * counting.rounds);
    assert_null(neap_lock_holder(counting.lock));
    neap_object_unref(&counting.lock->object);
}

static void threads_exclude_each_other(void **state) {
    (void)state;
    count_from_threads(false);
}

static void host_threads_exclude_each_other(void **state) {
    (void)state;
    count_from_threads(true);
}

/* Past the guard and under it, alone and in a select, with patience and without. */
static void acquire_somehow(struct actor *actor, struct counting *counting) {
    int code;
    do {
        uint32_t count = 1 + chance(2);
        for (uint32_t i = 0; i < count; i++) add_link(actor, i, counting->lock, NEAP_LOCK_ACQUIRE);
        int64_t deadline = chance(4) == 0 ? 0 : chance(4) == 0 ? soon(chance(20)) : NEAP_FOREVER;
        code = start_links(actor, count, deadline);
        if (code == NEAP_PARKED && chance(8) == 0) cancel(actor);
        code = finish(actor);
    } while (code == NEAP_TIMEOUT || code == NEAP_CANCELLED);
    CHECK(code == 0);
}

static void count_up_somehow(void *argument) {
    struct counting *counting = argument;
    struct actor actor;
    actor_init(&actor, chance(3) > 0 ? neap_loop_here : NULL);
    for (int i = 0; i < counting->rounds; i++) {
        acquire_somehow(&actor, counting);
        counting->counter++;
        CHECK(neap_lock_is_held_by(counting->lock, &actor.owner));
        CHECK(neap_lock_release(counting->lock, &actor.owner) == 0);
    }
}

static void all_ways_to_acquire_exclude_each_other(void **state) {
    (void)state;
    struct counting counting = {neap_lock_new(&neap_lock_class), 0, repeated(5000), false};
    struct helper helpers[3];
    neap_object_share(&counting.lock->object);
    for (int i = 0; i < 3; i++) helper_start(&helpers[i], count_up_somehow, &counting);
    for (int i = 0; i < 3; i++) helper_join(&helpers[i]);
    assert_int_equal(counting.counter, 3 * counting.rounds);
    assert_null(neap_lock_holder(counting.lock));
    neap_object_unref(&counting.lock->object);
}

/* Left drops the last reference while right, which holds the lock, ends. A leak is found by tear_down, and what comes
 * after the end by the sanitizers. */
struct orphaning {
    struct neap_lock *lock;
    struct actor holder;
    struct neap_loop *right_loop;
};

static void begin_orphaning(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct orphaning *orphaning = argument;
    (void)left;
    orphaning->lock = neap_lock_new(&neap_lock_class);
    neap_object_share(&orphaning->lock->object);
    actor_init(&orphaning->holder, right);
    CHECK(start(&orphaning->holder, orphaning->lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER) == 0);
    if (chance(2) == 0) { /* a wait that gave up: the word says that somebody may wait */
        struct actor waiter;
        actor_init(&waiter, NULL);
        CHECK(act(&waiter, orphaning->lock, NEAP_LOCK_ACQUIRE, soon(1)) == NEAP_TIMEOUT);
    }
}

static void forget(void *argument) {
    dawdle(100);
    neap_object_unref(&((struct orphaning *)argument)->lock->object);
}

static void end_holding(void *argument) {
    dawdle(100);
    actor_end(&((struct orphaning *)argument)->holder);
}

static void check_nothing(void *argument) { (void)argument; }

static void a_lock_that_nobody_refers_to_lives_until_its_holder_ends(void **state) {
    (void)state;
    struct orphaning orphaning;
    run_race(&(struct race){begin_orphaning, forget, end_holding, check_nothing}, &orphaning, repeated(1500));
}

/* Left gives the lock up, or ends, while right's wait is being cancelled or timed out. */
struct handover {
    struct neap_lock *lock;
    struct actor holder, waiter;
    struct neap_loop *right_loop;
    int cancel_it, end;
};

static void begin_handover(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct handover *handover = argument;
    handover->lock = neap_lock_new(&neap_lock_class);
    neap_object_share(&handover->lock->object);
    handover->right_loop = right;
    handover->cancel_it = (int)chance(2);
    handover->end = (int)chance(2);
    actor_init(&handover->holder, left);
    CHECK(start(&handover->holder, handover->lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER) == 0);
}

static void give_up(void *argument) {
    struct handover *handover = argument;
    dawdle(400);
    if (handover->end)
        actor_end(&handover->holder);
    else
        CHECK(neap_lock_release(handover->lock, &handover->holder.owner) == 0);
}

static void stop_waiting(void *argument) {
    struct handover *handover = argument;
    struct actor *waiter = &handover->waiter;
    int64_t deadline = handover->cancel_it ? NEAP_FOREVER : soon(chance(20));
    actor_init(waiter, handover->right_loop);
    int code = start(waiter, handover->lock, NEAP_LOCK_ACQUIRE, deadline);
    dawdle(200);
    if (code == NEAP_PARKED && handover->cancel_it) cancel(waiter);
    code = finish(waiter);
    if (code == NEAP_TIMEOUT || code == NEAP_CANCELLED) return;
    CHECK(code == (handover->end ? NEAP_ABANDONED : 0));
    CHECK(neap_lock_release(handover->lock, &waiter->owner) == 0);
}

static void check_handover(void *argument) {
    struct handover *handover = argument;
    assert_null(neap_lock_holder(handover->lock));
    assert_true(neap_list_is_empty(&handover->lock->waiters));
    neap_object_unref(&handover->lock->object);
}

static void a_lock_is_never_lost_to_a_wait_that_gives_up(void **state) {
    (void)state;
    struct handover handover;
    run_race(&(struct race){begin_handover, give_up, stop_waiting, check_handover}, &handover, repeated(1500));
}

/* Left acquires and releases while right moves the word to shared memory, as for another process. */
struct moving {
    struct neap_lock *lock;
    struct neap_cells *cells;
    struct neap_loop *left_loop;
};

static void begin_moving(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct moving *moving = argument;
    (void)right;
    moving->left_loop = left;
    moving->lock = neap_lock_new(&neap_lock_class);
    neap_object_share(&moving->lock->object);
}

static void go_on_locking(void *argument) {
    struct moving *moving = argument;
    struct actor actor;
    actor_init(&actor, moving->left_loop);
    dawdle(100);
    for (int i = 0; i < 20; i++) {
        CHECK(act(&actor, moving->lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER) == 0);
        CHECK(neap_lock_is_held_by(moving->lock, &actor.owner));
        CHECK(neap_lock_release(moving->lock, &actor.owner) == 0);
    }
}

static void move_it(void *argument) {
    struct moving *moving = argument;
    const struct neap_remote *remote = moving->lock->object.class->remote;
    const struct neap_cell *cell;
    dawdle(200);
    CHECK(remote->join(&moving->lock->object, moving->cells, NULL, &cell) == 1);
    CHECK(remote->join(&moving->lock->object, moving->cells, NULL, &cell) == 2);
    remote->leave(&moving->lock->object, 1);
    CHECK(remote->join(&moving->lock->object, moving->cells, NULL, &cell) == 1);
}

static void check_moved(void *argument) {
    struct moving *moving = argument;
    assert_null(neap_lock_holder(moving->lock));
    assert_int_equal(atomic_load(&moving->lock->word), NEAP_LOCK_MOVED);
    neap_object_unref(&moving->lock->object);
}

static void its_word_moves_while_it_is_in_use(void **state) {
    (void)state;
    struct moving moving = {.cells = neap_cells_new()};
    run_race(&(struct race){begin_moving, go_on_locking, move_it, check_moved}, &moving, repeated(1500));
    neap_cells_close(moving.cells);
}

/* --- open, to other processes --- */

/* A lock that another process knows: `guest` holds it in its name, and b and c wait. */
struct opening {
    struct neap_cells *cells;
    struct neap_alarms alarms;
    const struct neap_cell *cell;
    uint32_t party;
    struct actor guest, b, c;
};

static void begin_opening(struct opening *opening) {
    const struct neap_remote *remote = lock->object.class->remote;
    neap_object_share(&lock->object);
    neap_alarms_init(&opening->alarms);
    opening->cells = neap_cells_new();
    opening->party = remote->join(&lock->object, opening->cells, &opening->alarms, &opening->cell);
    assert_int_equal(opening->party, 1);
    actor_init(&opening->guest, &here);
    actor_init(&opening->b, &here);
    actor_init(&opening->c, &here);
    assert_int_equal(acquire(&opening->guest, lock, NEAP_FOREVER), 0);
    assert_int_equal(acquire(&opening->b, lock, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(acquire(&opening->c, lock, NEAP_FOREVER), NEAP_PARKED);
}

/* b has been served, with this result, and then c. */
static void end_opening(struct opening *opening, int result) {
    assert_int_equal(finish(&opening->b), result);
    neap_lock_release(lock, &opening->b.owner);
    assert_int_equal(finish(&opening->c), 0);
    neap_lock_release(lock, &opening->c.owner);
    neap_alarms_fini(&opening->alarms);
    neap_cells_close(opening->cells);
}

static int tell(int method, struct neap_owner *owner, int64_t number) {
    struct neap_call call = {.method = (uint8_t)method, .owner = owner, .number = number};
    lock->object.class->remote->serve(&lock->object, &call);
    return call.result;
}

static void ring(struct opening *opening) {
    struct pollfd polled = {.fd = opening->alarms.fd, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, 10000), 1);
    neap_alarms_ring(&opening->alarms);
}

static bool take_as(uint64_t holder) {
    struct neap_lock_shared *shared = neap_lock_shared(lock);
    uint64_t word = atomic_load(&shared->word);
    if (neap_lock_holder_in(word) != 0) return false;
    bool taken = atomic_compare_exchange_strong(&shared->word, &word, neap_lock_taken(word, holder));
    if (taken) atomic_store(&shared->taken, 1);
    return taken;
}

static void after_a_short_turn_of_another_process_it_is_open(void **state) {
    struct opening opening;
    (void)state;
    begin_opening(&opening);
    assert_int_equal(tell(NEAP_LOCK_RELEASE, &opening.guest.owner, 0), 0);
    assert_null(neap_lock_holder(lock));
    assert_int_equal(neap_lock_read(lock), NEAP_LOCK_WAITED);
    assert_int_equal(acquire(&a, lock, 0), 0); /* whoever comes */
    assert_int_equal(neap_lock_release(lock, &a.owner), 0);
    assert_int_equal(neap_lock_read(lock), NEAP_LOCK_WAITED);
    settle(&here);
    assert_int_equal(outcome(&opening.b), NEAP_PARKED);
    while (!neap_lock_is_held_by(lock, &opening.b.owner)) ring(&opening);
    end_opening(&opening, 0);
}

static void nobody_comes_and_it_is_handed_on(void **state) {
    struct opening opening;
    (void)state;
    begin_opening(&opening);
    tell(NEAP_LOCK_RELEASE, &opening.guest.owner, 0);
    ring(&opening);
    assert_true(neap_lock_is_held_by(lock, &opening.b.owner));
    end_opening(&opening, 0);
}

static void who_waits_is_not_passed_for_long(void **state) {
    struct opening opening;
    (void)state;
    begin_opening(&opening);
    uint64_t holder = neap_lock_word(opening.party, &opening.guest.owner);
    tell(NEAP_LOCK_RELEASE, &opening.guest.owner, 0);
    assert_true(take_as(holder));
    int64_t limit = neap_clock_now() + 10 * NEAP_SECOND;
    while (neap_lock_read(lock) != (holder | NEAP_LOCK_WAITED)) {
        uint64_t word = holder | NEAP_LOCK_WAITED | NEAP_LOCK_OPEN;
        assert_true(atomic_compare_exchange_strong(neap_lock_moved_word(lock), &word, NEAP_LOCK_WAITED));
        assert_true(take_as(holder)); /* again and again */
        ring(&opening);
        assert_true(neap_clock_now() < limit);
    }
    assert_int_equal(tell(NEAP_LOCK_RELEASE_WORD, NULL, (int64_t)holder), 0);
    assert_true(neap_lock_is_held_by(lock, &opening.b.owner));
    end_opening(&opening, 0);
}

static void after_a_long_turn_it_is_handed_on(void **state) {
    struct opening opening;
    (void)state;
    begin_opening(&opening);
    tell(NEAP_LOCK_RELEASE, &opening.guest.owner, NEAP_SECOND);
    assert_true(neap_lock_is_held_by(lock, &opening.b.owner));
    end_opening(&opening, 0);
}

static void who_dies_while_it_is_open_abandons_it(void **state) {
    struct opening opening;
    (void)state;
    begin_opening(&opening);
    tell(NEAP_LOCK_RELEASE, &opening.guest.owner, 0);
    assert_true(take_as(neap_lock_word(opening.party, &opening.guest.owner)));
    lock->object.class->remote->leave(&lock->object, opening.party);
    assert_true(neap_lock_is_held_by(lock, &opening.b.owner));
    while (!neap_list_is_empty(&opening.alarms.waiting)) ring(&opening);
    end_opening(&opening, NEAP_ABANDONED);
}

static void it_is_handed_on_when_another_process_leaves(void **state) {
    struct opening opening;
    (void)state;
    begin_opening(&opening);
    tell(NEAP_LOCK_RELEASE, &opening.guest.owner, 0);
    lock->object.class->remote->leave(&lock->object, opening.party);
    assert_true(neap_lock_is_held_by(lock, &opening.b.owner));
    ring(&opening);
    assert_true(neap_lock_is_held_by(lock, &opening.b.owner));
    end_opening(&opening, 0);
}

/* It is about to die, and takes it all the same. */
static void who_has_left_holds_nothing(void **state) {
    struct opening opening;
    (void)state;
    begin_opening(&opening);
    lock->object.class->remote->leave(&lock->object, opening.party);
    tell(NEAP_LOCK_RELEASE, &opening.guest.owner, 0);
    assert_true(take_as(neap_lock_word(opening.party, &opening.guest.owner)));
    while (!neap_lock_is_held_by(lock, &opening.b.owner)) ring(&opening);
    end_opening(&opening, NEAP_ABANDONED);
}

static void who_gives_up_while_it_is_open_leaves_it_free(void **state) {
    struct opening opening;
    (void)state;
    begin_opening(&opening);
    tell(NEAP_LOCK_RELEASE, &opening.guest.owner, 0);
    assert_true(cancel(&opening.b));
    assert_true(cancel(&opening.c));
    assert_int_equal(finish(&opening.b), NEAP_CANCELLED);
    assert_int_equal(finish(&opening.c), NEAP_CANCELLED);
    assert_int_equal(acquire(&opening.b, lock, 0), 0);
    while (!neap_list_is_empty(&opening.alarms.waiting)) ring(&opening);
    assert_int_equal(acquire(&opening.c, lock, NEAP_FOREVER), NEAP_PARKED);
    end_opening(&opening, 0);
}

static void it_is_handed_on_when_the_alarms_end(void **state) {
    struct opening opening;
    (void)state;
    begin_opening(&opening);
    tell(NEAP_LOCK_RELEASE, &opening.guest.owner, 0);
    assert_true(take_as(neap_lock_word(opening.party, &opening.guest.owner)));
    neap_alarms_end(&opening.alarms);
    uint64_t holder = neap_lock_word(opening.party, &opening.guest.owner);
    assert_int_equal(neap_lock_read(lock), holder | NEAP_LOCK_WAITED);
    tell(NEAP_LOCK_RELEASE_WORD, NULL, (int64_t)holder);
    end_opening(&opening, 0);
}

#define LOCK_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest lock_tests[] = {
        LOCK_TEST(acquires_a_free_lock_at_once),
        LOCK_TEST(is_handed_to_waiters_in_order_of_arrival),
        LOCK_TEST(a_wait_times_out),
        LOCK_TEST(a_cancelled_wait_is_passed_over),
        LOCK_TEST(a_wait_that_was_served_can_not_be_cancelled),
        LOCK_TEST(acquiring_twice_is_refused),
        LOCK_TEST(only_the_holder_releases),
        LOCK_TEST(another_process_cannot_release_for_a_holder_of_this_one),
        LOCK_TEST(an_ended_holder_leaves_it_abandoned),
        LOCK_TEST(an_ended_holder_hands_it_to_who_waits),
        LOCK_TEST(who_was_handed_it_can_end_too),
        LOCK_TEST(a_holder_keeps_it_alive),
        LOCK_TEST(an_rlock_counts),
        LOCK_TEST(an_rlock_is_abandoned_with_all_its_levels),
        LOCK_TEST(all_levels_are_given_up_and_restored),
        LOCK_TEST(out_of_memory_is_an_answer),
    };
    const struct CMUnitTest open_locks[] = {
        LOCK_TEST(after_a_short_turn_of_another_process_it_is_open),
        LOCK_TEST(nobody_comes_and_it_is_handed_on),
        LOCK_TEST(who_waits_is_not_passed_for_long),
        LOCK_TEST(after_a_long_turn_it_is_handed_on),
        LOCK_TEST(who_dies_while_it_is_open_abandons_it),
        LOCK_TEST(it_is_handed_on_when_another_process_leaves),
        LOCK_TEST(who_has_left_holds_nothing),
        LOCK_TEST(who_gives_up_while_it_is_open_leaves_it_free),
        LOCK_TEST(it_is_handed_on_when_the_alarms_end),
    };
    const struct CMUnitTest lock_races[] = {
        TEST(threads_exclude_each_other),
        TEST(host_threads_exclude_each_other),
        TEST(all_ways_to_acquire_exclude_each_other),
        TEST(a_lock_that_nobody_refers_to_lives_until_its_holder_ends),
        TEST(a_lock_is_never_lost_to_a_wait_that_gives_up),
        TEST(its_word_moves_while_it_is_in_use),
    };
    return run_local_and_shared(lock_tests) + run_once(open_locks) + run_once(lock_races);
}
