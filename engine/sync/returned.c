#include "sync/returned.h"

#include <stdbool.h>

#include "core/memory.h"

static struct neap_returned *returned_of(struct neap_list *node) {
    return NEAP_CONTAINER_OF(node, struct neap_returned, node);
}

static void set_count(struct neap_returned_list *list, size_t count) {
    atomic_store_explicit(&list->count, count, memory_order_relaxed);
}

void neap_returned_init(struct neap_returned_list *list) {
    neap_list_init(&list->nodes);
    atomic_init(&list->count, 0);
}

void neap_returned_fini(struct neap_returned_list *list) {
    while (!neap_list_is_empty(&list->nodes)) {
        struct neap_returned *first = returned_of(neap_list_pop_front(&list->nodes));
        neap_message_fini(&first->message);
        neap_free(first);
    }
}

static bool leaves_before(const struct neap_returned *a, const struct neap_returned *b, enum neap_order order) {
    bool by_priority = order == NEAP_PRIORITY && (a->priority < b->priority || b->priority < a->priority);
    return by_priority ? a->priority < b->priority : a->turn < b->turn;
}

void neap_returned_put(struct neap_returned_list *list, struct neap_link *link, enum neap_order order) {
    struct neap_returned *room = link->room;
    link->room = NULL;
    neap_message_move(&room->message, &link->message);
    room->priority = link->priority;
    room->turn = link->turn;
    struct neap_list *before = list->nodes.prev; /* most often they come back in order */
    while (before != &list->nodes && leaves_before(room, returned_of(before), order)) before = before->prev;
    neap_list_push_front(before, &room->node); /* behind it */
    set_count(list, neap_returned_count(list) + 1);
}

void neap_returned_take(struct neap_returned_list *list, struct neap_link *link) {
    struct neap_returned *first = returned_of(neap_list_pop_front(&list->nodes));
    neap_message_put(&link->message, &first->message);
    link->priority = first->priority;
    link->turn = first->turn;
    set_count(list, neap_returned_count(list) - 1);
    neap_free(first);
}
