/* restrict: capabilities.
 *
 * MODEL      What is denied is replaced, before any script runs, by a function that raises, or is taken out. The
 *            originals are referred to by nothing that a script can reach: not by upvalues, since there is no
 *            debug.getupvalue; not by the registry; not by package.loaded, whose tables are the same.
 * DEBUG      As soon as anything is denied or limited, of the debug library only traceback is left:
 *            the rest can undo all of this.
 * MODULE     Of neap's own functions those are known here that need nothing, or what they need. One that is not known
 *            needs everything: so what is added later is denied until somebody has thought about it.
 * PROCESSES  A child runs the program neap, which knows nothing of its parent's limits. So nothing that may start one
 *            is left as soon as anything is denied or limited.
 * INHERITED  Every state of the engine is opened like this, those of threads too. What a function that was
 *            sent refers to by name is looked up where it arrives. A handle is a capability of its own: who
 *            is given a channel may use it.
 * BYTECODE   Only text is compiled; the codec's own bytecode comes from this process (function.c),
 *            and cannot be forged. */
#include "bindings/state/restrict.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "bindings/neap.h"
#include "bindings/state/argument.h"
#include "bindings/state/bounded.h"
#include "bindings/state/embedding.h"
#include "bindings/state/limits.h"
#include "bindings/state/vm.h"

enum { FILES = NEAP_DENY_READING | NEAP_DENY_WRITING, EVERYTHING = NEAP_DENY_ALL };

static const struct neap_config *config_of(lua_State *L) {
    const struct neap_embedding *embedding = neap_vm_of(L)->engine->embedding;
    return embedding == NULL ? NULL : &embedding->config;
}

static uint32_t denied_in(lua_State *L) {
    const struct neap_config *config = config_of(L);
    return config == NULL ? 0 : config->denied;
}

bool neap_restrict_is_on(lua_State *L) {
    const struct neap_config *config = config_of(L);
    return config != NULL && (config->denied != 0 || config->memory_limit != 0 || config->cpu_limit > 0 ||
                              config->task_limit != 0 || config->thread_limit != 0);
}

static int raise_denied(lua_State *L, const char *what) {
    neap_refuse(L, "denied: %s: the host does not allow it", what);
}

void neap_restrict_check(lua_State *L, uint32_t needed, const char *what) {
    if (denied_in(L) & needed) raise_denied(L, what);
}

bool neap_restrict_denies(lua_State *L, uint32_t needed) { return (denied_in(L) & needed) != 0; }

void neap_restrict_check_process(lua_State *L) {
    if (neap_restrict_is_on(L)) raise_denied(L, "starting a process");
}

/* --- functions that stand in for others --- */

/* Upvalue 1: the name. */
static int denied(lua_State *L) { return raise_denied(L, lua_tostring(L, lua_upvalueindex(1))); }

/* Upvalue 1: the original. */
static int be_original(lua_State *L) { return lua_tocfunction(L, lua_upvalueindex(1))(L); }

/* io.open(name [, mode]) */
static int checked_open(lua_State *L) {
    const char *mode = neap_argument_string_or(L, 2, "r");
    bool updates = strchr(mode, '+') != NULL, reads = mode[0] == 'r';
    neap_restrict_check(L, (reads || updates ? NEAP_DENY_READING : 0) | (!reads || updates ? NEAP_DENY_WRITING : 0),
                        "io.open");
    return be_original(L);
}

/* io.lines([name, ...]), io.input([file]) */
static int checked_input(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING || lua_type(L, 1) == LUA_TNUMBER)
        neap_restrict_check(L, NEAP_DENY_READING, "reading a file");
    return be_original(L);
}

/* io.output([file]) */
static int checked_output(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING || lua_type(L, 1) == LUA_TNUMBER)
        neap_restrict_check(L, NEAP_DENY_WRITING, "writing a file");
    return be_original(L);
}

/* load(chunk [, name [, mode [, env]]]): whatever the mode, it is text. */
static int load_text(lua_State *L) {
    if (lua_gettop(L) < 3) lua_settop(L, 3);
    lua_pushliteral(L, "t");
    lua_replace(L, 3);
    return be_original(L);
}

/* loadfile([name [, mode [, env]]]) */
static int loadfile_text(lua_State *L) {
    if (lua_gettop(L) < 2) lua_settop(L, 2);
    lua_pushliteral(L, "t");
    lua_replace(L, 2);
    return be_original(L);
}

static int dofile_returned(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return lua_gettop(L) - 1;
}

/* dofile([name]) */
static int dofile_text(lua_State *L) {
    const char *name = neap_argument_string_or(L, 1, NULL);
    lua_settop(L, 1);
    if (luaL_loadfilex(L, name, "t") != LUA_OK) return lua_error(L);
    lua_callk(L, 0, LUA_MULTRET, 0, dofile_returned);
    return dofile_returned(L, LUA_OK, 0);
}

/* In the place of package.searchers[2]: (name). Upvalue 1: package.searchpath, 2: package. */
static int search_text(lua_State *L) {
    const char *name = neap_argument_string(L, 1, NULL);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushstring(L, name);
    if (lua_getfield(L, lua_upvalueindex(2), "path") != LUA_TSTRING)
        return luaL_error(L, "'package.path' must be a string");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) return 1; /* why not */
    lua_pop(L, 1);
    if (luaL_loadfilex(L, lua_tostring(L, -1), "t") != LUA_OK)
        return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, lua_tostring(L, -2),
                          lua_tostring(L, -1));
    lua_insert(L, -2);
    return 2;
}

/* --- Lua's own --- */

static const struct {
    const char *library, *name;
    uint32_t needs;
    lua_CFunction instead; /* NULL: it raises; else what checks for itself, or makes do with less */
} standard[] = {
    {LUA_GNAME, "dofile", NEAP_DENY_READING, NULL},
    {LUA_GNAME, "loadfile", NEAP_DENY_READING, NULL},
    {LUA_GNAME, "dofile", NEAP_DENY_BYTECODE, dofile_text},
    {LUA_GNAME, "loadfile", NEAP_DENY_BYTECODE, loadfile_text},
    {LUA_GNAME, "load", NEAP_DENY_BYTECODE, load_text},
    {LUA_STRLIBNAME, "dump", NEAP_DENY_BYTECODE, NULL},
    {LUA_IOLIBNAME, "open", NEAP_DENY_READING | NEAP_DENY_WRITING, checked_open},
    {LUA_IOLIBNAME, "lines", NEAP_DENY_READING, checked_input},
    {LUA_IOLIBNAME, "input", NEAP_DENY_READING, checked_input},
    {LUA_IOLIBNAME, "output", NEAP_DENY_WRITING, checked_output},
    {LUA_IOLIBNAME, "tmpfile", NEAP_DENY_WRITING, NULL},
    {LUA_IOLIBNAME, "popen", NEAP_DENY_PROGRAMS, NULL},
    {LUA_OSLIBNAME, "execute", NEAP_DENY_PROGRAMS, NULL},
    {LUA_OSLIBNAME, "remove", NEAP_DENY_WRITING, NULL},
    {LUA_OSLIBNAME, "rename", NEAP_DENY_WRITING, NULL},
    {LUA_OSLIBNAME, "tmpname", NEAP_DENY_WRITING, NULL},
    {LUA_OSLIBNAME, "getenv", NEAP_DENY_ENVIRONMENT, NULL},
    {LUA_OSLIBNAME, "setlocale", NEAP_DENY_ENVIRONMENT, NULL},
    {LUA_LOADLIBNAME, "loadlib", NEAP_DENY_C_MODULES, NULL},
    {LUA_LOADLIBNAME, "searchpath", NEAP_DENY_READING, NULL},
};

/* Pushes a function that raises, in the name of library.name. */
static void push_denied(lua_State *L, const char *library, const char *name) {
    if (strcmp(library, LUA_GNAME) == 0)
        lua_pushstring(L, name);
    else
        lua_pushfstring(L, "%s.%s", library, name);
    lua_pushcclosure(L, denied, 1);
}

static void deny_standard(lua_State *L, uint32_t mask) {
    int top = lua_gettop(L);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (size_t i = 0; i < sizeof standard / sizeof standard[0]; i++) {
        if (!(mask & standard[i].needs)) continue;
        if (lua_getfield(L, top + 1, standard[i].library) == LUA_TTABLE &&
            lua_getfield(L, -1, standard[i].name) == LUA_TFUNCTION && lua_tocfunction(L, -1) != denied) {
            if (standard[i].instead != NULL)
                lua_pushcclosure(L, standard[i].instead, 1);
            else
                push_denied(L, standard[i].library, standard[i].name);
            lua_setfield(L, top + 2, standard[i].name);
        }
        lua_settop(L, top + 1);
    }
    lua_settop(L, top);
}

/* package.searchers: preload, Lua files, C libraries, C libraries of packages. */
static void deny_searchers(lua_State *L, uint32_t mask) {
    int top = lua_gettop(L);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_LOADLIBNAME) == LUA_TTABLE && lua_getfield(L, -1, "searchers") == LUA_TTABLE) {
        int searchers = lua_gettop(L);
        if (mask & NEAP_DENY_C_MODULES) {
            for (int i = 4; i >= 3; i--) {
                lua_pushnil(L);
                lua_rawseti(L, searchers, i);
            }
        }
        if (mask & NEAP_DENY_READING) {
            for (int i = 2; i <= 4; i++) { /* the others move up */
                lua_rawgeti(L, searchers, i + 1);
                lua_rawseti(L, searchers, i);
            }
        } else if (mask & NEAP_DENY_BYTECODE) {
            lua_getfield(L, searchers - 1, "searchpath");
            lua_pushvalue(L, searchers - 1);
            lua_pushcclosure(L, search_text, 2);
            lua_rawseti(L, searchers, 2);
        }
    }
    lua_settop(L, top);
}

/* See DEBUG. */
static void deny_debug(lua_State *L) {
    int top = lua_gettop(L);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_DBLIBNAME) == LUA_TTABLE) {
        lua_getfield(L, -1, "traceback");
        for (lua_pushnil(L); lua_next(L, top + 2) != 0;) { /* fields may be cleared meanwhile */
            lua_pop(L, 1);
            lua_pushvalue(L, -1);
            lua_pushnil(L);
            lua_rawset(L, top + 2);
        }
        lua_setfield(L, top + 2, "traceback");
    }
    lua_settop(L, top);
}

/* Files show their metatable, whose finaliser could be exchanged. */
static void hide_metatable(lua_State *L, const char *name) {
    if (luaL_getmetatable(L, name) == LUA_TTABLE) {
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pop(L, 1);
}

void neap_restrict_open(lua_State *L) {
    uint32_t mask = denied_in(L);
    if (!neap_restrict_is_on(L)) return;
    deny_searchers(L, mask);
    deny_standard(L, mask);
    deny_debug(L);
    hide_metatable(L, LUA_FILEHANDLE);
    if (neap_limits_has_cpu(L)) neap_bounded_open(L);
}

/* --- neap's own --- */

static const struct {
    const char *name;
    uint32_t needs;
} own[] = {
    {"Task", 0},
    {"Thread", NEAP_DENY_THREADS},
    {"active_count", 0},
    {"as_completed", 0},
    {"barrier", 0},
    {"bounded_semaphore", 0},
    {"channel", 0},
    {"condition", 0},
    {"cpu_count", 0},
    {"current", 0},
    {"event", 0},
    {"every", 0},
    {"gather", 0},
    {"is_cancelled", 0},
    {"lifo_queue", 0},
    {"lock", 0},
    {"main", 0},
    {"now", 0},
    {"null", 0},
    {"on_error", 0},
    {"pipe", 0},
    {"priority_queue", 0},
    {"queue", 0},
    {"race", 0},
    {"register", 0},
    {"rlock", 0},
    {"rwlock", 0},
    {"scope", 0},
    {"select", 0},
    {"semaphore", 0},
    {"shield", 0},
    {"sleep", 0},
    {"signal", 0}, /* checks for itself whether the host has allowed signals */
    {"slice", 0},
    {"spawn", 0},
    {"tasks", 0},
    {"thread", NEAP_DENY_THREADS},
    {"threads", 0},
    {"timeout", 0},
    {"timer", 0},
    {"version", 0},
    {"wait", 0},
    {"yield", 0},
    {"processes", 0},
    {"getpid", NEAP_DENY_ENVIRONMENT},
    {"getppid", NEAP_DENY_ENVIRONMENT},
    {"net", NEAP_DENY_NETWORK},
    {"http", NEAP_DENY_NETWORK},
    {"dns", NEAP_DENY_NETWORK},
    {"fs", FILES},
    {"blocking", NEAP_DENY_THREADS},
    {"run", NEAP_DENY_PROGRAMS},
    {"popen", NEAP_DENY_PROGRAMS},
};

static uint32_t needs_of(const char *name) {
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(own[i].name, name) == 0) return own[i].needs;
    return EVERYTHING;
}

/* Pushes a table that raises whatever is done with it. */
static void push_denied_table(lua_State *L, const char *name) {
    lua_newtable(L);
    lua_createtable(L, 0, 4);
    push_denied(L, "neap", name);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__newindex");
    lua_setfield(L, -2, "__call");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

/* Is the value on top of the stack what one of the two above has pushed? */
static bool is_denied(lua_State *L) {
    if (lua_tocfunction(L, -1) == denied) return true;
    if (!lua_istable(L, -1) || luaL_getmetafield(L, -1, "__call") == LUA_TNIL) return false;
    bool result = lua_tocfunction(L, -1) == denied;
    lua_pop(L, 1);
    return result;
}

void neap_restrict_module(lua_State *L, int index) {
    uint32_t mask = denied_in(L);
    if (!neap_restrict_is_on(L)) return;
    index = lua_absindex(L, index);
    int top = lua_gettop(L);
    luaL_checkstack(L, 10, "module");
    for (lua_pushnil(L); lua_next(L, index) != 0;) {
        const char *name = lua_type(L, top + 1) == LUA_TSTRING ? lua_tostring(L, top + 1) : "";
        uint32_t needs = needs_of(name);
        bool taken = needs == EVERYTHING || (mask & needs) != 0;
        if (taken && !is_denied(L)) {
            bool table = lua_istable(L, -1);
            lua_pushvalue(L, top + 1);
            if (table)
                push_denied_table(L, name);
            else
                push_denied(L, "neap", name);
            lua_rawset(L, index); /* the field is there: the walk may go on */
        }
        lua_settop(L, top + 1);
    }
}
