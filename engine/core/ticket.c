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
 *             had asked has died, can tell whether that one had claimed it and will never say so.
 * ROUNDS      Each wait opens a new round of its word. A request that has been overtaken by a timeout still names the
 *             old one, and so fails, however late it comes.
 * PAIRS       A rendezvous claims two waits at once. It holds the one with the lower place, claims the other, and then
 *             takes the first or lets it go. Nobody waits for a lower place while holding a higher one, so no ring of
 *             holders can be; and between holding and taking lie a few instructions, no lock and no call. A process
 *             that dies there leaves a word held; the process whose wait it is takes it back when it learns of the
 *             death (neap_ticket_settle). Who meets a held word spins: longer than that it cannot be held, unless
 *             both have died, who held it and whose wait it is. So who spins looks whether that one lives, and if
 *             not closes the word for it, as unread: should the holder live after all, he finds it so.
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
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/check.h"
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
    LOOKS = 256 /* at a held word, before the processor is given away, and its process looked at */
};

struct page {
    struct page *next; /* of this process's */
    uint32_t number;   /* constant */
    struct neap_ticket tickets[WORDS_PER_PAGE];
};

struct neap_board {
    struct neap_segment *segment; /* one reference; constant */
    uint32_t process;             /* this one, as it stands in entries; constant */
    struct neap_guard guard;      /* of the rest */
    struct page *pages;           /* of this process; owned */
    struct neap_ticket *spare;    /* of its tickets, those that are not out */
};

/* --- the board --- */

/* Entry of each page: the process that has it, or 0. */
static _Atomic uint32_t *entries(const struct neap_board *board) {
    return (_Atomic uint32_t *)(void *)board->segment->base;
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

void neap_board_free(struct neap_board *board) {
    struct page *page = board->pages;
    while (page != NULL) {
        struct page *next = page->next;
        atomic_store_explicit(&entries(board)[page->number], 0, memory_order_release);
        neap_free(page);
        page = next;
    }
    neap_segment_unref(board->segment);
    neap_free(board);
}

struct neap_segment *neap_board_segment(struct neap_board *board) {
    return board->segment;
}

static _Atomic uint64_t *word_at(const struct neap_board *board, uint64_t place) {
    return (_Atomic uint64_t *)(void *)(board->segment->base + place);
}

static bool is_dead(uint32_t process) { return kill((pid_t)process, 0) < 0 && errno == ESRCH; }

/* The number of a page that is ours from now on; 0: there is none. */
static uint32_t take_page(struct neap_board *board) {
    for (uint32_t i = HEAD_PAGES; i < PAGES; i++) {
        uint32_t owner = atomic_load_explicit(&entries(board)[i], memory_order_relaxed);
        if (owner != 0 && (owner == board->process || !is_dead(owner))) continue;
        if (atomic_compare_exchange_strong_explicit(&entries(board)[i], &owner, board->process, memory_order_acq_rel,
                                                    memory_order_relaxed))
            return i;
    }
    return 0;
}

/* The word of the dead, which is open, or held and so unread from now on, unless it is `last` no more. */
static bool close_for_the_dead(_Atomic uint64_t *word, uint64_t last) {
    uint64_t closed = last & ~(uint64_t)STATES;
    return atomic_compare_exchange_strong_explicit(word, &last, closed, memory_order_acq_rel, memory_order_relaxed);
}

/* Of a page that nobody had, or whose owner is dead: is the word free, or can be? See RECEIPT. */
static bool can_be_used(_Atomic uint64_t *word) {
    uint64_t last = atomic_load_explicit(word, memory_order_acquire);
    if ((last & STATES) == OPEN) return close_for_the_dead(word, last);
    if ((last & STATES) == HELD) close_for_the_dead(word, last);
    uint64_t by_and_state = last & (((uint64_t)1 << ROUND_SHIFT) - 1);
    return by_and_state == FREE || by_and_state == ((uint64_t)NEAP_TICKET_SELF << BY_SHIFT | TAKEN);
}

/* Guard held. */
static bool add_page(struct neap_board *board) {
    struct page *page = neap_alloc(sizeof *page);
    if (page == NULL) return false;
    page->number = take_page(board);
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

static uint64_t round_of(uint64_t word) { return word >> ROUND_SHIFT << ROUND_SHIFT; }

/* Has the process ended whose wait it is? Also if nobody has reaped it yet: that may be for who asks to do. */
static bool is_of_the_dead(const struct neap_ticket *ticket) {
    _Atomic uint32_t *owners = (_Atomic uint32_t *)(void *)(ticket->word - ticket->place / sizeof *ticket->word);
    uint32_t owner = atomic_load_explicit(&owners[ticket->place / PAGE_SIZE], memory_order_relaxed);
    if (owner == 0) return true;
#ifdef SYS_pidfd_open
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, (pid_t)owner, 0), .events = POLLIN};
    if (end.fd >= 0) {
        bool ended = poll(&end, 1, 0) > 0;
        close(end.fd);
        return ended;
    }
#endif
    return is_dead(owner);
}

/* Looked at for the `looks`-th time, and held: waits a moment. See PAIRS. */
static void pause_at(const struct neap_ticket *ticket, uint64_t word, uint32_t looks) {
    if (looks % LOOKS != LOOKS - 1)
        neap_relax();
    else if (is_of_the_dead(ticket))
        close_for_the_dead(ticket->word, word);
    else
        sched_yield();
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

bool neap_ticket_hold(const struct neap_ticket *ticket, uint32_t by) {
    return claim_as(ticket, word_of(ticket, by, HELD));
}

/* Both fail only when the waiting process has taken us for dead: then it is broken, whatever we would have done. */
void neap_ticket_take(const struct neap_ticket *ticket, uint32_t by) {
    change(ticket, word_of(ticket, by, HELD), word_of(ticket, by, TAKEN));
}

void neap_ticket_let_go(const struct neap_ticket *ticket, uint32_t by) {
    change(ticket, word_of(ticket, by, HELD), word_of(ticket, 0, OPEN));
}

bool neap_ticket_forestall(const struct neap_ticket *ticket, uint32_t by) {
    return claim_as(ticket, word_of(ticket, 0, FREE)) || !neap_ticket_is_unread(ticket, by);
}

/* Ours; claimed, or about to be, by somebody who may be alive and keeps what he gave: he is to find out. */
static bool give_up(struct neap_ticket *ticket, uint32_t by) {
    uint64_t unread = word_of(ticket, by, FREE);
    if (ticket->board == NULL) return false;
    ticket->spent =
        change(ticket, word_of(ticket, by, TAKEN), unread) || change(ticket, word_of(ticket, by, HELD), unread);
    return ticket->spent;
}

/* The wait has not ended: if its word is free, what was given has been taken back already, or is about to be. */
bool neap_ticket_settle(struct neap_ticket *ticket, uint32_t by, bool unread) {
    uint64_t taken = word_of(ticket, by, TAKEN);
    if (unread && give_up(ticket, by)) return true;
    if (look(ticket) == taken) return true;
    if (unread && change(ticket, word_of(ticket, by, HELD), taken)) return true;
    return claim_as(ticket, taken) || look(ticket) == word_of(ticket, 0, FREE) || neap_ticket_is_unread(ticket, by);
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
    atomic_init(&ticket->tries, 0);
    ticket->board = NULL;
    ticket->next = NULL;
    ticket->spent = false;
    return true;
}
