#include "bindings/handle/remote.h"

#include <lauxlib.h>
#include <string.h>

#include "bindings/handle/box.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "host/mirror.h"
#include "host/request.h"
#include "host/wire.h"

struct neap_call neap_remote_begin(lua_State *L) {
    struct neap_call call = {.owner = &neap_task_current(L)->wait.own};
    neap_message_clear(&call.message);
    return call;
}

void neap_remote_call(lua_State *L, struct neap_proxy *proxy, uint8_t method, struct neap_call *call) {
    neap_proxy_call(proxy, method, call);
    if (call->result != NEAP_NOMEM) return;
    neap_message_fini(&call->message);
    luaL_error(L, "not enough memory");
}

/* False: nil, message, code have been pushed. */
static bool ask(lua_State *L, struct neap_proxy *proxy, uint8_t method, struct neap_call *call) {
    *call = neap_remote_begin(L);
    neap_remote_call(L, proxy, method, call);
    neap_message_fini(&call->message);
    if (call->result == 0) return true;
    neap_push_code(L, call->result);
    return false;
}

int neap_remote_number(lua_State *L, struct neap_proxy *proxy, uint8_t method) {
    struct neap_call call;
    if (!ask(L, proxy, method, &call)) return 3;
    lua_pushinteger(L, call.number);
    return 1;
}

int neap_remote_boolean(lua_State *L, struct neap_proxy *proxy, uint8_t method) {
    struct neap_call call;
    if (!ask(L, proxy, method, &call)) return 3;
    lua_pushboolean(L, call.number != 0);
    return 1;
}

int neap_remote_none(lua_State *L, struct neap_proxy *proxy, uint8_t method) {
    struct neap_call call;
    return ask(L, proxy, method, &call) ? 0 : 3;
}

int neap_remote_refuse_size(lua_State *L, const char *what) {
    return luaL_error(L, "cannot send %s: more than %d listeners", what, (int)NEAP_WIRE_FDS_MAX - 1);
}

void neap_remote_describe(struct neap_proxy *proxy, char *text, size_t size) {
    struct neap_call call = {.owner = NULL};
    neap_message_clear(&call.message);
    neap_proxy_call(proxy, NEAP_CALL_DESCRIBE, &call);
    const char *word = neap_code_name(call.result);
    size_t length = strlen(word);
    if (call.result == 0 && call.message.kind == NEAP_MESSAGE_TEXT) {
        word = call.message.text;
        length = call.message.length;
    }
    if (length > size - 1) length = size - 1;
    memcpy(text, word, length);
    text[length] = '\0';
    neap_message_fini(&call.message);
}

/* Of an object of this process, for another one that asks. */
static void describe(struct neap_object *object, char *text, size_t size) {
    for (int i = 0; i < NEAP_HANDLE_COUNT; i++) {
        const struct neap_binding *binding = neap_bindings[i];
        if (binding == NULL || binding->class != object->class || binding->describe == NULL) continue;
        binding->describe(object, text, size);
        return;
    }
}

const struct neap_makers neap_remote_makers = {
    .make = {[NEAP_KIND_CHANNEL] = neap_proxy_make,   [NEAP_KIND_QUEUE] = neap_proxy_make,
             [NEAP_KIND_PIPE] = neap_proxy_make,      [NEAP_KIND_STREAM] = neap_proxy_make,
             [NEAP_KIND_LOCK] = neap_proxy_make,      [NEAP_KIND_RLOCK] = neap_proxy_make,
             [NEAP_KIND_RWLOCK] = neap_proxy_make,    [NEAP_KIND_CONDITION] = neap_proxy_make,
             [NEAP_KIND_SEMAPHORE] = neap_proxy_make, [NEAP_KIND_BOUNDED_SEMAPHORE] = neap_proxy_make,
             [NEAP_KIND_EVENT] = neap_proxy_make,     [NEAP_KIND_SIGNAL] = neap_proxy_make,
             [NEAP_KIND_BARRIER] = neap_proxy_make,   [NEAP_KIND_DICT] = neap_proxy_make,
             [NEAP_KIND_LIST] = neap_proxy_make,      [NEAP_KIND_MAPPED] = neap_proxy_make,
             [NEAP_KIND_TASK] = neap_mirror_make,     [NEAP_KIND_THREAD] = neap_mirror_make,
             [NEAP_KIND_PROCESS] = neap_mirror_make,  [NEAP_KIND_FUTURE] = neap_mirror_make,
             [NEAP_KIND_POOL] = neap_proxy_make},
    .describe = describe,
};
