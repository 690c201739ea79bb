/* ticket: how other processes claim a wait: by a word of memory that all of a family
 * share. The essay is in ticket.c. */
#ifndef NEAP_CORE_TICKET_H
#define NEAP_CORE_TICKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/segment.h"

struct neap_board;

enum {
    NEAP_TICKET_LINKS = 65000, /* a wait with a ticket has no more */
    NEAP_TICKET_SELF = 0       /* claimed for no link: a deadline, a cancellation */
};

/* The right to claim one round of a word. */
struct neap_ticket {
    _Atomic uint64_t *word; /* on the board; see WORD in ticket.c. Constant, as is the rest while the round lasts */
    uint64_t place;         /* names the word in every process of the family; pairs are held in this order */
    uint64_t round;         /* the round's number, where it stands in the word */
    uint32_t by;            /* what the wait's first link claims as; the others count on from there */
    /* Of the wait: links with NEAP_OP_TRY that have not been refused yet; 0: of another process. Relaxed */
    atomic_uint tries;
    struct neap_board *board; /* whom it is given back to; NULL: the wait is another process's */
    struct neap_ticket *next; /* while it is spare: the next one. The board's guard */
    uint32_t holder;          /* what this process goes by in a word that it holds; constant */
    bool spent;               /* the word is not used again: see RECEIPT. By who settles it; then the waiting thread */
};

/* The board of a new family, and one that was handed down by the parent process (takes over one reference on
 * success). 0 or what the system said. */
int neap_board_new(struct neap_board **board);
int neap_board_join(struct neap_segment *segment, struct neap_board **board);
/* No ticket is out. */
void neap_board_free(struct neap_board *board);
/* What child processes are to be given. Borrowed. */
struct neap_segment *neap_board_segment(struct neap_board *board);

/* --- the process that waits; any thread --- */

/* A ticket with a new round, which is open; NULL: no memory, or every word of the family is
 * in use. `tries`: for the wait. */
struct neap_ticket *neap_ticket_open(struct neap_board *board, uint32_t tries);
/* The wait is over: who still tries to claim it fails, and who has claimed it learns that what he gave was received.
 * False: he has taken it back (neap_ticket_revoke). A ticket of another process is left alone. */
bool neap_ticket_close(struct neap_ticket *ticket);

/* --- processes that serve it --- */

/* Fills in a ticket for what the waiting process has told. False: there is no such word. */
bool neap_ticket_find(struct neap_board *board, uint64_t place, uint64_t round, uint32_t by,
                      struct neap_ticket *ticket);

/* --- claiming; any thread of any process. `by`: ticket->by + index of the link, or NEAP_TICKET_SELF --- */

/* False: somebody else was faster, or the round is over. */
bool neap_ticket_claim(const struct neap_ticket *ticket, uint32_t by);
/* Has it been claimed as `by`, or is open and now is? `unread`: what it was claimed for will not be received. */
bool neap_ticket_settle(struct neap_ticket *ticket, uint32_t by, bool unread);
bool neap_ticket_is_open(const struct neap_ticket *ticket);

/* Holds an open ticket: it can be claimed by nobody until it is taken, or let go. Never wait for anything meanwhile but
 * a ticket of a higher place. False: gone. */
bool neap_ticket_hold(const struct neap_ticket *ticket);
void neap_ticket_take(const struct neap_ticket *ticket, uint32_t by);
void neap_ticket_let_go(const struct neap_ticket *ticket);

/* By a process in between, whose asker has died: from now on nobody claims it. False: it
 * has been claimed as `by` already. */
bool neap_ticket_forestall(const struct neap_ticket *ticket, uint32_t by);

/* Of who has claimed it as `by`, and has sent what it was claimed for: has the wait not ended yet? */
bool neap_ticket_is_unread(const struct neap_ticket *ticket, uint32_t by);
/* Then it is his again: true, once; and the wait will end without. False: it has been received. */
bool neap_ticket_revoke(const struct neap_ticket *ticket, uint32_t by);

#endif
