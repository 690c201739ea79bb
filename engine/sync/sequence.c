/* sequence: messages in a row. What is taken out is dropped after the guard has been let go: it may end other objects.
 *
 * RETURNS   An element that was popped for another process may never be received (GIVEN in host/serving.c). Then it
 *           comes back: to where it was, or behind the last one if that is no place any more, or if the list is being
 *           updated, as then the others are not to be moved. Of several that come back at once some may change places.
 *           There is room for each until it is known to have been received (owed). After a clearing it does not come
 *           back: that would have dropped it. */
#include "sync/sequence.h"

#include <string.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/remote.h"

enum { ROOM_MIN = 8 };

static void set_count(struct neap_sequence *sequence, size_t count) {
    atomic_store_explicit(&sequence->count, count, memory_order_relaxed);
}

/* Guard held. Room for `more` elements, and for those that may come back. */
static int reserve(struct neap_sequence *sequence, size_t more) {
    size_t count = neap_sequence_count(sequence) + sequence->owed;
    size_t room = sequence->room == 0 ? ROOM_MIN : sequence->room;
    if (more > SIZE_MAX / 4 / sizeof *sequence->items - count) return NEAP_NOMEM;
    while (room < count + more) room *= 2;
    if (room == sequence->room) return 0;
    struct neap_message *items = neap_realloc(sequence->items, room * sizeof *items);
    if (items == NULL) return NEAP_NOMEM;
    sequence->items = items;
    sequence->room = room;
    return 0;
}

/* Takes the guard for a change by `owner`; false: not now, and it is free again. */
static bool enter(struct neap_sequence *sequence, const struct neap_owner *owner) {
    neap_object_lock(&sequence->object);
    if (!neap_turns_are_taken(&sequence->turns, owner)) return true;
    neap_object_unlock(&sequence->object);
    return false;
}

static void leave(struct neap_sequence *sequence) { neap_object_unlock(&sequence->object); }

/* Guard held. */
static bool has(const struct neap_sequence *sequence, int64_t index) {
    return index >= 1 && (uint64_t)index <= neap_sequence_count(sequence);
}

/* Guard held. */
static int insert(struct neap_sequence *sequence, int64_t index, struct neap_message *value) {
    size_t count = neap_sequence_count(sequence);
    if (index < 1 || (uint64_t)index > count + 1 || value->kind == NEAP_MESSAGE_EMPTY) return NEAP_RANGE;
    int code = reserve(sequence, 1);
    if (code < 0) return code;
    struct neap_message *place = &sequence->items[index - 1];
    memmove(place + 1, place, (count + 1 - (size_t)index) * sizeof *place);
    neap_message_move(place, value);
    set_count(sequence, count + 1);
    return 0;
}

void neap_sequence_get(struct neap_sequence *sequence, int64_t index, struct neap_message *value) {
    neap_object_lock(&sequence->object);
    if (has(sequence, index))
        neap_message_copy(value, &sequence->items[index - 1]);
    else
        neap_message_clear(value);
    neap_object_unlock(&sequence->object);
}

/* Guard held. */
static int swap(struct neap_sequence *sequence, int64_t index, struct neap_message *value) {
    size_t count = neap_sequence_count(sequence);
    bool goes = value->kind == NEAP_MESSAGE_EMPTY;
    if (goes && (uint64_t)index != count) return NEAP_RANGE;
    if (!has(sequence, index)) return insert(sequence, index, value); /* behind the last, or nowhere */
    struct neap_message old = sequence->items[index - 1];
    sequence->items[index - 1] = *value;
    *value = old;
    if (goes) set_count(sequence, count - 1);
    return 0;
}

int neap_sequence_swap(struct neap_sequence *sequence, const struct neap_owner *owner, int64_t index,
                       struct neap_message *value) {
    if (!enter(sequence, owner)) return NEAP_BUSY;
    int code = swap(sequence, index, value);
    leave(sequence);
    return code;
}

int neap_sequence_insert(struct neap_sequence *sequence, const struct neap_owner *owner, int64_t index,
                         struct neap_message *value) {
    if (!enter(sequence, owner)) return NEAP_BUSY;
    int code = insert(sequence, index == 0 ? (int64_t)neap_sequence_count(sequence) + 1 : index, value);
    leave(sequence);
    return code;
}

/* Guard held. Element `index` is there. */
static void take(struct neap_sequence *sequence, int64_t index, struct neap_message *value) {
    size_t count = neap_sequence_count(sequence);
    struct neap_message *place = &sequence->items[index - 1];
    *value = *place;
    memmove(place, place + 1, (count - (size_t)index) * sizeof *place);
    set_count(sequence, count - 1);
}

/* Guard held: 0 is the last one. */
static int64_t index_of(const struct neap_sequence *sequence, int64_t index) {
    return index == 0 ? (int64_t)neap_sequence_count(sequence) : index;
}

int neap_sequence_take(struct neap_sequence *sequence, const struct neap_owner *owner, int64_t index,
                       struct neap_message *value) {
    if (!enter(sequence, owner)) return NEAP_BUSY;
    index = index_of(sequence, index);
    bool is_there = has(sequence, index);
    if (is_there) take(sequence, index, value);
    leave(sequence);
    return is_there ? 0 : NEAP_RANGE;
}

int neap_sequence_extend(struct neap_sequence *sequence, const struct neap_owner *owner,
                         const struct neap_message *list) {
    size_t more;
    const struct neap_message *items = neap_message_items(list, &more);
    if (!enter(sequence, owner)) return NEAP_BUSY;
    int code = reserve(sequence, more);
    if (code == 0) {
        size_t count = neap_sequence_count(sequence);
        for (size_t i = 0; i < more; i++) neap_message_copy(&sequence->items[count + i], &items[i]);
        set_count(sequence, count + more);
    }
    leave(sequence);
    return code;
}

static void drop_all(struct neap_message *items, size_t count) {
    for (size_t i = 0; i < count; i++) neap_message_fini(&items[i]);
    neap_free(items);
}

int neap_sequence_clear(struct neap_sequence *sequence, const struct neap_owner *owner) {
    if (!enter(sequence, owner)) return NEAP_BUSY;
    struct neap_message *items = sequence->items;
    size_t count = neap_sequence_count(sequence);
    sequence->items = NULL;
    sequence->room = 0;
    sequence->owed = 0;
    sequence->clearings++;
    set_count(sequence, 0);
    leave(sequence);
    drop_all(items, count);
    return 0;
}

int neap_sequence_snapshot(struct neap_sequence *sequence, struct neap_message *list) {
    neap_object_lock(&sequence->object);
    size_t count = neap_sequence_count(sequence);
    struct neap_message *items = neap_message_new_list(list, count);
    for (size_t i = 0; items != NULL && i < count; i++) neap_message_copy(&items[i], &sequence->items[i]);
    neap_object_unlock(&sequence->object);
    return items == NULL ? NEAP_NOMEM : 0;
}

/* --- updates --- */

/* Guard held: the element that `link` wants, for its message. False: there is none. */
static bool show_element(const struct neap_sequence *sequence, struct neap_link *link) {
    if (link->message.kind != NEAP_MESSAGE_INTEGER) return link->message.kind == NEAP_MESSAGE_EMPTY;
    if (!has(sequence, link->message.integer)) return false;
    neap_message_copy(&link->message, &sequence->items[link->message.integer - 1]);
    return true;
}

static bool attempt_update(struct neap_sequence *sequence, struct neap_link *link) {
    const struct neap_message *index = &link->message;
    bool is_there =
        index->kind == NEAP_MESSAGE_EMPTY || (index->kind == NEAP_MESSAGE_INTEGER && has(sequence, index->integer));
    if (sequence->turns.holder == NULL && !is_there) {
        link->result = NEAP_RANGE;
        return neap_link_commit(link);
    }
    if (!neap_turns_take(&sequence->turns, link)) return false;
    if (link->result == 0) show_element(sequence, link);
    return true;
}

static bool attempt_pop(struct neap_sequence *sequence, struct neap_link *link) {
    int64_t index = index_of(sequence, link->number);
    if (!neap_link_commit(link)) return false;
    if (neap_turns_are_taken(&sequence->turns, neap_wait_owner(link->wait)))
        link->result = NEAP_BUSY;
    else if (!has(sequence, index) || link->message.kind != NEAP_MESSAGE_EMPTY)
        link->result = NEAP_RANGE;
    if (link->result != 0) return true;
    take(sequence, index, &link->message);
    link->number = index;
    link->turn = sequence->clearings;
    sequence->owed++;
    return true;
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_sequence *sequence = (struct neap_sequence *)object;
    (void)batch;
    return link->op == NEAP_SEQUENCE_UPDATE ? attempt_update(sequence, link) : attempt_pop(sequence, link);
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_sequence *)object)->turns.waiters, &link->node);
}

static void resumed(struct neap_object *object, struct neap_link *link) {
    (void)object;
    if (link->result == 0 && link->op == NEAP_SEQUENCE_UPDATE) neap_turn_enter(link);
}

/* Guard held: the next one's turn, who wants an element that is there; who does not is told so. */
static void pass_on(struct neap_sequence *sequence, struct neap_batch *batch) {
    struct neap_link *next;
    bool is_there = false;
    while (!is_there && (next = neap_turns_pass(&sequence->turns)) != NULL) {
        is_there = show_element(sequence, next);
        if (!is_there) next->result = NEAP_RANGE;
        neap_batch_add(batch, next->wait);
    }
}

static void abandon(struct neap_hold *hold) {
    struct neap_sequence *sequence = (struct neap_sequence *)hold->object;
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&sequence->object);
    pass_on(sequence, &batch);
    neap_object_unlock(&sequence->object);
    if (batch.first != NULL) neap_batch_flush(&batch);
}

void neap_sequence_prepare(struct neap_sequence *sequence, struct neap_turn *turn) {
    neap_turn_init(turn, &sequence->object, abandon);
}

/* --- for other processes --- */

static int serve_value(struct neap_sequence *sequence, struct neap_call *call) {
    struct neap_message value;
    neap_message_move(&value, &call->message);
    int code = call->method == NEAP_SEQUENCE_SWAP ? neap_sequence_swap(sequence, call->owner, call->number, &value)
                                                  : neap_sequence_insert(sequence, call->owner, call->number, &value);
    neap_message_move(&call->message, &value);
    return code;
}

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_sequence *sequence = (struct neap_sequence *)object;
    bool has_list = call->message.kind == NEAP_MESSAGE_LIST;
    if (call->method == NEAP_SEQUENCE_SWAP || call->method == NEAP_SEQUENCE_INSERT) {
        call->result = has_list ? NEAP_RANGE : serve_value(sequence, call);
        return;
    }
    if (call->method == NEAP_SEQUENCE_EXTEND) {
        call->result = has_list ? neap_sequence_extend(sequence, call->owner, &call->message) : NEAP_RANGE;
        return;
    }
    neap_message_fini(&call->message);
    switch (call->method) {
        case NEAP_SEQUENCE_GET: neap_sequence_get(sequence, call->number, &call->message); return;
        case NEAP_SEQUENCE_CLEAR: call->result = neap_sequence_clear(sequence, call->owner); return;
        case NEAP_SEQUENCE_SNAPSHOT: call->result = neap_sequence_snapshot(sequence, &call->message); return;
        case NEAP_SEQUENCE_COUNT: call->number = (int64_t)neap_sequence_count(sequence); return;
        default: call->result = NEAP_RANGE; return;
    }
}

/* Guard held: what `link` has popped is not owed any more. False: it was not, since the list has been cleared. */
static bool stop_owing(struct neap_sequence *sequence, const struct neap_link *link) {
    if (link->turn != sequence->clearings) return false;
    sequence->owed--;
    return true;
}

static void restore(struct neap_object *object, struct neap_link *link) {
    struct neap_sequence *sequence = (struct neap_sequence *)object;
    neap_object_lock(object);
    int64_t behind = (int64_t)neap_sequence_count(sequence) + 1;
    bool is_place = link->number < behind && sequence->turns.holder == NULL;
    if (stop_owing(sequence, link)) {
        int code = insert(sequence, is_place ? link->number : behind, &link->message);
        NEAP_ASSERT(code == 0, "there is room for what is owed");
        (void)code;
    }
    neap_object_unlock(object);
}

static void received(struct neap_object *object, struct neap_link *link) {
    neap_object_lock(object);
    stop_owing((struct neap_sequence *)object, link);
    neap_object_unlock(object);
}

static struct neap_hold *make_hold(struct neap_object *object) {
    struct neap_turn *turn = neap_alloc(sizeof *turn);
    if (turn == NULL) return NULL;
    neap_sequence_prepare((struct neap_sequence *)object, turn);
    return &turn->hold;
}

static const struct neap_remote remote = {
    .kind = NEAP_KIND_LIST,
    .ops = NEAP_SEQUENCE_POP + 1,
    .holding = NEAP_SEQUENCE_UPDATE + 1,
    .taking = 1 << NEAP_SEQUENCE_POP,
    .make_hold = make_hold,
    .restore = restore,
    .received = received,
    .serve = serve,
};

/* --- life --- */

struct neap_sequence *neap_sequence_new(void) {
    struct neap_sequence *sequence = neap_alloc(sizeof *sequence);
    if (sequence == NULL) return NULL;
    neap_object_init(&sequence->object, &neap_sequence_class);
    sequence->items = NULL;
    atomic_init(&sequence->count, 0);
    sequence->room = 0;
    sequence->owed = 0;
    sequence->clearings = 0;
    neap_turns_init(&sequence->turns);
    return sequence;
}

static void destroy(struct neap_object *object) {
    struct neap_sequence *sequence = (struct neap_sequence *)object;
    NEAP_ASSERT(sequence->turns.holder == NULL, "who updates keeps the list alive");
    drop_all(sequence->items, neap_sequence_count(sequence));
    neap_free(sequence);
}

static const char *const verbs[] = {"update", "pop"};

const struct neap_class neap_sequence_class = {
    .name = "list",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .resumed = resumed,
    .remote = &remote,
};
