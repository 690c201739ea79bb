/* patch: waiting for descriptors that libraries own. */
#include "bindings/io/patch.h"

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "io/borrowed.h"

bool neap_patch_can_wait(lua_State *L) {
    const struct neap_vm *vm = neap_vm_of(L);
    return vm->current != vm->root && lua_isyieldable(L);
}

/* can_wait() */
static int can_wait(lua_State *L) {
    lua_pushboolean(L, neap_patch_can_wait(L));
    return 1;
}

/* Pushes a poll of the descriptors. */
static int push_poll(lua_State *L, const struct neap_interest *interests, size_t count) {
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_POLL, sizeof *box, 0);
    struct neap_poll *poll = NULL;
    int code = neap_borrowed_poll(&neap_vm_of(L)->loop, interests, count, &poll);
    if (code != 0) return neap_push_code(L, code);
    box->object = &poll->object;
    return 1;
}

/* poll(fd, ops) -> poll. Ops: 1 to read, 2 to write, 3 both. */
static int poll_one(lua_State *L) {
    const struct neap_interest interest = {.fd = (int)luaL_checkinteger(L, 1), .ops = (uint8_t)luaL_checkinteger(L, 2)};
    return push_poll(L, &interest, 1);
}

/* poll_many({[fd] = ops, ...}) -> poll */
static int poll_many(lua_State *L) {
    size_t count = 0, used = 0;
    luaL_checktype(L, 1, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) count++;
    struct neap_interest *interests = lua_newuserdatauv(L, (count + 1) * sizeof *interests, 0);
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
        interests[used].fd = (int)lua_tointeger(L, -2);
        interests[used++].ops = (uint8_t)lua_tointeger(L, -1);
    }
    return push_poll(L, interests, used);
}

/* wait(poll[, timeout]): true when it may be ready; nil, "timeout"; nil, "closed". */
static int wait_poll(lua_State *L) {
    return neap_await_object(L, neap_box_check(L, 1, NEAP_HANDLE_POLL), NEAP_POLL_READ, 2, neap_finish_true);
}

/* close(poll) */
static int close_poll(lua_State *L) {
    neap_poll_close((struct neap_poll *)neap_box_check(L, 1, NEAP_HANDLE_POLL));
    return 0;
}

/* methods_of(name) -> the table of the methods of that class of userdata; nil: there is none. */
static int methods_of(lua_State *L) {
    if (luaL_getmetatable(L, luaL_checkstring(L, 1)) != LUA_TTABLE) return 0;
    lua_getfield(L, -1, "__index");
    return lua_istable(L, -1) ? 1 : 0;
}

const luaL_Reg neap_patch_functions[] = {{"can_wait", can_wait},
                                         {"poll", poll_one},
                                         {"poll_many", poll_many},
                                         {"wait", wait_poll},
                                         {"close", close_poll},
                                         {"methods_of", methods_of},
                                         {NULL, NULL}};
