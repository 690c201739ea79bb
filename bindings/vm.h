/* vm: what the engine knows of one Lua state. Used by the state's thread only. */
#ifndef NEAP_BINDINGS_VM_H
#define NEAP_BINDINGS_VM_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/loop.h"

struct neap_task;
struct neap_encoder;
struct neap_arena;
struct neap_engine;

/* One per kind of handle; indexes neap_vm.metatables and neap_bindings. */
enum neap_handle {
    NEAP_HANDLE_CHANNEL,
    NEAP_HANDLE_QUEUE,
    NEAP_HANDLE_PIPE,
    NEAP_HANDLE_LOCK,
    NEAP_HANDLE_RLOCK,
    NEAP_HANDLE_RWLOCK,
    NEAP_HANDLE_CONDITION,
    NEAP_HANDLE_SEMAPHORE,
    NEAP_HANDLE_BOUNDED_SEMAPHORE,
    NEAP_HANDLE_EVENT,
    NEAP_HANDLE_BARRIER,
    NEAP_HANDLE_SCOPE,
    NEAP_HANDLE_TASK,
    NEAP_HANDLE_THREAD,
    NEAP_HANDLE_TIMER,
    NEAP_HANDLE_COUNT
};

struct neap_vm {
    lua_State *main;                            /* the state's main thread */
    struct neap_engine *engine;                 /* constant */
    struct neap_loop loop;                      /* of the state's thread */
    struct neap_task *root;                     /* stands for code that no task runs (a host's frame) */
    struct neap_task *current;                  /* whose code runs; root when no task's does */
    lua_State *volatile running;                /* the coroutine that runs, innermost; NULL outside tasks. Read by the slice's handler */
    const void *metatables[NEAP_HANDLE_COUNT];  /* addresses, to tell handles apart quickly; NULL until first used */
    struct neap_encoder *encoder;               /* the codec's scratch; see codec.h */
    struct neap_arena *arena;                   /* what the state allocates from; NULL in a state that we did not make */
    int anchors;                                /* registry reference: a table that keeps live tasks' handles, by task slot */
    int coroutines;                             /* registry reference: a table of coroutines to use again */
    uint32_t coroutine_count;                   /* of coroutines */
    uint32_t *free_slots;                       /* of anchors; a stack */
    uint32_t free_slot_count, free_slot_room;   /* of free_slots */
    uint32_t next_slot;                         /* of anchors: none from here on was ever used */
    uint32_t operations;                        /* waits that were served at once, for the cooperative budget */
    uint32_t tasks_live;                        /* tasks of this state that have not ended */
    uint32_t tasks_needed;                      /* of those, the ones that are not daemon */
};

/* The vm of any coroutine of a state: its address stands in the extra space of the main thread, which coroutines copy. */
static inline struct neap_vm *neap_vm_of(lua_State *L) { return *(struct neap_vm **)lua_getextraspace(L); }

#endif
