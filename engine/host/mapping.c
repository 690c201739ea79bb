/* mapping: a segment's descriptor crosses once, before the first that lies in it (SEGMENT: u64 id, a descriptor); from
 * then on its number will do. The sender has a reference to each; when nobody else here has, it says so
 * (FORGET_SEGMENT) and both let go. So a descriptor lasts no longer than what lies in its segment, and what is under
 * way still has what it needs: it was sent before. */
#include "host/mapping.h"

#include <unistd.h>
#include <uv.h>

#include "core/error.h"
#include "core/mapped.h"
#include "host/reference.h"
#include "host/session.h"

/* --- segments that the other side has from us --- */

static void send_forget(struct neap_session *session, uint64_t id) {
    struct iovec piece = {&id, sizeof id};
    neap_wire_send(session->wire, NEAP_FRAME_FORGET_SEGMENT, &piece, 1, NULL, 0);
}

/* The session's guard is held. One that nobody else has any more; NULL: there is none. */
static struct neap_segment *take_unused(struct neap_session *session) {
    struct neap_segment *segment;
    size_t at = 0;
    while ((segment = neap_idmap_next(&session->segments_sent, &at)) != NULL) {
        if (atomic_load_explicit(&segment->refs, memory_order_acquire) > 1) continue;
        neap_idmap_remove(&session->segments_sent, segment->id);
        send_forget(session, segment->id);
        return segment;
    }
    return NULL;
}

void neap_mapping_forget_unused(struct neap_session *session) {
    struct neap_segment *segment;
    do {
        neap_guard_lock(&session->guard);
        segment = take_unused(session);
        neap_guard_unlock(&session->guard);
        if (segment != NULL) neap_segment_unref(segment);
    } while (segment != NULL);
}

/* Sent under the guard: whoever mentions the segment from now on does so after that. */
int neap_mapping_send(struct neap_session *session, struct neap_segment *segment) {
    uint64_t id = segment->id;
    struct iovec piece = {&id, sizeof id};
    if (neap_idmap_get(&session->segments_sent, id) != NULL) return 0;
    if (neap_idmap_get(&session->segments, id) != NULL) return 0; /* it came from there */
    if (session->ended) return NEAP_BROKEN;
    int code = neap_idmap_put(&session->segments_sent, id, segment);
    if (code != 0) return code;
    code = neap_wire_send(session->wire, NEAP_FRAME_SEGMENT, &piece, 1, &segment->fd, 1);
    if (code == 0)
        neap_segment_ref(segment);
    else
        neap_idmap_remove(&session->segments_sent, id);
    return code;
}

void neap_mapping_pack(struct neap_packer *packer, struct neap_object *object) {
    struct neap_session *session = packer->wire->session;
    struct neap_mapped *mapped = (struct neap_mapped *)object;
    struct neap_mapping mapping;
    neap_mapped_tell(mapped, &mapping);
    neap_guard_lock(&session->guard);
    int code = neap_mapping_send(session, mapping.segment);
    neap_guard_unlock(&session->guard);
    if (code != 0 && packer->code == 0) packer->code = code;
    neap_pack_class(packer, object->class);
    neap_pack_u64(packer, mapping.segment->id);
    neap_pack_u64(packer, mapping.offset);
    neap_pack_u64(packer, mapping.shape[0]);
    neap_pack_u64(packer, mapping.shape[1]);
    if (packer->code == 0) neap_reference_pack_keeper(packer, neap_mapped_original(mapped));
}

/* --- segments that we have from the other side --- */

bool neap_mapping_segment(struct neap_session *session, struct neap_unpacker *unpacker) {
    struct neap_segment *segment;
    uint64_t id = neap_unpack_u64(unpacker);
    int fd = neap_unpack_fd(unpacker);
    if (fd < 0) return false;
    int code = neap_segment_from_fd(fd, id, &segment);
    if (code != 0) {
        close(fd);
        return code == NEAP_NOMEM; /* what lies in it cannot be received, and says so */
    }
    neap_guard_lock(&session->guard);
    struct neap_segment *before = neap_idmap_remove(&session->segments, id);
    code = neap_idmap_put(&session->segments, id, segment);
    neap_guard_unlock(&session->guard);
    if (before != NULL) neap_segment_unref(before);
    if (code != 0) neap_segment_unref(segment);
    return true;
}

void neap_mapping_forget(struct neap_session *session, uint64_t id) {
    neap_guard_lock(&session->guard);
    struct neap_segment *segment = neap_idmap_remove(&session->segments, id);
    neap_guard_unlock(&session->guard);
    if (segment != NULL) neap_segment_unref(segment);
}

struct neap_segment *neap_mapping_find(struct neap_session *session, uint64_t id) {
    neap_guard_lock(&session->guard);
    struct neap_segment *segment = neap_idmap_get(&session->segments, id);
    if (segment == NULL) segment = neap_idmap_get(&session->segments_sent, id); /* it comes home */
    if (segment != NULL) neap_segment_ref(segment);
    neap_guard_unlock(&session->guard);
    return segment;
}

struct neap_object *neap_mapping_unpack(struct neap_unpacker *unpacker) {
    struct neap_session *session = unpacker->wire->session;
    struct neap_mapping mapping;
    const struct neap_class *class = neap_unpack_class(unpacker);
    uint64_t id = neap_unpack_u64(unpacker);
    mapping.offset = neap_unpack_u64(unpacker);
    mapping.shape[0] = neap_unpack_u64(unpacker);
    mapping.shape[1] = neap_unpack_u64(unpacker);
    struct neap_object *original = neap_unpack_object(unpacker), *object = NULL;
    mapping.segment = original != NULL ? neap_mapping_find(session, id) : NULL;
    if (mapping.segment == NULL || class->adopt == NULL) {
        neap_unpack_fail(unpacker, mapping.segment == NULL ? NEAP_NOMEM : UV_EPROTO);
    } else {
        int code = class->adopt(class, &mapping, original, &object);
        if (code != 0) neap_unpack_fail(unpacker, code == NEAP_NOMEM ? code : UV_EPROTO);
    }
    if (mapping.segment != NULL) neap_segment_unref(mapping.segment);
    if (original != NULL) neap_object_unref(original);
    if (object != NULL) neap_object_share(object);
    return object;
}

/* --- the end --- */

static void drop_all(struct neap_session *session, struct neap_idmap *table) {
    struct neap_segment *segment;
    do {
        size_t at = 0;
        neap_guard_lock(&session->guard);
        segment = neap_idmap_next(table, &at);
        if (segment != NULL) neap_idmap_remove(table, segment->id);
        neap_guard_unlock(&session->guard);
        if (segment != NULL) neap_segment_unref(segment);
    } while (segment != NULL);
}

void neap_mappings_end(struct neap_session *session) {
    drop_all(session, &session->segments_sent);
    drop_all(session, &session->segments);
}
