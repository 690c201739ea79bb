/* list: as a dict (see there), with indexes for keys and one turn for all of them. */
#include <lauxlib.h>
#include <stdio.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/remote.h"
#include "bindings/shared/shared.h"
#include "bindings/state/vm.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "sync/sequence.h"

static struct neap_object *check(lua_State *L) { return neap_box_check(L, 1, NEAP_HANDLE_LIST); }

/* --- here or elsewhere --- */

/* Carries out `method`: `index` and `value` are operands, `value` is the result too, and the caller's in any case. */
static int ask(lua_State *L, struct neap_object *list, enum neap_sequence_call method, lua_Integer index,
               struct neap_message *value) {
    struct neap_proxy *proxy = neap_remote_test(list);
    struct neap_call call = neap_remote_begin(L);
    call.number = index;
    neap_message_move(&call.message, value);
    if (proxy != NULL) {
        neap_remote_call(L, proxy, (uint8_t)method, &call);
    } else {
        call.method = (uint8_t)method;
        list->class->remote->serve(list, &call);
    }
    neap_message_move(value, &call.message);
    return call.result;
}

/* The same without a value. */
static int ask_only(lua_State *L, struct neap_object *list, enum neap_sequence_call method) {
    struct neap_message none;
    neap_message_clear(&none);
    int code = ask(L, list, method, 0, &none);
    neap_message_fini(&none);
    return code;
}

/* Pushes how many elements there are. */
static int push_count(lua_State *L, struct neap_object *list) {
    struct neap_proxy *proxy = neap_remote_test(list);
    if (proxy != NULL) return neap_shared_count(L, proxy, NEAP_SEQUENCE_COUNT);
    lua_pushinteger(L, (lua_Integer)neap_sequence_count((struct neap_sequence *)list));
    return 1;
}

static int raise_bounds(lua_State *L, struct neap_object *list, lua_Integer index) {
    push_count(L, list);
    return luaL_error(L, "index %I is out of bounds: the list has %I elements", (LUAI_UACINT)index,
                      (LUAI_UACINT)lua_tointeger(L, -1));
}

/* --- taking turns --- */

static void prepare(struct neap_object *list, struct neap_turn *turn) {
    neap_sequence_prepare((struct neap_sequence *)list, turn);
}

/* Waits until the list is the task's to change, and calls `then`, for which the task's link has a copy of
 * element `index`; 0: of none. */
static int await_turn(lua_State *L, struct neap_object *list, lua_Integer index, lua_CFunction then) {
    struct neap_shared_turn *turn = neap_shared_turn(L, list, prepare, then);
    struct neap_task *task = neap_await_begin(L);
    if (index != 0) {
        task->link.message.kind = NEAP_MESSAGE_INTEGER;
        task->link.message.integer = index;
    }
    return neap_shared_await(L, list, NEAP_SEQUENCE_UPDATE, turn);
}

/* A change has ended with `code`: raises what went wrong; `again` is called when the list is the task's to change, if
 * it has not been now. Otherwise true: it is done. */
static bool is_done(lua_State *L, struct neap_object *list, lua_Integer index, int code) {
    if (code == NEAP_RANGE) raise_bounds(L, list, index);
    if (code != NEAP_BUSY) neap_shared_check(L, code);
    return code == 0;
}

/* --- reading --- */

static int push_element(lua_State *L, struct neap_object *list, lua_Integer index) {
    struct neap_message value;
    neap_message_clear(&value);
    neap_shared_check(L, ask(L, list, NEAP_SEQUENCE_GET, index, &value));
    neap_decode_take(L, &value);
    return 1;
}

static int list_len(lua_State *L) { return push_count(L, check(L)); }

/* list[key]; upvalue 1 is the table of methods. */
static int list_item(lua_State *L) {
    struct neap_object *list = check(L);
    int is_integer;
    lua_Integer index = lua_tointegerx(L, 2, &is_integer);
    if (is_integer && lua_type(L, 2) == LUA_TNUMBER) return push_element(L, list, index);
    lua_settop(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

/* Pushes a userdata that keeps a snapshot. */
static const struct neap_message *keep_snapshot(lua_State *L, struct neap_object *list, size_t *count) {
    struct neap_message snapshot;
    neap_message_clear(&snapshot);
    neap_shared_check(L, ask(L, list, NEAP_SEQUENCE_SNAPSHOT, 0, &snapshot));
    neap_shared_keep(L, &snapshot);
    return neap_shared_kept(L, -1, count);
}

static int list_snapshot(lua_State *L) {
    size_t count;
    const struct neap_message *items = keep_snapshot(L, check(L), &count);
    lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
    for (size_t i = 0; i < count; i++) {
        neap_decode(L, &items[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* Upvalue 1: a snapshot. (list, index before) */
static int next_element(lua_State *L) {
    size_t count, index = (size_t)neap_argument_integer(L, 2);
    const struct neap_message *items = neap_shared_kept(L, lua_upvalueindex(1), &count);
    if (index >= count) return 0;
    lua_pushinteger(L, (lua_Integer)index + 1);
    neap_decode(L, &items[index]);
    return 2;
}

static int list_pairs(lua_State *L) {
    size_t count;
    keep_snapshot(L, check(L), &count);
    lua_pushcclosure(L, next_element, 1);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

/* --- changing. Arguments are checked first. What may have to wait for its turn is called again then --- */

/* Encodes the value at `index`, which is not nil where `required`, for `list`. */
static void encode_value(lua_State *L, struct neap_object *list, int index, bool required, struct neap_message *value) {
    if (required && lua_isnoneornil(L, index)) neap_argument_error(L, index, "a list has no place for nil");
    neap_message_clear(value);
    neap_encode_leaving(L, index, neap_remote_test(list) != NULL, value, "value");
}

/* list, index, value */
static int set(lua_State *L) {
    struct neap_object *list = check(L);
    lua_Integer index = lua_tointeger(L, 2);
    struct neap_message value;
    encode_value(L, list, 3, false, &value);
    int code = ask(L, list, NEAP_SEQUENCE_SWAP, index, &value);
    neap_message_fini(&value);
    if (code == NEAP_RANGE && lua_isnil(L, 3))
        return luaL_error(L, "only the last element may become nil, others would leave a hole: use l:pop(%I)",
                          (LUAI_UACINT)index);
    return is_done(L, list, index, code) ? 0 : await_turn(L, list, 0, set);
}

static int list_newindex(lua_State *L) {
    check(L);
    if (!lua_isinteger(L, 2) && !(lua_type(L, 2) == LUA_TNUMBER && lua_tointeger(L, 2) != 0))
        return luaL_error(L, "a list has no field '%s' to set", luaL_tolstring(L, 2, NULL));
    lua_settop(L, 3);
    return set(L);
}

/* list, index (0: at the end), value */
static int insert(lua_State *L) {
    struct neap_object *list = check(L);
    lua_Integer index = lua_tointeger(L, 2);
    struct neap_message value;
    encode_value(L, list, 3, true, &value);
    int code = ask(L, list, NEAP_SEQUENCE_INSERT, index, &value);
    neap_message_fini(&value);
    return is_done(L, list, index, code) ? 0 : await_turn(L, list, 0, insert);
}

/* l:append(value) */
static int list_append(lua_State *L) {
    check(L);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_insert(L, 2);
    if (lua_isnil(L, 3)) return neap_argument_error(L, 2, "a list has no place for nil");
    return insert(L);
}

/* l:insert(index, value) */
static int list_insert(lua_State *L) {
    struct neap_object *list = check(L);
    lua_Integer index = neap_argument_integer(L, 2);
    neap_argument_any(L, 3);
    lua_settop(L, 3);
    if (index == 0) return raise_bounds(L, list, 0);
    return insert(L);
}

static int take(lua_State *L);

/* The list at 1 was asked for the element whose index is at 2; it is in `value` if `code` is 0. */
static int push_taken(lua_State *L, int code, struct neap_message *value) {
    struct neap_object *list = check(L);
    lua_Integer index = lua_tointeger(L, 2);
    if (code == NEAP_RANGE && index == 0) return neap_push_code(L, NEAP_EMPTY);
    if (!is_done(L, list, index, code)) return await_turn(L, list, 0, take);
    neap_decode_take(L, value);
    neap_slice_grant(&neap_vm_of(L)->slice);
    return 1;
}

static int finish_take(lua_State *L, struct neap_task *task, int code) {
    if (code < 0) return neap_push_code(L, code);
    return push_taken(L, task->link.result, &task->link.message);
}

/* list, index (0: the last). What another process has is waited for,
 * so that it is not lost if we end before it has come. */
static int take(lua_State *L) {
    struct neap_object *list = check(L);
    lua_Integer index = lua_tointeger(L, 2);
    if (neap_remote_test(list) != NULL) {
        struct neap_task *task = neap_await_begin(L);
        task->link.object = list;
        task->link.op = NEAP_SEQUENCE_POP;
        task->link.number = index;
        return neap_await(L, &task->link, 1, NEAP_FOREVER, finish_take);
    }
    struct neap_message value;
    int code = neap_sequence_take((struct neap_sequence *)list, &neap_task_current(L)->wait.own, index, &value);
    return push_taken(L, code, &value);
}

/* l:pop([index]) */
static int list_pop(lua_State *L) {
    struct neap_object *list = check(L);
    lua_Integer index = neap_argument_integer_or(L, 2, 0);
    if (index == 0 && !lua_isnoneornil(L, 2)) return raise_bounds(L, list, 0);
    lua_settop(L, 1);
    lua_pushinteger(L, index);
    return take(L);
}

/* list, a userdata that keeps what is to be added */
static int extend(lua_State *L) {
    struct neap_object *list = check(L);
    struct neap_message more;
    neap_message_copy(&more, lua_touserdata(L, 2));
    int code = ask(L, list, NEAP_SEQUENCE_EXTEND, 0, &more);
    neap_message_fini(&more);
    return is_done(L, list, 0, code) ? 0 : await_turn(L, list, 0, extend);
}

/* Pushes a userdata that keeps the `count` elements of the list at 2, whatever kind of list it is. */
static void keep_elements(lua_State *L, lua_Integer count, bool leaves) {
    struct neap_message list;
    struct neap_message *items = neap_message_new_list(&list, (size_t)count);
    if (items == NULL) {
        neap_shared_fail(L, NEAP_NOMEM);
        return; /* which does not return, as the analyzer does not know */
    }
    neap_shared_keep(L, &list);
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_geti(L, 2, i) == LUA_TNIL)
            luaL_error(L, "element %I is nil: a list has no place for it", (LUAI_UACINT)i);
        neap_encode_leaving(L, -1, leaves, &items[i - 1], "value");
        lua_pop(L, 1);
    }
}

/* l:extend(list) */
static int list_extend(lua_State *L) {
    bool leaves = neap_remote_test(check(L)) != NULL;
    lua_Integer count = neap_argument_list(L, 2, "list");
    lua_settop(L, 2);
    keep_elements(L, count, leaves);
    lua_replace(L, 2);
    return extend(L);
}

static int clear(lua_State *L) {
    struct neap_object *list = check(L);
    return is_done(L, list, 0, ask_only(L, list, NEAP_SEQUENCE_CLEAR)) ? 0 : await_turn(L, list, 0, clear);
}

static int list_clear(lua_State *L) {
    check(L);
    lua_settop(L, 1);
    return clear(L);
}

/* --- updates: the stack is list, index, function, turn --- */

/* The function has returned, on top of the stack. */
static int updated(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    if (lua_isnil(L, -1)) return luaL_error(L, "the function of an update returned nil: a list has no place for it");
    lua_copy(L, -1, 3);
    set(L);
    neap_slice_grant(&neap_vm_of(L)->slice);
    return 1;
}

static int call_function(lua_State *L) { return neap_shared_update(L, updated); }

/* l:update(index, fn) */
static int list_update(lua_State *L) {
    struct neap_object *list = check(L);
    lua_Integer index = neap_argument_integer(L, 2);
    neap_argument_type(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    push_count(L, list);
    if (index < 1 || index > lua_tointeger(L, -1)) return raise_bounds(L, list, index);
    lua_settop(L, 3);
    return await_turn(L, list, index, call_function);
}

/* --- making --- */

/* neap.list([list]) */
int neap_list_open(lua_State *L) {
    bool is_list = !lua_isnoneornil(L, 1);
    lua_Integer count = is_list ? neap_argument_list(L, 1, "list") : 0;
    lua_settop(L, 1);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_LIST, sizeof *box, 0);
    struct neap_sequence *list = neap_sequence_new();
    if (list == NULL) return neap_shared_fail(L, NEAP_NOMEM);
    box->object = &list->object;
    if (!is_list) return 1;
    lua_insert(L, 1);
    keep_elements(L, count, false);
    lua_replace(L, 2);
    extend(L);
    lua_settop(L, 1);
    return 1;
}

static void describe(struct neap_object *object, char *text, size_t size) {
    snprintf(text, size, "%zu", neap_sequence_count((struct neap_sequence *)object));
}

static const luaL_Reg methods[] = {
    {"append", list_append}, {"extend", list_extend}, {"insert", list_insert},     {"pop", list_pop},
    {"update", list_update}, {"clear", list_clear},   {"snapshot", list_snapshot}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {
    {"__len", list_len}, {"__newindex", list_newindex}, {"__pairs", list_pairs}, {NULL, NULL}};

const struct neap_binding neap_list_binding = {
    .name = "list",
    .class = &neap_sequence_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_LIST],
    .methods = methods,
    .metamethods = metamethods,
    .item = list_item,
    .describe = describe,
};
