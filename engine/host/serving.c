/* serving: waiting for others.
 *
 * MODEL       A serving is a wait of this process that stands for one over there, under the same ticket
 *             (neap_wait_serve). Whoever serves it (the thread that sends to the channel, or releases the lock) finds
 *             that it has no loop and runs it at once: it writes the answer to the wire itself.
 *             When the object is a proxy itself, its process passes the request on, with the same ticket, and its
 *             answer back.
 * TRIES       What is not to wait is refused; but not while something is under way that may serve it
 *             (neap_class.awaits): whoever takes that in serves it or dismisses it, and so runs it in either case. A
 *             refusal claims nothing: only the process that asked knows whether it has tried anything else.
 * GIVEN       An answer that gives something out of the object (neap_remote.taking: a message, a permit) may never be
 *             received: its process may be killed first. So the serving is kept, with what it gave, until the wait over
 *             there has ended, which its ticket says (RECEIPT in core/ticket.c). Nobody tells: each new request has two
 *             of those that are kept looked at; so there are never many more than tasks over there that are just waking
 *             up. Only what is large, or refers to objects, is told (RECEIVED), as it should not stay until something
 *             else happens. What has not been received goes back (neap_remote.restore) at the end of the link; at once,
 *             when the answer could not be sent; and when it is withdrawn: by a process in between whose own asker has
 *             died, or that could not take it in. Such a process keeps the serving too, and withdraws what it had asked
 *             for itself.
 * LIVES       A serving is freed by whoever is last of two: the thread that pumps, when it is done with beginning it
 *             (begun), and the one that answers it, or withdraws it; or, given, by the thread that pumps, later.
 * THE END     What has not been received goes back. What can be withdrawn is; what has been claimed by somebody who has
 *             still to run it ends there, and its delegate with it (THE END in delegate.c). */
#include "host/serving.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/wait.h"
#include "host/calling.h"
#include "host/creditor.h"
#include "host/delegate.h"
#include "host/exports.h"
#include "host/lender.h"
#include "host/reference.h"
#include "host/reply.h"
#include "host/request.h"
#include "host/session.h"
#include "sync/returned.h"

enum { LOOKS = 2 }; /* at what is given, for each request */

struct neap_serving {
    struct neap_wait wait;
    struct neap_link link;
    struct neap_ticket ticket;      /* the wait's */
    struct neap_session *session;   /* one reference */
    struct neap_lender *lender;     /* of what is received from; one reference; NULL: none */
    struct neap_creditor *creditor; /* of what is sent to; one reference; NULL: none */
    struct neap_delegate *delegate; /* NULL: the operation is in nobody's name */
    uint64_t id;                    /* of the request */
    uint64_t hold;                  /* the number of link.hold, if there is one */
    struct neap_list given;         /* in session->given. The session's guard */
    bool begun;                     /* whoever pumps is done with it. The session's guard */
    bool over;                      /* it has been answered or withdrawn. The session's guard */
    bool unwanted;                  /* withdrawn when it had been claimed already. The session's guard */
};

/* --- what is given --- */

static uint8_t op_of(const struct neap_link *link) { return link->op & NEAP_OP_MASK; }

static bool gives(const struct neap_serving *serving) {
    return serving->ticket.word != NULL && serving->link.object->class->remote->taking >> op_of(&serving->link) & 1;
}

/* Does the operation receive from a channel of this process? */
static bool takes_message(const struct neap_link *link) {
    return !neap_object_is_proxy(link->object) && link->object->class->remote->lending == op_of(link) + 1;
}

/* Does it send to one? */
static bool sends_message(const struct neap_link *link) {
    return !neap_object_is_proxy(link->object) && link->object->class->remote->sending == op_of(link) + 1;
}

static void free_serving(struct neap_serving *serving) {
    struct neap_session *session = serving->session;
    if (serving->lender != NULL) neap_lender_unref(serving->lender);
    if (serving->creditor != NULL) neap_creditor_unref(serving->creditor);
    struct neap_object *object = serving->link.object;
    if (object != NULL && takes_message(&serving->link)) neap_free(serving->link.room);
    neap_message_fini(&serving->link.message);
    if (object != NULL) neap_object_unref(object);
    neap_free(serving);
    neap_session_unref(session);
}

/* It has been given, and was received. */
static void settle(struct neap_serving *serving) {
    struct neap_object *object = serving->link.object;
    if (!neap_object_is_proxy(object) && object->class->remote->received != NULL)
        object->class->remote->received(object, &serving->link);
}

/* It has been given, and nobody but us knows it any more: back it goes, unless it was received. */
static void take_back(struct neap_serving *serving) {
    struct neap_link *link = &serving->link;
    struct neap_object *object = link->object;
    struct neap_import *import = neap_object_is_proxy(object) ? object->class->import(object) : NULL;
    if (import != NULL && link->request != 0)
        neap_request_withdraw(import->session, link->request);
    else if (!neap_ticket_revoke(&serving->ticket, serving->ticket.by))
        settle(serving);
    else if (import != NULL)
        neap_request_return(import, &link->message); /* it had been sent ahead */
    else
        object->class->remote->restore(object, link);
}

/* The session's guard is held. */
static void stop_keeping(struct neap_session *session, struct neap_serving *serving) {
    if (session->looked_at == &serving->given) session->looked_at = serving->given.prev;
    neap_list_remove(&serving->given);
    neap_idmap_remove(&session->servings, serving->id);
}

/* The session's guard is held: the next one, in a circle; NULL: there is none. */
static struct neap_serving *look_at_next(struct neap_session *session) {
    struct neap_list *node = session->looked_at->next;
    if (node == &session->given) node = node->next;
    session->looked_at = node;
    return node == &session->given ? NULL : NEAP_CONTAINER_OF(node, struct neap_serving, given);
}

/* Looks at so many of those that are kept. By who pumps: he is done with beginning them. */
static void sweep(struct neap_session *session, size_t looks) {
    struct neap_serving *serving;
    struct neap_list received;
    neap_list_init(&received);
    neap_guard_lock(&session->guard);
    while (looks-- > 0 && (serving = look_at_next(session)) != NULL) {
        if (neap_ticket_is_unread(&serving->ticket, serving->ticket.by)) continue;
        stop_keeping(session, serving);
        neap_list_push_back(&received, &serving->given);
    }
    neap_guard_unlock(&session->guard);
    while (!neap_list_is_empty(&received)) {
        serving = NEAP_CONTAINER_OF(neap_list_pop_front(&received), struct neap_serving, given);
        settle(serving);
        free_serving(serving);
    }
}

void neap_servings_sweep(struct neap_session *session) {
    size_t count = 0;
    neap_guard_lock(&session->guard);
    for (const struct neap_list *node = session->given.next; node != &session->given; node = node->next) count++;
    neap_guard_unlock(&session->guard);
    if (count > 0) sweep(session, count);
}

/* By who pumps: it is given, and is not any more, if there is one of that number; NULL. */
static struct neap_serving *take_given(struct neap_session *session, uint64_t id) {
    neap_guard_lock(&session->guard);
    struct neap_serving *serving = neap_idmap_get(&session->servings, id);
    if (serving != NULL && !neap_list_is_linked(&serving->given)) serving = NULL;
    if (serving != NULL) stop_keeping(session, serving);
    neap_guard_unlock(&session->guard);
    return serving;
}

void neap_serving_received(struct neap_session *session, uint64_t id) {
    struct neap_serving *serving = take_given(session, id);
    if (serving == NULL) return; /* it will be found out */
    struct neap_object *object = serving->link.object;
    bool asked = neap_object_is_proxy(object) && serving->link.request != 0;
    if (asked) neap_request_received(object->class->import(object)->session, serving->link.request);
    settle(serving);
    free_serving(serving);
}

static void take_all_back(struct neap_session *session) {
    struct neap_serving *serving;
    do {
        neap_guard_lock(&session->guard);
        struct neap_list *node = session->given.next;
        serving = node != &session->given ? NEAP_CONTAINER_OF(node, struct neap_serving, given) : NULL;
        if (serving != NULL) stop_keeping(session, serving);
        neap_guard_unlock(&session->guard);
        if (serving != NULL) {
            take_back(serving);
            free_serving(serving);
        }
    } while (serving != NULL);
}

/* NULL: no memory. */
static struct neap_returned *new_room(void) {
    struct neap_returned *room = neap_alloc(sizeof *room);
    if (room != NULL) neap_list_init(&room->node);
    return room;
}

/* It is older than all that is there. */
bool neap_serving_return(struct neap_session *session, struct neap_unpacker *unpacker) {
    struct neap_link link = {.turn = 0};
    struct neap_object *object = neap_export_object(session, neap_unpack_u32(unpacker));
    neap_unpack_message(unpacker, &link.message);
    bool good =
        unpacker->code == 0 && object != NULL && !neap_object_is_proxy(object) && object->class->remote->lending != 0;
    if (good && (link.room = new_room()) == NULL)
        neap_unpack_nomem(unpacker);
    else if (good)
        object->class->remote->restore(object, &link);
    neap_free(link.room);
    neap_message_fini(&link.message);
    if (object != NULL) neap_object_unref(object);
    return good;
}

/* --- the end of a serving --- */

/* Nothing more will come of it: takes it out of the table, and frees it, unless whoever pumps still needs it, and does
 * that. */
static void leave(struct neap_serving *serving) {
    struct neap_session *session = serving->session;
    neap_guard_lock(&session->guard);
    if (neap_idmap_get(&session->servings, serving->id) == serving) neap_idmap_remove(&session->servings, serving->id);
    serving->over = true;
    bool begun = serving->begun;
    neap_guard_unlock(&session->guard);
    if (begun) free_serving(serving);
}

/* It has been answered, and is kept; false: it was received already, or withdrawn, or the session has ended. */
static bool keep(struct neap_serving *serving) {
    struct neap_session *session = serving->session;
    neap_guard_lock(&session->guard);
    bool kept = !session->ended && !serving->unwanted && neap_ticket_is_unread(&serving->ticket, serving->ticket.by);
    if (kept) neap_list_push_back(&session->given, &serving->given);
    neap_guard_unlock(&session->guard);
    return kept;
}

/* What is left of the operand is not sent back. */
static int answer_wait(struct neap_session *session, uint64_t id, struct neap_link *link) {
    const struct neap_class *class = link->object->class;
    const struct neap_message *message = &link->message, *reason = NULL;
    if (link->result != 0 && class->import == NULL) {
        neap_message_fini(&link->message);
        if (link->result == NEAP_CLOSED && class->remote->reason != NULL) reason = class->remote->reason(link->object);
    }
    return neap_reply_send(session, id, true, link->result, link->number, reason != NULL ? reason : message,
                           link->result == 0 ? link->object : NULL);
}

/* It has been served: by the thread that did so, no guard held. Whoever calls keeps the session. */
static void finish(struct neap_serving *serving) {
    struct neap_session *session = serving->session;
    struct neap_link *link = &serving->link;
    struct neap_delegate *delegate = serving->delegate;
    bool orphan = delegate != NULL && neap_calling_release(session, delegate);
    bool given = link->result == 0 && gives(serving);
    /* Nothing is held, and over there the same number may soon be that of another. */
    if (serving->hold != 0 && link->result != 0 && !orphan) neap_delegate_drop_hold(session, serving->hold);
    int code = answer_wait(session, serving->id, link);
    if (serving->lender != NULL && link->result == 0) neap_lender_served(serving->lender);
    if (serving->creditor != NULL && link->result == 0) neap_creditor_served(serving->creditor);
    if (!given || code != 0 || !keep(serving)) {
        if (given) take_back(serving);
        if (code != 0 && code != NEAP_BROKEN) neap_reply_refuse(session, serving->id, true, code);
        leave(serving);
    }
    if (orphan) neap_owner_end(&delegate->owner);
}

/* It will not be served. */
static void give_up(struct neap_serving *serving) {
    struct neap_session *session = serving->session;
    struct neap_delegate *delegate = serving->delegate;
    bool orphan = delegate != NULL && neap_calling_release(session, delegate);
    if (orphan) neap_owner_end(&delegate->owner);
    if (serving->hold != 0) neap_delegate_drop_hold(session, serving->hold);
    leave(serving);
}

/* Not now, and the other side does not want to wait. */
static void refuse(struct neap_serving *serving) {
    neap_reply_refuse(serving->session, serving->id, false, NEAP_TIMEOUT);
    give_up(serving);
}

static void run(struct neap_runnable *runnable) {
    struct neap_wait *wait = NEAP_CONTAINER_OF(runnable, struct neap_wait, runnable);
    struct neap_serving *serving = NEAP_CONTAINER_OF(wait, struct neap_serving, wait);
    struct neap_session *session = neap_session_ref(serving->session);
    serving->link.mode = NEAP_LINK_FOREIGN; /* it is not received here */
    if (neap_wait_end(wait) == NEAP_TIMEOUT)
        refuse(serving);
    else
        finish(serving);
    neap_session_unref(session);
}

/* --- requests --- */

/* For the link's operation on what is exported as `id`. */
static void find_partners(struct neap_serving *serving, uint32_t id) {
    struct neap_link *link = &serving->link;
    if (sends_message(link)) serving->creditor = neap_creditor_get(serving->session, id, link->object);
    serving->lender = takes_message(link) ? neap_lender_get(serving->session, id, link->object) : NULL;
    link->loan = serving->lender != NULL ? neap_lender_loan(serving->lender) : NULL;
}

/* 0, NEAP_NOMEM, or NEAP_BROKEN: it makes no sense. */
static int read_request(struct neap_session *session, struct neap_unpacker *unpacker, struct neap_serving *serving) {
    struct neap_link *link = &serving->link;
    serving->id = neap_unpack_u64(unpacker);
    uint32_t object = neap_unpack_u32(unpacker);
    link->op = neap_unpack_u8(unpacker);
    uint64_t owner = neap_unpack_u64(unpacker), place = neap_unpack_u64(unpacker), round = neap_unpack_u64(unpacker);
    uint32_t by = neap_unpack_u32(unpacker);
    link->number = (int64_t)neap_unpack_u64(unpacker);
    neap_unpack_message(unpacker, &link->message);
    if (unpacker->code != 0) return unpacker->code;
    link->object = neap_export_object(session, object);
    if (link->object == NULL || (link->op & NEAP_OP_MASK) >= link->object->class->remote->ops) return NEAP_BROKEN;
    if (place != 0 && !neap_ticket_find(session->board, place, round, by, &serving->ticket)) return NEAP_BROKEN;
    if (takes_message(link) && (link->room = new_room()) == NULL) return NEAP_NOMEM;
    find_partners(serving, object);
    serving->delegate = owner != 0 ? neap_delegate_find(session, owner, true) : NULL;
    if (owner != 0 && serving->delegate == NULL) return NEAP_NOMEM;
    return 0;
}

static struct neap_serving *new_serving(struct neap_session *session) {
    struct neap_serving *serving = neap_alloc_zeroed(sizeof *serving);
    if (serving == NULL) return NULL;
    neap_message_clear(&serving->link.message);
    neap_list_init(&serving->given);
    serving->session = neap_session_ref(session);
    return serving;
}

/* The hold that the operation needs, known by link->number; with a delegate of its own where there is none yet. 0,
 * NEAP_NOMEM, or NEAP_BROKEN: the number is taken. */
static int add_hold(struct neap_session *session, struct neap_serving *serving) {
    struct neap_link *link = &serving->link;
    if (op_of(link) + 1 != link->object->class->remote->holding) return 0;
    serving->hold = (uint64_t)link->number;
    return neap_delegate_add_hold(session, &serving->delegate, serving->hold, link->object, &link->hold);
}

/* In the table, so that it can be withdrawn; 0 or NEAP_NOMEM. */
static int enter(struct neap_session *session, struct neap_serving *serving) {
    int code = add_hold(session, serving);
    if (code != 0) return code;
    neap_wait_init(&serving->wait, NULL, serving->delegate != NULL ? &serving->delegate->owner : NULL, run);
    serving->wait.ticket = serving->ticket.word != NULL ? &serving->ticket : NULL;
    neap_guard_lock(&session->guard);
    code = neap_idmap_put(&session->servings, serving->id, serving);
    if (code == 0 && serving->delegate != NULL) serving->delegate->unfinished++;
    neap_guard_unlock(&session->guard);
    if (code != 0 && serving->link.hold != NULL) neap_delegate_drop_hold(session, serving->hold);
    return code;
}

/* Whoever pumps is done with it for now; frees it if it is over already. */
static void put_down(struct neap_serving *serving) {
    struct neap_session *session = serving->session;
    neap_guard_lock(&session->guard);
    serving->begun = true;
    bool over = serving->over;
    neap_guard_unlock(&session->guard);
    if (over) free_serving(serving);
}

static void begin(struct neap_serving *serving) {
    struct neap_link *link = &serving->link;
    bool once = (link->op & NEAP_OP_TRY) != 0;
    if (!neap_object_is_proxy(link->object)) link->op &= NEAP_OP_MASK; /* a proxy passes it on */
    int code = neap_wait_serve(&serving->wait, link, once);
    if (code == 0)
        finish(serving);
    else if (code == NEAP_TIMEOUT)
        refuse(serving);
    else if (code != NEAP_PARKED)
        give_up(serving);
    put_down(serving);
}

/* Out of memory is the asker's trouble; anything else that is wrong is the end of the link. */
bool neap_serving_request(struct neap_session *session, struct neap_unpacker *unpacker) {
    struct neap_serving *serving = new_serving(session);
    sweep(session, LOOKS);
    if (serving == NULL) {
        neap_reply_refuse(session, neap_unpack_u64(unpacker), false, NEAP_NOMEM);
        return true;
    }
    int code = read_request(session, unpacker, serving);
    if (code == 0) code = enter(session, serving);
    if (code == 0) {
        begin(serving);
        return true;
    }
    if (code == NEAP_NOMEM) neap_reply_refuse(session, serving->id, false, code);
    unpacker->code = 0;
    free_serving(serving);
    return code == NEAP_NOMEM;
}

/* The serving of `id`, which is unwanted, and not freed before it is put down; NULL: it is over. */
static struct neap_serving *pick_up(struct neap_session *session, uint64_t id) {
    neap_guard_lock(&session->guard);
    struct neap_serving *serving = neap_idmap_get(&session->servings, id);
    if (serving != NULL) {
        serving->begun = false;
        serving->unwanted = true;
    }
    neap_guard_unlock(&session->guard);
    return serving;
}

/* False: it has been served, here or where it was passed on; then it will be finished. */
static bool withdraw(struct neap_serving *serving) {
    const struct neap_ticket *ticket = &serving->ticket;
    bool passed_on = ticket->word != NULL && neap_object_is_proxy(serving->link.object);
    if (passed_on && !neap_ticket_forestall(ticket, ticket->by)) return false;
    return neap_wait_withdraw(&serving->wait);
}

void neap_serving_withdraw(struct neap_session *session, uint64_t id) {
    struct neap_serving *serving = take_given(session, id);
    if (serving != NULL) {
        take_back(serving);
        free_serving(serving);
        return;
    }
    serving = pick_up(session, id);
    if (serving == NULL) return;
    if (withdraw(serving)) give_up(serving);
    put_down(serving);
}

/* --- the end --- */

/* Any serving that is not over; NULL: there is none. */
static struct neap_serving *pick_any(struct neap_session *session) {
    size_t at = 0;
    neap_guard_lock(&session->guard);
    struct neap_serving *serving = neap_idmap_next(&session->servings, &at);
    if (serving != NULL) {
        neap_idmap_remove(&session->servings, serving->id);
        serving->begun = false;
    }
    neap_guard_unlock(&session->guard);
    return serving;
}

void neap_servings_end(struct neap_session *session) {
    struct neap_serving *serving;
    take_all_back(session);
    while ((serving = pick_any(session)) != NULL) {
        if (withdraw(serving)) give_up(serving);
        put_down(serving);
    }
    neap_delegates_end(session);
}
