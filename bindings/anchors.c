#include "bindings/anchors.h"

#include <lauxlib.h>

#include "core/memory.h"

enum { FIRST_ROOM = 16 };

void neap_anchors_open(lua_State *L, struct neap_anchors *anchors) {
    lua_newtable(L);
    anchors->table = luaL_ref(L, LUA_REGISTRYINDEX);
}

void neap_anchors_close(struct neap_anchors *anchors) { neap_free(anchors->free); }

static uint32_t next_slot(lua_State *L, struct neap_anchors *anchors) {
    if (anchors->last == anchors->room) {
        uint32_t room = anchors->room == 0 ? FIRST_ROOM : anchors->room * 2;
        uint32_t *slots = neap_realloc(anchors->free, room * sizeof *slots);
        if (slots == NULL) luaL_error(L, "not enough memory");
        anchors->free = slots;
        anchors->room = room;
    }
    return anchors->last + 1;
}

uint32_t neap_anchors_add(lua_State *L, struct neap_anchors *anchors) {
    uint32_t slot = anchors->count > 0 ? anchors->free[anchors->count - 1] : next_slot(L, anchors);
    lua_rawgeti(L, LUA_REGISTRYINDEX, anchors->table);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, slot); /* may raise: the slot is taken only after */
    lua_pop(L, 1);
    if (anchors->count > 0)
        anchors->count--;
    else
        anchors->last = slot;
    return slot;
}

void neap_anchors_remove(lua_State *L, struct neap_anchors *anchors, uint32_t slot) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, anchors->table);
    lua_pushnil(L);
    lua_rawseti(L, -2, slot);
    lua_pop(L, 1);
    anchors->free[anchors->count++] = slot;
}
