#include "support.h"

#include "sync/buffer.h"

static void put(struct neap_buffer *buffer, int64_t value, double priority) {
    struct neap_message message = parcel(value);
    assert_int_equal(neap_buffer_reserve(buffer, 1), 0);
    neap_buffer_put(buffer, &message, priority);
    assert_int_equal(message.kind, NEAP_MESSAGE_EMPTY);
}

static int64_t take(struct neap_buffer *buffer) {
    struct neap_message message;
    double priority;
    neap_buffer_take(buffer, &message, &priority);
    return value_of(&message);
}

static void fifo_keeps_the_order_while_it_grows(void **state) {
    (void)state;
    struct neap_buffer buffer;
    int64_t in = 0, out = 0;
    neap_buffer_init(&buffer, NEAP_FIFO);
    for (int round = 0; round < 2000; round++) {
        if (chance(5) < 3)
            put(&buffer, in++, 0);
        else if (buffer.count > 0)
            assert_int_equal(take(&buffer), out++);
        assert_int_equal(buffer.count, in - out);
    }
    while (out < in) assert_int_equal(take(&buffer), out++);
    neap_buffer_fini(&buffer);
}

static void lifo_gives_the_latest(void **state) {
    (void)state;
    struct neap_buffer buffer;
    neap_buffer_init(&buffer, NEAP_LIFO);
    for (int i = 0; i < 100; i++) put(&buffer, i, 0);
    assert_int_equal(take(&buffer), 99);
    put(&buffer, 1000, 0);
    assert_int_equal(take(&buffer), 1000);
    for (int i = 98; i >= 0; i--) assert_int_equal(take(&buffer), i);
    neap_buffer_fini(&buffer);
}

/* Against the plainest model: a list that is searched. */
static void priority_gives_the_least_and_equals_in_order(void **state) {
    (void)state;
    enum { MOST = 600 };
    struct {
        double priority;
        bool there;
    } model[MOST] = {{0, false}};
    struct neap_buffer buffer;
    int in = 0;
    neap_buffer_init(&buffer, NEAP_PRIORITY);
    while (in < MOST || buffer.count > 0) {
        if (in < MOST && chance(3) > 0) {
            model[in].priority = (double)chance(10) - 5;
            model[in].there = true;
            put(&buffer, in, model[in].priority);
            in++;
        } else if (buffer.count > 0) {
            int best = -1;
            for (int i = 0; i < in; i++)
                if (model[i].there && (best < 0 || model[i].priority < model[best].priority)) best = i;
            struct neap_message message;
            double priority;
            neap_buffer_take(&buffer, &message, &priority);
            assert_int_equal(value_of(&message), best);
            assert_true(priority == model[best].priority);
            model[best].there = false;
        }
    }
    neap_buffer_fini(&buffer);
}

static void infinite_priorities_have_their_places(void **state) {
    (void)state;
    struct neap_buffer buffer;
    neap_buffer_init(&buffer, NEAP_PRIORITY);
    put(&buffer, 1, 1.0 / 0.0);
    put(&buffer, 2, 0);
    put(&buffer, 3, -1.0 / 0.0);
    assert_int_equal(take(&buffer), 3);
    assert_int_equal(take(&buffer), 2);
    assert_int_equal(take(&buffer), 1);
    neap_buffer_fini(&buffer);
}

static void fifo_keeps_the_order_when_it_grows_before_it_is_full(void **state) {
    (void)state;
    for (int held = 0; held < 8; held++)
        for (int first = 0; first < 8; first++) {
            struct neap_buffer buffer;
            neap_buffer_init(&buffer, NEAP_FIFO);
            for (int i = 0; i < first; i++) put(&buffer, i, 0);
            for (int i = 0; i < first; i++) assert_int_equal(take(&buffer), i);
            for (int i = 0; i < held; i++) put(&buffer, i, 0);
            assert_int_equal(neap_buffer_grow(&buffer), 0);
            for (int i = held; i < 20; i++) put(&buffer, i, 0);
            for (int i = 0; i < 20; i++) assert_int_equal(take(&buffer), i);
            neap_buffer_fini(&buffer);
        }
}

static void what_is_left_is_dropped(void **state) {
    (void)state;
    for (int order = NEAP_FIFO; order <= NEAP_PRIORITY; order++) {
        struct neap_buffer buffer;
        neap_buffer_init(&buffer, (enum neap_order)order);
        for (int i = 0; i < 20; i++) put(&buffer, i, 0); /* parcels: tear_down counts them */
        take(&buffer);
        neap_buffer_fini(&buffer);
    }
}

static void out_of_memory_leaves_it_as_it_was(void **state) {
    (void)state;
    for (int order = NEAP_FIFO; order <= NEAP_PRIORITY; order++) {
        struct neap_buffer buffer;
        neap_buffer_init(&buffer, (enum neap_order)order);
        neap_memory_fail_after(0);
        assert_int_equal(neap_buffer_reserve(&buffer, 1), NEAP_NOMEM);
        int count = 0;
        for (; buffer.count < buffer.room || buffer.count == 0; count++) put(&buffer, count, 0);
        neap_memory_fail_after(0);
        assert_int_equal(neap_buffer_reserve(&buffer, 1), NEAP_NOMEM);
        assert_int_equal(buffer.count, count);
        put(&buffer, count, 0);
        neap_buffer_fini(&buffer);
    }
}

int main(void) {
    const struct CMUnitTest buffer_tests[] = {
        TEST(fifo_keeps_the_order_while_it_grows),
        TEST(fifo_keeps_the_order_when_it_grows_before_it_is_full),
        TEST(lifo_gives_the_latest),
        TEST(priority_gives_the_least_and_equals_in_order),
        TEST(infinite_priorities_have_their_places),
        TEST(what_is_left_is_dropped),
        TEST(out_of_memory_leaves_it_as_it_was),
    };
    return run_once(buffer_tests);
}
