/* spare: a state with its libraries takes longer to make than a thread takes to wake up.
 *
 * So a loop that has nothing to do, as the one of a task that joins the thread it has just spawned, makes one in the
 * meantime, once after each start of a thread. The new thread takes it if it is ready by then, or the one after that
 * does; who finds none makes its own. */
#include "bindings/state/spare.h"

#include "bindings/state/libraries.h"
#include "bindings/state/vm.h"
#include "core/arena.h"
#include "core/memory.h"

struct spare {
    struct neap_spare base;
    lua_State *L; /* nobody uses it yet; owned */
};

static int open_libraries(lua_State *L) {
    neap_libraries_open(L);
    return 0;
}

static lua_State *make(void) {
    struct neap_arena *arena = neap_arena_new();
    if (arena == NULL) return NULL;
    lua_State *L = lua_newstate(neap_arena_alloc, arena);
    if (L == NULL) {
        neap_arena_free(arena);
        return NULL;
    }
    lua_pushcfunction(L, open_libraries);
    if (lua_pcall(L, 0, 0, 0) == LUA_OK) return L;
    neap_spare_close(L);
    return NULL;
}

void neap_spare_close(lua_State *L) {
    void *arena;
    lua_getallocf(L, &arena);
    lua_close(L);
    neap_arena_free(arena);
}

static void drop(struct neap_spare *base) {
    struct spare *spare = (struct spare *)base;
    neap_spare_close(spare->L);
    neap_free(spare);
}

lua_State *neap_spare_take(struct neap_engine *engine) {
    struct spare *spare = (struct spare *)neap_engine_swap_spare(engine, NULL);
    if (spare == NULL) return make();
    lua_State *L = spare->L;
    neap_free(spare);
    return L;
}

bool neap_spare_make_ahead(struct neap_loop *loop) {
    struct neap_engine *engine = ((struct neap_vm *)loop->context)->engine;
    if (!neap_engine_wants_spare(engine)) return false;
    struct spare *spare = neap_alloc(sizeof *spare);
    if (spare == NULL) return false;
    spare->base.drop = drop;
    spare->L = make();
    if (spare->L == NULL) {
        neap_free(spare);
        return false;
    }
    struct neap_spare *other = neap_engine_swap_spare(engine, &spare->base);
    if (other != NULL) drop(other);
    return true;
}
