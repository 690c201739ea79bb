/* remote: what a class says about itself so that its objects can be used from other processes. */
#ifndef NEAP_CORE_REMOTE_H
#define NEAP_CORE_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/message.h"

struct neap_alarms;
struct neap_cell;
struct neap_cells;
struct neap_hold;
struct neap_link;
struct neap_object;
struct neap_owner;
struct neap_packer;

/* Tells processes, which all run the same version, what an object is. */
enum neap_kind {
    NEAP_KIND_CHANNEL,
    NEAP_KIND_QUEUE,
    NEAP_KIND_PIPE,
    NEAP_KIND_STREAM,
    NEAP_KIND_LOCK,
    NEAP_KIND_RLOCK,
    NEAP_KIND_RWLOCK,
    NEAP_KIND_CONDITION,
    NEAP_KIND_SEMAPHORE,
    NEAP_KIND_BOUNDED_SEMAPHORE,
    NEAP_KIND_EVENT,
    NEAP_KIND_BARRIER,
    NEAP_KIND_TASK,
    NEAP_KIND_THREAD,
    NEAP_KIND_PROCESS,
    NEAP_KIND_FUTURE,
    NEAP_KIND_POOL,
    NEAP_KIND_DICT,
    NEAP_KIND_LIST,
    NEAP_KIND_SIGNAL,
    NEAP_KIND_MAPPED, /* keeps shared memory in place, for what is mapped elsewhere: see core/mapped.h */
    NEAP_KIND_COUNT
};

enum { NEAP_CONSTANTS = 2 };

/* What does not change about an object, for its proxies. */
struct neap_constants {
    int64_t numbers[NEAP_CONSTANTS];
    struct neap_object
        *parts[NEAP_CONSTANTS]; /* other objects that it is used with: the lock of a condition. Borrowed; NULL: none */
};

/* Something that is done at once, and does not wait. */
struct neap_call {
    struct neap_owner *owner;    /* in whose name; NULL: nobody's */
    int64_t number;              /* operand and result */
    struct neap_message message; /* operand and result; owned by whoever has the call */
    int result;                  /* 0 or a code */
    uint8_t method;              /* the class's own number; or one of those below */
};

enum {
    NEAP_CALL_GIVE_BACK = 62, /* every kind: what `number` was given as the hold of; see make_hold */
    NEAP_CALL_DESCRIBE = 63   /* every kind: how it stands, as a text */
};

/* In a link's op, where the object may be a proxy. */
enum {
    NEAP_OP_MASK = 0x3f,
    NEAP_OP_TRY = 0x40 /* it is not to wait: NEAP_TIMEOUT instead */
};

struct neap_remote {
    uint8_t kind;     /* enum neap_kind */
    uint8_t ops;      /* operations that wait are below */
    uint8_t holding;  /* the operation that needs a hold as its operand, plus 1; 0: none does */
    uint8_t lending;  /* the operation of a neap_channel whose results may be sent ahead, plus 1; 0: none */
    uint8_t sending;  /* the operation of a neap_channel that may go ahead of its answer, plus 1; 0: none */
    uint8_t taking;   /* bits, by operation: what it gives leaves the object, and goes back if it is not received */
    uint8_t adopting; /* the call that makes its owner a holder, plus 1; 0: none does */
    /* The other process may change a word of the object's state by itself: this moves it into a cell, which is the
     * object's. The number by which that process is known there; 0: it may not, there is no memory or no number left.
     * It leaves when it has no reference any more. `alarms` last as long as there are other processes; may be NULL. Any
     * thread, no guard held. NULL: it may not change anything. */
    uint32_t (*join)(struct neap_object *object, struct neap_cells *cells, struct neap_alarms *alarms,
                     const struct neap_cell **cell);
    void (*leave)(struct neap_object *object, uint32_t party);
    /* May be NULL: it has none. */
    void (*constants)(struct neap_object *object, struct neap_constants *constants);
    /* For an operation that needs one: an unlinked hold, on the heap; NULL: no memory. */
    struct neap_hold *(*make_hold)(struct neap_object *object);
    /* An operation of `taking` has given what is in `link`, and the process that it was for has died before it received
     * it, or could not take it in: the object has it back. Needs no memory. Any thread, no guard held. */
    void (*restore)(struct neap_object *object, struct neap_link *link);
    /* The other way: it has been received, and will not come back. Any thread, no guard held.
     * NULL: it does not matter. */
    void (*received)(struct neap_object *object, struct neap_link *link);
    /* Carries out call->method, or sets NEAP_RANGE; a proxy leaves NEAP_GONE where the other process is to be asked.
     * Any thread, no guard held. NULL: it has no methods. */
    void (*serve)(struct neap_object *object, struct neap_call *call);
    /* What goes with the result NEAP_CLOSED; borrowed, constant. May be NULL. */
    const struct neap_message *(*reason)(struct neap_object *object);
    /* Writes what goes with a wait that ended well, beside its message. May be NULL. */
    void (*put_more)(struct neap_object *object, struct neap_packer *packer);
};

#endif
