#include "support.h"

#include "core/mailbox.h"

/* A runnable that knows who sent it. */
struct letter {
    struct neap_runnable runnable;
    int sender, number;
    atomic_int received; /* times */
};

static struct neap_mailbox *mailbox;
static atomic_int busy;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    atomic_store(&busy, 1);
    mailbox = neap_mailbox_new(&busy);
    return 0;
}

static int drop(void **state) {
    neap_mailbox_unref(mailbox);
    return tear_down(state);
}

static struct letter *letter_of(struct neap_runnable *runnable) {
    return NEAP_CONTAINER_OF(runnable, struct letter, runnable);
}

static int count(struct neap_runnable *posted) {
    int found = 0;
    for (; posted != NULL; posted = posted->next) found++;
    return found;
}

static void what_is_posted_comes_in_order(void **state) {
    (void)state;
    struct letter letters[5];
    assert_true(neap_mailbox_is_empty(mailbox));
    assert_null(neap_mailbox_collect(mailbox));
    for (int i = 0; i < 5; i++) {
        letters[i].number = i;
        assert_int_equal(neap_mailbox_post(mailbox, &letters[i].runnable), 0);
    }
    assert_false(neap_mailbox_is_empty(mailbox));
    struct neap_runnable *posted = neap_mailbox_collect(mailbox);
    assert_true(neap_mailbox_is_empty(mailbox));
    for (int i = 0; i < 5; i++, posted = posted->next) assert_int_equal(letter_of(posted)->number, i);
    assert_null(posted);
}

static void a_closed_one_refuses_and_returns_what_had_come(void **state) {
    (void)state;
    struct letter letters[2];
    neap_mailbox_post(mailbox, &letters[0].runnable);
    assert_ptr_equal(neap_mailbox_close(mailbox), &letters[0].runnable);
    assert_int_equal(neap_mailbox_post(mailbox, &letters[1].runnable), NEAP_GONE);
    neap_mailbox_notify(mailbox);
    assert_int_equal(neap_mailbox_post(mailbox, &letters[1].runnable), NEAP_GONE);
}

static void a_notification_is_no_post_but_seen(void **state) {
    (void)state;
    struct letter letter;
    neap_mailbox_notify(mailbox);
    neap_mailbox_notify(mailbox);
    assert_false(neap_mailbox_is_empty(mailbox));
    assert_false(neap_mailbox_retire(mailbox)); /* look around first */
    assert_null(neap_mailbox_collect(mailbox));
    assert_true(neap_mailbox_is_empty(mailbox));
    neap_mailbox_notify(mailbox);
    neap_mailbox_post(mailbox, &letter.runnable);
    neap_mailbox_notify(mailbox);
    assert_int_equal(count(neap_mailbox_collect(mailbox)), 1);
    neap_mailbox_notify(mailbox);
    assert_null(neap_mailbox_close(mailbox));
}

static void a_loop_that_something_has_come_for_does_not_sleep(void **state) {
    (void)state;
    struct letter letter;
    neap_mailbox_post(mailbox, &letter.runnable);
    assert_false(neap_mailbox_retire(mailbox));
    neap_mailbox_collect(mailbox);
    assert_true(neap_mailbox_retire(mailbox));
    neap_mailbox_post(mailbox, &letter.runnable);
    neap_mailbox_sleep(mailbox, NEAP_FOREVER); /* returns at once */
    neap_mailbox_rise(mailbox);
    assert_int_equal(count(neap_mailbox_collect(mailbox)), 1);
    assert_true(neap_mailbox_retire(mailbox));
    neap_mailbox_sleep(mailbox, soon(200));
    neap_mailbox_rise(mailbox);
    assert_true(neap_mailbox_is_empty(mailbox));
}

static void the_count_is_left_and_entered_again(void **state) {
    (void)state;
    struct letter letter;
    neap_mailbox_retire(mailbox);
    assert_true(neap_mailbox_leave(mailbox)); /* the last one */
    assert_int_equal(atomic_load(&busy), 0);
    neap_mailbox_rise(mailbox);
    assert_int_equal(atomic_load(&busy), 1);

    atomic_store(&busy, 2); /* somebody else is awake */
    neap_mailbox_retire(mailbox);
    assert_false(neap_mailbox_leave(mailbox));
    assert_int_equal(atomic_load(&busy), 1);
    neap_mailbox_post(mailbox, &letter.runnable); /* by that one, who pays */
    assert_int_equal(atomic_load(&busy), 2);
    neap_mailbox_rise(mailbox);
    assert_int_equal(atomic_load(&busy), 2);
    neap_mailbox_collect(mailbox);

    neap_mailbox_retire(mailbox);
    neap_mailbox_post(mailbox, &letter.runnable);
    assert_false(neap_mailbox_leave(mailbox)); /* woken before it could leave */
    assert_int_equal(atomic_load(&busy), 2);
    neap_mailbox_rise(mailbox);
    neap_mailbox_collect(mailbox);

    neap_mailbox_retire(mailbox);
    neap_mailbox_leave(mailbox);
    neap_mailbox_notify(mailbox);
    assert_int_equal(atomic_load(&busy), 2);
    neap_mailbox_rise(mailbox);
    assert_int_equal(atomic_load(&busy), 2);
}

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_mailbox_new(NULL));
}

/* --- threads --- */

enum { SENDERS = 3, MOST = 20000 };

struct post_office {
    struct neap_mailbox *mailbox;
    struct letter (*letters)[MOST]; /* of each sender */
    atomic_int senders;
    int each;
};

static void send_letters(void *argument) {
    struct post_office *office = argument;
    int sender = atomic_fetch_add(&office->senders, 1);
    for (int i = 0; i < office->each; i++) {
        struct letter *letter = &office->letters[sender][i];
        letter->sender = sender;
        letter->number = i;
        CHECK(neap_mailbox_post(office->mailbox, &letter->runnable) == 0);
        if (chance(50) == 0) dawdle(2000);
    }
}

static void letters_of_many_senders_come_once_and_in_order(void **state) {
    (void)state;
    static struct letter letters[SENDERS][MOST];
    struct post_office office = {mailbox, letters, 0, repeated(2000)};
    struct helper helpers[SENDERS];
    int next[SENDERS] = {0}, received = 0;
    if (office.each > MOST) office.each = MOST;
    for (int i = 0; i < SENDERS; i++) helper_start(&helpers[i], send_letters, &office);
    while (received < SENDERS * office.each) {
        if (neap_mailbox_retire(mailbox)) {
            neap_mailbox_sleep(mailbox, NEAP_FOREVER);
            neap_mailbox_rise(mailbox);
        }
        struct neap_runnable *posted = neap_mailbox_collect(mailbox);
        for (; posted != NULL; posted = posted->next, received++)
            assert_int_equal(letter_of(posted)->number, next[letter_of(posted)->sender]++);
    }
    for (int i = 0; i < SENDERS; i++) helper_join(&helpers[i]);
    assert_true(neap_mailbox_is_empty(mailbox));
}

/* A sender races with the end of the loop, whose mailbox it keeps. */
struct ending {
    struct neap_mailbox *mailbox;
    struct letter letter;
    int code, found;
};

static void begin_ending(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct ending *ending = argument;
    (void)left;
    (void)right;
    ending->mailbox = neap_mailbox_new(NULL);
    neap_mailbox_ref(ending->mailbox);
    ending->found = 0;
}

static void end_loop(void *argument) {
    struct ending *ending = argument;
    dawdle(100);
    if (chance(2) == 0 && neap_mailbox_retire(ending->mailbox)) {
        dawdle(50);
        neap_mailbox_rise(ending->mailbox);
    }
    ending->found = count(neap_mailbox_collect(ending->mailbox)) + count(neap_mailbox_close(ending->mailbox));
    neap_mailbox_unref(ending->mailbox);
}

static void send_late(void *argument) {
    struct ending *ending = argument;
    dawdle(150);
    ending->code = neap_mailbox_post(ending->mailbox, &ending->letter.runnable);
    neap_mailbox_unref(ending->mailbox);
}

static void check_ending(void *argument) {
    struct ending *ending = argument;
    assert_true(ending->code == 0 || ending->code == NEAP_GONE);
    assert_int_equal(ending->found, ending->code == 0);
}

static void a_late_letter_is_received_or_refused(void **state) {
    (void)state;
    struct ending ending;
    run_race(&(struct race){begin_ending, end_loop, send_late, check_ending}, &ending, repeated(3000));
}

#define MAILBOX_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest mailbox_tests[] = {
        MAILBOX_TEST(what_is_posted_comes_in_order),
        MAILBOX_TEST(a_closed_one_refuses_and_returns_what_had_come),
        MAILBOX_TEST(a_notification_is_no_post_but_seen),
        MAILBOX_TEST(a_loop_that_something_has_come_for_does_not_sleep),
        MAILBOX_TEST(the_count_is_left_and_entered_again),
        MAILBOX_TEST(out_of_memory_is_an_answer),
        MAILBOX_TEST(letters_of_many_senders_come_once_and_in_order),
        TEST(a_late_letter_is_received_or_refused),
    };
    return run_once(mailbox_tests);
}
