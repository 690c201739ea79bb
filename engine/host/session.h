/* session: one end of what two processes that are linked share: objects, waits and calls. The essay is in session.c. */
#ifndef NEAP_HOST_SESSION_H
#define NEAP_HOST_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cell.h"
#include "core/guard.h"
#include "core/idmap.h"
#include "core/list.h"
#include "core/object.h"
#include "core/remote.h"
#include "core/ticket.h"
#include "host/packer.h"
#include "host/wire.h"

struct neap_export;
struct neap_request;
struct neap_session;

/* Types of the frames that sessions exchange; those below are the links' own. */
enum neap_session_frame {
    NEAP_FRAME_BOARD = 64,     /* the first one, to a child: a descriptor, of the family's board */
    NEAP_FRAME_REQUEST,        /* a wait on an object of the receiver: see serving.c */
    NEAP_FRAME_WITHDRAW,       /* u64 id: it is not to be served any more */
    NEAP_FRAME_CALL,           /* a method of an object of the receiver: see calling.c */
    NEAP_FRAME_REPLY,          /* how a request or call ended */
    NEAP_FRAME_DROP,           /* u32 id, u32 count: so many references to an object of the receiver are gone */
    NEAP_FRAME_FORGET,         /* u32 id: what travelled as itself under this number is not mentioned any more */
    NEAP_FRAME_SEGMENT,        /* u64 id, a descriptor: shared memory that will be mentioned; see mapping.c */
    NEAP_FRAME_FORGET_SEGMENT, /* u64 id: not any more */
    NEAP_FRAME_AHEAD,          /* messages that have not been asked for yet: see lender.c */
    NEAP_FRAME_TAKEN,          /* u32 id: some of those have been taken, as the receiver wanted to know */
    NEAP_FRAME_CREDIT,         /* where the receiver finds what it may send without asking: see creditor.c */
    NEAP_FRAME_SENT,           /* a message to a channel of the receiver, by credit: see debtor.c */
    NEAP_FRAME_RECEIVED,       /* u64 id: the answer to that request is not to be kept any longer */
    NEAP_FRAME_RETURN /* u32 id, message: the sender had that from a channel of the receiver, and it was not received */
};

/* A proxy with one reference, which has taken note of the import (neap_import_init); NULL: no memory. */
typedef struct neap_object *(*neap_maker)(struct neap_session *session, uint32_t id, uint8_t kind,
                                          const struct neap_constants *constants);

/* What all sessions of an engine share. */
struct neap_makers {
    neap_maker make[NEAP_KIND_COUNT]; /* of the kinds that can come from elsewhere; else NULL */
    /* Writes how an object stands, for people. May be NULL. */
    void (*describe)(struct neap_object *object, char *text, size_t size);
};

struct neap_session {
    atomic_uint refs;
    struct neap_wire *wire;   /* one reference; refers back. Constant */
    struct neap_board *board; /* of the family; outlives it. In a child NULL until its frame has come; else constant */
    const struct neap_makers *makers; /* constant */
    struct neap_cells
        *cells; /* where words of ours that the other side may change are put; NULL: nowhere. Constant once
                                          something is exported */
    struct neap_alarms *alarms;        /* of the hub. With `cells` */
    struct neap_guard guard;           /* of all that follows. Taken after the guards of objects, before the wire's */
    struct neap_export *exports;       /* by id; owned */
    uint32_t export_room, export_free; /* allocated; the first free place plus 1 */
    uint32_t values;                   /* exports that travel as themselves, since they were last looked through */
    bool slots[NEAP_WIRE_SLOTS];       /* of the wire, ours: in use by lenders and creditors */
    struct neap_idmap exported;        /* object -> its id plus 1 */
    struct neap_idmap imports;         /* id -> neap_import: its proxy, without a reference */
    struct neap_idmap received;        /* id -> object that travelled as itself; one reference */
    struct neap_request *requests;     /* by place: what the other side has not answered yet; owned. See request.c */
    uint32_t request_room, request_free;
    struct neap_idmap segments_sent; /* id -> neap_segment that the other side has from us; one reference */
    struct neap_idmap segments;      /* id -> neap_segment that we have from the other side; one reference */
    struct neap_list due;            /* neap_creditor: to be granted more. By who receives. See creditor.c */
    struct neap_idmap
        servings;           /* id of a request -> neap_serving: what we have not answered, or is given. See serving.c */
    struct neap_list given; /* neap_serving: answered; what was given may come back. In this order */
    struct neap_list *looked_at; /* the last of `given` that was looked at, or its head */
    struct neap_idmap owners;    /* id of an owner over there -> neap_delegate; owned. See delegate.c */
    struct neap_idmap holds;     /* number of a hold over there -> what is held by it; owned. See delegate.c */
    struct neap_object *child;   /* see CHILD. Borrowed; NULL: there is none, or no more */
    bool ended;                  /* nothing can be sent or will be received */
    char *cause;                 /* why, for people; owned. Written before `ended` */
};

/* One reference. `board` and `makers` outlive it. NULL: no memory. `board` NULL: this is a child, which is given one.
 * Before the wire is pumped. */
struct neap_session *neap_session_new(struct neap_wire *wire, struct neap_board *board,
                                      const struct neap_makers *makers);
/* What stands for the child: by its parent before it is started, in the child before it does anything; NULL before that
 * ends. */
void neap_session_set_child(struct neap_session *session, struct neap_object *object);
/* To a child that has not been started yet, before anything else: its board. 0, or why it could not be sent. */
int neap_session_give_board(struct neap_session *session);
struct neap_session *neap_session_ref(struct neap_session *session);
void neap_session_unref(struct neap_session *session);

/* --- for whoever pumps the wire, one at a time --- */

/* A frame of a type from NEAP_FRAME_BOARD on. False: it makes no sense. */
bool neap_session_receive(struct neap_session *session, const struct neap_wire_frame *frame);
/* All that had come has been received: see neap_wire_user. */
void neap_session_passed(struct neap_session *session);
/* The last frame has been received. What was asked of the other side fails with NEAP_BROKEN, what it waits for is
 * withdrawn, what it holds is abandoned. `cause`: "process p1 was killed by signal 9". Idempotent. */
void neap_session_end(struct neap_session *session, const char *cause);

/* --- any thread --- */

bool neap_session_has_ended(struct neap_session *session);
/* Copies the cause, cut to fit; "" before the end. */
void neap_session_cause(struct neap_session *session, char *text, size_t size);

/* One of our slots of the wire; false: all are in use. The session's guard is held; GIVE: no guard. */
bool neap_session_take_slot(struct neap_session *session, uint32_t *slot);
void neap_session_give_slot(struct neap_session *session, uint32_t slot);
/* A frame of two numbers. 0, or why it could not be sent. */
int neap_session_send_numbers(struct neap_session *session, uint8_t type, uint32_t first, uint32_t second);

#endif
