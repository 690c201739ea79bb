#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bindings/await.h"
#include "bindings/box.h"
#include "bindings/channel.h"
#include "bindings/classes.h"
#include "bindings/codec.h"
#include "bindings/options.h"
#include "core/error.h"
#include "sync/queue.h"

static struct neap_queue *check(lua_State *L) { return (struct neap_queue *)neap_box_check(L, 1, NEAP_HANDLE_QUEUE); }

/* --- making --- */

static int make(lua_State *L, lua_Integer maxsize, enum neap_order order) {
    luaL_argcheck(L, maxsize >= 0, 1, "maxsize must not be negative");
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_QUEUE, sizeof *box, 0);
    struct neap_queue *queue = neap_queue_new((size_t)maxsize, order);
    if (queue == NULL) return luaL_error(L, "not enough memory");
    box->object = &queue->channel.object;
    neap_box_set_constant(L, NEAP_HANDLE_QUEUE, "maxsize", maxsize);
    return 1;
}

static enum neap_order order_named(lua_State *L, const char *name) {
    static const char *const names[] = {[NEAP_FIFO] = "fifo", [NEAP_LIFO] = "lifo", [NEAP_PRIORITY] = "priority"};
    for (int i = NEAP_FIFO; i <= NEAP_PRIORITY; i++)
        if (strcmp(names[i], name) == 0) return (enum neap_order)i;
    luaL_argerror(L, 1, lua_pushfstring(L, "option 'order': 'fifo', 'lifo' or 'priority' expected, got '%s'", name));
    return NEAP_FIFO;
}

static lua_Integer maxsize_option(lua_State *L) {
    int is_integer = 1, type = lua_getfield(L, 1, "maxsize");
    lua_Integer maxsize = type == LUA_TNIL ? 0 : lua_tointegerx(L, -1, &is_integer);
    luaL_argcheck(L, type == LUA_TNIL || (type == LUA_TNUMBER && is_integer), 1, "option 'maxsize': integer expected");
    return maxsize;
}

/* neap.queue([maxsize | options]) */
int neap_queue_open(lua_State *L) {
    static const char *const known[] = {"maxsize", "order", NULL};
    if (lua_type(L, 1) != LUA_TTABLE) return make(L, luaL_optinteger(L, 1, 0), NEAP_FIFO);
    neap_options_check(L, 1, known);
    enum neap_order order = order_named(L, neap_options_string(L, 1, "order", "fifo"));
    return make(L, maxsize_option(L), order);
}

/* ([maxsize | options]) of a queue whose order is in its name. */
static int open_ordered(lua_State *L, enum neap_order order) {
    static const char *const known[] = {"maxsize", NULL};
    if (lua_type(L, 1) != LUA_TTABLE) return make(L, luaL_optinteger(L, 1, 0), order);
    neap_options_check(L, 1, known);
    return make(L, maxsize_option(L), order);
}

int neap_lifo_queue_open(lua_State *L) { return open_ordered(L, NEAP_LIFO); }

int neap_priority_queue_open(lua_State *L) { return open_ordered(L, NEAP_PRIORITY); }

/* --- put and get --- */

static double check_priority(lua_State *L, int index, const struct neap_queue *queue) {
    if (lua_isnoneornil(L, index)) return 0;
    double priority = luaL_checknumber(L, index);
    luaL_argcheck(L, !isnan(priority), index, "a priority must not be NaN");
    luaL_argcheck(L, queue->channel.buffer.order == NEAP_PRIORITY, index, "only a priority queue has priorities");
    return priority;
}

static int put(lua_State *L, int64_t deadline, int priority_index, neap_finish finish) {
    struct neap_queue *queue = check(L);
    neap_channel_check_value(L, 2);
    double priority = check_priority(L, priority_index, queue);
    struct neap_task *task = neap_await_begin(L);
    neap_encode(L, 2, &task->link.message, "value");
    task->link.object = &queue->channel.object;
    task->link.op = NEAP_QUEUE_PUT;
    task->link.priority = priority;
    return neap_await(L, &task->link, 1, deadline, finish);
}

static int queue_put(lua_State *L) { return put(L, neap_check_timeout(L, 3), 4, neap_finish_sent); }

static int finish_put_nowait(lua_State *L, struct neap_task *task, int code) {
    if (code != NEAP_TIMEOUT) return neap_finish_sent(L, task, code);
    neap_message_fini(&task->link.message);
    return neap_push_code(L, NEAP_FULL);
}

static int queue_put_nowait(lua_State *L) { return put(L, 0, 3, finish_put_nowait); }

/* A priority that was given as an integer comes back as one. */
int neap_queue_push_priority(lua_State *L, const struct neap_object *object, double priority) {
    lua_Integer whole;
    if (object->class != &neap_queue_class || ((const struct neap_channel *)object)->buffer.order != NEAP_PRIORITY)
        return 0;
    if (lua_numbertointeger(priority, &whole) && (double)whole == priority)
        lua_pushinteger(L, whole);
    else
        lua_pushnumber(L, priority);
    return 1;
}

static int finish_get(lua_State *L, struct neap_task *task, int code) {
    const struct neap_object *queue = task->link.object;
    double priority = task->link.priority;
    bool got = code >= 0 && task->link.result == 0;
    int count = neap_finish_received(L, task, code);
    return got ? count + neap_queue_push_priority(L, queue, priority) : count;
}

static int queue_get(lua_State *L) {
    return neap_await_object(L, &check(L)->channel.object, NEAP_QUEUE_GET, 2, finish_get);
}

static int finish_get_nowait(lua_State *L, struct neap_task *task, int code) {
    return code == NEAP_TIMEOUT ? neap_push_code(L, NEAP_EMPTY) : finish_get(L, task, code);
}

static int queue_get_nowait(lua_State *L) {
    struct neap_queue *queue = check(L);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &queue->channel.object;
    task->link.op = NEAP_QUEUE_GET;
    return neap_await(L, &task->link, 1, 0, finish_get_nowait);
}

static int iterate(lua_State *L) {
    lua_settop(L, 1);
    return queue_get(L);
}

static int queue_iter(lua_State *L) {
    check(L);
    lua_pushcfunction(L, iterate);
    lua_pushvalue(L, 1);
    return 2;
}

/* --- what is unfinished --- */

static int queue_task_done(lua_State *L) {
    if (neap_queue_task_done(check(L)) == 0) return 0;
    return luaL_error(L, "task_done was called more often than values were put");
}

static int queue_join(lua_State *L) {
    return neap_await_object(L, &check(L)->channel.object, NEAP_QUEUE_JOIN, 2, neap_finish_true);
}

/* --- the rest --- */

static int queue_close(lua_State *L) { return neap_channel_close_with(L, &check(L)->channel); }

static int queue_is_closed(lua_State *L) {
    lua_pushboolean(L, neap_channel_is_closed(&check(L)->channel));
    return 1;
}

static int queue_qsize(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)neap_channel_length(&check(L)->channel));
    return 1;
}

static int queue_empty(lua_State *L) {
    lua_pushboolean(L, neap_channel_length(&check(L)->channel) == 0);
    return 1;
}

static int queue_full(lua_State *L) {
    const struct neap_channel *channel = &check(L)->channel;
    lua_pushboolean(L, neap_channel_length(channel) >= channel->capacity);
    return 1;
}

static void set_maxsize(lua_State *L, struct neap_object *object) {
    size_t capacity = ((struct neap_channel *)object)->capacity;
    neap_box_set_constant(L, NEAP_HANDLE_QUEUE, "maxsize", capacity == NEAP_UNBOUNDED ? 0 : (lua_Integer)capacity);
}

static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_channel *channel = (struct neap_channel *)object;
    const char *closed = neap_channel_is_closed(channel) ? ", closed" : "";
    if (channel->capacity == NEAP_UNBOUNDED)
        snprintf(text, size, "%zu%s", neap_channel_length(channel), closed);
    else
        snprintf(text, size, "%zu/%zu%s", neap_channel_length(channel), channel->capacity, closed);
}

static const luaL_Reg methods[] = {{"put", queue_put},
                                   {"get", queue_get},
                                   {"put_nowait", queue_put_nowait},
                                   {"get_nowait", queue_get_nowait},
                                   {"task_done", queue_task_done},
                                   {"join", queue_join},
                                   {"qsize", queue_qsize},
                                   {"empty", queue_empty},
                                   {"full", queue_full},
                                   {"close", queue_close},
                                   {"is_closed", queue_is_closed},
                                   {"iter", queue_iter},
                                   {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__len", queue_qsize}, {NULL, NULL}};

const struct neap_binding neap_queue_binding = {
    .name = "queue",
    .class = &neap_queue_class,
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
    .arrived = set_maxsize,
};
