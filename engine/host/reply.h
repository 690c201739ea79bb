/* reply: telling another process how a wait or a call that it had asked for has ended.
 * Read by request.c, which says what is in it. */
#ifndef NEAP_HOST_REPLY_H
#define NEAP_HOST_REPLY_H

#include <stdbool.h>
#include <stdint.h>

struct neap_message;
struct neap_object;
struct neap_session;

/* To the request `id`. `claimed`: a wait was, by its ticket, or it is a call. `more`: whose class adds
 * something to it (neap_remote.put_more); NULL: nobody's. Any thread, no guard but that of an object held. 0,
 * or why it could not be sent. */
int neap_reply_send(struct neap_session *session, uint64_t id, bool claimed, int result, int64_t number,
                    const struct neap_message *message, struct neap_object *more);
/* The same with nothing but a result. */
void neap_reply_refuse(struct neap_session *session, uint64_t id, bool claimed, int result);

#endif
