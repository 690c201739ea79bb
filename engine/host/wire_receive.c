/* wire_receive: frames on their way in, from the ring, or from beside it, to the user; all with `reading` held. Each is
 * copied before it is looked at. */
#include <string.h>
#include <uv.h>

#include "core/error.h"
#include "core/memory.h"
#include "host/wire_internal.h"

enum {
    GIVE_BACK = NEAP_WIRE_RING_SIZE / 8, /* the reader moves head at least once in so many bytes */
    KEPT_FRAME = 256 * 1024,   /* bytes: a larger frame leaves its room behind for as long as others like it come */
    SMALL_FRAMES = 256,        /* in a row: none like it comes any more */
    ROOM_MAX = 4 * 1024 * 1024 /* bytes: no larger frame leaves its room behind */
};

static int make_frame_room(struct neap_wire *wire, size_t size) {
    if (size <= wire->frame_room) return 0;
    char *wider = neap_realloc(wire->frame, size);
    if (wider == NULL) return NEAP_NOMEM;
    wire->frame = wider;
    wire->frame_room = size;
    return 0;
}

/* A frame of `size` bytes has been dealt with. */
static void trim_frame_room(struct neap_wire *wire, size_t size) {
    if (wire->frame_room <= KEPT_FRAME) return;
    wire->small_frames = size > KEPT_FRAME ? 0 : wire->small_frames + 1;
    if (size <= ROOM_MAX && wire->small_frames < SMALL_FRAMES) return;
    neap_free(wire->frame);
    wire->frame = NULL;
    wire->frame_room = 0;
}

/* Copies the bytes of a frame that stand in the ring, from `from` of them on. */
static int read_ring(struct neap_wire *wire, const struct neap_wire_header *header, size_t from) {
    size_t size = header->size - from;
    int code = make_frame_room(wire, size > 0 ? size : 1);
    if (code == 0) neap_wire_lane_copy_out(&wire->in, sizeof *header + from, wire->frame, size);
    return code;
}

/* The frame's bytes are in wire->frame. The first descriptor may have served another purpose. */
static int hand_over(struct neap_wire *wire, const struct neap_wire_header *header, size_t size, bool passed,
                     struct neap_large_incoming *bulk) {
    const struct neap_wire_frame frame = {.bytes = wire->frame,
                                          .size = size,
                                          .bulk = bulk,
                                          .fds = passed ? wire->bell.arrived + 1 : wire->bell.arrived,
                                          .fd_count = (uint8_t)(header->fds - passed),
                                          .type = header->type};
    return wire->user->receive(wire, &frame) ? 0 : UV_EPROTO;
}

static int deliver_whole(struct neap_wire *wire, const struct neap_wire_header *header) {
    int code = read_ring(wire, header, 0);
    return code == 0 ? hand_over(wire, header, header->size, false, NULL) : code;
}

/* All of it lies beside the ring, and is copied. */
static int deliver_beside(struct neap_wire *wire, const struct neap_wire_header *header, bool passed,
                          struct neap_large_incoming *incoming) {
    size_t size = incoming->size;
    int code = header->size == sizeof(struct neap_large_note) ? make_frame_room(wire, size) : UV_EPROTO;
    if (code == 0) memcpy(wire->frame, incoming->bytes, size);
    neap_large_close(incoming);
    if (code == 0) code = hand_over(wire, header, size, passed, NULL);
    trim_frame_room(wire, size);
    return code;
}

static int deliver_split(struct neap_wire *wire, const struct neap_wire_header *header, bool passed,
                         struct neap_large_incoming *incoming) {
    size_t rest = header->size - sizeof(struct neap_large_note);
    int code = incoming->at <= rest ? read_ring(wire, header, sizeof(struct neap_large_note)) : UV_EPROTO;
    if (code == 0) code = hand_over(wire, header, rest, passed, incoming);
    neap_large_close(incoming);
    return code;
}

static int deliver_large(struct neap_wire *wire, const struct neap_wire_header *header) {
    struct neap_large_note note;
    struct neap_large_incoming incoming;
    if (header->size < sizeof note) return UV_EPROTO;
    neap_wire_lane_copy_out(&wire->in, sizeof *header, &note, sizeof note);
    int code = neap_large_open(&wire->large, &note, wire->bell.arrived, header->fds, &incoming);
    if (code != 0) return code;
    bool passed = note.passes != 0;
    return header->way == NEAP_WIRE_BESIDE ? deliver_beside(wire, header, passed, &incoming)
                                           : deliver_split(wire, header, passed, &incoming);
}

static int deliver(struct neap_wire *wire, const struct neap_wire_header *header) {
    int code = neap_bell_await(&wire->bell, header->fds);
    if (code != 0) return code;
    code = header->way == NEAP_WIRE_INLINE ? deliver_whole(wire, header) : deliver_large(wire, header);
    neap_bell_forget(&wire->bell, header->fds);
    return code;
}

/* The next frame; `published` bytes are in the ring. */
static int read_frame(struct neap_wire *wire, size_t published) {
    struct neap_wire_header header;
    if (published < sizeof header) return UV_EPROTO;
    neap_wire_lane_copy_out(&wire->in, 0, &header, sizeof header);
    size_t whole = neap_wire_lane_size(&header);
    if (whole > published || header.size >= NEAP_WIRE_INLINE_MAX || header.way > NEAP_WIRE_SPLIT || header.zero != 0 ||
        header.fds > NEAP_WIRE_FDS_MAX)
        return UV_EPROTO;
    int code = deliver(wire, &header);
    wire->in.at += whole;
    return code;
}

int neap_wire_read_all(struct neap_wire *wire) {
    size_t published = 0;
    uint64_t given_back = wire->in.at;
    int code;
    while ((code = neap_wire_look(wire, &published)) == 0 && published > 0) {
        while (code == 0 && published > 0) {
            uint64_t before = wire->in.at;
            code = read_frame(wire, published);
            published -= (size_t)(wire->in.at - before);
            if (wire->in.at - given_back < GIVE_BACK) continue;
            given_back = wire->in.at;
            neap_wire_lane_give_back(&wire->in, &wire->bell);
        }
        if (code != 0) break;
    }
    neap_wire_lane_give_back(&wire->in, &wire->bell);
    return code;
}
