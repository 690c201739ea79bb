/* host: an engine that a host has made, as the files behind neap.h share it. */
#ifndef NEAP_BINDINGS_HOST_HOST_H
#define NEAP_BINDINGS_HOST_HOST_H

#include <lua.h>
#include <pthread.h>
#include <stdbool.h>

#include "bindings/host/contract.h"
#include "bindings/neap.h"
#include "bindings/state/embedding.h"
#include "bindings/state/vm.h"
#include "bindings/task/task.h"
#include "core/list.h"
#include "host/engine.h"

struct neap_host {
    struct neap_engine engine;            /* first: what neap.h hands out */
    struct neap_embedding embedding;      /* of the engine */
    struct neap_vm *vm;                   /* of the engine's own state. Constant */
    pthread_t thread;                     /* that made it, and uses it. Constant */
    char *message;                        /* of the last failure; NULL: none. Owned; its thread */
    struct neap_list watches;             /* of spawned tasks that have not ended: see watcher.c. Its thread */
    struct neap_list requests;            /* of neap_begin, that wait: see host_wait.c. Its thread */
    unsigned depth;                       /* calls of neap.h that are under way. Its thread */
    _Atomic uint32_t talk;                /* NEAP_DRIVE_THREAD: enum neap_talk, a futex. Release, acquire */
    int code;                             /* likewise: what open or close has returned. Written before talk says DONE */
    int (*open)(struct neap_host *host);  /* likewise: on the engine's thread. Constant */
    int (*close)(struct neap_host *host); /* likewise */
};

/* Between the engine's own thread and the host: DONE, it has opened or closed the engine; END, it is to close it. */
enum neap_talk { NEAP_TALK_OPEN, NEAP_TALK_DONE, NEAP_TALK_END };

static inline struct neap_host *neap_host_of(struct neap_engine *engine) {
    return NEAP_CONTAINER_OF(engine, struct neap_host, engine);
}

/* What was running when the host called: see neap_host_enter. */
struct neap_visit {
    struct neap_loop *loop;
    struct neap_task *task, *root;
    lua_State *running;
    lua_State *blocked; /* what stands in the way of that task: others run meanwhile */
    int blocked_level;
};

/* Around all that runs Lua for the host: until leave, the engine's loop is the one of this thread, and its root runs. A
 * visit may come in the midst of another, of the same engine (a function of the host calls back) or of another one. 0
 * or NEAP_NOMEM; then there is nothing to leave. */
int neap_host_enter(struct neap_host *host, struct neap_visit *visit);
void neap_host_leave(struct neap_host *host, const struct neap_visit *visit);

/* The error value on top of L ended a call or task with `status`: what code that is. */
int neap_host_code(lua_State *L, int status);
/* Notes the error value on top of L (popped), and the traceback below it (text or nil; popped
 * too), as the engine's message. Returns `code`, or NEAP_CPU when telling the error has used up the time. */
int neap_host_note(struct neap_host *host, lua_State *L, int code);
void neap_host_note_text(struct neap_host *host, const char *text);

/* Is `object` acquired in the name of an owner? */
bool neap_host_needs_owner(const struct neap_object *object);

/* The engine ends: tells those that have used neap_begin. */
void neap_objects_give_up(struct neap_host *host);

/* Calls `function(L, argument)` on the main stack, protected; 0, or a code with the message
 * noted. What it leaves there is gone. */
int neap_host_protect(struct neap_host *host, lua_CFunction function, void *argument);

/* Returns `code` from the calling function on any thread but the engine's. */
#define NEAP_CONTRACT_THREAD(engine, code)                                                           \
    NEAP_CONTRACT(pthread_equal(((const struct neap_host *)(engine))->thread, pthread_self()), code, \
                  "neap.h, THREADS: an engine is used by the thread that made it")

#define NEAP_CONTRACT_ENGINE(engine) \
    NEAP_CONTRACT_POINTER(engine);   \
    NEAP_CONTRACT_THREAD(engine, NEAP_FOREIGN)

/* Is this the engine's thread? For functions that return nothing. */
static inline bool neap_host_is_here(const struct neap_engine *engine) {
    NEAP_CONTRACT_THREAD(engine, false);
    return true;
}

#endif
