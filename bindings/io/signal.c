#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/iterator.h"
#include "bindings/handle/remote.h"
#include "bindings/io/signals.h"
#include "bindings/state/embedding.h"
#include "bindings/sync/channel.h"
#include "bindings/task/await.h"
#include "bindings/task/ending.h"
#include "core/error.h"
#include "core/trap.h"
#include "host/signal.h"

static struct neap_object *check(lua_State *L) { return neap_box_check(L, 1, NEAP_HANDLE_SIGNAL); }

/* Raises for what cannot be waited for here. */
static void check_number(lua_State *L, int number) {
    const struct neap_engine *engine = neap_vm_of(L)->engine;
    if (engine->embedding != NULL && !engine->embedding->config.signals)
        luaL_error(L, "denied: neap.signal: signals are the host's");
    luaL_argcheck(L, neap_trap_can(number), 1, "this signal cannot be waited for");
    luaL_argcheck(L, !engine->slices || number != engine->slice_signal, 1,
                  "this signal is what interrupts tasks that compute");
}

/* neap.signal(name) */
int neap_signal_open_handle(lua_State *L) {
    int number = neap_check_signal(L, 1);
    check_number(L, number);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_SIGNAL, sizeof *box, 0);
    struct neap_signal *signal;
    int code = neap_signal_open(neap_vm_of(L)->engine, number, &signal);
    if (code == NEAP_CLOSED) neap_ending_refuse(L, "wait for a signal");
    if (code != 0) return neap_push_code(L, code);
    box->object = &signal->object;
    neap_box_register(L, -1, box->object);
    return 1;
}

static int signal_wait(lua_State *L) { return neap_await_object(L, check(L), NEAP_SIGNAL_WAIT, 2, neap_finish_true); }

/* signal:close(); also __close */
static int signal_close(lua_State *L) {
    struct neap_proxy *proxy = neap_remote_test(check(L));
    if (proxy != NULL) return neap_remote_boolean(L, proxy, NEAP_SIGNAL_CLOSE);
    lua_pushboolean(L, neap_signal_close((struct neap_signal *)check(L)));
    return 1;
}

static int signal_is_closed(lua_State *L) {
    struct neap_proxy *proxy = neap_remote_test(check(L));
    if (proxy != NULL) return neap_remote_boolean(L, proxy, NEAP_SIGNAL_IS_CLOSED);
    lua_pushboolean(L, neap_signal_is_closed((struct neap_signal *)check(L)));
    return 1;
}

static int finish_step(lua_State *L, struct neap_task *task, int code) {
    (void)code;
    if (task->link.result != 0) return 0;
    lua_pushboolean(L, 1);
    return 1;
}

/* The iterator: ends when the signal is closed. */
static int step(lua_State *L) {
    neap_iterator_begin(L);
    return neap_await_object(L, check(L), NEAP_SIGNAL_WAIT, 2, finish_step);
}

/* signal:iter() */
static int signal_iter(lua_State *L) {
    check(L);
    return neap_iterator_push(L, step);
}

static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_signal *signal = (struct neap_signal *)object;
    const char *name = sigabbrev_np(signal->number), *state = neap_signal_is_closed(signal) ? "closed" : "open";
    if (name != NULL)
        snprintf(text, size, "SIG%s, %s", name, state);
    else
        snprintf(text, size, "%d, %s", signal->number, state);
}

static const luaL_Reg methods[] = {{"wait", signal_wait},
                                   {"iter", signal_iter},
                                   {"close", signal_close},
                                   {"is_closed", signal_is_closed},
                                   {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__close", signal_close}, {NULL, NULL}};

const struct neap_binding neap_signal_binding = {
    .name = "signal",
    .class = &neap_signal_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_SIGNAL],
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
};
