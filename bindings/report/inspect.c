/* inspect: tasks as tables.
 *
 * WHO LOOKS   A state is looked at by its own thread, between two tasks: other threads are sent a runnable. Its answer
 *             is built in that state, encoded, and put into a queue of the one who asks.
 * LYING STILL Building an answer allocates, and finalisers could then change the lists that are walked: so
 *             the collector rests meanwhile.
 * LATE        A state that is ending answers nothing; its runnable may come when the Lua state is closed already, and
 *             then only says that there is no answer. */
#include "bindings/report/inspect.h"

#include <lauxlib.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/describe.h"
#include "bindings/task/task.h"
#include "bindings/task/task_job.h"
#include "core/clock.h"
#include "core/memory.h"
#include "host/engine.h"
#include "sync/queue.h"

enum question { TASKS, STACK, CANCEL };

enum { TASKS_MAX = 10000, HOLDS_MAX = 20 };

static struct neap_task *task_at(struct neap_list *node) { return NEAP_CONTAINER_OF(node, struct neap_task, node); }

static bool is_parked(const struct neap_task *task) {
    return atomic_load_explicit(&task->wait.state, memory_order_relaxed) == NEAP_WAIT_OPEN;
}

/* --- tables --- */

static void set_text(lua_State *L, const char *key, const char *text) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

static const char *status_of(const struct neap_task *task) {
    if (is_parked(task)) return "waiting";
    return neap_task_has_begun(task) ? "running" : "new";
}

static void set_wait(lua_State *L, const struct neap_task *task) {
    struct neap_text text;
    if (!is_parked(task)) return;
    neap_text_clear(&text);
    neap_describe_wait(&text, task);
    set_text(L, "waits_for", text.bytes);
    lua_pushnumber(L, (double)neap_wait_age(&task->wait, neap_clock_now()) / (double)NEAP_SECOND);
    lua_setfield(L, -2, "since");
    neap_text_clear(&text);
    if (neap_task_has_begun(task)) neap_describe_place(&text, task);
    if (strncmp(text.bytes, " at ", 4) == 0) set_text(L, "at", text.bytes + 4);
}

static void set_holds(lua_State *L, const struct neap_task *task) {
    lua_Integer count = 0;
    lua_newtable(L);
    for (const struct neap_hold *hold = task->wait.own.held; hold != NULL && count < HOLDS_MAX; hold = hold->next) {
        lua_pushfstring(L, "%s: %p", hold->object->class->name, (const void *)hold->object);
        lua_rawseti(L, -2, ++count);
    }
    lua_setfield(L, -2, "holds");
}

static void push_task(lua_State *L, struct neap_task *task) {
    char name[NEAP_JOB_NAME_MAX + 1];
    luaL_checkstack(L, 8, "inspect");
    lua_createtable(L, 0, 8);
    neap_task_push(L, task);
    neap_task_get_name(L, lua_gettop(L), name);
    lua_pop(L, 1);
    set_text(L, "name", name);
    lua_pushinteger(L, task->id);
    lua_setfield(L, -2, "id");
    set_text(L, "status", status_of(task));
    lua_pushboolean(L, (task->flags & NEAP_TASK_DAEMON) != 0);
    lua_setfield(L, -2, "daemon");
    set_wait(L, task);
    set_holds(L, task);
}

static void push_tasks(lua_State *L, struct neap_vm *vm) {
    char name[NEAP_JOB_NAME_MAX + 1] = "main";
    lua_Integer count = 0, more = 0;
    lua_createtable(L, 0, 4);
    if (vm->job != NULL) {
        neap_job_get_name(vm->job, name);
        lua_pushinteger(L, (lua_Integer)vm->job->id);
        lua_setfield(L, -2, "id");
    }
    set_text(L, "thread", name);
    lua_newtable(L);
    for (struct neap_list *node = vm->tasks.next; node != &vm->tasks; node = node->next) {
        if (count == TASKS_MAX) {
            more++;
            continue;
        }
        push_task(L, task_at(node));
        lua_rawseti(L, -2, ++count);
    }
    lua_setfield(L, -2, "tasks");
    lua_pushinteger(L, more);
    lua_setfield(L, -2, "more");
}

/* --- one task --- */

/* From the generator that runs innermost outwards. */
static void push_stack(lua_State *L, struct neap_task *task) {
    int depth = 0, pieces = 0;
    luaL_checkstack(L, 8, "stack");
    if (!neap_task_has_begun(task)) {
        lua_pushliteral(L, "it has not begun");
        return;
    }
    while (neap_describe_coroutine(task, depth) != NULL) depth++;
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    while (depth-- > 0) {
        if (pieces++ > 0) luaL_addstring(&text, "\nin the coroutine of:\n");
        luaL_traceback(L, neap_describe_coroutine(task, depth), NULL, 0);
        luaL_addvalue(&text);
    }
    luaL_pushresult(&text);
}

/* Pushes its box, and returns it; NULL when the state has none of this id. */
static struct neap_task *find_task(lua_State *L, struct neap_vm *vm, lua_Integer id) {
    for (struct neap_list *node = vm->tasks.next; node != &vm->tasks; node = node->next) {
        struct neap_task *task = task_at(node);
        if (task->id != id) continue;
        neap_task_push(L, task);
        return task;
    }
    return NULL;
}

static void answer_about(lua_State *L, struct neap_vm *vm, enum question question, lua_Integer id) {
    struct neap_task *task = find_task(L, vm, id);
    if (task == NULL) {
        lua_pushnil(L);
    } else if (question == STACK) {
        push_stack(L, task);
    } else {
        int box = lua_gettop(L);
        lua_pushnil(L);
        lua_pushboolean(L, neap_task_cancel(L, box));
    }
}

/* Protected, with the collector at rest: (question, id) -> the answer. */
static int build(lua_State *L) {
    enum question question = (enum question)lua_tointeger(L, 1);
    struct neap_vm *vm = neap_vm_of(L);
    if (question == TASKS)
        push_tasks(L, vm);
    else
        answer_about(L, vm, question, lua_tointeger(L, 2));
    return 1;
}

/* Pushes the answer, or an error: what lua_pcall says. */
static int answer(lua_State *L, enum question question, lua_Integer id) {
    bool collects = lua_gc(L, LUA_GCISRUNNING, 0) != 0;
    lua_gc(L, LUA_GCSTOP, 0);
    lua_pushcfunction(L, build);
    lua_pushinteger(L, question);
    lua_pushinteger(L, id);
    int status = lua_pcall(L, 2, 1, 0);
    if (collects) lua_gc(L, LUA_GCRESTART, 0);
    return status;
}

/* --- other states --- */

struct request {
    struct neap_runnable runnable; /* posted to the loop of vm */
    struct neap_vm *vm;            /* that is asked; its loop runs the runnable, so it is there */
    struct neap_object *queue;     /* for the answer; a reference */
    enum question question;
    lua_Integer id; /* of the task that is meant */
};

/* Protected: (message, value). */
static int encode_answer(lua_State *L) {
    neap_encode(L, 2, lua_touserdata(L, 1), "answer");
    return 0;
}

/* Leaves `message` as it is when there is no answer. */
static void find_answer(const struct request *request, struct neap_message *message) {
    lua_State *L = request->vm->main;
    int top = lua_gettop(L);
    if (!lua_checkstack(L, 6)) return;
    lua_pushcfunction(L, encode_answer);
    lua_pushlightuserdata(L, message);
    if (answer(L, request->question, request->id) == LUA_OK && !lua_isnil(L, -1)) {
        int status = lua_pcall(L, 2, 0, 0);
        (void)status; /* out of memory: the message is still what it was */
    }
    lua_settop(L, top);
}

/* Any thread, without waiting: the queue has no limit. A closed one takes nothing. */
static void put(struct neap_loop *loop, struct neap_object *queue, struct neap_message *message) {
    struct neap_wait wait;
    struct neap_link link = {.object = queue, .op = NEAP_QUEUE_PUT, .priority = 0};
    neap_wait_init(&wait, loop, NULL, NULL);
    neap_message_move(&link.message, message);
    if (!neap_wait_attempt(&wait, &link) || link.result != 0) neap_message_fini(&link.message);
}

/* On the thread of the state. */
static void answer_request(struct neap_runnable *runnable) {
    struct request *request = NEAP_CONTAINER_OF(runnable, struct request, runnable);
    struct neap_message message = {.kind = NEAP_MESSAGE_EMPTY};
    if (request->vm->open) find_answer(request, &message);
    if (message.kind == NEAP_MESSAGE_EMPTY) message.kind = NEAP_MESSAGE_NULL;
    put(&request->vm->loop, request->queue, &message);
    neap_object_unref(request->queue);
    neap_free(request);
}

/* The engine's guard is held: the state is not closed meanwhile. */
static bool ask(struct neap_vm *vm, struct neap_object *queue, enum question question, lua_Integer id) {
    struct request *request = neap_alloc(sizeof *request);
    if (request == NULL) return false;
    *request = (struct request){
        .runnable = {.run = answer_request}, .vm = vm, .queue = neap_object_ref(queue), .question = question, .id = id};
    neap_pulse_start(&vm->loop.mailbox->pulse); /* it may be computing */
    if (neap_mailbox_post(vm->loop.mailbox, &request->runnable) == 0) return true;
    neap_object_unref(queue);
    neap_free(request);
    return false;
}

/* --- for the Lua half --- */

static enum question check_question(lua_State *L, int index) {
    static const char *const names[] = {"tasks", "stack", "cancel", NULL};
    return (enum question)neap_argument_option(L, index, NULL, names);
}

int neap_inspect_here(lua_State *L) {
    enum question question = check_question(L, 1);
    if (answer(L, question, neap_argument_integer_or(L, 2, 0)) != LUA_OK) lua_error(L);
    return 1;
}

int neap_inspect_others(lua_State *L) {
    struct neap_object *queue = neap_box_check(L, 1, NEAP_HANDLE_QUEUE);
    enum question question = check_question(L, 2);
    lua_Integer id = neap_argument_integer_or(L, 3, 0), count = 0;
    struct neap_vm *own = neap_vm_of(L);
    struct neap_engine *engine = own->engine;
    neap_object_share(queue);
    neap_guard_lock(&engine->guard);
    for (struct neap_list *node = engine->states.next; node != &engine->states; node = node->next) {
        struct neap_vm *vm = NEAP_CONTAINER_OF(node, struct neap_vm, node);
        if (vm != own && ask(vm, queue, question, id)) count++;
    }
    neap_guard_unlock(&engine->guard);
    lua_pushinteger(L, count);
    return 1;
}
