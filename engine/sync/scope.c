#include "sync/scope.h"

#include <stddef.h>

#include "core/check.h"
#include "core/memory.h"

static void destroy(struct neap_object *object) {
    struct neap_scope *scope = (struct neap_scope *)object;
    NEAP_ASSERT(neap_list_is_empty(&scope->waiters), "wait 2: who waits keeps the object alive");
    neap_mailbox_unref(scope->mailbox);
    neap_free(scope);
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)link;
    (void)batch;
    return ((struct neap_scope *)object)->alive == 0;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_scope *)object)->waiters, &link->node);
}

static const char *const verbs[] = {"wait for the end"};

const struct neap_class neap_scope_class = {
    .name = "scope",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
};

/* On the owner's loop, or wherever the post was refused because that loop has ended. */
static void tell_owner(struct neap_runnable *runnable) {
    struct neap_scope *scope = NEAP_CONTAINER_OF(runnable, struct neap_scope, failing);
    if (scope->owner != NULL) scope->on_failure(scope);
    neap_object_unref(&scope->object);
}

struct neap_scope *neap_scope_new(struct neap_mailbox *mailbox, void (*on_failure)(struct neap_scope *scope),
                                  void *owner) {
    struct neap_scope *scope = neap_alloc(sizeof *scope);
    if (scope == NULL) return NULL;
    neap_object_init(&scope->object, &neap_scope_class);
    neap_list_init(&scope->waiters);
    scope->alive = 0;
    scope->first_failed = 0;
    scope->mailbox = neap_mailbox_ref(mailbox);
    scope->failing.next = NULL;
    scope->failing.run = tell_owner;
    scope->on_failure = on_failure;
    scope->owner = owner;
    return scope;
}

void neap_scope_enter(struct neap_scope *scope) {
    neap_object_ref(&scope->object);
    neap_object_lock(&scope->object);
    scope->alive++;
    neap_object_unlock(&scope->object);
}

void neap_scope_leave(struct neap_scope *scope, uint64_t id, bool failed) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&scope->object);
    bool first = failed && scope->first_failed == 0;
    if (first) scope->first_failed = id;
    if (--scope->alive == 0) neap_waiters_claim_all(&scope->waiters, 0, &batch);
    neap_object_unlock(&scope->object);
    if (first) {
        neap_object_ref(&scope->object);
        if (neap_mailbox_post(scope->mailbox, &scope->failing) != 0) neap_object_unref(&scope->object);
    }
    neap_batch_flush(&batch);
    neap_object_unref(&scope->object);
}

uint64_t neap_scope_first_failed(struct neap_scope *scope) {
    neap_object_lock(&scope->object);
    uint64_t id = scope->first_failed;
    neap_object_unlock(&scope->object);
    return id;
}

uint64_t neap_scope_alive(struct neap_scope *scope) {
    neap_object_lock(&scope->object);
    uint64_t alive = scope->alive;
    neap_object_unlock(&scope->object);
    return alive;
}
