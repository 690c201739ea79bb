/* host_wait: what threads of the host wait for: channels, queues, locks and the rest.
 *
 * WAITING HERE   A blocking call is a wait without a loop (core/wait.h): whoever serves it calls its run() at
 *                once, which wakes the thread. It looks for a while before it sleeps, for longer than a
 *                wake-up costs, as a loop does.
 * WAITING THERE  With a function to be called later the wait belongs to the loop of an engine: a record
 *                goes there, begins the wait, and tells of its end there. So deadlines and the end of the
 *                engine need nothing of their own.
 * OPERATIONS     What may be done with which class of object is a table: `verbs`. */
#include <pthread.h>
#include <string.h>

#include "bindings/host/host.h"
#include "bindings/host/host_value.h"
#include "core/clock.h"
#include "core/futex.h"
#include "core/guard.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/wait.h"
#include "host/process.h"
#include "host/signal.h"
#include "host/work.h"
#include "sync/barrier.h"
#include "sync/channel.h"
#include "sync/condition.h"
#include "sync/event.h"
#include "sync/lock.h"
#include "sync/pipe.h"
#include "sync/queue.h"
#include "sync/rwlock.h"
#include "sync/semaphore.h"

enum { SPIN_NS = 60000, LOOKS_PER_CLOCK = 64, FEW_LINKS = 8, OPERATIONS_MAX = 1000 };

static const struct {
    const struct neap_class *class;
    uint8_t verb; /* enum neap_verb */
    uint8_t op;   /* of the class */
} verbs[] = {
    {&neap_channel_class, NEAP_SEND, NEAP_CHANNEL_SEND},
    {&neap_channel_class, NEAP_RECV, NEAP_CHANNEL_RECV},
    {&neap_queue_class, NEAP_SEND, NEAP_QUEUE_PUT},
    {&neap_queue_class, NEAP_RECV, NEAP_QUEUE_GET},
    {&neap_queue_class, NEAP_WAIT, NEAP_QUEUE_JOIN},
    {&neap_stream_class, NEAP_SEND, NEAP_STREAM_SEND},
    {&neap_stream_class, NEAP_RECV, NEAP_STREAM_RECV},
    {&neap_event_class, NEAP_WAIT, NEAP_EVENT_WAIT},
    {&neap_signal_class, NEAP_WAIT, NEAP_SIGNAL_WAIT},
    {&neap_task_job_class, NEAP_WAIT, NEAP_FUTURE_END},
    {&neap_thread_job_class, NEAP_WAIT, NEAP_FUTURE_END},
    {&neap_process_job_class, NEAP_WAIT, NEAP_FUTURE_END},
    {&neap_work_class, NEAP_WAIT, NEAP_FUTURE_END},
    {&neap_barrier_class, NEAP_WAIT, NEAP_BARRIER_WAIT},
    {&neap_semaphore_class, NEAP_ACQUIRE, NEAP_SEMAPHORE_ACQUIRE},
    {&neap_bounded_semaphore_class, NEAP_ACQUIRE, NEAP_SEMAPHORE_ACQUIRE},
    {&neap_lock_class, NEAP_ACQUIRE, NEAP_LOCK_ACQUIRE},
    {&neap_rlock_class, NEAP_ACQUIRE, NEAP_LOCK_ACQUIRE},
    {&neap_rwlock_class, NEAP_ACQUIRE, NEAP_RWLOCK_WRITE},
    {&neap_rwlock_class, NEAP_ACQUIRE_READ, NEAP_RWLOCK_READ},
};
/* --- operations as links --- */

/* The object that the operation waits on: of a pipe, its stream. NULL: it has none. */
static struct neap_object *target_of(struct neap_object *object, enum neap_verb verb) {
    if (object->class != &neap_pipe_class) return object;
    const struct neap_pipe *pipe = (struct neap_pipe *)object;
    struct neap_stream *stream = verb == NEAP_SEND ? pipe->out : pipe->in;
    return stream == NULL ? NULL : &stream->channel.object;
}

static bool can_act(const struct neap_object *object) {
    return object->class == &neap_barrier_class && ((const struct neap_barrier *)object)->acts;
}

static int fill_link(struct neap_link *link, const struct neap_operation *operation, bool has_holder) {
    NEAP_CONTRACT_POINTER(operation->object);
    link->object = target_of(operation->object, operation->verb);
    neap_message_clear(&link->message);
    size_t i = 0, count = link->object == NULL ? 0 : sizeof verbs / sizeof verbs[0];
    while (i < count && (verbs[i].class != link->object->class || verbs[i].verb != operation->verb)) i++;
    NEAP_CONTRACT(i < count, NEAP_INVALID, "neap.h: a verb is one that the object has");
    NEAP_CONTRACT(has_holder || !neap_host_needs_owner(link->object), NEAP_INVALID,
                  "neap.h: a lock is acquired in the name of an owner");
    NEAP_CONTRACT(!can_act(link->object), NEAP_INVALID, "neap.h: a barrier with an action is for Lua");
    link->op = verbs[i].op;
    if (operation->verb != NEAP_SEND) return 0;
    link->priority = operation->priority;
    NEAP_CONTRACT(operation->value.kind != NEAP_NIL, NEAP_INVALID, "neap.h: nil cannot be sent");
    NEAP_CONTRACT_VALUES(&operation->value, 1);
    return neap_value_pack(&operation->value, &link->message);
}

static void drop_links(struct neap_link *links, size_t count) {
    for (size_t i = 0; i < count; i++) neap_message_fini(&links[i].message);
}

static int fill_links(struct neap_link *links, const struct neap_operation *operations, size_t count, bool has_holder) {
    for (size_t i = 0; i < count; i++) {
        int code = fill_link(&links[i], &operations[i], has_holder);
        if (code == 0) continue;
        drop_links(links, i);
        return code;
    }
    return 0;
}

/* The operation was served: takes its results from the link. */
static void harvest(struct neap_operation *operation, struct neap_link *link) {
    operation->result = link->result;
    if (link->result != 0 && link->result != NEAP_ABANDONED) return;
    if (operation->verb == NEAP_RECV) {
        operation->priority = link->object->class == &neap_queue_class ? link->priority : 0;
        int code = neap_value_unpack(&link->message, &operation->value);
        if (code != 0) operation->result = code;
    } else if (link->object->class == &neap_barrier_class) {
        operation->number = link->number;
    }
}

static bool is_timeout(double timeout) { return timeout >= 0; /* NaN is not */ }

static int64_t deadline_of(double timeout) { return timeout > 0 ? neap_clock_after(timeout) : 0; }

/* --- waiting here --- */

struct sleeper {
    struct neap_wait wait;    /* without a loop */
    _Atomic uint32_t claimed; /* enum claimed, a futex. Release, acquire */
};

enum claimed { LOOKING, ASLEEP, CLAIMED };

/* Who sleeps is woken by a system call, who is still looking sees. */
static void rouse(struct neap_runnable *runnable) {
    struct neap_wait *wait = NEAP_CONTAINER_OF(runnable, struct neap_wait, runnable);
    struct sleeper *sleeper = NEAP_CONTAINER_OF(wait, struct sleeper, wait);
    uint32_t before = atomic_exchange_explicit(&sleeper->claimed, CLAIMED, memory_order_acq_rel);
    if (before == ASLEEP) neap_futex_wake(&sleeper->claimed); /* harmless if it is gone by now: nothing is read */
}

static void init_sleeper(struct sleeper *sleeper, struct neap_owner *owner) {
    neap_wait_init(&sleeper->wait, NULL, owner, rouse);
    atomic_init(&sleeper->claimed, LOOKING);
}

static bool is_claimed(const struct sleeper *sleeper) {
    return atomic_load_explicit(&sleeper->claimed, memory_order_acquire) == CLAIMED;
}

/* True when it was claimed meanwhile. */
static bool spin(const struct sleeper *sleeper, int64_t deadline) {
    int64_t until = neap_clock_now() + SPIN_NS;
    if (deadline < until) until = deadline;
    do {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (is_claimed(sleeper)) return true;
            neap_relax();
        }
    } while (neap_clock_now() < until);
    return false;
}

/* The wait has parked, until `deadline` at the latest: its end, as neap_wait_end tells it. */
static int sleep_until_claimed(struct sleeper *sleeper, int64_t deadline) {
    uint32_t looking = LOOKING;
    bool sleeps =
        !spin(sleeper, deadline) && atomic_compare_exchange_strong_explicit(&sleeper->claimed, &looking, ASLEEP,
                                                                            memory_order_acq_rel, memory_order_acquire);
    while (sleeps && !is_claimed(sleeper)) {
        if (deadline != NEAP_FOREVER && neap_clock_now() >= deadline) {
            neap_wait_interrupt(&sleeper->wait, NEAP_WAIT_TIMEDOUT);
            deadline = NEAP_FOREVER;
        }
        neap_futex_wait(&sleeper->claimed, ASLEEP, deadline);
    }
    return neap_wait_end(&sleeper->wait);
}

static int wait_here(struct neap_owner *owner, struct neap_link *links, size_t count, double timeout) {
    struct sleeper sleeper;
    int64_t deadline = deadline_of(timeout);
    init_sleeper(&sleeper, owner);
    int served = neap_wait_begin(&sleeper.wait, links, (uint32_t)count, deadline);
    return served == NEAP_PARKED ? sleep_until_claimed(&sleeper, deadline) : served;
}

int neap_perform(struct neap_owner *owner, struct neap_operation *operations, size_t count, double timeout) {
    struct neap_link few[FEW_LINKS];
    NEAP_CONTRACT_POINTER(operations);
    NEAP_CONTRACT(count >= 1 && count <= OPERATIONS_MAX, NEAP_INVALID, "neap.h: from 1 to 1000 operations");
    NEAP_CONTRACT(is_timeout(timeout), NEAP_INVALID, "neap.h, TIME: a timeout is not negative, nor NaN");
    NEAP_CONTRACT(timeout == 0 || neap_loop_here == NULL, NEAP_FOREIGN,
                  "neap.h: a thread that is inside an engine does not block");
    struct neap_link *links = count <= FEW_LINKS ? few : neap_alloc(count * sizeof *links);
    if (links == NULL) return NEAP_NOMEM;
    int code = fill_links(links, operations, count, owner != NULL);
    if (code == 0) {
        code = wait_here(owner, links, count, timeout);
        if (code >= 0) harvest(&operations[code], &links[code]);
        drop_links(links, count);
    }
    if (links != few) neap_free(links);
    return code;
}

/* One operation: the result is its own. */
static int perform_one(struct neap_owner *owner, struct neap_operation *operation, double timeout) {
    int code = neap_perform(owner, operation, 1, timeout);
    return code < 0 ? code : operation->result;
}

int neap_channel_send(struct neap_object *channel, const struct neap_value *value, double timeout) {
    struct neap_operation operation = {.object = channel, .verb = NEAP_SEND};
    NEAP_CONTRACT_POINTER(value);
    operation.value = *value;
    return perform_one(NULL, &operation, timeout);
}

int neap_channel_recv(struct neap_object *channel, struct neap_value *value, double timeout) {
    struct neap_operation operation = {.object = channel, .verb = NEAP_RECV};
    NEAP_CONTRACT_POINTER(value);
    int code = perform_one(NULL, &operation, timeout);
    if (code == 0) *value = operation.value;
    return code;
}

int neap_queue_put(struct neap_object *queue, const struct neap_value *value, double priority, double timeout) {
    struct neap_operation operation = {.object = queue, .verb = NEAP_SEND, .priority = priority};
    NEAP_CONTRACT_POINTER(value);
    NEAP_CONTRACT(priority == priority, NEAP_INVALID, "neap.h: a priority is not NaN");
    operation.value = *value;
    return perform_one(NULL, &operation, timeout);
}

int neap_queue_get(struct neap_object *queue, struct neap_value *value, double *priority, double timeout) {
    struct neap_operation operation = {.object = queue, .verb = NEAP_RECV};
    NEAP_CONTRACT_POINTER(value);
    int code = perform_one(NULL, &operation, timeout);
    if (code != 0) return code;
    *value = operation.value;
    if (priority != NULL) *priority = operation.priority;
    return 0;
}

int neap_object_wait(struct neap_object *object, double timeout) {
    struct neap_operation operation = {.object = object, .verb = NEAP_WAIT};
    return perform_one(NULL, &operation, timeout);
}

int neap_object_acquire(struct neap_object *object, struct neap_owner *owner, double timeout) {
    struct neap_operation operation = {.object = object, .verb = NEAP_ACQUIRE};
    return perform_one(owner, &operation, timeout);
}

int neap_object_acquire_read(struct neap_object *object, struct neap_owner *owner, double timeout) {
    struct neap_operation operation = {.object = object, .verb = NEAP_ACQUIRE_READ};
    return perform_one(owner, &operation, timeout);
}

/* Acquires the condition's lock again, as deep as it was. */
static int reacquire(struct neap_lock *lock, struct neap_owner *owner, uint32_t depth) {
    struct neap_link link = {.object = &lock->object, .op = NEAP_LOCK_ACQUIRE};
    neap_message_clear(&link.message);
    int code = wait_here(owner, &link, 1, NEAP_NO_TIMEOUT);
    if (code < 0) return code;
    if (depth > 1) neap_lock_restore(lock, depth);
    return link.result;
}

int neap_condition_wait(struct neap_object *object, struct neap_owner *owner, double timeout) {
    NEAP_CONTRACT_POINTER(object);
    NEAP_CONTRACT_POINTER(owner);
    NEAP_CONTRACT(object->class == &neap_condition_class, NEAP_INVALID, "neap.h: a verb is one that the object has");
    NEAP_CONTRACT(is_timeout(timeout), NEAP_INVALID, "neap.h, TIME: a timeout is not negative, nor NaN");
    NEAP_CONTRACT(neap_loop_here == NULL, NEAP_FOREIGN, "neap.h: a thread that is inside an engine does not block");
    struct neap_condition *condition = (struct neap_condition *)object;
    struct neap_link link = {.object = object, .op = NEAP_CONDITION_WAIT};
    struct sleeper sleeper;
    uint32_t depth = 0;
    init_sleeper(&sleeper, owner);
    neap_message_clear(&link.message);
    int64_t deadline = deadline_of(timeout);
    int code = neap_condition_begin(condition, &sleeper.wait, &link, deadline, &depth);
    if (code != NEAP_PARKED && code != NEAP_TIMEOUT) return code;
    if (code == NEAP_PARKED) code = sleep_until_claimed(&sleeper, deadline);
    int again = reacquire(condition->lock, owner, depth);
    if (again != 0) return again;
    return code < 0 ? code : link.result;
}

/* --- waiting there --- */

struct request {
    struct neap_runnable runnable; /* on its way to the engine */
    struct neap_list node;         /* in host->requests while it waits */
    struct neap_host *host;
    struct neap_wait wait; /* on the engine's loop */
    int64_t deadline;
    neap_performed done;
    void *argument;                    /* of done */
    struct neap_operation *operations; /* `count`, behind this record; their objects are kept */
    struct neap_link *links;           /* likewise */
    size_t count;
};

static void free_request(struct request *request) {
    drop_links(request->links, request->count);
    for (size_t i = 0; i < request->count; i++) neap_object_unref(request->operations[i].object);
    neap_free(request);
}

static void end_request(struct request *request, int served) {
    if (served >= 0) harvest(&request->operations[served], &request->links[served]);
    request->done(request->argument, served, request->operations, request->count);
    for (size_t i = 0; i < request->count; i++)
        if (request->operations[i].verb == NEAP_RECV) neap_value_clear(&request->operations[i].value);
    free_request(request);
}

static void request_served(struct neap_runnable *runnable) {
    struct neap_wait *wait = NEAP_CONTAINER_OF(runnable, struct neap_wait, runnable);
    struct request *request = NEAP_CONTAINER_OF(wait, struct request, wait);
    neap_list_remove(&request->node);
    end_request(request, neap_wait_end(wait));
}

/* On the engine's thread. */
static void begin_request(struct neap_runnable *runnable) {
    struct request *request = NEAP_CONTAINER_OF(runnable, struct request, runnable);
    int code = neap_wait_begin(&request->wait, request->links, (uint32_t)request->count, request->deadline);
    if (code == NEAP_PARKED)
        neap_list_push_back(&request->host->requests, &request->node);
    else
        end_request(request, code);
}

void neap_objects_give_up(struct neap_host *host) {
    while (!neap_list_is_empty(&host->requests)) {
        struct request *request = NEAP_CONTAINER_OF(host->requests.next, struct request, node);
        if (!neap_wait_abandon(&request->wait)) { /* somebody has just served it: it comes through the mailbox */
            neap_loop_drain(&host->vm->loop);
            continue;
        }
        neap_list_remove(&request->node);
        end_request(request, NEAP_CANCELLED);
    }
}

static size_t aligned(size_t size) { return (size + 15) / 16 * 16; }

static struct request *make_request(struct neap_host *host, struct neap_owner *owner,
                                    const struct neap_operation *operations, size_t count) {
    size_t links_at = aligned(sizeof(struct request)),
           operations_at = links_at + aligned(count * sizeof(struct neap_link));
    char *memory = neap_alloc(operations_at + count * sizeof *operations);
    if (memory == NULL) return NULL;
    struct request *request = (void *)memory;
    memset(request, 0, sizeof *request);
    request->links = (void *)(memory + links_at);
    request->operations = (void *)(memory + operations_at);
    request->count = count;
    request->host = host;
    request->runnable.run = begin_request;
    neap_wait_init(&request->wait, &host->vm->loop, owner, request_served);
    memset(request->links, 0, count * sizeof *request->links);
    memcpy(request->operations, operations, count * sizeof *operations);
    for (size_t i = 0; i < count; i++) request->operations[i].value = neap_nil(); /* what is sent is in the links */
    return request;
}

int neap_begin(struct neap_engine *engine, struct neap_owner *owner, const struct neap_operation *operations,
               size_t count, double timeout, neap_performed done, void *argument) {
    NEAP_CONTRACT_POINTER(engine);
    NEAP_CONTRACT_POINTER(operations);
    NEAP_CONTRACT_POINTER(done);
    NEAP_CONTRACT(count >= 1 && count <= OPERATIONS_MAX, NEAP_INVALID, "neap.h: from 1 to 1000 operations");
    NEAP_CONTRACT(is_timeout(timeout), NEAP_INVALID, "neap.h, TIME: a timeout is not negative, nor NaN");
    struct request *request = make_request(neap_host_of(engine), owner, operations, count);
    if (request == NULL) return NEAP_NOMEM;
    request->deadline = deadline_of(timeout);
    request->done = done;
    request->argument = argument;
    int code = fill_links(request->links, operations, count, owner != NULL);
    if (code != 0) {
        neap_free(request);
        return code;
    }
    for (size_t i = 0; i < count; i++) neap_object_ref(operations[i].object);
    code = neap_mailbox_post(engine->main, &request->runnable);
    if (code != 0) free_request(request);
    return code;
}
