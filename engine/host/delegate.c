/* delegate: holding for others.
 *
 * MODEL       Who waits over there in his own name, for a lock or a permit that he will hold, has a delegate here:
 *             an owner, in whose name it is held. The hold itself is made here, and known over there by a number,
 *             so that it can be given back.
 * ONE THREAD  The one over there is one task, which does one thing after the other. So a delegate's list of
 *             holds is touched by one thread at a time: whoever serves its wait (until the answer is
 *             written), else whoever pumps.
 * BY ITSELF   A permit, or a series of a pool, may go back at any time, by another task, or in a finaliser, also while
 *             the one who has it waits here for something else; it must not have to wait for that. So it is in nobody's
 *             name over there (the id of its owner is 0), and here its hold has a delegate of its own.
 * LIVES       Delegates stay until the session is freed: their number is that of addresses that such tasks ever had.
 *             One of a hold goes with it.
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
    struct neap_delegate *delegate; /* in whose name it is */
    struct neap_delegate own;       /* that one, where it is nobody's over there: see BY ITSELF */
    uint64_t number;                /* in session->holds */
};

static void free_held(struct held *held) {
    if (held == NULL) return;
    neap_free(held->hold);
    neap_free(held);
}

static void init(struct neap_delegate *delegate) {
    neap_owner_init(&delegate->owner);
    delegate->unfinished = 0;
    delegate->ended = false;
    delegate->asides = NULL;
}

struct neap_delegate *neap_delegate_find(struct neap_session *session, uint64_t id, bool make) {
    neap_guard_lock(&session->guard);
    struct neap_delegate *delegate = neap_idmap_get(&session->owners, id);
    if (delegate == NULL && make && (delegate = neap_alloc(sizeof *delegate)) != NULL) {
        init(delegate);
        if (neap_idmap_put(&session->owners, id, delegate) != 0) {
            neap_free(delegate);
            delegate = NULL;
        }
    }
    neap_guard_unlock(&session->guard);
    return delegate;
}

/* --- holds --- */

int neap_delegate_add_hold(struct neap_session *session, struct neap_delegate **delegate, uint64_t number,
                           struct neap_object *object, struct neap_hold **hold) {
    struct held *held = neap_alloc(sizeof *held);
    if (held == NULL) return NEAP_NOMEM;
    init(&held->own);
    held->delegate = *delegate != NULL ? *delegate : &held->own;
    held->number = number;
    held->hold = object->class->remote->make_hold(object);
    int code = held->hold == NULL ? NEAP_NOMEM : 0;
    neap_guard_lock(&session->guard);
    if (code == 0 && neap_idmap_get(&session->holds, number) != NULL) code = NEAP_BROKEN;
    if (code == 0) code = neap_idmap_put(&session->holds, number, held);
    neap_guard_unlock(&session->guard);
    if (code != 0) {
        free_held(held);
        return code;
    }
    *delegate = held->delegate;
    *hold = held->hold;
    return 0;
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

uint64_t neap_delegate_rename_hold(struct neap_session *session, uint64_t number) {
    neap_guard_lock(&session->guard);
    struct held *held = neap_idmap_remove(&session->holds, number);
    if (held != NULL) {
        number = held->number = (uint64_t)(uintptr_t)held | 1; /* no address of a hold */
        (void)neap_idmap_put(&session->holds, number, held);   /* there is room: something was just removed */
    }
    neap_guard_unlock(&session->guard);
    return number;
}

struct neap_delegate *neap_delegate_of_hold(struct neap_session *session, uint64_t number) {
    neap_guard_lock(&session->guard);
    const struct held *held = neap_idmap_get(&session->holds, number);
    struct neap_delegate *delegate = held != NULL ? held->delegate : NULL;
    neap_guard_unlock(&session->guard);
    return delegate;
}

/* --- the end --- */

static bool can_end(const struct neap_delegate *delegate) { return !delegate->ended && delegate->unfinished == 0; }

/* One that has not ended, and in whose name nothing is under way: it has ended from now on. NULL: there is none. */
static struct neap_delegate *any(struct neap_session *session) {
    struct neap_delegate *delegate;
    size_t at = 0;
    neap_guard_lock(&session->guard);
    do delegate = neap_idmap_next(&session->owners, &at);
    while (delegate != NULL && !can_end(delegate));
    if (delegate != NULL) delegate->ended = true;
    neap_guard_unlock(&session->guard);
    return delegate;
}

/* The same of a hold that has a delegate of its own: it is out of the table. */
static struct held *take_any(struct neap_session *session) {
    struct held *held;
    size_t at = 0;
    neap_guard_lock(&session->guard);
    do held = neap_idmap_next(&session->holds, &at);
    while (held != NULL && (held->delegate != &held->own || !can_end(&held->own)));
    if (held != NULL) neap_idmap_remove(&session->holds, held->number);
    neap_guard_unlock(&session->guard);
    return held;
}

void neap_delegates_end(struct neap_session *session) {
    struct neap_delegate *delegate;
    struct held *held;
    while ((delegate = any(session)) != NULL) neap_owner_end(&delegate->owner);
    while ((held = take_any(session)) != NULL) {
        neap_owner_end(&held->own.owner);
        free_held(held);
    }
}

void neap_delegates_free(struct neap_session *session) {
    size_t at = 0;
    struct neap_delegate *delegate;
    while ((delegate = neap_idmap_next(&session->owners, &at)) != NULL) neap_free(delegate);
    struct held *held;
    for (at = 0; (held = neap_idmap_next(&session->holds, &at)) != NULL;) free_held(held);
}
