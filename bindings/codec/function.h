/* function: Lua functions on their way. The code of a function is an object that all its messages share; its upvalues
 * are part of each message. */
#ifndef NEAP_BINDINGS_CODEC_FUNCTION_H
#define NEAP_BINDINGS_CODEC_FUNCTION_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct neap_class;
struct neap_code;
struct neap_encoder;
struct neap_object;
struct neap_scratch;

/* Makes the tables that functions are kept in. */
void neap_function_open(lua_State *L, struct neap_encoder *encoder);

/* The code of the Lua function on top of the stack; the function keeps it. `plain`: its globals are its only upvalue,
 * if it has any. Drops the message and raises when out of memory. */
struct neap_code *neap_function_code(lua_State *L, struct neap_scratch *scratch, bool *plain);
uint32_t neap_function_upvalues(const struct neap_code *code);
/* Whether an upvalue of this name, whose value is on top of the stack, is the environment and holds the state's
 * globals. */
bool neap_function_is_environment(lua_State *L, const char *name);

/* Of code. */
extern const struct neap_class neap_code_class;

/* The code in `object`, or NULL if it is something else. */
struct neap_code *neap_function_test(struct neap_object *object);
/* Pushes the plain function that this state has received as `object` before: true; else
 * nothing. Looks at its address only. */
bool neap_function_push_known(lua_State *L, const struct neap_object *object);
/* Pushes a function of this code: a new one, whose upvalues are to be set; or, if it is plain, perhaps one that was
 * received before. Raises when out of memory. */
void neap_function_push(lua_State *L, struct neap_code *code, bool plain);

#endif
