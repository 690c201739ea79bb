/* box: handles in Lua. A box is a userdata with one reference to an object; in one state an object has one box, so that
 * handles compare and index tables by identity. */
#ifndef NEAP_BINDINGS_BOX_H
#define NEAP_BINDINGS_BOX_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "bindings/vm.h"
#include "core/object.h"

struct neap_box {
    struct neap_object *object; /* one reference; NULL before it is filled */
};

/* How a kind of handle looks in Lua. One constant per kind, in the file of its class; listed in bindings.c. */
struct neap_binding {
    const struct neap_class *class; /* of the objects in its boxes */
    const luaL_Reg *methods;        /* of the metatable's __index, ended by {NULL, NULL} */
    const luaL_Reg *metamethods;    /* put beside __gc, __name, __tostring, __close; may be NULL */
    /* h.name and the like: called for keys that are no method; pushes one value. May be NULL: unknown keys are nil. */
    lua_CFunction index;
    /* Writes how the object stands, for tostring: "3/8", "running". May be NULL. */
    void (*describe)(struct neap_object *object, char *text, size_t size);
    /* __gc, before the reference is dropped; neither blocks, yields nor takes locks that Lua code may hold. May be NULL. */
    void (*collected)(struct neap_vm *vm, struct neap_object *object);
};

extern const struct neap_binding *const neap_bindings[NEAP_HANDLE_COUNT];

/* Pushes a new, empty box of `kind` with `uservalues` user values: made first, then filled, so that an error in between
 * leaks nothing. The caller stores one reference in ->object. */
struct neap_box *neap_box_new(lua_State *L, enum neap_handle kind, int uservalues);

/* Pushes the state's box of `object` (found, or made with a new reference). The object must be shared, or be of this state. */
void neap_box_push(lua_State *L, struct neap_object *object);
/* Notes the box at `index` as the state's box of its object: before the object is shared. */
void neap_box_register(lua_State *L, int index);

/* The object in argument `index` of a C function; raises "bad argument #1 to 'send' (channel expected, got nil)". */
struct neap_object *neap_box_check(lua_State *L, int index, enum neap_handle kind);
/* The object at `index` if a box of `kind` is there, else NULL. */
struct neap_object *neap_box_test(lua_State *L, int index, enum neap_handle kind);
/* The object at `index` if a box of any kind is there, else NULL. `kind` may be NULL. */
struct neap_object *neap_box_test_any(lua_State *L, int index, enum neap_handle *kind);

#endif
