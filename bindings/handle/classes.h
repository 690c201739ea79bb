/* classes: the kinds of handles, and the functions of the module that make them. Each is in the file of its class. */
#ifndef NEAP_BINDINGS_HANDLE_CLASSES_H
#define NEAP_BINDINGS_HANDLE_CLASSES_H

#include <lua.h>

#include "bindings/handle/box.h"

extern const struct neap_binding neap_agent_binding;
extern const struct neap_binding neap_array_binding;
extern const struct neap_binding neap_barrier_binding;
extern const struct neap_binding neap_bounded_semaphore_binding;
extern const struct neap_binding neap_buffer_binding;
extern const struct neap_binding neap_channel_binding;
extern const struct neap_binding neap_condition_binding;
extern const struct neap_binding neap_datagram_binding;
extern const struct neap_binding neap_dict_binding;
extern const struct neap_binding neap_event_binding;
extern const struct neap_binding neap_file_binding;
extern const struct neap_binding neap_file_watch_binding;
extern const struct neap_binding neap_future_binding;
extern const struct neap_binding neap_list_binding;
extern const struct neap_binding neap_listener_binding;
extern const struct neap_binding neap_lock_binding;
extern const struct neap_binding neap_offload_binding;
extern const struct neap_binding neap_pipe_binding;
extern const struct neap_binding neap_poll_binding;
extern const struct neap_binding neap_pool_binding;
extern const struct neap_binding neap_process_binding;
extern const struct neap_binding neap_program_binding;
extern const struct neap_binding neap_queue_binding;
extern const struct neap_binding neap_rlock_binding;
extern const struct neap_binding neap_rwlock_binding;
extern const struct neap_binding neap_semaphore_binding;
extern const struct neap_binding neap_signal_binding;
extern const struct neap_binding neap_stream_binding;
extern const struct neap_binding neap_tls_binding;
extern const struct neap_binding neap_transfer_binding;
extern const struct neap_binding neap_value_binding;

/* What can be made anew in another process, for engine->classes. */
extern const struct neap_class *const neap_packed_classes[];

/* Functions of the module: (arguments as in the reference) -> handle. */
int neap_array_open(lua_State *L);
int neap_barrier_open(lua_State *L);
int neap_bounded_semaphore_open(lua_State *L);
int neap_buffer_open(lua_State *L);
int neap_channel_open(lua_State *L);
int neap_condition_open(lua_State *L);
int neap_dict_open(lua_State *L);
int neap_event_open(lua_State *L);
int neap_lifo_queue_open(lua_State *L);
int neap_list_open(lua_State *L);
int neap_lock_open(lua_State *L);
int neap_pipe_open(lua_State *L);
int neap_priority_queue_open(lua_State *L);
int neap_queue_open(lua_State *L);
int neap_rlock_open(lua_State *L);
int neap_rwlock_open(lua_State *L);
int neap_semaphore_open(lua_State *L);
int neap_signal_open_handle(lua_State *L);
int neap_value_open(lua_State *L);

/* Those that work on several handles: neap.select. */
int neap_select(lua_State *L);

#endif
