/* reference: objects in frames. One of ours is exported, one of theirs is imported: a proxy stands for it. The essay is
 * in session.c. Any thread, no guard held. */
#ifndef NEAP_HOST_REFERENCE_H
#define NEAP_HOST_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cell.h"
#include "core/remote.h"
#include "host/packer.h"
#include "host/session.h"

/* The part of a proxy that its session knows. */
struct neap_import {
    struct neap_session *session; /* one reference; constant */
    struct neap_object *object;   /* the proxy; constant */
    uint32_t id;                  /* of the object, over there. Constant */
    uint32_t received;            /* how often a reference to it has come. The session's guard */
    uint32_t revivals;            /* how often it was found without a reference. The session's guard */
};

/* For packers: writes how the other side finds `object`; the object that the other side has written so, with a new
 * reference, or NULL. */
void neap_reference_pack(struct neap_packer *packer, struct neap_object *object);
struct neap_object *neap_reference_unpack(struct neap_unpacker *unpacker);
/* As pack, for an object that has no proxy of its own: what keeps it here while the other side refers to it. */
void neap_reference_pack_keeper(struct neap_packer *packer, struct neap_object *object);
/* The proxy of what the other side has exported under `id`, with a new reference; NULL: there is none, or it is about
 * to end. */
struct neap_object *neap_import_object(struct neap_session *session, uint32_t id);

/* What travelled as itself under this number is not mentioned any more. */
void neap_reference_forget(struct neap_session *session, uint32_t id);
/* The session has ended: lets go of all that travelled as itself. */
void neap_references_end(struct neap_session *session);

/* --- for proxies --- */

/* Where the word is that we may change ourselves, in a cell of `size` bytes, as what `party`, if `constants` say so:
 * true, and *cell is to be freed. */
bool neap_reference_find_word(struct neap_session *session, const struct neap_constants *constants, size_t size,
                              struct neap_cell *cell, uint32_t *party);

/* By `make`: fills it in. */
void neap_import_init(struct neap_import *import, struct neap_session *session, struct neap_object *object,
                      uint32_t id);
/* neap_class.revived. */
bool neap_import_revived(struct neap_import *import);
/* By destroy: tells the other side. */
void neap_import_fini(struct neap_import *import);

#endif
