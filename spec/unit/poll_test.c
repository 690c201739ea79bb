#include "support.h"

#include <unistd.h>

#include "io/poll.h"

static struct neap_poll *stream;
static struct actor reader;
static int far; /* the end that is written to */

static int make(void **state) {
    int ends[2];
    if (set_up(state) != 0 || pipe(ends) != 0) return -1;
    far = ends[1];
    actor_init(&reader, &here);
    return neap_poll_new(&neap_poll_class, &here, ends[0], &stream);
}

static int drop(void **state) {
    neap_object_unref(&stream->object);
    actor_end(&reader);
    close(far);
    return tear_down(state);
}

#define WAITING(function) cmocka_unit_test_setup_teardown(function, make, drop)

static void look(void) { uv_run(here.uv, UV_RUN_NOWAIT); }

static bool is_watched(void) { return (stream->watched & 1u << NEAP_POLL_READ) != 0; }

static int wait_to_read(void) { return start(&reader, stream, NEAP_POLL_READ, NEAP_FOREVER); }

static void who_waits_is_served_and_it_stays_watched(void **state) {
    (void)state;
    assert_int_equal(wait_to_read(), NEAP_PARKED);
    look();
    assert_true(is_watched());
    assert_int_equal(write(far, "x", 1), 1);
    assert_int_equal(finish(&reader), 0);
    assert_true(is_watched());
}

static void what_nobody_comes_for_is_watched_no_more(void **state) {
    (void)state;
    assert_int_equal(wait_to_read(), NEAP_PARKED);
    assert_int_equal(write(far, "x", 1), 1);
    look(); /* serves the reader, which has not had its turn */
    look();
    assert_true(is_watched());
    look();
    assert_false(is_watched());
    assert_int_equal(finish(&reader), 0);
    assert_int_equal(wait_to_read(), 0); /* that it is ready was noted */
}

static void who_finds_it_not_ready_waits_for_more(void **state) {
    char byte;
    (void)state;
    assert_int_equal(wait_to_read(), NEAP_PARKED);
    assert_int_equal(write(far, "x", 1), 1);
    for (int i = 0; i < 3; i++) look();
    assert_int_equal(finish(&reader), 0);
    assert_int_equal(read(stream->fd, &byte, 1), 1);
    neap_poll_clear(stream, NEAP_POLL_READ);
    assert_int_equal(wait_to_read(), NEAP_PARKED);
    assert_int_equal(write(far, "y", 1), 1);
    assert_int_equal(finish(&reader), 0);
}

static void closing_answers_who_waits(void **state) {
    (void)state;
    assert_int_equal(wait_to_read(), NEAP_PARKED);
    neap_poll_close(stream);
    assert_int_equal(finish(&reader), NEAP_CLOSED);
    assert_int_equal(wait_to_read(), NEAP_CLOSED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WAITING(who_waits_is_served_and_it_stays_watched),
        WAITING(what_nobody_comes_for_is_watched_no_more),
        WAITING(who_finds_it_not_ready_waits_for_more),
        WAITING(closing_answers_who_waits),
    };
    return run_once(tests);
}
