#include "host/unjoined.h"

#include <string.h>

#include "core/memory.h"
#include "host/engine.h"

void neap_unjoined_free(struct neap_unjoined *unjoined) {
    if (unjoined == NULL) return;
    neap_free(unjoined->text);
    neap_free(unjoined);
}

void neap_unjoined_add(struct neap_engine *engine, uint64_t id, const char *text) {
    size_t size = strlen(text) + 1;
    struct neap_unjoined *unjoined = neap_alloc(sizeof *unjoined);
    if (unjoined == NULL) return;
    unjoined->id = id;
    unjoined->text = neap_alloc(size);
    bool kept = false;
    if (unjoined->text != NULL) {
        memcpy(unjoined->text, text, size);
        neap_guard_lock(&engine->guard);
        kept = engine->unjoined_count < NEAP_UNJOINED_MAX;
        if (kept) {
            neap_list_push_back(&engine->unjoined, &unjoined->node);
            engine->unjoined_count++;
        }
        neap_guard_unlock(&engine->guard);
    }
    if (!kept) neap_unjoined_free(unjoined);
}

static struct neap_unjoined *take(struct neap_engine *engine, const uint64_t *id) {
    struct neap_unjoined *found = NULL;
    neap_guard_lock(&engine->guard);
    for (struct neap_list *node = engine->unjoined.next; node != &engine->unjoined && found == NULL;
         node = node->next) {
        struct neap_unjoined *each = NEAP_CONTAINER_OF(node, struct neap_unjoined, node);
        if (id == NULL || each->id == *id) found = each;
    }
    if (found != NULL) {
        neap_list_remove(&found->node);
        engine->unjoined_count--;
    }
    neap_guard_unlock(&engine->guard);
    return found;
}

void neap_unjoined_remove(struct neap_engine *engine, uint64_t id) { neap_unjoined_free(take(engine, &id)); }

struct neap_unjoined *neap_unjoined_next(struct neap_engine *engine) {
    return take(engine, NULL);
}
