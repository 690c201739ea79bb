/* The word of a loan, as its lender and its borrower change it. */
#include "support.h"

#include <string.h>

#include "sync/loan.h"

static struct neap_loan_slot slot;
static struct neap_loan loan;

static int make(void **state) {
    memset(&slot, 0, sizeof slot);
    neap_loan_init(&loan, &slot, NULL);
    return set_up(state);
}

#define RUN(function) cmocka_unit_test_setup_teardown(function, make, tear_down)

static bool take(uint32_t round, uint32_t number) {
    bool tell;
    return neap_loan_take(&slot, round, number, &tell);
}

static void what_is_lent_is_taken_in_order(void **state) {
    (void)state;
    loan.lent = 3;
    assert_false(take(loan.round, loan.first + 1));
    assert_true(take(loan.round, loan.first));
    assert_false(take(loan.round, loan.first));
    assert_true(take(loan.round, loan.first + 1));
    assert_int_equal(neap_loan_taken(&loan), 2);
    assert_int_equal(neap_loan_taken(&loan), 0);
    assert_int_equal(loan.lent, 1);
}

static void what_is_recalled_cannot_be_taken(void **state) {
    (void)state;
    uint32_t round = loan.round, first = loan.first;
    loan.lent = 3;
    assert_true(take(round, first));
    assert_int_equal(neap_loan_recall(&loan), 1);
    assert_int_equal(loan.lent, 0);
    assert_false(take(round, first + 1));
    loan.lent = 1;
    assert_true(take(loan.round, loan.first));
}

static void another_loan_of_the_slot_begins_another_round(void **state) {
    (void)state;
    struct neap_loan next;
    uint32_t round = loan.round;
    loan.lent = 2;
    assert_true(take(round, loan.first));
    neap_loan_recall(&loan);
    round = loan.round;
    neap_loan_init(&next, &slot, NULL);
    assert_false(take(round, loan.first));
    next.lent = 1;
    assert_true(take(next.round, next.first));
    assert_int_equal(neap_loan_taken(&next), 1);
}

static void who_says_it_has_taken_more_has_taken_all(void **state) {
    (void)state;
    loan.lent = 2;
    atomic_fetch_add(&slot.word, 1000);
    assert_int_equal(neap_loan_taken(&loan), 2);
    assert_int_equal(loan.lent, 0);
}

static void numbers_wrap(void **state) {
    (void)state;
    struct neap_loan late;
    atomic_store(&slot.word, (uint64_t)7 << 32 | UINT32_MAX);
    neap_loan_init(&late, &slot, NULL);
    late.lent = 2;
    assert_true(take(late.round, UINT32_MAX));
    assert_int_equal(atomic_load(&slot.word) >> 32, late.round);
}

static void the_lender_is_told_when_it_asked(void **state) {
    (void)state;
    bool tell;
    loan.lent = 3;
    assert_true(neap_loan_ask(&loan, 2));
    assert_true(neap_loan_take(&slot, loan.round, loan.first, &tell));
    assert_false(tell);
    assert_true(neap_loan_take(&slot, loan.round, loan.first + 1, &tell));
    assert_true(tell);
    assert_false(neap_loan_ask(&loan, 2)); /* too late: they have been */
}

/* --- two at once --- */

enum { MESSAGES = 20000, MOST = 16 };

/* Numbers are names here: nothing is received but what is lent. */
static struct {
    _Atomic uint64_t offer; /* round << 32 | lent; the first is the one after the last taken */
    _Atomic bool over;
    _Atomic uint32_t told;
    uint32_t taken_here, taken_there; /* by number: how many the lender saw taken, and the borrower took */
} both;

/* Takes what it may of the last offer that it has seen, sometimes too late. */
static void borrow(void *argument) {
    (void)argument;
    while (!atomic_load(&both.over)) {
        uint32_t round = (uint32_t)(atomic_load(&both.offer) >> 32), number = (uint32_t)atomic_load(&slot.word);
        bool tell = false;
        dawdle(30);
        if (number >= (uint32_t)atomic_load(&both.offer)) continue;
        if (neap_loan_take(&slot, round, number, &tell)) both.taken_there++;
        if (tell) atomic_store(&both.told, number + 1);
    }
}

static void each_is_taken_or_had_back(void **state) {
    (void)state;
    struct helper helper;
    memset(&both, 0, sizeof both);
    helper_start(&helper, borrow, NULL);
    while (loan.first < (uint32_t)repeated(MESSAGES)) {
        uint32_t count = 1 + chance(MOST), before = loan.first;
        loan.lent = count;
        atomic_store(&both.offer, (uint64_t)loan.round << 32 | (loan.first + count));
        dawdle(200);
        if (chance(2) == 0) {
            both.taken_here += neap_loan_taken(&loan);
        } else if (neap_loan_ask(&loan, count)) {
            while (atomic_load(&both.told) != before + count) neap_relax();
        }
        both.taken_here += neap_loan_recall(&loan);
        CHECK(loan.first - before <= count);
    }
    atomic_store(&both.over, true);
    helper_join(&helper);
    assert_int_equal(both.taken_here, both.taken_there);
    assert_int_equal((uint32_t)atomic_load(&slot.word), both.taken_here);
}

int main(void) {
    const struct CMUnitTest loans[] = {
        RUN(what_is_lent_is_taken_in_order),
        RUN(what_is_recalled_cannot_be_taken),
        RUN(another_loan_of_the_slot_begins_another_round),
        RUN(who_says_it_has_taken_more_has_taken_all),
        RUN(numbers_wrap),
        RUN(the_lender_is_told_when_it_asked),
        RUN(each_is_taken_or_had_back),
    };
    return run_once(loans);
}
