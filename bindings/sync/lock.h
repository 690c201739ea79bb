/* lock: what locks and the locks of conditions have in common. */
#ifndef NEAP_BINDINGS_SYNC_LOCK_H
#define NEAP_BINDINGS_SYNC_LOCK_H

#include <lauxlib.h>
#include <lua.h>

#include "sync/lock.h"

/* The methods acquire, release, locked, with and guard, of locks, rlocks and conditions. */
#define NEAP_LOCK_METHODS                                                                                              \
    {"acquire", neap_lock_method_acquire}, {"release", neap_lock_method_release}, {"locked", neap_lock_method_locked}, \
        {"with", neap_lock_method_with}, {                                                                             \
        "guard", neap_lock_method_guard                                                                                \
    }

int neap_lock_method_acquire(lua_State *L);
int neap_lock_method_release(lua_State *L);
int neap_lock_method_locked(lua_State *L);
int neap_lock_method_with(lua_State *L);
int neap_lock_method_guard(lua_State *L);

/* The lock in argument `index`, a lock or an rlock, here or elsewhere; raises otherwise. */
struct neap_object *neap_lock_check(lua_State *L, int index);

/* Gives up one level: 0 or NEAP_NOT_OWNER. Does `owner` hold it? By the owner's thread. */
int neap_lock_let_go(struct neap_object *lock, struct neap_owner *owner);
bool neap_lock_is_own(struct neap_object *lock, const struct neap_owner *owner);

#endif
