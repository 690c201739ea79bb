/* condition: why no notification is lost. A wait stands in the list before the lock is given up, and who notifies holds
 * the lock: so it either came before the waiter looked at what it waits for, or finds the waiter in the list. A
 * notification claims its wait: one that is being timed out or cancelled is passed over, and the next one is woken. */
#include "sync/condition.h"

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)object;
    (void)link;
    (void)batch;
    return false;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_condition *)object)->waiters, &link->node);
}

int neap_condition_begin(struct neap_condition *condition, struct neap_wait *wait, struct neap_link *link,
                         int64_t deadline, uint32_t *depth) {
    if (!neap_lock_is_held_by(condition->lock, neap_wait_owner(wait))) return NEAP_NOT_OWNER;
    link->object = &condition->object;
    link->op = NEAP_CONDITION_WAIT;
    int code = neap_wait_begin(wait, link, 1, deadline);
    if (code == NEAP_PARKED || code == NEAP_TIMEOUT)
        *depth = neap_lock_release_all(condition->lock, neap_wait_owner(wait));
    return code;
}

/* Guard not held. */
static void wake(struct neap_condition *condition, size_t count) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&condition->object);
    for (struct neap_link *link; count > 0 && (link = neap_waiters_claim(&condition->waiters)) != NULL; count--)
        neap_batch_add(&batch, link->wait);
    neap_object_unlock(&condition->object);
    neap_batch_flush(&batch);
}

int neap_condition_notify(struct neap_condition *condition, const struct neap_owner *owner, size_t count) {
    if (!neap_lock_is_held_by(condition->lock, owner)) return NEAP_NOT_OWNER;
    wake(condition, count);
    return 0;
}

/* Who was notified never knew: the next one is. */
static void restore(struct neap_object *object, struct neap_link *link) {
    (void)link;
    wake((struct neap_condition *)object, 1);
}

struct neap_condition *neap_condition_new(struct neap_lock *lock) {
    struct neap_condition *condition = neap_alloc(sizeof *condition);
    if (condition == NULL) return NULL;
    neap_object_init(&condition->object, &neap_condition_class);
    neap_object_ref(&lock->object);
    condition->lock = lock;
    neap_list_init(&condition->waiters);
    return condition;
}

static void on_share(struct neap_object *object) {
    neap_object_share(&((struct neap_condition *)object)->lock->object);
}

static void destroy(struct neap_object *object) {
    struct neap_condition *condition = (struct neap_condition *)object;
    NEAP_ASSERT(neap_list_is_empty(&condition->waiters), "wait 2: who waits keeps the object alive");
    neap_object_unref(&condition->lock->object);
    neap_free(condition);
}

void neap_condition_serve_making(struct neap_lock *lock, struct neap_call *call) {
    struct neap_condition *condition = neap_condition_new(lock);
    if (condition == NULL) {
        call->result = NEAP_NOMEM;
        return;
    }
    neap_object_share(&condition->object);
    neap_message_fini(&call->message);
    call->message.kind = NEAP_MESSAGE_OBJECT;
    call->message.object = &condition->object;
}

static void constants(struct neap_object *object, struct neap_constants *constants_) {
    constants_->parts[0] = &((struct neap_condition *)object)->lock->object;
}

static void serve(struct neap_object *object, struct neap_call *call) {
    size_t count = call->number < 0 ? NEAP_CONDITION_ALL : (size_t)call->number;
    if (call->method == NEAP_CONDITION_NOTIFY)
        call->result = neap_condition_notify((struct neap_condition *)object, call->owner, count);
    else
        call->result = NEAP_RANGE;
}

static const struct neap_remote remote = {
    .kind = NEAP_KIND_CONDITION,
    .ops = NEAP_CONDITION_WAIT + 1,
    .taking = 1 << NEAP_CONDITION_WAIT,
    .restore = restore,
    .constants = constants,
    .serve = serve,
};

static const char *const verbs[] = {"wait"};

const struct neap_class neap_condition_class = {
    .name = "condition",
    .verbs = verbs,
    .destroy = destroy,
    .on_share = on_share,
    .attempt = attempt,
    .enlist = enlist,
    .remote = &remote,
};
