#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

#include "core/futex.h"
#include "core/ticket.h"
#include "sync/channel.h"
#include "sync/event.h"

/* Two processes: each has a board of its own, over one segment. */
static struct neap_board *here_board, *there_board;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    if (neap_board_new(&here_board) != 0) return -1;
    return neap_board_join(neap_segment_ref(neap_board_segment(here_board)), &there_board);
}

static int drop(void **state) {
    neap_board_free(there_board);
    neap_board_free(here_board);
    return tear_down(state);
}

#define RUN(function) cmocka_unit_test_setup_teardown(function, make, drop)

/* The ticket as the other process knows it. */
static struct neap_ticket seen_there(const struct neap_ticket *ticket) {
    struct neap_ticket other;
    assert_true(neap_ticket_find(there_board, ticket->place, ticket->round, ticket->by, &other));
    return other;
}

static void a_ticket_is_claimed_once(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0), other = seen_there(ticket);
    assert_true(neap_ticket_is_open(&other));
    assert_true(neap_ticket_claim(&other, other.by));
    assert_false(neap_ticket_claim(ticket, NEAP_TICKET_SELF));
    assert_false(neap_ticket_claim(&other, other.by));
    assert_true(neap_ticket_settle(ticket, ticket->by, false));
    assert_false(neap_ticket_settle(ticket, ticket->by + 1, true));
    neap_ticket_close(ticket);
}

static void a_round_that_is_over_cannot_be_claimed(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0), other = seen_there(ticket);
    neap_ticket_close(ticket);
    assert_false(neap_ticket_is_open(&other));
    assert_false(neap_ticket_claim(&other, other.by));
    assert_ptr_equal(neap_ticket_open(here_board, 0), ticket); /* the same word, the next round */
    assert_false(neap_ticket_claim(&other, other.by));
    assert_true(neap_ticket_claim(ticket, NEAP_TICKET_SELF));
    neap_ticket_close(ticket);
}

static void who_holds_a_ticket_takes_it_or_lets_it_go(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0), other = seen_there(ticket);
    assert_true(neap_ticket_hold(&other));
    assert_true(neap_ticket_is_open(ticket));
    neap_ticket_take(&other, 2);
    assert_false(neap_ticket_is_open(ticket));
    neap_ticket_let_go(&other); /* which he does not hold any more */
    assert_true(neap_ticket_settle(ticket, 2, false));
    neap_ticket_close(ticket);
}

static void only_its_own_process_counts_the_tries_of_a_ticket(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 3), other = seen_there(ticket);
    assert_int_equal(atomic_load(&ticket->tries), 3);
    assert_int_equal(atomic_load(&other.tries), 0);
    neap_ticket_close(ticket);
}

static void a_ticket_that_was_let_go_is_open_again(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0), other = seen_there(ticket);
    assert_true(neap_ticket_hold(&other));
    neap_ticket_let_go(&other);
    assert_true(neap_ticket_claim(ticket, NEAP_TICKET_SELF));
    neap_ticket_close(ticket);
}

static void what_is_no_word_is_refused(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0), other;
    uint64_t place = ticket->place, round = ticket->round;
    assert_false(neap_ticket_find(there_board, 0, round, 1, &other));
    assert_false(neap_ticket_find(there_board, place + 1, round, 1, &other));
    assert_false(neap_ticket_find(there_board, neap_board_segment(there_board)->size, round, 1, &other));
    assert_false(neap_ticket_find(there_board, UINT64_MAX - 7, round, 1, &other));
    assert_false(neap_ticket_find(there_board, place, round + 1, 1, &other));
    assert_false(neap_ticket_find(there_board, place, round, NEAP_TICKET_SELF, &other));
    assert_false(neap_ticket_find(there_board, place, round, NEAP_TICKET_LINKS + 1, &other));
    neap_ticket_close(ticket);
}

/* --- receipts --- */

static void closing_is_the_receipt(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0), other = seen_there(ticket);
    assert_true(neap_ticket_claim(&other, other.by));
    assert_true(neap_ticket_is_unread(&other, other.by));
    assert_false(neap_ticket_is_unread(&other, other.by + 1));
    assert_true(neap_ticket_close(ticket));
    assert_false(neap_ticket_is_unread(&other, other.by));
    assert_false(neap_ticket_revoke(&other, other.by));
    assert_ptr_equal(neap_ticket_open(here_board, 0), ticket);
    assert_false(neap_ticket_revoke(&other, other.by)); /* of another round */
    neap_ticket_close(ticket);
}

static void what_is_taken_back_is_not_received(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0), other = seen_there(ticket);
    assert_true(neap_ticket_claim(&other, other.by + 1));
    assert_false(neap_ticket_revoke(&other, other.by));
    assert_true(neap_ticket_revoke(&other, other.by + 1));
    assert_false(neap_ticket_revoke(&other, other.by + 1));       /* once */
    assert_true(neap_ticket_settle(ticket, other.by + 1, false)); /* the answer comes all the same */
    assert_false(neap_ticket_close(ticket));
    assert_ptr_equal(neap_ticket_open(here_board, 0), ticket);
    neap_ticket_close(ticket);
}

static void who_will_not_be_told_says_so(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0), other = seen_there(ticket);
    assert_true(neap_ticket_claim(&other, other.by));
    assert_true(neap_ticket_settle(ticket, other.by, true));
    assert_true(neap_ticket_close(ticket));
    assert_ptr_not_equal(neap_ticket_open(here_board, 0), ticket); /* the word stays as it is until it is looked at */
    assert_true(neap_ticket_is_unread(&other, other.by));
    assert_true(neap_ticket_revoke(&other, other.by));
    assert_false(neap_ticket_revoke(&other, other.by));
}

static void what_is_forestalled_is_claimed_by_nobody(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0), other = seen_there(ticket);
    assert_true(neap_ticket_forestall(&other, other.by));
    assert_true(neap_ticket_forestall(&other, other.by));
    assert_false(neap_ticket_claim(&other, other.by));
    assert_true(
        neap_ticket_settle(ticket, other.by, true)); /* its process may still live, and learns that it is broken */
    assert_false(neap_ticket_close(ticket));
    assert_ptr_equal(neap_ticket_open(here_board, 0), ticket);
    assert_true(neap_ticket_claim(ticket, NEAP_TICKET_SELF));
    assert_true(neap_ticket_forestall(&other, other.by)); /* of a round before */
    assert_true(neap_ticket_close(ticket));
}

static void what_has_been_claimed_is_forestalled_for_others_only(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0), other = seen_there(ticket);
    assert_true(neap_ticket_claim(&other, other.by));
    assert_false(neap_ticket_forestall(&other, other.by));
    assert_true(neap_ticket_forestall(&other, other.by + 1));
    assert_true(neap_ticket_close(ticket));
    assert_true(neap_ticket_forestall(&other, other.by));
}

static void what_the_dead_had_not_received_is_still_known_when_their_words_are_used_again(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(there_board, 0), other = seen_there(ticket);
    assert_true(neap_ticket_claim(&other, other.by));
    uint64_t place = ticket->place;
    neap_board_free(there_board); /* gives its page up, as the death of its process does */
    assert_int_equal(neap_board_join(neap_segment_ref(neap_board_segment(here_board)), &there_board), 0);
    for (int i = 0; i < 512; i++) assert_int_not_equal(neap_ticket_open(there_board, 0)->place, place);
    assert_true(neap_ticket_revoke(&other, other.by));
}

/* --- the dead --- */

static void reap_the_dead(void) { assert_true(wait(NULL) > 0); }

/* What a process has opened that has ended, or if `ours` is not NULL has held; as it knew it. Nobody has reaped it. */
static struct neap_ticket left_by_the_dead(const struct neap_ticket *ours) {
    struct neap_ticket told;
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct neap_board *board;
        if (neap_board_join(neap_board_segment(here_board), &board) != 0) _exit(1);
        const struct neap_ticket *ticket = ours != NULL ? ours : neap_ticket_open(board, 0);
        bool done = ticket != NULL && neap_ticket_find(board, ticket->place, ticket->round, 1, &told) &&
                    (ours == NULL || neap_ticket_hold(&told));
        _exit(done && write(pipe_ends[1], &told, sizeof told) > 0 ? 0 : 1);
    }
    siginfo_t end;
    assert_int_equal(waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT), 0);
    assert_int_equal(end.si_status, 0);
    assert_int_equal(read(pipe_ends[0], &told, sizeof told), sizeof told);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return told;
}

static void what_the_living_hold_among_the_dead_is_not_used_again(void **state) {
    (void)state;
    struct neap_ticket told = left_by_the_dead(NULL), other = seen_there(&told);
    assert_true(neap_ticket_hold(&other));
    reap_the_dead();
    for (int i = 0; i < 1000; i++) assert_int_not_equal(neap_ticket_open(here_board, 0)->place, told.place);
    neap_ticket_take(&other, other.by);
    assert_true(neap_ticket_is_unread(&other, other.by));
    assert_true(neap_ticket_revoke(&other, other.by));
}

static struct neap_ticket *held_by_the_dead(void) {
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0);
    left_by_the_dead(ticket);
    return ticket;
}

static void what_the_dead_hold_is_claimed_by_who_comes_next(void **state) {
    (void)state;
    struct neap_ticket *ticket = held_by_the_dead(), other = seen_there(ticket);
    assert_true(neap_ticket_claim(&other, other.by));
    assert_true(neap_ticket_settle(ticket, ticket->by, false));
    neap_ticket_close(ticket);
    reap_the_dead();
}

static void a_deadline_claims_what_the_dead_hold(void **state) {
    (void)state;
    struct neap_ticket *ticket = held_by_the_dead();
    reap_the_dead();
    assert_true(neap_ticket_claim(ticket, NEAP_TICKET_SELF));
    neap_ticket_close(ticket);
}

static void what_the_dead_hold_is_forestalled(void **state) {
    (void)state;
    struct neap_ticket *ticket = held_by_the_dead(), other = seen_there(ticket);
    assert_true(neap_ticket_forestall(&other, other.by));
    assert_true(neap_ticket_settle(ticket, other.by, true));
    neap_ticket_close(ticket);
    reap_the_dead();
}

static void who_asked_the_dead_that_hold_is_broken(void **state) {
    (void)state;
    struct neap_ticket *ticket = held_by_the_dead(), other = seen_there(ticket);
    assert_true(neap_ticket_settle(ticket, ticket->by + 1, true));
    assert_false(neap_ticket_claim(&other, other.by));
    neap_ticket_close(ticket);
    reap_the_dead();
}

/* Else it would seem to be held by who lives. */
static void who_takes_the_place_of_the_dead_does_not_hold_what_they_held(void **state) {
    (void)state;
    struct neap_ticket *ticket = held_by_the_dead();
    struct neap_board *next;
    reap_the_dead();
    assert_int_equal(neap_board_join(neap_segment_ref(neap_board_segment(here_board)), &next), 0);
    assert_true(neap_ticket_claim(ticket, NEAP_TICKET_SELF));
    neap_ticket_close(ticket);
    neap_board_free(next);
}

static void two_boards_never_give_out_the_same_word(void **state) {
    (void)state;
    enum { MANY = 1500 };
    static struct neap_ticket *tickets[2][MANY];
    for (int i = 0; i < MANY; i++) {
        tickets[0][i] = neap_ticket_open(here_board, 0);
        tickets[1][i] = neap_ticket_open(there_board, 0);
    }
    for (int i = 0; i < MANY; i++) {
        assert_true(neap_ticket_claim(tickets[0][i], NEAP_TICKET_SELF));
        assert_true(neap_ticket_claim(tickets[1][i], NEAP_TICKET_SELF));
        neap_ticket_close(tickets[0][i]);
        neap_ticket_close(tickets[1][i]);
    }
}

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_ticket_open(here_board, 0));
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0);
    assert_non_null(ticket);
    neap_ticket_close(ticket);
}

/* --- serving --- */

/* A wait here on behalf of one over there. */
struct stand_in {
    struct neap_wait wait;
    struct neap_link link;
    struct neap_ticket ticket;
    struct neap_owner owner;
    _Atomic uint32_t served; /* a futex: run() was called */
};

static void stand_in_run(struct neap_runnable *runnable) {
    struct neap_wait *wait = NEAP_CONTAINER_OF(runnable, struct neap_wait, runnable);
    struct stand_in *stand_in = NEAP_CONTAINER_OF(wait, struct stand_in, wait);
    neap_wait_end(wait);
    atomic_store_explicit(&stand_in->served, 1, memory_order_release);
    neap_futex_wake(&stand_in->served);
}

static int serve(struct stand_in *stand_in, struct neap_board *board, const struct neap_ticket *ticket, uint32_t by,
                 void *object, int op, struct neap_message message, bool once) {
    neap_owner_init(&stand_in->owner);
    neap_wait_init(&stand_in->wait, NULL, &stand_in->owner, stand_in_run);
    CHECK(neap_ticket_find(board, ticket->place, ticket->round, by, &stand_in->ticket));
    stand_in->wait.ticket = &stand_in->ticket;
    atomic_init(&stand_in->served, 0);
    stand_in->link.object = object;
    stand_in->link.op = (uint8_t)op;
    stand_in->link.message = message;
    return neap_wait_serve(&stand_in->wait, &stand_in->link, once);
}

/* Not any more: whether it had been served. */
static bool take_back(struct stand_in *stand_in) {
    if (neap_wait_withdraw(&stand_in->wait)) return false;
    while (atomic_load_explicit(&stand_in->served, memory_order_acquire) == 0)
        neap_futex_wait(&stand_in->served, 0, NEAP_FOREVER);
    return true;
}

static const struct neap_message none = {.kind = NEAP_MESSAGE_EMPTY};

static void what_is_served_at_once_has_been_claimed(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0);
    struct neap_event *event = made(neap_event_new());
    struct stand_in stand_in;
    assert_int_equal(serve(&stand_in, there_board, ticket, 1, event, NEAP_EVENT_WAIT, none, true), NEAP_TIMEOUT);
    assert_true(neap_ticket_is_open(ticket));
    neap_event_set(event);
    assert_int_equal(serve(&stand_in, there_board, ticket, 1, event, NEAP_EVENT_WAIT, none, false), 0);
    assert_true(neap_ticket_settle(ticket, 1, false));
    assert_int_equal(serve(&stand_in, there_board, ticket, 2, event, NEAP_EVENT_WAIT, none, false), NEAP_GONE);
    neap_ticket_close(ticket);
    neap_object_unref(&event->object);
}

static void what_is_gone_takes_no_value(void **state) {
    (void)state;
    struct neap_ticket *ticket = neap_ticket_open(here_board, 0);
    struct neap_channel *channel = made(neap_channel_new(1));
    struct actor sender;
    struct stand_in stand_in;
    actor_init(&sender, &here);
    add_link(&sender, 0, channel, NEAP_CHANNEL_SEND)->message = parcel(1);
    assert_int_equal(start_links(&sender, 1, 0), 0);
    assert_true(neap_ticket_claim(ticket, NEAP_TICKET_SELF));
    int code = serve(&stand_in, there_board, ticket, 1, channel, NEAP_CHANNEL_RECV, none, false);
    assert_int_equal(code, NEAP_GONE);
    assert_int_equal(neap_channel_length(channel), 1);
    neap_ticket_close(ticket);
    neap_object_unref(&channel->object);
}

/* --- a select of another process on both sides of several channels, as often as not given up meanwhile --- */

enum { TRADERS = 4, CHANNELS = 3, ROUNDS = 3000 };

static struct neap_channel *market[CHANNELS];
static atomic_long sent, bought, trades;

/* One that receives from one channel or sends to another, whichever comes first. */
static void trade(struct neap_board *own, struct neap_board *other) {
    struct neap_ticket *ticket = neap_ticket_open(own, 0);
    struct stand_in sides[2];
    int codes[2];
    long value = 1 + (long)chance(1000);
    CHECK(ticket != NULL);
    codes[0] = serve(&sides[0], other, ticket, 1, market[chance(CHANNELS)], NEAP_CHANNEL_RECV, none, false);
    codes[1] = serve(&sides[1], other, ticket, 2, market[chance(CHANNELS)], NEAP_CHANNEL_SEND, parcel(value), false);
    for (uint32_t looks = chance(20000); looks > 0 && neap_ticket_is_open(ticket); looks--) neap_relax();
    bool given_up = neap_ticket_claim(ticket, NEAP_TICKET_SELF);
    bool served[2];
    for (int i = 0; i < 2; i++) served[i] = codes[i] == 0 || (codes[i] == NEAP_PARKED && take_back(&sides[i]));
    CHECK(given_up + served[0] + served[1] == 1);
    if (served[0]) atomic_fetch_add(&bought, (long)value_of(&sides[0].link.message));
    if (served[1]) atomic_fetch_add(&sent, value);
    if (served[0]) atomic_fetch_add(&trades, 1);
    for (int i = 0; i < 2; i++) neap_message_fini(&sides[i].link.message);
    neap_ticket_close(ticket);
}

static void trade_often(void *argument) {
    bool swapped = argument != NULL;
    for (int i = 0; i < repeated(ROUNDS); i++)
        trade(swapped ? there_board : here_board, swapped ? here_board : there_board);
}

static void a_rendezvous_claims_both_or_neither(void **state) {
    (void)state;
    struct helper helpers[TRADERS];
    atomic_store(&sent, 0);
    atomic_store(&bought, 0);
    atomic_store(&trades, 0);
    for (int i = 0; i < CHANNELS; i++) market[i] = made(neap_channel_new(0));
    for (int i = 0; i < TRADERS; i++) helper_start(&helpers[i], trade_often, i % 2 == 0 ? NULL : &helpers[i]);
    for (int i = 0; i < TRADERS; i++) helper_join(&helpers[i]);
    assert_int_equal(atomic_load(&sent), atomic_load(&bought));
    print_message("# %ld trades\n", atomic_load(&trades));
    for (int i = 0; i < CHANNELS; i++) neap_object_unref(&market[i]->object);
}

int main(void) {
    const struct CMUnitTest tickets[] = {
        RUN(closing_is_the_receipt),
        RUN(what_is_taken_back_is_not_received),
        RUN(who_will_not_be_told_says_so),
        RUN(what_is_forestalled_is_claimed_by_nobody),
        RUN(what_has_been_claimed_is_forestalled_for_others_only),
        RUN(what_the_dead_had_not_received_is_still_known_when_their_words_are_used_again),
        RUN(what_the_living_hold_among_the_dead_is_not_used_again),
        RUN(what_the_dead_hold_is_claimed_by_who_comes_next),
        RUN(a_deadline_claims_what_the_dead_hold),
        RUN(what_the_dead_hold_is_forestalled),
        RUN(who_asked_the_dead_that_hold_is_broken),
        RUN(who_takes_the_place_of_the_dead_does_not_hold_what_they_held),
        RUN(a_ticket_is_claimed_once),
        RUN(a_round_that_is_over_cannot_be_claimed),
        RUN(who_holds_a_ticket_takes_it_or_lets_it_go),
        RUN(only_its_own_process_counts_the_tries_of_a_ticket),
        RUN(a_ticket_that_was_let_go_is_open_again),
        RUN(what_is_no_word_is_refused),
        RUN(two_boards_never_give_out_the_same_word),
        RUN(out_of_memory_is_an_answer),
    };
    const struct CMUnitTest serving[] = {
        RUN(what_is_served_at_once_has_been_claimed),
        RUN(what_is_gone_takes_no_value),
        RUN(a_rendezvous_claims_both_or_neither),
    };
    return run_once(tickets) + run_once(serving);
}
