/* channel_credit: places of a channel that are reserved for processes which send to it. The essay is in
 * channel_credit.c; the word that both processes see is credit.h's. */
#ifndef NEAP_SYNC_CHANNEL_CREDIT_H
#define NEAP_SYNC_CHANNEL_CREDIT_H

#include "sync/channel.h"
#include "sync/credit.h"

/* --- any thread, no guard held --- */

/* Whoever `credit` is for has just sent, having asked for it: may send some without. Not into a rendezvous. The credit
 * stays where it is until neap_channel_end_credit. */
void neap_channel_credit(struct neap_channel *channel, struct neap_credit *credit);
/* A message has come by it, which is moved. `*due`: there is to be more credit (neap_channel_share), once all that has
 * come is in. 0; NEAP_RANGE: it has no place. */
int neap_channel_accept(struct neap_channel *channel, struct neap_credit *credit, struct neap_message *message,
                        double priority, bool *due);
void neap_channel_share(struct neap_channel *channel, struct neap_credit *credit);
/* Nothing comes by it any more. */
void neap_channel_end_credit(struct neap_channel *channel, struct neap_credit *credit);
/* Takes in what has been sent by credit, so that all is there which was sent before this is called. Not while something
 * is being received from another process (neap_wire_take_in). */
void neap_channel_look(struct neap_channel *channel);
/* Has something been sent by credit that has not come yet? A guess. */
bool neap_channel_is_coming(struct neap_channel *channel);

/* --- guard held --- */

/* Messages that have been sent by credit, and have not come. */
size_t neap_channel_on_its_way(const struct neap_channel *channel);
/* Are there any? Then whoever tries to receive, and is enlisted now, is dismissed when they have come. */
bool neap_channel_await(struct neap_channel *channel);

/* --- guard held, for the channel itself --- */

/* What is not used is not reserved any more. */
void neap_channel_recall_credits(struct neap_channel *channel);
/* Grants what there is room for; but not while the link is being read. */
void neap_channel_share_room(struct neap_channel *channel);

#endif
