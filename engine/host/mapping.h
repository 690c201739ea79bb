/* mapping: objects that lie in shared memory (core/mapped.h), on their way over a link.
 * The other side maps the same bytes. */
#ifndef NEAP_HOST_MAPPING_H
#define NEAP_HOST_MAPPING_H

#include <stdbool.h>
#include <stdint.h>

#include "host/packer.h"

struct neap_segment;
struct neap_session;

/* Any thread: a neap_mapped object, and whoever keeps its bytes in place. UNPACK: a new reference; NULL: an error. */
void neap_mapping_pack(struct neap_packer *packer, struct neap_object *object);
struct neap_object *neap_mapping_unpack(struct neap_unpacker *unpacker);

/* The session's guard is held. The other side is to have the segment when it reads what is sent from now on. 0,
 * NEAP_BROKEN, NEAP_NOMEM or what the system said. */
int neap_mapping_send(struct neap_session *session, struct neap_segment *segment);
/* The segment of this name that both sides have, with a new reference; NULL: there is none. */
struct neap_segment *neap_mapping_find(struct neap_session *session, uint64_t id);

/* For the session: frames, and its end. */
bool neap_mapping_segment(struct neap_session *session, struct neap_unpacker *unpacker);
void neap_mapping_forget(struct neap_session *session, uint64_t id);
void neap_mappings_end(struct neap_session *session);
/* Something that was mapped has been let go: segments that are not used here any more are
 * the other side's no longer. */
void neap_mapping_forget_unused(struct neap_session *session);

#endif
