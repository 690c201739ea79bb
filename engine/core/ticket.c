/* ticket: one compare-and-swap decides, whichever process makes it.
 *
 * PURPOSE     A wait that has a link on an object of another process can be claimed there (a value has come), here (its
 *             deadline, a cancellation, a local object of the same select) and in a third process. None of them asks
 *             the others: who changes the word has the wait.
 * BOARD       The words of a family of processes lie in one segment, which the first one makes and every child
 *             is given. So a word has the same place in all of them, and telling it to somebody costs no
 *             descriptor. A process takes a page of words at a time, by writing its number into the page's
 *             entry; pages of the dead are taken over.
 * WORD        round, by, state. FREE: nobody waits. OPEN: to be claimed. HELD: somebody is about to take it, or to let
 *             it go. TAKEN: claimed. `by` says for which link: so the waiting process, when it learns that the one it
 *             had asked has died, can tell whether that one had claimed it and will never say so. Of a word that is
 *             HELD it says instead by whom: a process goes by the number of its first page.
 * ROUNDS      Each wait opens a new round of its word. A request that has been overtaken by a timeout still names the
 *             old one, and so fails, however late it comes.
 * PAIRS       A rendezvous claims two waits at once. It holds the one with the lower place, claims the other, and then
 *             takes the first or lets it go. Nobody waits for a lower place while holding a higher one, so no ring of
 *             holders can be; and between holding and taking lie a few instructions, and no waiting. So who meets
 *             a held word spins: longer than that it cannot be held, unless its holder has died there. Who spins may be
 *             the hub that would have to hear of that, so he looks for himself: if the holder does not live any more,
 *             he lets the word go for it. And who takes over the page that somebody dead went by lets go all that was
 *             held under its number, which is that of the living from then on. (He cannot hold any of those words
 *             himself: a round that was open before he came has asked others.)
 *             So nothing may be given before the word is taken: of who dies between the two it must be true that he has
 *             given nothing, as the wait may well time out.
 * RECEIPT     Who has claimed a word keeps what he gave until the wait has ended: closing it is the receipt, without a
 *             message. A process that was killed before it came to that has left its word TAKEN, and whoever gave it
 *             something takes it back: one compare-and-swap again, between that and the closing. A waiting process that
 *             learns that it will not be told what it was given (the one in between has died, there was no memory) says
 *             so in the word: FREE, but with a `by`. It does not use that word again, so that the giver finds it
 *             whenever he looks. Nor does who takes over a page of the dead use what was claimed, or is held, there.
 * ORDER       A claim acquires what the opening released, and releases what the claimer has read.
 *
 * REJECTED    Asking the waiting process for leave before a value is handed over (a round trip more for
 *             each value); a segment of words for each process (a descriptor for each pair of processes
 *             that ever meet, also through others). */
#include "core/ticket.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/child.h"
#include "core/error.h"
#include "core/guard.h"
#include "core/memory.h"

enum { FREE, OPEN, HELD, TAKEN, STATES = 3 };
enum { BY_SHIFT = 2, BY_BITS = 16, ROUND_SHIFT = BY_SHIFT + BY_BITS };

enum {
    PAGE_SIZE = 4096,
    WORDS_PER_PAGE = PAGE_SIZE / sizeof(uint64_t),
    PAGES = 8192,
    HEAD_PAGES = PAGES * (int)sizeof(uint32_t) / PAGE_SIZE, /* the first pages hold the entries of all */
    LOOKS = 256,                                            /* at a held word, before its holder is looked at */
    NAP_NS = 20000 /* and then at most a moment: the holder may wait for our processor */
};

struct page {
    struct page *next; /* of this process's */
    uint32_t number;   /* constant */
    struct neap_ticket tickets[WORDS_PER_PAGE];
};

struct neap_board {
    struct neap_segment *segment; /* one reference; constant */
    uint32_t process;             /* this one, as it stands in entries; constant */
    uint32_t number;              /* of its first page, by which it goes in words that it holds; constant */
    struct neap_guard guard;      /* of the rest */
    struct page *pages;           /* of this process; owned */
    struct neap_ticket *spare;    /* of its tickets, those that are not out */
};

/* --- the board --- */

/* Entry of each page: the process that has it, or 0. */
static _Atomic uint32_t *entries(const struct neap_board *board) {
    return (_Atomic uint32_t *)(void *)board->segment->base;
}

struct neap_segment *neap_board_segment(struct neap_board *board) {
    return board->segment;
}

static uint64_t round_of(uint64_t word) { return word >> ROUND_SHIFT << ROUND_SHIFT; }

static _Atomic uint64_t *word_at(const struct neap_board *board, uint64_t place) {
    return (_Atomic uint64_t *)(void *)(board->segment->base + place);
}

/* --- the dead --- */

static bool is_reaped(uint32_t process) { return kill((pid_t)process, 0) < 0 && errno == ESRCH; }

/* Has it ended, though nobody may have reaped it yet? That may be for who asks to do. */
static bool has_ended(uint32_t process) {
    struct pollfd end = {.fd = neap_child_open((pid_t)process), .events = POLLIN};
    siginfo_t child = {.si_pid = 0};
    if (end.fd < 0) /* no such thing as a pidfd, or no room for one: of our own children we are told all the same */
        return is_reaped(process) ||
               (waitid(P_PID, process, &child, WEXITED | WNOHANG | WNOWAIT) == 0 && child.si_pid != 0);
    bool ended = poll(&end, 1, 0) > 0;
    close(end.fd);
    return ended;
}

/* The word, if it is still held as `held` says, is open again. */
static void let_go_for_the_dead(_Atomic uint64_t *word, uint64_t held) {
    uint64_t opened = round_of(held) | OPEN;
    atomic_compare_exchange_strong_explicit(word, &held, opened, memory_order_acq_rel, memory_order_relaxed);
}

static uint32_t holder_in(uint64_t word) { return (uint32_t)(word - round_of(word)) >> BY_SHIFT; }

/* What the process held whose page `number` was until now. See PAIRS. */
static void let_all_go(const struct neap_board *board, uint32_t number) {
    for (uint32_t i = HEAD_PAGES; i < PAGES; i++) {
        if (atomic_load_explicit(&entries(board)[i], memory_order_relaxed) == 0) continue;
        for (uint64_t at = 0; at < PAGE_SIZE; at += sizeof(uint64_t)) {
            _Atomic uint64_t *word = word_at(board, (uint64_t)i * PAGE_SIZE + at);
            uint64_t last = atomic_load_explicit(word, memory_order_acquire);
            if ((last & STATES) == HELD && holder_in(last) == number) let_go_for_the_dead(word, last);
        }
    }
}

/* --- pages --- */

/* The number of a page that is ours from now on; 0: there is none. */
static uint32_t take_page(struct neap_board *board) {
    for (uint32_t i = HEAD_PAGES; i < PAGES; i++) {
        uint32_t owner = atomic_load_explicit(&entries(board)[i], memory_order_relaxed);
        if (owner != 0 && (owner == board->process || !is_reaped(owner))) continue;
        if (!atomic_compare_exchange_strong_explicit(&entries(board)[i], &owner, board->process, memory_order_acq_rel,
                                                     memory_order_relaxed))
            continue;
        if (owner != 0) let_all_go(board, i);
        return i;
    }
    return 0;
}

int neap_board_join(struct neap_segment *segment, struct neap_board **board) {
    if (segment->size != (size_t)PAGES * PAGE_SIZE) return NEAP_RANGE;
    struct neap_board *made = neap_alloc(sizeof *made);
    if (made == NULL) return NEAP_NOMEM;
    made->segment = segment;
    made->process = (uint32_t)getpid();
    neap_guard_init(&made->guard);
    made->pages = NULL;
    made->spare = NULL;
    made->number = take_page(made);
    if (made->number == 0) {
        neap_free(made);
        return NEAP_NOMEM;
    }
    *board = made;
    return 0;
}

int neap_board_new(struct neap_board **board) {
    struct neap_segment *segment;
    int code = neap_segment_new((size_t)PAGES * PAGE_SIZE, &segment);
    if (code < 0) return code;
    code = neap_board_join(segment, board);
    if (code < 0) neap_segment_unref(segment);
    return code;
}

static void give_page_up(struct neap_board *board, uint32_t number) {
    atomic_store_explicit(&entries(board)[number], 0, memory_order_release);
}

void neap_board_free(struct neap_board *board) {
    struct page *page = board->pages;
    while (page != NULL) {
        struct page *next = page->next;
        if (page->number != board->number) give_page_up(board, page->number);
        neap_free(page);
        page = next;
    }
    give_page_up(board, board->number);
    neap_segment_unref(board->segment);
    neap_free(board);
}

/* Of a page that nobody had, or whose owner is dead: is the word free, or can be? See RECEIPT. */
static bool can_be_used(_Atomic uint64_t *word) {
    uint64_t last = atomic_load_explicit(word, memory_order_acquire);
    if ((last & STATES) == OPEN)
        return atomic_compare_exchange_strong_explicit(word, &last, round_of(last) | FREE, memory_order_acq_rel,
                                                       memory_order_relaxed);
    uint64_t by_and_state = last - round_of(last);
    return by_and_state == FREE || by_and_state == ((uint64_t)NEAP_TICKET_SELF << BY_SHIFT | TAKEN);
}

/* Guard held. */
static bool add_page(struct neap_board *board) {
    struct page *page = neap_alloc(sizeof *page);
    if (page == NULL) return false;
    page->number = board->pages == NULL ? board->number : take_page(board);
    if (page->number == 0) {
        neap_free(page);
        return false;
    }
    page->next = board->pages;
    board->pages = page;
    for (uint32_t i = WORDS_PER_PAGE; i-- > 0;) {
        struct neap_ticket *ticket = &page->tickets[i];
        ticket->spent = false;
        ticket->place = (uint64_t)page->number * PAGE_SIZE + i * sizeof(uint64_t);
        ticket->word = word_at(board, ticket->place);
        ticket->by = NEAP_TICKET_SELF + 1;
        ticket->holder = board->number;
        ticket->board = board;
        if (!can_be_used(ticket->word)) continue;
        ticket->next = board->spare;
        board->spare = ticket;
    }
    return true;
}

/* --- words --- */

static uint64_t word_of(const struct neap_ticket *ticket, uint32_t by, uint32_t state) {
    return ticket->round | (uint64_t)by << BY_SHIFT | state;
}

static uint64_t look(const struct neap_ticket *ticket) {
    return atomic_load_explicit(ticket->word, memory_order_acquire);
}

static bool change(const struct neap_ticket *ticket, uint64_t from, uint64_t to) {
    return atomic_compare_exchange_strong_explicit(ticket->word, &from, to, memory_order_acq_rel, memory_order_relaxed);
}

static bool is_held_by_the_dead(const struct neap_ticket *ticket, uint64_t word) {
    _Atomic uint32_t *owners = (_Atomic uint32_t *)(void *)(ticket->word - ticket->place / sizeof *ticket->word);
    uint32_t number = holder_in(word), owner = 0;
    if (number < PAGES) owner = atomic_load_explicit(&owners[number], memory_order_relaxed);
    return owner == 0 || has_ended(owner);
}

/* Looked at for the `looks`-th time, and held: waits a moment. See PAIRS. */
static void pause_at(const struct neap_ticket *ticket, uint64_t word, uint32_t looks) {
    const struct timespec nap = {.tv_nsec = NAP_NS};
    if (looks % LOOKS != LOOKS - 1)
        neap_relax();
    else if (is_held_by_the_dead(ticket, word))
        let_go_for_the_dead(ticket->word, word);
    else
        nanosleep(&nap, NULL);
}

/* From open to `to`. */
static bool claim_as(const struct neap_ticket *ticket, uint64_t to) {
    for (uint32_t looks = 0;; looks++) {
        if (change(ticket, word_of(ticket, 0, OPEN), to)) return true;
        uint64_t word = look(ticket);
        if (round_of(word) != ticket->round || (word & STATES) == TAKEN || (word & STATES) == FREE) return false;
        pause_at(ticket, word, looks);
    }
}

bool neap_ticket_claim(const struct neap_ticket *ticket, uint32_t by) {
    return claim_as(ticket, word_of(ticket, by, TAKEN));
}

static uint64_t held_word(const struct neap_ticket *ticket) { return word_of(ticket, ticket->holder, HELD); }

bool neap_ticket_hold(const struct neap_ticket *ticket) { return claim_as(ticket, held_word(ticket)); }

void neap_ticket_take(const struct neap_ticket *ticket, uint32_t by) {
    change(ticket, held_word(ticket), word_of(ticket, by, TAKEN));
}

void neap_ticket_let_go(const struct neap_ticket *ticket) {
    change(ticket, held_word(ticket), word_of(ticket, 0, OPEN));
}

bool neap_ticket_forestall(const struct neap_ticket *ticket, uint32_t by) {
    return claim_as(ticket, word_of(ticket, 0, FREE)) || !neap_ticket_is_unread(ticket, by);
}

/* Ours; claimed by somebody who may be alive and keeps what he gave: he is to find out. */
static bool give_up(struct neap_ticket *ticket, uint32_t by) {
    if (ticket->board == NULL) return false;
    ticket->spent = change(ticket, word_of(ticket, by, TAKEN), word_of(ticket, by, FREE));
    return ticket->spent;
}

/* The wait has not ended: if its word is free, what was given has been taken back already, or is about to be. */
bool neap_ticket_settle(struct neap_ticket *ticket, uint32_t by, bool unread) {
    uint64_t taken = word_of(ticket, by, TAKEN);
    if (!unread && look(ticket) == taken) return true;
    if (claim_as(ticket, taken) || (unread && give_up(ticket, by))) return true;
    return look(ticket) == word_of(ticket, 0, FREE) || neap_ticket_is_unread(ticket, by);
}

bool neap_ticket_is_unread(const struct neap_ticket *ticket, uint32_t by) {
    uint64_t word = look(ticket);
    return word == word_of(ticket, by, TAKEN) || word == word_of(ticket, by, FREE);
}

bool neap_ticket_revoke(const struct neap_ticket *ticket, uint32_t by) {
    uint64_t closed = word_of(ticket, 0, FREE);
    return change(ticket, word_of(ticket, by, TAKEN), closed) || change(ticket, word_of(ticket, by, FREE), closed);
}

bool neap_ticket_is_open(const struct neap_ticket *ticket) {
    uint64_t word = look(ticket);
    return round_of(word) == ticket->round && ((word & STATES) == OPEN || (word & STATES) == HELD);
}

/* --- rounds --- */

struct neap_ticket *neap_ticket_open(struct neap_board *board, uint32_t tries) {
    neap_guard_lock(&board->guard);
    while (board->spare == NULL && add_page(board)) {}
    struct neap_ticket *ticket = board->spare;
    if (ticket != NULL) board->spare = ticket->next;
    neap_guard_unlock(&board->guard);
    if (ticket == NULL) return NULL;
    uint64_t last = atomic_load_explicit(ticket->word, memory_order_relaxed);
    ticket->round = round_of(last) + ((uint64_t)1 << ROUND_SHIFT);
    atomic_store_explicit(&ticket->tries, tries, memory_order_relaxed);
    atomic_store_explicit(ticket->word, word_of(ticket, 0, OPEN), memory_order_release);
    return ticket;
}

/* A ticket that was never claimed is over too. A page that was taken over from the dead may still be written to by who
 * served them: such a claim fails, or comes before a round begins. */
bool neap_ticket_close(struct neap_ticket *ticket) {
    struct neap_board *board = ticket->board;
    if (board == NULL || ticket->spent) return true;
    uint64_t last = atomic_exchange_explicit(ticket->word, word_of(ticket, 0, FREE), memory_order_acq_rel);
    neap_guard_lock(&board->guard);
    ticket->next = board->spare;
    board->spare = ticket;
    neap_guard_unlock(&board->guard);
    return (last & STATES) != FREE;
}

bool neap_ticket_find(struct neap_board *board, uint64_t place, uint64_t round, uint32_t by,
                      struct neap_ticket *ticket) {
    if (place < (uint64_t)HEAD_PAGES * PAGE_SIZE || place % sizeof(uint64_t) != 0 ||
        place > board->segment->size - sizeof(uint64_t) || round_of(round) != round || by == NEAP_TICKET_SELF ||
        by > NEAP_TICKET_LINKS)
        return false;
    ticket->word = word_at(board, place);
    ticket->place = place;
    ticket->round = round;
    ticket->by = by;
    ticket->holder = board->number;
    atomic_init(&ticket->tries, 0);
    ticket->board = NULL;
    ticket->next = NULL;
    ticket->spent = false;
    return true;
}
