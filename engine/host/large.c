/* large: memory beside the rings.
 *
 * PURPOSE     A string of a MiB costs no system call and no page fault, and is copied as often as between two
 *             threads: from where Lua has it, as far as its sender waits, to memory that both processes have mapped,
 *             and from there into the other Lua state. Out of a message, such as a result, it is once more.
 *
 * PLACES      New memory costs more than copying to it: the kernel clears it and maps it, page by page, on both sides.
 *             So each direction has a few places, segments that both sides keep mapped and use again and again; only
 *             their number is sent. A place is claimed by the thread that writes there, and then busy (a flag that
 *             both sides see) until the reader is done with it. One that is too small gets another segment, a power of
 *             two, whose descriptor is sent once. What is larger than KEPT_MAX, or finds all places busy, has a
 *             segment of its own, used once.
 *
 * LENT        A plain string need not be copied on arrival: the message refers to it where it lies, and the place is
 *             free again when the message has been decoded or dropped. That may take for ever. So only the first places
 *             are lent, and those that are claimed first; from the last ones everything is copied at once, and
 *             something is always on the move. What is used once is lent if it is larger than KEPT_MAX: smaller it is
 *             copied, as a mapping costs more.
 *
 * MEMORY      Bounded by NEAP_LARGE_PLACES times KEPT_MAX in each direction of a wire, and what messages hold by
 *             themselves. It goes with the wire, and what is lent when it is let go; both are the system's, so it
 *             does not matter who dies first.
 *
 * TRUST       None. A segment cannot shrink under its reader. What lies there may change while it is looked at: it is
 *             copied first, or is a plain string, in which nothing is looked for. A flag that the other side resets too
 *             early spoils what it reads itself.
 *
 * REJECTED    Files that are written and read (two copies more, and a system call for each: 1.5 GB/s); the same with
 *             new memory each time (256 page faults for a MiB on either side); lending from every place (a receiver
 *             that keeps a few strings would have all others sent by new memory). */
#include "host/large.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "core/check.h"
#include "core/error.h"
#include "core/list.h"
#include "core/memory.h"

enum {
    ROOM_LEAST = 64 * 1024,    /* bytes of a place */
    KEPT_MAX = 4 * 1024 * 1024 /* at most */
};

void neap_large_init(struct neap_large *large, struct neap_segment *shared, neap_large_flags *ours,
                     neap_large_flags *theirs) {
    memset(large, 0, sizeof *large);
    large->shared = neap_segment_ref(shared);
    large->ours = *ours;
    large->theirs = *theirs;
    for (int i = 0; i < NEAP_LARGE_PLACES; i++) atomic_init(&large->sent[i].is_claimed, false);
}

static void drop(struct neap_segment *segment) {
    if (segment != NULL) neap_segment_unref(segment);
}

void neap_large_fini(struct neap_large *large) {
    for (int i = 0; i < NEAP_LARGE_PLACES; i++) {
        drop(large->sent[i].segment);
        drop(large->received[i]);
    }
    neap_segment_unref(large->shared);
}

/* --- sending --- */

/* The number of a place that nobody uses, for this thread; NEAP_LARGE_PLACES: there is none. */
static uint32_t claim(struct neap_large *large) {
    for (uint32_t i = 0; i < NEAP_LARGE_PLACES; i++) {
        bool claimed = false;
        if (!atomic_compare_exchange_strong_explicit(&large->sent[i].is_claimed, &claimed, true, memory_order_acquire,
                                                     memory_order_relaxed))
            continue;
        /* acquire: what the reader did there comes before what we do */
        if (atomic_load_explicit(&large->ours[i], memory_order_acquire) == 0) return i;
        atomic_store_explicit(&large->sent[i].is_claimed, false, memory_order_release);
    }
    return NEAP_LARGE_PLACES;
}

/* A segment of at least `size` bytes in the place. */
static int prepare(struct neap_large_place *place, size_t size) {
    size_t room = ROOM_LEAST;
    struct neap_segment *segment;
    if (place->segment != NULL && place->segment->size >= size) return 0;
    while (room < size) room *= 2;
    int code = neap_segment_new(room, &segment);
    if (code != 0) return code;
    drop(place->segment);
    place->segment = segment;
    place->is_known = false;
    return 0;
}

static void copy(char *to, const struct iovec *pieces, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0) memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
        to += pieces[i].iov_len;
    }
}

/* Writes to a file, from its beginning: to new memory that costs less than copying.
 * 0, NEAP_NOMEM, or what the system said. */
static int write_all(int fd, const struct iovec *pieces, unsigned count) {
    off_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        const char *bytes = pieces[i].iov_base;
        for (size_t left = pieces[i].iov_len; left > 0;) {
            ssize_t written = pwrite(fd, bytes, left, at);
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) return written < 0 && errno != ENOSPC ? -errno : NEAP_NOMEM;
            bytes += written;
            at += written;
            left -= (size_t)written;
        }
    }
    return 0;
}

static int write_once(struct neap_large_outgoing *outgoing, const struct iovec *pieces, unsigned count) {
    struct neap_segment *segment;
    int code = neap_segment_new(outgoing->note.size, &segment);
    if (code != 0) return code;
    code = write_all(segment->fd, pieces, count);
    if (code != 0) {
        neap_segment_unref(segment);
        return code;
    }
    outgoing->segment = segment;
    outgoing->note.passes = 1;
    return 0;
}

int neap_large_write(struct neap_large *large, const struct iovec *pieces, unsigned count, size_t size,
                     struct neap_large_outgoing *outgoing) {
    uint32_t number = size <= KEPT_MAX ? claim(large) : NEAP_LARGE_PLACES;
    outgoing->note = (struct neap_large_note){.size = size, .place = number};
    if (number == NEAP_LARGE_PLACES) return write_once(outgoing, pieces, count);
    struct neap_large_place *place = &large->sent[number];
    int code = prepare(place, size);
    if (code != 0) {
        atomic_store_explicit(&place->is_claimed, false, memory_order_release);
        return code;
    }
    copy(place->segment->base, pieces, count);
    outgoing->segment = neap_segment_ref(place->segment);
    outgoing->note.passes = !place->is_known;
    /* what is published afterwards, in the ring, orders it for the reader */
    atomic_store_explicit(&large->ours[number], 1, memory_order_relaxed);
    return 0;
}

void neap_large_settle(struct neap_large *large, struct neap_large_outgoing *outgoing, bool sent) {
    uint32_t number = outgoing->note.place;
    neap_segment_unref(outgoing->segment);
    if (number == NEAP_LARGE_PLACES) return;
    struct neap_large_place *place = &large->sent[number];
    if (sent && !place->is_known) neap_segment_detach(place->segment);
    if (sent)
        place->is_known = true;
    else
        atomic_store_explicit(&large->ours[number], 0, memory_order_relaxed);
    atomic_store_explicit(&place->is_claimed, false, memory_order_release);
}

/* --- receiving --- */

/* Makes a segment of the first descriptor that came. It is not sent on: only the mapping is kept. */
static int take_segment(int *fds, unsigned fd_count, struct neap_segment **segment) {
    if (fd_count == 0) return UV_EPROTO;
    if (fds[0] < 0) return UV_EMFILE;
    int code = neap_segment_from_fd(fds[0], 0, segment);
    if (code != 0) return code == NEAP_NOMEM ? code : UV_EPROTO;
    fds[0] = -1;
    neap_segment_detach(*segment);
    return 0;
}

int neap_large_open(struct neap_large *large, const struct neap_large_note *note, int *fds, unsigned fd_count,
                    struct neap_large_incoming *incoming) {
    struct neap_segment *segment = NULL;
    bool once = note->place == NEAP_LARGE_PLACES;
    if (note->place > NEAP_LARGE_PLACES || note->size > NEAP_LARGE_MAX || note->passes > 1) return UV_EPROTO;
    int code = note->passes ? take_segment(fds, fd_count, &segment) : 0;
    if (code != 0) return code;
    if (!once && segment != NULL) {
        drop(large->received[note->place]);
        large->received[note->place] = segment;
    }
    if (!once) segment = large->received[note->place];
    if (segment == NULL || note->size > segment->size) {
        if (once) drop(segment);
        return UV_EPROTO;
    }
    incoming->bytes = segment->base;
    incoming->size = note->size;
    incoming->at = note->at;
    incoming->large = large;
    incoming->segment = once ? segment : neap_segment_ref(segment);
    incoming->flag = once ? NULL : &large->theirs[note->place];
    incoming->can_be_lent = once ? note->size > KEPT_MAX : note->place < NEAP_LARGE_LENT;
    return 0;
}

/* What has been lent to a message. */
struct loan {
    struct neap_store store;
    struct neap_segment *segment; /* in which it lies; a reference */
    struct neap_segment *shared;  /* in which the flag lies; a reference */
    _Atomic uint32_t *flag;       /* NULL: there is none */
};

/* Release: the next one to write there comes after who read. */
static void set_free(_Atomic uint32_t *flag) {
    if (flag != NULL) atomic_store_explicit(flag, 0, memory_order_release);
}

static void release(struct neap_store *store) {
    struct loan *loan = NEAP_CONTAINER_OF(store, struct loan, store);
    set_free(loan->flag);
    neap_segment_unref(loan->segment);
    neap_segment_unref(loan->shared);
    neap_free(loan);
}

struct neap_store *neap_large_lend(struct neap_large_incoming *incoming) {
    struct loan *loan = incoming->can_be_lent ? neap_alloc(sizeof *loan) : NULL;
    if (loan == NULL) return NULL;
    loan->store = (struct neap_store){.bytes = incoming->bytes, .release = release};
    loan->segment = neap_segment_ref(incoming->segment);
    loan->shared = neap_segment_ref(incoming->large->shared);
    loan->flag = incoming->flag;
    incoming->flag = NULL;
    incoming->can_be_lent = false;
    return &loan->store;
}

void neap_large_close(struct neap_large_incoming *incoming) {
    set_free(incoming->flag);
    neap_segment_unref(incoming->segment);
}
