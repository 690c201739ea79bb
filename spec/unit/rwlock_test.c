#include "support.h"

#include "sync/rwlock.h"

static struct neap_rwlock *rwlock;
static struct actor a, b, c, d;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    rwlock = made(neap_rwlock_new());
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    actor_init(&d, &here);
    return 0;
}

static int drop(void **state) {
    neap_object_unref(&rwlock->object);
    return tear_down(state);
}

static int begin_read(struct actor *actor, int64_t deadline) {
    return start(actor, rwlock, NEAP_RWLOCK_READ, deadline);
}

static int begin_write(struct actor *actor, int64_t deadline) {
    return start(actor, rwlock, NEAP_RWLOCK_WRITE, deadline);
}

static void release(struct actor *actor) { assert_int_equal(neap_rwlock_release(rwlock, &actor->owner), 0); }

static void assert_free(void) {
    assert_false(neap_rwlock_is_written(rwlock));
    assert_int_equal(neap_rwlock_readers(rwlock), 0);
    assert_int_equal(rwlock->waiting_readers, 0);
    assert_true(neap_list_is_empty(&rwlock->waiters));
}

static void many_read_at_once(void **state) {
    (void)state;
    assert_int_equal(begin_read(&a, NEAP_FOREVER), 0);
    assert_int_equal(begin_read(&b, 0), 0);
    assert_int_equal(neap_rwlock_readers(rwlock), 2);
    assert_true(neap_rwlock_is_read_by(rwlock, &a.owner));
    release(&a);
    assert_false(neap_rwlock_is_read_by(rwlock, &a.owner));
    release(&b);
    assert_free();
}

static void a_writer_is_alone(void **state) {
    (void)state;
    assert_int_equal(begin_write(&a, NEAP_FOREVER), 0);
    assert_true(neap_rwlock_is_written_by(rwlock, &a.owner));
    assert_int_equal(begin_read(&b, 0), NEAP_TIMEOUT);
    assert_int_equal(begin_write(&b, 0), NEAP_TIMEOUT);
    release(&a);
    assert_int_equal(begin_read(&a, 0), 0);
    assert_int_equal(begin_write(&b, 0), NEAP_TIMEOUT);
    release(&a);
    assert_free();
}

static void a_waiting_writer_stops_later_readers(void **state) {
    (void)state;
    begin_read(&a, NEAP_FOREVER);
    assert_int_equal(begin_write(&b, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(begin_read(&c, 0), NEAP_TIMEOUT);
    assert_int_equal(begin_read(&c, NEAP_FOREVER), NEAP_PARKED);
    release(&a);
    assert_int_equal(finish(&b), 0);
    settle(&here);
    assert_int_equal(outcome(&c), NEAP_PARKED);
    release(&b);
    assert_int_equal(finish(&c), 0);
    release(&c);
    assert_free();
}

static void readers_next_to_each_other_are_served_together(void **state) {
    (void)state;
    struct actor e;
    actor_init(&e, &here);
    begin_write(&a, NEAP_FOREVER);
    begin_read(&b, NEAP_FOREVER);
    begin_read(&c, NEAP_FOREVER);
    begin_write(&d, NEAP_FOREVER);
    begin_read(&e, NEAP_FOREVER);
    release(&a);
    settle(&here);
    assert_int_equal(outcome(&b), 0);
    assert_int_equal(outcome(&c), 0);
    assert_int_equal(outcome(&d), NEAP_PARKED);
    assert_int_equal(outcome(&e), NEAP_PARKED); /* behind the writer */
    release(&b);
    release(&c);
    assert_int_equal(finish(&d), 0);
    release(&d);
    assert_int_equal(finish(&e), 0);
    release(&e);
    assert_free();
}

static void a_writer_that_gives_up_lets_readers_in(void **state) {
    (void)state;
    begin_read(&a, NEAP_FOREVER);
    begin_write(&b, PASSED);
    begin_read(&c, NEAP_FOREVER);
    assert_int_equal(finish(&b), NEAP_TIMEOUT);
    assert_int_equal(finish(&c), 0); /* while a still reads */
    begin_write(&b, NEAP_FOREVER);
    begin_read(&d, NEAP_FOREVER);
    cancel(&b);
    assert_int_equal(finish(&b), NEAP_CANCELLED);
    assert_int_equal(finish(&d), 0);
    release(&a);
    release(&c);
    release(&d);
    assert_free();
}

static void waits_that_give_up_are_passed_over(void **state) {
    (void)state;
    begin_write(&a, NEAP_FOREVER);
    begin_read(&b, NEAP_FOREVER);
    begin_write(&c, NEAP_FOREVER);
    begin_read(&d, NEAP_FOREVER);
    cancel(&b);
    cancel(&c); /* both still in the list */
    release(&a);
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_CANCELLED);
    assert_int_equal(outcome(&c), NEAP_CANCELLED);
    assert_int_equal(outcome(&d), 0);
    release(&d);
    assert_free();
}

static void waits_time_out(void **state) {
    (void)state;
    begin_write(&a, NEAP_FOREVER);
    assert_int_equal(act(&b, rwlock, NEAP_RWLOCK_READ, soon(300)), NEAP_TIMEOUT);
    assert_int_equal(act(&b, rwlock, NEAP_RWLOCK_WRITE, soon(300)), NEAP_TIMEOUT);
    release(&a);
    assert_free();
}

static void what_would_wait_for_itself_is_refused(void **state) {
    (void)state;
    begin_write(&a, NEAP_FOREVER);
    assert_int_equal(begin_write(&a, NEAP_FOREVER), NEAP_HELD);
    assert_int_equal(begin_read(&a, NEAP_FOREVER), NEAP_HELD);
    release(&a);
    begin_read(&a, NEAP_FOREVER);
    assert_int_equal(begin_write(&a, NEAP_FOREVER), NEAP_HELD);
    release(&a);
    assert_free();
}

static void a_reader_reads_again_whoever_waits(void **state) {
    (void)state;
    begin_read(&a, NEAP_FOREVER);
    begin_write(&b, NEAP_FOREVER);
    assert_int_equal(begin_read(&a, NEAP_FOREVER), 0);
    assert_int_equal(neap_rwlock_readers(rwlock), 1);
    release(&a);
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_PARKED);
    release(&a);
    assert_int_equal(finish(&b), 0);
    release(&b);
    assert_free();
}

static void only_who_holds_releases(void **state) {
    (void)state;
    assert_int_equal(neap_rwlock_release(rwlock, &a.owner), NEAP_NOT_OWNER);
    begin_read(&a, NEAP_FOREVER);
    assert_int_equal(neap_rwlock_release(rwlock, &b.owner), NEAP_NOT_OWNER);
    release(&a);
    begin_write(&a, NEAP_FOREVER);
    assert_int_equal(neap_rwlock_release(rwlock, &b.owner), NEAP_NOT_OWNER);
    release(&a);
    assert_int_equal(neap_rwlock_release(rwlock, &a.owner), NEAP_NOT_OWNER);
    assert_free();
}

static void an_ended_writer_is_told_up_to_the_next_writer(void **state) {
    (void)state;
    begin_write(&a, NEAP_FOREVER);
    begin_read(&b, NEAP_FOREVER);
    actor_end(&a);
    assert_int_equal(finish(&b), NEAP_ABANDONED);
    assert_int_equal(begin_read(&c, NEAP_FOREVER), NEAP_ABANDONED);
    release(&b);
    release(&c);
    assert_int_equal(begin_write(&d, NEAP_FOREVER), NEAP_ABANDONED);
    release(&d);
    assert_int_equal(begin_read(&b, NEAP_FOREVER), 0);
    release(&b);
    assert_free();
}

static void what_an_ended_reader_held_returns(void **state) {
    (void)state;
    begin_read(&a, NEAP_FOREVER);
    begin_read(&a, NEAP_FOREVER);
    begin_read(&b, NEAP_FOREVER);
    begin_write(&c, NEAP_FOREVER);
    actor_end(&a);
    settle(&here);
    assert_int_equal(outcome(&c), NEAP_PARKED);
    actor_end(&b);
    assert_int_equal(finish(&c), 0);
    release(&c);
    assert_free();
}

static void a_holder_keeps_it_alive(void **state) {
    (void)state;
    struct neap_rwlock *forgotten = made(neap_rwlock_new());
    start(&a, forgotten, NEAP_RWLOCK_READ, NEAP_FOREVER);
    neap_object_unref(&forgotten->object);
    actor_end(&a);
}

static void serving_a_waiting_reader_needs_no_memory(void **state) {
    (void)state;
    begin_write(&a, NEAP_FOREVER);
    begin_read(&b, NEAP_FOREVER);
    begin_read(&c, NEAP_FOREVER);
    neap_memory_fail_after(0);
    release(&a);
    settle(&here);
    assert_int_equal(outcome(&b), 0);
    assert_int_equal(outcome(&c), 0);
    release(&b);
    assert_int_equal(begin_read(&b, 0), 0); /* its record was kept */
    release(&b);
    release(&c);
    neap_memory_fail_after(-1);
    assert_free();
}

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_rwlock_new());
    neap_memory_fail_after(0);
    assert_int_equal(begin_read(&a, NEAP_FOREVER), NEAP_NOMEM);
    begin_write(&b, NEAP_FOREVER);
    neap_memory_fail_after(0);
    assert_int_equal(begin_read(&a, NEAP_FOREVER), NEAP_NOMEM); /* before it waits */
    neap_memory_fail_after(1);
    assert_int_equal(begin_read(&a, soon(1000)), NEAP_NOMEM); /* its deadline */
    neap_memory_fail_after(-1);
    release(&b);
    assert_free();
}

/* --- threads --- */

struct pages {
    int64_t left, right; /* equal whenever nobody writes */
    int rounds;
};

static void read_and_write(void *argument) {
    struct pages *pages = argument;
    struct actor actor;
    actor_init(&actor, neap_loop_here);
    for (int i = 0; i < pages->rounds; i++) {
        bool writes = chance(4) == 0;
        int64_t deadline = chance(8) == 0 ? soon(chance(30)) : NEAP_FOREVER;
        int code = act(&actor, rwlock, writes ? NEAP_RWLOCK_WRITE : NEAP_RWLOCK_READ, deadline);
        if (code == NEAP_TIMEOUT) continue;
        CHECK(code == 0);
        if (writes) pages->left++;
        dawdle(20);
        if (writes) pages->right++;
        CHECK(pages->left == pages->right);
        CHECK(neap_rwlock_release(rwlock, &actor.owner) == 0);
    }
}

static void threads_read_together_and_write_alone(void **state) {
    (void)state;
    struct pages pages = {0, 0, repeated(10000)};
    struct helper helpers[3];
    for (int i = 0; i < 3; i++) helper_start(&helpers[i], read_and_write, &pages);
    for (int i = 0; i < 3; i++) helper_join(&helpers[i]);
    assert_free();
}

#define RWLOCK_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest rwlock_tests[] = {
        RWLOCK_TEST(many_read_at_once),
        RWLOCK_TEST(a_writer_is_alone),
        RWLOCK_TEST(a_waiting_writer_stops_later_readers),
        RWLOCK_TEST(readers_next_to_each_other_are_served_together),
        RWLOCK_TEST(a_writer_that_gives_up_lets_readers_in),
        RWLOCK_TEST(waits_that_give_up_are_passed_over),
        RWLOCK_TEST(waits_time_out),
        RWLOCK_TEST(what_would_wait_for_itself_is_refused),
        RWLOCK_TEST(a_reader_reads_again_whoever_waits),
        RWLOCK_TEST(only_who_holds_releases),
        RWLOCK_TEST(an_ended_writer_is_told_up_to_the_next_writer),
        RWLOCK_TEST(what_an_ended_reader_held_returns),
        RWLOCK_TEST(a_holder_keeps_it_alive),
        RWLOCK_TEST(serving_a_waiting_reader_needs_no_memory),
        RWLOCK_TEST(out_of_memory_is_an_answer),
    };
    const struct CMUnitTest rwlock_races[] = {
        RWLOCK_TEST(threads_read_together_and_write_alone),
    };
    return run_local_and_shared(rwlock_tests) + run_once(rwlock_races);
}
