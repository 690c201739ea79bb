#include "core/links.h"

#include <stddef.h>

#include "core/error.h"
#include "core/object.h"
#include "core/wait.h"

void neap_links_look(const struct neap_link *links, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct neap_object *object = links[i].object;
        if (object->shared && object->class->look != NULL) object->class->look(object, &links[i]);
    }
}

static const struct neap_object *object_of(const struct neap_list *node) {
    return NEAP_CONTAINER_OF(node, struct neap_link, node)->object;
}

/* Takes the first `count` links of the chain `*rest` and returns them as a chain by the addresses of their objects.
 * Chains go through node.next, which is free until the links are enlisted, and end with NULL: no memory is needed. */
static struct neap_list *sort_chain(struct neap_list **rest, uint32_t count) {
    struct neap_list *first, **end = &first;
    if (count == 1) {
        first = *rest;
        *rest = first->next;
        first->next = NULL;
        return first;
    }
    struct neap_list *a = sort_chain(rest, count / 2), *b = sort_chain(rest, count - count / 2);
    while (a != NULL && b != NULL) {
        struct neap_list **nearer = (uintptr_t)object_of(b) < (uintptr_t)object_of(a) ? &b : &a;
        *end = *nearer;
        end = &(*nearer)->next;
        *nearer = *end;
    }
    *end = a != NULL ? a : b;
    return first;
}

void neap_links_lock(struct neap_link *links, uint32_t count) {
    struct neap_list *chain = NULL, *next;
    const struct neap_object *last = NULL;
    uint32_t shared = 0;
    for (uint32_t i = count; i-- > 0;) {
        links[i].guarded = false;
        neap_object_check_home(links[i].object);
        if (!links[i].object->shared) continue;
        links[i].node.next = chain;
        chain = &links[i].node;
        shared++;
    }
    if (shared > 1) chain = sort_chain(&chain, shared);
    for (; chain != NULL; chain = next) {
        struct neap_link *link = NEAP_CONTAINER_OF(chain, struct neap_link, node);
        next = chain->next;
        neap_list_init(chain);
        if (link->object == last) continue;
        neap_guard_lock(&link->object->guard);
        link->guarded = true;
        last = link->object;
    }
}

void neap_links_unlock(struct neap_link *links, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (links[i].guarded) neap_guard_unlock(&links[i].object->guard);
}

/* A small generator of its own: fairness needs no more, and no state is shared. */
static uint32_t random_below(uint32_t bound) {
    static _Thread_local uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % bound;
}

/* The order is drawn step by step (Fisher and Yates) and stands in the links' own `result` meanwhile. */
int neap_links_attempt(struct neap_link *links, uint32_t count, struct neap_batch *batch) {
    int served = NEAP_TIMEOUT;
    for (uint32_t i = 0; i < count; i++) links[i].result = (int)i;
    for (uint32_t i = 0; i < count && served < 0; i++) {
        uint32_t other = i + random_below(count - i);
        int at = links[other].result, kept;
        links[other].result = links[i].result;
        links[i].result = at;
        kept = links[at].result;
        links[at].result = 0;
        if (links[at].object->class->attempt(links[at].object, &links[at], batch))
            served = at;
        else
            links[at].result = kept;
    }
    for (uint32_t i = 0; i < count; i++)
        if ((int)i != served) links[i].result = 0;
    return served;
}
