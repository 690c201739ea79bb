/* ahead: receiving from and sending to a channel of another process without asking.
 *
 * RECEIVING   What the channel has sent ahead (borrower.c) is received at once. It woke nobody: who looks for it looks
 *             at the wire.
 * SENDING     What the channel has granted to be sent without asking is sent at once (debtor.c).
 * INVARIANT   Nobody who waits here for the same is overtaken.
 * LOCKS       The proxy's guard covers what has come, and the order of what is sent. */
#include "host/ahead.h"

#include <stddef.h>

#include "host/borrower.h"
#include "host/debtor.h"
#include "host/proxy.h"
#include "host/wire.h"
#include "sync/credit.h"

enum { WAITERS_SEEN = 8 }; /* so many are looked at: see is_awaited */

/* --- receiving --- */

static struct neap_borrower *borrower_of(const struct neap_proxy *proxy) {
    return atomic_load_explicit(&proxy->ahead.borrower, memory_order_acquire);
}

static bool is_receiving(const struct neap_link *link) {
    return link->object->class->remote->lending == neap_proxy_op(link) + 1;
}

/* Guard held: does anybody here wait for the same as `link`? Among many it is not looked for. */
static bool is_awaited(const struct neap_proxy *proxy, const struct neap_link *link) {
    unsigned seen = 0;
    for (struct neap_list *node = proxy->waiters.next; node != &proxy->waiters; node = node->next)
        if (neap_proxy_op(NEAP_CONTAINER_OF(node, struct neap_link, node)) == neap_proxy_op(link) ||
            ++seen == WAITERS_SEEN)
            return true;
    return false;
}

/* Guard held. Who waits already comes first: not before them. */
static bool take_ahead(struct neap_proxy *proxy, struct neap_link *link) {
    struct neap_borrower *borrower = borrower_of(proxy);
    bool tell;
    if (is_awaited(proxy, link) || !neap_borrower_take(borrower, &link->message, &tell)) return false;
    if (link->mode == NEAP_LINK_FOREIGN) neap_link_settle(link, true);
    link->priority = 0;
    if (tell) neap_borrower_tell(proxy->import.session, proxy->import.id);
    return true;
}

static bool take_locked(struct neap_proxy *proxy, struct neap_link *link) {
    neap_object_lock(&proxy->object);
    bool taken = take_ahead(proxy, link);
    neap_object_unlock(&proxy->object);
    return taken;
}

/* While messages come ahead, looking for the next one costs less than asking for it. */
static bool is_coming(const struct neap_link *link) {
    const struct neap_borrower *borrower = borrower_of((const struct neap_proxy *)link->object);
    return borrower != NULL && is_receiving(link) && atomic_load_explicit(&borrower->is_busy, memory_order_relaxed);
}

/* --- sending --- */

static struct neap_credit_slot *credit_of(const struct neap_proxy *proxy) {
    return atomic_load_explicit(&proxy->ahead.credit, memory_order_acquire);
}

static bool is_sending(const struct neap_link *link) {
    return link->object->class->remote->sending == neap_proxy_op(link) + 1;
}

static bool has_credit(const struct neap_link *link) {
    return is_sending(link) && credit_of((const struct neap_proxy *)link->object) != NULL &&
           neap_debtor_may_send(&link->message);
}

/* Guard held. Who waits already comes first. */
static bool send_ahead(struct neap_proxy *proxy, struct neap_link *link) {
    if (is_awaited(proxy, link) || !neap_debtor_send(&proxy->import, credit_of(proxy), link)) return false;
    atomic_store_explicit(&proxy->ahead.is_sending, true, memory_order_relaxed);
    return true;
}

/* While more is granted all the time, looking for it costs less than asking. */
static enum neap_quick quick_send(struct neap_proxy *proxy, struct neap_link *link) {
    if (!has_credit(link)) return NEAP_QUICK_ASK;
    neap_object_lock(&proxy->object);
    bool sent = send_ahead(proxy, link);
    neap_object_unlock(&proxy->object);
    if (sent) return NEAP_QUICK_DONE;
    bool waits = !(link->op & NEAP_OP_TRY) && atomic_load_explicit(&proxy->ahead.is_sending, memory_order_relaxed);
    return waits && !neap_credit_is_left(credit_of(proxy)) ? NEAP_QUICK_LATER : NEAP_QUICK_ASK;
}

/* --- both --- */

/* What was sent ahead woke nobody: the wire has to be looked at. */
enum neap_quick neap_ahead_quick(struct neap_proxy *proxy, struct neap_link *link) {
    if (is_sending(link)) return quick_send(proxy, link);
    if (borrower_of(proxy) == NULL || !is_receiving(link)) return NEAP_QUICK_ASK;
    if (take_locked(proxy, link)) return NEAP_QUICK_DONE;
    if (neap_wire_glance(proxy->import.session->wire) && take_locked(proxy, link)) return NEAP_QUICK_DONE;
    return is_coming(link) ? NEAP_QUICK_LATER : NEAP_QUICK_ASK;
}

bool neap_ahead_hint(const struct neap_proxy *proxy, const struct neap_link *link) {
    if (has_credit(link))
        return neap_credit_is_left(credit_of(proxy)) ||
               !atomic_load_explicit(&proxy->ahead.is_sending, memory_order_relaxed);
    return !is_coming(link) || neap_wire_has_frames(proxy->import.session->wire);
}

/* `ahead`: take_ahead or send_ahead. For another process yet its wait is held, and settled by them, so that it is
 * served, or the message stays where it is. */
static bool serve(struct neap_proxy *proxy, struct neap_link *link,
                  bool (*ahead)(struct neap_proxy *proxy, struct neap_link *link)) {
    if (link->mode != NEAP_LINK_FOREIGN) return ahead(proxy, link);
    if (link->wait->ticket == NULL || !neap_link_hold(link)) return false;
    bool served = ahead(proxy, link);
    if (!served) neap_link_settle(link, false);
    return served;
}

bool neap_ahead_attempt(struct neap_proxy *proxy, struct neap_link *link) {
    if (is_receiving(link) && borrower_of(proxy) != NULL) return serve(proxy, link, take_ahead);
    return has_credit(link) && serve(proxy, link, send_ahead);
}

void neap_ahead_asks(struct neap_proxy *proxy, const struct neap_link *link) {
    struct neap_borrower *borrower = borrower_of(proxy);
    if (borrower != NULL && is_receiving(link)) atomic_store_explicit(&borrower->is_busy, false, memory_order_relaxed);
    if (is_sending(link)) atomic_store_explicit(&proxy->ahead.is_sending, false, memory_order_relaxed);
}

/* --- life --- */

void neap_ahead_init(struct neap_ahead *ahead) {
    atomic_init(&ahead->borrower, NULL);
    atomic_init(&ahead->credit, NULL);
    atomic_init(&ahead->is_sending, false);
}

void neap_ahead_fini(struct neap_ahead *ahead) {
    neap_borrower_free(atomic_load_explicit(&ahead->borrower, memory_order_acquire));
}
