#include "bindings/state/anchors.h"

#include <lauxlib.h>

void neap_anchors_open(lua_State *L, struct neap_anchors *anchors) {
    lua_newtable(L);
    anchors->table = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Takes a slot that was given back, of the table on top of the stack. */
static uint32_t take_free(lua_State *L, struct neap_anchors *anchors) {
    uint32_t slot = anchors->free;
    lua_rawgeti(L, -1, slot);
    anchors->free = (uint32_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return slot;
}

uint32_t neap_anchors_add(lua_State *L, struct neap_anchors *anchors) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, anchors->table);
    uint32_t slot = anchors->free != 0 ? take_free(L, anchors) : anchors->last + 1;
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, slot); /* may raise: a new slot is taken only after */
    lua_pop(L, 1);
    if (slot > anchors->last) anchors->last = slot;
    return slot;
}

void neap_anchors_remove(lua_State *L, struct neap_anchors *anchors, uint32_t slot) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, anchors->table);
    lua_pushinteger(L, anchors->free);
    lua_rawseti(L, -2, slot);
    lua_pop(L, 1);
    anchors->free = slot;
}
