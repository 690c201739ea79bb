#include "bindings/handle/classes.h"

#include "bindings/codec/class.h"
#include "bindings/codec/function.h"
#include "bindings/handle/handle.h"
#include "io/listener.h"
#include "sync/array.h"
#include "sync/bytes.h"

const struct neap_binding *const neap_bindings[NEAP_HANDLE_COUNT] = {
    [NEAP_HANDLE_CHANNEL] = &neap_channel_binding,
    [NEAP_HANDLE_QUEUE] = &neap_queue_binding,
    [NEAP_HANDLE_PIPE] = &neap_pipe_binding,
    [NEAP_HANDLE_LOCK] = &neap_lock_binding,
    [NEAP_HANDLE_RLOCK] = &neap_rlock_binding,
    [NEAP_HANDLE_RWLOCK] = &neap_rwlock_binding,
    [NEAP_HANDLE_CONDITION] = &neap_condition_binding,
    [NEAP_HANDLE_SEMAPHORE] = &neap_semaphore_binding,
    [NEAP_HANDLE_BOUNDED_SEMAPHORE] = &neap_bounded_semaphore_binding,
    [NEAP_HANDLE_EVENT] = &neap_event_binding,
    [NEAP_HANDLE_BARRIER] = &neap_barrier_binding,
    [NEAP_HANDLE_SIGNAL] = &neap_signal_binding,
    [NEAP_HANDLE_TASK] = &neap_task_binding,
    [NEAP_HANDLE_TASK_JOB] = &neap_task_job_binding,
    [NEAP_HANDLE_THREAD] = &neap_thread_binding,
    [NEAP_HANDLE_PROCESS] = &neap_process_binding,
    [NEAP_HANDLE_VALUE] = &neap_value_binding,
    [NEAP_HANDLE_ARRAY] = &neap_array_binding,
    [NEAP_HANDLE_BUFFER] = &neap_buffer_binding,
    [NEAP_HANDLE_DICT] = &neap_dict_binding,
    [NEAP_HANDLE_LIST] = &neap_list_binding,
    [NEAP_HANDLE_STREAM] = &neap_stream_binding,
    [NEAP_HANDLE_LISTENER] = &neap_listener_binding,
    [NEAP_HANDLE_DATAGRAM] = &neap_datagram_binding,
    [NEAP_HANDLE_PROGRAM] = &neap_program_binding,
    [NEAP_HANDLE_FILE] = &neap_file_binding,
    [NEAP_HANDLE_FILE_WATCH] = &neap_file_watch_binding,
    [NEAP_HANDLE_POLL] = &neap_poll_binding,
    [NEAP_HANDLE_OFFLOAD] = &neap_offload_binding,
    [NEAP_HANDLE_TLS] = &neap_tls_binding,
    [NEAP_HANDLE_AGENT] = &neap_agent_binding,
    [NEAP_HANDLE_TRANSFER] = &neap_transfer_binding,
    [NEAP_HANDLE_POOL] = &neap_pool_binding,
    [NEAP_HANDLE_FUTURE] = &neap_future_binding,
};

const struct neap_class *const neap_packed_classes[] = {&neap_code_class,
                                                        &neap_blueprint_class,
                                                        &neap_value_class,
                                                        &neap_array_class,
                                                        &neap_bytes_class,
                                                        &neap_listener_class,
                                                        NULL};
