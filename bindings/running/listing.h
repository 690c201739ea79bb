/* listing: handles of all threads, or processes, that are alive. */
#ifndef NEAP_BINDINGS_RUNNING_LISTING_H
#define NEAP_BINDINGS_RUNNING_LISTING_H

#include <lua.h>

struct neap_engine;
struct neap_job;

/* Pushes a list of handles, of the jobs that `each` visits and that have not ended; returns 1. */
int neap_listing_push(lua_State *L, void (*each)(struct neap_engine *engine,
                                                 void (*visit)(struct neap_job *job, void *argument), void *argument));

#endif
