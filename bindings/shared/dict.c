/* dict: a key is read from the stack and borrowed; a value is encoded before it goes in, and decoded when it has come
 * out. So no lock is held while Lua runs. What lives in another process is asked over there; see handle/remote.h.
 *
 * What would change a key that somebody else updates takes the turn at it instead, which is to wait,
 * and then does it again. */
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
#include "sync/dict.h"

static struct neap_object *check(lua_State *L) { return neap_box_check(L, 1, NEAP_HANDLE_DICT); }

/* --- keys --- */

/* A handle, or null: kept by the stack. */
static bool read_userdata(lua_State *L, int index, struct neap_key *key) {
    struct neap_message message;
    neap_message_clear(&message);
    neap_encode(L, index, &message, "key");
    bool is_key = neap_key_read(&message, key);
    neap_message_fini(&message);
    return is_key;
}

static bool read_number(lua_State *L, int index, struct neap_key *key) {
    lua_Number number = lua_tonumber(L, index);
    key->kind = NEAP_MESSAGE_INTEGER;
    if (lua_isinteger(L, index)) {
        key->integer = lua_tointeger(L, index);
    } else if (!lua_numbertointeger(number, &key->integer) || (lua_Number)key->integer != number) {
        key->kind = NEAP_MESSAGE_NUMBER;
        key->number = number;
    }
    return number == number;
}

/* The key at `index`, which is not negative. */
static struct neap_key check_key(lua_State *L, int index) {
    struct neap_key key = {.size = 0};
    bool is_key = false;
    switch (lua_type(L, index)) {
        case LUA_TSTRING:
            key.kind = NEAP_MESSAGE_BYTES;
            key.bytes = lua_tolstring(L, index, &key.size);
            return key;
        case LUA_TNUMBER: is_key = read_number(L, index, &key); break;
        case LUA_TBOOLEAN:
            key.kind = lua_toboolean(L, index) ? NEAP_MESSAGE_TRUE : NEAP_MESSAGE_FALSE;
            key.integer = 0;
            return key;
        case LUA_TUSERDATA: is_key = read_userdata(L, index, &key); break;
        default: break;
    }
    if (!is_key)
        luaL_error(L, "a key is a string, a number, a boolean or a handle, not %s",
                   lua_type(L, index) == LUA_TNUMBER ? "NaN" : luaL_typename(L, index));
    return key;
}

/* --- here or elsewhere --- */

/* `key` may be NULL; of SWAP, `value` goes with it, and is what comes back. Raises when out of memory. */
static int ask(lua_State *L, struct neap_proxy *proxy, enum neap_dict_call method, const struct neap_key *key,
               struct neap_message *value) {
    struct neap_call call = neap_remote_begin(L);
    int code = key != NULL ? neap_key_write(key, &call.message) : 0;
    if (code == 0 && method == NEAP_DICT_SWAP) {
        struct neap_message parts[2] = {call.message, *value};
        neap_message_clear(value);
        neap_message_clear(&call.message);
        code = neap_message_pack(parts, 2, &call.message);
        for (int i = 0; i < 2; i++) neap_message_fini(&parts[i]);
    }
    neap_shared_check(L, code);
    neap_remote_call(L, proxy, (uint8_t)method, &call);
    neap_message_move(value, &call.message);
    if (call.result != 0) neap_message_fini(value);
    return call.result;
}

static int get_value(lua_State *L, struct neap_object *dict, const struct neap_key *key, struct neap_message *value) {
    struct neap_proxy *proxy = neap_remote_test(dict);
    neap_message_clear(value);
    if (proxy != NULL) return ask(L, proxy, NEAP_DICT_GET, key, value);
    neap_dict_get((struct neap_dict *)dict, key, value);
    return 0;
}

/* `value` is in any case the caller's. */
static int swap_value(lua_State *L, struct neap_object *dict, const struct neap_key *key, struct neap_message *value) {
    struct neap_proxy *proxy = neap_remote_test(dict);
    if (proxy != NULL) return ask(L, proxy, NEAP_DICT_SWAP, key, value);
    return neap_dict_swap((struct neap_dict *)dict, &neap_task_current(L)->wait.own, key, value);
}

static int clear_values(lua_State *L, struct neap_object *dict) {
    struct neap_proxy *proxy = neap_remote_test(dict);
    struct neap_message none;
    neap_message_clear(&none);
    if (proxy != NULL) return ask(L, proxy, NEAP_DICT_CLEAR, NULL, &none);
    return neap_dict_clear((struct neap_dict *)dict, &neap_task_current(L)->wait.own);
}

static int take_snapshot(lua_State *L, struct neap_object *dict, struct neap_message *list) {
    struct neap_proxy *proxy = neap_remote_test(dict);
    neap_message_clear(list);
    if (proxy != NULL) return ask(L, proxy, NEAP_DICT_SNAPSHOT, NULL, list);
    return neap_dict_snapshot((struct neap_dict *)dict, list);
}

/* --- taking turns --- */

static void prepare(struct neap_object *dict, struct neap_turn *turn) {
    neap_dict_prepare((struct neap_dict *)dict, turn);
}

/* Waits until the key at 2 is the task's to change, and calls `then` again. */
static int await_turn(lua_State *L, struct neap_object *dict, lua_CFunction then) {
    struct neap_key key = check_key(L, 2);
    struct neap_shared_turn *turn = neap_shared_turn(L, dict, prepare, then);
    neap_shared_check(L, neap_key_write(&key, &neap_await_begin(L)->link.message));
    return neap_shared_await(L, dict, NEAP_DICT_UPDATE, turn);
}

/* --- reading --- */

/* Pushes the value of the key at 2. */
static int push_value(lua_State *L, struct neap_object *dict) {
    struct neap_key key = check_key(L, 2);
    struct neap_message value;
    neap_shared_check(L, get_value(L, dict, &key, &value));
    neap_decode_take(L, &value);
    return 1;
}

/* d:get(key[, default]) */
static int dict_get(lua_State *L) {
    push_value(L, check(L));
    if (lua_isnil(L, -1) && lua_gettop(L) > 3) lua_pushvalue(L, 3);
    return 1;
}

static int dict_contains(lua_State *L) {
    struct neap_object *dict = check(L);
    struct neap_proxy *proxy = neap_remote_test(dict);
    struct neap_key key = check_key(L, 2);
    struct neap_call call = neap_remote_begin(L);
    neap_shared_check(L, neap_key_write(&key, &call.message));
    if (proxy != NULL) {
        neap_remote_call(L, proxy, NEAP_DICT_HAS, &call);
    } else {
        call.method = NEAP_DICT_HAS;
        dict->class->remote->serve(dict, &call);
    }
    neap_message_fini(&call.message);
    neap_shared_check(L, call.result);
    lua_pushboolean(L, call.number != 0);
    return 1;
}

/* Pushes a userdata that keeps a snapshot: key, value, key, value... */
static void keep_snapshot(lua_State *L, struct neap_object *dict) {
    struct neap_message list;
    neap_shared_check(L, take_snapshot(L, dict, &list));
    neap_shared_keep(L, &list);
}

/* Pushes a list of the keys (`first` 0) or of the values (1). */
static int push_half(lua_State *L, size_t first) {
    size_t count;
    keep_snapshot(L, check(L));
    const struct neap_message *items = neap_shared_kept(L, -1, &count);
    lua_newtable(L);
    for (size_t i = first; i < count; i += 2) {
        neap_decode(L, &items[i]);
        lua_rawseti(L, -2, (lua_Integer)i / 2 + 1);
    }
    return 1;
}

static int dict_keys(lua_State *L) { return push_half(L, 0); }

static int dict_values(lua_State *L) { return push_half(L, 1); }

static int dict_snapshot(lua_State *L) {
    size_t count;
    keep_snapshot(L, check(L));
    const struct neap_message *items = neap_shared_kept(L, -1, &count);
    lua_newtable(L);
    for (size_t i = 0; i < count; i += 2) {
        neap_decode(L, &items[i]);
        neap_decode(L, &items[i + 1]);
        lua_rawset(L, -3);
    }
    return 1;
}

static int dict_len(lua_State *L) {
    struct neap_object *dict = check(L);
    struct neap_proxy *proxy = neap_remote_test(dict);
    if (proxy != NULL) return neap_shared_count(L, proxy, NEAP_DICT_COUNT);
    lua_pushinteger(L, (lua_Integer)neap_dict_count((struct neap_dict *)dict));
    return 1;
}

/* Upvalues: a snapshot, how much of it has been given. */
static int next_pair(lua_State *L) {
    size_t count, at = (size_t)lua_tointeger(L, lua_upvalueindex(2));
    const struct neap_message *items = neap_shared_kept(L, lua_upvalueindex(1), &count);
    if (at >= count) return 0;
    lua_pushinteger(L, (lua_Integer)at + 2);
    lua_replace(L, lua_upvalueindex(2));
    neap_decode(L, &items[at]);
    neap_decode(L, &items[at + 1]);
    return 2;
}

static int dict_pairs(lua_State *L) {
    keep_snapshot(L, check(L));
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_pair, 2);
    return 1;
}

/* dict[key]; upvalue 1 is the table of methods. */
static int dict_item(lua_State *L) {
    struct neap_object *dict = check(L);
    lua_settop(L, 2);
    if (lua_type(L, 2) == LUA_TSTRING) {
        lua_pushvalue(L, 2);
        if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
        lua_pop(L, 1);
    }
    return push_value(L, dict);
}

/* --- changing --- */

/* Sets the key at 2 to the value at 3 (nil: it goes). `old`, if it is wanted, is what was there. */
static int swap(lua_State *L, struct neap_object *dict, struct neap_message *old) {
    struct neap_key key = check_key(L, 2);
    struct neap_message value;
    neap_message_clear(&value);
    neap_encode_leaving(L, 3, neap_remote_test(dict) != NULL, &value, "value");
    int code = swap_value(L, dict, &key, &value);
    if (code == 0 && old != NULL)
        neap_message_move(old, &value);
    else
        neap_message_fini(&value);
    if (code != NEAP_BUSY) neap_shared_check(L, code);
    return code;
}

static int set(lua_State *L) {
    struct neap_object *dict = check(L);
    return swap(L, dict, NULL) == NEAP_BUSY ? await_turn(L, dict, set) : 0;
}

static int dict_set(lua_State *L) {
    check(L);
    neap_argument_any(L, 3);
    lua_settop(L, 3);
    return set(L);
}

/* dict[key] = value. What indexing would not give back is not taken. */
static int dict_newindex(lua_State *L) {
    if (lua_type(L, 2) == LUA_TSTRING) {
        const char *name = lua_tostring(L, 2);
        if (luaL_getmetafield(L, 1, "__methods") != LUA_TNIL) {
            lua_pushvalue(L, 2);
            if (lua_rawget(L, -2) != LUA_TNIL)
                return luaL_error(L, "'%s' is a method of dicts: use d:set(\"%s\", value) and d:get(\"%s\")", name,
                                  name, name);
        }
    }
    lua_settop(L, 3);
    return set(L);
}

static int take(lua_State *L);

/* What another process has removed for us: key and value, or nothing. */
static int finish_take(lua_State *L, struct neap_task *task, int code) {
    size_t count;
    struct neap_message pair, value = {.kind = NEAP_MESSAGE_EMPTY};
    if (code < 0) return neap_push_code(L, code);
    if (task->link.result == NEAP_BUSY) return await_turn(L, check(L), take);
    neap_shared_check(L, task->link.result);
    neap_message_move(&pair, &task->link.message); /* to decode may raise, or wait */
    if (pair.kind == NEAP_MESSAGE_LIST) neap_message_copy(&value, &neap_message_items(&pair, &count)[1]);
    neap_message_fini(&pair);
    neap_decode_take(L, &value);
    return 1;
}

/* The value at 3 is nil. What another process has is waited for,
 * so that it is not lost if we end before it has come. */
static int take(lua_State *L) {
    struct neap_object *dict = check(L);
    struct neap_message old = {.kind = NEAP_MESSAGE_EMPTY};
    if (neap_remote_test(dict) != NULL) {
        struct neap_key key = check_key(L, 2);
        struct neap_task *task = neap_await_begin(L);
        neap_shared_check(L, neap_key_write(&key, &task->link.message));
        task->link.object = dict;
        task->link.op = NEAP_DICT_REMOVE;
        return neap_await(L, &task->link, 1, NEAP_FOREVER, finish_take);
    }
    if (swap(L, dict, &old) == NEAP_BUSY) return await_turn(L, dict, take);
    neap_decode_take(L, &old);
    neap_slice_grant(&neap_vm_of(L)->slice);
    return 1;
}

static int dict_remove(lua_State *L) {
    check(L);
    lua_settop(L, 2);
    lua_pushnil(L);
    return take(L);
}

static int finish_clear(lua_State *L, struct neap_task *task, int code);

static int clear(lua_State *L) {
    struct neap_object *dict = check(L);
    int code = clear_values(L, dict);
    if (code == NEAP_BUSY) return neap_await_object(L, dict, NEAP_DICT_IDLE, 2, finish_clear);
    neap_shared_check(L, code);
    return 0;
}

/* Another update may have begun since. */
static int finish_clear(lua_State *L, struct neap_task *task, int code) {
    if (code < 0) return neap_push_code(L, code);
    neap_shared_check(L, task->link.result);
    return clear(L);
}

static int dict_clear(lua_State *L) {
    check(L);
    lua_settop(L, 1);
    return clear(L);
}

/* --- updates: the stack is dict, key, function, turn --- */

/* The function has returned, on top of the stack. */
static int updated(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    lua_copy(L, -1, 3);
    swap(L, check(L), NULL);
    neap_slice_grant(&neap_vm_of(L)->slice);
    return 1;
}

static int call_function(lua_State *L) { return neap_shared_update(L, updated); }

static int dict_update(lua_State *L) {
    struct neap_object *dict = check(L);
    neap_argument_type(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    return await_turn(L, dict, call_function);
}

/* --- making --- */

/* neap.dict([table]) */
int neap_dict_open(lua_State *L) {
    if (!lua_isnoneornil(L, 1)) neap_argument_type(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_DICT, sizeof *box, 0);
    struct neap_dict *dict = neap_dict_new();
    if (dict == NULL) return neap_shared_fail(L, NEAP_NOMEM);
    box->object = &dict->object;
    lua_insert(L, 1); /* dict, table */
    if (lua_isnil(L, 2)) {
        lua_settop(L, 1);
        return 1;
    }
    lua_pushcfunction(L, set);
    for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
        lua_pushvalue(L, 3);
        lua_pushvalue(L, 1);
        lua_pushvalue(L, -4);
        lua_pushvalue(L, -4);
        lua_call(L, 3, 0);
    }
    lua_settop(L, 1);
    return 1;
}

static void describe(struct neap_object *object, char *text, size_t size) {
    snprintf(text, size, "%zu", neap_dict_count((struct neap_dict *)object));
}

static const luaL_Reg methods[] = {
    {"get", dict_get},           {"set", dict_set},   {"update", dict_update}, {"remove", dict_remove},
    {"contains", dict_contains}, {"keys", dict_keys}, {"values", dict_values}, {"snapshot", dict_snapshot},
    {"clear", dict_clear},       {NULL, NULL}};
static const luaL_Reg metamethods[] = {
    {"__len", dict_len}, {"__newindex", dict_newindex}, {"__pairs", dict_pairs}, {NULL, NULL}};

const struct neap_binding neap_dict_binding = {
    .name = "dict",
    .class = &neap_dict_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_DICT],
    .methods = methods,
    .metamethods = metamethods,
    .item = dict_item,
    .describe = describe,
};
