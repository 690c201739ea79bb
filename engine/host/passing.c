/* passing: the descriptor goes with the frame that mentions it.
 *
 * OWNERS      The duplicate that `depart` has made is the packer's until the frame has been sent; then the system keeps
 *             one, in the socket of the wire, or the wire does while the frame waits for room; the receiver's is its
 *             frame's until it is taken. Each closes what it has when it ends: so one that is under way is lost with
 *             the link, and with nothing else.
 * WITHOUT     A receiver without a free descriptor gets the message all the same, with an object that says why it is of
 *             no use (UV_EMFILE). So nothing else in the message is lost, and the link goes on; an object that is only
 *             passed on here says it over there. The same becomes of one that cannot depart from a message whose sender
 *             has gone on long ago (packer->is_late), as out of a channel; else the sender is told.
 * REJECTED    To keep what has been sent, as with code: a descriptor would stay open that nobody uses any more. */
#include "host/passing.h"

#include <unistd.h>
#include <uv.h>

#include "core/error.h"
#include "core/object.h"
#include "core/passage.h"

void neap_passing_pack(struct neap_packer *packer, struct neap_object *object) {
    struct neap_passage passage = {.fd = -1};
    if (packer->code != 0) return;
    int code = packer->fd_count < NEAP_WIRE_FDS_MAX - 1 ? object->class->depart(object, &passage) : UV_EMSGSIZE;
    if (code != 0 && !packer->is_late) {
        packer->code = code;
        packer->obstacle = object;
        return;
    }
    if (code != 0) passage.code = code;
    neap_pack_class(packer, object->class);
    neap_pack_u32(packer, (uint32_t)passage.code);
    if (passage.fd >= 0) neap_pack_fd(packer, passage.fd);
}

struct neap_object *neap_passing_unpack(struct neap_unpacker *unpacker) {
    struct neap_passage passage = {.fd = -1};
    struct neap_object *object = NULL;
    const struct neap_class *class = neap_unpack_class(unpacker);
    passage.code = (int)neap_unpack_u32(unpacker);
    bool makes_sense = class != NULL && class->arrive != NULL && passage.code <= 0;
    if (!makes_sense) neap_unpack_fail(unpacker, UV_EPROTO);
    if (passage.code == 0) passage.fd = neap_unpack_fd_or_none(unpacker);
    if (!makes_sense || unpacker->code != 0) return NULL;
    if (passage.code == 0 && passage.fd < 0) passage.code = UV_EMFILE;
    int code = class->arrive(&passage, &object);
    if (code == 0) {
        neap_object_share(object);
        return object;
    }
    neap_unpack_fail(unpacker, code == NEAP_NOMEM ? code : UV_EPROTO);
    if (passage.fd >= 0) close(passage.fd);
    return NULL;
}
