/* limits: memory and processor time of one state.
 *
 * MEMORY     Everything that the state causes to be allocated counts in one quota (core/memory.h): Lua's own blocks,
 *            through the allocator, and what the engine makes for it, through loop->quota. Lua answers a refusal with a
 *            full collection and one more try, then with an error, which a script may catch: it has gained nothing.
 * TIME       Of its thread's processor time, as far as Lua runs in the state (stretches). A count hook looks at
 *            the clock: a limited state pays for it with half of its speed in tight loops, and needs no signal.
 *            Once the time is used up the hook is called at each instruction, everywhere, and always raises: so
 *            the error climbs through every protected call, and no `<close>` handler, no message handler, no
 *            coroutine gets another instruction in.
 * WHERE NO HOOK COMES   Lua calls none in a finaliser, in what runs because a hook has raised (the
 *                       handler of xpcall, the variables of a
 *            coroutine that died of it), and in a C function that does not return. So a state with this limit sets no
 *            finalisers (bounded.c, decode.c), asks no handler of the script for its opinion once the time is used up,
 *            closes no coroutine (coroutine.c), and its functions that could run for ever in C have bounds (bounded.c).
 * RESTING    A coroutine gets the hook from the one that makes it. What sets another hook (slice.c) puts
 *            this one back: neap_limits_rest.
 *
 * REJECTED   A timer signal (not without the host's leave; held back by sanitizers); a thread that
 *            watches (it could not stop anything). */
#include "bindings/state/limits.h"

#include <lauxlib.h>
#include <time.h>

#include "bindings/state/embedding.h"
#include "bindings/state/vm.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"

enum {
    INSTRUCTIONS = 100,   /* between two calls of the hook */
    PATIENCE_NS = 500000, /* real time before the processor time is asked for again */
    STEP_NS = 1           /* of neap_limits_check_steps */
};

static int64_t processor_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * NEAP_SECOND + now.tv_nsec;
}

/* --- memory --- */

static void *allocate(const struct neap_vm *vm, void *block, size_t old_size, size_t new_size) {
    const struct neap_config *config = &vm->engine->embedding->config;
    if (config->allocate != NULL)
        return config->allocate(config->allocate_argument, block, block == NULL ? 0 : old_size, new_size);
    return neap_arena_alloc(vm->arena, block, old_size, new_size);
}

static void *allocate_limited(void *ud, void *block, size_t old_size, size_t new_size) {
    const struct neap_vm *vm = ud;
    struct neap_quota *quota = vm->loop.quota;
    size_t before = block == NULL ? 0 : old_size;
    if (quota == NULL) return allocate(vm, block, old_size, new_size);
    if (new_size > before && !neap_quota_take(quota, new_size - before)) return NULL;
    void *result = allocate(vm, block, old_size, new_size);
    bool done = result != NULL || new_size == 0;
    if (done && new_size < before) neap_quota_give(quota, before - new_size);
    if (!done && new_size > before) neap_quota_give(quota, new_size - before);
    return result;
}

lua_Alloc neap_limits_allocator(struct neap_vm *vm, void **argument) {
    const struct neap_embedding *embedding = vm->engine->embedding;
    if (embedding == NULL || (vm->loop.quota == NULL && embedding->config.allocate == NULL)) {
        *argument = vm->arena;
        return neap_arena_alloc;
    }
    *argument = vm;
    return allocate_limited;
}

bool neap_limits_apply(const struct neap_embedding *embedding) {
    if (embedding == NULL) return false;
    const struct neap_config *config = &embedding->config;
    return config->memory_limit != 0 || config->cpu_limit > 0 || config->task_limit != 0 || config->allocate != NULL;
}

int neap_limits_init(struct neap_vm *vm) {
    const struct neap_embedding *embedding = vm->engine->embedding;
    if (embedding == NULL) return 0;
    const struct neap_config *config = &embedding->config;
    vm->limits.cpu_ns = (int64_t)(config->cpu_limit * (double)NEAP_SECOND);
    vm->limits.tasks = config->task_limit;
    if (config->memory_limit == 0) return 0;
    vm->loop.quota = neap_quota_new(config->memory_limit);
    return vm->loop.quota == NULL ? NEAP_NOMEM : 0;
}

void neap_limits_fini(struct neap_vm *vm) {
    struct neap_quota *quota = vm->loop.quota;
    vm->loop.quota = NULL;
    neap_quota_end(quota);
}

/* --- processor time --- */

bool neap_limits_has_cpu(lua_State *L) { return neap_vm_of(L)->limits.cpu_ns > 0; }

int neap_limits_raise(lua_State *L) {
    const struct neap_limits *limits = &neap_vm_of(L)->limits;
    return luaL_error(L, "cpu: the limit of %f s of processor time is reached",
                      (double)limits->cpu_ns / (double)NEAP_SECOND);
}

/* Is the time used up? Asks the clock now and then. */
static bool is_spent(struct neap_limits *limits) {
    if (limits->spent) return true;
    int64_t now = neap_clock_now();
    if (now - limits->asked_ns < PATIENCE_NS && limits->cpu_ns > 4 * PATIENCE_NS) return false;
    limits->asked_ns = now;
    limits->spent = limits->depth > 0 && limits->used_ns + processor_time() - limits->began_ns > limits->cpu_ns;
    return limits->spent;
}

static void on_limit(lua_State *L, lua_Debug *event) {
    struct neap_vm *vm = neap_vm_of(L);
    (void)event;
    if (!is_spent(&vm->limits)) return;
    lua_sethook(L, on_limit, LUA_MASKCOUNT, 1);
    neap_limits_raise(L);
}

void neap_limits_rest(struct neap_vm *vm, lua_State *L) {
    if (vm->limits.cpu_ns > 0)
        lua_sethook(L, on_limit, LUA_MASKCOUNT, vm->limits.spent ? 1 : INSTRUCTIONS);
    else
        lua_sethook(L, NULL, 0, 0);
}

void neap_limits_begin_stretch(struct neap_vm *vm, lua_State *L) {
    struct neap_limits *limits = &vm->limits;
    if (limits->spent) neap_limits_rest(vm, L); /* not one instruction */
    if (limits->depth++ > 0) return;
    limits->began_ns = processor_time();
}

void neap_limits_end_stretch(struct neap_vm *vm) {
    struct neap_limits *limits = &vm->limits;
    if (--limits->depth > 0) return;
    limits->used_ns += processor_time() - limits->began_ns;
    if (limits->used_ns > limits->cpu_ns) limits->spent = true;
}

int neap_limits_pcall(lua_State *L, int arguments, int results) {
    struct neap_vm *vm = neap_vm_of(L);
    if (vm->limits.cpu_ns == 0) return lua_pcall(L, arguments, results, 0);
    neap_limits_begin_stretch(vm, L);
    int status = lua_pcall(L, arguments, results, 0);
    neap_limits_end_stretch(vm);
    return status;
}

void neap_limits_check(lua_State *L) {
    if (is_spent(&neap_vm_of(L)->limits)) neap_limits_raise(L);
}

void neap_limits_check_steps(lua_State *L, double steps) {
    const struct neap_limits *limits = &neap_vm_of(L)->limits;
    if (steps * STEP_NS > (double)limits->cpu_ns)
        luaL_error(L, "cpu: this may take longer than the limit of %f s of processor time",
                   (double)limits->cpu_ns / (double)NEAP_SECOND);
}
