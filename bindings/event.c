#include <lauxlib.h>
#include <stdio.h>

#include "bindings/await.h"
#include "bindings/box.h"
#include "bindings/classes.h"
#include "sync/event.h"

static struct neap_event *check(lua_State *L) { return (struct neap_event *)neap_box_check(L, 1, NEAP_HANDLE_EVENT); }

/* neap.event() */
int neap_event_open(lua_State *L) {
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_EVENT, sizeof *box, 0);
    struct neap_event *event = neap_event_new();
    if (event == NULL) return luaL_error(L, "not enough memory");
    box->object = &event->object;
    return 1;
}

static int event_set(lua_State *L) {
    neap_event_set(check(L));
    return 0;
}

static int event_clear(lua_State *L) {
    neap_event_clear(check(L));
    return 0;
}

static int event_is_set(lua_State *L) {
    lua_pushboolean(L, neap_event_is_set(check(L)));
    return 1;
}

static int event_wait(lua_State *L) {
    return neap_await_object(L, &check(L)->object, NEAP_EVENT_WAIT, 2, neap_finish_true);
}

static void describe(struct neap_object *object, char *text, size_t size) {
    snprintf(text, size, neap_event_is_set((struct neap_event *)object) ? "set" : "not set");
}

static const luaL_Reg methods[] = {
    {"set", event_set}, {"clear", event_clear}, {"is_set", event_is_set}, {"wait", event_wait}, {NULL, NULL}};

const struct neap_binding neap_event_binding = {
    .name = "event",
    .class = &neap_event_class,
    .methods = methods,
    .describe = describe,
};
