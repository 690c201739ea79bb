/* watch: waiting for many ends.
 *
 * MODEL      Each task, thread or process of the list is waited for by a wait of its own, which belongs to no
 *            task: its run() notes the end, on our loop. The task that watches waits on the watch, an object like
 *            others. So each end costs a constant amount, however long the list is; a select would enter and
 *            leave all of the list for each.
 * LIFETIME   The waits lie in a block of their own, for one that another thread has claimed comes through the
 *            mailbox and may find the watch closed. The block goes when the watch is closed and no claimed
 *            wait is under way. The handles are kept by the user value of the watch; `objects` of the links
 *            are not looked at once it is closed. */
#include "bindings/pool/watch.h"

#include <lauxlib.h>

#include "bindings/handle/box.h"
#include "bindings/handle/handle.h"
#include "bindings/handle/instance.h"
#include "bindings/pool/pool.h"
#include "bindings/state/argument.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "core/memory.h"

#define NONE UINT32_MAX /* no index */

enum condition { NEXT, FIRST, ALL, FAILURE, TROUBLE }; /* operations of a link; as in watch.h */

struct watched {
    struct neap_wait wait; /* for its end; open until that, or until the watch is closed */
    struct neap_link link;
    struct watch *watch; /* constant */
    bool ended;          /* noted in the watch */
};

/* Used by the thread of the state only. */
struct watch {
    struct neap_object object; /* never shared */
    struct neap_list waiters;  /* links of tasks that wait on it */
    uint32_t count;            /* of all */
    uint32_t ended;            /* how many have: so much of `order` is filled in */
    uint32_t told;             /* how much of `order` next has told */
    uint32_t failed;           /* of those that have ended */
    uint32_t trouble;          /* the first one that failed or was cancelled; NONE */
    uint32_t under_way;        /* waits that are open, or claimed: they end in run, forget or close_watch */
    bool closed;               /* nobody refers to it but waits that are under way */
    uint32_t pool;             /* of the first one that is a future of a pool; 0: none is. Constant */
    uint32_t *order;           /* indices, in the order of the ends; behind `all` */
    struct watched all[];
};

struct keeper {
    struct watch *watch; /* NULL before it is made and once it is closed */
};

static const char keeper_key; /* registry: the metatable of keepers */

/* --- the object --- */

static bool holds(const struct watch *watch, uint8_t condition) {
    if (watch->ended == watch->count) return true;
    switch (condition) {
        case NEXT: return watch->told < watch->ended;
        case FIRST: return watch->ended > 0;
        case FAILURE: return watch->failed > 0;
        case TROUBLE: return watch->trouble != NONE;
        default: return false;
    }
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)batch;
    return holds((struct watch *)object, link->op);
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct watch *)object)->waiters, &link->node);
}

static void destroy(struct neap_object *object) { (void)object; /* freed with its waits */ }

static const char *const verbs[] = {"wait for the next", "wait for the first", "wait for all", "wait for a failure",
                                    "wait for all"};

static const struct neap_class watch_class = {
    .name = "list of tasks",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
};

/* --- ends --- */

static void note_end(struct watched *watched) {
    struct watch *watch = watched->watch;
    uint32_t index = (uint32_t)(watched - watch->all);
    enum neap_future_state state = neap_future_state((struct neap_future *)watched->link.object);
    watched->ended = true;
    watch->order[watch->ended++] = index;
    if (state == NEAP_FUTURE_FAILED) watch->failed++;
    if (state != NEAP_FUTURE_DONE && watch->trouble == NONE) watch->trouble = index;
}

static void wake(struct watch *watch) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_list *next;
    for (struct neap_list *node = watch->waiters.next; node != &watch->waiters; node = next) {
        struct neap_link *link = NEAP_CONTAINER_OF(node, struct neap_link, node);
        next = node->next;
        if (holds(watch, link->op) && neap_link_claim(link)) neap_batch_add(&batch, link->wait);
    }
    neap_batch_flush(&batch);
}

static void run(struct neap_runnable *runnable) {
    struct watched *watched = NEAP_CONTAINER_OF(runnable, struct watched, wait.runnable);
    neap_wait_end(&watched->wait);
    watched->watch->under_way--;
    if (watched->ended) return;
    note_end(watched);
    wake(watched->watch);
}

/* Ends come through the mailbox: notes those that are still on their way. */
static void look(struct watch *watch) {
    for (uint32_t i = 0; i < watch->count; i++) {
        struct watched *watched = &watch->all[i];
        if (!watched->ended && neap_future_has_ended((struct neap_future *)watched->link.object)) note_end(watched);
    }
}

/* --- from beginning to end --- */

static void forget(struct neap_runnable *runnable) {
    struct watch *watch = NEAP_CONTAINER_OF(runnable, struct watched, wait.runnable)->watch;
    if (--watch->under_way == 0) neap_free(watch);
}

static void close_watch(struct watch *watch) {
    watch->closed = true;
    watch->under_way++; /* ours, so that it stays to the end */
    for (uint32_t i = 0; i < watch->count; i++) {
        struct watched *watched = &watch->all[i];
        if (atomic_load_explicit(&watched->wait.state, memory_order_relaxed) != NEAP_WAIT_IDLE) {
            if (neap_wait_abandon(&watched->wait))
                watch->under_way--;
            else
                watched->wait.runnable.run = forget;
        }
        neap_object_unref(watched->link.object);
    }
    if (--watch->under_way == 0) neap_free(watch);
}

static int keeper_close(lua_State *L) {
    struct keeper *keeper = lua_touserdata(L, 1);
    struct watch *watch = keeper->watch;
    keeper->watch = NULL;
    if (watch != NULL) close_watch(watch);
    return 0;
}

bool neap_watch_is_for_pool(const struct neap_object *object, uint32_t pool) {
    return object->class == &watch_class && ((const struct watch *)object)->pool == pool;
}

/* The futures of the handles at `handles`. NULL: no memory. */
static struct watch *new_watch(lua_State *L, int handles) {
    struct neap_vm *vm = neap_vm_of(L);
    size_t count = lua_rawlen(L, handles);
    struct watch *watch = neap_alloc(sizeof *watch + count * (sizeof watch->all[0] + sizeof watch->order[0]));
    if (watch == NULL) return NULL;
    neap_object_init(&watch->object, &watch_class);
    neap_list_init(&watch->waiters);
    watch->count = (uint32_t)count;
    watch->ended = watch->told = watch->failed = watch->under_way = 0;
    watch->trouble = NONE;
    watch->closed = false;
    watch->pool = 0;
    watch->order = (uint32_t *)(void *)&watch->all[count];
    for (uint32_t i = 0; i < count; i++) {
        struct watched *watched = &watch->all[i];
        lua_rawgeti(L, handles, i + 1);
        watched->link.object = neap_object_ref(&neap_handle_test(L, -1)->object);
        lua_pop(L, 1);
        if (watch->pool == 0) watch->pool = neap_pool_tag_of_future(watched->link.object);
        watched->link.op = NEAP_FUTURE_END;
        neap_message_clear(&watched->link.message);
        watched->watch = watch;
        watched->ended = false;
        neap_wait_init(&watched->wait, &vm->loop, NULL, run);
    }
    return watch;
}

static void begin(struct watch *watch) {
    for (uint32_t i = 0; i < watch->count; i++) {
        struct watched *watched = &watch->all[i];
        if (neap_wait_begin(&watched->wait, &watched->link, 1, NEAP_FOREVER) == NEAP_PARKED)
            watch->under_way++;
        else
            note_end(watched);
    }
}

/* --- for the Lua half --- */

static struct watch *check(lua_State *L) {
    struct keeper *keeper = lua_touserdata(L, 1);
    if (keeper->watch == NULL) luaL_error(L, "nothing is watched any more");
    return keeper->watch;
}

enum { LIST = 1, NAME, KEEPER, HANDLES }; /* the stack of neap_watch_open */

/* In the name of the function that called us. The text is on top of the stack. */
static int refuse(lua_State *L, int name) {
    luaL_where(L, 2);
    lua_pushfstring(L, "%sbad argument #1 to '%s' (%s)", lua_tostring(L, -1), lua_tostring(L, name),
                    lua_tostring(L, -2));
    return lua_error(L);
}

/* Pushes the handle of element `number` of the list. */
static void push_handle(lua_State *L, int number) {
    lua_rawgeti(L, LIST, number);
    if (neap_instance_push_handle(L, -1)) {
        lua_remove(L, -2);
        if (!lua_isnil(L, -1)) return;
        lua_pushfstring(L, "list[%d] has not been started", number);
        refuse(L, NAME);
    }
    if (neap_handle_test(L, -1) == NULL) {
        const char *got =
            luaL_getmetafield(L, -1, "__name") == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1);
        lua_pushfstring(L, "list[%d]: task, thread, process or future expected, got %s", number, got);
        refuse(L, NAME);
    }
}

static void check_handle(lua_State *L, int number) {
    if (!neap_handle_is_current(L, -1)) return;
    lua_pushfstring(L, "list[%d] is the task itself: it would never end", number);
    refuse(L, NAME);
}

static int watch_wait_done(lua_State *L, struct neap_task *task, int code) {
    struct watch *watch = check(L);
    if (code < 0) look(watch);
    return neap_finish_true(L, task, code < 0 && holds(watch, task->link.op) ? 0 : code);
}

static int watch_wait(lua_State *L) {
    static const char *const conditions[] = {"next", "first", "all", "failure", "trouble", NULL};
    struct watch *watch = check(L);
    int condition = neap_argument_option(L, 2, NULL, conditions);
    return neap_await_object(L, &watch->object, (uint8_t)condition, 3, watch_wait_done);
}

static int push_index(lua_State *L, uint32_t index) {
    if (index == NONE)
        lua_pushnil(L);
    else
        lua_pushinteger(L, (lua_Integer)index + 1);
    return 1;
}

static int watch_next(lua_State *L) {
    struct watch *watch = check(L);
    return push_index(L, watch->told < watch->ended ? watch->order[watch->told++] : NONE);
}

static int watch_trouble(lua_State *L) { return push_index(L, check(L)->trouble); }

static struct keeper *push_keeper(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"wait", watch_wait}, {"next", watch_next}, {"trouble", watch_trouble}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", keeper_close}, {"__close", keeper_close}, {NULL, NULL}};
    struct keeper *keeper = lua_newuserdatauv(L, sizeof *keeper, 1);
    keeper->watch = NULL;
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &keeper_key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 3);
        luaL_setfuncs(L, metamethods, 0);
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &keeper_key);
    }
    lua_setmetatable(L, -2);
    return keeper;
}

/* (list, name of the function) */
int neap_watch_open(lua_State *L) {
    lua_settop(L, NAME);
    if (!lua_istable(L, LIST)) {
        bool named = luaL_getmetafield(L, LIST, "__name") == LUA_TSTRING;
        lua_pushfstring(L, "list of tasks, threads, processes or futures expected, got %s",
                        named ? lua_tostring(L, -1) : luaL_typename(L, LIST));
        refuse(L, NAME);
    }
    int count = (int)lua_rawlen(L, LIST);
    if (neap_argument_find_stray(L, LIST, count)) {
        lua_pushfstring(L, "list of tasks, threads, processes or futures expected, got %s", lua_tostring(L, -1));
        refuse(L, NAME);
    }
    struct keeper *keeper = push_keeper(L);
    lua_createtable(L, count, 0);
    for (int i = 1; i <= count; i++) {
        push_handle(L, i);
        check_handle(L, i);
        lua_rawseti(L, HANDLES, i);
    }
    lua_pushvalue(L, HANDLES);
    lua_setiuservalue(L, KEEPER, 1);
    keeper->watch = new_watch(L, HANDLES);
    if (keeper->watch == NULL) return luaL_error(L, "not enough memory");
    begin(keeper->watch);
    return 2;
}
