/* delegate: holding for others.
 *
 * MODEL       Who waits over there in his own name, for a lock or a permit that he will hold, has a delegate here:
 *             an owner, in whose name it is held. The hold itself is made here, and known over there by a number,
 *             so that it can be given back.
 * ONE THREAD  The one over there is one task, which does one thing after the other. So a delegate's list of
 *             holds is touched by one thread at a time: whoever serves its wait (until the answer is
 *             written), else whoever pumps.
 * LIVES       Delegates stay until the session is freed: their number is that of addresses that such tasks ever had.
 * THE END     When the session has ended, each is ended like a task: what it holds is abandoned. That is done by
 *             whoever ends the session, unless something is under way in its name (unfinished): a wait that somebody
 *             had claimed already. Then whoever finishes the last of these does (neap_calling_release). */
#include "host/delegate.h"

#include "core/error.h"
#include "core/memory.h"
#include "host/session.h"

/* What was made for an operation that holds. */
struct held {
    struct neap_hold *hold;         /* owned */
    struct neap_delegate *delegate; /* in whose name it is; NULL: nobody's */
};

static void free_held(struct held *held) {
    if (held == NULL) return;
    neap_free(held->hold);
    neap_free(held);
}

struct neap_delegate *neap_delegate_find(struct neap_session *session, uint64_t id, bool make) {
    neap_guard_lock(&session->guard);
    struct neap_delegate *delegate = neap_idmap_get(&session->owners, id);
    if (delegate == NULL && make && (delegate = neap_alloc(sizeof *delegate)) != NULL) {
        neap_owner_init(&delegate->owner);
        delegate->unfinished = 0;
        delegate->ended = false;
        delegate->asides = NULL;
        if (neap_idmap_put(&session->owners, id, delegate) != 0) {
            neap_free(delegate);
            delegate = NULL;
        }
    }
    neap_guard_unlock(&session->guard);
    return delegate;
}

/* --- holds --- */

int neap_delegate_add_hold(struct neap_session *session, struct neap_delegate *delegate, uint64_t number,
                           struct neap_object *object, struct neap_hold **hold) {
    struct held *held = neap_alloc(sizeof *held);
    if (held == NULL) return NEAP_NOMEM;
    held->delegate = delegate;
    held->hold = object->class->remote->make_hold(object);
    int code = held->hold == NULL ? NEAP_NOMEM : 0;
    neap_guard_lock(&session->guard);
    if (code == 0 && neap_idmap_get(&session->holds, number) != NULL) code = NEAP_BROKEN;
    if (code == 0) code = neap_idmap_put(&session->holds, number, held);
    neap_guard_unlock(&session->guard);
    if (code == 0)
        *hold = held->hold;
    else
        free_held(held);
    return code;
}

/* Out of the table; NULL: there is none of that number. */
static struct held *take_hold(struct neap_session *session, uint64_t number) {
    neap_guard_lock(&session->guard);
    struct held *held = neap_idmap_remove(&session->holds, number);
    neap_guard_unlock(&session->guard);
    return held;
}

void neap_delegate_drop_hold(struct neap_session *session, uint64_t number) { free_held(take_hold(session, number)); }

void neap_delegate_give_back(struct neap_session *session, uint64_t number) {
    struct held *held = take_hold(session, number);
    if (held == NULL) return;
    neap_hold_give_back(held->hold);
    free_held(held);
}

struct neap_delegate *neap_delegate_of_hold(struct neap_session *session, uint64_t number) {
    neap_guard_lock(&session->guard);
    const struct held *held = neap_idmap_get(&session->holds, number);
    struct neap_delegate *delegate = held != NULL ? held->delegate : NULL;
    neap_guard_unlock(&session->guard);
    return delegate;
}

/* --- the end --- */

/* One that has not ended, and in whose name nothing is under way: it has ended from now on. NULL: there is none. */
static struct neap_delegate *any(struct neap_session *session) {
    struct neap_delegate *delegate;
    size_t at = 0;
    neap_guard_lock(&session->guard);
    do delegate = neap_idmap_next(&session->owners, &at);
    while (delegate != NULL && (delegate->ended || delegate->unfinished > 0));
    if (delegate != NULL) delegate->ended = true;
    neap_guard_unlock(&session->guard);
    return delegate;
}

void neap_delegates_end(struct neap_session *session) {
    struct neap_delegate *delegate;
    while ((delegate = any(session)) != NULL) neap_owner_end(&delegate->owner);
}

void neap_delegates_free(struct neap_session *session) {
    size_t at = 0;
    struct neap_delegate *delegate;
    while ((delegate = neap_idmap_next(&session->owners, &at)) != NULL) neap_free(delegate);
    struct held *held;
    for (at = 0; (held = neap_idmap_next(&session->holds, &at)) != NULL;) free_held(held);
}
