/* calling: methods of objects of this process that another one has called: what is done at once, and does not wait. */
#ifndef NEAP_HOST_CALLING_H
#define NEAP_HOST_CALLING_H

#include <stdbool.h>

#include "host/packer.h"

struct neap_delegate;
struct neap_session;

/* For the session, by whoever pumps: a frame, as request.c writes it. False: it makes no sense. */
bool neap_calling_receive(struct neap_session *session, struct neap_unpacker *unpacker);

/* Any thread, no guard held, once for each of delegate->unfinished: a wait in its name is over. What was put aside
 * until then is carried out. True: the session has ended, and nothing else is under way in its name: the caller is to
 * end the delegate. The caller keeps the session. */
bool neap_calling_release(struct neap_session *session, struct neap_delegate *delegate);

#endif
