/* wire_internal: what the files of the wire share, and nobody else: wire.c, wire_send.c, wire_receive.c. */
#ifndef NEAP_HOST_WIRE_INTERNAL_H
#define NEAP_HOST_WIRE_INTERNAL_H

#include "core/check.h"
#include "host/wire.h"
#include "host/wire_lane.h"

/* Writing held. Sends what is kept, as far as there is room. */
void neap_wire_send_kept(struct neap_wire *wire);

/* Reading held. Has the other side published something? UV_EPROTO: it says what cannot be. */
static inline int neap_wire_look(const struct neap_wire *wire, size_t *size) {
    int code = neap_wire_lane_look(&wire->in, size);
    NEAP_ANSWERED(&wire->out);
    return code;
}

/* Reading held. Hands all that is in the ring to the user. 0, or the code that the wire ends with. */
int neap_wire_read_all(struct neap_wire *wire);

#endif
