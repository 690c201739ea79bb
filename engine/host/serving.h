/* serving: waits on objects of this process that another one has asked for. */
#ifndef NEAP_HOST_SERVING_H
#define NEAP_HOST_SERVING_H

#include <stdbool.h>
#include <stdint.h>

#include "host/packer.h"

struct neap_session;

/* For the session: frames, as request.c writes them. False: they make no sense. */
bool neap_serving_request(struct neap_session *session, struct neap_unpacker *unpacker);
bool neap_serving_return(struct neap_session *session, struct neap_unpacker *unpacker);
void neap_serving_withdraw(struct neap_session *session, uint64_t id);
void neap_serving_received(struct neap_session *session, uint64_t id);

/* Frees what is kept of answers that have been received. */
void neap_servings_sweep(struct neap_session *session);

/* The session has ended: withdraws what is served, and has what is held over there abandoned. */
void neap_servings_end(struct neap_session *session);

#endif
