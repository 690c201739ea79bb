/* session: who knows what of whom.
 *
 * MODEL       An object lives in one process. When a message with a reference to it goes over a link, the object is
 *             exported: it gets a number, and the session keeps a reference as long as the other side has any. The
 *             other side makes a proxy, or finds the one that it has. A proxy that is sent on is exported like any
 *             object, and its process passes on what is asked of it; one that is sent back home arrives as what it
 *             stands for. Processes are a tree, so between two of them there is one way, and in each an object has one
 *             proxy.
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
#include <uv.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/borrower.h"
#include "host/calling.h"
#include "host/creditor.h"
#include "host/debtor.h"
#include "host/delegate.h"
#include "host/lender.h"
#include "host/mapping.h"
#include "host/passing.h"
#include "host/request.h"
#include "host/serving.h"

/* How an object is named in a frame. */
enum { HOME, AWAY, WHOLE, KNOWN, MAPPED, PASSED };

enum { FIRST_EXPORTS = 16, VALUES_PER_LOOK = 256 };

enum { PARTY_BITS = 8 }; /* below a word's offset, where it is told */

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

/* --- exports; guard held --- */

static uint32_t find_export(const struct neap_session *session, const struct neap_object *object) {
    return (uint32_t)(uintptr_t)neap_idmap_get(&session->exported, (uintptr_t)object);
}

static bool grow_exports(struct neap_session *session) {
    uint32_t room = session->export_room == 0 ? FIRST_EXPORTS : session->export_room * 2;
    struct neap_export *exports = neap_realloc(session->exports, room * sizeof *exports);
    if (exports == NULL) return false;
    for (uint32_t i = room; i-- > session->export_room;) {
        exports[i].object = NULL;
        exports[i].next = session->export_free;
        session->export_free = i + 1;
    }
    session->exports = exports;
    session->export_room = room;
    return true;
}

/* The place of `object`, with a new reference if it has not been exported yet: its number plus 1; 0: no memory, or too
 * late. */
static uint32_t place_export(struct neap_session *session, struct neap_object *object) {
    uint32_t found = find_export(session, object);
    if (found != 0 || session->ended) return found;
    if (session->export_free == 0 && !grow_exports(session)) return 0;
    uint32_t place = session->export_free;
    if (neap_idmap_put(&session->exported, (uintptr_t)object, (void *)(uintptr_t)place) != 0) return 0;
    struct neap_export *export = &session->exports[place - 1];
    session->export_free = export->next;
    export->object = neap_object_ref(object);
    export->sent = 0;
    export->asked = 0;
    export->party = 0;
    export->lender = NULL;
    export->sends = 0;
    export->creditor = NULL;
    return place;
}

/* Out of the table; the caller ends it (end_export) once it has let go of the guard. */
static struct neap_export take_export(struct neap_session *session, uint32_t id) {
    struct neap_export *export = &session->exports[id], taken = *export;
    export->object = NULL;
    export->lender = NULL;
    export->creditor = NULL;
    export->next = session->export_free;
    session->export_free = id + 1;
    neap_idmap_remove(&session->exported, (uintptr_t)taken.object);
    return taken;
}

/* No guard held; with the last reference the object goes. */
static void end_export(const struct neap_export *export) {
    neap_lender_end(export->lender);
    neap_creditor_end(export->creditor);
    if (export->party != 0) export->object->class->remote->leave(export->object, export->party);
    neap_object_unref(export->object);
}

struct neap_export *neap_session_export(struct neap_session *session, uint32_t id) {
    return id < session->export_room && session->exports[id].object != NULL ? &session->exports[id] : NULL;
}

struct neap_object *neap_session_exported(struct neap_session *session, uint32_t id) {
    neap_guard_lock(&session->guard);
    const struct neap_export *export = neap_session_export(session, id);
    struct neap_object *object = export != NULL && export->sent > 0 ? neap_object_ref(export->object) : NULL;
    neap_guard_unlock(&session->guard);
    return object;
}

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

/* --- writing references --- */

void neap_session_sent(struct neap_session *session, const uint32_t *notes, unsigned count) {
    neap_guard_lock(&session->guard);
    for (unsigned i = 0; i < count && !session->ended; i++) session->exports[notes[i]].sent = 1;
    neap_guard_unlock(&session->guard);
}

static int send_numbers(struct neap_session *session, uint8_t type, uint32_t first, uint32_t second) {
    uint32_t numbers[2] = {first, second};
    struct iovec piece = {numbers, sizeof numbers};
    return neap_wire_send(session->wire, type, &piece, 1, NULL, 0);
}

/* What travelled as itself and is referred to by nobody but us: the other side need not keep it either. */
static void forget_values(struct neap_session *session) {
    for (uint32_t id = 0;; id++) {
        struct neap_export taken = {.object = NULL};
        neap_guard_lock(&session->guard);
        session->values = 0;
        while (id < session->export_room && taken.object == NULL) {
            const struct neap_export *export = &session->exports[id];
            if (export->object != NULL && export->object->class->pack != NULL &&
                atomic_load_explicit(&export->object->refs, memory_order_acquire) == 1)
                taken = take_export(session, id);
            else
                id++;
        }
        /* Sent under the guard: the number may be given to another object at once. */
        if (taken.object != NULL) send_numbers(session, NEAP_FRAME_FORGET, id, 0);
        neap_guard_unlock(&session->guard);
        if (taken.object == NULL) return;
        end_export(&taken);
    }
}

/* It is sent whole until a frame that has it has been sent; whoever receives it twice keeps the last one. */
static void put_whole(struct neap_packer *packer, struct neap_object *object) {
    struct neap_session *session = packer->wire->session;
    neap_guard_lock(&session->guard);
    uint32_t place = place_export(session, object);
    bool known = place != 0 && session->exports[place - 1].sent > 0, many = false;
    if (!known) many = ++session->values >= VALUES_PER_LOOK;
    neap_guard_unlock(&session->guard);
    if (place == 0) packer->code = NEAP_NOMEM;
    if (!known && packer->note_count < NEAP_PACKER_NOTES) packer->notes[packer->note_count++] = place - 1;
    neap_pack_u8(packer, known ? KNOWN : WHOLE);
    neap_pack_u32(packer, place - 1);
    if (!known) neap_pack_whole(packer, object);
    if (many) forget_values(session);
}

/* The other side is to take part in the state of what is exported at `place`, if it can: constants->numbers say where
 * that is. */
static void take_part(struct neap_session *session, struct neap_object *object, uint32_t place,
                      struct neap_constants *constants) {
    const struct neap_remote *remote = object->class->remote;
    const struct neap_cell *cell = NULL;
    uint32_t spare = 0;
    neap_guard_lock(&session->guard);
    bool done = session->exports[place - 1].party != 0;
    neap_guard_unlock(&session->guard);
    if (!done) spare = remote->join(object, session->cells, session->alarms, &cell);
    neap_guard_lock(&session->guard);
    struct neap_export *export = &session->exports[place - 1];
    bool there = export->object == object && !session->ended;
    if (there && spare != 0 && export->party == 0) {
        export->party = spare;
        export->cell = cell;
        spare = 0;
    }
    bool takes = there && export->party != 0 && neap_mapping_send(session, export->cell->segment) == 0;
    if (takes) {
        constants->numbers[0] = (int64_t) export->cell->segment->id;
        constants->numbers[1] = (int64_t)(neap_cell_offset(export->cell) << PARTY_BITS | export->party);
    }
    neap_guard_unlock(&session->guard);
    if (spare != 0) remote->leave(object, spare);
}

bool neap_session_find_word(struct neap_session *session, const struct neap_constants *constants, size_t size,
                            struct neap_cell *cell, uint32_t *party) {
    uint64_t where = (uint64_t)constants->numbers[1];
    *party = (uint32_t)(where & ((1u << PARTY_BITS) - 1));
    struct neap_segment *segment = *party != 0 ? neap_mapping_find(session, (uint64_t)constants->numbers[0]) : NULL;
    if (segment == NULL) return false;
    int code = neap_cell_find(segment, where >> PARTY_BITS, size, sizeof(uint64_t), cell);
    neap_segment_unref(segment);
    return code == 0;
}

static void put_reference(struct neap_packer *packer, struct neap_object *object, const struct neap_remote *remote) {
    struct neap_session *session = packer->wire->session;
    struct neap_constants constants = {{0, 0}, {NULL, NULL}};
    neap_guard_lock(&session->guard);
    uint32_t place = place_export(session, object);
    if (place != 0) session->exports[place - 1].sent++;
    neap_guard_unlock(&session->guard);
    if (place == 0) packer->code = NEAP_NOMEM;
    if (remote->constants != NULL) remote->constants(object, &constants);
    if (remote->join != NULL && session->cells != NULL && place != 0) take_part(session, object, place, &constants);
    neap_pack_u8(packer, AWAY);
    neap_pack_u32(packer, place - 1);
    neap_pack_u8(packer, remote->kind);
    for (int i = 0; i < NEAP_CONSTANTS; i++) {
        neap_pack_u64(packer, (uint64_t)constants.numbers[i]);
        neap_pack_u8(packer, constants.parts[i] != NULL);
        if (constants.parts[i] != NULL && packer->code == 0) neap_session_pack(packer, constants.parts[i]);
    }
}

void neap_session_pack(struct neap_packer *packer, struct neap_object *object) {
    const struct neap_class *class = object->class;
    const struct neap_import *import = class->import != NULL ? class->import(object) : NULL;
    if (import != NULL && import->session == packer->wire->session) {
        neap_pack_u8(packer, HOME);
        neap_pack_u32(packer, import->id);
    } else if (class->remote != NULL && packer->wire->session->makers->make[class->remote->kind] != NULL) {
        put_reference(packer, object, class->remote);
    } else if (class->adopt != NULL) {
        neap_pack_u8(packer, MAPPED);
        neap_pack_u32(packer, 0);
        neap_mapping_pack(packer, object);
    } else if (class->depart != NULL) {
        neap_pack_u8(packer, PASSED);
        neap_pack_u32(packer, 0);
        neap_passing_pack(packer, object);
    } else if (class->pack == NULL) {
        packer->code = UV_ENOTSUP;
        packer->obstacle = object;
    } else {
        put_whole(packer, object);
    }
}

void neap_session_pack_keeper(struct neap_packer *packer, struct neap_object *object) {
    static const struct neap_remote keeper = {.kind = NEAP_KIND_MAPPED};
    if (neap_object_is_proxy(object))
        neap_session_pack(packer, object);
    else
        put_reference(packer, object, &keeper);
}

/* --- reading references --- */

static struct neap_object *get_whole(struct neap_unpacker *unpacker, uint32_t id) {
    struct neap_session *session = unpacker->wire->session;
    struct neap_object *object = neap_unpack_whole(unpacker);
    if (object == NULL) return NULL;
    neap_object_share(object);
    neap_guard_lock(&session->guard);
    bool kept = !session->ended;
    struct neap_object *before = neap_idmap_remove(&session->received, id);
    int code = kept ? neap_idmap_put(&session->received, id, object) : 0;
    if (code == 0 && kept) neap_object_ref(object);
    neap_guard_unlock(&session->guard);
    if (before != NULL) neap_object_unref(before);
    if (code == 0) return object;
    neap_unpack_fail(unpacker, code);
    neap_object_unref(object);
    return NULL;
}

static struct neap_object *get_known(struct neap_session *session, uint32_t id) {
    neap_guard_lock(&session->guard);
    struct neap_object *object = neap_idmap_get(&session->received, id);
    if (object != NULL) neap_object_ref(object);
    neap_guard_unlock(&session->guard);
    return object;
}

/* The proxy of `id`, if there is one, with a new reference. */
static struct neap_object *find_proxy(struct neap_session *session, uint32_t id) {
    struct neap_object *object = NULL;
    neap_guard_lock(&session->guard);
    struct neap_import *import = neap_idmap_get(&session->imports, id);
    if (import != NULL) {
        object = import->object;
        import->received++;
        if (atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed) == 0) import->revivals++;
    }
    neap_guard_unlock(&session->guard);
    return object;
}

struct neap_object *neap_session_imported(struct neap_session *session, uint32_t id) {
    neap_guard_lock(&session->guard);
    const struct neap_import *import = neap_idmap_get(&session->imports, id);
    struct neap_object *object = import != NULL ? import->object : NULL;
    unsigned refs = object != NULL ? atomic_load_explicit(&object->refs, memory_order_relaxed) : 0;
    while (refs != 0 && !atomic_compare_exchange_weak_explicit(&object->refs, &refs, refs + 1, memory_order_relaxed,
                                                               memory_order_relaxed)) {}
    neap_guard_unlock(&session->guard);
    return refs != 0 ? object : NULL;
}

static struct neap_object *make_proxy(struct neap_unpacker *unpacker, neap_maker make, uint32_t id, uint8_t kind,
                                      const struct neap_constants *constants) {
    struct neap_session *session = unpacker->wire->session;
    struct neap_object *object = make(session, id, kind, constants);
    const struct neap_class *class = object != NULL ? object->class : NULL;
    int code = NEAP_NOMEM;
    if (class != NULL && class->import != NULL) {
        neap_object_share(object);
        neap_guard_lock(&session->guard);
        code = neap_idmap_put(&session->imports, id, class->import(object));
        neap_guard_unlock(&session->guard);
        if (code != 0) neap_object_unref(object);
    }
    if (code == 0) return object;
    neap_unpack_fail(unpacker, code);
    return NULL;
}

static struct neap_object *get_reference(struct neap_unpacker *unpacker, uint32_t id) {
    struct neap_session *session = unpacker->wire->session;
    struct neap_constants constants = {{0, 0}, {NULL, NULL}};
    uint8_t kind = neap_unpack_u8(unpacker);
    for (int i = 0; i < NEAP_CONSTANTS; i++) {
        constants.numbers[i] = (int64_t)neap_unpack_u64(unpacker);
        if (neap_unpack_u8(unpacker) != 0 && unpacker->code == 0) constants.parts[i] = neap_unpack_object(unpacker);
    }
    neap_maker make = kind < NEAP_KIND_COUNT ? session->makers->make[kind] : NULL;
    struct neap_object *object = NULL;
    if (make == NULL) neap_unpack_fail(unpacker, NEAP_BROKEN);
    if (unpacker->code == 0) object = find_proxy(session, id);
    if (unpacker->code == 0 && object == NULL && make != NULL)
        object = make_proxy(unpacker, make, id, kind, &constants);
    for (int i = 0; i < NEAP_CONSTANTS; i++)
        if (constants.parts[i] != NULL) neap_object_unref(constants.parts[i]);
    return object;
}

struct neap_object *neap_session_unpack(struct neap_unpacker *unpacker) {
    struct neap_session *session = unpacker->wire->session;
    uint8_t how = neap_unpack_u8(unpacker);
    uint32_t id = neap_unpack_u32(unpacker);
    if (unpacker->code != 0) return NULL;
    switch (how) {
        case HOME: return neap_session_exported(session, id);
        case AWAY: return get_reference(unpacker, id);
        case WHOLE: return get_whole(unpacker, id);
        case KNOWN: return get_known(session, id);
        case MAPPED: return neap_mapping_unpack(unpacker);
        case PASSED: return neap_passing_unpack(unpacker);
        default: return NULL;
    }
}

/* --- proxies --- */

void neap_import_init(struct neap_import *import, struct neap_session *session, struct neap_object *object,
                      uint32_t id) {
    import->session = neap_session_ref(session);
    import->object = object;
    import->id = id;
    import->received = 1;
    import->revivals = 0;
}

/* Each time the count comes to 0 this is called once; each revival answers for one of these calls. So the one that
 * finds no revival left is the last, whichever comes first. */
bool neap_import_revived(struct neap_import *import) {
    struct neap_session *session = import->session;
    neap_guard_lock(&session->guard);
    bool revived = import->revivals > 0;
    if (revived)
        import->revivals--;
    else if (neap_idmap_get(&session->imports, import->id) == import)
        neap_idmap_remove(&session->imports, import->id);
    neap_guard_unlock(&session->guard);
    return revived;
}

void neap_import_fini(struct neap_import *import) {
    send_numbers(import->session, NEAP_FRAME_DROP, import->id, import->received);
    neap_session_unref(import->session);
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

/* The loan and the credit of an export to which the other side has no reference now end while the number is still its
 * own: what is lent or told meanwhile must not be taken for another object's. */
static void end_idle_export(struct neap_session *session, uint32_t id) {
    struct neap_lender *lender = NULL;
    struct neap_creditor *creditor = NULL;
    neap_guard_lock(&session->guard);
    struct neap_export *export = neap_session_export(session, id);
    if (export != NULL && export->sent == 0) {
        lender = export->lender;
        creditor = export->creditor;
        export->lender = NULL;
        export->creditor = NULL;
    }
    neap_guard_unlock(&session->guard);
    neap_lender_end(lender); /* the export keeps the channel: nobody but us, who pump, takes it */
    neap_creditor_end(creditor);
}

static bool receive_drop(struct neap_session *session, uint32_t id, uint32_t count) {
    struct neap_export taken = {.object = NULL};
    neap_guard_lock(&session->guard);
    struct neap_export *export = neap_session_export(session, id);
    bool good = export != NULL && count > 0 && count <= export->sent;
    bool last = good && (export->sent -= count) == 0;
    neap_guard_unlock(&session->guard);
    if (!last) return good;
    end_idle_export(session, id);
    neap_guard_lock(&session->guard);
    export = neap_session_export(session, id);
    if (export != NULL && export->sent == 0) taken = take_export(session, id); /* else it has been sent again */
    neap_guard_unlock(&session->guard);
    if (taken.object == NULL) return good;
    bool maps = taken.object->class->adopt != NULL || taken.party != 0;
    end_export(&taken);
    if (maps) neap_mapping_forget_unused(session);
    return good;
}

static void receive_forget(struct neap_session *session, uint32_t id) {
    neap_guard_lock(&session->guard);
    struct neap_object *object = neap_idmap_remove(&session->received, id);
    neap_guard_unlock(&session->guard);
    if (object != NULL) neap_object_unref(object);
}

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
            good = receive_drop(session, id, neap_unpack_u32(&unpacker));
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
        case NEAP_FRAME_FORGET: receive_forget(session, neap_unpack_u32(&unpacker)); break;
        default: good = false;
    }
    return good && unpacker.code == 0;
}

void neap_session_passed(struct neap_session *session) { neap_creditors_passed(session); }

/* --- the end --- */

/* All that they keep, one after the other: ending one may send, or end others. */
static void let_go(struct neap_session *session) {
    struct neap_export taken;
    uint32_t id = 0;
    do {
        taken = (struct neap_export){.object = NULL};
        neap_guard_lock(&session->guard);
        for (; id < session->export_room && taken.object == NULL; id++)
            if (session->exports[id].object != NULL) taken = take_export(session, id);
        size_t at = 0;
        if (taken.object == NULL && (taken.object = neap_idmap_next(&session->received, &at)) != NULL)
            neap_idmap_remove(&session->received, session->received.slots[at - 1].key);
        neap_guard_unlock(&session->guard);
        if (taken.object != NULL) end_export(&taken);
    } while (taken.object != NULL);
}

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
    let_go(session);
    neap_mappings_end(session);
}
