/* limits: what one state of a host may use. The essay is in limits.c. Everything here
 * is for the thread of the state. */
#ifndef NEAP_BINDINGS_STATE_LIMITS_H
#define NEAP_BINDINGS_STATE_LIMITS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct neap_embedding;
struct neap_vm;

/* Part of neap_vm. */
struct neap_limits {
    int64_t cpu_ns;   /* processor time that it may use in all; 0: no limit */
    int64_t used_ns;  /* of that, before the present stretch */
    int64_t began_ns; /* processor time of the thread when the present stretch of Lua began; valid in one */
    int64_t asked_ns; /* when the processor time was last asked for: of the monotonic clock */
    uint32_t depth;   /* stretches within one another */
    uint32_t tasks;   /* that may be alive at a time; 0: no limit */
    bool spent;       /* the processor time is used up: no Lua runs any more */
};

/* Has the host set limits, or an allocator of its own? `embedding` may be NULL. */
bool neap_limits_apply(const struct neap_embedding *embedding);
/* As the host says; before there is a state. 0 or NEAP_NOMEM. FINI: the state is gone. */
int neap_limits_init(struct neap_vm *vm);
void neap_limits_fini(struct neap_vm *vm);
/* The allocator of the vm's state: a lua_Alloc, and what is to be given to it. */
lua_Alloc neap_limits_allocator(struct neap_vm *vm, void **argument);

/* Sets the hook that a coroutine (or the main thread) has when nobody wants anything else of it. */
void neap_limits_rest(struct neap_vm *vm, lua_State *L);

/* Around each stretch of Lua, where there is a limit (cpu_ns): from C into it, where `L` will run, and back. */
void neap_limits_begin_stretch(struct neap_vm *vm, lua_State *L);
void neap_limits_end_stretch(struct neap_vm *vm);

/* As lua_pcall, with no handler: of a function in C that may get to a script's own (a __tostring) and is called where
 * no Lua runs. What that takes counts as well. */
int neap_limits_pcall(lua_State *L, int arguments, int results);

/* For C functions that loop: raises when the time is used up. Cheap. */
void neap_limits_check(lua_State *L);
/* Raises unless so many steps of a few nanoseconds are within the limit. */
void neap_limits_check_steps(lua_State *L, double steps);
/* Raises: so it is. */
int neap_limits_raise(lua_State *L);
/* Is the processor time limited? */
bool neap_limits_has_cpu(lua_State *L);

#endif
