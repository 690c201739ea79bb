#include "host/reply.h"

#include "core/message.h"
#include "core/object.h"
#include "core/remote.h"
#include "host/packer.h"
#include "host/session.h"

int neap_reply_send(struct neap_session *session, uint64_t id, bool claimed, int result, int64_t number,
                    const struct neap_message *message, struct neap_object *more) {
    struct neap_packer packer;
    neap_packer_init(&packer, session->wire);
    packer.is_late = true;
    neap_pack_u64(&packer, id);
    neap_pack_u8(&packer, claimed);
    neap_pack_u32(&packer, (uint32_t)result);
    neap_pack_u64(&packer, (uint64_t)number);
    neap_pack_message(&packer, message);
    if (more != NULL && more->class->remote->put_more != NULL) more->class->remote->put_more(more, &packer);
    int code = neap_packer_tell(&packer, NEAP_FRAME_REPLY);
    neap_packer_fini(&packer);
    return code;
}

void neap_reply_refuse(struct neap_session *session, uint64_t id, bool claimed, int result) {
    struct neap_message none;
    neap_message_clear(&none);
    neap_reply_send(session, id, claimed, result, 0, &none, NULL);
}
