/* delegate: in whose name locks and permits of this process are held by another one. */
#ifndef NEAP_HOST_DELEGATE_H
#define NEAP_HOST_DELEGATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/owner.h"

struct neap_aside;
struct neap_session;

struct neap_delegate {
    struct neap_owner owner;
    uint32_t unfinished;       /* waits in its name that have not been answered or withdrawn. The session's guard */
    bool ended;                /* what it held is, or is being, abandoned. The session's guard */
    struct neap_aside *asides; /* calls that have to wait, see calling.c; owned. The session's guard */
};

/* Of the owner that is known over there as `id`. NULL: there is none and it is not to be made, or there is no memory.
 * Any thread; it lasts as long as the session. */
struct neap_delegate *neap_delegate_find(struct neap_session *session, uint64_t id, bool make);

/* Makes a hold of `object`, known by `number`, in the name of *delegate; NULL: in that of one of its own, which is
 * there afterwards. 0, and it is in *hold and stays the session's; NEAP_NOMEM; NEAP_BROKEN: the number is taken. */
int neap_delegate_add_hold(struct neap_session *session, struct neap_delegate **delegate, uint64_t number,
                           struct neap_object *object, struct neap_hold **hold);
/* Nothing is held by it: frees it, and a delegate of its own. */
void neap_delegate_drop_hold(struct neap_session *session, uint64_t number);
/* What is held by it goes back, and it is freed. Harmless when there is none of that number.
 * By who may touch its delegate's list. */
void neap_delegate_give_back(struct neap_session *session, uint64_t number);
/* It will go back later, but over there it has gone, and its number may soon be that of another: the one that it has
 * from now on. Harmless likewise. */
uint64_t neap_delegate_rename_hold(struct neap_session *session, uint64_t number);
/* In whose name it is; NULL: there is none of that number. */
struct neap_delegate *neap_delegate_of_hold(struct neap_session *session, uint64_t number);

/* The session has ended: what is held by those in whose name nothing is under way is abandoned. */
void neap_delegates_end(struct neap_session *session);
/* The session is freed. */
void neap_delegates_free(struct neap_session *session);

#endif
