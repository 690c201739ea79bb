/* The word of a credit. The other process is played by the test. */
#include "support.h"

#include <string.h>

#include "sync/credit.h"

static struct neap_credit_slot slot;
static struct neap_credit credit;
static const struct neap_credit_class class; /* nobody asks anything of it */

static void begin_at(uint32_t count) {
    atomic_store(&slot.word, (uint64_t)count << 32 | count);
    neap_credit_init(&credit, &class, &slot);
}

static int make(void **state) {
    memset(&slot, 0, sizeof slot);
    neap_credit_init(&credit, &class, &slot);
    return set_up(state);
}

#define RUN(function) cmocka_unit_test_setup_teardown(function, make, tear_down)

static uint32_t use_all(struct neap_credit_slot *of) {
    uint32_t used = 0;
    while (neap_credit_use(of)) used++;
    return used;
}

static void nothing_is_granted_at_first(void **state) {
    (void)state;
    assert_false(neap_credit_is_left(&slot));
    assert_false(neap_credit_use(&slot));
    assert_int_equal(neap_credit_recall(&credit), 0);
}

static void what_is_granted_is_used_once(void **state) {
    (void)state;
    neap_credit_grant(&credit, 3);
    assert_true(neap_credit_is_left(&slot));
    assert_int_equal(use_all(&slot), 3);
    assert_false(neap_credit_is_left(&slot));
    neap_credit_grant(&credit, 2);
    assert_int_equal(use_all(&slot), 2);
    assert_int_equal(neap_credit_reserved(&credit), 5);
}

static void what_is_recalled_cannot_be_used(void **state) {
    (void)state;
    neap_credit_grant(&credit, 5);
    assert_true(neap_credit_use(&slot));
    assert_true(neap_credit_use(&slot));
    assert_int_equal(neap_credit_recall(&credit), 3);
    assert_false(neap_credit_use(&slot));
    assert_int_equal(neap_credit_reserved(&credit), 2); /* they are on their way */
    neap_credit_grant(&credit, 1);
    assert_int_equal(use_all(&slot), 1);
}

static void counts_wrap(void **state) {
    (void)state;
    begin_at(UINT32_MAX - 1);
    neap_credit_grant(&credit, 4);
    assert_true(neap_credit_use(&slot));
    assert_int_equal(neap_credit_recall(&credit), 3);
    neap_credit_grant(&credit, 3);
    assert_int_equal(use_all(&slot), 3);
    credit.came += 4;
    assert_int_equal(credit.came, 2);
    assert_int_equal(neap_credit_reserved(&credit), 0);
    assert_false(neap_credit_is_left(&slot));
}

static void another_credit_of_the_slot_begins_with_nothing(void **state) {
    (void)state;
    struct neap_credit next;
    neap_credit_grant(&credit, 4);
    assert_true(neap_credit_use(&slot));
    neap_credit_init(&next, &class, &slot);
    assert_false(neap_credit_use(&slot));
    assert_int_equal(neap_credit_reserved(&next), 0);
    neap_credit_grant(&next, 1);
    assert_int_equal(use_all(&slot), 1);
}

/* The other side is of our making, but its memory may have been overwritten. */
static void who_says_it_has_sent_more_has_sent_what_it_could(void **state) {
    (void)state;
    neap_credit_grant(&credit, 4);
    atomic_fetch_add(&slot.word, 1000);
    assert_int_equal(neap_credit_recall(&credit), 0);
    assert_int_equal(neap_credit_reserved(&credit), 4);
    memset(&slot, 0xff, sizeof slot);
    neap_credit_recall(&credit);
    assert_int_equal(neap_credit_reserved(&credit), 4);
    memset(&slot, 0, sizeof slot);
    assert_int_equal(neap_credit_recall(&credit), 4);
    assert_int_equal(neap_credit_reserved(&credit), 0);
}

enum { GRANTS = 20000, MOST = 16 };

static struct {
    atomic_bool over;
    atomic_uint used;
} both;

static void send_on(void *argument) {
    (void)argument;
    while (!atomic_load(&both.over)) {
        if (neap_credit_use(&slot)) atomic_fetch_add(&both.used, 1);
        dawdle(30);
    }
}

static void each_is_used_or_had_back(void **state) {
    (void)state;
    struct helper helper;
    uint32_t granted = 0, back = 0;
    memset(&both, 0, sizeof both);
    begin_at(UINT32_MAX - 1000);
    helper_start(&helper, send_on, NULL);
    for (int i = 0; i < repeated(GRANTS); i++) {
        uint32_t count = 1 + chance(MOST);
        neap_credit_grant(&credit, count);
        granted += count;
        dawdle(200);
        if (chance(3) > 0) continue;
        uint32_t left = neap_credit_recall(&credit);
        CHECK(left <= granted - back);
        back += left;
        CHECK(neap_credit_reserved(&credit) == granted - back);
    }
    back += neap_credit_recall(&credit);
    atomic_store(&both.over, true);
    helper_join(&helper);
    assert_int_equal(atomic_load(&both.used) + back, granted);
    assert_int_equal(neap_credit_reserved(&credit), atomic_load(&both.used));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RUN(nothing_is_granted_at_first),
        RUN(what_is_granted_is_used_once),
        RUN(what_is_recalled_cannot_be_used),
        RUN(counts_wrap),
        RUN(another_credit_of_the_slot_begins_with_nothing),
        RUN(who_says_it_has_sent_more_has_sent_what_it_could),
        RUN(each_is_used_or_had_back),
    };
    return run_once(tests);
}
