/* describe: tasks, and what they wait for, in words, for reports.
 *
 * The tasks of another state may be described too while its thread is parked and cannot wake up: only what lies still
 * is read, no guard of an object that may be local to another thread is taken, and nothing is raised. */
#ifndef NEAP_BINDINGS_HANDLE_DESCRIBE_H
#define NEAP_BINDINGS_HANDLE_DESCRIBE_H

#include <stdbool.h>
#include <stddef.h>

#include "bindings/task/task.h"

enum { NEAP_TEXT_MAX = 1023 };

/* A line that is being written; what does not fit is cut. */
struct neap_text {
    size_t used;
    char bytes[NEAP_TEXT_MAX + 1]; /* terminated */
};

static inline void neap_text_clear(struct neap_text *text) {
    text->used = 0;
    text->bytes[0] = '\0';
}
void neap_text_add(struct neap_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "task a (thread main)", "thread w1", or "the main chunk" for code outside tasks. */
void neap_describe_task(struct neap_text *text, struct neap_task *task);
/* "recv of channel: 0x5581", "sleep"; of what the task waits for. */
void neap_describe_wait(struct neap_text *text, const struct neap_task *task);
/* " at script.lua:12": the innermost line of Lua of a suspended task; nothing when it has none. */
void neap_describe_place(struct neap_text *text, const struct neap_task *task);

/* The same of one coroutine, which may be running; false when it has no line of Lua. */
bool neap_describe_line(struct neap_text *text, lua_State *coroutine);

/* A coroutine of a suspended task: `depth` 0 is its own, 1 the generator that it waits in, and so on inwards;
 * NULL when there is none so deep. */
lua_State *neap_describe_coroutine(const struct neap_task *task, int depth);

#endif
