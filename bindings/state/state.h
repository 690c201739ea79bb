/* state: a Lua state that tasks run in, from its memory to its end. One way to make one, for the program's, for
 * threads' and for hosts'. By the thread that is going to use it. */
#ifndef NEAP_BINDINGS_STATE_STATE_H
#define NEAP_BINDINGS_STATE_STATE_H

#include <lua.h>

#include "bindings/state/vm.h"

/* A bare state for `vm`, with memory of its own, and the vm's loop as the one of this thread.
 * NULL: no memory. neap_state_free. */
lua_State *neap_state_new(struct neap_vm *vm);
/* Gives it its libraries, and what its host adds and takes away. Raises. */
void neap_state_open(struct neap_vm *vm, lua_State *L);
/* The vm was closed (neap_vm_close): closes the state, and writes what its finalisers have printed. */
void neap_state_close(struct neap_vm *vm, lua_State *L);
/* After that, or where neap_state_new has failed: gives back its memory, and the vm. */
void neap_state_free(struct neap_vm *vm);

#endif
