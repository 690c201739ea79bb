/* wire: the connection of two processes: frames in both directions, descriptors, and the other side's death. The essay
 * is in wire.c.
 *
 * A frame is a type, some bytes, and perhaps descriptors. Frames arrive whole, once and in the order in which they were
 * sent, also those that a process sent just before it was killed. */
#ifndef NEAP_HOST_WIRE_H
#define NEAP_HOST_WIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/guard.h"
#include "core/segment.h"
#include "host/backlog.h"
#include "host/bell.h"
#include "host/large.h"

struct neap_class;
struct neap_session;
struct neap_wire;
struct neap_wire_ring;

enum {
    NEAP_WIRE_FDS_MAX = NEAP_BELL_FDS_MAX, /* descriptors of one frame */
    NEAP_WIRE_TOLD = 64,                   /* bytes: see neap_wire_tell */
    NEAP_WIRE_SLOTS = 128,                 /* see neap_wire_slot */
    NEAP_WIRE_SLOT = 64,                   /* bytes of one */
    NEAP_WIRE_INLINE_MAX = 64 * 1024       /* bytes: a frame of so many travels beside the ring (large.h) */
};

/* As it is received. Everything is the wire's, and gone after the call. */
struct neap_wire_frame {
    const char *bytes; /* not aligned */
    size_t size;
    struct neap_large_incoming
        *bulk; /* a piece that is not in `bytes`, but belongs there after so many (bulk->at); NULL: none */
    int *fds;  /* who keeps one puts -1 in its place; the rest is closed. -1: we had no room for it (EMFILE) */
    uint8_t fd_count;
    uint8_t type;
};

/* Both are called by whoever pumps, one at a time, and may send. */
struct neap_wire_user {
    /* A frame has come. False: it makes no sense, and the wire ends. */
    bool (*receive)(struct neap_wire *wire, const struct neap_wire_frame *frame);
    /* Nothing comes any more, nothing can be sent. Once. NEAP_BROKEN: the other side has gone; NEAP_CLOSED: we closed
     * it; UV_EPROTO: what came made no sense; NEAP_NOMEM, UV_EMFILE: it could not be taken in. */
    void (*ended)(struct neap_wire *wire, int code);
    /* All that had come has been received, for now. May be NULL. */
    void (*passed)(struct neap_wire *wire);
};

/* One way: its ring in the segment, seen from here. See wire_lane.h. */
struct neap_wire_lane {
    struct neap_wire_ring *ring; /* in the segment */
    char *bytes;                 /* of the ring, in the segment */
    uint64_t at; /* ours of its two ends: what the other side has no say in. Under the guard of its use */
};

struct neap_wire {
    atomic_uint refs;
    struct neap_bell bell;             /* the socket; what came: reading */
    struct neap_segment *segment;      /* with both rings; a reference. Constant */
    const struct neap_wire_user *user; /* constant once started */
    void *context;                     /* the user's. Constant once started */
    struct neap_large large;           /* frames beside the ring; what it holds of those that come: reading */
    struct neap_session *session;      /* of the objects that both sides know; NULL: none. Constant once pumped */
    const struct neap_class *const
        *classes;                /* whose objects cross it, ended by NULL: see packer.c. Constant once started */
    struct neap_guard reading;   /* of what is read; held while the user's functions run */
    struct neap_wire_lane in;    /* reading */
    char *frame;                 /* a copy of the frame that is being read; owned. reading */
    size_t frame_room;           /* allocated for it. reading */
    uint32_t small_frames;       /* that came since a large one. reading */
    _Atomic bool is_read;        /* somebody receives. Written under `reading`; relaxed */
    atomic_uint attended;        /* by so many threads; relaxed */
    struct neap_guard writing;   /* of what is written. Taken last of all */
    struct neap_wire_lane out;   /* writing */
    struct neap_backlog backlog; /* writing */
    _Atomic bool is_closed;      /* by us; relaxed */
    _Atomic bool has_ended;      /* written under both guards, once; relaxed */
};

/* A new connection, seen from here: one reference. The other process is to be given the descriptors `*socket`, which is
 * the caller's to close, and wire->segment->fd. 0, NEAP_NOMEM, or what the system said (UV_EMFILE). */
int neap_wire_new(struct neap_wire **wire, int *socket);
/* The other end, in the other process. Takes both descriptors over, on success only. */
int neap_wire_open(int socket, int fd, struct neap_wire **wire);

struct neap_wire *neap_wire_ref(struct neap_wire *wire);
/* The last one closes the descriptors: nobody polls wire->bell.socket any more. */
void neap_wire_unref(struct neap_wire *wire);

/* Before the first pump. `classes` may be NULL. */
void neap_wire_start(struct neap_wire *wire, const struct neap_wire_user *user, void *context,
                     const struct neap_class *const *classes);

/* Any thread, no guard of the wire held but, in the user's functions, `reading`. Sends a frame of `pieces`, with copies
 * of `fds` (at most NEAP_WIRE_FDS_MAX). Never waits: what finds no room is kept and follows. 0; NEAP_BROKEN: the wire
 * has ended; NEAP_NOMEM, or what the system said: nothing was sent. */
int neap_wire_send(struct neap_wire *wire, uint8_t type, const struct iovec *pieces, unsigned piece_count,
                   const int *fds, unsigned fd_count);

/* The same for three pieces, of which the one in the middle may be large, and is plain bytes: they may arrive as
 * frame->bulk, and in the other process be kept where they lie. */
int neap_wire_send_bulk(struct neap_wire *wire, uint8_t type, const struct iovec pieces[3], const int *fds,
                        unsigned fd_count);

/* The same for what must not get lost: of at most NEAP_WIRE_TOLD bytes. It needs no memory, or the wire ends. */
void neap_wire_tell(struct neap_wire *wire, uint8_t type, const struct iovec *piece);

/* The same for what the other side is going to look for anyway: nobody is woken for it. UV_EAGAIN: there is not much
 * room left, and nothing was sent. A frame of at most NEAP_WIRE_INLINE_MAX - 1 bytes. */
int neap_wire_offer(struct neap_wire *wire, uint8_t type, const struct iovec *piece);

/* The same for what is to be sent only if `claim` agrees, which is asked just before it is published, with no room left
 * to be found: it may change words of shared memory and take its wait out of a list, but waits for nothing and sends
 * nothing. UV_EAGAIN: it does not, or there is not much room left, and nothing was sent. */
int neap_wire_send_if(struct neap_wire *wire, uint8_t type, const struct iovec *piece, bool (*claim)(void *argument),
                      void *argument);

/* Any thread: receives what has come, and sends what was kept. The hub's thread calls it whenever wire->bell.socket can
 * be read; it will be readable when the next frame comes. False once the wire has ended. */
bool neap_wire_pump(struct neap_wire *wire);

/* Any thread, to save a wake-up: receives what is in the ring; false when there is nothing, or somebody else is at
 * it. */
bool neap_wire_glance(struct neap_wire *wire);
/* A guess whether that is worth while. */
bool neap_wire_has_frames(const struct neap_wire *wire);
/* A guess: does somebody receive just now? */
static inline bool neap_wire_is_being_read(const struct neap_wire *wire) {
    return atomic_load_explicit(&wire->is_read, memory_order_relaxed);
}
/* Any thread, no guard held: all that had been sent before this is called has been received when it returns; as far as
 * it goes at once, on a thread that is receiving from a wire itself. */
void neap_wire_take_in(struct neap_wire *wire);
static inline bool neap_wire_has_ended(const struct neap_wire *wire) {
    return atomic_load_explicit(&wire->has_ended, memory_order_relaxed);
}
/* Any thread that is going to glance again and again: until it leaves, nobody is woken by what comes. Leaving receives
 * what is left. */
void neap_wire_attend(struct neap_wire *wire);
void neap_wire_leave(struct neap_wire *wire);

/* A flag that both sides see at once, for what is not worth a frame. */
_Atomic bool *neap_wire_flag(const struct neap_wire *wire);

/* Memory that both sides see, zeroed to begin with: `number` of NEAP_WIRE_SLOTS; of those that are `ours` to use as we
 * like, or of the other side's. */
void *neap_wire_slot(const struct neap_wire *wire, bool ours, uint32_t number);

/* Any thread: it ends, on both sides; what was sent before and has not arrived yet may be lost. The hub's thread finds
 * wire->bell.socket readable, pumps, and so ends it here. Idempotent. */
void neap_wire_close(struct neap_wire *wire);

#endif
