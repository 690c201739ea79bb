/* calling: what is done at once.
 *
 * MODEL       A call that has come is carried out by whoever pumps the wire, without Lua. It is answered with a reply,
 *             unless it was told only: then its id is 0.
 * PASSING     What an object that is a proxy itself does not know, whoever it stands for is asked, with a call of ours;
 *             that one's answer is passed back.
 * ASIDES      In whose name something waits here, his list of holds is whose who serves that wait (ONE THREAD in
 *             delegate.c). A turn that comes back by itself, from a finaliser over there, may come just then:
 *             that call is put aside until the wait is over. Only what is told is: a task that waits for an
 *             answer does nothing else. */
#include "host/calling.h"

#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/message.h"
#include "core/object.h"
#include "core/remote.h"
#include "host/delegate.h"
#include "host/exports.h"
#include "host/packer.h"
#include "host/reply.h"
#include "host/request.h"
#include "host/session.h"

/* A call that has to wait until its delegate does not. */
struct neap_aside {
    struct neap_aside *next;
    struct neap_object *object; /* one reference */
    struct neap_call call;
};

/* A call that is passed on. */
struct passing {
    struct neap_pending pending;
    struct neap_session *session; /* that it came from; one reference */
    uint64_t id;                  /* of its request there */
};

/* --- carrying out --- */

/* What is too large for this moment: that is what it is told. */
static void answer_call(struct neap_session *session, uint64_t id, const struct neap_call *call) {
    int code = neap_reply_send(session, id, true, call->result, call->number, &call->message, NULL);
    if (code != 0 && code != NEAP_BROKEN) neap_reply_refuse(session, id, true, code);
}

static void describe(struct neap_session *session, struct neap_object *object, struct neap_call *call) {
    char text[NEAP_MESSAGE_TEXT_MAX + 1] = "";
    if (session->makers->describe != NULL) session->makers->describe(object, text, sizeof text);
    call->message.kind = NEAP_MESSAGE_TEXT;
    call->message.length = (uint8_t)strlen(text);
    memcpy(call->message.text, text, call->message.length);
}

/* A proxy sets NEAP_GONE where whoever it stands for is to be asked. */
static void carry_out(struct neap_session *session, struct neap_object *object, struct neap_call *call) {
    bool passes = neap_object_is_proxy(object);
    call->result = passes ? NEAP_GONE : 0;
    if (call->method == NEAP_CALL_GIVE_BACK) {
        call->result = 0;
        neap_delegate_give_back(session, (uint64_t)call->number);
    } else if (call->method == NEAP_CALL_DESCRIBE && !passes) {
        describe(session, object, call);
    } else if (object->class->remote->serve != NULL) {
        object->class->remote->serve(object, call);
    } else if (!passes) {
        call->result = NEAP_RANGE;
    }
}

static void passed(struct neap_pending *pending) {
    struct passing *passing = NEAP_CONTAINER_OF(pending, struct passing, pending);
    struct neap_call *call = &pending->call;
    answer_call(passing->session, passing->id, call);
    neap_message_fini(&call->message);
    neap_session_unref(passing->session);
    neap_free(passing);
}

static void pass_on(struct neap_session *session, struct neap_import *import, uint64_t id, struct neap_call *call) {
    struct passing *passing = neap_alloc(sizeof *passing);
    int code = NEAP_NOMEM;
    if (passing != NULL) {
        passing->pending.call = *call;
        passing->pending.done = passed;
        passing->session = neap_session_ref(session);
        passing->id = id;
        code = neap_request_call(import, &passing->pending);
        if (code == 0) return;
        neap_session_unref(session);
        neap_free(passing);
    }
    neap_message_fini(&call->message);
    neap_reply_refuse(session, id, false, code);
}

/* Done here, or not, and then by whoever the proxy stands for. The message is taken over. */
static void carry_out_or_pass(struct neap_session *session, uint64_t id, struct neap_object *object,
                              struct neap_call *call) {
    carry_out(session, object, call);
    bool passes = neap_object_is_proxy(object) && call->result == NEAP_GONE;
    struct neap_import *import = passes ? object->class->import(object) : NULL;
    if (import != NULL && id != 0) {
        pass_on(session, import, id, call);
        return;
    }
    if (import != NULL) {
        neap_request_tell(import, call);
        return;
    }
    if (id != 0) answer_call(session, id, call);
    neap_message_fini(&call->message);
}

/* --- asides --- */

static bool waits_here(struct neap_session *session, const struct neap_delegate *delegate) {
    neap_guard_lock(&session->guard);
    bool waits = delegate != NULL && delegate->unfinished > 0;
    neap_guard_unlock(&session->guard);
    return waits;
}

static bool keep(struct neap_session *session, struct neap_delegate *delegate, struct neap_object *object,
                 const struct neap_call *call) {
    struct neap_aside *aside = neap_alloc(sizeof *aside), **last;
    if (aside == NULL) return false;
    aside->next = NULL;
    aside->object = object;
    aside->call = *call;
    neap_guard_lock(&session->guard);
    bool waits = delegate->unfinished > 0;
    for (last = &delegate->asides; *last != NULL;) last = &(*last)->next;
    if (waits) *last = aside;
    neap_guard_unlock(&session->guard);
    if (!waits) neap_free(aside);
    return waits;
}

/* True: the call is kept until its delegate does not wait any more. */
static bool put_aside(struct neap_session *session, struct neap_delegate *delegate, struct neap_object *object,
                      struct neap_call *call) {
    if (!waits_here(session, delegate)) return false;
    if (call->method == NEAP_CALL_GIVE_BACK)
        call->number = (int64_t)neap_delegate_rename_hold(session, (uint64_t)call->number);
    return keep(session, delegate, object, call);
}

bool neap_calling_release(struct neap_session *session, struct neap_delegate *delegate) {
    for (;;) {
        neap_guard_lock(&session->guard);
        struct neap_aside *aside = delegate->asides;
        if (aside != NULL) delegate->asides = aside->next;
        bool last = aside == NULL && --delegate->unfinished == 0 && session->ended && !delegate->ended;
        if (last) delegate->ended = true;
        neap_guard_unlock(&session->guard);
        if (aside == NULL) return last;
        carry_out_or_pass(session, 0, aside->object, &aside->call);
        neap_object_unref(aside->object);
        neap_free(aside);
    }
}

/* --- frames --- */

/* Whose list the call may change; NULL: nobody's. */
static struct neap_delegate *concerned(struct neap_session *session, const struct neap_call *call,
                                       struct neap_delegate *delegate) {
    if (call->method != NEAP_CALL_GIVE_BACK) return delegate;
    return neap_delegate_of_hold(session, (uint64_t)call->number);
}

/* Takes over a reference to `object`, and call->message. */
static void receive_call(struct neap_session *session, uint64_t id, struct neap_object *object,
                         struct neap_delegate *delegate, struct neap_call *call) {
    if (id == 0) delegate = concerned(session, call, delegate);
    if (id == 0 && put_aside(session, delegate, object, call)) return;
    carry_out_or_pass(session, id, object, call);
    neap_object_unref(object);
}

bool neap_calling_receive(struct neap_session *session, struct neap_unpacker *unpacker) {
    struct neap_owner nobody;
    struct neap_call call = {.result = 0};
    uint64_t id = neap_unpack_u64(unpacker);
    uint32_t number = neap_unpack_u32(unpacker);
    call.method = neap_unpack_u8(unpacker);
    uint64_t owner = neap_unpack_u64(unpacker);
    call.number = (int64_t)neap_unpack_u64(unpacker);
    neap_unpack_message(unpacker, &call.message);
    if (unpacker->code == NEAP_NOMEM) {
        if (id != 0) neap_reply_refuse(session, id, false, NEAP_NOMEM);
        unpacker->code = 0;
        return true;
    }
    struct neap_object *object = unpacker->code == 0 ? neap_export_object(session, number) : NULL;
    if (object == NULL) {
        neap_message_fini(&call.message);
        return false;
    }
    bool adopts = call.method + 1 == object->class->remote->adopting;
    struct neap_delegate *delegate = owner != 0 ? neap_delegate_find(session, owner, adopts) : NULL;
    if (adopts && delegate == NULL) {
        if (id != 0) neap_reply_refuse(session, id, false, NEAP_NOMEM);
        neap_message_fini(&call.message);
        neap_object_unref(object);
        return true;
    }
    neap_owner_init(&nobody);
    call.owner = delegate != NULL ? &delegate->owner : &nobody;
    receive_call(session, id, object, delegate, &call);
    return true;
}
