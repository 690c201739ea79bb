/* channel: how sends and receives end, for channels, queues and pipes. */
#ifndef NEAP_BINDINGS_SYNC_CHANNEL_H
#define NEAP_BINDINGS_SYNC_CHANNEL_H

#include <lua.h>

#include "bindings/task/task.h"
#include "core/wait.h"
#include "sync/channel.h"

/* Finishers of waits on the task's own link. SENT: true; RECEIVED: the value; both else nil, message, code, and the
 * reason that was given to close. */
int neap_finish_sent(lua_State *L, struct neap_task *task, int code);
int neap_finish_received(lua_State *L, struct neap_task *task, int code);

/* nil, message, code, and the reason where the channel was closed with one. `link` is the wait's that ended so. */
int neap_channel_push_code(lua_State *L, const struct neap_link *link, int code);

/* Pushes the priority of what was received, where `object` is a queue that has priorities: 1; else 0. */
int neap_queue_push_priority(lua_State *L, struct neap_object *object, double priority);
/* Does the queue `object` have them? */
bool neap_queue_is_ordered(struct neap_object *object);

/* Raises unless the value at `index` can be sent at all: it is not nil. */
void neap_channel_check_value(lua_State *L, int index);

/* close([reason]) of a channel or queue: whether it was open. */
int neap_channel_close_with(lua_State *L, struct neap_object *object);

/* Pushes how many values are in a channel or queue; whether it is closed. */
int neap_channel_push_length(lua_State *L, struct neap_object *object);
int neap_channel_push_closed(lua_State *L, struct neap_object *object);

#endif
