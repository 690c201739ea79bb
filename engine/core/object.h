/* object: what handles refer to. Counted, typed, guarded, and local until it is shared.
 *
 * LOCAL AND SHARED   An object belongs to the thread that made it until a handle to it is encoded into a message; the
 * encoder calls neap_object_share first. Until then no other thread can have a pointer to it, so its guard is not
 * taken and its count is plain arithmetic. `shared` is written once, by the owning thread, before the pointer is
 * published by the message's own release; whoever receives the pointer therefore reads true. */
#ifndef NEAP_CORE_OBJECT_H
#define NEAP_CORE_OBJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/guard.h"

struct neap_batch;
struct neap_board;
struct neap_import;
struct neap_link;
struct neap_mapping;
struct neap_object;
struct neap_packer;
struct neap_passage;
struct neap_remote;
struct neap_unpacker;

/* What came of a quick attempt. */
enum neap_quick {
    NEAP_QUICK_ASK,   /* nothing: ask attempt */
    NEAP_QUICK_DONE,  /* it was carried out */
    NEAP_QUICK_LATER, /* nothing: attempt would say no too */
    NEAP_QUICK_SOON   /* nothing yet, but very soon perhaps: worth looking all the time, until attempt is asked */
};

struct neap_class {
    const char *name;         /* what scripts call it: "channel" */
    const char *const *verbs; /* names of the operations that wait, by link->op: "recv", "send" */
    /* Frees the object; the last reference is gone. */
    void (*destroy)(struct neap_object *object);
    /* The last reference is gone: true when there is a new one. For what is found through a table that has no
     * reference, or is held by somebody who has none. May be NULL. */
    bool (*revived)(struct neap_object *object);
    /* Called on the owning thread just before the object becomes shared; may be NULL. */
    void (*on_share)(struct neap_object *object);
    /* Guard held. Carries out link->op if it can be done now: true, with link->result, ->number and ->message set, and
     * whoever that wakes added to `batch`. False leaves everything as it was. */
    bool (*attempt)(struct neap_object *object, struct neap_link *link, struct neap_batch *batch);
    /* No guard, the wait's thread: what is under way to a shared object arrives before attempt is asked. May be
     * NULL. */
    void (*look)(struct neap_object *object, const struct neap_link *link);
    /* No guard: as attempt, for a shared object that has a way past its guard and can wake nobody. May be NULL. */
    enum neap_quick (*quick)(struct neap_object *object, struct neap_link *link);
    /* Guard held, after attempt said no: puts `link` into the list of its operation. */
    void (*enlist)(struct neap_object *object, struct neap_link *link);
    /* Guard held, after attempt said no to a link of another process that is not to wait: may something that is under
     * way already serve it? Then it is enlisted all the same, and dismissed (neap_waiters_dismiss, neap_link_refuse)
     * when nothing is any more. NULL: nothing ever is. */
    bool (*awaits)(struct neap_object *object, const struct neap_link *link);
    /* No guard, the wait's thread: `link` has been enlisted, and its wait may have been claimed since. May be NULL. */
    void (*enlisted)(struct neap_object *object, struct neap_link *link);
    const struct neap_remote *remote; /* how other processes use it; NULL: they cannot */
    /* The object stands for one of another process: where that is. NULL: it is the thing itself. */
    struct neap_import *(*import)(struct neap_object *object);
    /* A wait on the object is claimed in another process: it has a ticket of this board while it is
     * open. NULL: it is claimed here. */
    struct neap_board *(*board)(const struct neap_object *object);
    /* No guard: a guess whether attempt would succeed, at little cost; NULL where spinning is not worth it. */
    bool (*hint)(struct neap_object *object, const struct neap_link *link);
    /* Guard held: `link`, which was enlisted, left its list without being served; may be NULL. */
    void (*withdrawn)(struct neap_object *object, struct neap_link *link, struct neap_batch *batch);
    /* No guard, the owner's thread: the parked `link` was served by somebody else, and its owner is
     * about to learn of it: does what only the owner's own thread may do, as entering a hold. attempt
     * does the same itself. May be NULL. */
    void (*resumed)(struct neap_object *object, struct neap_link *link);
    /* Its objects are struct neap_mapped (core/mapped.h): makes one of `mapping`, which came from another process and
     * is not trusted, kept by `original`, to which it takes a reference. NEAP_NOMEM, or NEAP_RANGE: there is no such
     * thing. NULL: another process asks, through a proxy. */
    int (*adopt)(const struct neap_class *class, const struct neap_mapping *mapping, struct neap_object *original,
                 struct neap_object **object);
    /* Any thread: what another process makes one of its own of: a descriptor (core/passage.h), which is a duplicate and
     * the caller's, or the reason why there is none. 0, or why it cannot be sent: what the system said, or UV_ENOTSUP:
     * it has to stay. NULL: it is not sent so. */
    int (*depart)(struct neap_object *object, struct neap_passage *passage);
    /* Any thread: makes one, with one reference, and takes over the descriptor if there is one; both on success only.
     * What came is not trusted. NEAP_NOMEM, or NEAP_RANGE: it makes no sense. With `depart`, or NULL. */
    int (*arrive)(const struct neap_passage *passage, struct neap_object **object);
    /* Any thread: writes, for another process, what its own is to be made of. NULL: the object stays in its process. */
    void (*pack)(struct neap_object *object, struct neap_packer *packer);
    /* Any thread: reads that, and makes a shared object, one reference; NULL after an error. With `pack`, or NULL. */
    struct neap_object *(*unpack)(struct neap_unpacker *unpacker);
};

struct neap_object {
    const struct neap_class *class; /* constant */
    union {
        struct {
            atomic_uint refs; /* plain while local; then increments relaxed, decrements release/acquire */
            union {
                struct neap_guard guard; /* not taken while local */
                uint32_t tag;            /* free for who embeds an object that stays local */
            };
        };
        struct neap_object *next_dead; /* once refs is 0: the next one that awaits its end on this thread */
    };
    bool shared; /* see above */
    /* Whoever is waited for may be in another process: so it is worth looking longer. Set once; relaxed */
    atomic_bool far;
    /* Free for the class; so called because futures use them all, see sync/future.h. */
    bool loops;
    bool in_place;
    atomic_bool observed;
    _Atomic uint8_t state;
    uint16_t mark; /* free for who embeds it */
#ifdef NEAP_CHECK
    const void *home; /* identifies the owning thread: a local object is used there only */
#endif
};

/* It stands for an object of another process. */
static inline bool neap_object_is_proxy(const struct neap_object *object) { return object->class->import != NULL; }

/* One reference, local, guard free. */
void neap_object_init(struct neap_object *object, const struct neap_class *class);

/* Makes it usable from every thread. By the owning thread; idempotent. */
void neap_object_share(struct neap_object *object);

struct neap_object *neap_object_ref(struct neap_object *object);
void neap_object_unref(struct neap_object *object);

#ifdef NEAP_CHECK
void neap_object_check_home(const struct neap_object *object);
#else
#define neap_object_check_home(object) ((void)0)
#endif

static inline void neap_object_lock(struct neap_object *object) {
    if (object->shared)
        neap_guard_lock(&object->guard);
    else
        neap_object_check_home(object);
}

static inline void neap_object_unlock(struct neap_object *object) {
    if (object->shared) neap_guard_unlock(&object->guard);
}

#endif
