/* compiled: reading what has been compiled takes a tenth of the time of compiling it, which counts where each thread
 * has a state of its own. So the first state that loads a file keeps it for the others, in the engine. It is kept by
 * the very Lua that reads it, in the same process: nothing compiled is trusted that comes from elsewhere. */
#include "bindings/state/compiled.h"

#include <lauxlib.h>
#include <string.h>

#include "bindings/state/vm.h"
#include "host/engine.h"

static int count_bytes(lua_State *L, const void *bytes, size_t size, void *total) {
    (void)L;
    (void)bytes;
    *(size_t *)total += size;
    return 0;
}

static int copy_bytes(lua_State *L, const void *bytes, size_t size, void *at) {
    char **to = at;
    (void)L;
    memcpy(*to, bytes, size);
    *to += size;
    return 0;
}

/* The function on top of the stack stays there. Without memory it is not kept. */
static void keep(lua_State *L, struct neap_engine *engine, const struct neap_embedded *file) {
    size_t size = 0;
    lua_dump(L, count_bytes, &size, 0);
    struct neap_kept *kept = neap_kept_new(file, size);
    if (kept == NULL) return;
    char *at = kept->bytes;
    lua_dump(L, copy_bytes, &at, 0);
    neap_engine_keep(engine, kept);
}

static void load(lua_State *L, const char *bytes, size_t size, const char *name, const char *mode) {
    if (luaL_loadbufferx(L, bytes, size, name, mode) != LUA_OK) lua_error(L);
}

void neap_compiled_push(lua_State *L, const struct neap_embedded *file) {
    struct neap_engine *engine = neap_vm_of(L)->engine;
    const struct neap_kept *kept = neap_engine_find_kept(engine, file);
    if (kept != NULL) {
        load(L, kept->bytes, kept->size, file->name, "b");
        return;
    }
    lua_pushfstring(L, "=[%s]", file->name);
    load(L, file->text, file->size, lua_tostring(L, -1), "t");
    lua_remove(L, -2);
    keep(L, engine, file);
}
