#include "bindings/shared/shared.h"

#include <lauxlib.h>
#include <stddef.h>
#include <uv.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/state/registry.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "host/engine.h"

int neap_shared_fail(lua_State *L, int code) {
    if (code == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    return neap_refuse(L, "no shared memory: %s (%s)", neap_code_text(code), neap_code_name(code));
}

struct neap_array *neap_shared_array(lua_State *L, enum neap_handle kind, enum neap_type type, lua_Unsigned length) {
    struct neap_box *box = neap_box_new(L, kind, sizeof *box, 0);
    struct neap_cells *cells = neap_engine_cells(neap_vm_of(L)->engine);
    struct neap_array *array;
    if (cells == NULL || length > PTRDIFF_MAX / neap_types[type].size) neap_shared_fail(L, NEAP_NOMEM);
    int code = neap_array_new(cells, neap_bindings[kind]->class, type, (size_t)length, &array);
    if (code < 0) neap_shared_fail(L, code);
    box->object = &array->mapped.object;
    neap_box_account(L, (size_t)length * neap_types[type].size);
    return array;
}

/* In words, what a call or a wait ended with. */
static const char *explain(int code) {
    switch (code) {
        case NEAP_NOMEM: return "not enough memory";
        case NEAP_HELD: return "the task is updating it already: it would wait for itself";
        case NEAP_RANGE: return "there is no such element any more";
        case NEAP_BROKEN: return "the process that it was made in has gone, and took it along";
        case UV_ENOTSUP: return "the value has something in it that cannot go to another process";
        default: return neap_code_name(code);
    }
}

void neap_shared_check(lua_State *L, int code) {
    if (code != 0) luaL_error(L, "%s", explain(code));
}

/* --- userdata that scripts do not see --- */

static const char turn_key, list_key; /* registry: their metatables */

static int end_turn(lua_State *L) {
    neap_turn_return(&((struct neap_shared_turn *)lua_touserdata(L, 1))->turn);
    return 0;
}

struct neap_shared_turn *neap_shared_turn(lua_State *L, struct neap_object *object,
                                          void (*prepare)(struct neap_object *object, struct neap_turn *turn),
                                          lua_CFunction then) {
    struct neap_shared_turn *turn = lua_newuserdatauv(L, sizeof *turn, 0);
    struct neap_proxy *proxy = neap_remote_test(object);
    neap_turn_init(&turn->turn, NULL, NULL);
    turn->then = then;
    neap_registry_set_end(L, &turn_key, end_turn);
    if (proxy != NULL)
        neap_proxy_hold_init(&turn->turn.hold, proxy);
    else
        prepare(object, &turn->turn);
    return turn;
}

static int finish_turn(lua_State *L, struct neap_task *task, int code) {
    if (code < 0) return neap_push_code(L, code);
    neap_shared_check(L, task->link.result);
    lua_toclose(L, -1);
    return ((struct neap_shared_turn *)lua_touserdata(L, -1))->then(L);
}

int neap_shared_await(lua_State *L, struct neap_object *object, uint8_t op, struct neap_shared_turn *turn) {
    struct neap_task *task = neap_task_current(L);
    task->link.object = object;
    task->link.op = op;
    task->link.hold = &turn->turn.hold;
    return neap_await(L, &task->link, 1, NEAP_FOREVER, finish_turn);
}

int neap_shared_update(lua_State *L, lua_KFunction updated) {
    lua_pushvalue(L, 3);
    neap_decode_take(L, &neap_task_current(L)->link.message);
    lua_callk(L, 1, 1, 0, updated);
    return updated(L, LUA_OK, 0);
}

static int end_list(lua_State *L) {
    neap_message_fini(lua_touserdata(L, 1));
    return 0;
}

static int push_keeper(lua_State *L) {
    struct neap_message *kept = lua_newuserdatauv(L, sizeof *kept, 0);
    neap_message_clear(kept);
    neap_registry_set_end(L, &list_key, end_list);
    return 1;
}

void neap_shared_keep(lua_State *L, struct neap_message *list) {
    lua_pushcfunction(L, push_keeper);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
        neap_message_fini(list);
        lua_error(L);
    }
    neap_message_move(lua_touserdata(L, -1), list);
}

const struct neap_message *neap_shared_kept(lua_State *L, int index, size_t *count) {
    return neap_message_items(lua_touserdata(L, index), count);
}

int neap_shared_count(lua_State *L, struct neap_proxy *proxy, uint8_t method) {
    struct neap_call call = neap_remote_begin(L);
    neap_remote_call(L, proxy, method, &call);
    neap_message_fini(&call.message);
    neap_shared_check(L, call.result);
    lua_pushinteger(L, call.number);
    return 1;
}

int neap_shared_eq(lua_State *L) {
    const struct neap_object *one = neap_box_test_any(L, 1, NULL), *other = neap_box_test_any(L, 2, NULL);
    bool is_mapped = one != NULL && other != NULL && one->class == other->class && one->class->adopt != NULL;
    lua_pushboolean(L, is_mapped &&
                           neap_mapped_are_same((const struct neap_mapped *)one, (const struct neap_mapped *)other));
    return 1;
}
