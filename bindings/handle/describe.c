#include "bindings/handle/describe.h"
#include "bindings/task/task_job.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>

#include "host/engine.h"
#include "io/listener.h"

enum { CASES_MAX = 3, NESTING_MAX = 200 };

void neap_text_add(struct neap_text *text, const char *format, ...) {
    size_t room = sizeof text->bytes - text->used;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text->bytes + text->used, room, format, arguments);
    va_end(arguments);
    if (length > 0) text->used += (size_t)length < room ? (size_t)length : room - 1;
}

/* --- names --- */

/* Protected: (task, name). */
static int get_name(lua_State *L) {
    struct neap_task *task = lua_touserdata(L, 1);
    neap_task_push(L, task);
    neap_task_get_name(L, 3, lua_touserdata(L, 2));
    return 0;
}

void neap_describe_task(struct neap_text *text, struct neap_task *task) {
    const struct neap_vm *vm = neap_task_vm(task);
    lua_State *L = vm->main;
    char name[NEAP_JOB_NAME_MAX + 1] = "?", thread[NEAP_JOB_NAME_MAX + 1] = "main";
    if (task == vm->root) {
        neap_text_add(text, "the main chunk");
        return;
    }
    if (lua_checkstack(L, 4)) {
        lua_pushcfunction(L, get_name);
        lua_pushlightuserdata(L, task);
        lua_pushlightuserdata(L, name);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
    }
    if (vm->job != NULL) neap_job_get_name(vm->job, thread);
    if (vm->job != NULL && task->flags & NEAP_TASK_MAIN)
        neap_text_add(text, "thread %s", thread);
    else
        neap_text_add(text, "task %s (thread %s)", name, thread);
}

/* --- what is waited for --- */

static void describe_link(struct neap_text *text, const struct neap_link *link) {
    const struct neap_object *object = link->object;
    neap_text_add(text, "%s of ", object->class->verbs[link->op]);
    if (object->class == &neap_task_class) { /* its record lies in the same state */
        neap_describe_task(text, NEAP_CONTAINER_OF(object, struct neap_task, future));
    } else if (object->class == &neap_task_job_class || object->class == &neap_thread_job_class) {
        char name[NEAP_JOB_NAME_MAX + 1];
        neap_job_get_name((struct neap_job *)(void *)link->object, name);
        neap_text_add(text, "%s %s", object->class->name, name);
    } else {
        neap_text_add(text, "%s: %p", object->class->name, (const void *)object);
    }
}

void neap_describe_wait(struct neap_text *text, const struct neap_task *task) {
    uint32_t count = task->wait.link_count;
    if (count == 0) {
        neap_text_add(text, "sleep");
        return;
    }
    if (task->wait.links[0].object->class == &neap_listener_class)
        count = 1; /* no select: the other one is of its poll */
    if (count > 1) neap_text_add(text, "select of %u: ", count);
    for (uint32_t i = 0; i < count && i < CASES_MAX; i++) {
        if (i > 0) neap_text_add(text, ", ");
        describe_link(text, &task->wait.links[i]);
    }
    if (count > CASES_MAX) neap_text_add(text, " and %u more", count - CASES_MAX);
}

/* --- where --- */

/* The generator that a suspended coroutine waits in: it stands in a C function, coroutine.resume or wrap,
 * whose first value the generator is. */
static lua_State *find_inner(lua_State *coroutine) {
    lua_Debug frame;
    lua_State *inner = NULL;
    if (!lua_getstack(coroutine, 0, &frame) || !lua_checkstack(coroutine, 1)) return NULL;
    if (lua_getinfo(coroutine, "S", &frame) == 0 || frame.what[0] != 'C') return NULL;
    if (lua_getlocal(coroutine, &frame, 1) == NULL) return NULL;
    inner = lua_tothread(coroutine, -1);
    lua_pop(coroutine, 1);
    return inner != NULL && lua_status(inner) == LUA_YIELD ? inner : NULL;
}

lua_State *neap_describe_coroutine(const struct neap_task *task, int depth) {
    lua_State *coroutine = task == neap_task_vm(task)->root ? neap_task_vm(task)->main : task->coroutine;
    for (int i = 0; i < depth && coroutine != NULL; i++)
        coroutine = task == neap_task_vm(task)->root || i >= NESTING_MAX ? NULL : find_inner(coroutine);
    return coroutine;
}

bool neap_describe_line(struct neap_text *text, lua_State *coroutine) {
    lua_Debug frame;
    for (int level = 0; lua_getstack(coroutine, level, &frame); level++) {
        lua_getinfo(coroutine, "Sl", &frame);
        if (frame.currentline <= 0) continue;
        neap_text_add(text, " at %s:%d", frame.short_src, frame.currentline);
        return true;
    }
    return false;
}

void neap_describe_place(struct neap_text *text, const struct neap_task *task) {
    int depth = 0;
    while (neap_describe_coroutine(task, depth) != NULL) depth++;
    while (depth-- > 0)
        if (neap_describe_line(text, neap_describe_coroutine(task, depth))) return;
}
