/* exports: what the other process refers to. The essay is in session.c. */
#include "host/exports.h"

#include "core/memory.h"
#include "host/creditor.h"
#include "host/lender.h"
#include "host/mapping.h"
#include "host/wire.h"

enum { FIRST_EXPORTS = 16 };

/* --- the table; guard held --- */

static uint32_t find_export(const struct neap_session *session, const struct neap_object *object) {
    return (uint32_t)(uintptr_t)neap_idmap_get(&session->exported, (uintptr_t)object);
}

static bool grow_exports(struct neap_session *session) {
    uint32_t room = session->export_room == 0 ? FIRST_EXPORTS : session->export_room * 2;
    struct neap_export *exports = neap_realloc(session->exports, room * sizeof *exports);
    if (exports == NULL) return false;
    for (uint32_t i = room; i-- > session->export_room;) {
        exports[i].object = NULL;
        exports[i].next = session->export_free;
        session->export_free = i + 1;
    }
    session->exports = exports;
    session->export_room = room;
    return true;
}

uint32_t neap_export_place(struct neap_session *session, struct neap_object *object) {
    uint32_t found = find_export(session, object);
    if (found != 0 || session->ended) return found;
    if (session->export_free == 0 && !grow_exports(session)) return 0;
    uint32_t place = session->export_free;
    if (neap_idmap_put(&session->exported, (uintptr_t)object, (void *)(uintptr_t)place) != 0) return 0;
    struct neap_export *export = &session->exports[place - 1];
    session->export_free = export->next;
    export->object = neap_object_ref(object);
    export->sent = 0;
    export->asked = 0;
    export->party = 0;
    export->lender = NULL;
    export->sends = 0;
    export->creditor = NULL;
    return place;
}

/* Out of the table; the caller ends it (end_export) once it has let go of the guard. */
static struct neap_export take_export(struct neap_session *session, uint32_t id) {
    struct neap_export *export = &session->exports[id], taken = *export;
    export->object = NULL;
    export->lender = NULL;
    export->creditor = NULL;
    export->next = session->export_free;
    session->export_free = id + 1;
    neap_idmap_remove(&session->exported, (uintptr_t)taken.object);
    return taken;
}

/* No guard held; with the last reference the object goes. */
static void end_export(const struct neap_export *export) {
    neap_lender_end(export->lender);
    neap_creditor_end(export->creditor);
    if (export->party != 0) export->object->class->remote->leave(export->object, export->party);
    neap_object_unref(export->object);
}

struct neap_export *neap_export_at(struct neap_session *session, uint32_t id) {
    return id < session->export_room && session->exports[id].object != NULL ? &session->exports[id] : NULL;
}

struct neap_object *neap_export_object(struct neap_session *session, uint32_t id) {
    neap_guard_lock(&session->guard);
    const struct neap_export *export = neap_export_at(session, id);
    struct neap_object *object = export != NULL && export->sent > 0 ? neap_object_ref(export->object) : NULL;
    neap_guard_unlock(&session->guard);
    return object;
}

void neap_exports_sent(struct neap_session *session, const uint32_t *notes, unsigned count) {
    neap_guard_lock(&session->guard);
    for (unsigned i = 0; i < count && !session->ended; i++) session->exports[notes[i]].sent = 1;
    neap_guard_unlock(&session->guard);
}

void neap_exports_forget_values(struct neap_session *session) {
    for (uint32_t id = 0;; id++) {
        struct neap_export taken = {.object = NULL};
        neap_guard_lock(&session->guard);
        session->values = 0;
        while (id < session->export_room && taken.object == NULL) {
            const struct neap_export *export = &session->exports[id];
            if (export->object != NULL && export->object->class->pack != NULL &&
                atomic_load_explicit(&export->object->refs, memory_order_acquire) == 1)
                taken = take_export(session, id);
            else
                id++;
        }
        /* Sent under the guard: the number may be given to another object at once. */
        if (taken.object != NULL) neap_session_send_numbers(session, NEAP_FRAME_FORGET, id, 0);
        neap_guard_unlock(&session->guard);
        if (taken.object == NULL) return;
        end_export(&taken);
    }
}

/* --- letting go --- */

/* The loan and the credit of an export to which the other side has no reference now end while the number is still its
 * own: what is lent or told meanwhile must not be taken for another object's. */
static void end_idle_export(struct neap_session *session, uint32_t id) {
    struct neap_lender *lender = NULL;
    struct neap_creditor *creditor = NULL;
    neap_guard_lock(&session->guard);
    struct neap_export *export = neap_export_at(session, id);
    if (export != NULL && export->sent == 0) {
        lender = export->lender;
        creditor = export->creditor;
        export->lender = NULL;
        export->creditor = NULL;
    }
    neap_guard_unlock(&session->guard);
    neap_lender_end(lender); /* the export keeps the channel: nobody but us, who pump, takes it */
    neap_creditor_end(creditor);
}

bool neap_export_drop(struct neap_session *session, uint32_t id, uint32_t count) {
    struct neap_export taken = {.object = NULL};
    neap_guard_lock(&session->guard);
    struct neap_export *export = neap_export_at(session, id);
    bool good = export != NULL && count > 0 && count <= export->sent;
    bool last = good && (export->sent -= count) == 0;
    neap_guard_unlock(&session->guard);
    if (!last) return good;
    end_idle_export(session, id);
    neap_guard_lock(&session->guard);
    export = neap_export_at(session, id);
    if (export != NULL && export->sent == 0) taken = take_export(session, id); /* else it has been sent again */
    neap_guard_unlock(&session->guard);
    if (taken.object == NULL) return good;
    bool maps = taken.object->class->adopt != NULL || taken.party != 0;
    end_export(&taken);
    if (maps) neap_mapping_forget_unused(session);
    return good;
}

void neap_exports_end(struct neap_session *session) {
    struct neap_export taken;
    uint32_t id = 0;
    do {
        taken = (struct neap_export){.object = NULL};
        neap_guard_lock(&session->guard);
        for (; id < session->export_room && taken.object == NULL; id++)
            if (session->exports[id].object != NULL) taken = take_export(session, id);
        neap_guard_unlock(&session->guard);
        if (taken.object != NULL) end_export(&taken);
    } while (taken.object != NULL);
}
