/* site: a place of spawning is kept once: (file, line, where the spawner was spawned). A small cache by function and
 * line makes finding it cheap. What the Lua half spawns counts as spawned by who has called it. Chains are cut at a
 * depth, so that a server whose handlers spawn each other for ever does not grow. Tasks know their site by its number,
 * since there are many tasks and few sites. */
#include "bindings/state/site.h"

#include <stdio.h>
#include <string.h>

#include "bindings/task/task.h"
#include "core/memory.h"

enum { DEPTH_MAX = 12, SITES_MAX = 4096, FIRST_ROOM = 16, CACHE = 16, CHAIN_TEXT_MAX = 2048 };

struct site {
    const struct site *parent; /* where the spawner was spawned; NULL: the start of the program or thread */
    uint16_t number;           /* of the state's sites: its place in `all`, from 1 on */
    int line;
    int depth;               /* of the chain */
    char source[LUA_IDSIZE]; /* as in error messages */
};

struct cached {
    const void *function;
    const struct site *parent;
    int line;
    uint16_t number; /* 0: of none */
};

struct site_store {
    struct site **all;    /* by number, less one; owned, and so are they */
    uint16_t count, room; /* of all: used, allocated */
    struct cached cache[CACHE];
};

static const struct site *site_at(const struct site_store *store, uint16_t number) {
    return number != 0 ? store->all[number - 1] : NULL;
}

static bool has_room(struct site_store *store) {
    if (store->count < store->room) return true;
    if (store->room == SITES_MAX) return false;
    uint16_t room = store->room == 0 ? FIRST_ROOM : (uint16_t)(store->room * 2);
    struct site **all = neap_realloc(store->all, room * sizeof(struct site *));
    if (all == NULL) return false;
    store->all = all;
    store->room = room;
    return true;
}

/* Found, or made; 0: it cannot be made. */
static uint16_t find_site(struct site_store *store, const char *source, int line, const struct site *parent) {
    for (uint16_t i = 0; i < store->count; i++) {
        const struct site *site = store->all[i];
        if (site->line == line && site->parent == parent && strcmp(site->source, source) == 0) return site->number;
    }
    struct site *site = has_room(store) ? neap_alloc(sizeof *site) : NULL;
    if (site == NULL) return 0;
    site->parent = parent;
    site->line = line;
    site->depth = parent == NULL ? 1 : parent->depth + 1;
    snprintf(site->source, sizeof site->source, "%s", source);
    store->all[store->count] = site;
    return site->number = ++store->count;
}

static struct site_store *get_store(struct neap_vm *vm) {
    if (vm->sites == NULL) vm->sites = neap_alloc_zeroed(sizeof(struct site_store));
    return vm->sites;
}

/* The innermost frame that has lines: what called the running C function, be it through pcall and
 * the like. Pushes its function. */
static bool find_frame(lua_State *L, lua_Debug *frame) {
    for (int level = 1; lua_getstack(L, level, frame); level++) {
        lua_getinfo(L, "fl", frame);
        if (frame->currentline >= 0) return true;
        lua_pop(L, 1);
    }
    return lua_getstack(L, 1, frame) && lua_getinfo(L, "fl", frame);
}

static bool is_of_lua_half(const lua_Debug *frame) { return strncmp(frame->source, "=[neap.", 7) == 0; }

/* The innermost frame that has lines, and is not of the Lua half. */
static bool find_caller(lua_State *L, lua_Debug *frame) {
    for (int level = 1; lua_getstack(L, level, frame); level++) {
        lua_getinfo(L, "Sl", frame);
        if (frame->currentline >= 0 && !is_of_lua_half(frame)) return true;
    }
    return false;
}

/* What is not in the cache yet. Not inlined: it is rare, and the rest is a part of each spawn. */
static __attribute__((noinline)) uint16_t learn(lua_State *L, struct site_store *store, struct cached *cached,
                                                lua_Debug *frame, const struct site *parent, const void *function) {
    lua_getinfo(L, "S", frame);
    if (is_of_lua_half(frame)) {
        if (!find_caller(L, frame)) return *neap_task_site(neap_task_current(L)); /* the Lua half's alone */
        return find_site(store, frame->short_src, frame->currentline, parent);
    }
    uint16_t number = find_site(store, frame->short_src, frame->currentline, parent);
    *cached = (struct cached){function, parent, frame->currentline, number};
    return number;
}

uint16_t neap_site_here(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    struct site_store *store = get_store(vm);
    lua_Debug frame;
    if (store == NULL || !find_frame(L, &frame)) return 0;
    const struct site *parent = site_at(store, *neap_task_site(vm->current));
    const void *function = lua_topointer(L, -1);
    lua_pop(L, 1);
    while (parent != NULL && parent->depth >= DEPTH_MAX) parent = parent->parent;
    size_t hash = ((uintptr_t)function >> 4 ^ (uintptr_t)parent >> 4 ^ (uintptr_t)frame.currentline) % CACHE;
    struct cached *cached = &store->cache[hash];
    if (cached->function == function && cached->line == frame.currentline && cached->parent == parent &&
        cached->number != 0)
        return cached->number;
    return learn(L, store, cached, &frame, parent, function);
}

void neap_site_write(const struct neap_vm *vm, uint16_t number, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    const struct site *site = vm->sites != NULL ? site_at(vm->sites, number) : NULL;
    for (; site != NULL && used < size; site = site->parent) {
        int length = snprintf(text + used, size - used, site->line > 0 ? "\n\tspawned at %s:%d" : "\n\tspawned at %s",
                              site->source, site->line);
        if (length > 0) used += (size_t)length;
    }
}

void neap_site_push(lua_State *L, uint16_t number) {
    char text[CHAIN_TEXT_MAX];
    neap_site_write(neap_vm_of(L), number, text, sizeof text);
    lua_pushstring(L, text);
}

void neap_site_close(struct neap_vm *vm) {
    if (vm->sites == NULL) return;
    for (uint16_t i = 0; i < vm->sites->count; i++) neap_free(vm->sites->all[i]);
    neap_free(vm->sites->all);
    neap_free(vm->sites);
    vm->sites = NULL;
}
