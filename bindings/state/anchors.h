/* anchors: a table of the registry that keeps values from being collected, by slot. Slots are used again. */
#ifndef NEAP_BINDINGS_STATE_ANCHORS_H
#define NEAP_BINDINGS_STATE_ANCHORS_H

#include <lua.h>
#include <stdint.h>

struct neap_anchors {
    int table;     /* registry reference */
    uint32_t free; /* a slot that was given back: in it stands the number of the next one; 0: there is none */
    uint32_t last; /* slots beyond were never used */
};

/* `anchors` is zeroed. May raise. */
void neap_anchors_open(lua_State *L, struct neap_anchors *anchors);

/* Keeps the value on top of the stack, which stays there; returns its slot. Raises when out of memory. */
uint32_t neap_anchors_add(lua_State *L, struct neap_anchors *anchors);
/* Pushes what a slot keeps. */
static inline void neap_anchors_push(lua_State *L, const struct neap_anchors *anchors, uint32_t slot) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, anchors->table);
    lua_rawgeti(L, -1, slot);
    lua_replace(L, -2);
}
/* Lets go of it. */
void neap_anchors_remove(lua_State *L, struct neap_anchors *anchors, uint32_t slot);

#endif
