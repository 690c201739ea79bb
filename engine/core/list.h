/* list: intrusive, circular, doubly linked. A node is in at most one list; a node in none points at itself. */
#ifndef NEAP_CORE_LIST_H
#define NEAP_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct neap_list {
    struct neap_list *next; /* first, for a head */
    struct neap_list *prev; /* last, for a head */
};

#define NEAP_CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void neap_list_init(struct neap_list *node) { node->next = node->prev = node; }

static inline bool neap_list_is_empty(const struct neap_list *head) { return head->next == head; }

static inline bool neap_list_is_linked(const struct neap_list *node) { return node->next != node; }

static inline void neap_list_push_back(struct neap_list *head, struct neap_list *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void neap_list_push_front(struct neap_list *head, struct neap_list *node) {
    neap_list_push_back(head->next, node);
}

/* Harmless for a node that is in no list. */
static inline void neap_list_remove(struct neap_list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    neap_list_init(node);
}

/* NULL when the list is empty. */
static inline struct neap_list *neap_list_pop_front(struct neap_list *head) {
    struct neap_list *node = head->next;
    if (node == head) return NULL;
    neap_list_remove(node);
    return node;
}

/* Moves every node of `from` to the end of `to`. */
static inline void neap_list_splice(struct neap_list *to, struct neap_list *from) {
    if (neap_list_is_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    neap_list_init(from);
}

#endif
