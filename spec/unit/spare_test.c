#include "support.h"

#include "host/engine.h"

static struct neap_engine engine;
static int dropped;

static void drop(struct neap_spare *spare) {
    (void)spare;
    dropped++;
}

static int idled;    /* calls of the loop with nothing to do */
static int useful;   /* how many of them did something */
static bool is_done; /* the run is over */

static void end_run(struct neap_runnable *runnable) {
    (void)runnable;
    is_done = true;
}

static bool is_over(void *flag) { return *(bool *)flag; }

static void one_is_wanted_after_each_start_of_a_thread(void **state) {
    (void)state;
    assert_int_equal(neap_engine_init(&engine), 0);
    assert_false(neap_engine_wants_spare(&engine));
    atomic_store(&engine.spare_wanted, true);
    assert_true(neap_engine_wants_spare(&engine));
    assert_false(neap_engine_wants_spare(&engine));
    neap_engine_fini(&engine);
}

static void none_is_wanted_while_one_is_there_or_no_thread_may_start(void **state) {
    struct neap_spare spare = {drop};
    (void)state;
    dropped = 0;
    assert_int_equal(neap_engine_init(&engine), 0);
    assert_null(neap_engine_swap_spare(&engine, &spare));
    atomic_store(&engine.spare_wanted, true);
    assert_false(neap_engine_wants_spare(&engine));
    assert_ptr_equal(neap_engine_swap_spare(&engine, NULL), &spare);
    assert_true(neap_engine_wants_spare(&engine)); /* the wish was kept */
    neap_engine_stop_threads(&engine);
    atomic_store(&engine.spare_wanted, true);
    assert_false(neap_engine_wants_spare(&engine));
    neap_engine_fini(&engine);
    assert_int_equal(dropped, 0);
}

static void one_that_nobody_took_is_dropped_with_the_engine(void **state) {
    struct neap_spare spare = {drop};
    (void)state;
    dropped = 0;
    assert_int_equal(neap_engine_init(&engine), 0);
    neap_engine_swap_spare(&engine, &spare);
    neap_engine_fini(&engine);
    assert_int_equal(dropped, 1);
}

/* Does something twice, and then lets the run end. */
static bool do_something(struct neap_loop *loop) {
    static struct neap_runnable last = {.run = end_run};
    if (++idled < 3) {
        useful++;
        return true;
    }
    if (idled == 3) neap_loop_push(loop, &last);
    return idled == 3;
}

static void a_loop_with_nothing_to_do_is_asked_until_it_has(void **state) {
    (void)state;
    idled = useful = 0;
    is_done = false;
    here.idle = do_something;
    neap_loop_run(&here, is_over, &is_done);
    here.idle = NULL;
    assert_int_equal(useful, 2);
    assert_int_equal(idled, 3);
}

int main(void) {
    const struct CMUnitTest spare_tests[] = {
        TEST(one_is_wanted_after_each_start_of_a_thread),
        TEST(none_is_wanted_while_one_is_there_or_no_thread_may_start),
        TEST(one_that_nobody_took_is_dropped_with_the_engine),
        TEST(a_loop_with_nothing_to_do_is_asked_until_it_has),
    };
    return run_once(spare_tests);
}
