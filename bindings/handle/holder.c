/* holder: giving back, whatever happens.
 *
 * A holder is a to-be-closed value: of the script's own (local _ <close> = lock:guard()), or, for lock:with(fn), of the
 * C function that calls `fn`. So an error in `fn` is not caught and raised again, which would cost its traceback. */
#include "bindings/handle/holder.h"

#include "bindings/handle/remote.h"
#include "bindings/task/await.h"
#include "core/error.h"

static const char metatable_key; /* registry: the metatable of holders */

static struct neap_holder *check(lua_State *L) {
    struct neap_holder *holder = lua_touserdata(L, 1);
    if (holder != NULL && lua_getmetatable(L, 1)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
        bool same = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
        if (same) return holder;
    }
    neap_argument_type_error(L, 1, "guard");
    return NULL;
}

static const char *give_back(lua_State *L, struct neap_holder *holder) {
    holder->holds = false;
    return holder->give_back(L, holder);
}

static int holder_release(lua_State *L) {
    struct neap_holder *holder = check(L);
    if (!holder->holds) return luaL_error(L, "this guard has been released already");
    const char *wrong = give_back(L, holder);
    return wrong != NULL ? luaL_error(L, "%s", wrong) : 0;
}

/* (holder, error): does not raise in the place of another error. */
static int holder_close(lua_State *L) {
    struct neap_holder *holder = check(L);
    if (!holder->holds) return 0;
    const char *wrong = give_back(L, holder);
    return wrong != NULL && lua_isnoneornil(L, 2) ? luaL_error(L, "%s", wrong) : 0;
}

/* A lock that is not closed stays with its task, as after lock:acquire. A permit lies in here, so it returns. */
static int holder_collected(lua_State *L) {
    struct neap_holder *holder = lua_touserdata(L, 1);
    struct neap_object *object = holder->object;
    if (object == NULL) return 0;
    neap_permit_return(&holder->permit);
    holder->object = NULL;
    holder->holds = false; /* another finaliser may still have it */
    neap_object_unref(object);
    return 0;
}

static int holder_tostring(lua_State *L) {
    struct neap_holder *holder = check(L);
    if (holder->object == NULL)
        lua_pushfstring(L, "guard: %p (released)", (void *)holder);
    else
        lua_pushfstring(L, "guard: %p (%s%s)", (void *)holder, holder->object->class->name,
                        holder->holds ? "" : ", released");
    return 1;
}

static const luaL_Reg metamethods[] = {
    {"__close", holder_close}, {"__gc", holder_collected}, {"__tostring", holder_tostring}, {NULL, NULL}};

static void push_metatable(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key) != LUA_TNIL) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 5);
    lua_pushliteral(L, "guard");
    lua_setfield(L, -2, "__name");
    luaL_setfuncs(L, metamethods, 0);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, holder_release);
    lua_setfield(L, -2, "release");
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

struct neap_holder *neap_holder_new(lua_State *L, struct neap_object *object,
                                    const char *(*give_back_)(lua_State *, struct neap_holder *)) {
    neap_box_refuse_late(L, "guard");
    struct neap_holder *holder = lua_newuserdatauv(L, sizeof *holder, 0);
    holder->object = NULL;
    holder->give_back = give_back_;
    holder->holds = false;
    if (neap_remote_test(object) != NULL)
        neap_proxy_hold_init(&holder->permit.hold, neap_remote_test(object));
    else
        neap_permit_init(&holder->permit, (struct neap_semaphore *)object);
    push_metatable(L);
    lua_setmetatable(L, -2);
    holder->object = neap_object_ref(object);
    return holder;
}

int neap_holder_finish(lua_State *L, int index, int code) {
    if (code != 0 && code != NEAP_ABANDONED) return neap_push_code(L, code);
    ((struct neap_holder *)lua_touserdata(L, index))->holds = true;
    lua_pushvalue(L, index);
    if (code == 0) return 1;
    lua_pushstring(L, neap_code_name(code));
    return 2;
}

/* Below the results: the object and the holder. */
static int called(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return lua_gettop(L) - 2;
}

int neap_holder_call(lua_State *L) {
    ((struct neap_holder *)lua_touserdata(L, 2))->holds = true;
    lua_toclose(L, 2);
    lua_callk(L, lua_gettop(L) - 3, LUA_MULTRET, 0, called);
    return called(L, LUA_OK, 0);
}

/* --- acquiring --- */

int neap_acquired_result(lua_State *L, const struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code == NEAP_HELD) luaL_error(L, "the task holds this lock already: it would wait for itself");
    if (code == NEAP_RANGE) luaL_error(L, "the task has acquired this lock too often");
    return code;
}

int neap_finish_acquired(lua_State *L, struct neap_task *task, int code) {
    code = neap_acquired_result(L, task, code);
    if (code != 0 && code != NEAP_ABANDONED) return neap_push_code(L, code);
    lua_pushboolean(L, 1);
    if (code == 0) return 1;
    lua_pushstring(L, neap_code_name(code));
    return 2;
}
