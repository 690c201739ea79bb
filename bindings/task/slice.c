/* slice: what happens to a task that does not wait.
 *
 * WHY SO      A permanent hook costs a loop twice its time. So there is none, until a task has run for too long: then a
 *             signal (core/pulse.h), which comes to the thread that runs the state, sets a hook on the running
 *             coroutine. lua_sethook is made to be called from a signal handler, on that thread; from another one it
 *             would be a race. The hook is called before the next instruction of Lua, and there it can yield, or raise.
 *             A thread that nobody wants anything of has not even a timer.
 * THE SIGNAL  SIGURG, for the reasons that the Go runtime has: debuggers let it pass; the C library and other libraries
 *             do not use it, and the real-time signals, which some do, are not needed; it is ignored by default, so
 *             that a spare one does no harm, also to a program that we start; what it means by itself, urgent data on a
 *             socket, hardly anybody asks for, and who does gets it too.
 * BEATS       The handler counts the beats since the running task was resumed, and somebody wanted something of it.
 *             They are half a slice, or 5 ms, apart; a slice has passed after `patience`. The handler only guesses
 *             whether there is anything to do; what takes more than reading a few words is left to the hook. A request
 *             to stop, or a deadline that has passed, is looked at from the first beat on, also where slices are off:
 *             each wait that begins from now on raises it.
 * GRACE       What has begun before must not cost the task what it has just received, or the note that it has sent,
 *             however long that took (a big table is copied). So once the hook has seen the request, it raises that
 *             only when GRACE more beats in a row have found code of Lua: each was followed by a call of the hook
 *             before the next one came. What takes something away without a wait, or has called the script before it
 *             changes or returns something (an update, a shield), has them begin anew. Who is always found in long
 *             calls of C, or in short shields, is stopped at the LAST_CALL all the same.
 * THE HOOK    1. raises the cancellation that is due, and counts such raises. Code that catches them (`while
 *                true do pcall(work) end`) has swallowed a few when the hook stays from then on, and raises at
 *                every instruction outside of `<close>` handlers: so the error climbs, from one protected call
 *                to the next, to the end of the task.
 *             2. yields, when a slice has passed and somebody is ready: the flag NEAP_TASK_TURN tells the loop, and the
 *                coroutines of the script on the way to it (coroutine.c), what this yield means.
 *             3. where Lua cannot yield (below table.sort, string.gsub, require, a metamethod called from C) waits for
 *                functions to return until it can.
 * OUTSIDE     Code that no task runs (the main chunk of a plain lua5.4) has nobody to
 *             yield to: the hook turns the loop.
 * BY FORCE    A few seconds after the program or the thread was asked to stop, `<close>` handlers and shields hold
 *             nothing off any more. What even that does not reach is a long call of C, and a message handler of xpcall
 *             that never returns (while a hook raises, no hook is called): engine->overdue may then end the process.
 * FOREIGN     A coroutine has one hook. That of somebody else is noted, gets its events through ours, and is put back.
 *             If it waits for the line event, so do we: after a hook has yielded, no other may run before the same
 *             instruction. A count starts anew after each interruption; so who counts to more than LONG_COUNT is
 *             stopped, but not made to share.
 * INVARIANTS  1. Our hook acts only where L == vm->running: lua_newthread copies a pending hook, a C library may resume
 *                a coroutine of its own. Elsewhere it puts back what was there and is gone.
 *             2. A coroutine that is left (it yielded, ended, failed) carries it no more, unless its
 *                task swallows requests to stop: see neap_slice_settle. So foreign hooks are noted only
 *                for coroutines that are alive.
 *             3. Any single beat may be lost or not counted, and any call of the hook may be one too many. */
#include "bindings/task/slice.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "bindings/state/vm.h"
#include "bindings/task/cancel.h"
#include "bindings/task/task.h"
#include "core/clock.h"
#include "core/pulse.h"
#include "core/timer.h"
#include "host/engine.h"

enum {
    STOP_BEATS = 2,     /* before the loop must see that it is to stop; or `patience`, if that is less */
    GRACE = 2,          /* beats */
    LAST_CALL = 5,      /* of the hook since it has seen the request */
    SWALLOWED_MAX = 3,  /* cancellations raised by the hook before it stays */
    LONG_COUNT = 10000, /* instructions; see FOREIGN */
    BEAT_MAX_NS = 5 * NEAP_MILLISECOND,
    BEAT_MIN_NS = NEAP_MILLISECOND / 2, /* the system looks at its timers hardly more often */
    HARD_SECONDS = 3,                   /* less than the grace of ending.c */
    OVERDUE_SECONDS = 4                 /* after that */
};

static void on_hook(lua_State *L, lua_Debug *event);

/* --- what there is to do --- */

/* Is everything here about to be stopped? */
static bool is_ending(const struct neap_vm *vm) {
    const struct neap_engine *engine = vm->engine;
    return atomic_load_explicit(&engine->stopping, memory_order_relaxed) ||
           (vm == engine->context && atomic_load_explicit(&engine->exit_status, memory_order_relaxed) >= 0);
}

/* Has another thread cancelled the task, without its loop knowing yet? */
static bool is_cancelled_elsewhere(const struct neap_task *task) {
    const struct neap_job *job = neap_task_known_job(task);
    return job != NULL && !job->cancel_arrived && atomic_load_explicit(&job->cancel_given, memory_order_relaxed);
}

static bool may_have_to_stop(const struct neap_vm *vm, const struct neap_task *task) {
    return task->flags & NEAP_TASK_PENDING || is_cancelled_elsewhere(task) || is_ending(vm) ||
           neap_cancel_is_late(task);
}

/* Is somebody waiting for the thread? Not for signal handlers. */
static bool is_awaited(const struct neap_vm *vm) {
    const struct neap_loop *loop = &vm->loop;
    return neap_loop_has_ready(loop) ||
           (loop->timers.count > 0 && neap_timers_next(&loop->timers) <= neap_clock_now()) ||
           (loop->uv != NULL && uv_loop_alive(loop->uv));
}

/* May it be time for the loop to end, whatever runs on it? It has to find that out. The one of a plain lua5.4 turns for
 * as long as the main chunk waits, which is no task. */
static bool may_be_over(const struct neap_vm *vm) {
    if (vm->interrupted != NULL) return is_ending(vm);
    return vm->outcome_state != 0 || vm->needed == 0 || is_ending(vm);
}

/* Has the user of a prompt asked for what runs to stop? The prompt has to see that. */
static bool is_interrupted(const struct neap_vm *vm) {
    const struct neap_engine *engine = vm->engine;
    return vm == engine->context &&
           atomic_load_explicit(&engine->screen.news, memory_order_relaxed) & NEAP_SCREEN_INTERRUPT;
}

/* Must the loop have a turn, whatever waits for it? */
static bool must_look_around(const struct neap_vm *vm) { return may_be_over(vm) || is_interrupted(vm); }

/* Has the running task had the time that it gets to stop by itself, at a wait? Who gives way more often than that has
 * been asked since it was resumed, at the latest. */
static bool has_had_time(const struct neap_slice *slice) {
    return slice->stop_beats >= STOP_BEATS || slice->stop_beats >= slice->patience;
}

/* Has it had time to take note of what it has done before? */
static bool has_had_grace(const struct neap_slice *slice) { return slice->heard >= GRACE || slice->calls >= LAST_CALL; }

/* Must the running task give way now? */
static bool must_give_way(struct neap_vm *vm) {
    struct neap_slice *slice = &vm->slice;
    if (must_look_around(vm)) return has_had_time(slice);
    if (is_awaited(vm)) return slice->seconds > 0 && slice->beats >= slice->patience;
    slice->beats = 0;
    return false;
}

static bool swallows(const struct neap_task *task) { return task->swallowed >= SWALLOWED_MAX; }

/* Is it asked to stop, and not protected by a shield, and has it swallowed that too often? */
static bool is_pressed(const struct neap_task *task) {
    return swallows(task) && (task->unwinding != 0 || neap_cancel_is_due(task));
}

/* --- setting the hook; in the handler too --- */

static struct neap_foreign_hook *find_foreign(struct neap_slice *slice, const lua_State *L) {
    for (int i = 0; i < NEAP_FOREIGN_HOOKS; i++)
        if (slice->foreign[i].coroutine == L) return &slice->foreign[i];
    return NULL;
}

static void set_hook(lua_State *L, struct neap_foreign_hook *foreign, int mask, int count) {
    if (foreign != NULL) {
        foreign->armed_mask = mask;
        foreign->armed_count = count;
    }
    lua_sethook(L, on_hook, mask, count);
}

/* Called before the next instruction; or, with a foreign hook for lines, before the next line. */
static void set_to_act(lua_State *L, struct neap_foreign_hook *foreign) {
    if (foreign == NULL)
        set_hook(L, NULL, LUA_MASKCOUNT, 1);
    else if (foreign->mask & LUA_MASKLINE)
        set_hook(L, foreign, foreign->mask, foreign->count);
    else
        set_hook(L, foreign, foreign->mask | LUA_MASKCOUNT, 1);
}

/* Our hook stands, with this mask: does it do already what it is to? Setting it touches each frame of the coroutine. In
 * a deep recursion that takes longer than a beat: done at every beat it would leave the recursion no time to go on. */
static bool is_set(const struct neap_vm *vm, int mask, int count) {
    if (mask & LUA_MASKCOUNT) return count == 1;
    return mask == LUA_MASKRET && !may_have_to_stop(vm, vm->current);
}

static void arm(struct neap_vm *vm, lua_State *L) {
    struct neap_slice *slice = &vm->slice;
    struct neap_foreign_hook *foreign = find_foreign(slice, L);
    lua_Hook hook = lua_gethook(L);
    int mask = lua_gethookmask(L), count = lua_gethookcount(L);
    if (hook != NULL && hook != on_hook) {
        if (mask == 0) return; /* we have interrupted lua_sethook */
        if (mask & LUA_MASKCOUNT && count > LONG_COUNT && !may_have_to_stop(vm, vm->current)) return;
        if (foreign == NULL) foreign = find_foreign(slice, NULL);
        if (foreign == NULL) return; /* so many debuggers at once: not now */
        foreign->hook = hook;
        foreign->mask = mask;
        foreign->count = count;
        foreign->coroutine = L;
    } else if (hook == NULL && foreign != NULL) { /* taken away meanwhile */
        foreign->coroutine = NULL;
        foreign = NULL;
    }
    slice->armed = 1;
    if (hook != on_hook || !is_set(vm, mask, count)) set_to_act(L, foreign);
}

void neap_slice_look_again(lua_State *L, const struct neap_task *task) {
    struct neap_vm *vm = neap_task_vm(task);
    if (swallows(task) && L == neap_vm_running(vm) && neap_cancel_is_due(task)) arm(vm, L);
}

/* Is nothing left to be tried? The main task has been running for seconds since it was to be stopped by force. */
static bool is_overdue(struct neap_vm *vm, const struct neap_slice *slice) {
    if (vm != vm->engine->context || vm->running == NULL || !is_ending(vm)) return false;
    if (slice->hard_at == 0) neap_slice_stop(vm);
    return slice->beats >= OVERDUE_SECONDS * (NEAP_SECOND / BEAT_MAX_NS) &&
           neap_clock_now() >= slice->hard_at + OVERDUE_SECONDS * NEAP_SECOND;
}

/* Might somebody be waiting for the thread? Of timers only the number may be read here: what lies behind it may just be
 * moved to another place. */
static bool may_be_awaited(const struct neap_loop *loop) {
    return neap_loop_has_ready(loop) || loop->timers.count > 0 || loop->uv != NULL;
}

static void count(volatile sig_atomic_t *beats) {
    if (*beats < INT_MAX) ++*beats;
}

static void start_anew(struct neap_slice *slice) { slice->beats = slice->stop_beats = 0; }

/* A beat, in the signal handler. */
static void on_beat(struct neap_loop *loop) {
    struct neap_vm *vm = loop->context;
    struct neap_slice *slice = &vm->slice;
    lua_State *L = neap_vm_running(vm);
    bool stop = may_have_to_stop(vm, vm->current) || must_look_around(vm),
         share = slice->seconds > 0 && may_be_awaited(loop);
    loop->cut = 1;
    if (slice->seen != slice->turn || !(stop || share)) {
        slice->seen = slice->turn;
        start_anew(slice);
        return;
    }
    count(&slice->beats);
    count(&slice->unheard);
    if (stop)
        count(&slice->stop_beats);
    else
        slice->stop_beats = 0;
    if (vm->engine->overdue != NULL && is_overdue(vm, slice)) vm->engine->overdue(vm->engine);
    if (L != NULL && (stop || (share && slice->beats >= slice->patience))) arm(vm, L);
}

/* --- taking it away --- */

/* Puts back what was there before. A beat in the midst of this finds a coroutine with our hook and nothing noted, and
 * sets the hook, which is then overwritten; or with the foreign hook, and notes it anew. */
static void restore(struct neap_slice *slice, lua_State *L) {
    struct neap_foreign_hook *entry = find_foreign(slice, L);
    if (entry == NULL) {
        neap_limits_rest(neap_vm_of(L), L);
        return;
    }
    const struct neap_foreign_hook foreign = *entry;
    entry->coroutine = NULL;
    lua_sethook(L, foreign.hook, foreign.mask, foreign.count);
}

void neap_slice_settle(struct neap_vm *vm, lua_State *left) {
    struct neap_slice *slice = &vm->slice;
    struct neap_foreign_hook *foreign = find_foreign(slice, left);
    bool stays = is_pressed(vm->current);
    if (lua_gethook(left) != on_hook) {
        if (foreign != NULL) foreign->coroutine = NULL;
    } else if (!stays || foreign != NULL) {
        restore(slice, left);
    }
    lua_State *next = neap_vm_running(vm);
    if (stays && next != NULL)
        arm(vm, next); /* the error goes on climbing there */
    else if (vm->running == NULL || vm->current == vm->root)
        slice->armed = 0;
}

/* --- the hook --- */

static bool can_yield(lua_State *L, const struct neap_task *task) {
    return task->lua_blocked == 0 && lua_isyieldable(L);
}

static bool in_finaliser(lua_State *L) { return lua_gc(L, LUA_GCCOUNT, 0) < 0; }

/* Takes note of requests that have not come through the loop. */
static void look_around(lua_State *L, struct neap_vm *vm, struct neap_task *task) {
    struct neap_job *job = neap_task_known_job(task);
    neap_cancel_expire(task);
    if (job != NULL) neap_job_look(job);
    if (!is_ending(vm)) return;
    if (vm->slice.hard_at == 0) neap_slice_stop(vm);
    /* The loop knows better what is to be cancelled, and in which order: but it has to get there. */
    if (!can_yield(L, task)) task->flags |= NEAP_TASK_CANCELLED | NEAP_TASK_PENDING;
}

static bool uses_force(const struct neap_vm *vm, const struct neap_task *task) {
    return vm->slice.hard_at != 0 && task->flags & NEAP_TASK_CANCELLED && neap_clock_now() >= vm->slice.hard_at;
}

/* The hook has been called. */
static void hear(struct neap_slice *slice, const struct neap_task *task) {
    const void *due = neap_cancel_due(task);
    int beats = slice->unheard;
    slice->unheard = 0;
    if (slice->due != due || slice->due_turn != slice->turn) {
        slice->due = due;
        slice->due_turn = slice->turn;
        slice->heard = slice->calls = 0;
    } else if (beats > 0) {
        slice->heard = beats == 1 ? slice->heard + 1 : 0;
        slice->calls++;
    }
}

/* Is a cancellation to be raised, here and now? */
static bool must_stop(const struct neap_vm *vm, const struct neap_task *task) {
    if (uses_force(vm, task)) return true;
    return neap_cancel_is_due(task) && (has_had_grace(&vm->slice) || swallows(task));
}

/* Raises the cancellation that is due; or any, by force. */
static void stop(lua_State *L, struct neap_vm *vm, struct neap_task *task) {
    bool force = uses_force(vm, task);
    if (task->swallowed < UINT8_MAX) task->swallowed++;
    start_anew(&vm->slice);
    vm->slice.due = NULL;
    if (!swallows(task)) restore(&vm->slice, L);
    if (force) task->unwinding = 0;
    neap_cancel_check(L, task);
    task->unwinding = task->depth; /* shielded */
    luaL_checkstack(L, 8, "cancellation");
    neap_cancel_push_error(L, 0);
    lua_error(L);
}

/* Was the running code asked to stop, be it that a shield holds that off? */
static bool is_asked(const struct neap_task *task) {
    for (const struct neap_region *region = task->regions; region != NULL; region = region->outer)
        if (region->cancelled) return true;
    return (task->flags & NEAP_TASK_CANCELLED) != 0;
}

/* The shield that is around the running code, the innermost; NULL: none is. */
static struct neap_region *shield_of(const struct neap_task *task) {
    struct neap_region *region = task->regions;
    while (region != NULL && !region->shield) region = region->outer;
    return region;
}

/* Nothing is due: because nothing was asked, or a shield holds it off, which then counts as swallowing, once. */
static void note_shield(const struct neap_vm *vm, struct neap_task *task) {
    struct neap_region *shield = shield_of(task);
    if (task->unwinding != 0) return;
    if (!is_asked(task)) {
        task->swallowed = 0;
    } else if (shield != NULL && !shield->noted && has_had_time(&vm->slice) && !swallows(task)) {
        shield->noted = true;
        task->swallowed++;
    }
}

/* Calls the hook again when a function has returned: perhaps it is the one across which Lua cannot yield. */
static void watch_returns(lua_State *L, struct neap_foreign_hook *foreign) {
    if (foreign == NULL)
        set_hook(L, NULL, LUA_MASKRET, 0);
    else if (!(foreign->mask & LUA_MASKLINE)) /* else we stay as we are */
        set_hook(L, foreign, foreign->mask | LUA_MASKRET, foreign->count);
}

static void act_on_task(lua_State *L, struct neap_vm *vm, struct neap_foreign_hook *foreign) {
    struct neap_task *task = vm->current;
    look_around(L, vm, task);
    hear(&vm->slice, task);
    if (must_stop(vm, task)) stop(L, vm, task);
    note_shield(vm, task);
    bool gives_way = !neap_cancel_is_due(task) && must_give_way(vm), yields = gives_way && can_yield(L, task);
    if (!is_pressed(task)) {
        if (gives_way && !yields)
            watch_returns(L, foreign);
        else
            restore(&vm->slice, L);
    }
    if (!yields) return;
    start_anew(&vm->slice);
    vm->slice.preempted = true;
    task->flags |= NEAP_TASK_TURN;
    lua_yield(L, 0);
}

/* Regions are stopped here as in a task: bodies of timeouts and scopes. */
static void act_outside(lua_State *L, struct neap_vm *vm) {
    neap_cancel_expire(vm->root);
    hear(&vm->slice, vm->root);
    if (must_stop(vm, vm->root)) stop(L, vm, vm->root);
    note_shield(vm, vm->root);
    if (!is_pressed(vm->root)) restore(&vm->slice, L);
    if (neap_cancel_is_due(vm->root) || !neap_vm_may_turn(vm) || !must_give_way(vm)) return;
    start_anew(&vm->slice);
    neap_loop_give_way(&vm->loop);
}

static void act(lua_State *L, struct neap_vm *vm, struct neap_foreign_hook *foreign) {
    vm->slice.armed = 1; /* it may have been left on a coroutine that goes on now */
    if (L != (vm->running != NULL ? vm->running : vm->main) || in_finaliser(L)) {
        restore(&vm->slice, L);
        return;
    }
    if (vm->current == vm->root)
        act_outside(L, vm);
    else
        act_on_task(L, vm, foreign);
}

/* Was the foreign hook replaced by lua_sethook while a beat interrupted that? Then ours stands with its mask. */
static void refresh(lua_State *L, struct neap_foreign_hook *foreign) {
    int mask = lua_gethookmask(L), count = lua_gethookcount(L);
    if (mask == foreign->armed_mask && count == foreign->armed_count) return;
    foreign->mask = mask;
    foreign->count = count;
}

/* Hands the event on to the foreign hook, if it asked for it. The count is ours, unless we act on lines. */
static void pass_on(lua_State *L, const struct neap_foreign_hook *foreign, lua_Debug *event) {
    int bit = event->event == LUA_HOOKTAILCALL ? LUA_MASKCALL : 1 << event->event;
    if (!(foreign->mask & bit) || (bit == LUA_MASKCOUNT && !(foreign->mask & LUA_MASKLINE))) return;
    foreign->hook(L, event);
}

static void on_hook(lua_State *L, lua_Debug *event) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_foreign_hook *foreign = find_foreign(&vm->slice, L);
    int acts_on = LUA_HOOKCOUNT;
    if (foreign != NULL) {
        refresh(L, foreign);
        if (foreign->mask & LUA_MASKLINE) acts_on = LUA_HOOKLINE;
        pass_on(L, foreign, event);
        if (lua_gethook(L) != on_hook) { /* it has been replaced */
            foreign->coroutine = NULL;
            return;
        }
    }
    if (event->event == acts_on)
        act(L, vm, foreign);
    else if (event->event == LUA_HOOKRET && acts_on != LUA_HOOKLINE && can_yield(L, vm->current))
        set_to_act(L, foreign);
}

/* --- from beginning to end --- */

static int64_t beat_ns(double seconds) {
    if (seconds <= 0 || seconds * (double)NEAP_SECOND >= 2.0 * BEAT_MAX_NS) return BEAT_MAX_NS;
    int64_t half = (int64_t)(seconds * (double)NEAP_SECOND / 2);
    return half > BEAT_MIN_NS ? half : BEAT_MIN_NS;
}

static void set_seconds(struct neap_slice *slice, double seconds) {
    double beats = ceil(seconds * (double)NEAP_SECOND / (double)beat_ns(seconds));
    slice->seconds = seconds;
    slice->patience = seconds <= 0 || beats >= INT_MAX ? INT_MAX : (int)beats;
}

void neap_slice_init(struct neap_vm *vm) {
    const struct neap_engine *engine = vm->engine;
    memset(&vm->slice, 0, sizeof vm->slice);
    vm->slice.signal = engine->slices ? engine->slice_signal : 0;
    set_seconds(&vm->slice, engine->slices ? engine->slice : 0);
}

void neap_slice_inherit(struct neap_vm *vm, int signal, double seconds) {
    vm->slice.signal = signal;
    set_seconds(&vm->slice, seconds);
}

static int attach(struct neap_vm *vm) {
    vm->loop.beat = on_beat;
    return neap_pulse_attach(&vm->loop.mailbox->pulse, vm->slice.signal, beat_ns(vm->slice.seconds));
}

void neap_slice_open(struct neap_vm *vm) {
    if (vm->slice.signal == 0) return;
    if (attach(vm) != 0) vm->slice.signal = 0;
    /* The end of a program may be asked for in a signal handler, which cannot start a
     * pulse: its main one always beats. */
    if (vm->engine->overdue != NULL && vm == vm->engine->context) neap_slice_start(vm, &vm->slice);
}

void neap_slice_close(struct neap_vm *vm) {
    neap_pulse_detach(&vm->loop.mailbox->pulse);
    vm->loop.beat = NULL;
    vm->slice.signal = 0;
    if (vm->main != NULL && lua_gethook(vm->main) == on_hook) restore(&vm->slice, vm->main);
}

void neap_slice_start_pulse(struct neap_vm *vm) {
    neap_pulse_start(&vm->loop.mailbox->pulse);
    vm->slice.pulsing = true;
}

void neap_slice_stop(struct neap_vm *vm) { vm->slice.hard_at = neap_clock_after(HARD_SECONDS); }

int neap_slice_call(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_slice *slice = &vm->slice;
    double before = slice->seconds;
    if (!lua_isnoneornil(L, 1)) {
        if (lua_type(L, 1) != LUA_TNUMBER) return neap_argument_type_error(L, 1, "number of seconds");
        double seconds = lua_tonumber(L, 1);
        neap_argument_check(L, seconds >= 0, 1, "a slice must not be negative or NaN");
        if (seconds > 0 && slice->signal == 0 && vm->engine->slice_signal == 0)
            return luaL_error(L, "tasks cannot be interrupted: the host has not named a signal for that");
        set_seconds(slice, seconds);
        if (seconds > 0 && slice->signal == 0) {
            slice->signal = vm->engine->slice_signal;
            int code = attach(vm);
            if (code != 0) {
                slice->signal = 0;
                return luaL_error(L, "tasks cannot be interrupted: %s", strerror(-code));
            }
        }
        neap_pulse_set_interval(&vm->loop.mailbox->pulse, beat_ns(seconds));
        if (seconds > 0) neap_slice_start(vm, slice);
    }
    lua_pushnumber(L, before);
    return 1;
}
