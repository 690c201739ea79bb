/* request: asking.
 *
 * A REQUEST   u64 id, u32 object, u8 op, u64 owner, u64 place, u64 round, u32 by: the ticket; u64 number, message: the
 *             operands. Its id says where its record stands here, and in which round of use: an answer that comes too
 *             late finds another round.
 * A CALL      u64 id (0: no answer is wanted), u32 object, u8 method, u64 owner, u64 number, message.
 * A REPLY     u64 id, u8 whether it was claimed, i32 result, u64 number, message, and what the class adds. A wait that
 *             is served has been claimed by its ticket already, over there; one that is refused (TRY) has not, and is
 *             claimed here, if nobody else was faster.
 * LOCKS       A link may be looked at under its proxy's guard while its request stands. So an answer takes a reference
 *             to the proxy under the session's guard, lets that go, and looks again when it has the proxy's. */
#include "host/request.h"

#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/futex.h"
#include "core/memory.h"
#include "host/reference.h"
#include "host/session.h"

enum { FIRST_ROOM = 32, PLACE_BITS = 32, SPINS = 2000 };

/* --- the table; the session's guard is held --- */

static bool grow(struct neap_session *session) {
    uint32_t room = session->request_room == 0 ? FIRST_ROOM : session->request_room * 2;
    struct neap_request *requests = neap_realloc(session->requests, room * sizeof *requests);
    if (requests == NULL) return false;
    memset(requests + session->request_room, 0, (room - session->request_room) * sizeof *requests);
    for (uint32_t i = room; i-- > session->request_room;) {
        requests[i].next = session->request_free;
        session->request_free = i + 1;
    }
    session->requests = requests;
    session->request_room = room;
    return true;
}

static uint64_t id_of(const struct neap_session *session, const struct neap_request *request) {
    return (uint64_t)request->round << PLACE_BITS | (uint64_t)(request - session->requests + 1);
}

/* NULL: no memory, or it is too late. */
static struct neap_request *take_place(struct neap_session *session) {
    if (session->ended || (session->request_free == 0 && !grow(session))) return NULL;
    struct neap_request *request = &session->requests[session->request_free - 1];
    session->request_free = request->next;
    request->round++;
    return request;
}

static void give_place(struct neap_session *session, struct neap_request *request) {
    request->proxy = NULL;
    request->link = NULL;
    request->pending = NULL;
    request->next = session->request_free;
    session->request_free = (uint32_t)(request - session->requests + 1);
}

/* NULL: it is over. */
static struct neap_request *find(struct neap_session *session, uint64_t id) {
    uint32_t place = (uint32_t)id;
    if (place == 0 || place > session->request_room) return NULL;
    struct neap_request *request = &session->requests[place - 1];
    bool stands = request->round == id >> PLACE_BITS && (request->proxy != NULL || request->pending != NULL);
    return stands ? request : NULL;
}

/* --- waits --- */

uint64_t neap_request_add(struct neap_session *session, struct neap_object *proxy, struct neap_link *link) {
    uint64_t id = 0;
    neap_guard_lock(&session->guard);
    struct neap_request *request = take_place(session);
    if (request != NULL) {
        request->proxy = neap_object_ref(proxy);
        request->link = link;
        id = id_of(session, request);
    }
    neap_guard_unlock(&session->guard);
    return id;
}

bool neap_request_remove(struct neap_session *session, uint64_t id) {
    struct neap_object *proxy = NULL;
    neap_guard_lock(&session->guard);
    struct neap_request *request = find(session, id);
    if (request != NULL) {
        proxy = request->proxy;
        give_place(session, request);
    }
    neap_guard_unlock(&session->guard);
    if (proxy != NULL) neap_object_unref(proxy); /* not the last: the caller has one */
    return proxy != NULL;
}

/* The answer to a wait, as far as it does not lie in the message. */
struct answer {
    bool claimed;
    bool unread; /* what it was claimed for is not to be had */
    int result;
    uint64_t number;
};

/* The proxy of the request, with a reference, if it stands and is a wait. */
static struct neap_object *find_proxy(struct neap_session *session, uint64_t id) {
    neap_guard_lock(&session->guard);
    const struct neap_request *request = find(session, id);
    struct neap_object *proxy = request != NULL ? request->proxy : NULL;
    if (proxy != NULL) neap_object_ref(proxy);
    neap_guard_unlock(&session->guard);
    return proxy;
}

/* The link of the request, which is over from now on; NULL: it is over already. The proxy's guard is held. */
static struct neap_link *take_link(struct neap_session *session, uint64_t id) {
    struct neap_link *link = NULL;
    neap_guard_lock(&session->guard);
    struct neap_request *request = find(session, id);
    if (request != NULL) {
        link = request->link;
        give_place(session, request);
    }
    neap_guard_unlock(&session->guard);
    return link;
}

static void complete(struct neap_session *session, struct neap_object *proxy, uint64_t id, const struct answer *answer,
                     struct neap_message *message) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_message before;
    neap_message_clear(&before);
    neap_object_lock(proxy);
    struct neap_link *link = take_link(session, id);
    bool refused =
        link != NULL && !answer->claimed && answer->result == NEAP_TIMEOUT && !neap_link_refuse(link, &batch);
    if (link != NULL && !refused && neap_link_complete(link, answer->unread)) {
        link->result = answer->result;
        if (answer->result == 0 || answer->claimed) { /* else it may still be being sent */
            neap_message_move(&before, &link->message);
            neap_message_move(&link->message, message);
            link->number = (int64_t)answer->number;
        }
        neap_batch_add(&batch, link->wait);
    }
    neap_object_unlock(proxy);
    neap_message_fini(&before);
    neap_batch_flush(&batch);
    if (link != NULL) neap_object_unref(proxy); /* the request's */
}

/* --- calls --- */

static void put_call(struct neap_packer *packer, const struct neap_import *import, uint64_t id,
                     const struct neap_call *call) {
    neap_packer_init(packer, import->session->wire);
    neap_pack_u64(packer, id);
    neap_pack_u32(packer, import->id);
    neap_pack_u8(packer, call->method);
    neap_pack_u64(packer, (uint64_t)(uintptr_t)call->owner);
    neap_pack_u64(packer, (uint64_t)call->number);
    neap_pack_message(packer, &call->message);
}

/* 0, and its id; NEAP_NOMEM or NEAP_BROKEN. */
static int add_pending(struct neap_session *session, struct neap_pending *pending, uint64_t *id) {
    neap_guard_lock(&session->guard);
    struct neap_request *request = take_place(session);
    int code = request != NULL ? 0 : session->ended ? NEAP_BROKEN : NEAP_NOMEM;
    if (request != NULL) {
        request->pending = pending;
        pending->more = NULL;
        pending->id = *id = id_of(session, request);
    }
    neap_guard_unlock(&session->guard);
    return code;
}

/* NULL: it is over. */
static struct neap_pending *take_pending(struct neap_session *session, uint64_t id) {
    neap_guard_lock(&session->guard);
    struct neap_request *request = find(session, id);
    struct neap_pending *pending = request != NULL ? request->pending : NULL;
    if (pending != NULL) give_place(session, request);
    neap_guard_unlock(&session->guard);
    return pending;
}

int neap_request_call(struct neap_import *import, struct neap_pending *pending) {
    struct neap_session *session = import->session;
    struct neap_packer packer;
    struct neap_message operand;
    put_call(&packer, import, 0, &pending->call);
    neap_message_move(&operand, &pending->call.message); /* what the packer still refers to */
    uint64_t id;
    int code = add_pending(session, pending, &id);
    if (code == 0) {
        /* From here on the record is whose who takes it: the session may end at any time, and then it tells. */
        neap_packer_set_first(&packer, id);
        code = neap_packer_send(&packer, NEAP_FRAME_CALL);
        if (code != 0 && take_pending(session, id) == NULL) code = 0;
    }
    neap_packer_fini(&packer);
    if (code != 0)
        neap_message_move(&pending->call.message, &operand);
    else
        neap_message_fini(&operand);
    return code;
}

static void put_request(struct neap_packer *packer, const struct neap_import *import, uint64_t id, uint8_t op) {
    neap_packer_init(packer, import->session->wire);
    neap_pack_u64(packer, id);
    neap_pack_u32(packer, import->id);
    neap_pack_u8(packer, op);
}

int neap_request_send(struct neap_import *import, const struct neap_link *link, bool owned) {
    const struct neap_ticket *ticket = link->wait->ticket;
    struct neap_packer packer;
    put_request(&packer, import, link->request, link->op);
    neap_pack_u64(&packer, owned ? (uint64_t)(uintptr_t)neap_wait_owner(link->wait) : 0);
    neap_pack_u64(&packer, ticket->place);
    neap_pack_u64(&packer, ticket->round);
    neap_pack_u32(&packer, ticket->by + (uint32_t)(link - link->wait->links));
    neap_pack_u64(&packer, link->hold != NULL ? (uint64_t)(uintptr_t)link->hold : (uint64_t)link->number);
    neap_pack_message(&packer, &link->message);
    int code = neap_packer_send(&packer, NEAP_FRAME_REQUEST);
    neap_packer_fini(&packer);
    return code;
}

static void send_id(struct neap_session *session, uint8_t type, uint64_t id) {
    struct iovec piece = {&id, sizeof id};
    neap_wire_tell(session->wire, type, &piece);
}

void neap_request_withdraw(struct neap_session *session, uint64_t id) { send_id(session, NEAP_FRAME_WITHDRAW, id); }

void neap_request_received(struct neap_session *session, uint64_t id) { send_id(session, NEAP_FRAME_RECEIVED, id); }

void neap_request_return(struct neap_import *import, const struct neap_message *message) {
    struct neap_packer packer;
    neap_packer_init(&packer, import->session->wire);
    neap_pack_u32(&packer, import->id);
    neap_pack_message(&packer, message);
    neap_packer_send(&packer, NEAP_FRAME_RETURN);
    neap_packer_fini(&packer);
}

void neap_request_fail(struct neap_session *session, uint64_t id, int code) {
    const struct answer answer = {.result = code};
    struct neap_message none;
    struct neap_object *proxy = find_proxy(session, id);
    if (proxy == NULL) return;
    neap_message_clear(&none);
    complete(session, proxy, id, &answer, &none);
    neap_object_unref(proxy);
}

int neap_request_watch(struct neap_import *import, uint8_t op, struct neap_pending *pending) {
    struct neap_session *session = import->session;
    struct neap_packer packer;
    struct neap_message none;
    uint64_t id;
    int code = add_pending(session, pending, &id);
    if (code != 0) return code;
    neap_message_clear(&none);
    put_request(&packer, import, id, op);
    neap_pack_u64(&packer, 0); /* owner */
    neap_pack_u64(&packer, 0); /* no ticket: place, round, by */
    neap_pack_u64(&packer, 0);
    neap_pack_u32(&packer, 0);
    neap_pack_u64(&packer, 0);
    neap_pack_message(&packer, &none);
    code = neap_packer_send(&packer, NEAP_FRAME_REQUEST);
    neap_packer_fini(&packer);
    return code != 0 && take_pending(session, id) != NULL ? code : 0;
}

bool neap_request_unwatch(struct neap_import *import, struct neap_pending *pending) {
    uint64_t id = pending->id;
    if (take_pending(import->session, id) == NULL) return false;
    neap_request_withdraw(import->session, id);
    return true;
}

static void answer_call(struct neap_pending *pending, int result, uint64_t number, struct neap_message *message,
                        struct neap_unpacker *more) {
    pending->more = more;
    pending->call.result = result;
    pending->call.number = (int64_t)number;
    neap_message_fini(&pending->call.message);
    neap_message_move(&pending->call.message, message);
    pending->done(pending);
}

/* A thread that is blocked in a call. */
struct blocked {
    struct neap_pending pending;
    _Atomic uint32_t waits; /* 1; a futex */
};

static void unblock(struct neap_pending *pending) {
    struct blocked *blocked = NEAP_CONTAINER_OF(pending, struct blocked, pending);
    _Atomic uint32_t *waits = &blocked->waits;
    atomic_store_explicit(waits, 0, memory_order_release);
    neap_futex_wake(waits); /* its thread may be gone already: then somebody else is woken for nothing */
}

void neap_request_call_now(struct neap_import *import, struct neap_call *call) {
    struct blocked blocked = {.pending = {.call = *call, .done = unblock}, .waits = 1};
    int code = neap_request_call(import, &blocked.pending);
    if (code == 0) {
        struct neap_wire *wire = import->session->wire;
        neap_wire_attend(wire);
        for (int i = 0; i < SPINS && atomic_load_explicit(&blocked.waits, memory_order_acquire) != 0; i++)
            if (!neap_wire_glance(wire)) neap_relax();
        neap_wire_leave(wire);
        while (atomic_load_explicit(&blocked.waits, memory_order_acquire) != 0)
            neap_futex_wait(&blocked.waits, 1, NEAP_FOREVER);
    } else {
        neap_message_fini(&blocked.pending.call.message);
        blocked.pending.call.result = code;
    }
    *call = blocked.pending.call;
}

void neap_request_tell(struct neap_import *import, struct neap_call *call) {
    struct neap_packer packer;
    put_call(&packer, import, 0, call);
    neap_packer_tell(&packer, NEAP_FRAME_CALL);
    neap_packer_fini(&packer);
    neap_message_fini(&call->message);
}

/* --- answers --- */

bool neap_request_reply(struct neap_session *session, struct neap_unpacker *unpacker) {
    struct answer answer = {.unread = false};
    struct neap_message message;
    uint64_t id = neap_unpack_u64(unpacker);
    answer.claimed = neap_unpack_u8(unpacker) != 0;
    answer.result = (int)neap_unpack_u32(unpacker);
    answer.number = neap_unpack_u64(unpacker);
    neap_unpack_message(unpacker, &message);
    bool lost = unpacker->code == NEAP_NOMEM; /* there is something in it, for which there is no room */
    if (unpacker->code != 0 && !lost) return false;
    if (lost) answer.result = unpacker->code;
    answer.unread = lost;
    unpacker->code = 0;
    struct neap_object *proxy = find_proxy(session, id);
    if (proxy != NULL) {
        complete(session, proxy, id, &answer, &message);
        if (lost) neap_request_withdraw(session, id);
        neap_object_unref(proxy);
    } else {
        struct neap_pending *pending = take_pending(session, id);
        if (pending != NULL) answer_call(pending, answer.result, answer.number, &message, lost ? NULL : unpacker);
    }
    neap_message_fini(&message); /* nobody wanted it */
    return true;
}

/* The id of any request that stands, 0: there is none. */
static uint64_t any(struct neap_session *session, uint32_t *from) {
    uint64_t id = 0;
    neap_guard_lock(&session->guard);
    for (; *from < session->request_room && id == 0; ++*from) {
        const struct neap_request *request = &session->requests[*from];
        if (request->proxy != NULL || request->pending != NULL) id = id_of(session, request);
    }
    neap_guard_unlock(&session->guard);
    return id;
}

void neap_requests_end(struct neap_session *session) {
    const struct answer answer = {.claimed = false, .unread = true, .result = NEAP_BROKEN};
    struct neap_message none;
    uint32_t from = 0;
    uint64_t id;
    neap_message_clear(&none);
    while ((id = any(session, &from)) != 0) {
        struct neap_object *proxy = find_proxy(session, id);
        if (proxy != NULL) {
            complete(session, proxy, id, &answer, &none);
            neap_object_unref(proxy);
        } else {
            struct neap_pending *pending = take_pending(session, id);
            if (pending != NULL) answer_call(pending, NEAP_BROKEN, 0, &none, NULL);
        }
    }
}
