/* queue: what is unfinished. The channel counts what came in under its guard, whichever way it came (buffered, handed
 * to a receiver, admitted from a waiting sender); what is unfinished is the difference to what was told done, and what
 * has been sent by credit and is on its way. It can only reach 0 in task_done, or where the credit ends and nothing
 * comes any more: so there joiners are woken. */
#include "sync/queue.h"

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "sync/channel_credit.h"

static bool is_finished(const struct neap_queue *queue) {
    return queue->done == queue->channel.sent && neap_channel_on_its_way(&queue->channel) == 0;
}

static void credit_ended(struct neap_channel *channel, struct neap_batch *batch) {
    struct neap_queue *queue = (struct neap_queue *)channel;
    if (is_finished(queue)) neap_waiters_claim_all(&queue->joiners, 0, batch);
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_queue *queue = (struct neap_queue *)object;
    if (link->op == NEAP_QUEUE_JOIN) return is_finished(queue) && neap_link_commit(link);
    return neap_channel_attempt(object, link, batch);
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    if (link->op == NEAP_QUEUE_JOIN)
        neap_list_push_back(&((struct neap_queue *)object)->joiners, &link->node);
    else
        neap_channel_enlist(object, link);
}

static bool hint(struct neap_object *object, const struct neap_link *link) {
    return link->op == NEAP_QUEUE_JOIN || neap_channel_hint(object, link); /* joins are long: no use to look */
}

int neap_queue_task_done(struct neap_queue *queue) {
    struct neap_batch batch = {NULL, NULL};
    int code = NEAP_RANGE;
    neap_object_lock(&queue->channel.object);
    if (queue->done < queue->channel.sent) {
        queue->done++;
        if (is_finished(queue)) neap_waiters_claim_all(&queue->joiners, 0, &batch);
        code = 0;
    }
    neap_object_unlock(&queue->channel.object);
    neap_batch_flush(&batch);
    return code;
}

struct neap_queue *neap_queue_new(size_t maxsize, enum neap_order order) {
    struct neap_queue *queue = neap_alloc(sizeof *queue);
    if (queue == NULL) return NULL;
    neap_channel_init(&queue->channel, &neap_queue_class, maxsize == 0 ? NEAP_UNBOUNDED : maxsize, order);
    queue->channel.credit_ended = credit_ended;
    neap_list_init(&queue->joiners);
    queue->done = 0;
    return queue;
}

static void destroy(struct neap_object *object) {
    struct neap_queue *queue = (struct neap_queue *)object;
    NEAP_ASSERT(neap_list_is_empty(&queue->joiners), "wait 2: who waits keeps the object alive");
    neap_channel_fini(&queue->channel);
    neap_free(queue);
}

static void serve(struct neap_object *object, struct neap_call *call) {
    if (call->method == NEAP_QUEUE_TASK_DONE)
        call->result = neap_queue_task_done((struct neap_queue *)object);
    else
        neap_channel_serve(object, call);
}

static const struct neap_remote remote = {
    .kind = NEAP_KIND_QUEUE,
    .ops = NEAP_QUEUE_JOIN + 1,
    .constants = neap_channel_constants,
    .serve = serve,
    .reason = neap_channel_reason,
    .lending = NEAP_QUEUE_GET + 1,
    .sending = NEAP_QUEUE_PUT + 1,
    .taking = 1 << NEAP_QUEUE_GET,
    .restore = neap_channel_restore,
};

static const char *const verbs[] = {"get", "put", "join"};

const struct neap_class neap_queue_class = {
    .name = "queue",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .awaits = neap_channel_awaits,
    .enlist = enlist,
    .hint = hint,
    .look = neap_channel_look_for,
    .remote = &remote,
};
