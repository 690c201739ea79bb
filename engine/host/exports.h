/* exports: objects of this process that the other one refers to, by number. See COUNTING and AS ITSELF in session.c. */
#ifndef NEAP_HOST_EXPORTS_H
#define NEAP_HOST_EXPORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/session.h"

struct neap_creditor;
struct neap_lender;

/* An object that the other process has references to. */
struct neap_export {
    struct neap_object *object;   /* one reference; NULL: the place is free */
    uint32_t sent;                /* references sent and not dropped; of what travels as itself: 0 */
    uint32_t next;                /* free: the next free place plus 1; 0: none */
    uint32_t asked;               /* of a channel: how often it was asked for a message, until there is a lender */
    uint32_t party;               /* of a lock: what the other process is known as there; 0: it has no part in it */
    const struct neap_cell *cell; /* then: where its word is. The lock's */
    struct neap_lender *lender;   /* of a channel: sends messages ahead; one reference; NULL: none */
    uint32_t sends; /* of a channel: how often it was asked to take a message, until there is a creditor */
    struct neap_creditor *creditor; /* of a channel: lets it send without asking; one reference; NULL: none */
};

/* --- the session's guard is held --- */

/* The place of `object`, with a new reference if it has not been exported yet: its number plus 1; 0: no memory, or too
 * late. */
uint32_t neap_export_place(struct neap_session *session, struct neap_object *object);
/* What is exported under `id`; NULL: nothing. */
struct neap_export *neap_export_at(struct neap_session *session, uint32_t id);

/* --- no guard held --- */

/* The object exported under `id`, with a new reference; NULL: there is none. */
struct neap_object *neap_export_object(struct neap_session *session, uint32_t id);
/* What the packer has noted, as travelling as itself, has been sent. */
void neap_exports_sent(struct neap_session *session, const uint32_t *notes, unsigned count);
/* What travelled as itself and is referred to by nobody but us: the other side need not keep it either. */
void neap_exports_forget_values(struct neap_session *session);
/* The other side has let go of `count` references. False: that makes no sense. By who pumps the wire. */
bool neap_export_drop(struct neap_session *session, uint32_t id, uint32_t count);
/* The session has ended: lets go of all, one after the other: ending one may send, or end others. */
void neap_exports_end(struct neap_session *session);

#endif
