/* neap.h: neap inside a C or C++ program, the host.
 *
 * An engine runs Lua: tasks, the threads that they start, and the channels, locks and events between them. A host
 * makes as many engines as it likes, in one thread or in several; they share nothing but the objects that it
 * hands from one to the other.
 *
 * THREADS    An engine belongs to the thread that made it. Functions that take an engine are for that thread;
 *            the few that any thread may call say so. What takes an object (struct neap_object) or a value
 *            may be called from any thread.
 * RESULTS    What can fail returns an int: 0 (or, where it says so, a number from 0 on), or a negative code of enum
 *            neap_error. Results go to pointers, and are set on success only. A null pointer (in a value, too), a wrong
 *            kind of object or value, a number out of range: NEAP_E_INVALID. A call from a wrong thread: NEAP_E_THREAD.
 *            (In a build with NEAP_CHECK both end the process, and name the rule.) Functions that return no code do
 *            nothing then, and return NULL, false, 0 or "" (and NEAP_NO_TIMEOUT); a null pointer may be given to them.
 * OWNERSHIP  _new, _create: it is yours until the function named beside it takes it back. A const pointer is lent, for
 *            the time of the call unless said otherwise.
 * TIME       Seconds. A timeout of 0 tries once; NEAP_NO_TIMEOUT never gives up; negative and NaN are invalid.
 * PROMISE    The library has no mutable state outside of its engines, prints nothing, ends nothing, and leaves signals,
 *            their masks and the standard streams alone, unless the config of an engine asks for it.
 *
 * C11 or C++17. Everything here exists since 0.1. Lua's own headers are needed only for the
 * functions that mention lua_State. */
#ifndef NEAP_H
#define NEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NEAP_API __attribute__((visibility("default")))
#else
#define NEAP_API
#endif

struct lua_State;
struct neap_native_call;
struct neap_completion;
struct neap_engine;
struct neap_owner;
struct neap_object;
struct neap_table;

#define NEAP_NO_TIMEOUT 1e300 /* seconds */

/* --- codes --- */

enum neap_error {
    NEAP_E_OK = 0,
    NEAP_E_MEMORY = -12,      /* the allocator, or a limit, said no */
    NEAP_E_TIMEOUT = -5001,   /* the time was over first */
    NEAP_E_CLOSED = -5002,    /* the object is closed, and drained where it buffers; the engine was asked to stop */
    NEAP_E_BROKEN = -5005,    /* the other side died, or the barrier broke */
    NEAP_E_CANCELLED = -5006, /* the wait, the task or the engine was asked to stop */
    NEAP_E_ABANDONED = -5007, /* acquired; the last holder ended without releasing it */
    NEAP_E_NOT_OWNER = -5008, /* released by somebody who does not hold it */
    NEAP_E_HELD = -5009,      /* acquired by somebody who holds it already: would wait for itself */
    NEAP_E_GONE = -5010,      /* the engine that should have taken it has ended */
    NEAP_E_RANGE = -5011,     /* a count beyond its bound */
    NEAP_E_INVALID = -5101,   /* misuse: see RESULTS */
    NEAP_E_THREAD = -5102,    /* misuse: not this thread's */
    NEAP_E_FAILED = -5103,    /* Lua raised an error: neap_engine_message says which */
    NEAP_E_SYNTAX = -5104,    /* it is no Lua: likewise */
    NEAP_E_MISSING = -5105,   /* there is nothing of that name */
    NEAP_E_CPU = -5106,       /* the limit of processor time was reached */
    NEAP_E_DENIED = -5107     /* the host does not allow it */
    /* Other negative codes are those of the system, as libuv numbers them. */
};

/* Any thread: the word for a code ("timeout", "cpu", "ENOENT"). Static. */
NEAP_API const char *neap_error_name(int code);
/* Any thread: "0.1.0" */
NEAP_API const char *neap_version(void);

/* --- values --- */

enum neap_value_kind {
    NEAP_NIL,
    NEAP_BOOLEAN,
    NEAP_INTEGER,
    NEAP_NUMBER,
    NEAP_STRING, /* bytes; a zero byte that does not count follows those that neap makes */
    NEAP_TABLE,
    NEAP_OBJECT, /* a channel, queue, lock, task ...: what a handle of Lua refers to */
    NEAP_NULL,   /* neap.null */
    NEAP_PACKED  /* what C cannot look into, only pass on: functions, instances of classes, tables in two places */
};

/* A value. Copying the struct moves it. One that was received, or copied with neap_value_copy, owns what it refers to:
 * neap_value_clear gives that up. The constructors below lend: what they were given must stay for as
 * long as the value is used. */
struct neap_value {
    enum neap_value_kind kind;
    bool owned;    /* neap_value_clear has something to do */
    size_t length; /* of a string, in bytes */
    union {
        bool boolean;
        int64_t integer;
        double number;
        const char *string;
        struct neap_table *table;
        struct neap_object *object;
        void *packed;
    } as;
};

static inline struct neap_value neap_nil(void) {
    struct neap_value value;
    value.kind = NEAP_NIL;
    value.owned = false;
    value.length = 0;
    value.as.integer = 0;
    return value;
}

static inline struct neap_value neap_boolean(bool boolean) {
    struct neap_value value = neap_nil();
    value.kind = NEAP_BOOLEAN;
    value.as.boolean = boolean;
    return value;
}

static inline struct neap_value neap_integer(int64_t integer) {
    struct neap_value value = neap_nil();
    value.kind = NEAP_INTEGER;
    value.as.integer = integer;
    return value;
}

static inline struct neap_value neap_number(double number) {
    struct neap_value value = neap_nil();
    value.kind = NEAP_NUMBER;
    value.as.number = number;
    return value;
}

static inline struct neap_value neap_bytes(const void *bytes, size_t length) {
    struct neap_value value = neap_nil();
    value.kind = NEAP_STRING;
    value.length = length;
    value.as.string = (const char *)bytes;
    return value;
}

/* `text` ends with a zero byte; NULL: nil. */
static inline struct neap_value neap_string(const char *text) {
    size_t length = 0;
    if (text == NULL) return neap_nil();
    while (text[length] != '\0') length++;
    return neap_bytes(text, length);
}

static inline struct neap_value neap_table_value(struct neap_table *table) {
    struct neap_value value = neap_nil();
    if (table == NULL) return value;
    value.kind = NEAP_TABLE;
    value.as.table = table;
    return value;
}

static inline struct neap_value neap_object_value(struct neap_object *object) {
    struct neap_value value = neap_nil();
    if (object == NULL) return value;
    value.kind = NEAP_OBJECT;
    value.as.object = object;
    return value;
}

/* Gives up what the value owns; it is nil afterwards. NULL: nothing. */
NEAP_API void neap_value_clear(struct neap_value *value);
/* An own copy of `from`, which may be lent. Tables and packed values are shared, not copied: see neap_table_new.
 * NEAP_E_MEMORY. */
NEAP_API int neap_value_copy(struct neap_value *to, const struct neap_value *from);

/* Tables are counted, and used by one thread at a time. One that somebody else refers to as well (a value it was copied
 * to, a table it was put into) is constant: neap_table_set refuses, and any threads may read it. Lists are tables with
 * the keys 1, 2, 3 ... One reference; neap_table_free. NEAP_E_MEMORY. */
NEAP_API int neap_table_new(struct neap_table **table);
/* Gives up one reference; what the table contains goes with the last. NULL: nothing. */
NEAP_API void neap_table_free(struct neap_table *table);
/* Sets the field of that key (nil takes it away). Keys are strings, integers, numbers and booleans, and are copied; the
 * value is copied if it is lent and taken over if it is owned (then it is nil afterwards, on success). NEAP_E_MEMORY;
 * NEAP_E_INVALID, also for a table that is constant, and for one that would be put into itself. */
NEAP_API int neap_table_set(struct neap_table *table, const struct neap_value *key, struct neap_value *value);
/* The field of that key, lent until the table is changed or freed; NULL when there is none.
 * FIELD, ITEM: by name, by number. */
NEAP_API const struct neap_value *neap_table_get(const struct neap_table *table, const struct neap_value *key);
NEAP_API const struct neap_value *neap_table_field(const struct neap_table *table, const char *name);
NEAP_API const struct neap_value *neap_table_item(const struct neap_table *table, int64_t number);
/* Appends to a list. As neap_table_set. */
NEAP_API int neap_table_append(struct neap_table *table, struct neap_value *value);
/* How many of the keys 1, 2, 3 ... there are without a gap. */
NEAP_API size_t neap_table_length(const struct neap_table *table);
/* Walks over all fields: begin with *position 0. False at the end.
 * Key and value are lent as by neap_table_get, and may be NULL. */
NEAP_API bool neap_table_next(const struct neap_table *table, size_t *position, struct neap_value *key,
                              const struct neap_value **value);

/* --- objects: channels, queues, locks ... --- */

/* All of this is for any thread, inside an engine or not, but for blocking: a thread that is inside an engine (in
 * a function that scripts call, in neap_post's) does not block; NEAP_E_THREAD unless the timeout is 0. Objects
 * belong to no engine. They are counted: who makes one has a reference, and so has each value with NEAP_OBJECT
 * that owns. What a child process has made can be handed on, but not used from here: NEAP_E_INVALID. (What is
 * made here works in children.) */

/* KEEP: one more reference; returns `object`. DROP: one less; the object goes with the last. NULL: nothing. */
NEAP_API struct neap_object *neap_object_keep(struct neap_object *object);
NEAP_API void neap_object_drop(struct neap_object *object);
/* "channel", "queue", "task" ... Static. */
NEAP_API const char *neap_object_kind(const struct neap_object *object);

enum neap_queue_order { NEAP_QUEUE_FIFO, NEAP_QUEUE_LIFO, NEAP_QUEUE_PRIORITY };

/* neap_object_drop. NEAP_E_MEMORY; NEAP_E_INVALID. */
NEAP_API int neap_channel_create(size_t capacity, struct neap_object **channel); /* 0: a rendezvous */
NEAP_API int neap_queue_create(size_t maxsize, enum neap_queue_order order,
                               struct neap_object **queue); /* 0: no bound */
NEAP_API int neap_event_create(struct neap_object **event);
NEAP_API int neap_lock_create(bool reentrant, struct neap_object **lock);
NEAP_API int neap_rwlock_create(struct neap_object **rwlock);
NEAP_API int neap_condition_create(struct neap_object *lock, struct neap_object **condition);
NEAP_API int neap_semaphore_create(int64_t permits, bool bounded, struct neap_object **semaphore);
NEAP_API int neap_barrier_create(uint32_t parties, struct neap_object **barrier);

/* In whose name locks are held; used by one thread at a time. What it still holds when it is freed is abandoned: the
 * next one to acquire is told. NEAP_E_MEMORY. */
NEAP_API int neap_owner_new(struct neap_owner **owner);
NEAP_API void neap_owner_free(struct neap_owner *owner);

/* Blocking. 0; NEAP_E_TIMEOUT; NEAP_E_CLOSED (channels, queues, pipes); NEAP_E_INVALID; NEAP_E_MEMORY (of a
 * receive: the value is lost). What is sent is copied and stays the caller's; what is received is owned:
 * neap_value_clear. Nil cannot be sent. */
NEAP_API int neap_channel_send(struct neap_object *channel, const struct neap_value *value,
                               double timeout); /* pipes too */
NEAP_API int neap_channel_recv(struct neap_object *channel, struct neap_value *value, double timeout);
NEAP_API int neap_queue_put(struct neap_object *queue, const struct neap_value *value, double priority, double timeout);
/* `priority` may be NULL. */
NEAP_API int neap_queue_get(struct neap_object *queue, struct neap_value *value, double *priority, double timeout);
/* Until an event is set, a queue is worked off, a task, thread, process or future has ended,
 * a barrier is complete (NEAP_E_BROKEN). */
NEAP_API int neap_object_wait(struct neap_object *object, double timeout);
/* A lock, a rwlock (to write), or a permit of a semaphore, which belongs to nobody and needs no owner.
 * NEAP_E_ABANDONED: acquired as well; NEAP_E_HELD. */
NEAP_API int neap_object_acquire(struct neap_object *object, struct neap_owner *owner, double timeout);
NEAP_API int neap_object_acquire_read(struct neap_object *rwlock, struct neap_owner *owner, double timeout);
/* Gives the condition's lock up, waits until notified, and has the lock again, whatever it returns.
 * NEAP_E_NOT_OWNER. */
NEAP_API int neap_condition_wait(struct neap_object *condition, struct neap_owner *owner, double timeout);

/* What does not wait. 0; NEAP_E_INVALID: not a method of that kind of object. IS_CLOSED, LENGTH, IS_SET: a snapshot;
 * false or 0 of other kinds. */
NEAP_API int neap_object_close(struct neap_object *object); /* channels, queues, pipes; idempotent */
NEAP_API bool neap_object_is_closed(struct neap_object *object);
NEAP_API size_t neap_object_length(struct neap_object *object); /* of channels and queues */
NEAP_API int neap_object_set(struct neap_object *event);
NEAP_API int neap_object_clear(struct neap_object *event);
NEAP_API bool neap_object_is_set(struct neap_object *event);
NEAP_API int neap_object_task_done(struct neap_object *queue); /* NEAP_E_RANGE: one call too many */
/* NEAP_E_NOT_OWNER; NEAP_E_RANGE: a bounded semaphore has all its permits. Of a semaphore `owner` is NULL. */
NEAP_API int neap_object_release(struct neap_object *object, struct neap_owner *owner);
NEAP_API int neap_object_notify(struct neap_object *condition, struct neap_owner *owner,
                                size_t count); /* SIZE_MAX: all */
NEAP_API int neap_object_abort(struct neap_object *barrier);

/* Several at once. Verbs by the kind of object: SEND and RECV of channels, queues and pipes, WAIT, ACQUIRE and
 * ACQUIRE_READ as the functions above. */
enum neap_verb { NEAP_SEND, NEAP_RECV, NEAP_WAIT, NEAP_ACQUIRE, NEAP_ACQUIRE_READ };

struct neap_operation {
    struct neap_object *object; /* lent */
    enum neap_verb verb;
    struct neap_value value; /* of SEND: what is sent, lent; of RECV: the result, owned */
    double priority;         /* of a queue: of what is sent, or was received */
    int64_t number;          /* of a barrier: the order of arrival */
    int result;              /* of the one that was served: 0 or a code, as of the functions above */
};

/* Carries out one of `count` operations (1 to 1000), whichever can be first; they are looked at in one moment, and
 * ready ones chosen fairly. Returns the index of the one that was served, its `result` set; or NEAP_E_TIMEOUT and the
 * others. `owner` may be NULL where no lock is acquired. */
NEAP_API int neap_perform(struct neap_owner *owner, struct neap_operation *operations, size_t count, double timeout);

/* The same without blocking: `done` is called on the thread of `engine`, outside of Lua, when its loop turns: `served`
 * is what neap_perform would return, or NEAP_E_CANCELLED when the engine is freed first. The operations are copied;
 * `done` gets the copies, and what they received is lent: take it over by setting the kind of the value to NEAP_NIL.
 * Values to be sent are copied before this returns. Locks are acquired for an owner that is used on the engine's thread
 * only. NEAP_E_GONE, NEAP_E_INVALID, NEAP_E_MEMORY; then `done` is not called. */
typedef void (*neap_performed)(void *argument, int served, struct neap_operation *operations, size_t count);
NEAP_API int neap_begin(struct neap_engine *engine, struct neap_owner *owner, const struct neap_operation *operations,
                        size_t count, double timeout, neap_performed done, void *argument);

/* --- engines --- */

/* A failure that nobody in Lua awaits. All lent. */
struct neap_failure {
    const char *who;       /* "task a (thread w1)" */
    const char *message;   /* the error as text */
    const char *traceback; /* back to where it was spawned; NULL: there is none */
};

/* Who turns an engine's loop. */
enum neap_drive {
    /* The host's thread, in neap_engine_run, _await, _call and their kin. */
    NEAP_DRIVE_CALLS,
    /* A thread of the engine's own, from the beginning. The engine belongs to that thread: the host loads and calls in
     * functions that it gives to neap_ask and neap_post. */
    NEAP_DRIVE_THREAD,
    /* The host's libuv loop, config.uv_loop, on the thread that makes the engine. It is kept alive while the engine has
     * something to do that is not daemon. Lua runs in tasks (neap_engine_spawn): neap_engine_await, _run and their kin
     * are NEAP_E_INVALID, a wait in neap_engine_call raises. neap_engine_free is called outside of uv_run, and turns
     * the loop; after it uv_run must turn once more before uv_loop_close. */
    NEAP_DRIVE_UV,
    /* The host's own loop, of whatever kind: it polls neap_engine_descriptor for reading, for neap_engine_timeout
     * seconds at most, and calls neap_engine_step when either says so. Else as NEAP_DRIVE_CALLS. */
    NEAP_DRIVE_STEPS
};

/* What an engine is made with. neap_config_init gives each field what stands in brackets. Pointers are used until the
 * engine is freed; `context` is handed to every function of the config. */
struct neap_config {
    size_t size;      /* of this struct, for later versions; set by neap_config_init */
    void *context;    /* the host's own; neap_engine_context gives it back [NULL] */
    const char *name; /* of the main thread, in reports [main] */

    enum neap_drive drive; /* [NEAP_DRIVE_CALLS] */
    void *uv_loop;         /* of NEAP_DRIVE_UV: a uv_loop_t [NULL] */

    /* A failure that nobody awaits, in any of its threads: on the thread where it happened, or on the engine's [NULL:
     * as a log text]. A script that has called neap.on_error is told instead. */
    void (*on_error)(void *context, const struct neap_failure *failure);
    /* What the engine has to say (stragglers at the end, warnings, failures without on_error), without a newline at its
     * end. Any of its threads, one at a time [NULL: nobody is told, or stderr if `stdio`]. */
    void (*on_log)(void *context, const char *text, size_t length);
    /* What scripts print and write to the standard output, in whole lines where several threads do. Any of its threads,
     * one at a time [NULL: it is dropped, or goes to stdout if `stdio`]. */
    void (*on_output)(void *context, const char *bytes, size_t length);
    /* When a state has been opened, before any script runs in it, and before it is closed: the engine's own, and one
     * for each thread that a script starts. On the thread of the state. ON_OPEN may raise errors of Lua; an engine, or
     * a thread, then fails. [NULL] */
    void (*on_open)(void *context, struct neap_engine *engine, struct lua_State *state);
    void (*on_close)(void *context, struct neap_engine *engine, struct lua_State *state);

    bool stdio; /* scripts have io.stdin, io.stdout and io.stderr [false] */

    /* A signal that the engine may use to interrupt Lua that does not wait: so tasks that compute share their
     * thread, and can be cancelled. It is handled while engines with it are alive; SIGURG is a good choice
     * [0: no signal is touched] */
    int slice_signal;
    /* Scripts may wait for signals (neap.signal): while they do, these do nothing else in this process [false] */
    bool signals;
    double slice_seconds; /* how long a task may run while others are ready [0.01]; 0: until it waits */

    /* The program that neap.process and pools of processes run. It may be one of the host's own whose main begins with
     * neap_child_main. What a child prints goes where the output of scripts goes, and what it writes to stderr where
     * reports go [NULL: `neap`, the runner: what the variable NEAP_RUNNER names, else the one that was installed with
     * the library, else the one in PATH] */
    const char *child_program;

    /* The memory of Lua states: as realloc; `new_size` 0 frees. Shrinking must not fail.
     * Any thread of the engine [NULL: neap's own] */
    void *(*allocate)(void *argument, void *block, size_t old_size, size_t new_size);
    void *allocate_argument;

    /* Limits for each state of the engine: its own, and those of threads that scripts start. 0: none [0]. As soon as
     * there is one, or something is denied, scripts have nothing of the debug library but traceback. */

    /* Bytes, of Lua and of what the engine holds for it; at least 262144. Beyond it: NEAP_E_MEMORY */
    size_t memory_limit;
    /* Seconds of processor time that Lua may use in all. Beyond it everything fails: NEAP_E_CPU. There are no
     * finalisers of scripts (__gc) then, and what a C function of Lua could take too long for is refused */
    double cpu_limit;
    uint32_t task_limit;   /* tasks that may be alive at a time. Beyond it spawning raises: NEAP_E_DENIED */
    uint32_t thread_limit; /* threads that may be alive at a time, in the engine. Likewise */

    /* What scripts may not do: any of NEAP_DENY_*. Using it raises "denied: ...": NEAP_E_DENIED. A script cannot undo
     * it, and so cannot one in a thread that it starts. Handles that a script is given work all the same [0] */
    uint32_t denied;
};

enum neap_deny {
    NEAP_DENY_READING = 1,  /* files */
    NEAP_DENY_WRITING = 2,  /* files; creating, removing and renaming them, sockets too */
    NEAP_DENY_NETWORK = 4,  /* sockets, names, HTTP */
    NEAP_DENY_PROGRAMS = 8, /* io.popen, os.execute and the like */
    NEAP_DENY_PROCESSES =
        16, /* of neap; denied as well as soon as anything else is, or is limited: a child has neither */
    NEAP_DENY_THREADS = 32,      /* of neap */
    NEAP_DENY_C_MODULES = 64,    /* require of modules in C; package.loadlib */
    NEAP_DENY_BYTECODE = 128,    /* load of anything but text; string.dump */
    NEAP_DENY_ENVIRONMENT = 256, /* os.getenv, os.setlocale, process numbers */
    NEAP_DENY_ALL = 0x7fffffff   /* and whatever comes later */
};

/* Any thread: sets each field to what stands in brackets. NULL: nothing.
 * SIZED: `size` bytes, for who does not use this header. */
NEAP_API void neap_config_init_sized(struct neap_config *config, size_t size);
static inline void neap_config_init(struct neap_config *config) { neap_config_init_sized(config, sizeof *config); }
/* Any thread: what is wrong with the config, as a text that names the field; NULL: nothing. */
NEAP_API const char *neap_config_check(const struct neap_config *config);

/* Makes an engine; NULL config: as neap_config_init leaves one. neap_engine_free. NEAP_E_INVALID (neap_config_check
 * says why), NEAP_E_MEMORY, or what the system said.
 * Where standard input, output or error is closed, /dev/null is opened in its place: no other descriptor of the engine
 * may have its number. */
NEAP_API int neap_engine_new(const struct neap_config *config, struct neap_engine **engine);
/* Ends all that runs in it, in order: nothing new starts, every task and thread is cancelled and its `<close>`
 * variables run; then all is given back. NULL: nothing. NEAP_E_TIMEOUT: some thread has not ended after five seconds,
 * since it is in a long call of C, or the system has not answered a call for a file or a name. That was logged, and the
 * engine is still there: try again later. Not from inside the engine (NEAP_E_INVALID). */
NEAP_API int neap_engine_free(struct neap_engine *engine);
/* Any thread, and signal handlers: asks the engine to end. What waits or runs in neap_engine_run and its kin is
 * cancelled, and they return NEAP_E_CANCELLED; what is begun later (neap_engine_call, _await, _run_string ...) does not
 * run, and returns the same. NEAP_E_INVALID. */
NEAP_API int neap_engine_stop(struct neap_engine *engine);
/* Any thread: what os.exit was called with; -1: it was not, nor was the engine stopped (which is status 0). */
NEAP_API int neap_engine_status(const struct neap_engine *engine);
/* Any thread: the host's own, config.context. */
NEAP_API void *neap_engine_context(const struct neap_engine *engine);
/* The text of the last failure that a function of this engine returned, with its traceback; lent until the next one.
 * Never NULL. */
NEAP_API const char *neap_engine_message(const struct neap_engine *engine);
/* Any thread: `function` is called on the engine's thread, outside of Lua, when its loop next turns. NEAP_E_GONE when
 * it has ended; NEAP_E_MEMORY. */
NEAP_API int neap_post(struct neap_engine *engine, void (*function)(struct neap_engine *engine, void *argument),
                       void *argument);

/* Any thread: the same, and waits until it has returned. On the engine's own thread it is called right here. */
NEAP_API int neap_ask(struct neap_engine *engine, void (*function)(struct neap_engine *engine, void *argument),
                      void *argument);

/* NEAP_DRIVE_STEPS. A descriptor to be polled for reading; constant. NEAP_E_INVALID for other engines. */
NEAP_API int neap_engine_descriptor(const struct neap_engine *engine);
/* Seconds until the next step is due: 0: now; NEAP_NO_TIMEOUT: not before the descriptor says so.
 * To be asked before each poll. */
NEAP_API double neap_engine_timeout(const struct neap_engine *engine);
/* Runs what is due, without waiting. 1: more is due at once; 0: not; NEAP_E_CANCELLED: the engine was stopped;
 * else a code. */
NEAP_API int neap_engine_step(struct neap_engine *engine);
/* Has the engine something to do that is not daemon: tasks, threads, timers? */
NEAP_API bool neap_engine_is_busy(const struct neap_engine *engine);

/* The first call in main of a program that is somebody's child_program, before it starts threads or opens anything.
 * -1: the process is not a child, go on. Else it was one, and has run: main is to return this, the exit status. In a
 * child there is no host: no functions of neap_engine_register, no config; it has the signals, the output and the exit
 * that a script of `neap` has. */
NEAP_API int neap_child_main(int argc, char **argv);

/* --- running Lua --- */

/* A Lua function that the host refers to: a number from 1 on, good until neap_engine_forget. */
typedef int neap_function;

/* Compiles, without running: text only, never bytecode. `name` stands in messages ("config" gives config:1: ...).
 * NEAP_E_SYNTAX, NEAP_E_MEMORY; for a file what the system said when it cannot be read. */
NEAP_API int neap_engine_load_file(struct neap_engine *engine, const char *path, neap_function *function);
NEAP_API int neap_engine_load_string(struct neap_engine *engine, const char *text, neap_function *function);
NEAP_API int neap_engine_load_buffer(struct neap_engine *engine, const void *bytes, size_t size, const char *name,
                                     neap_function *function);
/* The function that a global names, or a field of one: "print", "string.format". NEAP_E_MISSING. */
NEAP_API int neap_engine_find(struct neap_engine *engine, const char *name, neap_function *function);
/* Gives the number up. NULL, 0: nothing. */
NEAP_API void neap_engine_forget(struct neap_engine *engine, neap_function function);

/* Calls a function right here, outside of tasks, with `count` arguments, and takes its first `room` results, at most
 * 200 each (what is missing is nil; the caller clears them). `results` may be NULL where room is 0. A wait inside turns
 * the engine's loop until it is over. NEAP_E_FAILED, NEAP_E_MEMORY, NEAP_E_CANCELLED (once the engine was stopped it
 * does not run), NEAP_E_CPU, NEAP_E_DENIED. */
NEAP_API int neap_engine_call(struct neap_engine *engine, neap_function function, const struct neap_value *arguments,
                              size_t count, struct neap_value *results, size_t room);
/* Runs a function as a task and turns the loop until the task has ended: as neap_engine_call, but it may be preempted
 * and cancelled as any task. What it has spawned and not joined goes on in neap_engine_run. */
NEAP_API int neap_engine_await(struct neap_engine *engine, neap_function function, const struct neap_value *arguments,
                               size_t count, struct neap_value *results, size_t room);
/* Loads, awaits without arguments or results, and then runs all that is left, as neap_engine_run does,
 * and not from a task either. */
NEAP_API int neap_engine_run_file(struct neap_engine *engine, const char *path);
NEAP_API int neap_engine_run_string(struct neap_engine *engine, const char *text);
/* Starts a function as a task, which runs when the loop turns. `done`, which may be NULL, is called on the engine's
 * thread, outside of Lua, when it has ended: with 0 and its results (lent), or a code as neap_engine_call gives it and
 * the error as the only result. NEAP_E_CLOSED when the engine was stopped; then `done` is not called. */
NEAP_API int neap_engine_spawn(struct neap_engine *engine, neap_function function, const struct neap_value *arguments,
                               size_t count,
                               void (*done)(void *argument, int code, const struct neap_value *results, size_t count),
                               void *argument);
/* Turns the loop until nothing that is not daemon is left in the engine: tasks, threads, timers. 0;
 * NEAP_E_CANCELLED when it was stopped, or a script called os.exit; NEAP_E_INVALID in a function that a task has
 * called: that task would have to end first. */
NEAP_API int neap_engine_run(struct neap_engine *engine);

/* Globals, or fields of them ("a.b"). SET makes the tables on the way. NEAP_E_MISSING (SET: something else than a table
 * is on the way), NEAP_E_MEMORY, NEAP_E_FAILED. */
NEAP_API int neap_engine_get(struct neap_engine *engine, const char *name, struct neap_value *value);
NEAP_API int neap_engine_set(struct neap_engine *engine, const char *name, const struct neap_value *value);

/* The engine's Lua state, for who wants it: to be used on the engine's thread, by the rules of Lua. A function of C
 * that raises must run below lua_pcall. */
NEAP_API struct lua_State *neap_engine_state(struct neap_engine *engine);

/* --- functions of the host --- */

/* A function in C that scripts can call. Returns 0, or a code, which raises the message of neap_call_fail (else the
 * code's name). Runs in the thread of whoever calls it: the engine's, or one that a script has started. */
typedef int (*neap_native)(struct neap_native_call *call, void *argument);

/* Makes a function known under a global name, or as a field of a table ("host.log"), which `require "host"` then
 * finds too: in the engine's own state and in all that its threads will open. Before the first script runs.
 * NEAP_E_MEMORY, NEAP_E_INVALID. */
NEAP_API int neap_engine_register(struct neap_engine *engine, const char *name, neap_native function, void *argument);

/* Inside a neap_native, until it returns, on its thread. ENGINE: whose script calls. COUNT: of arguments. */
NEAP_API struct neap_engine *neap_call_engine(const struct neap_native_call *call);
NEAP_API size_t neap_call_count(const struct neap_native_call *call);
/* The argument `index`, from 0 on; lent until the function returns; nil beyond the last. */
NEAP_API const struct neap_value *neap_call_argument(struct neap_native_call *call, size_t index);
/* Adds a result; copied if it is lent, else taken over. NEAP_E_MEMORY. */
NEAP_API int neap_call_return(struct neap_native_call *call, struct neap_value *value);
/* The message of the error that is raised; returns NEAP_E_FAILED, to be returned. */
NEAP_API int neap_call_fail(struct neap_native_call *call, const char *message);
/* The running coroutine, for who wants it. Arguments begin at 1. Nothing may be raised or yielded from here. */
NEAP_API struct lua_State *neap_call_state(struct neap_native_call *call);

/* The function will finish later: only the task that called it waits, while others run. After this it returns 0, and
 * its results are those of neap_completion_finish; on whatever thread, be the engine gone or not, either that or
 * neap_completion_fail is called once, and ends the completion. A cancelled task waits no longer; what it would have
 * got is dropped. NEAP_E_MEMORY. */
NEAP_API int neap_call_defer(struct neap_native_call *call, struct neap_completion **completion);
/* Any thread. The values are copied. On failure (NEAP_E_MEMORY, NEAP_E_RANGE,
 * NEAP_E_INVALID) the completion is still there. */
NEAP_API int neap_completion_finish(struct neap_completion *completion, const struct neap_value *results, size_t count);
/* Any thread: the call raises that message. Cannot fail. */
NEAP_API void neap_completion_fail(struct neap_completion *completion, const char *message);
/* Any thread, a snapshot: does a task still wait for it? Just after neap_call_defer it does not yet. */
NEAP_API bool neap_completion_is_awaited(const struct neap_completion *completion);

#ifdef __cplusplus
}
#endif

#endif
