/* channel_loan: what a channel lends to a process that receives from it. The essay is in channel_loan.c; the word that
 * both processes see is loan.h's. */
#ifndef NEAP_SYNC_CHANNEL_LOAN_H
#define NEAP_SYNC_CHANNEL_LOAN_H

#include "sync/channel.h"
#include "sync/loan.h"

/* --- any thread, no guard held --- */

/* Whoever `loan` is for has just received, having asked for it: may have some in advance. Not of a channel that keeps
 * another order than that of arrival, nor of a rendezvous. The loan stays where it is until neap_channel_end_loan. */
void neap_channel_lend(struct neap_channel *channel, struct neap_loan *loan);
/* It tells that it has taken some. */
void neap_channel_repaid(struct neap_channel *channel, struct neap_loan *loan);
/* It gets no more, and what it has not taken is ours. */
void neap_channel_end_loan(struct neap_channel *channel, struct neap_loan *loan);

/* --- guard held --- */

/* What has been taken of what is lent leaves the buffer. */
void neap_channel_settle(struct neap_channel *channel, struct neap_batch *batch);

/* --- guard held, something is lent, for the channel itself --- */

/* Everything is ours again. */
void neap_channel_recall_loan(struct neap_channel *channel, struct neap_batch *batch);
/* The same, for `link` wants to receive: that ends the loan, unless it is the borrower's. */
void neap_channel_recall_loan_for(struct neap_channel *channel, const struct neap_link *link, struct neap_batch *batch);
/* Lends as much as may be. If there is more to do once some have been taken (a sender waits, or more is to be lent) the
 * borrower is to tell. */
void neap_channel_lend_more(struct neap_channel *channel, struct neap_batch *batch);

#endif
