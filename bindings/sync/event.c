#include <lauxlib.h>
#include <stdio.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/remote.h"
#include "bindings/task/await.h"
#include "sync/event.h"

static struct neap_object *check(lua_State *L) { return neap_box_check(L, 1, NEAP_HANDLE_EVENT); }

/* neap.event() */
int neap_event_open(lua_State *L) {
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_EVENT, sizeof *box, 0);
    struct neap_event *event = neap_event_new();
    if (event == NULL) return luaL_error(L, "not enough memory");
    box->object = &event->object;
    return 1;
}

static int event_set(lua_State *L) {
    struct neap_proxy *proxy = neap_remote_test(check(L));
    if (proxy != NULL) return neap_remote_none(L, proxy, NEAP_EVENT_SET);
    neap_event_set((struct neap_event *)check(L));
    return 0;
}

static int event_clear(lua_State *L) {
    struct neap_proxy *proxy = neap_remote_test(check(L));
    if (proxy != NULL) return neap_remote_none(L, proxy, NEAP_EVENT_CLEAR);
    neap_event_clear((struct neap_event *)check(L));
    return 0;
}

static int event_is_set(lua_State *L) {
    struct neap_proxy *proxy = neap_remote_test(check(L));
    if (proxy != NULL) return neap_remote_boolean(L, proxy, NEAP_EVENT_IS_SET);
    lua_pushboolean(L, neap_event_is_set((struct neap_event *)check(L)));
    return 1;
}

static int event_wait(lua_State *L) { return neap_await_object(L, check(L), NEAP_EVENT_WAIT, 2, neap_finish_true); }

static void describe(struct neap_object *object, char *text, size_t size) {
    snprintf(text, size, neap_event_is_set((struct neap_event *)object) ? "set" : "not set");
}

static const luaL_Reg methods[] = {
    {"set", event_set}, {"clear", event_clear}, {"is_set", event_is_set}, {"wait", event_wait}, {NULL, NULL}};

const struct neap_binding neap_event_binding = {
    .name = "event",
    .class = &neap_event_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_EVENT],
    .methods = methods,
    .describe = describe,
};
