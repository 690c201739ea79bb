#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/iterator.h"
#include "bindings/handle/remote.h"
#include "bindings/state/options.h"
#include "bindings/sync/channel.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "sync/queue.h"

static struct neap_object *check(lua_State *L) { return neap_box_check(L, 1, NEAP_HANDLE_QUEUE); }

/* --- making --- */

static int make(lua_State *L, lua_Integer maxsize, enum neap_order order) {
    neap_argument_check(L, maxsize >= 0, 1, "maxsize must not be negative");
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
    neap_argument_error(L, 1,
                        lua_pushfstring(L, "option 'order': 'fifo', 'lifo' or 'priority' expected, got '%s'", name));
    return NEAP_FIFO;
}

static lua_Integer maxsize_option(lua_State *L) {
    int is_integer = 1, type = lua_getfield(L, 1, "maxsize");
    lua_Integer maxsize = type == LUA_TNIL ? 0 : lua_tointegerx(L, -1, &is_integer);
    neap_argument_check(L, type == LUA_TNIL || (type == LUA_TNUMBER && is_integer), 1,
                        "option 'maxsize': integer expected");
    return maxsize;
}

/* neap.queue([maxsize | options]) */
int neap_queue_open(lua_State *L) {
    static const char *const known[] = {"maxsize", "order", NULL};
    if (lua_type(L, 1) != LUA_TTABLE) return make(L, neap_argument_integer_or(L, 1, 0), NEAP_FIFO);
    neap_options_check(L, 1, known);
    enum neap_order order = order_named(L, neap_options_string(L, 1, "order", "fifo"));
    return make(L, maxsize_option(L), order);
}

/* ([maxsize | options]) of a queue whose order is in its name. */
static int open_ordered(lua_State *L, enum neap_order order) {
    static const char *const known[] = {"maxsize", NULL};
    if (lua_type(L, 1) != LUA_TTABLE) return make(L, neap_argument_integer_or(L, 1, 0), order);
    neap_options_check(L, 1, known);
    return make(L, maxsize_option(L), order);
}

int neap_lifo_queue_open(lua_State *L) { return open_ordered(L, NEAP_LIFO); }

int neap_priority_queue_open(lua_State *L) { return open_ordered(L, NEAP_PRIORITY); }

/* --- put and get --- */

bool neap_queue_is_ordered(struct neap_object *object) {
    const struct neap_proxy *proxy = neap_remote_test(object);
    if (proxy != NULL)
        return object->class->remote->kind == NEAP_KIND_QUEUE && proxy->constants.numbers[1] == NEAP_PRIORITY;
    return object->class == &neap_queue_class && ((const struct neap_channel *)object)->buffer.order == NEAP_PRIORITY;
}

static double check_priority(lua_State *L, int index, struct neap_object *queue) {
    if (lua_isnoneornil(L, index)) return 0;
    double priority = neap_argument_number(L, index);
    neap_argument_check(L, !isnan(priority), index, "a priority must not be NaN");
    neap_argument_check(L, neap_queue_is_ordered(queue), index, "only a priority queue has priorities");
    return priority;
}

static int put(lua_State *L, int64_t deadline, int priority_index, neap_finish finish) {
    struct neap_object *queue = check(L);
    neap_channel_check_value(L, 2);
    double priority = check_priority(L, priority_index, queue);
    struct neap_task *task = neap_await_begin(L);
    neap_encode_sent(L, 2, neap_remote_test(queue) != NULL, &task->link.message, "value");
    task->link.object = queue;
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
int neap_queue_push_priority(lua_State *L, struct neap_object *object, double priority) {
    lua_Integer whole;
    if (!neap_queue_is_ordered(object)) return 0;
    if (lua_numbertointeger(priority, &whole) && (double)whole == priority)
        lua_pushinteger(L, whole);
    else
        lua_pushnumber(L, priority);
    return 1;
}

static int finish_get(lua_State *L, struct neap_task *task, int code) {
    struct neap_object *queue = task->link.object;
    double priority = task->link.priority;
    bool got = code >= 0 && task->link.result == 0;
    int count = neap_finish_received(L, task, code);
    return got ? count + neap_queue_push_priority(L, queue, priority) : count;
}

static int queue_get(lua_State *L) { return neap_await_object(L, check(L), NEAP_QUEUE_GET, 2, finish_get); }

static int finish_get_nowait(lua_State *L, struct neap_task *task, int code) {
    return code == NEAP_TIMEOUT ? neap_push_code(L, NEAP_EMPTY) : finish_get(L, task, code);
}

static int queue_get_nowait(lua_State *L) {
    struct neap_object *queue = check(L);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = queue;
    task->link.op = NEAP_QUEUE_GET;
    return neap_await(L, &task->link, 1, 0, finish_get_nowait);
}

static int iterate(lua_State *L) {
    neap_iterator_begin(L);
    return queue_get(L);
}

static int queue_iter(lua_State *L) {
    check(L);
    return neap_iterator_push(L, iterate);
}

/* --- what is unfinished --- */

static int queue_task_done(lua_State *L) {
    struct neap_object *queue = check(L);
    struct neap_proxy *proxy = neap_remote_test(queue);
    struct neap_call call = neap_remote_begin(L);
    if (proxy != NULL)
        neap_remote_call(L, proxy, NEAP_QUEUE_TASK_DONE, &call);
    else
        call.result = neap_queue_task_done((struct neap_queue *)queue);
    if (call.result == 0) return 0;
    if (call.result != NEAP_RANGE) return neap_push_code(L, call.result);
    return luaL_error(L, "task_done was called more often than values were put");
}

static int queue_join(lua_State *L) { return neap_await_object(L, check(L), NEAP_QUEUE_JOIN, 2, neap_finish_true); }

/* --- the rest --- */

static int queue_close(lua_State *L) { return neap_channel_close_with(L, check(L)); }

static int queue_is_closed(lua_State *L) { return neap_channel_push_closed(L, check(L)); }

static int queue_qsize(lua_State *L) { return neap_channel_push_length(L, check(L)); }

/* Replaces the length on top of the stack by whether it is at least `length`; what is no length stays. */
static int compare_length(lua_State *L, int count, lua_Unsigned length) {
    if (count > 1) return count;
    lua_pushboolean(L, (lua_Unsigned)lua_tointeger(L, -1) >= length);
    return 1;
}

static int queue_empty(lua_State *L) {
    int count = compare_length(L, neap_channel_push_length(L, check(L)), 1);
    if (count > 1) return count;
    lua_pushboolean(L, !lua_toboolean(L, -1));
    return 1;
}

static size_t capacity_of(struct neap_object *object) {
    const struct neap_proxy *proxy = neap_remote_test(object);
    return proxy != NULL ? (size_t)proxy->constants.numbers[0] : ((struct neap_channel *)object)->capacity;
}

static int queue_full(lua_State *L) {
    return compare_length(L, neap_channel_push_length(L, check(L)), capacity_of(check(L)));
}

static void set_maxsize(lua_State *L, struct neap_object *object) {
    size_t capacity = capacity_of(object);
    neap_box_set_constant(L, NEAP_HANDLE_QUEUE, "maxsize", capacity == NEAP_UNBOUNDED ? 0 : (lua_Integer)capacity);
}

static void describe(struct neap_object *object, char *text, size_t size) {
    struct neap_channel *channel = (struct neap_channel *)object;
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
    .proxy = &neap_proxy_classes[NEAP_KIND_QUEUE],
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
    .arrived = set_maxsize,
};
