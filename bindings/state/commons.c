#include "bindings/state/commons.h"

#include "bindings/handle/box.h"
#include "bindings/state/vm.h"
#include "core/guard.h"
#include "host/engine.h"
#include "sync/dict.h"

/* The engine's, made if there is none; borrowed: it stays as long as the engine. NULL: no memory. */
static struct neap_object *find(struct neap_engine *engine) {
    neap_guard_lock(&engine->guard);
    if (engine->commons == NULL) {
        struct neap_dict *dict = neap_dict_new();
        if (dict != NULL) {
            neap_object_share(&dict->object);
            engine->commons = &dict->object;
        }
    }
    struct neap_object *commons = engine->commons;
    neap_guard_unlock(&engine->guard);
    return commons;
}

int neap_commons_get(lua_State *L) {
    struct neap_object *commons = find(neap_vm_of(L)->engine);
    if (commons == NULL) return luaL_error(L, "not enough memory");
    neap_box_push(L, commons);
    return 1;
}

int neap_commons_inherited(lua_State *L) {
    struct neap_object *inherited = neap_vm_of(L)->engine->inherited;
    if (inherited == NULL) return 0;
    neap_box_push(L, inherited);
    return 1;
}

void neap_commons_offer(struct neap_engine *engine, struct neap_message *message) {
    neap_guard_lock(&engine->guard);
    struct neap_object *offer = engine->inherited != NULL ? engine->inherited : engine->commons;
    if (offer != NULL) {
        neap_message_set_kind(message, NEAP_MESSAGE_OBJECT);
        message->object = neap_object_ref(offer);
    }
    neap_guard_unlock(&engine->guard);
}

void neap_commons_inherit(struct neap_engine *engine, struct neap_message *message) {
    if (message->kind != NEAP_MESSAGE_OBJECT) return;
    engine->inherited = message->object;
    neap_message_clear(message);
}
