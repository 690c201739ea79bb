/* select: one wait on several objects.
 *
 * The links lie in a userdata on the stack of neap.select: they must stay where they are until the wait has
 * ended. Its user value is a list of the handles, for the script may change its own list meanwhile. All cases are
 * checked, and the values encoded, before any is looked at; what was not taken is dropped at the end, or by the
 * finaliser when an error comes first. */
#include <lauxlib.h>
#include <math.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/handle.h"
#include "bindings/handle/instance.h"
#include "bindings/handle/remote.h"
#include "bindings/io/file_watch.h"
#include "bindings/state/registry.h"
#include "bindings/sync/channel.h"
#include "bindings/sync/pipe.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "core/remote.h"
#include "host/signal.h"
#include "io/file_watch.h"
#include "sync/event.h"
#include "sync/pipe.h"
#include "sync/queue.h"

enum { CASES = 1, TIMEOUT, LINKS, HANDLES, CASE }; /* the stack of neap.select; CASE and above only while it is read */

struct links {
    uint32_t count;          /* of link */
    struct neap_link link[]; /* one for each case, in order */
};

static const char links_key; /* registry: the metatable of links */

/* --- links --- */

static void drop_values(struct links *links) {
    for (uint32_t i = 0; i < links->count; i++) neap_message_fini(&links->link[i].message);
}

static int links_collected(lua_State *L) {
    drop_values(lua_touserdata(L, 1));
    return 0;
}

static struct links *push_links(lua_State *L, size_t count) {
    struct links *links = lua_newuserdatauv(L, sizeof *links + count * sizeof links->link[0], 1);
    links->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) neap_message_clear(&links->link[i].message);
    neap_registry_set_end(L, &links_key, links_collected);
    lua_createtable(L, (int)count, 0);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, 1);
    return links;
}

/* --- cases --- */

/* Raises "bad argument #1 to 'select' (case 2: ...)"; the text is on top of the stack. */
static int refuse(lua_State *L, uint32_t number) {
    lua_pushfstring(L, "case %d: %s", (int)number, lua_tostring(L, -1));
    return neap_argument_error(L, CASES, lua_tostring(L, -1));
}

static void refuse_type(lua_State *L, uint32_t number, const char *expected) {
    const char *got = luaL_getmetafield(L, -1, "__name") == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1);
    lua_pushfstring(L, "%s expected, got %s", expected, got);
    refuse(L, number);
}

/* A direction of the pipe's end. */
static struct neap_object *find_stream(lua_State *L, uint32_t number, struct neap_object *pipe, bool sends) {
    struct neap_object *stream = NULL;
    const char *wrong = neap_pipe_find_stream(pipe, sends, &stream);
    if (wrong == NULL) return stream;
    lua_pushstring(L, wrong);
    refuse(L, number);
    return NULL;
}

/* A case that receives, or waits for an end or an event: the handle at CASE. */
static void read_handle(lua_State *L, uint32_t number, struct neap_link *link) {
    enum neap_handle kind = NEAP_HANDLE_COUNT;
    struct neap_object *object = neap_box_test_any(L, CASE, &kind);
    switch (kind) {
        case NEAP_HANDLE_CHANNEL: link->op = NEAP_CHANNEL_RECV; break;
        case NEAP_HANDLE_QUEUE: link->op = NEAP_QUEUE_GET; break;
        case NEAP_HANDLE_EVENT: link->op = NEAP_EVENT_WAIT; break;
        case NEAP_HANDLE_SIGNAL: link->op = NEAP_SIGNAL_WAIT; break;
        case NEAP_HANDLE_FILE_WATCH: link->op = NEAP_FILE_WATCH_NEXT; break;
        case NEAP_HANDLE_PIPE:
            link->op = NEAP_STREAM_RECV;
            object = find_stream(L, number, object, false);
            break;
        case NEAP_HANDLE_TASK:
        case NEAP_HANDLE_TASK_JOB:
        case NEAP_HANDLE_THREAD:
        case NEAP_HANDLE_PROCESS:
        case NEAP_HANDLE_FUTURE:
            if (neap_handle_is_current(L, CASE)) {
                lua_pushliteral(L, "a task cannot wait for itself: it would never end");
                refuse(L, number);
            }
            neap_handle_look(L, CASE, TIMEOUT);
            link->op = NEAP_FUTURE_END;
            object = &neap_handle_test(L, CASE)->object;
            break;
        default: refuse_type(L, number, "channel, queue, pipe, event, signal, watch, task, thread, process or future");
    }
    link->object = object;
}

/* The third value of {queue, value, priority}, on top of the stack. */
static double read_priority(lua_State *L, uint32_t number, struct neap_object *object) {
    if (lua_isnil(L, -1)) return 0;
    if (!neap_queue_is_ordered(object))
        lua_pushliteral(L, "only a priority queue has priorities");
    else if (lua_type(L, -1) != LUA_TNUMBER || isnan(lua_tonumber(L, -1)))
        lua_pushliteral(L, "a priority is a number, and not NaN");
    else
        return lua_tonumber(L, -1);
    refuse(L, number);
    return 0;
}

/* {handle, value}, the table at CASE: the handle takes its place. */
static void read_send(lua_State *L, uint32_t number, struct neap_link *link) {
    enum neap_handle kind = NEAP_HANDLE_COUNT;
    lua_rawgeti(L, CASE, 3);
    lua_rawgeti(L, CASE, 2);
    lua_rawgeti(L, CASE, 1);
    struct neap_object *object = neap_box_test_any(L, -1, &kind);
    if (kind == NEAP_HANDLE_PIPE)
        object = find_stream(L, number, object, true);
    else if (kind != NEAP_HANDLE_CHANNEL && kind != NEAP_HANDLE_QUEUE)
        refuse_type(L, number, "{channel, queue or pipe, value}: one of these");
    lua_replace(L, CASE);
    if (lua_isnil(L, -1)) {
        lua_pushliteral(L, "nil cannot be sent (send neap.null, or a table)");
        refuse(L, number);
    }
    const char *what = lua_pushfstring(L, "cases[%d][2]", (int)number);
    neap_encode_leaving(L, -2, neap_remote_test(object) != NULL, &link->message, what);
    lua_pop(L, 2);
    link->object = object;
    link->op = NEAP_CHANNEL_SEND;
    link->priority = read_priority(L, number, object);
    lua_pop(L, 1);
}

static void read_case(lua_State *L, uint32_t number, struct neap_link *link) {
    lua_rawgeti(L, CASES, number);
    if (!lua_istable(L, CASE)) {
        read_handle(L, number, link);
    } else if (neap_instance_push_handle(L, CASE)) {
        lua_replace(L, CASE);
        if (lua_isnil(L, CASE)) {
            lua_pushliteral(L, "it has not been started");
            refuse(L, number);
        }
        read_handle(L, number, link);
    } else {
        read_send(L, number, link);
    }
    lua_rawseti(L, HANDLES, number);
}

/* --- results --- */

static int push_result(lua_State *L, const struct neap_link *link, uint32_t number) {
    if (link->object->class == &neap_file_watch_class) {
        lua_rawgeti(L, HANDLES, number);
        lua_replace(L, CASES);
        return neap_file_watch_push(L, CASES, link);
    }
    uint8_t kind = link->object->class->remote != NULL ? link->object->class->remote->kind : NEAP_KIND_COUNT;
    bool carries = kind == NEAP_KIND_CHANNEL || kind == NEAP_KIND_QUEUE || kind == NEAP_KIND_STREAM;
    if (!carries) return link->result != 0 ? neap_push_code(L, link->result) : 0;
    if (link->result != 0) return neap_channel_push_code(L, link, link->result);
    if ((link->op & NEAP_OP_MASK) == NEAP_CHANNEL_SEND) {
        lua_pushboolean(L, 1);
        return 1;
    }
    neap_decode(L, &link->message);
    return 1 + neap_queue_push_priority(L, link->object, link->priority);
}

static int finish(lua_State *L, struct neap_task *task, int code) {
    struct links *links = lua_touserdata(L, LINKS);
    (void)task;
    int count;
    if (code < 0) {
        count = neap_push_code(L, code);
    } else {
        lua_pushinteger(L, code + 1);
        count = 1 + push_result(L, &links->link[code], (uint32_t)code + 1);
    }
    drop_values(links);
    return count;
}

/* Who means to wait for ever may have taken the timeout for an option. */
static void check_list(lua_State *L) {
    lua_pushliteral(L, "timeout");
    if (lua_rawget(L, CASES) != LUA_TNIL)
        neap_argument_error(L, CASES, "a list of cases expected, without 'timeout': that is argument #2");
    lua_pop(L, 1);
}

/* neap.select(cases[, timeout]) */
int neap_select(lua_State *L) {
    neap_argument_type(L, CASES, LUA_TTABLE);
    lua_settop(L, TIMEOUT);
    int64_t deadline = neap_check_timeout(L, TIMEOUT);
    size_t count = lua_rawlen(L, CASES);
    if (deadline == NEAP_FOREVER) check_list(L);
    neap_argument_check(L, count > 0, CASES, "at least one case expected");
    neap_argument_check(L, count <= INT32_MAX / sizeof(struct neap_link), CASES, "too many cases");
    struct links *links = push_links(L, count);
    for (uint32_t i = 0; i < count; i++) read_case(L, i + 1, &links->link[i]);
    neap_await_begin(L);
    return neap_await(L, links->link, (uint32_t)count, deadline, finish);
}
