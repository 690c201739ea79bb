/* session: who knows what of whom.
 *
 * MODEL       An object lives in one process. When a message with a reference to it goes over a link, the object is
 *             exported: it gets a number, and the session keeps a reference as long as the other side has any. The
 *             other side makes a proxy, or finds the one that it has. A proxy that is sent on is exported like any
 *             object, and its process passes on what is asked of it; one that is sent back home arrives as what it
 *             stands for. Processes are a tree, so between two of them there is one way, and in each an object has one
 *             proxy.
 * CHILD       What stands for the child process on either side is one and the same: it has no number and no proxy.
 * COUNTING    The exporter counts how often it has sent a reference, the importer how often one has come. A proxy that
 *             ends says how often (DROP), and the exporter lets go when all it has sent are accounted for: a reference
 *             that is under way meanwhile is not. So an exported object can be named by its number for as long as its
 *             proxy lives.
 * REVIVAL     `imports` refers to proxies without a reference, else none would ever end. One that is found just when
 *             its last reference has gone is revived: see neap_import_revived.
 * AS ITSELF   Code, classes and the like are constant: they are sent whole once, and then by number. Both sides keep
 *             them; the sender looks through what nobody else has any more, and says so (FORGET).
 * PASSED      What is a descriptor, as a listener, is sent as one, and neither side takes note of it: see passing.c.
 * AHEAD       What is received again and again from a channel is sent before it is asked for: lender.c, borrower.c; and
 *             what is sent to one again and again is sent without asking: debtor.c, creditor.c.
 * WAITS       request.c asks, serving.c waits for it, reply.c answers. Who claims a wait is decided by its ticket
 *             (core/ticket.c), never by the order in which frames arrive.
 * THE END     comes after the last frame. Then: 1. nothing new is asked (ended); 2. what was asked fails; 3. what is
 *             served is withdrawn; 4. what the other side holds is abandoned; 5. exports are let go. Proxies stay, and
 *             fail.
 * LOCKS       An object's guard may be held when the session's is taken, never the other way round; under the session's
 *             nothing is called that is not the session's own.
 * TRUST       The other side is of our own making, but may have died, or been overwritten: what it says is checked, and
 *             what makes no sense ends the link. */
#include "host/session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/borrower.h"
#include "host/calling.h"
#include "host/creditor.h"
#include "host/debtor.h"
#include "host/delegate.h"
#include "host/exports.h"
#include "host/lender.h"
#include "host/mapping.h"
#include "host/reference.h"
#include "host/request.h"
#include "host/serving.h"

/* --- life --- */

struct neap_session *neap_session_new(struct neap_wire *wire, struct neap_board *board,
                                      const struct neap_makers *makers) {
    struct neap_session *session = neap_alloc_zeroed(sizeof *session);
    if (session == NULL) return NULL;
    atomic_init(&session->refs, 1);
    session->wire = neap_wire_ref(wire);
    session->board = board;
    session->makers = makers;
    neap_guard_init(&session->guard);
    neap_idmap_init(&session->exported);
    neap_idmap_init(&session->imports);
    neap_idmap_init(&session->received);
    neap_idmap_init(&session->segments_sent);
    neap_idmap_init(&session->segments);
    neap_idmap_init(&session->servings);
    neap_idmap_init(&session->owners);
    neap_idmap_init(&session->holds);
    neap_list_init(&session->given);
    neap_list_init(&session->due);
    session->looked_at = &session->given;
    wire->session = session;
    return session;
}

void neap_session_set_child(struct neap_session *session, struct neap_object *object) {
    neap_guard_lock(&session->guard);
    session->child = object;
    neap_guard_unlock(&session->guard);
}

struct neap_session *neap_session_ref(struct neap_session *session) {
    atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
    return session;
}

void neap_session_unref(struct neap_session *session) {
    if (atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) != 1) return;
    neap_delegates_free(session);
    neap_idmap_fini(&session->exported);
    neap_idmap_fini(&session->imports);
    neap_idmap_fini(&session->received);
    neap_idmap_fini(&session->segments_sent);
    neap_idmap_fini(&session->segments);
    neap_idmap_fini(&session->servings);
    neap_idmap_fini(&session->owners);
    neap_idmap_fini(&session->holds);
    neap_free(session->exports);
    neap_free(session->requests);
    neap_free(session->cause);
    neap_wire_unref(session->wire);
    neap_free(session);
}

bool neap_session_has_ended(struct neap_session *session) {
    neap_guard_lock(&session->guard);
    bool ended = session->ended;
    neap_guard_unlock(&session->guard);
    return ended;
}

void neap_session_cause(struct neap_session *session, char *text, size_t size) {
    neap_guard_lock(&session->guard);
    const char *cause = session->cause != NULL ? session->cause : "";
    size_t length = strlen(cause);
    if (length > size - 1) length = size - 1;
    memcpy(text, cause, length);
    text[length] = '\0';
    neap_guard_unlock(&session->guard);
}

/* --- for the parts --- */

bool neap_session_take_slot(struct neap_session *session, uint32_t *slot) {
    uint32_t free = 0;
    while (free < NEAP_WIRE_SLOTS && session->slots[free]) free++;
    if (free == NEAP_WIRE_SLOTS) return false;
    session->slots[free] = true;
    *slot = free;
    return true;
}

void neap_session_give_slot(struct neap_session *session, uint32_t slot) {
    neap_guard_lock(&session->guard);
    session->slots[slot] = false;
    neap_guard_unlock(&session->guard);
}

int neap_session_send_numbers(struct neap_session *session, uint8_t type, uint32_t first, uint32_t second) {
    uint32_t numbers[2] = {first, second};
    struct iovec piece = {numbers, sizeof numbers};
    return neap_wire_send(session->wire, type, &piece, 1, NULL, 0);
}

/* --- the board --- */

int neap_session_give_board(struct neap_session *session) {
    const struct neap_segment *segment = neap_board_segment(session->board);
    int fd = fcntl(segment->fd, F_DUPFD_CLOEXEC, 0);
    struct neap_packer packer;
    if (fd < 0) return -errno;
    neap_packer_init(&packer, session->wire);
    neap_pack_u64(&packer, segment->id);
    neap_pack_fd(&packer, fd);
    int code = neap_packer_send(&packer, NEAP_FRAME_BOARD);
    neap_packer_fini(&packer);
    return code;
}

static bool receive_board(struct neap_session *session, struct neap_unpacker *unpacker) {
    struct neap_segment *segment;
    uint64_t id = neap_unpack_u64(unpacker);
    int fd = neap_unpack_fd(unpacker);
    if (fd < 0 || session->board != NULL) return false;
    int code = neap_segment_from_fd(fd, id, &segment);
    if (code != 0) {
        close(fd);
        return false;
    }
    code = neap_board_join(segment, &session->board);
    if (code != 0) neap_segment_unref(segment);
    return code == 0;
}

/* --- frames --- */

bool neap_session_receive(struct neap_session *session, const struct neap_wire_frame *frame) {
    struct neap_unpacker unpacker;
    neap_unpacker_init(&unpacker, session->wire, frame);
    bool good = true;
    uint32_t id;
    switch (frame->type) {
        case NEAP_FRAME_BOARD: good = receive_board(session, &unpacker); break;
        case NEAP_FRAME_REQUEST: good = neap_serving_request(session, &unpacker); break;
        case NEAP_FRAME_WITHDRAW: neap_serving_withdraw(session, neap_unpack_u64(&unpacker)); break;
        case NEAP_FRAME_CALL: good = neap_calling_receive(session, &unpacker); break;
        case NEAP_FRAME_REPLY: good = neap_request_reply(session, &unpacker); break;
        case NEAP_FRAME_DROP:
            id = neap_unpack_u32(&unpacker);
            good = neap_export_drop(session, id, neap_unpack_u32(&unpacker));
            neap_servings_sweep(session);
            break;
        case NEAP_FRAME_SEGMENT: good = neap_mapping_segment(session, &unpacker); break;
        case NEAP_FRAME_FORGET_SEGMENT: neap_mapping_forget(session, neap_unpack_u64(&unpacker)); break;
        case NEAP_FRAME_AHEAD: good = neap_borrower_receive(session, &unpacker); break;
        case NEAP_FRAME_CREDIT: good = neap_debtor_told(session, &unpacker); break;
        case NEAP_FRAME_SENT: good = neap_creditor_receive(session, &unpacker); break;
        case NEAP_FRAME_RECEIVED: neap_serving_received(session, neap_unpack_u64(&unpacker)); break;
        case NEAP_FRAME_RETURN: good = neap_serving_return(session, &unpacker); break;
        case NEAP_FRAME_TAKEN: neap_lender_told(session, neap_unpack_u32(&unpacker)); break;
        case NEAP_FRAME_FORGET: neap_reference_forget(session, neap_unpack_u32(&unpacker)); break;
        default: good = false;
    }
    return good && unpacker.code == 0;
}

void neap_session_passed(struct neap_session *session) { neap_creditors_passed(session); }
/* --- the end --- */

void neap_session_end(struct neap_session *session, const char *cause) {
    if (neap_session_has_ended(session)) return;
    size_t size = strlen(cause) + 1;
    char *copy = neap_alloc(size);
    if (copy != NULL) memcpy(copy, cause, size);
    neap_guard_lock(&session->guard);
    session->cause = copy;
    session->ended = true;
    neap_guard_unlock(&session->guard);
    neap_requests_end(session);
    neap_servings_end(session);
    neap_exports_end(session);
    neap_references_end(session);
    neap_mappings_end(session);
}
