/* reference: how an object is named in a frame, and found again. The essay is in session.c. */
#include "host/reference.h"

#include <uv.h>

#include "core/error.h"
#include "host/exports.h"
#include "host/mapping.h"
#include "host/passing.h"

enum { HOME, AWAY, WHOLE, KNOWN, MAPPED, PASSED, CHILD };

enum { VALUES_PER_LOOK = 256 };

enum { PARTY_BITS = 8 }; /* below a word's offset, where it is told */

/* --- writing --- */

/* It is sent whole until a frame that has it has been sent; whoever receives it twice keeps the last one. */
static void put_whole(struct neap_packer *packer, struct neap_object *object) {
    struct neap_session *session = packer->wire->session;
    neap_guard_lock(&session->guard);
    uint32_t place = neap_export_place(session, object);
    bool known = place != 0 && session->exports[place - 1].sent > 0, many = false;
    if (!known) many = ++session->values >= VALUES_PER_LOOK;
    neap_guard_unlock(&session->guard);
    if (place == 0) packer->code = NEAP_NOMEM;
    if (!known && packer->note_count < NEAP_PACKER_NOTES) packer->notes[packer->note_count++] = place - 1;
    neap_pack_u8(packer, known ? KNOWN : WHOLE);
    neap_pack_u32(packer, place - 1);
    if (!known) neap_pack_whole(packer, object);
    if (many) neap_exports_forget_values(session);
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

bool neap_reference_find_word(struct neap_session *session, const struct neap_constants *constants, size_t size,
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
    uint32_t place = neap_export_place(session, object);
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
        if (constants.parts[i] != NULL && packer->code == 0) neap_reference_pack(packer, constants.parts[i]);
    }
}

static bool is_child(struct neap_session *session, const struct neap_object *object) {
    const struct neap_remote *remote = object->class->remote;
    if (remote == NULL || remote->kind != NEAP_KIND_PROCESS) return false;
    neap_guard_lock(&session->guard);
    bool is_so = session->child == object;
    neap_guard_unlock(&session->guard);
    return is_so;
}

void neap_reference_pack(struct neap_packer *packer, struct neap_object *object) {
    const struct neap_class *class = object->class;
    const struct neap_import *import = class->import != NULL ? class->import(object) : NULL;
    if (is_child(packer->wire->session, object)) {
        neap_pack_u8(packer, CHILD);
        neap_pack_u32(packer, 0);
    } else if (import != NULL && import->session == packer->wire->session) {
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

void neap_reference_pack_keeper(struct neap_packer *packer, struct neap_object *object) {
    static const struct neap_remote keeper = {.kind = NEAP_KIND_MAPPED};
    if (neap_object_is_proxy(object))
        neap_reference_pack(packer, object);
    else
        put_reference(packer, object, &keeper);
}

/* --- reading --- */

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

static struct neap_object *get_child(struct neap_session *session) {
    neap_guard_lock(&session->guard);
    struct neap_object *object = session->child;
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

struct neap_object *neap_import_object(struct neap_session *session, uint32_t id) {
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

struct neap_object *neap_reference_unpack(struct neap_unpacker *unpacker) {
    struct neap_session *session = unpacker->wire->session;
    uint8_t how = neap_unpack_u8(unpacker);
    uint32_t id = neap_unpack_u32(unpacker);
    if (unpacker->code != 0) return NULL;
    switch (how) {
        case HOME: return neap_export_object(session, id);
        case AWAY: return get_reference(unpacker, id);
        case WHOLE: return get_whole(unpacker, id);
        case KNOWN: return get_known(session, id);
        case MAPPED: return neap_mapping_unpack(unpacker);
        case PASSED: return neap_passing_unpack(unpacker);
        case CHILD: return get_child(session);
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
    neap_session_send_numbers(import->session, NEAP_FRAME_DROP, import->id, import->received);
    neap_session_unref(import->session);
}

/* --- what is kept --- */

void neap_reference_forget(struct neap_session *session, uint32_t id) {
    neap_guard_lock(&session->guard);
    struct neap_object *object = neap_idmap_remove(&session->received, id);
    neap_guard_unlock(&session->guard);
    if (object != NULL) neap_object_unref(object);
}

/* One after the other: ending one may send, or end others. */
void neap_references_end(struct neap_session *session) {
    struct neap_object *object;
    do {
        size_t at = 0;
        neap_guard_lock(&session->guard);
        object = neap_idmap_next(&session->received, &at);
        if (object != NULL) neap_idmap_remove(&session->received, session->received.slots[at - 1].key);
        neap_guard_unlock(&session->guard);
        if (object != NULL) neap_object_unref(object);
    } while (object != NULL);
}
