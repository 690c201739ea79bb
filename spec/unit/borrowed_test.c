#include "support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/borrowed.h"

static int ends[2], others[2];
static struct actor a;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    actor_init(&a, &here);
    return pipe(ends) != 0 || pipe(others) != 0;
}

static int drop(void **state) {
    for (int i = 0; i < 2; i++) {
        close(ends[i]);
        close(others[i]);
    }
    return tear_down(state);
}

static struct neap_poll *poll_of(const struct neap_interest *interests, size_t count) {
    struct neap_poll *poll = NULL;
    CHECK(neap_borrowed_poll(&here, interests, count, &poll) == 0);
    return poll;
}

static int wait_for(struct neap_poll *poll, int64_t deadline) { return act(&a, poll, NEAP_POLL_READ, deadline); }

static void what_is_read_from_is_waited_for_and_stays_as_it_was(void **state) {
    const struct neap_interest interest = {ends[0], 1 << NEAP_POLL_READ};
    (void)state;
    struct neap_poll *poll = poll_of(&interest, 1);
    assert_int_equal(wait_for(poll, neap_clock_now() + NEAP_MILLISECOND), NEAP_TIMEOUT);
    assert_false(neap_borrowed_is_ready(ends[0], NEAP_POLL_READ));
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_true(neap_borrowed_is_ready(ends[0], NEAP_POLL_READ));
    assert_int_equal(wait_for(poll, NEAP_FOREVER), 0);
    neap_object_unref(&poll->object);
    assert_int_equal(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
}

static void one_of_several_will_do(void **state) {
    const struct neap_interest interests[] = {{ends[0], 1 << NEAP_POLL_READ}, {others[0], 1 << NEAP_POLL_READ}};
    (void)state;
    struct neap_poll *poll = poll_of(interests, 2);
    assert_int_equal(wait_for(poll, neap_clock_now() + NEAP_MILLISECOND), NEAP_TIMEOUT);
    assert_int_equal(write(others[1], "x", 1), 1);
    assert_int_equal(wait_for(poll, NEAP_FOREVER), 0);
    neap_object_unref(&poll->object);
}

static void the_same_descriptor_may_be_watched_twice(void **state) {
    const struct neap_interest interest = {ends[1], 1 << NEAP_POLL_WRITE};
    (void)state;
    struct neap_poll *first = poll_of(&interest, 1), *second = poll_of(&interest, 1);
    assert_int_equal(wait_for(first, NEAP_FOREVER), 0);
    assert_int_equal(wait_for(second, NEAP_FOREVER), 0);
    neap_object_unref(&first->object);
    neap_object_unref(&second->object);
}

static void what_cannot_be_waited_for_is_told(void **state) {
    char name[] = P_tmpdir "/neap-borrowed-XXXXXX";
    struct neap_poll *poll = NULL;
    (void)state;
    int file = mkstemp(name);
    assert_true(file >= 0);
    struct neap_interest interest = {file, 1 << NEAP_POLL_READ};
    assert_int_equal(neap_borrowed_poll(&here, &interest, 1, &poll), UV_EPERM);
    assert_true(neap_borrowed_is_ready(file, NEAP_POLL_READ));
    interest.fd = -1;
    assert_int_equal(neap_borrowed_poll(&here, &interest, 1, &poll), UV_EBADF);
    assert_null(poll);
    close(file);
    remove(name);
}

#define BORROWED_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest borrowed_tests[] = {
        BORROWED_TEST(what_is_read_from_is_waited_for_and_stays_as_it_was),
        BORROWED_TEST(one_of_several_will_do),
        BORROWED_TEST(the_same_descriptor_may_be_watched_twice),
        BORROWED_TEST(what_cannot_be_waited_for_is_told),
    };
    return run_once(borrowed_tests);
}
