#include "bindings/host/watcher.h"

#include <lauxlib.h>
#include <string.h>

#include "bindings/handle/handle.h"
#include "bindings/host/host_value.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/wait.h"

struct neap_watcher {
    struct neap_list node; /* in host->watches */
    struct neap_wait wait; /* for the end of the task; its loop is the engine's */
    struct neap_link link; /* of wait */
    struct neap_host *host;
    int handle; /* registry reference: keeps the task's future where it is */
    neap_watcher_done done;
    void *argument; /* of done */
};

/* What a task has left, for the host. */
struct harvest {
    struct neap_watcher *watcher;
    struct neap_value *values;
    size_t count; /* of values that are read, and to be cleared */
    int code;
};

/* Protected: (harvest). */
static int reap(lua_State *L) {
    struct harvest *harvest = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, harvest->watcher->handle);
    int count = neap_handle_push_outcome(L, 2);
    if (count < 0) {
        harvest->code = neap_host_code(L, LUA_ERRRUN);
        luaL_tolstring(L, -1, NULL);
        neap_host_note_text(harvest->watcher->host, lua_tostring(L, -1));
        count = 1;
    }
    if (count == 0) return 0;
    harvest->values = neap_alloc((size_t)count * sizeof *harvest->values);
    if (harvest->values == NULL) return luaL_error(L, "not enough memory");
    for (int i = lua_gettop(L) - count + 1; i <= lua_gettop(L); i++)
        neap_value_read(L, i, &harvest->values[harvest->count++]);
    return 0;
}

static void end_watch(struct neap_watcher *watcher, int code, const struct neap_value *values, size_t count) {
    struct neap_host *host = watcher->host;
    neap_watcher_done done = watcher->done;
    void *argument = watcher->argument;
    luaL_unref(host->vm->main, LUA_REGISTRYINDEX, watcher->handle);
    neap_list_remove(&watcher->node);
    neap_free(watcher);
    if (done != NULL) done(argument, code, values, count);
}

/* The task has ended. */
static void run(struct neap_runnable *runnable) {
    struct neap_watcher *watcher = NEAP_CONTAINER_OF(runnable, struct neap_watcher, wait.runnable);
    struct harvest harvest = {.watcher = watcher};
    neap_wait_end(&watcher->wait);
    int code = neap_host_protect(watcher->host, reap, &harvest);
    if (code != 0) { /* a result cannot be read */
        while (harvest.count > 0) neap_value_clear(&harvest.values[--harvest.count]);
        harvest.code = code;
    }
    size_t count = harvest.count;
    end_watch(watcher, harvest.code, harvest.values, count);
    for (size_t i = 0; i < count; i++) neap_value_clear(&harvest.values[i]);
    neap_free(harvest.values);
}

void neap_watcher_add(lua_State *L, struct neap_host *host, neap_watcher_done done, void *argument) {
    struct neap_task *task = lua_touserdata(L, -1);
    int handle = luaL_ref(L, LUA_REGISTRYINDEX);
    struct neap_watcher *watcher = neap_alloc(sizeof *watcher);
    int code = NEAP_NOMEM;
    if (watcher != NULL) {
        memset(&watcher->link, 0, sizeof watcher->link);
        watcher->host = host;
        watcher->handle = handle;
        watcher->done = done;
        watcher->argument = argument;
        watcher->link.object = &task->future.object;
        watcher->link.op = NEAP_FUTURE_END;
        neap_wait_init(&watcher->wait, &host->vm->loop, NULL, run);
        code = neap_wait_begin(&watcher->wait, &watcher->link, 1, NEAP_FOREVER);
    }
    if (code == NEAP_PARKED) {
        neap_list_push_back(&host->watches, &watcher->node);
        return;
    }
    neap_free(watcher);
    luaL_unref(L, LUA_REGISTRYINDEX, handle);
    luaL_error(L, "not enough memory");
}

void neap_watcher_give_up(struct neap_host *host) {
    neap_loop_drain(&host->vm->loop);
    while (!neap_list_is_empty(&host->watches)) {
        struct neap_watcher *watcher = NEAP_CONTAINER_OF(host->watches.next, struct neap_watcher, node);
        neap_wait_abandon(&watcher->wait);
        end_watch(watcher, NEAP_CANCELLED, NULL, 0);
    }
}
