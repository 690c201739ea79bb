/* message: a value on its way between tasks, threads and processes, or kept for them.
 *
 * MODEL      Small values travel inline: nil, booleans, numbers, null, strings up to 30 bytes, one handle. Everything
 *            else is a parcel: the codec's bytes and the objects that they refer to by index.
 * OWNERSHIP  A message is owned by exactly one place; copying the struct moves it, and the source must then be
 *            forgotten (neap_message_clear) or overwritten. neap_message_fini drops what nobody received.
 *            A parcel is constant once it is sealed, so one message may be decoded many times where it lies, and copies
 *            of a message share it: it is counted.
 * STORES     The bytes of a long string may lie elsewhere, in memory that is only lent to the message: then its
 *            parcel has a store. They are constant as any, unless another process breaks its word: who reads them
 *            looks for nothing in them. */
#ifndef NEAP_CORE_MESSAGE_H
#define NEAP_CORE_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct neap_object;

enum neap_message_kind {
    NEAP_MESSAGE_EMPTY, /* no value at all; also nil */
    NEAP_MESSAGE_NULL,  /* neap.null */
    NEAP_MESSAGE_FALSE,
    NEAP_MESSAGE_TRUE,
    NEAP_MESSAGE_INTEGER,
    NEAP_MESSAGE_NUMBER,
    NEAP_MESSAGE_TEXT,   /* a string of at most NEAP_MESSAGE_TEXT_MAX bytes, inline */
    NEAP_MESSAGE_BYTES,  /* a longer string: a parcel that holds just its bytes */
    NEAP_MESSAGE_PARCEL, /* what the codec wrote */
    NEAP_MESSAGE_LIST,   /* several messages as one, none of which is a list: see neap_message_pack */
    NEAP_MESSAGE_OBJECT, /* a handle: one reference */
    NEAP_MESSAGE_CODE    /* the call of a function that is nothing but its code: one reference to that */
};

enum { NEAP_MESSAGE_TEXT_MAX = 30 };

/* Memory that is lent to a parcel. */
struct neap_store {
    const char *bytes;                         /* constant */
    void (*release)(struct neap_store *store); /* they are not needed any more, nor is this; once, any thread */
};

struct neap_parcel {
    size_t size;                  /* of bytes */
    struct neap_object **objects; /* one reference each; NULL when there is none */
    uint32_t object_count;
    atomic_uint refs;         /* messages that it belongs to */
    struct neap_store *store; /* has the bytes instead, and goes with the parcel; NULL. Only of a plain string */
    char bytes[];             /* the codec's, a plain string's, or the messages of a list */
};

struct neap_message {
    union {
        struct {
            uint8_t kind;                     /* enum neap_message_kind */
            uint8_t length;                   /* of text */
            char text[NEAP_MESSAGE_TEXT_MAX]; /* not terminated */
        };
        struct {
            uint64_t head; /* covers kind */
            union {
                int64_t integer;
                double number;
                struct neap_parcel *parcel;
                struct neap_object *object;
            };
        };
    };
};

/* A parcel with room for `size` bytes and `object_count` references, both to be filled in by the caller;
 * NULL: no memory. */
struct neap_parcel *neap_parcel_new(size_t size, uint32_t object_count);
/* A parcel for a plain string whose `size` bytes are in `store`, which it takes over, on success only;
 * NULL: no memory. */
struct neap_parcel *neap_parcel_new_stored(size_t size, struct neap_store *store);
/* The bytes of a plain string. */
static inline const char *neap_parcel_string(const struct neap_parcel *parcel) {
    return parcel->store == NULL ? parcel->bytes : parcel->store->bytes;
}
/* Of the one who made it, and has not put it into a message: drops its references and itself. */
void neap_parcel_free(struct neap_parcel *parcel);

/* A string, cut where there is no memory for it. `message` must be empty. */
void neap_message_set_text(struct neap_message *message, const char *text);

void neap_message_release(struct neap_message *message);

/* Writes the same value to `to`, which is overwritten. Costs no memory: what is not inline is shared. */
void neap_message_copy(struct neap_message *to, const struct neap_message *from);

/* From now on nobody shares its parcel, if it has one. NEAP_NOMEM: it is as it was. */
int neap_message_unshare(struct neap_message *message);

/* Moves `count` messages into one; 0, or NEAP_NOMEM and they are where they were. */
int neap_message_pack(struct neap_message *messages, size_t count, struct neap_message *list);
/* A list of `count` empty messages, to be filled in through the pointer by the one who makes it; NULL: no memory. */
struct neap_message *neap_message_new_list(struct neap_message *list, size_t count);
/* The messages in a list, which stay its own, and how many they are. */
const struct neap_message *neap_message_items(const struct neap_message *list, size_t *count);

static inline void neap_message_clear(struct neap_message *message) { message->kind = NEAP_MESSAGE_EMPTY; }

/* Drops the value; the message is empty afterwards. */
static inline void neap_message_fini(struct neap_message *message) {
    if (message->kind >= NEAP_MESSAGE_BYTES) neap_message_release(message);
    message->kind = NEAP_MESSAGE_EMPTY;
}

/* Refers to no objects, and is of a moderate size: at most `most` bytes beside the message itself. */
static inline bool neap_message_is_plain(const struct neap_message *message, size_t most) {
    if (message->kind < NEAP_MESSAGE_BYTES) return true;
    return message->kind <= NEAP_MESSAGE_PARCEL && message->parcel->object_count == 0 && message->parcel->size <= most;
}

/* Sets the kind of an empty message. Writes the whole head, as copying reads it: a processor that finds a word in
 * pieces that have just been written waits until they are all in memory. */
static inline void neap_message_set_kind(struct neap_message *message, enum neap_message_kind kind) {
    message->head = 0;
    message->kind = (uint8_t)kind;
}

/* The bare copy of OWNERSHIP: what `to` held is overwritten, `from` stays as it is. */
static inline void neap_message_put(struct neap_message *to, const struct neap_message *from) {
    if (from->kind == NEAP_MESSAGE_TEXT) {
        *to = *from;
    } else {
        to->head = from->head;
        to->integer = from->integer; /* or what else there is in its place */
    }
}

/* Moves a message; `from` is empty afterwards. */
static inline void neap_message_move(struct neap_message *to, struct neap_message *from) {
    neap_message_put(to, from);
    from->kind = NEAP_MESSAGE_EMPTY;
}

#endif
