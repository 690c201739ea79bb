/* box: handles in Lua. A box is a userdata that refers to an object; in one state an object has one box, so that
 * handles compare and index tables by identity. */
#ifndef NEAP_BINDINGS_HANDLE_BOX_H
#define NEAP_BINDINGS_HANDLE_BOX_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "bindings/state/argument.h"
#include "bindings/state/vm.h"
#include "core/object.h"

struct neap_binding;

/* Where the object's record lies in its box it begins in the place of the pointer to it. */
struct neap_box {
    const struct neap_binding *binding; /* tells our boxes apart, from each other and from foreign userdata */
    struct neap_object *object;         /* one reference; NULL before it is filled */
};

/* No reference to drop, no __gc. */
static inline bool neap_box_is_in_place(enum neap_handle kind) { return kind == NEAP_HANDLE_TASK; }

/* The object in a box of `kind`; NULL: it is not filled yet, or collected already. */
static inline struct neap_object *neap_box_object(const struct neap_box *box, enum neap_handle kind) {
    return neap_box_is_in_place(kind) ? (struct neap_object *)&box->object : box->object;
}

/* How a kind of handle looks in Lua. One constant per kind, in the file of its class; listed in classes.c. */
struct neap_binding {
    const char *name;               /* what scripts call it: "channel" */
    const struct neap_class *class; /* of the objects in its boxes */
    const struct neap_class *proxy; /* of those that live in another process; NULL: none do. See core/remote.h */
    const luaL_Reg *methods;        /* of the metatable's __index, ended by {NULL, NULL} */
    const luaL_Reg *more_methods;   /* as well; may be NULL */
    const luaL_Reg *metamethods;    /* put beside __name, __tostring, __index; may be NULL */
    /* h.name and the like, for keys that are no method: (handle, key) -> value. Every access then costs a C call, so
     * hot kinds do without and have constant fields (neap_box_set_constant). NULL: unknown keys are nil. */
    lua_CFunction index;
    /* h[key], for any key: (handle, key) -> value; upvalue 1 is the table of methods. Instead of index; may be NULL. */
    lua_CFunction item;
    /* Methods that the Lua half defines when they are first asked for: __index of the table of methods. May be NULL. */
    lua_CFunction half;
    /* Writes how the object stands, for tostring: "3/8", "running". May be NULL. */
    void (*describe)(struct neap_object *object, char *text, size_t size);
    /* The object that travels instead when a handle is sent: pushes nothing, returns a new reference; may raise.
     * NULL: the object itself, shared. */
    struct neap_object *(*travel)(lua_State *L, int index);
    /* Called on a new box on top of the stack whose object came from elsewhere: neap_box_set_constant. May be NULL. */
    void (*arrived)(lua_State *L, struct neap_object *object);
    /* Why a handle cannot go to another process, for an error: "userdata that is closed". NULL: it can; may be NULL. */
    const char *(*obstacle)(const struct neap_object *object);
    bool stays;         /* the object belongs to its thread for good: a handle cannot be sent */
    uint8_t uservalues; /* of a box that neap_box_push makes */
};

extern const struct neap_binding *const neap_bindings[NEAP_HANDLE_COUNT];

/* Raises while the state is being closed: a new thing called `name` would never be finalised. */
void neap_box_refuse_late(lua_State *L, const char *name);

/* Lets go of vm->late. */
void neap_box_drop_late(struct neap_vm *vm);
/* Pushes a new, empty box of `kind` with `uservalues` user values and `size` bytes: made first, then filled, so that an
 * error in between leaks nothing. The caller stores one reference in ->object. */
void *neap_box_new(lua_State *L, enum neap_handle kind, size_t size, int uservalues);

/* The collector learns of `size` bytes that an object has taken outside of Lua, over and above
 * what every one takes. May collect. */
void neap_box_account(lua_State *L, size_t size);
/* The name of the method that is this function; NULL: it is none of the kind's. */
const char *neap_box_method_name(const struct neap_binding *binding, lua_CFunction function);
/* Pushes the table of the kind's methods. */
void neap_box_push_methods(lua_State *L, enum neap_handle kind);

/* Gives the box on top of the stack, of `kind`, a field that never changes, at no cost for its methods. */
void neap_box_set_constant(lua_State *L, enum neap_handle kind, const char *field, lua_Integer value);

/* Is `object` one that handles refer to? */
bool neap_box_is_kind(const struct neap_object *object);
/* Pushes the state's box of `object`, which is shared: found, or made with a new reference. */
void neap_box_push(lua_State *L, struct neap_object *object);
/* Notes the box at `index` as the state's box of `object`. */
void neap_box_register(lua_State *L, int index, struct neap_object *object);
/* Is a handle at `index` that can be sent? */
bool neap_box_is_sendable(lua_State *L, int index);
/* The handle at `index` is about to be sent: a new reference to the shared object that travels in its stead, or NULL if
 * none is there that can be. May raise. */
struct neap_object *neap_box_share(lua_State *L, int index);

/* The box at `index`, or NULL. A box is told by the address in its first word: of a foreign userdata nothing but that
 * word is read, and only if it has one; a light userdata has no length. */
static inline struct neap_box *neap_box_at(lua_State *L, int index) {
    struct neap_box *box = lua_touserdata(L, index);
    return box != NULL && lua_rawlen(L, index) >= sizeof *box ? box : NULL;
}

/* The object at `index` if a box of `kind` is there, else NULL. */
static inline struct neap_object *neap_box_test(lua_State *L, int index, enum neap_handle kind) {
    const struct neap_box *box = neap_box_at(L, index);
    return box != NULL && box->binding == neap_bindings[kind] ? neap_box_object(box, kind) : NULL;
}

/* The object in argument `index` of a C function; raises "bad argument #1 to 'send' (channel expected, got nil)". */
static inline struct neap_object *neap_box_check(lua_State *L, int index, enum neap_handle kind) {
    struct neap_object *object = neap_box_test(L, index, kind);
    if (object == NULL) neap_argument_type_error(L, index, neap_bindings[kind]->name);
    return object;
}

/* The object at `index` if a box of any kind is there, else NULL. `kind` may be NULL. */
struct neap_object *neap_box_test_any(lua_State *L, int index, enum neap_handle *kind);
/* Pushes what tostring says of the handle at `index`. */
int neap_box_tostring(lua_State *L);

#endif
