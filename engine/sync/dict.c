/* dict: a hash table with chains, whose entries do not move.
 *
 * INVARIANTS (under the guard)
 *   1. An entry is there while it has a value, is being updated, or its value may come back (owed).
 *   2. `busy` counts the entries that are being updated; who waits for IDLE does so only while it is not 0.
 * RETURNS     A value that was removed for another process may never be received (GIVEN in host/serving.c). Then it
 *             comes back to its entry, unless that has another one. If the dict has been cleared since it does not: it
 *             would have been dropped then.
 * DROPPING    What is taken out is dropped after the guard has been let go: it may end other objects. */
#include "sync/dict.h"

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/remote.h"

enum { ROOM_MIN = 8 };

struct neap_dict_entry {
    struct neap_dict_entry *next; /* in its bucket, or among those that are to be dropped */
    struct neap_list node;        /* in dict->order */
    uint64_t hash;                /* of the key */
    struct neap_message key;
    struct neap_message value; /* empty: it has none */
    struct neap_turns turns;
    size_t owed; /* values that were removed and may come back */
};

/* --- the table; guard held --- */

static struct neap_dict_entry **bucket_of(const struct neap_dict *dict, uint64_t hash) {
    return &dict->buckets[hash & (dict->room - 1)];
}

static struct neap_dict_entry *find(const struct neap_dict *dict, const struct neap_key *key, uint64_t hash) {
    if (dict->room == 0) return NULL;
    for (struct neap_dict_entry *entry = *bucket_of(dict, hash); entry != NULL; entry = entry->next) {
        struct neap_key other;
        if (entry->hash == hash && neap_key_read(&entry->key, &other) && neap_key_equals(key, &other)) return entry;
    }
    return NULL;
}

static void put(struct neap_dict *dict, struct neap_dict_entry *entry) {
    struct neap_dict_entry **bucket = bucket_of(dict, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
}

/* Without memory the chains get longer. False: there are none yet. */
static bool make_room(struct neap_dict *dict) {
    if (dict->entry_count < dict->room) return true;
    size_t room = dict->room == 0 ? ROOM_MIN : 2 * dict->room;
    struct neap_dict_entry **buckets = neap_alloc_zeroed(room * sizeof(struct neap_dict_entry *));
    if (buckets == NULL) return dict->room > 0;
    neap_free(dict->buckets);
    dict->buckets = buckets;
    dict->room = room;
    for (struct neap_list *node = dict->order.next; node != &dict->order; node = node->next)
        put(dict, NEAP_CONTAINER_OF(node, struct neap_dict_entry, node));
    return true;
}

/* A new entry without a value; NULL: no memory. */
static struct neap_dict_entry *add(struct neap_dict *dict, const struct neap_key *key, uint64_t hash) {
    struct neap_dict_entry *entry = make_room(dict) ? neap_alloc(sizeof *entry) : NULL;
    if (entry == NULL) return NULL;
    if (neap_key_write(key, &entry->key) < 0) {
        neap_free(entry);
        return NULL;
    }
    entry->hash = hash;
    neap_message_clear(&entry->value);
    neap_turns_init(&entry->turns);
    entry->owed = 0;
    put(dict, entry);
    neap_list_push_back(&dict->order, &entry->node);
    dict->entry_count++;
    return entry;
}

static struct neap_dict_entry *find_or_add(struct neap_dict *dict, const struct neap_key *key) {
    uint64_t hash = neap_key_hash(key);
    struct neap_dict_entry *entry = find(dict, key, hash);
    return entry != NULL ? entry : add(dict, key, hash);
}

static void take_out(struct neap_dict *dict, struct neap_dict_entry *entry) {
    struct neap_dict_entry **place = bucket_of(dict, entry->hash);
    while (*place != entry) place = &(*place)->next;
    *place = entry->next;
    neap_list_remove(&entry->node);
    dict->entry_count--;
}

/* An entry that has lost its value, its turn, or what it was owed: takes it out if that is 1's end of it.
 * Returns it then, to be dropped. */
static struct neap_dict_entry *tidy(struct neap_dict *dict, struct neap_dict_entry *entry) {
    if (entry->value.kind != NEAP_MESSAGE_EMPTY || entry->turns.holder != NULL || entry->owed > 0) return NULL;
    take_out(dict, entry);
    return entry;
}

static void set_count(struct neap_dict *dict, size_t count) {
    atomic_store_explicit(&dict->count, count, memory_order_relaxed);
}

/* --- no guard held --- */

static void drop(struct neap_dict_entry *entry) {
    if (entry == NULL) return;
    neap_message_fini(&entry->key);
    neap_message_fini(&entry->value);
    neap_free(entry);
}

void neap_dict_get(struct neap_dict *dict, const struct neap_key *key, struct neap_message *value) {
    uint64_t hash = neap_key_hash(key);
    neap_object_lock(&dict->object);
    const struct neap_dict_entry *entry = find(dict, key, hash);
    if (entry != NULL)
        neap_message_copy(value, &entry->value);
    else
        neap_message_clear(value);
    neap_object_unlock(&dict->object);
}

/* Guard held. What is left to be dropped goes to `*left`. */
static int swap(struct neap_dict *dict, const struct neap_owner *owner, const struct neap_key *key,
                struct neap_message *value, struct neap_dict_entry **left) {
    uint64_t hash = neap_key_hash(key);
    bool goes = value->kind == NEAP_MESSAGE_EMPTY;
    struct neap_dict_entry *entry = find(dict, key, hash);
    if (entry != NULL && neap_turns_are_taken(&entry->turns, owner)) return NEAP_BUSY;
    if (entry == NULL && goes) return 0;
    if (entry == NULL) entry = add(dict, key, hash);
    if (entry == NULL) return NEAP_NOMEM;
    bool was_there = entry->value.kind != NEAP_MESSAGE_EMPTY;
    struct neap_message old = entry->value;
    entry->value = *value;
    *value = old;
    set_count(dict, neap_dict_count(dict) + !goes - was_there);
    *left = tidy(dict, entry);
    return 0;
}

int neap_dict_swap(struct neap_dict *dict, const struct neap_owner *owner, const struct neap_key *key,
                   struct neap_message *value) {
    struct neap_dict_entry *left = NULL;
    neap_object_lock(&dict->object);
    int code = swap(dict, owner, key, value, &left);
    neap_object_unlock(&dict->object);
    drop(left);
    return code;
}

static void drop_all(struct neap_list *order) {
    for (struct neap_list *node; (node = neap_list_pop_front(order)) != NULL;)
        drop(NEAP_CONTAINER_OF(node, struct neap_dict_entry, node));
}

/* Guard held. */
static bool is_updated_by(const struct neap_dict *dict, const struct neap_owner *owner) {
    for (const struct neap_list *node = dict->order.next; node != &dict->order; node = node->next)
        if (NEAP_CONTAINER_OF(node, struct neap_dict_entry, node)->turns.holder == owner) return true;
    return false;
}

/* Guard held: everything goes to `order`. */
static void empty(struct neap_dict *dict, struct neap_list *order) {
    neap_list_splice(order, &dict->order);
    for (size_t i = 0; i < dict->room; i++) dict->buckets[i] = NULL;
    dict->entry_count = 0;
    dict->clearings++;
    set_count(dict, 0);
}

int neap_dict_clear(struct neap_dict *dict, const struct neap_owner *owner) {
    struct neap_list order;
    int code = 0;
    neap_list_init(&order);
    neap_object_lock(&dict->object);
    if (dict->busy == 0)
        empty(dict, &order);
    else
        code = is_updated_by(dict, owner) ? NEAP_HELD : NEAP_BUSY;
    neap_object_unlock(&dict->object);
    drop_all(&order);
    return code;
}

int neap_dict_snapshot(struct neap_dict *dict, struct neap_message *list) {
    size_t count = 0;
    neap_object_lock(&dict->object);
    struct neap_message *items = neap_message_new_list(list, 2 * neap_dict_count(dict));
    for (struct neap_list *node = dict->order.next; items != NULL && node != &dict->order; node = node->next) {
        const struct neap_dict_entry *entry = NEAP_CONTAINER_OF(node, struct neap_dict_entry, node);
        if (entry->value.kind == NEAP_MESSAGE_EMPTY) continue;
        neap_message_copy(&items[count++], &entry->key);
        neap_message_copy(&items[count++], &entry->value);
    }
    neap_object_unlock(&dict->object);
    return items == NULL ? NEAP_NOMEM : 0;
}

/* --- updates --- */

/* Guard held: it is the turn of `link`'s owner. */
static void show_value(const struct neap_dict_entry *entry, struct neap_link *link) {
    neap_message_fini(&link->message); /* the key: never the last one */
    neap_message_copy(&link->message, &entry->value);
}

static bool attempt_update(struct neap_dict *dict, struct neap_link *link) {
    struct neap_key key;
    bool is_key = neap_key_read(&link->message, &key);
    struct neap_dict_entry *entry = is_key ? find_or_add(dict, &key) : NULL;
    if (entry == NULL) {
        link->result = is_key ? NEAP_NOMEM : NEAP_RANGE;
        return neap_link_commit(link);
    }
    if (!neap_turns_take(&entry->turns, link)) {
        drop(tidy(dict, entry)); /* nothing but its key, of which `link` has a copy */
        return false;
    }
    if (link->result != 0) return true;
    dict->busy++;
    show_value(entry, link);
    return true;
}

/* Guard held: the value of `entry` goes to link->message, with its key. 0 or NEAP_NOMEM. */
static int take_value(struct neap_dict *dict, struct neap_dict_entry *entry, struct neap_link *link) {
    struct neap_message list;
    struct neap_message *items = neap_message_new_list(&list, 2);
    if (items == NULL) return NEAP_NOMEM;
    neap_message_copy(&items[0], &entry->key);
    neap_message_move(&items[1], &entry->value);
    neap_message_fini(&link->message); /* the key: never the last one */
    neap_message_move(&link->message, &list);
    link->turn = dict->clearings;
    entry->owed++;
    set_count(dict, neap_dict_count(dict) - 1);
    return 0;
}

static bool attempt_remove(struct neap_dict *dict, struct neap_link *link) {
    struct neap_key key;
    bool is_key = neap_key_read(&link->message, &key);
    struct neap_dict_entry *entry = is_key ? find(dict, &key, neap_key_hash(&key)) : NULL;
    if (!neap_link_commit(link)) return false;
    if (!is_key)
        link->result = NEAP_RANGE;
    else if (entry != NULL && neap_turns_are_taken(&entry->turns, neap_wait_owner(link->wait)))
        link->result = NEAP_BUSY;
    else if (entry != NULL && entry->value.kind != NEAP_MESSAGE_EMPTY)
        link->result = take_value(dict, entry, link);
    else
        neap_message_fini(&link->message);
    return true;
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_dict *dict = (struct neap_dict *)object;
    (void)batch;
    switch (link->op) {
        case NEAP_DICT_UPDATE: return attempt_update(dict, link);
        case NEAP_DICT_REMOVE: return attempt_remove(dict, link);
        default: return dict->busy == 0 && neap_link_commit(link);
    }
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    struct neap_dict *dict = (struct neap_dict *)object;
    struct neap_list *waiters = &dict->idle;
    if (link->op == NEAP_DICT_UPDATE) {
        struct neap_key key;
        neap_key_read(&link->message, &key);
        waiters = &find(dict, &key, neap_key_hash(&key))->turns.waiters; /* there, since it is being updated */
    }
    neap_list_push_back(waiters, &link->node);
}

static void resumed(struct neap_object *object, struct neap_link *link) {
    (void)object;
    if (link->op == NEAP_DICT_UPDATE) neap_turn_enter(link);
}

/* Guard held: the next one's turn, if there is one. */
static struct neap_dict_entry *pass_on(struct neap_dict *dict, struct neap_turns *turns, struct neap_batch *batch) {
    struct neap_dict_entry *entry = NEAP_CONTAINER_OF(turns, struct neap_dict_entry, turns);
    struct neap_link *next = neap_turns_pass(turns);
    if (next != NULL) {
        show_value(entry, next);
        neap_batch_add(batch, next->wait);
        return NULL;
    }
    if (--dict->busy == 0) neap_waiters_claim_all(&dict->idle, 0, batch);
    return tidy(dict, entry);
}

static void abandon(struct neap_hold *hold) {
    struct neap_dict *dict = (struct neap_dict *)hold->object;
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&dict->object);
    struct neap_dict_entry *left = pass_on(dict, NEAP_CONTAINER_OF(hold, struct neap_turn, hold)->turns, &batch);
    neap_object_unlock(&dict->object);
    drop(left);
    if (batch.first != NULL) neap_batch_flush(&batch);
}

void neap_dict_prepare(struct neap_dict *dict, struct neap_turn *turn) { neap_turn_init(turn, &dict->object, abandon); }

/* --- for other processes --- */

static int serve_swap(struct neap_dict *dict, struct neap_call *call) {
    size_t count = 0;
    struct neap_key key;
    struct neap_message value;
    const struct neap_message *items =
        call->message.kind == NEAP_MESSAGE_LIST ? neap_message_items(&call->message, &count) : NULL;
    if (count != 2 || !neap_key_read(&items[0], &key)) return NEAP_RANGE;
    neap_message_copy(&value, &items[1]);
    int code = neap_dict_swap(dict, call->owner, &key, &value);
    if (code < 0) {
        neap_message_fini(&value);
        return code;
    }
    neap_message_fini(&call->message);
    neap_message_move(&call->message, &value);
    return 0;
}

static int serve_get(struct neap_dict *dict, struct neap_call *call) {
    struct neap_key key;
    struct neap_message value;
    if (!neap_key_read(&call->message, &key)) return NEAP_RANGE;
    neap_dict_get(dict, &key, &value);
    call->number = value.kind != NEAP_MESSAGE_EMPTY;
    neap_message_fini(&call->message);
    if (call->method == NEAP_DICT_GET)
        neap_message_move(&call->message, &value);
    else
        neap_message_fini(&value);
    return 0;
}

static int serve_snapshot(struct neap_dict *dict, struct neap_call *call) {
    neap_message_fini(&call->message);
    return neap_dict_snapshot(dict, &call->message);
}

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_dict *dict = (struct neap_dict *)object;
    switch (call->method) {
        case NEAP_DICT_GET:
        case NEAP_DICT_HAS: call->result = serve_get(dict, call); return;
        case NEAP_DICT_SWAP: call->result = serve_swap(dict, call); return;
        case NEAP_DICT_CLEAR: call->result = neap_dict_clear(dict, call->owner); return;
        case NEAP_DICT_SNAPSHOT: call->result = serve_snapshot(dict, call); return;
        case NEAP_DICT_COUNT: call->number = (int64_t)neap_dict_count(dict); return;
        default: call->result = NEAP_RANGE; return;
    }
}

/* Guard held: the entry of what `link` has removed, which is not owed it any more, and what that was. NULL: nothing was
 * removed, or the dict has been cleared. */
static struct neap_dict_entry *stop_owing(struct neap_dict *dict, const struct neap_link *link,
                                          const struct neap_message **value) {
    size_t count;
    struct neap_key key;
    if (link->message.kind != NEAP_MESSAGE_LIST || link->turn != dict->clearings) return NULL;
    const struct neap_message *items = neap_message_items(&link->message, &count);
    neap_key_read(&items[0], &key);
    struct neap_dict_entry *entry = find(dict, &key, neap_key_hash(&key));
    NEAP_ASSERT(entry != NULL && entry->owed > 0, "dict 1: what is owed something is there");
    entry->owed--;
    *value = &items[1];
    return entry;
}

static void restore(struct neap_object *object, struct neap_link *link) {
    struct neap_dict *dict = (struct neap_dict *)object;
    const struct neap_message *value;
    neap_object_lock(object);
    struct neap_dict_entry *entry = stop_owing(dict, link, &value);
    if (entry != NULL && entry->value.kind == NEAP_MESSAGE_EMPTY) {
        neap_message_copy(&entry->value, value);
        set_count(dict, neap_dict_count(dict) + 1);
    }
    neap_object_unlock(object);
}

static void received(struct neap_object *object, struct neap_link *link) {
    struct neap_dict *dict = (struct neap_dict *)object;
    const struct neap_message *value;
    neap_object_lock(object);
    struct neap_dict_entry *entry = stop_owing(dict, link, &value);
    if (entry != NULL) entry = tidy(dict, entry);
    neap_object_unlock(object);
    drop(entry);
}

static struct neap_hold *make_hold(struct neap_object *object) {
    struct neap_turn *turn = neap_alloc(sizeof *turn);
    if (turn == NULL) return NULL;
    neap_dict_prepare((struct neap_dict *)object, turn);
    return &turn->hold;
}

static const struct neap_remote remote = {
    .kind = NEAP_KIND_DICT,
    .ops = NEAP_DICT_REMOVE + 1,
    .holding = NEAP_DICT_UPDATE + 1,
    .taking = 1 << NEAP_DICT_REMOVE,
    .make_hold = make_hold,
    .restore = restore,
    .received = received,
    .serve = serve,
};

/* --- life --- */

struct neap_dict *neap_dict_new(void) {
    struct neap_dict *dict = neap_alloc(sizeof *dict);
    if (dict == NULL) return NULL;
    neap_object_init(&dict->object, &neap_dict_class);
    dict->buckets = NULL;
    dict->room = 0;
    dict->entry_count = 0;
    atomic_init(&dict->count, 0);
    dict->busy = 0;
    dict->clearings = 0;
    neap_list_init(&dict->order);
    neap_list_init(&dict->idle);
    return dict;
}

static void destroy(struct neap_object *object) {
    struct neap_dict *dict = (struct neap_dict *)object;
    NEAP_ASSERT(dict->busy == 0, "who updates keeps the dict alive");
    NEAP_ASSERT(neap_list_is_empty(&dict->idle), "wait 2: who waits keeps the object alive");
    drop_all(&dict->order);
    neap_free(dict->buckets);
    neap_free(dict);
}

static const char *const verbs[] = {"update", "clear", "remove"};

const struct neap_class neap_dict_class = {
    .name = "dict",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .resumed = resumed,
    .remote = &remote,
};
