/* packer: frames and what is in them: numbers, texts, messages; and with a message the objects that it refers to.
 *
 * Native byte order, nothing aligned: both ends are on one machine, and of one version of this library
 * (process.c sees to that). Errors stick: after the first one nothing more is written or read, and `code` tells;
 * so only the end has to look. */
#ifndef NEAP_HOST_PACKER_H
#define NEAP_HOST_PACKER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/message.h"
#include "host/wire.h"

enum {
    NEAP_PACKER_INLINE = 512,
    NEAP_PACKER_NOTES = 4,
    NEAP_PACKER_BULK =
        32 * 1024 /* bytes of a message that are not copied into the frame, but sent from where they are */
};

struct neap_class;
struct neap_unpacker;

/* A frame that is being written. */
struct neap_packer {
    struct neap_wire *wire;
    char *bytes;                /* `inlined`, or owned */
    size_t used, room;          /* of bytes: written, there */
    const char *bulk;           /* of a message, to be sent in between; borrowed. NULL: none */
    size_t bulk_size, bulk_at;  /* then: its bytes; after how many of `bytes` */
    int fds[NEAP_WIRE_FDS_MAX]; /* owned */
    unsigned fd_count;          /* of fds */
    int code; /* 0; NEAP_NOMEM; UV_ENOTSUP: an object cannot go to another process; UV_EMSGSIZE: too many descriptors */
    const struct neap_object *obstacle; /* which; NULL */
    /* Whoever has sent it is not there to be told: see passing.c. Set by who packs; false to begin with. */
    bool is_late;
    uint32_t notes[NEAP_PACKER_NOTES]; /* the session's: what it learns once this has been sent */
    unsigned note_count;               /* of notes */
    char inlined[NEAP_PACKER_INLINE];
};

void neap_packer_init(struct neap_packer *packer, struct neap_wire *wire);
void neap_packer_fini(struct neap_packer *packer);
/* Any thread. Sends it as a frame of this type, unless something has failed before. 0 or the code. */
int neap_packer_send(struct neap_packer *packer, uint8_t type);
/* The same for what must not get lost: what is small, and has neither objects nor descriptors,
 * is told (neap_wire_tell). */
int neap_packer_tell(struct neap_packer *packer, uint8_t type);

void neap_pack(struct neap_packer *packer, const void *bytes, size_t size);
static inline void neap_pack_u8(struct neap_packer *packer, uint8_t value) { neap_pack(packer, &value, sizeof value); }
static inline void neap_pack_u32(struct neap_packer *packer, uint32_t value) {
    neap_pack(packer, &value, sizeof value);
}
static inline void neap_pack_u64(struct neap_packer *packer, uint64_t value) {
    neap_pack(packer, &value, sizeof value);
}
/* Writes over what was packed first, with neap_pack_u64. */
static inline void neap_packer_set_first(struct neap_packer *packer, uint64_t value) {
    memcpy(packer->bytes, &value, sizeof value);
}
/* A text; NULL is "". */
void neap_pack_text(struct neap_packer *packer, const char *text);
/* `message` stays as it is, and is to stay until the frame has been sent. */
void neap_pack_message(struct neap_packer *packer, const struct neap_message *message);
/* A class of those that both ends know by number. UNPACK: NULL: an error. */
void neap_pack_class(struct neap_packer *packer, const struct neap_class *class);
const struct neap_class *neap_unpack_class(struct neap_unpacker *unpacker);
/* An object, as its class packs it, whoever else knows it. */
void neap_pack_whole(struct neap_packer *packer, struct neap_object *object);
/* A descriptor goes along, up to NEAP_WIRE_FDS_MAX - 1 of them; it is the packer's from now on, also after an error. */
void neap_pack_fd(struct neap_packer *packer, int fd);

/* A frame that is being read. */
struct neap_unpacker {
    struct neap_wire *wire;
    const char *at, *end;             /* what is left */
    struct neap_large_incoming *bulk; /* of the frame, unless it has been read; NULL */
    const char *bulk_at;              /* where it belongs; NULL */
    int *fds;                         /* of the frame, those that were not taken yet */
    unsigned fd_count;                /* of fds */
    unsigned depth;                   /* objects within one another that are being read */
    int code;                         /* 0; UV_EPROTO: it makes no sense; NEAP_NOMEM, UV_EMFILE */
};

void neap_unpacker_init(struct neap_unpacker *unpacker, struct neap_wire *wire, const struct neap_wire_frame *frame);

/* The next `size` bytes, in the frame; NULL: an error. */
const char *neap_unpack(struct neap_unpacker *unpacker, size_t size);
uint8_t neap_unpack_u8(struct neap_unpacker *unpacker);
uint32_t neap_unpack_u32(struct neap_unpacker *unpacker);
uint64_t neap_unpack_u64(struct neap_unpacker *unpacker);
/* A text, which ends with a zero, in the frame; "" after an error. */
const char *neap_unpack_text(struct neap_unpacker *unpacker);
/* `message` must be empty, and is so after an error. */
void neap_unpack_message(struct neap_unpacker *unpacker, struct neap_message *message);
/* An object: a new reference; NULL: an error. WHOLE: as neap_pack_whole has written it. */
struct neap_object *neap_unpack_object(struct neap_unpacker *unpacker);
struct neap_object *neap_unpack_whole(struct neap_unpacker *unpacker);
/* The next descriptor, which is the caller's; -1: an error. */
int neap_unpack_fd(struct neap_unpacker *unpacker);
/* The same for what can do without: when we had no room for the descriptor, that is -1, and no error. */
int neap_unpack_fd_or_none(struct neap_unpacker *unpacker);
/* What is read makes no sense (UV_EPROTO), or something else is in the way. */
void neap_unpack_fail(struct neap_unpacker *unpacker, int code);
void neap_unpack_nomem(struct neap_unpacker *unpacker);

#endif
