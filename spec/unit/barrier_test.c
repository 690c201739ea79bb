#include "support.h"

#include "sync/barrier.h"

enum { PARTIES = 3 };

static struct neap_barrier *barrier;
static struct actor a, b, c, d;

static int make_with(void **state, bool acts) {
    if (set_up(state) != 0) return -1;
    barrier = made(neap_barrier_new(PARTIES, acts));
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    actor_init(&d, &here);
    return 0;
}

static int make(void **state) { return make_with(state, false); }

static int make_acting(void **state) { return make_with(state, true); }

static int drop(void **state) {
    neap_object_unref(&barrier->object);
    return tear_down(state);
}

static int arrive(struct actor *actor, int64_t deadline) {
    actor->links[0].number = 0;
    return start(actor, barrier, NEAP_BARRIER_WAIT, deadline);
}

static int try(struct actor *actor) { return start(actor, barrier, NEAP_BARRIER_TRY, 0); }

static int64_t number(const struct actor *actor) { return actor->links[0].number; }

static void assert_whole(void) {
    assert_false(neap_barrier_is_broken(barrier));
    assert_int_equal(neap_barrier_waiting(barrier), 0);
}

static void the_last_lets_all_go_with_their_order_of_arrival(void **state) {
    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(arrive(&a, NEAP_FOREVER), NEAP_PARKED);
        assert_int_equal(arrive(&b, NEAP_FOREVER), NEAP_PARKED);
        assert_int_equal(neap_barrier_waiting(barrier), 2);
        assert_int_equal(arrive(&c, NEAP_FOREVER), 0);
        assert_int_equal(finish(&a), 0);
        assert_int_equal(finish(&b), 0);
        assert_int_equal(number(&a), 1);
        assert_int_equal(number(&b), 2);
        assert_int_equal(number(&c), 3);
        assert_whole();
    }
}

static void the_last_may_come_without_waiting(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    assert_int_equal(try(&c), 0);
    assert_int_equal(finish(&a), 0);
    assert_whole();
}

static void one_party_never_waits(void **state) {
    (void)state;
    struct neap_barrier *alone = made(neap_barrier_new(1, false));
    assert_int_equal(start(&a, alone, NEAP_BARRIER_WAIT, 0), 0);
    assert_int_equal(number(&a), 1);
    neap_object_unref(&alone->object);
    alone = made(neap_barrier_new(1, true));
    assert_int_equal(start(&a, alone, NEAP_BARRIER_WAIT, 0), 0);
    assert_int_equal(neap_barrier_release(alone, &a.owner), 0);
    neap_object_unref(&alone->object);
}

static void a_timeout_breaks_it(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    assert_int_equal(act(&b, barrier, NEAP_BARRIER_WAIT, soon(300)), NEAP_TIMEOUT);
    assert_int_equal(finish(&a), NEAP_BROKEN);
    assert_true(neap_barrier_is_broken(barrier));
    assert_int_equal(arrive(&c, NEAP_FOREVER), NEAP_BROKEN);
    neap_barrier_reset(barrier);
    assert_whole();
    assert_int_equal(arrive(&c, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(try(&a), NEAP_TIMEOUT); /* who does not wait breaks it too */
    assert_int_equal(finish(&c), NEAP_BROKEN);
    assert_true(neap_barrier_is_broken(barrier));
    assert_int_equal(try(&a), NEAP_BROKEN);
}

static void a_cancelled_party_breaks_it(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    cancel(&a);
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_CANCELLED);
    assert_int_equal(outcome(&b), NEAP_BROKEN);
    assert_true(neap_barrier_is_broken(barrier));
}

static void nobody_goes_on_when_one_gave_up_unnoticed(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    cancel(&a); /* still in the list when the last one comes */
    assert_int_equal(arrive(&c, NEAP_FOREVER), NEAP_BROKEN);
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    assert_int_equal(finish(&b), NEAP_BROKEN);
    assert_true(neap_barrier_is_broken(barrier));
}

static void abort_and_reset_tell_who_waits(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    neap_barrier_abort(barrier);
    neap_barrier_abort(barrier);
    assert_int_equal(finish(&a), NEAP_BROKEN);
    assert_true(neap_barrier_is_broken(barrier));
    neap_barrier_reset(barrier);
    arrive(&a, NEAP_FOREVER);
    neap_barrier_reset(barrier);
    assert_int_equal(finish(&a), NEAP_BROKEN);
    assert_whole();
}

static void an_old_wait_does_not_break_a_new_round(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    cancel(&a);
    neap_barrier_reset(barrier);
    arrive(&b, NEAP_FOREVER);
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_PARKED);
    assert_false(neap_barrier_is_broken(barrier));
    neap_barrier_abort(barrier);
    finish(&b);
}

/* --- with an action --- */

static void the_last_acts_before_anyone_goes(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    assert_int_equal(arrive(&c, NEAP_FOREVER), 0);
    assert_int_equal(number(&c), PARTIES);
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_PARKED);
    assert_int_equal(neap_barrier_waiting(barrier), 2);
    assert_int_equal(neap_barrier_release(barrier, &c.owner), 0);
    assert_int_equal(finish(&a), 0);
    assert_int_equal(finish(&b), 0);
    assert_int_equal(number(&a), 1);
    assert_int_equal(number(&b), 2);
    assert_whole();
}

static void a_failed_action_breaks_it(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    arrive(&c, NEAP_FOREVER);
    neap_barrier_abort(barrier);
    assert_int_equal(finish(&a), NEAP_BROKEN);
    assert_int_equal(finish(&b), NEAP_BROKEN);
    assert_int_equal(neap_barrier_release(barrier, &c.owner), NEAP_BROKEN);
}

static void giving_up_during_the_action_breaks_the_round(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    arrive(&c, NEAP_FOREVER);
    cancel(&a); /* not withdrawn yet */
    assert_int_equal(neap_barrier_release(barrier, &c.owner), NEAP_BROKEN);
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    assert_int_equal(finish(&b), NEAP_BROKEN);
    neap_barrier_reset(barrier);

    arrive(&a, PASSED);
    arrive(&b, NEAP_FOREVER);
    arrive(&c, NEAP_FOREVER);
    arrive(&d, NEAP_FOREVER);
    assert_int_equal(finish(&a), NEAP_TIMEOUT);
    assert_int_equal(finish(&b), NEAP_BROKEN);
    assert_int_equal(finish(&d), NEAP_BROKEN); /* of the next round */
    assert_int_equal(neap_barrier_release(barrier, &c.owner), NEAP_BROKEN);
    assert_true(neap_barrier_is_broken(barrier));
}

static void only_who_acts_lets_the_round_go(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    arrive(&c, NEAP_FOREVER);
    assert_int_equal(neap_barrier_release(barrier, &d.owner), NEAP_BROKEN);
    neap_barrier_reset(barrier); /* while c acts */
    assert_int_equal(finish(&a), NEAP_BROKEN);
    assert_int_equal(finish(&b), NEAP_BROKEN);
    arrive(&a, NEAP_FOREVER);
    assert_int_equal(neap_barrier_release(barrier, &c.owner), NEAP_BROKEN);
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_PARKED); /* not of c's round */
    neap_barrier_abort(barrier);
    finish(&a);
}

static void the_end_of_who_acts_breaks_it(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    arrive(&c, NEAP_FOREVER);
    actor_end(&c);
    assert_int_equal(finish(&a), NEAP_BROKEN);
    assert_int_equal(finish(&b), NEAP_BROKEN);
    assert_true(neap_barrier_is_broken(barrier));
    assert_int_equal(neap_barrier_release(barrier, &c.owner), NEAP_BROKEN);
}

static void an_action_of_before_the_reset_concerns_nobody(void **state) {
    (void)state;
    for (int way = 0; way < 3; way++) {
        arrive(&a, NEAP_FOREVER);
        arrive(&b, NEAP_FOREVER);
        arrive(&c, NEAP_FOREVER);
        neap_barrier_reset(barrier);
        finish(&a);
        finish(&b);
        arrive(&a, NEAP_FOREVER);
        arrive(&b, NEAP_FOREVER);
        arrive(&d, NEAP_FOREVER); /* acts */
        if (way == 0)
            actor_end(&c);
        else if (way == 1)
            neap_barrier_fail(barrier, &c.owner);
        else
            assert_int_equal(neap_barrier_release(barrier, &c.owner), NEAP_BROKEN);
        assert_int_equal(neap_barrier_release(barrier, &d.owner), 0);
        assert_int_equal(finish(&a), 0);
        assert_int_equal(finish(&b), 0);
        assert_whole();
    }
}

static void without_memory_for_the_action_it_breaks(void **state) {
    (void)state;
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    neap_memory_fail_after(0);
    assert_int_equal(arrive(&c, NEAP_FOREVER), NEAP_NOMEM);
    assert_int_equal(finish(&a), NEAP_BROKEN);
    assert_int_equal(finish(&b), NEAP_BROKEN);
    neap_barrier_reset(barrier);

    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    arrive(&c, NEAP_FOREVER);
    struct actor next[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        actor_init(&next[i], &here);
        arrive(&next[i], NEAP_FOREVER);
    }
    neap_memory_fail_after(0);
    assert_int_equal(neap_barrier_release(barrier, &c.owner), 0);
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(outcome(&next[0]), NEAP_BROKEN);
    assert_int_equal(outcome(&next[PARTIES - 1]), NEAP_NOMEM);
    assert_true(neap_barrier_is_broken(barrier));
}

static void who_comes_during_the_action_is_of_later_rounds(void **state) {
    (void)state;
    enum { CROWD = 7 };
    struct actor crowd[CROWD];
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    arrive(&c, NEAP_FOREVER);
    for (int i = 0; i < CROWD; i++) {
        actor_init(&crowd[i], &here);
        assert_int_equal(arrive(&crowd[i], NEAP_FOREVER), NEAP_PARKED);
    }
    assert_int_equal(neap_barrier_waiting(barrier), 2 + CROWD);
    assert_int_equal(neap_barrier_release(barrier, &c.owner), 0);
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(outcome(&crowd[0]), NEAP_PARKED);
    assert_int_equal(outcome(&crowd[2]), 0); /* acts now */
    assert_int_equal(number(&crowd[2]), PARTIES);
    assert_int_equal(outcome(&crowd[3]), NEAP_PARKED);
    assert_int_equal(neap_barrier_release(barrier, &crowd[2].owner), 0);
    settle(&here);
    assert_int_equal(number(&crowd[0]), 1);
    assert_int_equal(number(&crowd[1]), 2);
    assert_int_equal(number(&crowd[5]), PARTIES);
    assert_int_equal(neap_barrier_release(barrier, &crowd[5].owner), 0);
    settle(&here);
    assert_int_equal(outcome(&crowd[4]), 0);
    assert_int_equal(outcome(&crowd[6]), NEAP_PARKED);
    assert_int_equal(neap_barrier_waiting(barrier), 1);
    neap_barrier_reset(barrier);
    finish(&crowd[6]);
    assert_whole();
}

static void a_later_round_whose_last_gave_up_is_broken(void **state) {
    (void)state;
    struct actor crowd[PARTIES];
    arrive(&a, NEAP_FOREVER);
    arrive(&b, NEAP_FOREVER);
    arrive(&c, NEAP_FOREVER);
    for (int i = 0; i < PARTIES; i++) {
        actor_init(&crowd[i], &here);
        arrive(&crowd[i], NEAP_FOREVER);
    }
    cancel(&crowd[2]);
    assert_int_equal(neap_barrier_release(barrier, &c.owner), 0);
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(outcome(&crowd[0]), NEAP_BROKEN);
    assert_int_equal(outcome(&crowd[2]), NEAP_CANCELLED);
    assert_true(neap_barrier_is_broken(barrier));
}

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_barrier_new(2, false));
    arrive(&a, NEAP_FOREVER);
    neap_memory_fail_after(0);
    assert_int_equal(arrive(&b, soon(1000)), NEAP_NOMEM); /* has not arrived */
    assert_int_equal(neap_barrier_waiting(barrier), 1);
    neap_barrier_reset(barrier);
    finish(&a);
}

/* --- threads --- */

struct phases {
    atomic_int entered;
    int rounds;
};

/* Everyone sees all the others of its round, and the action sees nobody beyond. */
static void pass_phases(void *argument) {
    struct phases *phases = argument;
    struct actor actor;
    actor_init(&actor, chance(2) == 0 ? neap_loop_here : NULL);
    for (int i = 0; i < phases->rounds; i++) {
        atomic_fetch_add(&phases->entered, 1);
        CHECK(act(&actor, barrier, NEAP_BARRIER_WAIT, NEAP_FOREVER) == 0);
        if (barrier->acts && number(&actor) == PARTIES) {
            CHECK(atomic_load(&phases->entered) == (i + 1) * PARTIES);
            CHECK(neap_barrier_release(barrier, &actor.owner) == 0);
        }
        CHECK(atomic_load(&phases->entered) >= (i + 1) * PARTIES);
    }
}

static void threads_pass_it_again_and_again(void **state) {
    (void)state;
    struct phases phases = {0, repeated(2000)};
    struct helper helpers[PARTIES];
    for (int i = 0; i < PARTIES; i++) helper_start(&helpers[i], pass_phases, &phases);
    for (int i = 0; i < PARTIES; i++) helper_join(&helpers[i]);
    assert_whole();
}

/* The last one comes just as another gives up: all or none. */
struct all_or_none {
    struct neap_barrier *barrier;
    struct actor first, second, last;
    bool cancels;
};

static void begin_round(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct all_or_none *race = argument;
    race->barrier = neap_barrier_new(PARTIES, false);
    neap_object_share(&race->barrier->object);
    actor_init(&race->first, left);
    actor_init(&race->second, left);
    actor_init(&race->last, right);
    race->cancels = chance(2) == 0;
}

static void give_up(void *argument) {
    struct all_or_none *race = argument;
    start(&race->first, race->barrier, NEAP_BARRIER_WAIT, race->cancels ? NEAP_FOREVER : soon(chance(20)));
    start(&race->second, race->barrier, NEAP_BARRIER_WAIT, NEAP_FOREVER);
    dawdle(100);
    if (race->cancels) cancel(&race->first);
    finish(&race->first);
}

static void come_last(void *argument) {
    struct all_or_none *race = argument;
    dawdle(600);
    act(&race->last, race->barrier, NEAP_BARRIER_WAIT, soon(2000));
}

static void check_round(void *argument) {
    struct all_or_none *race = argument;
    bool gone = outcome(&race->first) == 0;
    finish(&race->second);
    assert_int_equal(outcome(&race->second), gone ? 0 : NEAP_BROKEN);
    assert_true(gone ? outcome(&race->last) == 0 : outcome(&race->last) < 0);
    assert_int_equal(neap_barrier_is_broken(race->barrier), !gone);
    assert_int_equal(neap_barrier_waiting(race->barrier), 0);
    neap_object_unref(&race->barrier->object);
}

static void all_of_a_round_go_or_none(void **state) {
    (void)state;
    struct all_or_none race;
    run_race(&(struct race){begin_round, give_up, come_last, check_round}, &race, repeated(1500));
}

#define PLAIN(function) cmocka_unit_test_setup_teardown(function, make, drop)
#define ACTING(function) cmocka_unit_test_setup_teardown(function, make_acting, drop)

int main(void) {
    const struct CMUnitTest barrier_tests[] = {
        PLAIN(the_last_lets_all_go_with_their_order_of_arrival),
        PLAIN(the_last_may_come_without_waiting),
        PLAIN(one_party_never_waits),
        PLAIN(a_timeout_breaks_it),
        PLAIN(a_cancelled_party_breaks_it),
        PLAIN(nobody_goes_on_when_one_gave_up_unnoticed),
        PLAIN(abort_and_reset_tell_who_waits),
        PLAIN(an_old_wait_does_not_break_a_new_round),
        ACTING(the_last_acts_before_anyone_goes),
        ACTING(a_failed_action_breaks_it),
        ACTING(giving_up_during_the_action_breaks_the_round),
        ACTING(only_who_acts_lets_the_round_go),
        ACTING(the_end_of_who_acts_breaks_it),
        ACTING(an_action_of_before_the_reset_concerns_nobody),
        ACTING(without_memory_for_the_action_it_breaks),
        ACTING(who_comes_during_the_action_is_of_later_rounds),
        ACTING(a_later_round_whose_last_gave_up_is_broken),
        PLAIN(out_of_memory_is_an_answer),
    };
    const struct CMUnitTest barrier_races[] = {
        PLAIN(threads_pass_it_again_and_again),
        ACTING(threads_pass_it_again_and_again),
        TEST(all_of_a_round_go_or_none),
    };
    return run_local_and_shared(barrier_tests) + run_once(barrier_races);
}
