#include "support.h"

#include "sync/pipe.h"

static struct neap_pipe *left, *right;
static struct actor a, b;

static int make_with(void **state, bool duplex) {
    if (set_up(state) != 0) return -1;
    if (neap_pipe_new(duplex, &left, &right) != 0) return -1;
    made(left); /* shares the streams, and so the other end's too */
    made(right);
    actor_init(&a, &here);
    actor_init(&b, &here);
    return 0;
}

static int make(void **state) { return make_with(state, true); }

static int make_one_way(void **state) { return make_with(state, false); }

static int drop(void **state) {
    if (left != NULL) neap_object_unref(&left->object);
    if (right != NULL) neap_object_unref(&right->object);
    return tear_down(state);
}

static int put_in(struct actor *actor, struct neap_stream *stream, int64_t value, int64_t deadline) {
    actor->links[0].message = parcel(value);
    int code = start(actor, stream, NEAP_STREAM_SEND, deadline);
    if (code != 0 && code != NEAP_PARKED) neap_message_fini(&actor->links[0].message);
    return code;
}

static int receive(struct actor *actor, struct neap_stream *stream, int64_t deadline) {
    return start(actor, stream, NEAP_STREAM_RECV, deadline);
}

static int64_t received(struct actor *actor) { return value_of(&actor->links[0].message); }

static void assert_receives(struct neap_stream *stream, int64_t value) {
    assert_int_equal(receive(&b, stream, 0), 0);
    assert_int_equal(received(&b), value);
}

static int poll_begin(struct actor *actor, struct neap_stream *stream, int64_t deadline) {
    return start(actor, stream, NEAP_STREAM_POLL, deadline);
}

static void both_ends_send_and_receive(void **state) {
    (void)state;
    assert_int_equal(put_in(&a, left->out, 1, 0), 0);
    assert_int_equal(put_in(&a, right->out, 2, 0), 0);
    assert_receives(right->in, 1);
    assert_receives(left->in, 2);
}

static void one_way_has_a_reader_and_a_writer(void **state) {
    (void)state;
    assert_null(left->out);
    assert_null(right->in);
    assert_int_equal(put_in(&a, right->out, 1, 0), 0);
    assert_receives(left->in, 1);
    assert_true(neap_pipe_close(right));
    assert_true(neap_pipe_is_closed(right));
    assert_false(neap_pipe_is_closed(left)); /* it was the other end */
    assert_int_equal(receive(&b, left->in, 0), NEAP_CLOSED);
}

static void it_is_buffered(void **state) {
    (void)state;
    for (int i = 0; i < NEAP_PIPE_CAPACITY; i++) assert_int_equal(put_in(&a, left->out, i, 0), 0);
    assert_int_equal(put_in(&a, left->out, -1, 0), NEAP_TIMEOUT);
    assert_int_equal(put_in(&a, left->out, NEAP_PIPE_CAPACITY, NEAP_FOREVER), NEAP_PARKED);
    for (int i = 0; i <= NEAP_PIPE_CAPACITY; i++) assert_receives(right->in, i);
    assert_int_equal(finish(&a), 0);
}

static void closing_an_end_leaves_what_was_sent(void **state) {
    (void)state;
    put_in(&a, left->out, 1, 0);
    put_in(&a, right->out, 2, 0);
    receive(&a, left->in, 0);
    assert_int_equal(received(&a), 2);
    receive(&a, left->in, NEAP_FOREVER);
    assert_true(neap_pipe_close(left));
    assert_false(neap_pipe_close(left));
    assert_int_equal(finish(&a), NEAP_CLOSED);
    assert_receives(right->in, 1);
    assert_int_equal(receive(&b, right->in, 0), NEAP_CLOSED);
    assert_int_equal(put_in(&b, right->out, 3, 0), NEAP_CLOSED);
}

static void the_last_reference_to_an_end_closes_it(void **state) {
    (void)state;
    put_in(&a, left->out, 1, 0);
    receive(&a, right->in, 0);
    received(&a);
    receive(&a, right->in, NEAP_FOREVER);
    neap_object_unref(&left->object);
    left = NULL;
    assert_int_equal(finish(&a), NEAP_CLOSED);
    assert_int_equal(put_in(&b, right->out, 1, 0), NEAP_CLOSED);
}

static void polling_takes_nothing(void **state) {
    (void)state;
    assert_int_equal(poll_begin(&a, right->in, 0), NEAP_TIMEOUT);
    put_in(&b, left->out, 1, 0);
    assert_int_equal(poll_begin(&a, right->in, 0), 0);
    assert_int_equal(poll_begin(&a, right->in, NEAP_FOREVER), 0);
    assert_receives(right->in, 1);
    assert_int_equal(poll_begin(&a, right->in, 0), NEAP_TIMEOUT);
}

static void a_value_wakes_all_pollers(void **state) {
    (void)state;
    assert_int_equal(poll_begin(&a, right->in, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(poll_begin(&b, right->in, NEAP_FOREVER), NEAP_PARKED);
    struct actor sender;
    actor_init(&sender, &here);
    put_in(&sender, left->out, 1, 0);
    assert_int_equal(finish(&a), 0);
    assert_int_equal(finish(&b), 0);
    assert_receives(right->in, 1);
}

static void a_value_that_a_receiver_takes_wakes_no_poller(void **state) {
    (void)state;
    struct actor sender;
    actor_init(&sender, &here);
    poll_begin(&a, right->in, NEAP_FOREVER);
    receive(&b, right->in, NEAP_FOREVER);
    put_in(&sender, left->out, 1, 0);
    assert_int_equal(finish(&b), 0);
    received(&b);
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_PARKED);
    cancel(&a);
    assert_int_equal(finish(&a), NEAP_CANCELLED);
}

static void pollers_learn_of_the_end(void **state) {
    (void)state;
    put_in(&a, left->out, 1, 0);
    neap_pipe_close(left);
    assert_int_equal(poll_begin(&a, right->in, 0), 0); /* something is left */
    assert_receives(right->in, 1);
    assert_int_equal(poll_begin(&a, right->in, 0), NEAP_CLOSED);
}

static void closing_wakes_pollers(void **state) {
    (void)state;
    poll_begin(&a, right->in, NEAP_FOREVER);
    assert_int_equal(act(&b, right->in, NEAP_STREAM_POLL, soon(300)), NEAP_TIMEOUT);
    neap_pipe_close(left);
    assert_int_equal(finish(&a), NEAP_CLOSED);
}

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    struct neap_pipe *first, *second;
    for (int duplex = 0; duplex < 2; duplex++) {
        for (int i = 0; i < 3 + duplex; i++) {
            neap_memory_fail_after(i);
            assert_int_equal(neap_pipe_new(duplex, &first, &second), NEAP_NOMEM);
        }
    }
    neap_memory_fail_after(-1);
}

/* --- threads --- */

static void echo(void *argument) {
    struct neap_pipe *end = argument;
    struct actor actor;
    actor_init(&actor, neap_loop_here);
    while (act(&actor, end->in, NEAP_STREAM_RECV, NEAP_FOREVER) == 0)
        if (act(&actor, end->out, NEAP_STREAM_SEND, NEAP_FOREVER) != 0) neap_message_fini(&actor.links[0].message);
    CHECK(outcome(&actor) == NEAP_CLOSED);
}

static void threads_talk_over_it(void **state) {
    (void)state;
    struct helper helper;
    helper_start(&helper, echo, right);
    for (int i = 0; i < repeated(1500); i++) {
        assert_int_equal(put_in(&a, left->out, i, NEAP_FOREVER), 0);
        assert_int_equal(act(&a, left->in, NEAP_STREAM_POLL, NEAP_FOREVER), 0);
        assert_int_equal(receive(&a, left->in, 0), 0);
        assert_int_equal(received(&a), i);
    }
    neap_pipe_close(left);
    helper_join(&helper);
}

/* An end is closed while the other side sends and polls. */
struct closing {
    struct neap_pipe *ends[2];
    struct actor sender, poller;
    struct neap_loop *loop;
};

static void begin_closing(void *argument, struct neap_loop *first, struct neap_loop *second) {
    struct closing *closing = argument;
    (void)second;
    CHECK(neap_pipe_new(true, &closing->ends[0], &closing->ends[1]) == 0);
    neap_object_share(&closing->ends[0]->object);
    neap_object_share(&closing->ends[1]->object);
    closing->loop = first;
}

static void poll_and_send(void *argument) {
    struct closing *closing = argument;
    actor_init(&closing->poller, closing->loop);
    actor_init(&closing->sender, closing->loop);
    start(&closing->poller, closing->ends[0]->in, NEAP_STREAM_POLL, NEAP_FOREVER);
    put_in(&closing->sender, closing->ends[0]->out, 1, NEAP_FOREVER);
    CHECK(finish(&closing->poller) == NEAP_CLOSED);
}

static void close_end(void *argument) {
    struct closing *closing = argument;
    dawdle(300);
    neap_pipe_close(closing->ends[1]);
}

static void check_closing(void *argument) {
    struct closing *closing = argument;
    bool sent = outcome(&closing->sender) == 0;
    assert_int_equal(receive(&a, closing->ends[1]->in, 0), sent ? 0 : NEAP_CLOSED);
    if (sent) received(&a);
    for (int i = 0; i < 2; i++) neap_object_unref(&closing->ends[i]->object);
}

static void closing_races_with_sending_and_polling(void **state) {
    (void)state;
    struct closing closing;
    run_race(&(struct race){begin_closing, poll_and_send, close_end, check_closing}, &closing, repeated(1500));
}

#define DUPLEX(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest pipe_tests[] = {
        DUPLEX(both_ends_send_and_receive),
        cmocka_unit_test_setup_teardown(one_way_has_a_reader_and_a_writer, make_one_way, drop),
        DUPLEX(it_is_buffered),
        DUPLEX(closing_an_end_leaves_what_was_sent),
        DUPLEX(the_last_reference_to_an_end_closes_it),
        DUPLEX(polling_takes_nothing),
        DUPLEX(a_value_wakes_all_pollers),
        DUPLEX(a_value_that_a_receiver_takes_wakes_no_poller),
        DUPLEX(pollers_learn_of_the_end),
        DUPLEX(closing_wakes_pollers),
        DUPLEX(out_of_memory_is_an_answer),
    };
    const struct CMUnitTest pipe_races[] = {
        DUPLEX(threads_talk_over_it),
        DUPLEX(closing_races_with_sending_and_polling),
    };
    return run_local_and_shared(pipe_tests) + run_once(pipe_races);
}
