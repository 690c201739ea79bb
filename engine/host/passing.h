/* passing: objects that travel as a descriptor (core/passage.h), on their way over a link. */
#ifndef NEAP_HOST_PASSING_H
#define NEAP_HOST_PASSING_H

#include "host/packer.h"

/* Any thread: an object whose class has `depart`. UNPACK: a new, shared one, with one reference; NULL: an error. */
void neap_passing_pack(struct neap_packer *packer, struct neap_object *object);
struct neap_object *neap_passing_unpack(struct neap_unpacker *unpacker);

#endif
