/* native: from a call in Lua to a function of the host and back.
 *
 * NO JUMPS   Lua raises by longjmp, which must not pass through the frames of a host: it may be C++. So arguments are
 *            read before the host's function is called, and results pushed after it has returned; what may raise there
 *            is protected as long as something is still to be given back.
 * LATER      A deferred call waits for a completion, which is a future: shared, counted, ended by whatever thread. The
 *            frame that waits keeps it in a userdata, so that a cancelled call drops its reference. The outcome is made
 *            together with the completion: failing needs no memory.
 * THREADS    An entry is constant, and lives as long as the engine: functions in all states refer to it. It has a name
 *            in package.loaded of each state, and so travels by that name. */
#include "bindings/host/native.h"

#include <lauxlib.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/host/host.h"
#include "bindings/host/host_value.h"
#include "bindings/state/registry.h"
#include "bindings/task/await.h"
#include "core/memory.h"
#include "sync/future.h"

enum { INLINE_VALUES = 8 };

struct neap_completion {
    struct neap_future future;    /* first */
    struct neap_outcome *outcome; /* of the future, until it has ended. Owned */
};

struct neap_native_entry {
    struct neap_native_entry *next; /* in the embedding's list */
    struct neap_engine *engine;     /* constant, as is the rest */
    neap_native function;
    void *argument; /* of function */
    char name[];
};

/* Values of which a few need no memory. */
struct values {
    struct neap_value *first; /* == few, or owned */
    size_t count, room;       /* of first */
    struct neap_value few[INLINE_VALUES];
};

struct neap_native_call {
    lua_State *L;
    struct neap_engine *engine;
    struct values arguments, results;
    char *message;  /* owned; NULL: none */
    int completion; /* stack index of the userdata of a deferred call; 0: it is none */
};

static void init_values(struct values *values) {
    values->first = values->few;
    values->count = 0;
    values->room = INLINE_VALUES;
}

static void clear_values(struct values *values) {
    for (size_t i = 0; i < values->count; i++) neap_value_clear(&values->first[i]);
    if (values->first != values->few) neap_free(values->first);
}

static int widen(struct values *values, size_t room) {
    if (room <= values->room) return 0;
    if (room < 2 * values->room) room = 2 * values->room;
    struct neap_value *wider = neap_alloc(room * sizeof *wider);
    if (wider == NULL) return NEAP_NOMEM;
    memcpy(wider, values->first, values->count * sizeof *wider);
    if (values->first != values->few) neap_free(values->first);
    values->first = wider;
    values->room = room;
    return 0;
}

/* --- calls --- */

static void end_call(struct neap_native_call *call) {
    clear_values(&call->arguments);
    clear_values(&call->results);
    neap_free(call->message);
}

/* Protected: (value, address of where it goes). */
static int read_value(lua_State *L) {
    neap_value_read(L, 1, lua_touserdata(L, 2));
    return 0;
}

/* Reads the argument at `index`; strings are lent, as they stay on the stack. Raises when it cannot be
 * read; the call has ended then. */
static void read_argument(lua_State *L, struct neap_native_call *call, int index) {
    struct neap_value *value = &call->arguments.first[call->arguments.count];
    int type = lua_type(L, index);
    if (type == LUA_TSTRING) {
        size_t length;
        const char *text = lua_tolstring(L, index, &length);
        *value = neap_bytes(text, length);
    } else if (type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER) {
        neap_value_read(L, index, value); /* cannot fail */
    } else {
        lua_pushcfunction(L, read_value);
        lua_pushvalue(L, index);
        lua_pushlightuserdata(L, value);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
            end_call(call);
            lua_error(L);
        }
    }
    call->arguments.count++;
}

/* Protected: (call) -> its results. */
static int push_results(lua_State *L) {
    const struct neap_native_call *call = lua_touserdata(L, 1);
    int count = (int)call->results.count;
    luaL_checkstack(L, count + 2, "too many results");
    for (int i = 0; i < count; i++) neap_value_push(L, &call->results.first[i]);
    return count;
}

static int return_results(lua_State *L, struct neap_native_call *call) {
    int top = lua_gettop(L);
    lua_pushcfunction(L, push_results);
    lua_pushlightuserdata(L, call);
    int status = lua_pcall(L, 1, LUA_MULTRET, 0);
    end_call(call);
    return status == LUA_OK ? lua_gettop(L) - top : lua_error(L);
}

static int raise_failure(lua_State *L, struct neap_native_call *call, int code) {
    char text[512]; /* nothing must be allocated before the call has ended */
    const char *message = call->message != NULL ? call->message : neap_code_name(code);
    size_t length = strlen(message);
    if (length >= sizeof text) length = sizeof text - 1;
    memcpy(text, message, length);
    text[length] = '\0';
    end_call(call);
    return luaL_error(L, "%s", text);
}

/* --- finishing later --- */

static void destroy(struct neap_object *object) {
    struct neap_completion *completion = (struct neap_completion *)object;
    neap_future_fini(&completion->future);
    neap_outcome_free(completion->outcome);
    neap_free(completion);
}

static const char *const verbs[] = {"call"};

static const struct neap_class completion_class = {
    .name = "function of the host",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = neap_future_attempt,
    .enlist = neap_future_enlist,
};

static const char keeper_key; /* registry: the metatable of keepers */

static int keeper_collected(lua_State *L) {
    struct neap_object **keeper = lua_touserdata(L, 1);
    if (*keeper != NULL) neap_object_unref(*keeper);
    *keeper = NULL;
    return 0;
}

/* Protected: () -> a userdata that will keep a completion. */
static int push_keeper(lua_State *L) {
    struct neap_object **keeper = lua_newuserdatauv(L, sizeof(struct neap_object *), 0);
    *keeper = NULL;
    neap_registry_set_end(L, &keeper_key, keeper_collected);
    return 1;
}

int neap_call_defer(struct neap_native_call *call, struct neap_completion **completion) {
    NEAP_CONTRACT_POINTER(call);
    NEAP_CONTRACT_POINTER(completion);
    NEAP_CONTRACT(call->completion == 0, NEAP_INVALID, "neap.h: a call is deferred once");
    lua_State *L = call->L;
    struct neap_completion *made = neap_alloc(sizeof *made);
    struct neap_outcome *outcome = neap_outcome_new();
    lua_pushcfunction(L, push_keeper);
    if (made == NULL || outcome == NULL || lua_pcall(L, 0, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        neap_outcome_free(outcome);
        neap_free(made);
        return NEAP_NOMEM;
    }
    neap_future_init(&made->future, &completion_class);
    made->outcome = outcome;
    neap_object_share(&made->future.object);
    *(struct neap_object **)lua_touserdata(L, -1) = neap_object_ref(&made->future.object);
    lua_insert(L, (int)call->arguments.count + 1);
    call->completion = (int)call->arguments.count + 1;
    *completion = made;
    return 0;
}

static void end_completion(struct neap_completion *completion, enum neap_future_state state) {
    struct neap_outcome *outcome = completion->outcome;
    completion->outcome = NULL;
    neap_future_end(&completion->future, state, outcome);
    neap_object_unref(&completion->future.object);
}

int neap_completion_finish(struct neap_completion *completion, const struct neap_value *results, size_t count) {
    NEAP_CONTRACT_POINTER(completion);
    NEAP_CONTRACT(results != NULL || count == 0, NEAP_INVALID,
                  "neap.h, RESULTS: results may be NULL where there are none");
    NEAP_CONTRACT_VALUES(results, count);
    int code = neap_value_pack_all(results, count, &completion->outcome->value);
    if (code == 0) end_completion(completion, NEAP_FUTURE_DONE);
    return code;
}

void neap_completion_fail(struct neap_completion *completion, const char *message) {
    if (completion == NULL) return;
    struct neap_value text = neap_string(message != NULL ? message : "failed");
    struct neap_message *value = &completion->outcome->value;
    if (neap_value_pack(&text, value) != 0) {
        text.length = NEAP_MESSAGE_TEXT_MAX; /* what needs no memory */
        neap_value_pack(&text, value);
    }
    end_completion(completion, NEAP_FUTURE_FAILED);
}

bool neap_completion_is_awaited(const struct neap_completion *completion) {
    if (completion == NULL) return false;
    return neap_future_is_awaited((struct neap_future *)(uintptr_t)&completion->future);
}

/* The keeper is on top of the stack. */
static int finish_deferred(lua_State *L, struct neap_task *task, int code) {
    (void)task;
    (void)code; /* there is no deadline but that of the regions around */
    const struct neap_future *future = *(struct neap_future **)lua_touserdata(L, -1);
    if (neap_future_state(future) == NEAP_FUTURE_DONE) return neap_decode_all(L, &neap_future_outcome(future)->value);
    luaL_where(L, 1);
    neap_decode(L, &neap_future_outcome(future)->value);
    lua_concat(L, 2);
    return lua_error(L);
}

static int await_completion(lua_State *L, struct neap_native_call *call) {
    struct neap_object *object = *(struct neap_object **)lua_touserdata(L, call->completion);
    lua_settop(L, call->completion);
    end_call(call);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = object;
    task->link.op = NEAP_FUTURE_END;
    return neap_await(L, &task->link, 1, NEAP_FOREVER, finish_deferred);
}

static int call_native(lua_State *L) {
    const struct neap_native_entry *entry = lua_touserdata(L, lua_upvalueindex(1));
    int count = lua_gettop(L);
    struct neap_native_call call;
    call.L = L;
    call.engine = entry->engine;
    call.message = NULL;
    call.completion = 0;
    init_values(&call.arguments);
    init_values(&call.results);
    luaL_checkstack(L, 4, "call");
    if (widen(&call.arguments, (size_t)count) != 0) return luaL_error(L, "not enough memory");
    for (int i = 1; i <= count; i++) read_argument(L, &call, i);
    int code = entry->function(&call, entry->argument);
    if (code == 0 && call.completion != 0) return await_completion(L, &call);
    lua_settop(L, count);
    return code == 0 ? return_results(L, &call) : raise_failure(L, &call, code);
}

struct neap_engine *neap_call_engine(const struct neap_native_call *call) {
    return call == NULL ? NULL : call->engine;
}

size_t neap_call_count(const struct neap_native_call *call) { return call == NULL ? 0 : call->arguments.count; }

const struct neap_value *neap_call_argument(struct neap_native_call *call, size_t index) {
    static const struct neap_value none = {.kind = NEAP_NIL};
    if (call == NULL || index >= call->arguments.count) return &none;
    return &call->arguments.first[index];
}

int neap_call_return(struct neap_native_call *call, struct neap_value *value) {
    NEAP_CONTRACT_POINTER(call);
    NEAP_CONTRACT_POINTER(value);
    NEAP_CONTRACT_VALUES(value, 1);
    struct values *results = &call->results;
    int code = widen(results, results->count + 1);
    if (code == 0 && !value->owned) code = neap_value_copy(&results->first[results->count], value);
    if (code != 0) return code;
    if (value->owned) {
        results->first[results->count] = *value;
        *value = neap_nil();
    }
    results->count++;
    return 0;
}

int neap_call_fail(struct neap_native_call *call, const char *message) {
    NEAP_CONTRACT_POINTER(call);
    neap_free(call->message);
    size_t size = message == NULL ? 0 : strlen(message) + 1;
    call->message = size == 0 ? NULL : neap_alloc(size);
    if (call->message != NULL) memcpy(call->message, message, size);
    return NEAP_FAILED;
}

struct lua_State *neap_call_state(struct neap_native_call *call) {
    return call == NULL ? NULL : call->L;
}

/* --- making them known --- */

/* Pushes the table `name` (of `length`) of the table on top of the stack (popped), which is made if there is none. At
 * `loaded` lies package.loaded: the first of such tables is a module, too. */
static void push_module(lua_State *L, const char *name, size_t length, int loaded) {
    lua_pushlstring(L, name, length);
    lua_pushvalue(L, -1);
    if (lua_gettable(L, -3) == LUA_TTABLE) {
        lua_replace(L, -3);
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_settable(L, -5);
    if (loaded != 0) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_settable(L, loaded);
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static void open_entry(lua_State *L, const struct neap_native_entry *entry) {
    const char *name = entry->name, *dot;
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, "functions of the host");
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushglobaltable(L);
    for (int loaded = top + 1; (dot = strchr(name, '.')) != NULL; name = dot + 1, loaded = 0)
        push_module(L, name, (size_t)(dot - name), loaded);
    lua_pushlightuserdata(L, (void *)(uintptr_t)entry);
    lua_pushcclosure(L, call_native, 1);
    lua_setfield(L, -2, name);
    neap_codec_touch_modules(L);
    lua_settop(L, top);
}

static void open_entries(lua_State *L, const struct neap_native_entry *entry) {
    if (entry == NULL) return;
    open_entries(L, entry->next);
    open_entry(L, entry);
}

void neap_native_open(lua_State *L, struct neap_embedding *embedding) { open_entries(L, embedding->natives); }

void neap_native_forget_all(struct neap_embedding *embedding) {
    while (embedding->natives != NULL) {
        struct neap_native_entry *entry = embedding->natives;
        embedding->natives = entry->next;
        neap_free(entry);
    }
}

/* Protected: (entry). */
static int open_one(lua_State *L) {
    open_entry(L, lua_touserdata(L, 1));
    return 0;
}

static bool is_name(const char *name) {
    if (name[0] == '\0' || name[0] == '.') return false;
    for (; *name != '\0'; name++)
        if (name[0] == '.' && (name[1] == '.' || name[1] == '\0')) return false;
    return true;
}

int neap_engine_register(struct neap_engine *engine, const char *name, neap_native function, void *argument) {
    NEAP_CONTRACT_ENGINE(engine);
    NEAP_CONTRACT_POINTER(name);
    NEAP_CONTRACT_POINTER(function);
    NEAP_CONTRACT(is_name(name), NEAP_INVALID, "neap.h: a name is words with dots between them");
    struct neap_host *host = neap_host_of(engine);
    size_t size = strlen(name) + 1;
    struct neap_native_entry *entry = neap_alloc(sizeof *entry + size);
    if (entry == NULL) return NEAP_NOMEM;
    entry->engine = engine;
    entry->function = function;
    entry->argument = argument;
    memcpy(entry->name, name, size);
    entry->next = host->embedding.natives;
    host->embedding.natives =
        entry; /* stays there also when the state has no memory for it: nothing refers to it then */
    return neap_host_protect(host, open_one, entry);
}
