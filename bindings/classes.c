#include "bindings/classes.h"

#include "bindings/handle.h"

const struct neap_binding *const neap_bindings[NEAP_HANDLE_COUNT] = {
    [NEAP_HANDLE_CHANNEL] = &neap_channel_binding,
    [NEAP_HANDLE_TASK] = &neap_task_binding,
    [NEAP_HANDLE_TASK_JOB] = &neap_task_job_binding,
    [NEAP_HANDLE_THREAD] = &neap_thread_binding,
};
